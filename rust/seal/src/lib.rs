//! Sealed files: what LoreKit writes, under a key that the app keeps.
//!
//! A *sealed container* holds the bytes of one file. They are cut into chunks of 64 KiB, and each chunk is sealed with
//! ChaCha20-Poly1305 (RFC 8439) under a random key of this file alone, its number as the nonce, and the file's id, the
//! number and whether it is the last as associated data: a chunk cannot be changed, moved, repeated, left out or taken
//! from another file without an error. The file's key stands in the header, wrapped with XChaCha20-Poly1305 under a key
//! derived from the app's [`SealKey`]; a new app key therefore rewrites a header and not the file ([`rewrap`]).
//!
//! [`seal_to`] and [`SealWriter`] write containers in bounded memory. [`SealedFile`] reads any range of one through a
//! [`ChunkCache`], a budget in bytes that open files share. [`SealKey::seal_bytes`] seals a short message whole.
//!
//! ChaCha20-Poly1305 and not AES: it takes the same time whatever the data on every processor, also where there are no
//! AES instructions, and its portable code needs no tables.
//!
//! `docs/sealing.md` describes the container byte by byte, and what it does not hide.
//!
//! Modules in reading order: `key`, `header`, `chunk`, `write`, `source`, `cache`, `read`, `rewrap`, `error`.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cache;
mod chunk;
mod error;
mod header;
mod key;
mod read;
mod rewrap;
mod source;
mod write;

pub use cache::ChunkCache;
pub use chunk::{CHUNK_BYTES, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, TAG_BYTES};
pub use error::{Error, Result};
pub use header::{HEADER_BYTES, MAGIC, SLOT_BYTES, VERSION, is_sealed};
pub use key::{KeyId, SealKey};
pub use read::SealedFile;
pub use rewrap::{HeaderWrite, rewrap, rewrap_header};
pub use source::{FileSource, ReadAt, Window};
pub use write::{SealWriter, seal_to, sealed_length};
