//! What can go wrong while searching.

use lorekit_cancel::Cancelled;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The question holds nothing that could be searched for.
    #[error("the question is empty")]
    EmptyQuestion,
    /// The library failed.
    #[error(transparent)]
    Store(#[from] lorekit_store::Error),
    /// The embedder failed.
    #[error(transparent)]
    Model(#[from] lorekit_model::Error),
    /// The pack's vectors were made by another embedder; a search would return nonsense without a word.
    #[error("the pack was built with embedder {pack}, this device has {device}")]
    EmbedderMismatch {
        /// Fingerprint in the pack's manifest.
        pack: String,
        /// Fingerprint of the embedder that was loaded.
        device: String,
    },
    /// The request was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
