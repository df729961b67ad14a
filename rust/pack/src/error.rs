//! What can be wrong with a pack, with the file, the part of it, and what was expected and found.

use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    /// A sealed pack cannot be read or written: it is damaged, mostly. A wrong key is [`WrongKey`](Self::WrongKey).
    #[error("{path}: {source}")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What is wrong with the sealed container.
        source: lorekit_seal::Error,
    },
    /// The pack is sealed, and no key was given for it.
    #[error("{path}: the pack is sealed, and no key was given for it")]
    KeyNeeded {
        /// The file.
        path: PathBuf,
    },
    /// The pack, or a section of it, is sealed with another key than the one given. It is not damaged, as far as its header
    /// tells.
    #[error("{path}: the key is not the one this was sealed with")]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// A section was asked for as mapped bytes, and the pack is sealed.
    #[error("{path}: section {section} is sealed and cannot be mapped")]
    NotMapped {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
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
    /// The pack has no signature, and unsigned packs are not allowed.
    #[error("{path}: the pack is not signed")]
    Unsigned {
        /// The file.
        path: PathBuf,
    },
    /// The signature area is not written as the format says.
    #[error("{path}: the signature area is damaged: {reason}")]
    SignatureArea {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The signature area is in a version that this build does not read.
    #[error("{path}: signature area version {found}, this build reads version {supported}")]
    UnsupportedSignatures {
        /// The file.
        path: PathBuf,
        /// The version in the area.
        found: u32,
        /// The version this build reads.
        supported: u32,
    },
    /// A signature is not one over these bytes by the key it names.
    #[error("{path}: the signature by key {key} is not over these bytes")]
    BadSignature {
        /// The file.
        path: PathBuf,
        /// The public key, in hexadecimal.
        key: String,
    },
    /// No signature is by a key that is trusted.
    #[error("{path}: signed by {key}, which is not trusted")]
    UnknownSigner {
        /// The file.
        path: PathBuf,
        /// The public keys, in hexadecimal.
        key: String,
    },
    /// No signature is by a root or by a key of the key set that came with the pack.
    #[error("{path}: signed by {key}, which is not in key set {version}")]
    KeyNotInSet {
        /// The file.
        path: PathBuf,
        /// The public keys, in hexadecimal.
        key: String,
        /// The version of the key set.
        version: u64,
    },
    /// The key set is signed by a key that is no root of this app.
    #[error("{path}: the key set is signed by {key}, which is no trusted root")]
    KeySetUnknownRoot {
        /// The file.
        path: PathBuf,
        /// The public key, in hexadecimal.
        key: String,
    },
    /// The key set was changed after the root signed it.
    #[error("{path}: the key set does not match the signature by root {key}")]
    KeySetBadSignature {
        /// The file.
        path: PathBuf,
        /// The public key, in hexadecimal.
        key: String,
    },
    /// The key set is older than one seen before: a key of it may have been withdrawn.
    #[error("{path}: key set {version} is older than key set {floor}, which was seen before")]
    KeySetOutdated {
        /// The file.
        path: PathBuf,
        /// The version of the key set.
        version: u64,
        /// The highest version seen.
        floor: u64,
    },
    /// The last day of the key set is over.
    #[error("{path}: key set {version} expired on {expires}, today is {today}")]
    KeySetExpired {
        /// The file.
        path: PathBuf,
        /// The version of the key set.
        version: u64,
        /// Its last day.
        expires: String,
        /// The day the caller gave.
        today: String,
    },
    /// The keys of the key set may not sign this pack.
    #[error("{path}: the keys of key set {version} may not sign pack {pack_id}")]
    KeySetForOtherPack {
        /// The file.
        path: PathBuf,
        /// The version of the key set.
        version: u64,
        /// The pack.
        pack_id: String,
    },
    /// The rollback statement was changed after it was signed.
    #[error("{path}: the rollback statement does not match the signature by key {key}")]
    RollbackBadSignature {
        /// The file.
        path: PathBuf,
        /// The public key, in hexadecimal.
        key: String,
    },
    /// The rollback statement is signed by a key that is not trusted.
    #[error("{path}: the rollback statement is signed by {key}, which is not trusted")]
    RollbackUnknownSigner {
        /// The file.
        path: PathBuf,
        /// The public key, in hexadecimal.
        key: String,
    },
    /// The rollback statement is about another pack, version or state than the one that carries it.
    #[error("{path}: the rollback statement is for another state: version {version} of {pack_id}")]
    RollbackForOtherPack {
        /// The file.
        path: PathBuf,
        /// The pack it is for.
        pack_id: String,
        /// The version it leads to.
        version: u64,
    },
    /// The last day of the pack is over.
    #[error("{path}: the pack expired on {expires}, today is {today}")]
    PackExpired {
        /// The file.
        path: PathBuf,
        /// Its last day.
        expires: String,
        /// The day the caller gave.
        today: String,
    },
    /// A key or key set file cannot be used.
    #[error("{path}: {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A day is not `YYYY-MM-DD`.
    #[error("{found:?} is no day in the form YYYY-MM-DD")]
    BadDate {
        /// What was given.
        found: String,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
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

    /// What went wrong with the container that this file is, or that is a part of it.
    pub fn sealed(path: &Path) -> impl FnOnce(lorekit_seal::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| match source {
            lorekit_seal::Error::WrongKey => Self::WrongKey { path },
            source => Self::Sealed { path, source },
        }
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
