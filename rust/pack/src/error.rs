//! What can be wrong with a pack, with the file, the part of it, and what was expected and found.

use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a pack could not be written or read.
///
/// No variant ever carries text of a passage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation on the file.
    #[error("{path}: cannot {operation}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file does not begin with the magic bytes of a pack.
    #[error("{path}: not a pack (the magic bytes are missing)")]
    NotAPack {
        /// The file.
        path: PathBuf,
    },
    /// The file was written in a version of the format that this build does not read.
    #[error("{path}: pack format version {found}, this build reads up to {supported}")]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version in the header or manifest.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// The pack needs something that this build does not know: a section or feature marked as required.
    #[error("{path}: the pack requires {feature}, which this build does not know")]
    UnsupportedFeature {
        /// The file.
        path: PathBuf,
        /// The feature's name in the manifest, or the section's number.
        feature: String,
    },
    /// The file ends before a part that its header promises.
    #[error("{path}: {part} needs {expected} bytes, the file has {found}")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Which part.
        part: String,
        /// Bytes needed.
        expected: u64,
        /// Bytes present.
        found: u64,
    },
    /// A part of the file contradicts the format.
    #[error("{path}: {part} is damaged: expected {expected}, found {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part.
        part: String,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The bytes of a section are not those the manifest lists.
    #[error("{path}: section {section} does not match its hash: expected {expected}, found {found}")]
    HashMismatch {
        /// The file.
        path: PathBuf,
        /// The section, or `manifest`.
        section: String,
        /// The hash listed.
        expected: String,
        /// The hash of the bytes.
        found: String,
    },
    /// The manifest is not valid JSON of the expected shape.
    #[error("{path}: the manifest cannot be read at line {line}, column {column}")]
    ManifestSyntax {
        /// The file.
        path: PathBuf,
        /// Line in the manifest's JSON.
        line: usize,
        /// Column in the manifest's JSON.
        column: usize,
    },
    /// A value in the manifest is outside of its limits.
    #[error("{path}: the manifest's {field} is {found}, expected {expected}")]
    ManifestValue {
        /// The file.
        path: PathBuf,
        /// The field, in dotted form.
        field: &'static str,
        /// What is allowed.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A section was asked for that the pack does not have.
    #[error("{path}: the pack has no section {section}")]
    MissingSection {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
    },
    /// The caller of the writer broke its contract.
    #[error("{path}: {reason}")]
    InvalidInput {
        /// The file that was to be written.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A text is not a hexadecimal identifier of the right length.
    #[error("expected {expected} hexadecimal digits")]
    BadIdentifier {
        /// Digits expected.
        expected: usize,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, operation, source }
    }

    pub(crate) fn damaged(
        path: &Path,
        part: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            part: part.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
