//! A library of passages on disk: SQLite for text and lexical search, usearch for vectors.
//!
//! [`write_pack`] turns documents, passages and their vectors into one pack file, byte for byte the same for the same
//! input. [`Library`] opens such a file read-only and searches it: [`Library::dense`] by vector,
//! [`Library::lexical`] by words, both with the larger score the better, and gives back a [`Passage`] with its place
//! in the source.
//!
//! This crate is the only home of `rusqlite` and `usearch`. A pack comes from elsewhere and may be hostile even when
//! its hashes match: the database is opened read-only and defensively and its schema is compared with the one this
//! crate writes; the graph is walked with bounds checks before usearch sees a byte of it.
//!
//! Modules in reading order: `types` (what goes in and comes out), `terms` (text into lexical terms), `schema`,
//! `build`, `matrix` (exact scan), `graph` (the walk), `index` (usearch behind a read-only wrapper), `sqlite` (a
//! mapped database), `lexical`, `library`, `error`.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod build;
mod error;
mod library;
mod types;

pub use build::write_pack;
pub use error::{Error, Result};
pub use library::{Library, OpenOptions, Stats};
pub use types::{
    Allow, BuildInput, BuildProgress, BuildReport, BuildStage, Document, Hit, IndexChoice, Neighbours, NewDocument,
    NewPassage, PackFacts, Passage,
};

pub use lorekit_pack::{
    Calibration, Counts, EmbedderInfo, IndexInfo, IndexKind, Manifest, Metric, PackKind, PassageId, Pooling,
    RetrievalInfo, Scalar, SplitterInfo, StateHash,
};
