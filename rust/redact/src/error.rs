//! The crate's error.

use std::io;

use lorekit_cancel::Cancelled;

/// Why a file could not be redacted or its report did not stand. No message holds text of the data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
    /// A line is no JSON value.
    #[error("line {line} is not JSON")]
    NotJson {
        /// The line, from 1.
        line: u64,
    },
    /// A line is longer than the limit that keeps memory bounded.
    #[error("line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// The line, from 1.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A report is not one that this version reads.
    #[error("the redaction report cannot be read: {0}")]
    Report(&'static str),
    /// Data without a redaction report.
    #[error("the data has no redaction report; redact it, or allow unredacted data explicitly")]
    NoReport,
    /// Data that is not what its report speaks of.
    #[error("the data is not what its redaction report describes: the hash differs")]
    HashDiffers,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
