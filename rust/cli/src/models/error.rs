//! What can go wrong while a model is fetched or checked.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use lorekit_cancel::Cancelled;

/// Why a model is not there. Errors that belong to one source only are [`SourceError`]s:
/// they lead to the next source, and are listed in [`ModelsError::NoSource`] when none is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// The catalogue has no model of that name.
    #[error("the catalogue has no model \"{name}\"; it has {}", known.join(", "))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The catalogue cannot be used.
    #[error("catalogue {origin}: {reason}")]
    Catalogue {
        /// The file, or "(built in)".
        origin: String,
        /// What is wrong in it.
        reason: String,
    },
    /// The network was forbidden and the model is not in the cache.
    #[error("model {name} is not in {}, and --offline forbids fetching it", folder.display())]
    Offline {
        /// The model.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Every source was tried and none gave the model.
    #[error("no source of model {name} gave it:{}", Attempts(attempts))]
    NoSource {
        /// The model.
        name: String,
        /// Each source in the order tried, with the reason why it failed.
        attempts: Vec<Attempt>,
    },
    /// A file is not the one that the catalogue names.
    #[error("{} is not the file that the catalogue names: SHA-256 expected {expected}, found {found}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The hash in the catalogue.
        expected: String,
        /// The hash of the bytes.
        found: String,
    },
    /// The model is not in the cache.
    #[error("model {name} is not in {}; fetch it with: lore models pull {name}", folder.display())]
    Absent {
        /// The model.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// `--from` was given with more or less than one model.
    #[error("--from gives one model; name exactly one")]
    FromNeedsOne,
    /// The file system is full.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// The file that could not be written to its end.
        path: PathBuf,
    },
    /// The system does not allow the access.
    #[error("no permission to {what} {}", path.display())]
    Denied {
        /// "read" or "write".
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// Another failure of the file system.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The files of an embedder could not be turned into one GGUF file.
    #[error("cannot convert model {name}: {reason}")]
    Convert {
        /// The model.
        name: String,
        /// The converter's reason.
        reason: String,
    },
    /// The work was cancelled; what had arrived is kept and resumed next time.
    #[error("cancelled; what has arrived is kept")]
    Cancelled,
}

impl From<Cancelled> for ModelsError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl ModelsError {
    /// Sorts a file-system error by what the user can do about it.
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let what = if matches!(what, "read" | "open") { "read" } else { "write" };
                Self::Denied { what, path }
            }
            _ => Self::Io { what, path, source },
        }
    }
}

/// One source that was tried and failed.
#[derive(Debug)]
pub struct Attempt {
    /// The source as the catalogue describes it, for example `hub Qwen/…`.
    pub source: String,
    /// Why it failed.
    pub error: SourceError,
}

struct Attempts<'a>(&'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(" the catalogue has none that may be used");
        }
        for attempt in self.0 {
            write!(f, "\n  {}: {}", attempt.source, attempt.error)?;
        }
        Ok(())
    }
}

/// Why one source did not give the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection, no such host, or the connection broke again and again.
    #[error("out of reach: {0}")]
    Unreachable(String),
    /// Connected, but nothing came for longer than the limit.
    #[error("no byte came for {0} seconds")]
    Stalled(u64),
    /// The server answered with a status that is not success.
    #[error("the server answered {code}")]
    Status {
        /// The HTTP status.
        code: u16,
    },
    /// The server wants an account that accepted the model's licence.
    #[error("the server answered {code}: the model's licence has to be accepted there, and a token given (HF_TOKEN)")]
    Licence {
        /// The HTTP status, 401 or 403.
        code: u16,
    },
    /// The file there has another length than the catalogue says.
    #[error("{what} has {found} bytes there, the catalogue says {expected}")]
    Size {
        /// Which file.
        what: String,
        /// Bytes in the catalogue.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The bytes are not those that the catalogue names. They were removed.
    #[error("{what} is not the file that the catalogue names (removed): SHA-256 expected {expected}, found {found}")]
    Hash {
        /// Which file.
        what: String,
        /// The hash in the catalogue.
        expected: String,
        /// The hash of the bytes.
        found: String,
    },
    /// The catalogue has no hash for this source, and such files are refused unless asked for.
    #[error("the catalogue has no verified hash for it (--accept-unverified takes it all the same)")]
    Unverified,
    /// There is no `pip` to fetch packages with.
    #[error("found neither pip nor python3 -m pip")]
    NoPip,
    /// `pip` ended with an error.
    #[error("pip could not fetch {package}: {reason}")]
    Pip {
        /// The package and version.
        package: String,
        /// The last line that pip printed.
        reason: String,
    },
    /// The package or archive does not have what the catalogue says, or is damaged.
    #[error("{archive}: {reason}")]
    Archive {
        /// Which package or archive.
        archive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The local path does not have the file.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
}

/// Either this source failed and the next one is tried, or the whole pull ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This source cannot give the model.
    Source(SourceError),
    /// No source could: the trouble is on this machine.
    Fatal(ModelsError),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<ModelsError> for Failure {
    fn from(error: ModelsError) -> Self {
        Self::Fatal(error)
    }
}

impl From<Cancelled> for Failure {
    fn from(_: Cancelled) -> Self {
        Self::Fatal(ModelsError::Cancelled)
    }
}
