//! What sealing and opening cost on this machine, beside a plain copy.
//!
//! `cargo run --release -p lorekit-seal --example speed`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_seal::{ChunkCache, ReadAt, SealKey, SealedFile, seal_to};

const MEBIBYTES: usize = 64;

fn main() {
    let key = SealKey::new([42; 32]);
    let plain: Vec<u8> = (0..MEBIBYTES << 20).map(|i| (i.wrapping_mul(31) >> 3) as u8).collect();
    let rate = |start: Instant| plain.len() as f64 / 1e6 / start.elapsed().as_secs_f64();
    for _ in 0..3 {
        let mut sealed = Vec::with_capacity((MEBIBYTES + 1) << 20);
        let start = Instant::now();
        seal_to(&plain[..], plain.len() as u64, &mut sealed, &key, &CancelToken::new()).unwrap();
        let sealing = rate(start);
        let file = SealedFile::open_source(Arc::new(sealed), &key, &ChunkCache::new(0)).unwrap();
        let mut back = vec![0; plain.len()];
        let start = Instant::now();
        file.read_once(0, &mut back).unwrap();
        let opening = rate(start);
        let start = Instant::now();
        ReadAt::read_at(&plain, 0, &mut back).unwrap();
        println!("seal {sealing:.0} MB/s, open {opening:.0} MB/s, plain copy {:.0} MB/s", rate(start));
    }
}
