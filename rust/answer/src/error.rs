//! The error an app sees, cut by what the app can do about it.

use std::path::{Path, PathBuf};

/// What can go wrong at the edge of the SDK. Declining to answer is not here: it is an [`Outcome`](crate::Outcome).
///
/// Messages name files, sizes and causes, never a question, a passage or an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no file there: fetch it.
    #[error("{path}: not found")]
    NotFound {
        /// The missing file.
        path: PathBuf,
    },
    /// A pack, model, embedder or adapter is damaged: fetch it again.
    #[error("{path}: damaged: {reason}")]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is sound but of a kind this version does not read: update the app or the file.
    #[error("{path}: unsupported: {reason}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found, and what is supported.
        reason: String,
    },
    /// The pack was built with another embedder than the one on this device.
    #[error("the pack was built with embedder {pack}, this device has {device}")]
    EmbedderMismatch {
        /// Fingerprint in the pack.
        pack: String,
        /// Fingerprint of the embedder on the device.
        device: String,
    },
    /// The adapter does not fit the model: choose another.
    #[error("adapter {adapter}: {reason}")]
    AdapterMismatch {
        /// Name or file of the adapter.
        adapter: String,
        /// Why it does not fit.
        reason: String,
    },
    /// The question is empty.
    #[error("the question is empty")]
    EmptyQuestion,
    /// The question alone is longer than the window: shorten it.
    #[error("the question takes {tokens} tokens, {limit} fit")]
    QuestionTooLong {
        /// Tokens of the question with its fixed surroundings.
        tokens: usize,
        /// Tokens the window leaves for it.
        limit: usize,
    },
    /// An answer was asked of an engine that was opened without a language model.
    #[error("the engine was opened without a language model")]
    NoModel,
    /// Reading or writing failed: free space, check permissions.
    #[error("storage: {reason}")]
    Storage {
        /// What failed, with the file.
        reason: String,
    },
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
    /// The request was cancelled. The bindings turn this into the platform's own cancellation.
    #[error("cancelled")]
    Cancelled,
    /// A defect of this library: please report it.
    #[error("internal: {reason}")]
    Internal {
        /// What happened.
        reason: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A stable name for logs and for the bindings.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Damaged { .. } => "damaged",
            Self::Unsupported { .. } => "unsupported",
            Self::EmbedderMismatch { .. } => "embedder_mismatch",
            Self::AdapterMismatch { .. } => "adapter_mismatch",
            Self::EmptyQuestion => "empty_question",
            Self::QuestionTooLong { .. } => "question_too_long",
            Self::NoModel => "no_model",
            Self::Storage { .. } => "storage",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Internal { .. } => "internal",
        }
    }

    pub(crate) fn io(path: &Path, source: &std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound { path: path.to_path_buf() },
            _ => Self::Storage { reason: format!("{}: {source}", path.display()) },
        }
    }
}

impl From<lorekit_cancel::Cancelled> for Error {
    fn from(_: lorekit_cancel::Cancelled) -> Self {
        Self::Cancelled
    }
}
