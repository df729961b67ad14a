//! What can go wrong with a sealed container, never with a byte of its content or of a key.

use std::io;

use lorekit_cancel::Cancelled;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a container could not be written, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused an operation.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The bytes do not begin with the magic of a sealed container.
    #[error("not a sealed container")]
    NotSealed,
    /// The container was written in a version that this build does not read.
    #[error("sealed container version {found}, this build reads version {supported}")]
    UnsupportedVersion {
        /// The container's version.
        found: u32,
        /// This build's version.
        supported: u32,
    },
    /// The header is whole, and was made for another key.
    #[error("the key is not the one this was sealed with")]
    WrongKey,
    /// The header contradicts itself, or its wrapped key does not open although the app's key is the right one.
    #[error("the sealed container's {part} is damaged")]
    DamagedHeader {
        /// Which part.
        part: &'static str,
    },
    /// A chunk is not what was sealed at this place of this file.
    #[error("chunk {index} of the sealed container is damaged")]
    DamagedChunk {
        /// The chunk's number, from 0.
        index: u64,
    },
    /// The container ends before what its header promises.
    #[error("the sealed container needs {expected} bytes and has {found}")]
    Truncated {
        /// Bytes needed.
        expected: u64,
        /// Bytes present.
        found: u64,
    },
    /// The container goes on behind its last chunk.
    #[error("the sealed container has {found} bytes, its header promises {expected}")]
    TooLong {
        /// Bytes promised.
        expected: u64,
        /// Bytes present.
        found: u64,
    },
    /// A sealed message is not what was sealed for this context, or was sealed with another key.
    #[error("the sealed message is damaged, or belongs elsewhere")]
    DamagedMessage,
    /// A range was asked for that leaves the content.
    #[error("{length} bytes from {offset} leave the {end} bytes of the content")]
    OutOfRange {
        /// The first byte asked for.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// The content's length.
        end: u64,
    },
    /// The source of [`seal_to`](crate::seal_to) gave more or fewer bytes than were announced.
    #[error("the content has not the announced length of {announced} bytes")]
    WrongLength {
        /// Bytes announced.
        announced: u64,
    },
    /// The caller broke a limit of the format.
    #[error("{reason}")]
    InvalidInput {
        /// What is wrong.
        reason: &'static str,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
