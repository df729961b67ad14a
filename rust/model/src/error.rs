//! What can be wrong with a model file, a tokenizer or a request to a model.

use std::path::PathBuf;

use lorekit_cancel::Cancelled;

/// Everything that can go wrong in this crate. No variant holds text of a question, a passage or an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, mapped or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not a well-formed model file.
    #[error("{path}: damaged or not a model file: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the file format's own terms.
        reason: String,
    },
    /// The file is well formed, but asks for something this version does not do.
    #[error("{path}: unsupported {what}: {found}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The kind of thing: `architecture`, `quantization of tensor blk.0.attn_q.weight`, `tokenizer`, …
        what: String,
        /// The value found.
        found: String,
    },
    /// More tokens than the context window holds.
    #[error("{tokens} tokens do not fit a window of {limit}")]
    ContextFull {
        /// Tokens needed.
        tokens: usize,
        /// Tokens that fit.
        limit: usize,
    },
    /// A LoRA adapter does not fit the model.
    #[error("{path}: the adapter does not fit this model: {reason}")]
    AdapterMismatch {
        /// The adapter file.
        path: PathBuf,
        /// Which tensor, and how.
        reason: String,
    },
    /// A chat template failed or asked for too much work.
    #[error("chat template: {0}")]
    Template(String),
    /// An argument outside its documented range.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The request was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The portable back end (candle) failed.
    #[error("portable back end: {0}")]
    Backend(#[from] candle_core::Error),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
