//! The library: how it is opened, what it is, and what its changes did.

use std::fmt;

use lorekit_answer::{
    AddReport, AppliedPack, ApplyReport, CompactReport, EngineOptions, Kept, LibraryOptions, LibraryState,
    LocalDocument, OwnDocument, Purge, PurgeReport, Trust, seal_key, verifying_key,
};

use crate::error::Result;

/// Makes the engine's pack the base of a library that takes updates and documents of the app.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct FfiLibraryOptions {
    /// The folder that belongs to this library alone; made if it does not exist.
    pub folder: String,
    /// The public keys whose signatures are believed, as PEM or as 64 hexadecimal digits.
    pub trusted_keys: Vec<String>,
    /// Takes packs without any signature: for development, never for an app that ships.
    pub allow_unsigned: bool,
    /// 32 bytes that seal whatever is written to the folder and to the cache folder.
    pub key: Option<Vec<u8>>,
    /// The publisher's key of 32 bytes, for packs whose sections are sealed.
    pub content_key: Option<Vec<u8>>,
    /// Today, `YYYY-MM-DD`; `None` takes the device's clock.
    pub today: Option<String>,
    /// How many earlier states are kept for a rollback.
    pub kept_states: u32,
}

impl fmt::Debug for FfiLibraryOptions {
    /// Without the secret keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FfiLibraryOptions")
            .field("folder", &self.folder)
            .field("trusted_keys", &self.trusted_keys)
            .field("allow_unsigned", &self.allow_unsigned)
            .field("today", &self.today)
            .field("kept_states", &self.kept_states)
            .finish_non_exhaustive()
    }
}

impl FfiLibraryOptions {
    /// The library of this base; `InvalidKey` for a key that is none.
    pub(crate) fn of_base(self, base: String) -> Result<LibraryOptions> {
        let roots = self.trusted_keys.iter().map(|key| verifying_key(key)).collect::<std::result::Result<_, _>>()?;
        let trust = Trust { allow_unsigned: self.allow_unsigned, ..Trust::pinned(roots) };
        Ok(LibraryOptions {
            key: self.key.as_deref().map(seal_key).transpose()?,
            content_key: self.content_key.as_deref().map(seal_key).transpose()?,
            today: self.today,
            keep: self.kept_states as usize,
            ..LibraryOptions::new(base, Some(self.folder.into()), trust)
        })
    }
}

/// Puts base and library where the engine looks for them.
pub(crate) fn place(pack: String, library: Option<FfiLibraryOptions>) -> Result<EngineOptions> {
    Ok(match library {
        None => EngineOptions { pack: pack.into(), ..EngineOptions::default() },
        Some(library) => EngineOptions { library: Some(library.of_base(pack)?), ..EngineOptions::default() },
    })
}

/// A document of the app, on its way into the library.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiOwnDocument {
    /// Stable name, by which it is replaced and removed.
    pub id: String,
    /// Name of the file, whose ending says what it is: `md`, `txt`, `html`.
    pub path: String,
    /// Its bytes, UTF-8.
    pub content: Vec<u8>,
    /// What people call it; `None` takes what it says itself, else its path.
    pub title: Option<String>,
    /// Access labels, of which a caller needs any.
    pub labels: Vec<String>,
}

impl From<FfiOwnDocument> for OwnDocument {
    fn from(document: FfiOwnDocument) -> Self {
        let FfiOwnDocument { id, path, content, title, labels } = document;
        Self { id, path, content, title, labels }
    }
}

/// A pack that is part of the current generation.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiAppliedPack {
    /// Hash of its manifest, in hexadecimal.
    pub manifest: String,
    /// Its version.
    pub version: u64,
    /// The key that signed it, in hexadecimal; `None` for an unsigned pack.
    pub signer: Option<String>,
    /// Length of its file in bytes.
    pub bytes: u64,
    /// Passages in it.
    pub passages: u64,
    /// Passages that it withdraws.
    pub withdrawals: u64,
}

impl From<AppliedPack> for FfiAppliedPack {
    fn from(pack: AppliedPack) -> Self {
        Self {
            manifest: pack.manifest.to_string(),
            version: pack.version,
            signer: pack.signer,
            bytes: pack.bytes,
            passages: pack.passages,
            withdrawals: pack.withdrawals,
        }
    }
}

/// A state that a rollback can go to.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiKeptState {
    /// Its version.
    pub version: u64,
    /// Its hash, in hexadecimal.
    pub state: String,
}

impl From<Kept> for FfiKeptState {
    fn from(kept: Kept) -> Self {
        Self { version: kept.version, state: kept.state.to_string() }
    }
}

/// A document of the app, as the library holds it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiLocalDocument {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

impl From<LocalDocument> for FfiLocalDocument {
    fn from(document: LocalDocument) -> Self {
        Self { id: document.id, title: document.title }
    }
}

/// What a library is.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiLibraryState {
    /// Number of the generation; grows by one with each change.
    pub generation: u64,
    /// Name of the body of knowledge.
    pub pack_id: String,
    /// The publisher's version.
    pub version: u64,
    /// The publisher's state, in hexadecimal: what the next delta must build on.
    pub state: String,
    /// The lowest version that may arrive.
    pub version_floor: u64,
    /// The base, or what a compaction made of the chain.
    pub base: FfiAppliedPack,
    /// Whether the base is a file of the folder, written by a compaction.
    pub compacted: bool,
    /// The deltas on it, in order.
    pub deltas: Vec<FfiAppliedPack>,
    /// The app's own documents.
    pub local_documents: Vec<FfiLocalDocument>,
    /// What a rollback can go to, newest last.
    pub kept: Vec<FfiKeptState>,
    /// Live passages, local ones included.
    pub passages: u64,
    /// Passages that are revoked.
    pub revoked: u64,
    /// Of those, how many still stand in the base in its read-only place, hidden.
    pub revoked_in_read_only_base: u64,
    /// Whether each file of the folder that the current generation is made of is sealed.
    pub sealed: bool,
    /// Whether the base in its read-only place is sealed by the publisher.
    pub base_sealed: bool,
    /// Bytes of all files that the current generation is made of.
    pub bytes: u64,
    /// The last day of use of the newest pack.
    pub expires: Option<String>,
    /// Whether that day is over.
    pub expired: bool,
    /// Whether the clock names a day that is earlier than one seen before.
    pub clock_turned_back: bool,
}

impl From<LibraryState> for FfiLibraryState {
    fn from(state: LibraryState) -> Self {
        Self {
            generation: state.generation,
            pack_id: state.pack_id,
            version: state.version,
            state: state.state.to_string(),
            version_floor: state.version_floor,
            base: state.base.into(),
            compacted: state.compacted,
            deltas: state.deltas.into_iter().map(Into::into).collect(),
            local_documents: state.local_documents.into_iter().map(Into::into).collect(),
            kept: state.kept.into_iter().map(Into::into).collect(),
            passages: state.passages,
            revoked: state.revoked,
            revoked_in_read_only_base: state.revoked_in_read_only_base,
            sealed: state.sealed,
            base_sealed: state.base_sealed,
            bytes: state.bytes,
            expires: state.expires,
            expired: state.expired,
            clock_turned_back: state.clock_turned_back,
        }
    }
}

/// What an update or a rollback did.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiApplyReport {
    /// Whether anything changed: not, if the delta was applied already.
    pub applied: bool,
    /// The generation that is current now.
    pub generation: u64,
    /// The publisher's version that is current now.
    pub version: u64,
    /// The publisher's state that is current now, in hexadecimal.
    pub state: String,
    /// Whether the owner's word let an older version arrive.
    pub owner_rollback: bool,
}

impl From<ApplyReport> for FfiApplyReport {
    fn from(report: ApplyReport) -> Self {
        Self {
            applied: report.applied,
            generation: report.generation,
            version: report.version,
            state: report.state.to_string(),
            owner_rollback: report.owner_rollback,
        }
    }
}

/// What adding a document did.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiAddReport {
    /// The generation that is current now.
    pub generation: u64,
    /// Passages of the document.
    pub passages: u64,
}

impl From<AddReport> for FfiAddReport {
    fn from(report: AddReport) -> Self {
        Self { generation: report.generation, passages: report.passages }
    }
}

/// What a compaction did.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiCompactReport {
    /// The generation that is current now.
    pub generation: u64,
    /// Packs of the publisher that became one; 0 if there was nothing to do.
    pub publisher_packs: u64,
    /// Local packs that became one; 0 if there was nothing to do.
    pub local_packs: u64,
    /// Kept states that were given up, because files of theirs held revoked passages.
    pub dropped_states: u64,
}

impl From<CompactReport> for FfiCompactReport {
    fn from(report: CompactReport) -> Self {
        Self {
            generation: report.generation,
            publisher_packs: report.publisher_packs as u64,
            local_packs: report.local_packs as u64,
            dropped_states: report.dropped_states as u64,
        }
    }
}

/// What to destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiPurge {
    /// Everything that was written for this library; the engine closes, and the library never opens again in this folder.
    Everything,
    /// The bytes of revoked passages, in all files of the folder. The library goes on.
    Revoked,
}

impl From<FfiPurge> for Purge {
    fn from(purge: FfiPurge) -> Self {
        match purge {
            FfiPurge::Everything => Self::Everything,
            FfiPurge::Revoked => Self::Revoked,
        }
    }
}

/// What a purge did, and what it could not do.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiPurgeReport {
    /// Files that were removed from the folder.
    pub files_removed: u64,
    /// Kept states that were given up.
    pub dropped_states: u64,
    /// Whether the base in its read-only place still holds what was purged.
    pub base_still_holds: bool,
    /// Whether a lasting refusal was recorded, by which the base is not opened with this folder any more.
    pub refusal_recorded: bool,
}

impl From<PurgeReport> for FfiPurgeReport {
    fn from(report: PurgeReport) -> Self {
        Self {
            files_removed: report.files_removed as u64,
            dropped_states: report.dropped_states as u64,
            base_still_holds: report.base_still_holds,
            refusal_recorded: report.refusal_recorded,
        }
    }
}
