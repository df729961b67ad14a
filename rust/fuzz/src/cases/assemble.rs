//! Whole packs from their parts, with hashes that match and a signature. Written apart from `lorekit_pack::PackWriter`, which
//! refuses to write what a reader would refuse; `docs/pack-format.md` has the layout.

use std::path::Path;

use lorekit_pack::signing::{KeySet, PackState, RollbackStatement, SignatureArea, SigningKey};
use lorekit_pack::{ContentHash, Manifest, SECTION_ALIGNMENT, SIGNATURE_AREA_BYTES, SectionEntry, SectionKind};

use super::key;

const HEADER: usize = 128;
/// Bytes of the header before its checksum.
const CHECKED: usize = 96;
const FOOTER: usize = 32;
const AREA: usize = SIGNATURE_AREA_BYTES as usize;

/// What errors name.
fn nowhere() -> &'static Path {
    Path::new("case")
}

/// The manifest's bytes with these sections in it.
pub fn manifest_of(manifest: &Manifest, sections: &[(SectionKind, Vec<u8>)]) -> Vec<u8> {
    let entries = entries(sections);
    serde_json::to_vec(&Manifest { sections: entries, ..manifest.clone() }).unwrap()
}

fn entries(sections: &[(SectionKind, Vec<u8>)]) -> Vec<SectionEntry> {
    let mut at = SECTION_ALIGNMENT;
    let entry = |(kind, bytes): &(SectionKind, Vec<u8>)| {
        let offset = at;
        at = (at + bytes.len() as u64).next_multiple_of(SECTION_ALIGNMENT);
        SectionEntry {
            kind: kind.number(),
            name: kind.name().into(),
            required: matches!(kind, SectionKind::Passages | SectionKind::Vectors | SectionKind::Withdrawals),
            offset,
            length: bytes.len() as u64,
            blake3: ContentHash::of(bytes),
        }
    };
    sections.iter().map(entry).collect()
}

/// A pack of these sections, signed.
pub fn signed(manifest: &Manifest, sections: &[(SectionKind, Vec<u8>)]) -> Vec<u8> {
    with_manifest(&manifest_of(manifest, sections), sections)
}

/// A pack with any bytes where its manifest belongs, signed.
pub fn with_manifest(manifest: &[u8], sections: &[(SectionKind, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0; HEADER];
    let entries = entries(sections);
    for ((_, bytes), entry) in sections.iter().zip(&entries) {
        file.resize(entry.offset as usize, 0);
        file.extend(bytes);
    }
    file.resize(file.len().next_multiple_of(16), 0);
    let manifest_at = file.len();
    file.extend(manifest);
    file.resize(file.len().next_multiple_of(16), 0);
    let table_at = file.len();
    for entry in &entries {
        file.extend(entry.kind.to_le_bytes());
        file.extend(u32::from(entry.required).to_le_bytes());
        file.extend(entry.offset.to_le_bytes());
        file.extend(entry.length.to_le_bytes());
        file.extend([0; 8]);
        file.extend(entry.blake3.0);
    }
    let area_at = file.len();
    let mut area = SignatureArea::default();
    area.sign(manifest, &key());
    file.extend(area.encode(nowhere()).unwrap());
    let length = file.len() + FOOTER;
    file.resize(length, 0);
    file[..8].copy_from_slice(b"LOREPACK");
    file[8..12].copy_from_slice(&1u32.to_le_bytes());
    file[12..16].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    for (at, value) in [(16, length), (24, manifest_at), (32, manifest.len()), (40, table_at), (48, area_at)] {
        file[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
    }
    file[64..96].copy_from_slice(&ContentHash::of(manifest).0);
    let footer = length - FOOTER;
    file[footer..footer + 8].copy_from_slice(&(length as u64).to_le_bytes());
    file[length - 8..].copy_from_slice(b"KCAPEROL");
    checked(file)
}

/// The checksums of the header made to match, as far as the file is long enough to have them.
fn checked(mut file: Vec<u8>) -> Vec<u8> {
    if file.len() >= HEADER + FOOTER {
        let checksum = ContentHash::of(&file[..CHECKED]).0;
        file[CHECKED..HEADER].copy_from_slice(&checksum);
        let footer = file.len() - 24;
        file[footer..footer + 16].copy_from_slice(&checksum[..16]);
    }
    file
}

fn field(file: &[u8], at: usize) -> usize {
    u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize
}

/// The input of the part `header` that changes nothing: the checked fields, then the section table.
pub fn header_of(file: &[u8]) -> Vec<u8> {
    let (table, area) = (field(file, 40), field(file, 48));
    [&file[..CHECKED], &file[table..area]].concat()
}

/// A pack with these bytes as its header's fields and its table, and, if two follow, cut or lengthened by as much.
pub fn with_header(file: &[u8], data: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let (table, area) = (field(&file, 40), field(&file, 48));
    let (head, rest) = data.split_at(data.len().min(CHECKED));
    file[..head.len()].copy_from_slice(head);
    let (entries, rest) = rest.split_at(rest.len().min(area - table));
    file[table..table + entries.len()].copy_from_slice(entries);
    if let [a, b, ..] = rest {
        let by = i16::from_le_bytes([*a, *b]) as isize;
        file.resize(file.len().saturating_add_signed(by), 0);
    }
    checked(file)
}

/// Inputs of the part `signatures`: an area with all there can be in it as JSON and as bytes, a key set, a statement.
pub fn signature_seeds(file: &[u8], manifest: &Manifest) -> Vec<Vec<u8>> {
    let seed = |mode: u8, bytes: Vec<u8>| [vec![mode], bytes].concat();
    let keys = vec![SigningKey::from_seed(&[2; 32]).verifying_key()];
    let set = KeySet { version: 1, keys, expires: Some("2030-01-01".into()), pack_ids: Some(vec!["golden.v1".into()]) };
    let state = |version| PackState { version, state: manifest.state };
    let statement =
        RollbackStatement { pack_id: manifest.pack_id.clone(), from: state(9), to: state(manifest.version) };
    let (set_json, statement_json) = (serde_json::to_vec(&set).unwrap(), serde_json::to_vec(&statement).unwrap());
    let area = field(file, 48);
    let mut full = SignatureArea::decode(nowhere(), &file[area..area + AREA]).unwrap();
    full.key_set = Some(set.sign(nowhere(), &key()).unwrap());
    full.rollback = Some(statement.sign(&key()));
    let bytes = full.encode(nowhere()).unwrap();
    let json = serde_json::to_vec(&full).unwrap();
    let head = bytes[..12 + json.len()].to_vec();
    vec![seed(0, json), seed(1, head), seed(2, set_json), seed(3, statement_json)]
}

/// A pack whose signature area holds what the first byte says: JSON, any bytes, a key set or a statement signed by the root.
pub fn with_signatures(file: &[u8], data: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = field(&file, 48);
    let area = &mut file[at..at + AREA];
    let (mode, rest) = data.split_first().unwrap_or((&0, &[]));
    let rest = &rest[..rest.len().min(AREA - 12)];
    let mut signed = SignatureArea::decode(nowhere(), area).unwrap();
    let encoded = match mode % 4 {
        0 => [b"LSIG", &1u32.to_le_bytes()[..], &(rest.len() as u32).to_le_bytes(), rest].concat(),
        1 => rest.to_vec(),
        2 => {
            let set = serde_json::from_slice::<KeySet>(rest).ok().and_then(|set| set.sign(nowhere(), &key()).ok());
            let Some(set) = set else { return file };
            signed.key_set = Some(set);
            signed.encode(nowhere()).unwrap_or_default()
        }
        _ => {
            let Ok(statement) = serde_json::from_slice::<RollbackStatement>(rest) else { return file };
            signed.rollback = Some(statement.sign(&key()));
            signed.encode(nowhere()).unwrap_or_default()
        }
    };
    area.fill(0);
    let length = encoded.len().min(AREA);
    area[..length].copy_from_slice(&encoded[..length]);
    file
}
