//! A sealed pack gives what its plain twin gives, an error for a wrong key, and never a byte that was not sealed.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::path::Path;

use common::{clustered_vectors, laws, synthetic};
use lorekit_cancel::CancelToken;
use lorekit_pack::{ChunkCache, Pack, PackWriter, SealKey, SectionKind};
use lorekit_seal::{HEADER_BYTES, seal_to};
use lorekit_store::{Error, IndexChoice, OpenOptions, Segment};

const KEY: [u8; 32] = [7; 32];

fn options() -> OpenOptions {
    OpenOptions { key: Some(SealKey::new(KEY)), ..OpenOptions::default() }
}

fn seal(plain: &Path, sealed: &Path) {
    let length = fs::metadata(plain).unwrap().len();
    let out = File::create(sealed).unwrap();
    seal_to(File::open(plain).unwrap(), length, out, &SealKey::new(KEY), &CancelToken::new()).unwrap();
}

/// Everything two segments can be asked gives the same.
fn assert_same(plain: &Segment, sealed: &Segment, dims: usize) {
    assert_eq!(plain.manifest().pack_id, sealed.manifest().pack_id);
    assert_eq!(plain.documents().unwrap(), sealed.documents().unwrap());
    for key in (0..plain.len()).step_by(7) {
        assert_eq!(plain.passage(key).unwrap(), sealed.passage(key).unwrap());
        assert_eq!(plain.vector(key).unwrap(), sealed.vector(key).unwrap());
        assert_eq!(plain.neighbours(key).unwrap(), sealed.neighbours(key).unwrap());
    }
    for query in clustered_vectors(12, dims, 40, 5) {
        let exact = plain.exact(&query, 10, None).unwrap();
        assert_eq!(exact, sealed.exact(&query, 10, None).unwrap());
        assert_eq!(exact, sealed.dense(&query, 10, None).unwrap(), "the scan stands in for the graph");
        for step in [2u64, 50] {
            let allow = |key: u64| key % step == 1;
            assert_eq!(plain.exact(&query, 10, Some(&allow)).unwrap(), sealed.exact(&query, 10, Some(&allow)).unwrap());
        }
    }
    for words in ["商业银行", "编号 n17", "制定本法", "内容"] {
        assert_eq!(plain.lexical(words, 10).unwrap(), sealed.lexical(words, 10).unwrap(), "{words}");
    }
    assert!(sealed.is_sealed() && !plain.is_sealed());
}

#[test]
fn rows_and_searches_are_those_of_the_plain_pack_whatever_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    for (corpus, dims) in [(laws(8), 8), (synthetic(900, 48, IndexChoice::Graph), 48)] {
        let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
        corpus.write(&plain).unwrap();
        seal(&plain, &sealed);
        let plain = Segment::open(&plain, &OpenOptions::default()).unwrap();
        for budget in [0, 70_000, 100 << 20] {
            let cache = ChunkCache::new(budget);
            let options = OpenOptions { cache: Some(cache.clone()), ..options() };
            let sealed = Segment::open(&sealed, &options).unwrap();
            assert_same(&plain, &sealed, dims);
            assert!(cache.used() <= budget);
            drop(sealed);
            assert_eq!(cache.used(), 0, "nothing of a closed segment stays decrypted");
        }
    }
}

#[test]
fn sections_that_the_publisher_sealed_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, published) = (folder.path().join("plain"), folder.path().join("published"));
    laws(8).write(&plain).unwrap();
    let pack = Pack::open(&plain).unwrap();
    let content_key = SealKey::new([9; 32]);
    let mut writer = PackWriter::create(&published).unwrap();
    writer.seal_sections(&content_key).unwrap();
    for kind in [SectionKind::Passages, SectionKind::Vectors] {
        writer.section_from_bytes(kind, pack.section(kind).unwrap()).unwrap();
    }
    writer.finish(pack.manifest().clone()).unwrap();
    let options = OpenOptions { content_key: Some(content_key), ..OpenOptions::default() };
    let plain = Segment::open(&plain, &options).unwrap();
    assert_same(&plain, &Segment::open(&published, &options).unwrap(), 8);
    let without = Segment::open(&published, &OpenOptions::default());
    assert!(matches!(without, Err(Error::Pack(lorekit_pack::Error::KeyNeeded { .. }))));
}

#[test]
fn a_missing_or_wrong_key_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    laws(8).write(&plain).unwrap();
    seal(&plain, &sealed);
    let missing = Segment::open(&sealed, &OpenOptions::default());
    assert!(matches!(missing, Err(Error::Pack(lorekit_pack::Error::KeyNeeded { .. }))));
    let wrong = OpenOptions { key: Some(SealKey::new([8; 32])), ..OpenOptions::default() };
    let refused = Segment::open(&sealed, &wrong);
    assert!(matches!(&refused, Err(Error::WrongKey { path }) if *path == sealed), "{refused:?}");
    // Damage is told apart, whatever key is given: here the checksum of the one slot in use does not hold.
    let mut bytes = fs::read(&sealed).unwrap();
    bytes[100] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    for options in [wrong, options()] {
        let refused = Segment::open(&sealed, &options);
        assert!(matches!(refused, Err(Error::Pack(lorekit_pack::Error::Sealed { .. }))), "{refused:?}");
    }
    assert!(!Segment::open(&plain, &options()).unwrap().is_sealed(), "a plain pack stays plain");
}

#[test]
fn no_text_and_no_vector_is_in_the_sealed_file() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    let corpus = laws(64);
    corpus.write(&plain).unwrap();
    seal(&plain, &sealed);
    let (clear, cipher) = (fs::read(&plain).unwrap(), fs::read(&sealed).unwrap());
    let pack = Pack::open(&plain).unwrap();
    let row = pack.section(SectionKind::Vectors).unwrap()[8..24].to_vec();
    for canary in ["商业银行".as_bytes(), "Basel III".as_bytes(), b"test.pack", b"SQLite format 3", &row[..]] {
        let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary);
        assert!(holds(&clear) && !holds(&cipher), "{canary:?}");
    }
}

#[test]
fn a_changed_byte_gives_an_error_or_what_was_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    synthetic(600, 64, IndexChoice::Exact).write(&plain).unwrap();
    seal(&plain, &sealed);
    let plain = Segment::open(&plain, &OpenOptions::default()).unwrap();
    let bytes = fs::read(&sealed).unwrap();
    // Hashes are not verified, so that damage reaches SQLite and the scan.
    let options = OpenOptions { verify_hashes: false, ..options() };
    let query = clustered_vectors(1, 64, 40, 5).remove(0);
    let (mut refused, mut through_sqlite) = (0, 0);
    for at in (HEADER_BYTES..bytes.len()).step_by(32_001) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&sealed, changed).unwrap();
        let Ok(segment) = Segment::open(&sealed, &options) else {
            refused += 1;
            continue;
        };
        for key in 0..segment.len() {
            match segment.passage(key) {
                Ok(passage) => assert_eq!(passage, plain.passage(key).unwrap()),
                Err(Error::DamagedSeal { .. }) => through_sqlite += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        match segment.exact(&query, 5, None) {
            Ok(hits) => assert_eq!(hits, plain.exact(&query, 5, None).unwrap()),
            Err(Error::Pack(lorekit_pack::Error::Sealed { .. })) => {}
            Err(other) => panic!("{other:?}"),
        }
        match segment.lexical("内容", 5) {
            Ok(hits) => assert_eq!(hits, plain.lexical("内容", 5).unwrap()),
            Err(Error::DamagedSeal { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0 && through_sqlite > 0, "{refused} refused, {through_sqlite} rows not read");
}

#[test]
fn many_threads_read_one_sealed_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    synthetic(300, 16, IndexChoice::Exact).write(&plain).unwrap();
    seal(&plain, &sealed);
    let plain = Segment::open(&plain, &OpenOptions::default()).unwrap();
    let sealed = Segment::open(&sealed, &options()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..12u64 {
            let (plain, sealed) = (&plain, &sealed);
            scope.spawn(move || {
                for key in (thread..300).step_by(5) {
                    assert_eq!(plain.passage(key).unwrap(), sealed.passage(key).unwrap());
                    let words = format!("n{key}");
                    assert_eq!(plain.lexical(&words, 3).unwrap(), sealed.lexical(&words, 3).unwrap());
                }
            });
        }
    });
}
