//! Sealed containers: hostile headers and chunks, and hostile packs inside of sound containers, which are read through the
//! VFS and the scan of sealed vectors.

use std::io::Cursor;
use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_pack::{ChunkCache, ContentHash, SectionKind};
use lorekit_seal::SLOT_BYTES;
use lorekit_store::OpenOptions;

use super::{Parts, assemble, open as reader, patch, seal_key};

/// Less than a pack has, so that chunks leave the cache while they are in use.
const BUDGET: usize = 128 << 10;

/// A container around a pack.
pub fn seal(plain: &[u8]) -> Vec<u8> {
    let mut sealed = Cursor::new(Vec::new());
    lorekit_seal::seal_to(plain, plain.len() as u64, &mut sealed, &seal_key(), &CancelToken::new()).unwrap();
    sealed.into_inner()
}

/// By the first byte: a container that was changed, its slots' checksums made to match; passages or vectors that were changed
/// before they were sealed; a message that was changed.
pub fn case(container: &[u8], base: &Parts, data: &[u8]) -> Vec<u8> {
    let (mode, rest) = data.split_first().unwrap_or((&0, &[]));
    let changed = |kind| seal(&assemble::signed(&base.manifest, &base.with(kind, |bytes| patch::apply(bytes, rest))));
    match mode % 4 {
        0 => {
            let mut bytes = container.to_vec();
            patch::apply(&mut bytes, rest);
            for slot in bytes.chunks_exact_mut(SLOT_BYTES).take(2).filter(|slot| slot.iter().any(|&byte| byte != 0)) {
                let checksum = ContentHash::of(&slot[..SLOT_BYTES - 32]).0;
                slot[SLOT_BYTES - 32..].copy_from_slice(&checksum);
            }
            bytes
        }
        1 => changed(SectionKind::Passages),
        2 => changed(SectionKind::Vectors),
        _ => {
            let mut message = seal_key().seal_bytes(b"fuzz", b"a message").unwrap();
            patch::apply(&mut message, rest);
            // A changed message is never another message.
            let opened = seal_key().open_bytes(b"fuzz", &message);
            assert!(opened.is_err() || opened.is_ok_and(|opened| *opened == *b"a message"));
            container.to_vec()
        }
    }
}

/// Opens a container with its key, and with a wrong one.
pub fn open(path: &Path) {
    let with = |key| OpenOptions { key: Some(key), cache: Some(ChunkCache::new(BUDGET)), ..OpenOptions::default() };
    reader::pack(path, false, &with(seal_key()));
    let wrong = lorekit_store::Segment::open(path, &with(lorekit_seal::SealKey::new([4; 32])));
    assert!(wrong.is_err(), "a wrong key opens a sealed pack");
}
