//! The container as others see it: what is put in comes out, from any place, and nothing else ever does.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};
use std::sync::Arc;

use lorekit_cancel::CancelToken;
use lorekit_seal::{
    CHUNK_BYTES, ChunkCache, Error, HEADER_BYTES, ReadAt, SLOT_BYTES, SealKey, SealWriter, SealedFile, TAG_BYTES,
    rewrap, rewrap_header, seal_to, sealed_length,
};
use proptest::prelude::*;

const SMALL: u32 = 256;
const STRIDE: usize = SMALL as usize + TAG_BYTES;

fn key() -> SealKey {
    SealKey::new([42; 32])
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(31) >> 3) as u8 ^ i as u8).collect()
}

/// A container with chunks of 256 bytes.
fn small(plain: &[u8], key: &SealKey) -> Vec<u8> {
    let mut writer = SealWriter::with_chunk_bytes(Cursor::new(Vec::new()), key, SMALL).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap().into_inner()
}

fn open(sealed: Vec<u8>, key: &SealKey) -> Result<SealedFile, Error> {
    SealedFile::open_source(Arc::new(sealed), key, &ChunkCache::new(1000))
}

fn read_all(sealed: Vec<u8>, key: &SealKey) -> Result<Vec<u8>, Error> {
    let file = open(sealed, key)?;
    let mut plain = vec![0; file.len() as usize];
    file.read_at(0, &mut plain)?;
    Ok(plain)
}

#[test]
fn both_writers_give_containers_that_open_whatever_the_length() {
    let whole = CHUNK_BYTES as usize;
    for length in [0, 1, whole - 1, whole, whole + 1, 2 * whole, 3 * whole + 5] {
        let plain = content(length);
        let mut sealed = Vec::new();
        seal_to(&plain[..], length as u64, &mut sealed, &key(), &CancelToken::new()).unwrap();
        assert_eq!(sealed.len() as u64, sealed_length(length as u64).unwrap());
        assert_eq!(read_all(sealed, &key()).unwrap(), plain);
        let mut writer = SealWriter::new(Cursor::new(Vec::new()), &key()).unwrap();
        plain.chunks(1000).for_each(|part| writer.write_all(part).unwrap());
        assert_eq!(writer.position(), length as u64);
        assert_eq!(read_all(writer.finish().unwrap().into_inner(), &key()).unwrap(), plain);
    }
    for length in [0, 1, 255, 256, 257, 512, 513] {
        assert_eq!(read_all(small(&content(length), &key()), &key()).unwrap(), content(length));
    }
}

#[test]
fn the_first_bytes_can_be_set_at_the_end() {
    let mut writer = SealWriter::with_chunk_bytes(Cursor::new(Vec::new()), &key(), SMALL).unwrap();
    writer.write_all(&content(1000)).unwrap();
    writer.patch(3, b"late").unwrap();
    assert!(matches!(writer.patch(254, b"late"), Err(Error::OutOfRange { .. })));
    let mut expected = content(1000);
    expected[3..7].copy_from_slice(b"late");
    assert_eq!(read_all(writer.finish().unwrap().into_inner(), &key()).unwrap(), expected);
}

#[test]
fn a_length_that_was_announced_wrongly_and_a_cancel_are_errors() {
    for announced in [9, 11, u64::from(CHUNK_BYTES) * 3] {
        let result = seal_to(&content(10)[..], announced, Vec::new(), &key(), &CancelToken::new());
        assert!(matches!(result, Err(Error::WrongLength { .. })), "{announced}");
    }
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(seal_to(&content(10)[..], 10, Vec::new(), &key(), &cancel), Err(Error::Cancelled)));
    let huge = seal_to(&content(10)[..], u64::MAX, Vec::new(), &key(), &CancelToken::new());
    assert!(matches!(huge, Err(Error::InvalidInput { .. })));
}

#[test]
fn another_key_is_told_apart_from_damage() {
    let sealed = small(&content(700), &key());
    assert!(matches!(open(sealed.clone(), &SealKey::new([41; 32])), Err(Error::WrongKey)));
    assert!(matches!(open(b"SQLite format 3\0".to_vec(), &key()), Err(Error::NotSealed)));
    assert!(matches!(open(vec![0; 10_000], &key()), Err(Error::NotSealed)));
    let mut newer = sealed.clone();
    newer[8] = 2;
    assert!(matches!(open(newer, &key()), Err(Error::UnsupportedVersion { found: 2, .. })));
    let mut bytes = sealed;
    bytes[50] ^= 1;
    assert!(matches!(open(bytes, &SealKey::new([41; 32])), Err(Error::DamagedHeader { .. })));
}

#[test]
fn each_flipped_bit_is_an_error_or_lies_in_the_slot_that_is_not_used() {
    let plain = content(600);
    let sealed = small(&plain, &key());
    let mut harmless = 0;
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match read_all(flipped, &key()) {
            Err(_) => {}
            Ok(read) => {
                assert_eq!(read, plain, "bit {bit}");
                assert!((SLOT_BYTES..HEADER_BYTES).contains(&(bit / 8)), "bit {bit} went unnoticed");
                harmless += 1;
            }
        }
    }
    assert_eq!(harmless, SLOT_BYTES * 8);
}

#[test]
fn a_damaged_chunk_is_named_and_the_others_still_read() {
    let mut sealed = small(&content(1000), &key());
    sealed[HEADER_BYTES + 2 * STRIDE + 7] ^= 1;
    let file = open(sealed, &key()).unwrap();
    let mut part = [9; 100];
    assert!(matches!(file.read_at(550, &mut part), Err(Error::DamagedChunk { index: 2 })));
    file.read_at(800, &mut part).unwrap();
    assert_eq!(part, content(1000)[800..900]);
    let mut whole = [0; 256];
    assert!(matches!(file.read_once(512, &mut whole), Err(Error::DamagedChunk { index: 2 })));
    assert_eq!(whole, [0; 256], "what did not open is not handed out");
}

#[test]
fn chunks_cannot_be_moved_repeated_cut_off_or_taken_from_elsewhere() {
    let sealed = small(&content(1024), &key());
    let other = small(&content(1024), &key());
    let chunk = |index: usize| HEADER_BYTES + index * STRIDE..HEADER_BYTES + (index + 1) * STRIDE;
    let mut swapped = sealed.clone();
    swapped[chunk(0)].copy_from_slice(&sealed[chunk(1)]);
    swapped[chunk(1)].copy_from_slice(&sealed[chunk(0)]);
    assert!(matches!(read_all(swapped, &key()), Err(Error::DamagedChunk { index: 0 })));
    let mut repeated = sealed.clone();
    repeated[chunk(2)].copy_from_slice(&sealed[chunk(1)]);
    assert!(matches!(read_all(repeated, &key()), Err(Error::DamagedChunk { index: 2 })));
    let mut foreign = sealed.clone();
    foreign[chunk(1)].copy_from_slice(&other[chunk(1)]);
    assert!(matches!(read_all(foreign, &key()), Err(Error::DamagedChunk { index: 1 })));
    let mut header_of_other = sealed.clone();
    header_of_other[..HEADER_BYTES].copy_from_slice(&other[..HEADER_BYTES]);
    assert!(matches!(read_all(header_of_other, &key()), Err(Error::DamagedChunk { index: 0 })));
    for length in [0, 5, 100, HEADER_BYTES, HEADER_BYTES + STRIDE, sealed.len() - 1] {
        let result = read_all(sealed[..length].to_vec(), &key());
        assert!(matches!(result, Err(Error::Truncated { .. } | Error::NotSealed)), "{length}: {result:?}");
    }
    let mut longer = sealed.clone();
    longer.extend_from_slice(&sealed[chunk(3)]);
    assert!(matches!(read_all(longer, &key()), Err(Error::TooLong { .. })));
}

#[test]
fn neither_content_nor_key_nor_a_common_pattern_is_in_the_container() {
    let plain = b"canary-7f3a ".repeat(200);
    let (a, b) = (small(&plain, &key()), small(&plain, &key()));
    let holds = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(!holds(&a, b"canary") && !holds(&a, &[42; 8]) && !holds(&a, &key().id().0));
    // Files do not tell that they have one key or one content: check values, ids and chunks all differ.
    assert!(!holds(&a, &b[48..64]) && !holds(&a, &b[32..48]));
    assert_ne!(a[HEADER_BYTES..HEADER_BYTES + STRIDE], b[HEADER_BYTES..HEADER_BYTES + STRIDE]);
    assert_ne!(a[HEADER_BYTES..HEADER_BYTES + STRIDE], a[HEADER_BYTES + STRIDE..HEADER_BYTES + 2 * STRIDE]);
}

#[test]
fn after_a_rewrap_only_the_new_key_opens_and_the_chunks_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealed");
    let (old, new, newest) = (key(), SealKey::new([1; 32]), SealKey::new([2; 32]));
    let before = small(&content(700), &old);
    std::fs::write(&path, &before).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    rewrap(&file, &old, &new).unwrap();
    rewrap(&file, &old, &new).unwrap();
    let after = std::fs::read(&path).unwrap();
    assert_eq!(before[HEADER_BYTES..], after[HEADER_BYTES..]);
    assert!(matches!(read_all(after.clone(), &old), Err(Error::WrongKey)));
    assert_eq!(read_all(after, &new).unwrap(), content(700));
    assert!(matches!(rewrap(&file, &old, &newest), Err(Error::WrongKey)));
    rewrap(&file, &new, &newest).unwrap();
    assert_eq!(read_all(std::fs::read(&path).unwrap(), &newest).unwrap(), content(700));
}

#[test]
fn a_rewrap_that_stops_anywhere_leaves_a_key_that_opens_and_can_be_done_again() {
    let (old, new) = (key(), SealKey::new([1; 32]));
    let mut start = small(&content(700), &old);
    // Twice: the first time the second slot is empty, the second time both are in use.
    for (old, new) in [(&old, &new), (&new, &old)] {
        let header: &[u8; HEADER_BYTES] = start[..HEADER_BYTES].try_into().unwrap();
        let writes = rewrap_header(header, old, new).unwrap();
        let mut state = start.clone();
        for write in &writes {
            let at = write.offset as usize;
            for torn in [0, 1, 8, 100, 2048, SLOT_BYTES - 1, SLOT_BYTES] {
                let mut stopped = state.clone();
                stopped[at..at + torn].copy_from_slice(&write.bytes[..torn]);
                let opens = |key: &SealKey| read_all(stopped.clone(), key).is_ok_and(|read| read == content(700));
                assert!(opens(old) || opens(new), "stopped after {torn} bytes at {at}");
                let header: &[u8; HEADER_BYTES] = stopped[..HEADER_BYTES].try_into().unwrap();
                for again in rewrap_header(header, old, new).unwrap() {
                    let at = again.offset as usize;
                    stopped[at..at + SLOT_BYTES].copy_from_slice(&again.bytes);
                }
                assert_eq!(read_all(stopped.clone(), new).unwrap(), content(700));
                assert!(matches!(read_all(stopped, old), Err(Error::WrongKey)));
            }
            state[at..at + SLOT_BYTES].copy_from_slice(&write.bytes);
        }
        start = state;
    }
}

#[test]
fn many_threads_read_one_file_through_one_small_cache() {
    let plain = content(20_000);
    let file = open(small(&plain, &key()), &key()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (file, plain) = (&file, &plain);
            scope.spawn(move || {
                let mut part = [0; 300];
                for step in 0..500u64 {
                    let offset = (step * 7919 + thread * 131) % 19_700;
                    file.read_at(offset, &mut part).unwrap();
                    assert_eq!(part, plain[offset as usize..offset as usize + 300]);
                }
            });
        }
    });
    assert!(file.cache().used() <= file.cache().budget());
    let cache = Arc::clone(file.cache());
    drop(file);
    assert_eq!(cache.used(), 0, "what a closed file had in the cache is gone");
}

/// Written once by the example `golden`; every later build must open it.
const GOLDEN: &[u8] = include_bytes!("data/v1.sealed");

#[test]
fn the_container_of_version_1_opens() {
    assert_eq!(read_all(GOLDEN.to_vec(), &key()).unwrap(), content(1300));
    assert_eq!(&GOLDEN[..16], b"LORESEAL\x01\0\0\0\0\x02\0\0");
    assert_eq!(GOLDEN.len(), HEADER_BYTES + 1300 + 3 * TAG_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_reads_as_the_plain_bytes(
        length in 0usize..5000,
        budget in 0usize..3000,
        ranges in prop::collection::vec((0usize..5000, 0usize..2000, any::<bool>()), 1..20),
    ) {
        let plain = content(length);
        let cache = ChunkCache::new(budget);
        let file = SealedFile::open_source(Arc::new(small(&plain, &key())), &key(), &cache).unwrap();
        for (start, count, once) in ranges {
            let mut buffer = vec![0; count];
            let read = if once {
                file.read_once(start as u64, &mut buffer)
            } else {
                file.read_at(start as u64, &mut buffer)
            };
            match plain.get(start..start + count) {
                Some(expected) => prop_assert_eq!(&buffer[..], expected),
                None => {
                    let refused = matches!(read, Err(Error::OutOfRange { .. }));
                    prop_assert!(refused);
                }
            }
            prop_assert!(cache.used() <= budget);
        }
    }

    #[test]
    fn any_header_gives_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), mark in any::<bool>()) {
        let mut header = bytes;
        if mark {
            let mut marked = b"LORESEAL\x01\0\0\0".to_vec();
            marked.extend(&header);
            header = marked;
            header.resize(HEADER_BYTES, 0);
        }
        prop_assert!(open(header, &key()).is_err());
    }
}
