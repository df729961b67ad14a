//! What can go wrong with a library, in terms of files and numbers, never of the text in it.

use std::path::PathBuf;

use lorekit_cancel::Cancelled;

use crate::library::Refusal;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a library could not be built, opened or searched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pack around the sections is damaged or cannot be written.
    #[error(transparent)]
    Pack(lorekit_pack::Error),
    /// A file is sealed with another key than the one given; it is whole, as far as its header tells. (No key at all is
    /// [`lorekit_pack::Error::KeyNeeded`].)
    #[error("{path}: the key is not the one this was sealed with")]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// The system refused an operation on a file.
    #[error("{path}: cannot {operation}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// SQLite refused: a damaged database, a full disk, a limit.
    #[error("{path}: the passages database failed while {operation}: {reason}")]
    Database {
        /// The pack.
        path: PathBuf,
        /// What was being done.
        operation: &'static str,
        /// SQLite's name of the failure, without any of its arguments.
        reason: String,
    },
    /// A part of a sealed database is not what was sealed there.
    #[error("{path}: a chunk of the sealed passages database is damaged")]
    DamagedSeal {
        /// The pack.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("{path}: the disk is full")]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// The database does not have exactly the tables that this build writes.
    #[error("{path}: unexpected schema: {difference}")]
    ForeignSchema {
        /// The pack.
        path: PathBuf,
        /// Which object differs.
        difference: String,
    },
    /// A row of the database contradicts the manifest or the format.
    #[error("{path}: {what} is {found}, expected {expected}")]
    Inconsistent {
        /// The pack.
        path: PathBuf,
        /// Which value.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The vectors or their graph are damaged.
    #[error("{path}: the vector index is damaged: {what} is {found}, expected {expected}")]
    DamagedIndex {
        /// The pack.
        path: PathBuf,
        /// Which part of it.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What is there.
        found: String,
    },
    /// usearch refused.
    #[error("{path}: the vector index failed while {operation}: {reason}")]
    Index {
        /// The pack.
        path: PathBuf,
        /// What was being done.
        operation: &'static str,
        /// Its reason.
        reason: String,
    },
    /// The pack was made by rules that this build does not have.
    #[error("{path}: {what} version {found}, this build has {supported}")]
    UnsupportedVersion {
        /// The pack.
        path: PathBuf,
        /// Which rules.
        what: &'static str,
        /// The pack's version.
        found: u32,
        /// This build's version.
        supported: u32,
    },
    /// The pack needs something this build does not do yet.
    #[error("{path}: {feature} is not supported by this build")]
    Unsupported {
        /// The pack.
        path: PathBuf,
        /// What it needs.
        feature: &'static str,
    },
    /// A snapshot needs at least a base.
    #[error("there is no base to build a snapshot on")]
    EmptyChain,
    /// A pack does not belong to the chain it was put into.
    #[error("{path}: the pack does not belong here: its {what} is {found}, the base asks for {expected}")]
    ForeignMember {
        /// The pack.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// The pack's.
        found: String,
    },
    /// A query vector has the wrong length.
    #[error("the query has {found} dimensions, the library {expected}")]
    QueryDimensions {
        /// The library's.
        expected: usize,
        /// The query's.
        found: usize,
    },
    /// A query vector is zero or holds a value that is not finite.
    #[error("the query vector is zero or not finite")]
    QueryNotFinite,
    /// No passage has this key.
    #[error("no passage has the key {key}, there are {passages}")]
    NoSuchPassage {
        /// The key.
        key: u64,
        /// How many passages there are.
        passages: u64,
    },
    /// The input of a build contradicts itself.
    #[error("{what} {index}: {reason}")]
    InvalidInput {
        /// `document`, `passage`, `vector` or `query`.
        what: &'static str,
        /// Its position.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// The record that says what the library is cannot be believed.
    #[error("{path}: the library's record is damaged: {reason}")]
    DamagedRecord {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another process, or another part of this one, has the library open.
    #[error("{path}: the library is open elsewhere")]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The library has no folder to write to.
    #[error("the library was opened without a folder of its own and cannot be changed")]
    ReadOnlyLibrary,
    /// The library was purged; what it was is gone.
    #[error("{path}: the library was purged")]
    Purged {
        /// Its folder.
        path: PathBuf,
    },
    /// A sound pack was refused because of what the library is.
    #[error("{path}: {refusal}")]
    Refused {
        /// The pack.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// There is no earlier generation to go back to.
    #[error("there is no earlier generation to go back to")]
    NothingToRollBackTo,
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<lorekit_pack::Error> for Error {
    fn from(error: lorekit_pack::Error) -> Self {
        match error {
            lorekit_pack::Error::WrongKey { path } => Self::WrongKey { path },
            error => Self::Pack(error),
        }
    }
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
