//! Mutates a sound, signed pack in one of its parts, puts it together again with hashes and a signature that match, and
//! opens and searches it, so that hostile bytes reach the manifest, the database and the index.
//!
//! ```text
//! cargo run -- <part> [seconds] [first case]
//! ```
//!
//! Parts: `header`, `manifest`, `signatures`, `passages`, `vectors`, `withdrawals`, `notices`, `all`. A case is a number,
//! and the number gives the mutation, so that a crash is repeated by naming the case it stood at, which is in the file
//! `case-<part>` in the working folder. The first case of each outcome (opened, or refused with a kind of error) is kept
//! in `corpus/<part>.txt`, and a run begins with those; `TMPDIR` in memory makes cases many times cheaper; seeds stand in `../pack/tests/data`.
//!
//! A coverage-guided fuzzer would go deeper into the JSON and SQL parsers, which are fuzzed by their makers; what is
//! LoreKit's own (header, table, graph walk, row checks) is shallow enough for structured random mutation.

mod corpus;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use corpus::Corpus;
use lorekit_pack::signing::{KeySet, SignatureArea, SignedKeySet, SigningKey, Trust};
use lorekit_pack::{ContentHash, Manifest, Pack, PackWriter, SectionKind, decode_withdrawals};
use lorekit_store::{OpenOptions, Scope, Segment, Snapshot};

const PARTS: [&str; 7] = ["header", "manifest", "signatures", "passages", "vectors", "withdrawals", "notices"];

const AREA_BYTES: usize = 16 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let part = arguments.first().map_or("all", String::as_str);
    let number = |at: usize, default: u64| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let (seconds, first) = (number(1, 60), number(2, 0));
    let parts: Vec<&str> = PARTS.into_iter().filter(|name| part == "all" || part == *name).collect();
    assert!(!parts.is_empty(), "parts are {PARTS:?} and all");
    for part in parts {
        run(part, Duration::from_secs(seconds), first);
    }
}

/// How the cases of a part ended.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    opened: u64,
    errors_later: u64,
}

fn run(part: &str, limit: Duration, first: u64) {
    let seeds = Seeds::read();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("case.lorepack");
    let note = PathBuf::from(format!("case-{part}"));
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut corpus = Corpus::read(part);
    let known = corpus.cases();
    let mut done = 0;
    for case in known.into_iter().chain(first..) {
        if start.elapsed() >= limit {
            break;
        }
        fs::write(&note, case.to_string()).expect("the working folder can be written");
        let mut random = Random(case ^ 0x5eed);
        seeds.write_case(part, &path, &mut random);
        let outcome = match part {
            "signatures" => signatures(&seeds, &path, &mut tally),
            "withdrawals" | "notices" => delta(&seeds, &path, &mut tally),
            _ => exercise(&path, part != "header", &mut random, &mut tally),
        };
        corpus.add(case, &outcome, folder.path());
        done += 1;
    }
    corpus.write();
    fs::remove_file(note).expect("the note was written above");
    println!("{part}: {done} cases in {:.0?}, {tally:?}, {} outcomes known", start.elapsed(), corpus.cases().len());
}

/// Who is believed in all cases: the one key that signs each case after its mutation.
fn trust() -> Trust {
    Trust::pinned(vec![key().verifying_key()])
}

/// Comes with each case.
static KEY_SET: LazyLock<SignedKeySet> = LazyLock::new(|| {
    let keys = vec![SigningKey::from_seed(&[2; 32]).verifying_key()];
    let set = KeySet { version: 1, keys, expires: None, pack_ids: None };
    set.sign(Path::new("case"), &key()).expect("the set is sound")
});

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// A changed signature area is refused; nothing else is a forgery.
fn signatures(seeds: &Seeds, path: &Path, tally: &mut Tally) -> String {
    let pack = Pack::open(path).expect("the area is no part of what opening checks");
    match trust().check(&pack) {
        Ok(_) => {
            tally.opened += 1;
            assert!(seeds.file == fs::read(path).expect("the case was written above"), "a changed area is believed");
            "opened".into()
        }
        Err(error) => {
            tally.refused += 1;
            error.to_string()
        }
    }
}

/// A delta on a sound base: what it withdraws, and the state that comes of it.
fn delta(seeds: &Seeds, path: &Path, tally: &mut Tally) -> String {
    let refused = |tally: &mut Tally, error: &dyn std::error::Error| {
        tally.refused += 1;
        error.to_string()
    };
    let pack = match Pack::open_verified(path) {
        Ok(pack) => pack,
        Err(error) => return refused(tally, &error),
    };
    trust().check(&pack).expect("it was signed after its mutation");
    if let Err(error) = decode_withdrawals(path, pack.section(SectionKind::Withdrawals).unwrap_or_default()) {
        tally.errors_later += 1;
        assert!(!error.to_string().is_empty());
    }
    let segment = match Segment::from_pack(pack.into(), &OpenOptions::default()) {
        Ok(segment) => segment,
        Err(error) => return refused(tally, &error),
    };
    match Snapshot::assemble(vec![seeds.base.clone(), segment.into()], Vec::new(), &Default::default()) {
        Ok(snapshot) => {
            tally.opened += 1;
            let hits = snapshot.lexical("商业银行", 5, &Scope::default());
            let state = snapshot.state();
            tally.errors_later += u64::from(hits.is_err() || state.is_err());
            "opened".into()
        }
        Err(error) => refused(tally, &error),
    }
}

/// Does all that a reader does. Errors are fine; a panic or a crash is the find.
fn exercise(path: &Path, signed: bool, random: &mut Random, tally: &mut Tally) -> String {
    if let Ok(pack) = Pack::open(path) {
        let believed = trust().check(&pack);
        assert!(believed.is_ok() || !signed, "it was signed after its mutation: {believed:?}");
    }
    let library = match Segment::open(path, &OpenOptions::default()) {
        Ok(library) => library,
        Err(error) => {
            tally.refused += 1;
            assert!(!error.to_string().is_empty());
            return error.to_string();
        }
    };
    tally.opened += 1;
    let mut failed = false;
    let dims = library.manifest().embedder.dims as usize;
    for _ in 0..3 {
        let query: Vec<f32> = (0..dims).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
        let parity = random.next() % 2;
        let allow = move |key: u64| key % 2 == parity;
        for hits in
            [library.dense(&query, 5, None), library.dense(&query, 5, Some(&allow)), library.exact(&query, 5, None)]
        {
            match hits {
                Ok(hits) => assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.key < library.len())),
                Err(_) => failed = true,
            }
        }
    }
    for text in ["商业银行", "第八十五条", "n3", "保", "basel iii"] {
        match library.lexical(text, 5) {
            Ok(hits) => assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.key < library.len())),
            Err(_) => failed = true,
        }
    }
    for key in 0..library.len().min(64) {
        failed |= library.neighbours(key).is_err();
        failed |= library.vector(key).is_err();
        match library.passage(key) {
            Ok(passage) => failed |= library.by_id(passage.id).is_err(),
            Err(_) => failed = true,
        }
    }
    failed |= library.documents().is_err();
    tally.errors_later += u64::from(failed);
    if failed { "opened, with errors later".into() } else { "opened".into() }
}

/// The golden files, taken apart.
struct Seeds {
    /// The base, signed.
    file: Vec<u8>,
    base: Arc<Segment>,
    manifest: Manifest,
    delta_manifest: Manifest,
    passages: Vec<u8>,
    vectors: Vec<u8>,
    withdrawals: Vec<u8>,
    notices: Vec<u8>,
}

impl Seeds {
    fn read() -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pack/tests/data/v1");
        let base = Pack::open_verified(data.join("base.lorepack")).expect("the golden base opens");
        let delta = Pack::open_verified(data.join("delta.lorepack")).expect("the golden delta opens");
        let section = |pack: &Pack, kind| pack.require(kind).expect("the section is there").to_vec();
        Self {
            file: sign(fs::read(data.join("base.lorepack")).expect("the golden base can be read")),
            base: Segment::open(data.join("base.lorepack"), &OpenOptions::default()).expect("it opens").into(),
            manifest: base.manifest().clone(),
            delta_manifest: delta.manifest().clone(),
            passages: section(&base, SectionKind::Passages),
            vectors: section(&base, SectionKind::Vectors),
            withdrawals: section(&delta, SectionKind::Withdrawals),
            notices: section(&delta, SectionKind::Notices),
        }
    }

    fn write_case(&self, part: &str, path: &Path, random: &mut Random) {
        let written = match part {
            "header" => self.with_header(random),
            "manifest" => sign(self.with_manifest(random)),
            "signatures" => self.with_signatures(random),
            "withdrawals" | "notices" => {
                let (mut withdrawals, mut notices) = (self.withdrawals.clone(), self.notices.clone());
                random.mutate(if part == "withdrawals" { &mut withdrawals } else { &mut notices });
                let sections = [(SectionKind::Withdrawals, &withdrawals), (SectionKind::Notices, &notices)];
                sign(put_together(path, &sections, &self.delta_manifest))
            }
            _ => {
                let (mut passages, mut vectors) = (self.passages.clone(), self.vectors.clone());
                random.mutate(if part == "passages" { &mut passages } else { &mut vectors });
                let sections = [(SectionKind::Passages, &passages), (SectionKind::Vectors, &vectors)];
                sign(put_together(path, &sections, &self.manifest))
            }
        };
        fs::write(path, written).expect("the case can be written");
    }

    /// The signature area changed: its JSON as text with the length made to match, or any byte of it.
    fn with_signatures(&self, random: &mut Random) -> Vec<u8> {
        let mut file = self.file.clone();
        let at = self.field(48);
        let area = &mut file[at..at + AREA_BYTES];
        let length = u32::from_le_bytes(area[8..12].try_into().expect("four bytes")) as usize;
        if random.below(4) == 0 {
            let end = if random.below(2) == 0 { 12 + length } else { AREA_BYTES };
            let flipped = random.below(end);
            area[flipped] ^= 1 << random.below(8);
            return file;
        }
        let mut json = area[12..12 + length].to_vec();
        match random.below(3) {
            0 => random.mutate(&mut json),
            1 => {
                let at = random.below(json.len());
                let alphabet: &[u8] = b"0123456789abcdefABCDEF{}[]\",:n \\";
                json[at] = alphabet[random.below(alphabet.len())];
            }
            _ => {
                // A piece of it once more: fields that stand twice, signatures that stand elsewhere.
                let (from, to) = (random.below(json.len()), random.below(json.len()));
                let length = random.below(400).min(json.len() - from);
                let piece = json[from..from + length].to_vec();
                json.splice(to..to, piece);
            }
        }
        json.truncate(AREA_BYTES - 12);
        area[8..12].copy_from_slice(&(json.len() as u32).to_le_bytes());
        area[12..].fill(0);
        area[12..12 + json.len()].copy_from_slice(&json);
        file
    }

    /// Header fields and section table changed, and the header's checksum made to match.
    fn with_header(&self, random: &mut Random) -> Vec<u8> {
        let mut file = self.file.clone();
        let table = self.field(40);
        for _ in 0..1 + random.below(3) {
            let at = if random.below(3) == 0 { table + random.below(128) } else { 8 + random.below(88) };
            let width = [1, 2, 4, 8][random.below(4)];
            let value = random.interesting().to_le_bytes();
            file[at..at + width].copy_from_slice(&value[..width]);
        }
        if random.below(8) == 0 {
            file.truncate(random.below(file.len()));
        }
        self.seal(file)
    }

    /// The manifest changed within its length, and its hash and the header's checksum made to match.
    fn with_manifest(&self, random: &mut Random) -> Vec<u8> {
        let mut file = self.file.clone();
        let (offset, length) = (self.field(24), self.field(32));
        let mut json = file[offset..offset + length].to_vec();
        match random.below(3) {
            0 => random.mutate(&mut json),
            _ => {
                // Another digit, brace or quote keeps more of the JSON whole than any byte would.
                for _ in 0..1 + random.below(4) {
                    let at = random.below(json.len());
                    let digits = json[at].is_ascii_digit();
                    let alphabet: &[u8] = if digits { b"0123456789-e." } else { b"{}[]\",:0n" };
                    json[at] = alphabet[random.below(alphabet.len())];
                }
            }
        }
        json.resize(length, b' ');
        file[offset..offset + length].copy_from_slice(&json);
        file[64..96].copy_from_slice(&ContentHash::of(&json).0);
        self.seal(file)
    }

    fn seal(&self, mut file: Vec<u8>) -> Vec<u8> {
        if file.len() > 200 {
            let checksum = ContentHash::of(&file[..96]);
            file[96..128].copy_from_slice(&checksum.0);
            let footer = file.len() - 24;
            file[footer..footer + 16].copy_from_slice(&checksum.0[..16]);
        }
        file
    }

    fn field(&self, at: usize) -> usize {
        let bytes = self.file[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes) as usize
    }
}

fn put_together(path: &Path, sections: &[(SectionKind, &Vec<u8>)], manifest: &Manifest) -> Vec<u8> {
    let mut writer = PackWriter::create(path).expect("the folder can be written");
    for (kind, bytes) in sections {
        writer.section_from_bytes(*kind, bytes).expect("the section can be written");
    }
    writer.finish(manifest.clone()).expect("the manifest is sound");
    fs::read(path).expect("it was written above")
}

/// Signs what stands where the manifest is said to be, with a key set, unless the header leads out of the file.
fn sign(mut file: Vec<u8>) -> Vec<u8> {
    let field = |at: usize| file[at..at + 8].try_into().map_or(0, u64::from_le_bytes) as usize;
    let (offset, length, area) = (field(24), field(32), field(48));
    let mut signatures = SignatureArea { key_set: Some(KEY_SET.clone()), ..SignatureArea::default() };
    let Some(manifest) = file.get(offset..offset.saturating_add(length)) else { return file };
    signatures.sign(manifest, &key());
    let signed = signatures.encode(Path::new("case")).expect("it is short");
    file[area..area + AREA_BYTES].copy_from_slice(&signed);
    file
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Numbers at which arithmetic breaks, and sometimes any.
    fn interesting(&mut self) -> u64 {
        let known = [0, 1, 16, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 40];
        match self.below(4) {
            0 => self.next(),
            1 => u64::MAX - self.next() % 64,
            _ => known[self.below(known.len())],
        }
    }

    /// Flips bits, sets numbers, copies, moves and cuts pieces.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(6) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(7) {
                0 | 1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = self.next() as u8,
                3 | 4 => {
                    let width = [2, 4, 8][self.below(3)].min(bytes.len() - at);
                    let mut value = self.interesting().to_le_bytes();
                    if self.below(2) == 0 {
                        // SQLite's numbers are big-endian.
                        value[..width].reverse();
                    }
                    bytes[at..at + width].copy_from_slice(&value[..width]);
                }
                5 => {
                    let length = self.below(64).min(bytes.len() - at);
                    let from = self.below(bytes.len() - length + 1);
                    bytes.copy_within(from..from + length, at);
                }
                _ if self.below(10) == 0 => bytes.truncate(at),
                _ => {
                    let length = self.below(64).min(bytes.len() - at);
                    bytes[at..at + length].fill(0);
                }
            }
        }
    }
}
