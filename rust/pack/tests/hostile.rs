//! Bytes from a stranger: each is refused by name or read correctly, and nothing panics.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Forgery, PAGE, sample_section, write_sample};
use lorekit_pack::{ContentHash, Error, Pack, SectionKind};
use serde_json::json;

fn sample() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.lorepack");
    write_sample(&path);
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

#[test]
fn the_two_writers_agree_byte_for_byte() {
    let (_folder, _, bytes) = sample();
    let mut forged = Forgery::new();
    let offset = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    let length = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    // The order of a manifest's fields is the one thing that JSON values do not keep.
    forged.manifest_bytes = Some(bytes[offset..offset + length].to_vec());
    assert!(forged.bytes() == bytes, "the files differ");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_folder, path, bytes) = sample();
    let fine = (0..300).chain(bytes.len() - 20_000..bytes.len()).step_by(13).chain(bytes.len() - 40..bytes.len());
    for length in fine.chain((300..bytes.len()).step_by(1999)) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(Pack::open(&path).is_err(), "cut at {length}");
    }
    fs::write(&path, &bytes).unwrap();
    Pack::open_verified(&path).unwrap();
}

#[test]
fn a_file_with_bytes_too_many_is_refused() {
    let (_folder, path, mut bytes) = sample();
    bytes.extend(vec![0; 4096]);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Pack::open(&path), Err(Error::Damaged { .. })));
}

#[test]
fn each_flipped_bit_outside_of_the_signature_area_is_noticed() {
    let (_folder, path, bytes) = sample();
    let field = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let (manifest, table, signature) = (field(24), field(40), field(48));
    // All of header, table and footer; every seventh byte of the manifest; some of sections and paddings.
    let places = (0..128)
        .chain((128..manifest).step_by(997))
        .chain((manifest..table).step_by(7))
        .chain(table..signature)
        .chain(bytes.len() - 32..bytes.len());
    for at in places {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        assert!(Pack::open_verified(&path).is_err(), "byte {at}");
    }
}

#[test]
fn damage_in_a_section_names_the_section() {
    let (_folder, path, mut bytes) = sample();
    bytes[2 * PAGE + 17] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let pack = Pack::open(&path).unwrap();
    match pack.verify() {
        Err(Error::HashMismatch { section, expected, found, .. }) => {
            assert_eq!(section, "vectors");
            assert_eq!(expected, ContentHash::of(&sample_section(2)).to_string());
            assert_ne!(expected, found);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_signature_area_may_be_filled_without_touching_the_rest() {
    let (_folder, path, mut bytes) = sample();
    assert!(Pack::open(&path).unwrap().signature_area().is_none());
    let signature = u64::from_le_bytes(bytes[48..56].try_into().unwrap()) as usize;
    bytes[signature..signature + 4].copy_from_slice(b"LSIG");
    fs::write(&path, &bytes).unwrap();
    let pack = Pack::open_verified(&path).unwrap();
    assert!(pack.signature_area().unwrap().starts_with(b"LSIG"));
}

#[test]
fn a_pack_inside_of_another_file_opens_in_place() {
    let (_folder, path, bytes) = sample();
    let mut outer = vec![9; PAGE + 123];
    outer.extend(&bytes);
    outer.extend([9; 77]);
    fs::write(&path, &outer).unwrap();
    let pack = Pack::open_range(&path, (PAGE + 123) as u64, bytes.len() as u64).unwrap();
    pack.verify().unwrap();
    assert_eq!(pack.section(SectionKind::Passages).unwrap(), sample_section(1));
    assert!(Pack::open_range(&path, 5, bytes.len() as u64).is_err());
    assert!(Pack::open_range(&path, u64::MAX, 2).is_err());
    assert!(Pack::open_range(&path, 0, outer.len() as u64 + 1).is_err());
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Pack::open(folder.path()), Err(Error::Damaged { .. } | Error::Io { .. })));
    assert!(matches!(Pack::open(folder.path().join("none")), Err(Error::Io { .. })));
    let text = folder.path().join("text");
    fs::write(&text, [b'x'; 100_000]).unwrap();
    assert!(matches!(Pack::open(&text), Err(Error::NotAPack { .. })));
    fs::write(&text, b"").unwrap();
    assert!(matches!(Pack::open(&text), Err(Error::Truncated { .. })));
}

/// A change to an otherwise sound pack, and the part of the message it must lead to.
type Case = (&'static str, fn(&mut Forgery), &'static str);

const CASES: &[Case] = &[
    ("a newer header", |f| f.version = 2, "version 2"),
    ("version 0", |f| f.version = 0, "version 0"),
    ("a newer manifest", |f| f.manifest["format_version"] = json!(2), "version 2"),
    ("an unknown requirement", |f| f.manifest["requires"] = json!(["telepathy"]), "telepathy"),
    ("a manifest that is no JSON", |f| f.manifest_bytes = Some(b"hello".to_vec()), "line 1"),
    ("an empty manifest", |f| f.manifest_bytes = Some(Vec::new()), "line"),
    ("a manifest that is no UTF-8", |f| f.manifest_bytes = Some(b"{\"title\":\"\xff\"}".to_vec()), "line 1"),
    ("a manifest of brackets", |f| f.manifest_bytes = Some(vec![b'['; 1 << 19]), "line 1"),
    ("a manifest too long", |f| f.manifest_bytes = Some(vec![b' '; (1 << 20) + 1]), "1048576"),
    ("a field twice", |f| f.manifest_bytes = Some(b"{\"format_version\":1,\"format_version\":1}".to_vec()), "line 1"),
    ("a missing field", |f| drop(f.manifest.as_object_mut().unwrap().remove("embedder")), "line 1"),
    ("a negative version", |f| f.manifest["version"] = json!(-1), "line 1"),
    ("a version beyond 64 bits", |f| f.manifest["version"] = json!(1e30), "line 1"),
    ("a state too short", |f| f.manifest["state"] = json!("00"), "line 1"),
    ("an unknown kind of pack", |f| f.manifest["kind"] = json!("virus"), "line 1"),
    ("no dimensions", |f| f.manifest["embedder"]["dims"] = json!(0), "embedder.dims"),
    ("too many dimensions", |f| f.manifest["embedder"]["dims"] = json!(4_000_000_000u32), "embedder.dims"),
    ("too many passages", |f| f.manifest["counts"]["passages"] = json!(u64::MAX), "counts.passages"),
    ("a base with a parent", |f| f.manifest["parent"] = json!("0".repeat(64)), "parent"),
    ("an expansion that takes all memory", |f| f.manifest["index"]["expansion_search"] = json!(u32::MAX), "expansion"),
    ("a recall above one", |f| f.manifest["index"]["recall_at_10"] = json!(2), "recall"),
    ("a weight below zero", |f| f.manifest["retrieval"]["dense_weight"] = json!(-0.1), "dense_weight"),
    ("sections over one another", |f| f.parts[1].offset = f.parts[0].offset, "right behind"),
    ("sections in reverse", |f| f.parts.swap(0, 1), "right behind"),
    ("a section over the header", |f| f.parts[0].offset = 0, "right behind"),
    ("a section off its boundary", |f| f.parts[0].offset += 8, "16 KiB"),
    ("a hole before a section", |f| f.parts[1].offset += PAGE as u64, "right behind"),
    ("a section beyond the file", |f| f.parts[1].length = 1 << 40, "needs"),
    ("a section as long as numbers go", |f| f.parts[1].length = u64::MAX, "needs"),
    ("a section at the end of numbers", |f| f.parts[1].offset = u64::MAX - (PAGE as u64 - 1), "right behind"),
    ("a section into the manifest", |f| f.parts[1].length += 4096, "needs"),
    ("a section too short for its hole", |f| f.parts[1].length -= 4096, "right behind"),
    (
        "a kind twice",
        |f| {
            f.parts[1].kind = 1;
            f.parts[1].name = "passages".into();
        },
        "one section of this kind",
    ),
    ("an unknown kind that is required", |f| f.parts[1].kind = 99, "section 99"),
    ("a kind under another's name", |f| f.parts[1].name = "passages".into(), "its own name"),
    (
        "a table that differs from the manifest",
        |f| {
            let mut table = f.parts.clone();
            table[1].length -= 1;
            f.table = Some(table);
        },
        "section table",
    ),
    (
        "a table with another hash",
        |f| {
            let mut table = f.parts.clone();
            table[0].hash = ContentHash([0; 32]);
            f.table = Some(table);
        },
        "section table",
    ),
    ("a table shorter than the manifest's list", |f| f.table = Some(vec![f.parts[0].clone()]), "section table"),
    ("unknown flags in the table", |f| f.flags = 2, "flags"),
    ("more sections than allowed", |f| f.parts = vec![f.parts[0].clone(); 65], "at most 64"),
    ("as many sections as numbers go", |f| f.header = |h| h[0] = u64::from(u32::MAX), "at most 64"),
    ("a file shorter than its header says", |f| f.header = |h| h[1] += 1, "needs"),
    ("a file longer than its header says", |f| f.header = |h| h[1] -= 1, "damaged"),
    ("a file as long as numbers go", |f| f.header = |h| h[1] = u64::MAX, "needs"),
    ("a manifest in the header", |f| f.header = |h| h[2] = 0, "manifest"),
    ("a manifest at the end of numbers", |f| f.header = |h| h[2] = u64::MAX - 15, "offset"),
    ("a manifest as long as numbers go", |f| f.header = |h| h[3] = u64::MAX, "1048576"),
    ("a manifest that is cut", |f| f.header = |h| h[3] -= 1, "damaged"),
    ("a table elsewhere", |f| f.header = |h| h[4] += 16, "section table"),
    ("a table at the end of numbers", |f| f.header = |h| h[4] = u64::MAX, "section table"),
    ("a signature area elsewhere", |f| f.header = |h| h[5] -= 16, "signature area"),
    ("a signature area at the end of numbers", |f| f.header = |h| h[5] = u64::MAX, "signature area"),
];

#[test]
fn each_forgery_with_matching_hashes_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (case, change, expected) in CASES {
        let mut forgery = Forgery::new();
        change(&mut forgery);
        match Pack::open(forgery.write(folder.path())) {
            Ok(_) => wrong.push(format!("{case}: accepted")),
            Err(error) if !error.to_string().contains(expected) => wrong.push(format!("{case}: {error}")),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_unknown_section_that_is_optional_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut forgery = Forgery::new();
    forgery.parts[1] = common::Part { kind: 99, name: "later".into(), required: false, ..forgery.parts[1].clone() };
    let pack = Pack::open_verified(forgery.write(folder.path())).unwrap();
    assert_eq!(pack.section(SectionKind::Passages).unwrap(), sample_section(1));
    assert!(matches!(pack.require(SectionKind::Vectors), Err(Error::MissingSection { section: "vectors", .. })));
}

#[test]
fn bytes_hidden_between_sections_are_found_by_verifying() {
    let folder = tempfile::tempdir().unwrap();
    for at in [200, PAGE + 8001, 2 * PAGE - 1] {
        let mut forgery = Forgery::new();
        forgery.body[at] = 1;
        let pack = Pack::open(forgery.write(folder.path())).unwrap();
        assert!(matches!(pack.verify(), Err(Error::Damaged { part, .. }) if part == "padding"), "byte {at}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, ..Default::default() })]

    #[test]
    fn changed_manifests_with_matching_hashes_never_panic(
        changes in proptest::collection::vec((0usize..4000, proptest::prelude::any::<u8>()), 1..6),
        cut in proptest::option::of(0usize..4000),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut forgery = Forgery::new();
        let whole = forgery.bytes();
        let field = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap()) as usize;
        let mut json = whole[field(24)..field(24) + field(32)].to_vec();
        for (at, byte) in changes {
            let at = at % json.len();
            json[at] = byte;
        }
        if let Some(cut) = cut {
            json.truncate(cut);
        }
        forgery.manifest_bytes = Some(json);
        if let Ok(pack) = Pack::open(forgery.write(folder.path())) {
            let _ = pack.verify();
        }
    }

    #[test]
    fn changed_header_fields_with_a_matching_checksum_never_panic(
        at in 0usize..96, value in proptest::prelude::any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Forgery::new().bytes();
        let end = (at + 8).min(96);
        bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        let checksum = ContentHash::of(&bytes[..96]);
        bytes[96..128].copy_from_slice(&checksum.0);
        let footer = bytes.len() - 24;
        bytes[footer..footer + 16].copy_from_slice(&checksum.0[..16]);
        let path = folder.path().join("x.lorepack");
        fs::write(&path, bytes).unwrap();
        if let Ok(pack) = Pack::open(&path) {
            let _ = pack.verify();
        }
    }
}
