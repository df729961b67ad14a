//! A library of passages on disk: SQLite for text and lexical search, usearch for vectors.
//!
//! [`write_pack`] turns documents, passages and their vectors into one pack file, byte for byte the same for the same
//! input. [`Segment`] opens such a file read-only and searches it: [`Segment::dense`] by vector,
//! [`Segment::lexical`] by words, both with the larger score the better, and gives back a [`Passage`] with its place
//! in the source.
//!
//! This crate is the only home of `rusqlite` and `usearch`. A pack comes from elsewhere and may be hostile even when
//! its hashes match: the database is opened read-only and defensively and its schema is compared with the one this
//! crate writes; the graph is walked with bounds checks before usearch sees a byte of it.
//!
//! Modules in reading order. To build: `types` (what goes in and comes out), `terms` (text into lexical terms), `schema`
//! (the tables), `build`, `build_text`, `build_index`. To read: `library`, `rows`, `lexical`, `vectors`, `matrix` (the
//! exact scan), `graph` (the walk), `sqlite` and `mapped` (both libraries over mapped bytes, with all `unsafe`).

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bitmap;
mod build;
mod build_index;
mod build_text;
mod error;
mod graph;
mod lexical;
mod segment;
mod mapped;
mod matrix;
mod rows;
mod schema;
mod sqlite;
mod terms;
mod types;
mod vectors;

pub use build::write_pack;
pub use error::{Error, Result};
pub use segment::{Segment, OpenOptions, Stats};
pub use terms::{LEXICAL_VERSION, lexical_terms, query_terms};
pub use types::{
    Allow, BuildInput, BuildProgress, BuildReport, BuildStage, Document, Hit, IndexChoice, Neighbours, NewDocument,
    NewPassage, PackFacts, Passage,
};

pub use lorekit_pack::{
    Calibration, Counts, EmbedderInfo, IndexInfo, IndexKind, Manifest, Metric, PackKind, PassageId, Pooling,
    RetrievalInfo, Scalar, SplitterInfo, StateHash,
};
