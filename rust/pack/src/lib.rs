//! The pack format: one file that holds passages, vectors and a manifest, and a reader that trusts none of it.
//!
//! A *pack* (`*.lorepack`) is an immutable bundle of knowledge.
//! [`PackWriter`] lays sections one after another, each on a 16 KiB boundary so that it can be mapped in place,
//! hashes them on the way and puts the file in its place with one atomic rename.
//! [`Pack`] maps such a file read-only and checks header, section table, manifest and bounds before it hands out a byte;
//! [`Pack::open_verified`] hashes every section as well.
//!
//! A pack may be sealed: [`Pack::open_with`] takes the keys, [`PackWriter`] writes such files, and the crate
//! `lorekit-seal` holds the container.
//!
//! What the sections mean is not known here: there is no SQL, no index and no model in this crate.
//! `docs/pack-format.md` describes the file byte by byte; page and code change together.
//!
//! Modules in reading order: `id` (what a passage is called, what a state is), `manifest`, `layout` (bytes of header,
//! table and footer), `withdrawal`, `writer`, `map`, `source` (plain or sealed), `reader`, `signing` (who vouches for a
//! pack), `error`.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod id;
mod layout;
mod manifest;
mod map;
mod reader;
mod scratch;
pub mod signing;
mod source;
mod withdrawal;
mod writer;

pub use error::{Error, Result};
pub use id::{ContentHash, DocumentDigest, PassageDigest, PassageId, StateBuilder, StateHash};
pub use layout::{
    FORMAT_VERSION, MAGIC, MAX_MANIFEST_BYTES, MAX_SECTIONS, SECTION_ALIGNMENT, SIGNATURE_AREA_BYTES, SectionKind,
};
pub use manifest::{
    Calibration, Counts, EmbedderInfo, IndexInfo, IndexKind, LexicalInfo, Manifest, Metric, PackKind, Pooling,
    RetrievalInfo, Scalar, Sealing, SectionEntry, SplitterInfo, is_date,
};
pub use reader::{Pack, VerifyReport};
pub use scratch::ScratchFile;
pub use source::{PackOptions, SectionReader};
pub use withdrawal::{Withdrawal, WithdrawalKind, decode_withdrawals, encode_withdrawals};
pub use writer::PackWriter;

pub use lorekit_seal::{ChunkCache, ReadAt, SealKey};
