//! Vector sections made to do harm, with hashes that match: a typed error, or searches that end, never a crash.
//!
//! usearch itself crashes on many of these (about one in ten single flipped bits of the graph), which would end this
//! process and with it the test.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::path::PathBuf;

use common::{Noise, Parts, noise_vectors, synthetic};
use lorekit_store::{Error, IndexChoice, OpenOptions, Segment};

const ROWS: usize = 1200;
const DIMS: usize = 12;
const HEAD: usize = 8 + ROWS * DIMS * 2;
const GRAPH: usize = HEAD + 64;
const LEVELS: usize = GRAPH + 40;
const NODES: usize = LEVELS + 2 * ROWS;

struct Harness {
    parts: Parts,
    path: PathBuf,
    queries: Vec<Vec<f32>>,
    _folder: tempfile::TempDir,
}

#[derive(Default, Debug)]
struct Tally {
    refused: usize,
    searched: usize,
}

impl Harness {
    fn new() -> Self {
        let parts = Parts::of(&synthetic(ROWS, DIMS, IndexChoice::Graph));
        assert_eq!(&parts.vectors[HEAD..HEAD + 7], b"usearch");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lorepack");
        Self { parts, path, queries: noise_vectors(4, DIMS, 9), _folder: folder }
    }

    /// Opens a pack with these vectors; searches it in each way if it opens.
    fn attempt(&self, vectors: Vec<u8>, tally: &mut Tally) {
        Parts { vectors, ..self.parts.clone() }.write(&self.path);
        match Segment::open(&self.path, &OpenOptions::default()) {
            Err(Error::DamagedIndex { .. } | Error::Index { .. }) => tally.refused += 1,
            Err(other) => panic!("another error: {other}"),
            Ok(library) => {
                tally.searched += 1;
                for query in &self.queries {
                    let searches = [
                        library.dense(query, 10, None),
                        library.dense(query, 10, Some(&|key| key % 8 != 0)),
                        library.exact(query, 10, None),
                    ];
                    for hits in searches {
                        let hits = hits.unwrap();
                        assert_eq!(hits.len(), 10);
                        assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.key < ROWS as u64));
                    }
                }
            }
        }
    }

    fn flip(&self, bits: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let mut vectors = self.parts.vectors.clone();
        for bit in bits {
            vectors[bit / 8] ^= 1 << (bit % 8);
        }
        vectors
    }
}

#[test]
fn each_flipped_bit_of_the_heads_is_refused_or_harmless() {
    let harness = Harness::new();
    let mut tally = Tally::default();
    for bit in (0..64).chain(HEAD * 8..LEVELS * 8) {
        harness.attempt(harness.flip([bit]), &mut tally);
    }
    eprintln!("heads: {tally:?}");
    // Patch version and some bits of the minor version mean nothing; all other fields are checked.
    assert!(tally.searched <= 40, "{tally:?}");
}

#[test]
fn flipped_bits_of_the_levels_are_refused() {
    let harness = Harness::new();
    let mut tally = Tally::default();
    for bit in (LEVELS * 8..NODES * 8).step_by(31) {
        harness.attempt(harness.flip([bit]), &mut tally);
    }
    assert_eq!(tally.searched, 0, "{tally:?}");
}

#[test]
fn flipped_bits_of_the_nodes_are_refused_or_lead_to_another_node() {
    let harness = Harness::new();
    let mut tally = Tally::default();
    let end = harness.parts.vectors.len();
    let mut noise = Noise(21);
    for _ in 0..600 {
        harness.attempt(harness.flip([NODES * 8 + noise.below((end - NODES) * 8)]), &mut tally);
    }
    for _ in 0..100 {
        let bits: Vec<_> = (0..200).map(|_| NODES * 8 + noise.below((end - NODES) * 8)).collect();
        harness.attempt(harness.flip(bits), &mut tally);
    }
    eprintln!("nodes: {tally:?}");
    assert!(tally.refused > 100, "{tally:?}");
}

#[test]
fn flipped_bits_of_the_vectors_never_give_a_score_that_is_no_number() {
    let harness = Harness::new();
    let mut tally = Tally::default();
    let mut noise = Noise(22);
    for count in [1, 10, 100, 1000] {
        for _ in 0..25 {
            let bits: Vec<_> = (0..count).map(|_| 64 + noise.below((HEAD - 8) * 8)).collect();
            harness.attempt(harness.flip(bits), &mut tally);
        }
    }
    let mut infinite = harness.parts.vectors.clone();
    infinite[8 + 1] = 0x7c;
    infinite[8] = 0;
    let before = tally.refused;
    harness.attempt(infinite, &mut tally);
    assert_eq!(tally.refused, before + 1);
    let mut zero = harness.parts.vectors.clone();
    zero[8..HEAD].fill(0);
    harness.attempt(zero, &mut tally);
    assert_eq!(tally.refused, before + 1, "zero vectors have the score zero");
}

#[test]
fn a_section_cut_or_lengthened_is_refused() {
    let harness = Harness::new();
    let mut tally = Tally::default();
    let whole = &harness.parts.vectors;
    let ends = [0, 1, 7, 8, 9, 100, HEAD - 1, HEAD, HEAD + 63, GRAPH, GRAPH + 39, LEVELS, NODES - 1, NODES, NODES + 1];
    let cuts: Vec<_> = ends.into_iter().chain((NODES..whole.len()).step_by(4503)).chain([whole.len() - 1]).collect();
    for &length in &cuts {
        harness.attempt(whole[..length].to_vec(), &mut tally);
    }
    harness.attempt([whole.as_slice(), &[0; 4096]].concat(), &mut tally);
    harness.attempt([whole.as_slice(), &[0]].concat(), &mut tally);
    assert_eq!((tally.refused, tally.searched), (cuts.len() + 2, 0));
}

#[test]
fn chosen_lies_are_refused_by_name() {
    let harness = Harness::new();
    let set_u64 = |at: usize, value: u64| {
        let mut vectors = harness.parts.vectors.clone();
        vectors[at..at + 8].copy_from_slice(&value.to_le_bytes());
        vectors
    };
    let set_u32 = |at: usize, value: u32| {
        let mut vectors = harness.parts.vectors.clone();
        vectors[at..at + 4].copy_from_slice(&value.to_le_bytes());
        vectors
    };
    let level = |value: i16| {
        let mut vectors = harness.parts.vectors.clone();
        vectors[LEVELS..LEVELS + 2].copy_from_slice(&value.to_le_bytes());
        vectors[NODES + 8..NODES + 10].copy_from_slice(&value.to_le_bytes());
        vectors
    };
    let cases = [
        ("rows", set_u32(0, u32::MAX), "number of vectors"),
        ("row bytes", set_u32(4, u32::MAX), "length of a vector"),
        ("present", set_u64(HEAD + 17, 1), "present"),
        ("deleted", set_u64(HEAD + 25, 1), "deleted"),
        ("dims", set_u64(HEAD + 33, u64::MAX), "dimensions"),
        ("nodes", set_u64(GRAPH, 1 << 40), "nodes"),
        ("connectivity", set_u64(GRAPH + 8, 1 << 60), "connectivity"),
        ("base connectivity", set_u64(GRAPH + 16, u64::MAX), "connectivity of level 0"),
        ("no base connectivity", set_u64(GRAPH + 16, 0), "connectivity of level 0"),
        ("max level", set_u64(GRAPH + 24, u64::MAX), "level of the entry"),
        ("entry", set_u64(GRAPH + 32, ROWS as u64), "entry slot"),
        ("entry at the end of numbers", set_u64(GRAPH + 32, u64::MAX), "entry slot"),
        ("level", level(i16::MAX), "level"),
        ("negative level", level(-1), "level"),
        ("key", set_u64(NODES, 77), "key of a node"),
        ("count", set_u32(NODES + 10, u32::MAX), "number of neighbours"),
        ("count one too many", set_u32(NODES + 10, 33), "number of neighbours"),
        ("slot", set_u32(NODES + 14, ROWS as u32), "neighbour"),
        ("slot at the end of numbers", set_u32(NODES + 14, u32::MAX), "neighbour"),
    ];
    for (case, vectors, expected) in cases {
        Parts { vectors, ..harness.parts.clone() }.write(&harness.path);
        match Segment::open(&harness.path, &OpenOptions::default()) {
            Err(error @ Error::DamagedIndex { .. }) => {
                assert!(error.to_string().contains(expected), "{case}: {error}");
            }
            other => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn a_manifest_that_lies_about_the_index_is_refused() {
    let harness = Harness::new();
    type Case = (&'static str, fn(&mut lorekit_pack::Manifest));
    let cases: [Case; 6] = [
        ("exact", |m| m.index.kind = lorekit_pack::IndexKind::Exact),
        ("connectivity", |m| m.index.connectivity = 17),
        ("dims", |m| m.embedder.dims = 13),
        ("fewer dims", |m| m.embedder.dims = 6),
        ("passages", |m| m.counts.passages = ROWS as u64 + 1),
        ("documents", |m| m.counts.documents = 1),
    ];
    for (case, change) in cases {
        let mut parts = harness.parts.clone();
        change(&mut parts.manifest);
        parts.write(&harness.path);
        let error = Segment::open(&harness.path, &OpenOptions::default()).unwrap_err();
        assert!(matches!(error, Error::DamagedIndex { .. } | Error::Inconsistent { .. }), "{case}: {error}");
    }
}
