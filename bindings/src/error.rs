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
    /// A file is sealed, and the app gave no key for it.
    #[error("{text}")]
    KeyNeeded { code: String, text: String, path: String },
    /// A file is sealed with another key than the app's.
    #[error("{text}")]
    WrongKey { code: String, text: String, path: String },
    /// A key that the app gave is no key.
    #[error("{text}")]
    InvalidKey { code: String, text: String, reason: String },
    /// A pack is not signed by anyone the app trusts: do not use it.
    #[error("{text}")]
    Untrusted { code: String, text: String, path: String, reason: String },
    /// The last day of a pack, or of the keys that signed it, is over: fetch a newer one.
    #[error("{text}")]
    Expired { code: String, text: String, path: String, reason: String },
    /// A pack expired by a day that was seen before, and the clock now says an earlier one.
    #[error("{text}")]
    ClockTurnedBack { code: String, text: String, path: String, reason: String },
    /// A delta is older than what was applied before: fetch the newest.
    #[error("{text}")]
    Replayed { code: String, text: String, path: String, reason: String },
    /// A delta gives other content to a version that is known.
    #[error("{text}")]
    Fork { code: String, text: String, path: String, reason: String },
    /// A delta builds on another state than the library's: fetch the ones between.
    #[error("{text}")]
    OtherParent { code: String, text: String, path: String, reason: String },
    /// A pack belongs to another body of knowledge than the library.
    #[error("{text}")]
    OtherPack { code: String, text: String, path: String, reason: String },
    /// The library was purged, and this folder opens no more.
    #[error("{text}")]
    Purged { code: String, text: String, path: String },
    /// The library's folder is open elsewhere.
    #[error("{text}")]
    Locked { code: String, text: String, path: String },
    /// The engine was opened without a library's folder, and cannot be changed.
    #[error("{text}")]
    ReadOnly { code: String, text: String },
    /// No earlier state is kept that a rollback could go to.
    #[error("{text}")]
    NothingToRollBackTo { code: String, text: String },
    /// A document of the app cannot become part of the library.
    #[error("{text}")]
    UnusableDocument { code: String, text: String, reason: String },
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
            Error::KeyNeeded { path } => Self::KeyNeeded { code, text, path: name(&path) },
            Error::WrongKey { path } => Self::WrongKey { code, text, path: name(&path) },
            Error::InvalidKey { reason } => Self::InvalidKey { code, text, reason },
            Error::Untrusted { path, reason } => Self::Untrusted { code, text, path: name(&path), reason },
            Error::Expired { path, reason } => Self::Expired { code, text, path: name(&path), reason },
            Error::ClockTurnedBack { path, reason } => Self::ClockTurnedBack { code, text, path: name(&path), reason },
            Error::Replayed { path, reason } => Self::Replayed { code, text, path: name(&path), reason },
            Error::Fork { path, reason } => Self::Fork { code, text, path: name(&path), reason },
            Error::OtherParent { path, reason } => Self::OtherParent { code, text, path: name(&path), reason },
            Error::OtherPack { path, reason } => Self::OtherPack { code, text, path: name(&path), reason },
            Error::Purged { path } => Self::Purged { code, text, path: name(&path) },
            Error::Locked { path } => Self::Locked { code, text, path: name(&path) },
            Error::ReadOnly => Self::ReadOnly { code, text },
            Error::NothingToRollBackTo => Self::NothingToRollBackTo { code, text },
            Error::UnusableDocument { reason } => Self::UnusableDocument { code, text, reason },
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
