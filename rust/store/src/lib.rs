//! A library of passages on disk: SQLite for text and lexical search, usearch for vectors.
//!
//! [`write_pack`] turns documents, passages and their vectors into one pack file, byte for byte the same for the same
//! input. [`Segment`] opens such a file read-only. [`Snapshot`] joins a base, its deltas and the packs of the device's own
//! documents into one generation and searches it for a [`Scope`]: [`Snapshot::dense`] by vector, [`Snapshot::lexical`] by
//! words, both with the larger score the better, and gives back a [`Passage`] with its place in the source.
//!
//! This crate is the only home of `rusqlite` and `usearch`. A pack comes from elsewhere and may be hostile even when
//! its hashes match: the database is opened read-only and defensively and its schema is compared with the one this
//! crate writes; the graph is walked with bounds checks before usearch sees a byte of it.
//!
//! Modules in reading order. To build: `types` (what goes in and comes out), `terms` (text into lexical terms), `schema`
//! (the tables), `build`, `output`, `text_writer`, `build_text`, `build_index`, `stages`, `delta`. To read: `segment`, `rows`, `row_table`
//! (what filters need), `labels`, `lexical`, `term_counts`, `vectors`, `matrix` (the exact scan), `fixed_point` and `held` (small packs in memory), `graph` (the walk),
//! `sqlite` and `mapped` (both libraries over mapped bytes, with `unsafe`). On top: `snapshot`, `files` and `library`.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bitmap;
mod build;
mod build_index;
mod build_text;
mod delta;
mod error;
pub mod files;
mod fixed_point;
mod graph;
mod held;
mod labels;
mod lexical;
mod library;
mod mapped;
mod matrix;
mod output;
mod row_table;
mod rows;
mod schema;
mod sealed_vectors;
mod sealed_vfs;
mod segment;
mod snapshot;
mod sqlite;
mod stages;
mod term_counts;
mod terms;
mod text_writer;
mod types;
mod vectors;

pub use build::write_pack;
pub use delta::{
    ArticleChange, Change, DeltaInput, DeltaPlan, DocumentDiff, EmbeddingKey, Fate, Parent, PlannedPassage, diff,
    embedded_title, plan_delta, write_delta,
};
pub use error::{Error, Result};
pub use labels::{MAX_LABEL_BYTES, is_label};
pub use library::{
    AppliedPack, ApplyProgress, ApplyReport, CompactReport, Kept, Library, LibraryOptions, LibraryState, LocalDocument,
    Purge, PurgeReport, Refusal,
};
pub use segment::{OpenOptions, Segment, Stats};
pub use snapshot::{Entry, Scope, Snapshot, SupersededEntry};
pub use terms::{LEXICAL_VERSION, lexical_terms, query_terms};
pub use types::{
    Allow, BuildInput, BuildProgress, BuildReport, BuildStage, Document, Hit, IndexChoice, Neighbours, NewDocument,
    NewPassage, Origin, PackFacts, Passage,
};

pub use lorekit_pack::{
    Calibration, Counts, DocumentDigest, EmbedderInfo, IndexInfo, IndexKind, Manifest, Metric, PackKind, PassageDigest,
    PassageId, Pooling, RetrievalInfo, Scalar, SplitterInfo, StateHash, Withdrawal, WithdrawalKind,
};
