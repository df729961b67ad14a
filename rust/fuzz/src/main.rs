//! Mutates a sound pack in one of its parts, puts it together again with hashes that match, and opens and searches it.
//!
//! ```text
//! cargo run -- <part> [seconds] [first case]
//! ```
//!
//! Parts: `header`, `manifest`, `passages`, `vectors`, `withdrawals`, `all`. A case is a number, and the number gives
//! the mutation, so that a crash is repeated by naming the case it stood at, which is in the file `case-<part>` in the
//! working folder. A case that made a typed error or a search is forgotten; seeds stand in `../pack/tests/data`.
//!
//! A coverage-guided fuzzer would go deeper into the JSON and SQL parsers, which are fuzzed by their makers; what is
//! LoreKit's own (header, table, graph walk, row checks) is shallow enough for structured random mutation.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lorekit_pack::{ContentHash, Manifest, Pack, PackWriter, SectionKind, decode_withdrawals};
use lorekit_store::{Segment, OpenOptions};

const PARTS: [&str; 5] = ["header", "manifest", "passages", "vectors", "withdrawals"];

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
    let mut case = first;
    while start.elapsed() < limit {
        fs::write(&note, case.to_string()).expect("the working folder can be written");
        let mut random = Random(case ^ 0x5eed);
        match part {
            "withdrawals" => withdrawals(&seeds, &mut random, &mut tally),
            _ => {
                seeds.write_case(part, &path, &mut random);
                exercise(&path, &mut random, &mut tally);
            }
        }
        case += 1;
    }
    fs::remove_file(note).expect("the note was written above");
    println!("{part}: {} cases in {:.0?}, {tally:?}", case - first, start.elapsed());
}

fn withdrawals(seeds: &Seeds, random: &mut Random, tally: &mut Tally) {
    let mut bytes = seeds.withdrawals.clone();
    random.mutate(&mut bytes);
    match decode_withdrawals(Path::new("case"), &bytes) {
        Ok(list) => {
            tally.opened += 1;
            assert!(list.len() * 32 <= bytes.len(), "more entries than bytes");
        }
        Err(_) => tally.refused += 1,
    }
}

/// Does all that a reader does. Errors are fine; a panic or a crash is the find.
fn exercise(path: &Path, random: &mut Random, tally: &mut Tally) {
    let library = match Segment::open(path, &OpenOptions::default()) {
        Ok(library) => library,
        Err(error) => {
            tally.refused += 1;
            assert!(!error.to_string().is_empty());
            return;
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
}

/// The golden files, taken apart.
struct Seeds {
    file: Vec<u8>,
    manifest: Manifest,
    passages: Vec<u8>,
    vectors: Vec<u8>,
    withdrawals: Vec<u8>,
}

impl Seeds {
    fn read() -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pack/tests/data/v1");
        let base = Pack::open_verified(data.join("base.lorepack")).expect("the golden base opens");
        let delta = Pack::open_verified(data.join("delta.lorepack")).expect("the golden delta opens");
        let section = |pack: &Pack, kind| pack.require(kind).expect("the section is there").to_vec();
        Self {
            file: fs::read(data.join("base.lorepack")).expect("the golden base can be read"),
            manifest: base.manifest().clone(),
            passages: section(&base, SectionKind::Passages),
            vectors: section(&base, SectionKind::Vectors),
            withdrawals: section(&delta, SectionKind::Withdrawals),
        }
    }

    fn write_case(&self, part: &str, path: &Path, random: &mut Random) {
        match part {
            "header" => fs::write(path, self.with_header(random)).expect("the case can be written"),
            "manifest" => fs::write(path, self.with_manifest(random)).expect("the case can be written"),
            _ => {
                let (mut passages, mut vectors) = (self.passages.clone(), self.vectors.clone());
                random.mutate(if part == "passages" { &mut passages } else { &mut vectors });
                let mut writer = PackWriter::create(path).expect("the folder can be written");
                writer.section_from_bytes(SectionKind::Passages, &passages).expect("the section can be written");
                writer.section_from_bytes(SectionKind::Vectors, &vectors).expect("the section can be written");
                writer.finish(self.manifest.clone()).expect("the manifest is sound");
            }
        }
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
