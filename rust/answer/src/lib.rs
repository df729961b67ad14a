//! The engine: a question to a cited answer. The public Rust API of LoreKit.
//!
//! ```no_run
//! use lorekit_answer::{AnswerEvent, AnswerOptions, Engine, EngineOptions};
//!
//! # fn main() -> Result<(), lorekit_answer::Error> {
//! let engine = Engine::open(EngineOptions {
//!     pack: "handbook.lorepack".into(),
//!     embedder: "embedder.gguf".into(),
//!     model: Some("model.gguf".into()),
//!     ..EngineOptions::default()
//! })?;
//! let stream = engine.answer("个人住房贷款可以提前还款吗？", AnswerOptions::default())?;
//! loop {
//!     let batch = stream.next_batch()?;
//!     if batch.is_empty() {
//!         break;
//!     }
//!     for event in batch {
//!         if let AnswerEvent::Text(delta) = event {
//!             eprint!("{delta}");
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Over a library ([`EngineOptions::library`]) the engine also takes the publisher's deltas and the app's own documents,
//! while it answers: [`Engine::apply`], [`Engine::add`], [`Engine::rollback`] and others.
//!
//! One worker thread owns the models and the cache; requests queue; each has its own [`AnswerStream`] and can be cancelled.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod changes;
mod citation;
mod convert;
mod copying;
mod cores;
mod decode;
mod document;
mod engine;
mod error;
mod event;
mod format;
mod generator;
mod keys;
mod library;
mod lifecycle;
mod options;
mod prefix_cache;
mod prompt;
mod seal_cipher;
mod snapshot_folder;
mod stream;
mod today;
mod token_index;
mod usage;
mod worker;

pub use changes::{AddReport, ChangeProgress, ChangeStage};
pub use document::{OwnDocument, cut_document};
pub use engine::{Engine, ModelInfo, PackInfo};
pub use error::{Error, Result};
pub use event::{Answer, AnswerEvent, Citation, DeclineReason, Outcome, RetrievedPassage};
pub use format::AnswerFormat;
pub use keys::{seal_key, verifying_key};
pub use lifecycle::{SnapshotCipher, ThermalState};
pub use lorekit_cancel::CancelToken;
pub use lorekit_pack::signing::{Trust, VerifyingKey};
pub use lorekit_retrieval::{Mode, SearchOptions, Weights};
pub use lorekit_seal::SealKey;
pub use lorekit_store::{
    AppliedPack, ApplyReport, CompactReport, Document, Kept, Library, LibraryOptions, LibraryState, LocalDocument,
    Origin, Passage, PassageId, Purge, PurgeReport, Snapshot, StateHash,
};
pub use options::{AnswerOptions, Drafting, EngineOptions, Exchange, GpuRequest};
pub use stream::{AnswerStream, NextBatch};
pub use today::today;
pub use usage::Usage;
