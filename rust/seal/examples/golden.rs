//! Writes the golden file that `tests/container.rs` opens, for a new version of the format.
//!
//! `cargo run -p lorekit-seal --example golden -- rust/seal/tests/data/v2.sealed`
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write;

use lorekit_seal::{SealKey, SealWriter};

fn main() {
    let path = std::env::args().nth(1).expect("the file to write");
    // Never over a golden file that exists: those are what later builds must open.
    let file = File::create_new(path).unwrap();
    let mut writer = SealWriter::with_chunk_bytes(file, &SealKey::new([42; 32]), 512).unwrap();
    let content: Vec<u8> = (0..1300usize).map(|i| (i.wrapping_mul(31) >> 3) as u8 ^ i as u8).collect();
    writer.write_all(&content).unwrap();
    writer.finish().unwrap();
}
