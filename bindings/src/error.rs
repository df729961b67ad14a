//! The one error that crosses, and the one match that makes it.

use std::path::Path;

use lorekit_answer::Error;

/// What went wrong, cut by what the app can do about it.
///
/// `code` is stable and made for logs, `text` is the message in English.
/// Neither holds a question, a passage or an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[allow(missing_docs)] // the fields are those of the variants of `lorekit_answer::Error`
pub enum FfiError {
    /// There is no file there: fetch it.
    #[error("{text}")]
    NotFound { code: String, text: String, path: String },
    /// A pack, model, embedder or adapter is damaged: fetch it again.
    #[error("{text}")]
    Damaged { code: String, text: String, path: String, reason: String },
    /// A file is of a kind that this version does not read: update the app or the file.
    #[error("{text}")]
    Unsupported { code: String, text: String, path: String, reason: String },
    /// The pack was built with another embedder than the one on this device.
    #[error("{text}")]
    EmbedderMismatch { code: String, text: String, pack: String, device: String },
    /// The adapter does not fit the model, or none of this name was opened: choose another.
    #[error("{text}")]
    AdapterMismatch { code: String, text: String, adapter: String, reason: String },
    /// The question is empty.
    #[error("{text}")]
    EmptyQuestion { code: String, text: String },
    /// The question alone is longer than the window: shorten it.
    #[error("{text}")]
    QuestionTooLong { code: String, text: String, tokens: u64, limit: u64 },
    /// An answer was asked of an engine that was opened without a language model.
    #[error("{text}")]
    NoModel { code: String, text: String },
    /// Reading or writing failed: free space, check permissions.
    #[error("{text}")]
    Storage { code: String, text: String, reason: String },
    /// The engine was closed.
    #[error("{text}")]
    Closed { code: String, text: String },
    /// The request was cancelled; the skins turn this into the platform's own cancellation.
    #[error("{text}")]
    Cancelled { code: String, text: String },
    /// A defect of the library: please report it.
    #[error("{text}")]
    Internal { code: String, text: String, reason: String },
}

/// `Result` with [`FfiError`].
pub(crate) type Result<T> = std::result::Result<T, FfiError>;

impl From<Error> for FfiError {
    /// Exhaustive on purpose: a new variant is a decision here and in both skins.
    fn from(error: Error) -> Self {
        let (code, text) = (error.code().to_owned(), error.to_string());
        match error {
            Error::NotFound { path } => Self::NotFound { code, text, path: name(&path) },
            Error::Damaged { path, reason } => Self::Damaged { code, text, path: name(&path), reason },
            Error::Unsupported { path, reason } => Self::Unsupported { code, text, path: name(&path), reason },
            Error::EmbedderMismatch { pack, device } => Self::EmbedderMismatch { code, text, pack, device },
            Error::AdapterMismatch { adapter, reason } => Self::AdapterMismatch { code, text, adapter, reason },
            Error::EmptyQuestion => Self::EmptyQuestion { code, text },
            Error::QuestionTooLong { tokens, limit } => {
                Self::QuestionTooLong { code, text, tokens: tokens as u64, limit: limit as u64 }
            }
            Error::NoModel => Self::NoModel { code, text },
            Error::Storage { reason } => Self::Storage { code, text, reason },
            Error::Closed => Self::Closed { code, text },
            Error::Cancelled => Self::Cancelled { code, text },
            Error::Internal { reason } => Self::Internal { code, text, reason },
        }
    }
}

/// A path as text; bytes that are no UTF-8 are replaced, since this is for reading only.
fn name(path: &Path) -> String {
    path.display().to_string()
}
