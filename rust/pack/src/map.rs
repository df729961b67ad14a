//! A file mapped read-only: the only home of this crate's `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// Maps `length` bytes of `file` from `offset` on, for reading.
///
/// # Errors
/// The system's error if the range cannot be mapped.
pub(crate) fn map_read_only(file: &File, offset: u64, length: usize) -> io::Result<Mmap> {
    // SAFETY: the map is private to this process and never written through. What the compiler must be able to rely on
    // is that the bytes do not change and do not vanish while slices of them live. LoreKit itself never writes to a
    // finished pack: writers make a new file and rename it into place, which leaves a mapped file as it was, and
    // deleting it keeps its bytes until the map goes. Another program that truncates or overwrites a pack in place
    // breaks this, as with each mapped file; packs therefore live in folders that belong to the app.
    unsafe { MmapOptions::new().offset(offset).len(length).map(file) }
}
