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
    /// A file is sealed, and the app gave no key for it.
    #[error("{path}: sealed, and no key was given for it")]
    KeyNeeded {
        /// The sealed file.
        path: PathBuf,
    },
    /// A file is sealed with another key than the app's: ask the key store for the right one.
    #[error("{path}: sealed with another key")]
    WrongKey {
        /// The sealed file.
        path: PathBuf,
    },
    /// A key that the app gave is no key.
    #[error("a key cannot be used: {reason}")]
    InvalidKey {
        /// What is wrong with it. Nothing of the key is in it.
        reason: String,
    },
    /// A pack is not signed by anyone the app trusts, or what it is signed with does not hold: do not use it.
    #[error("{path}: not trusted: {reason}")]
    Untrusted {
        /// The pack.
        path: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// The last day of a pack, or of the keys that signed it, is over: fetch a newer one.
    #[error("{path}: expired: {reason}")]
    Expired {
        /// The pack.
        path: PathBuf,
        /// The last day and today.
        reason: String,
    },
    /// A pack expired by a day that was seen before, and the clock now says an earlier one: have the clock set.
    #[error("{path}: the clock was turned back: {reason}")]
    ClockTurnedBack {
        /// The pack.
        path: PathBuf,
        /// The days.
        reason: String,
    },
    /// A delta is older than what was applied before: fetch the newest.
    #[error("{path}: an old version: {reason}")]
    Replayed {
        /// The delta.
        path: PathBuf,
        /// The two versions.
        reason: String,
    },
    /// A delta gives other content to a version that is known: its publisher has to say which one holds.
    #[error("{path}: two contents under one version: {reason}")]
    Fork {
        /// The delta.
        path: PathBuf,
        /// The version and both states.
        reason: String,
    },
    /// A delta builds on another state than the library's: fetch the ones between.
    #[error("{path}: does not fit here: {reason}")]
    OtherParent {
        /// The delta.
        path: PathBuf,
        /// Both states.
        reason: String,
    },
    /// A pack belongs to another body of knowledge than the library.
    #[error("{path}: of another pack: {reason}")]
    OtherPack {
        /// The pack.
        path: PathBuf,
        /// Both ids.
        reason: String,
    },
    /// The library was purged, and this folder opens no more.
    #[error("{path}: the library was purged")]
    Purged {
        /// The library's folder.
        path: PathBuf,
    },
    /// The library's folder is open elsewhere: one engine at a time has it.
    #[error("{path}: the library is open elsewhere")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The engine was opened on a pack alone, or on a library without a folder, and cannot be changed.
    #[error("the engine was opened without a library's folder, and nothing can be changed")]
    ReadOnly,
    /// No earlier state is kept that a rollback could go to.
    #[error("there is no earlier state to go back to")]
    NothingToRollBackTo,
    /// A document of the app cannot become part of the library.
    #[error("the document cannot be used: {reason}")]
    UnusableDocument {
        /// What is wrong with it. No text of it.
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
            Self::KeyNeeded { .. } => "key_needed",
            Self::WrongKey { .. } => "wrong_key",
            Self::InvalidKey { .. } => "invalid_key",
            Self::Untrusted { .. } => "untrusted",
            Self::Expired { .. } => "expired",
            Self::ClockTurnedBack { .. } => "clock_turned_back",
            Self::Replayed { .. } => "replayed",
            Self::Fork { .. } => "fork",
            Self::OtherParent { .. } => "other_parent",
            Self::OtherPack { .. } => "other_pack",
            Self::Purged { .. } => "purged",
            Self::Locked { .. } => "locked",
            Self::ReadOnly => "read_only",
            Self::NothingToRollBackTo => "nothing_to_roll_back_to",
            Self::UnusableDocument { .. } => "unusable_document",
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
