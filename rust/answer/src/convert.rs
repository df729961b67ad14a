//! The one place where the errors of the crates below turn into the error an app sees.
//! Every match is exhaustive, so that a new variant is a decision here.

use std::path::{Path, PathBuf};

use lorekit_store::Refusal;

use crate::Error;

pub(crate) fn model(error: lorekit_model::Error) -> Error {
    use lorekit_model::Error as E;
    match error {
        E::Io { path, source } => Error::io(&path, &source),
        E::Damaged { path, reason } => Error::Damaged { path, reason },
        E::Unsupported { path, what, found } => Error::Unsupported { path, reason: format!("{what}: {found}") },
        E::ContextFull { tokens, limit } => Error::QuestionTooLong { tokens, limit },
        E::AdapterMismatch { path, reason } => Error::AdapterMismatch { adapter: path.display().to_string(), reason },
        E::Cancelled(_) => Error::Cancelled,
        E::Template(reason) => Error::Internal { reason: format!("chat template: {reason}") },
        E::InvalidArgument(reason) => Error::Internal { reason },
        E::Backend(source) => Error::Internal { reason: format!("portable back end: {source}") },
    }
}

pub(crate) fn retrieval(error: lorekit_retrieval::Error) -> Error {
    use lorekit_retrieval::Error as E;
    match error {
        E::EmptyQuestion => Error::EmptyQuestion,
        E::Store(error) => store(error),
        E::Model(error) => model(error),
        E::EmbedderMismatch { pack, device } => Error::EmbedderMismatch { pack, device },
        E::Cancelled(_) => Error::Cancelled,
    }
}

pub(crate) fn store(error: lorekit_store::Error) -> Error {
    use lorekit_store::Error as E;
    let reason = error.to_string();
    match error {
        E::Pack(error) => pack(error),
        E::Io { path, source, .. } => Error::io(&path, &source),
        E::DiskFull { .. } => Error::Storage { reason },
        E::Database { path, .. }
        | E::ForeignSchema { path, .. }
        | E::Inconsistent { path, .. }
        | E::DamagedIndex { path, .. }
        | E::Index { path, .. }
        | E::DamagedRecord { path, .. }
        | E::DamagedSeal { path } => damaged(path, &reason),
        E::UnsupportedVersion { path, .. } | E::Unsupported { path, .. } | E::ForeignMember { path, .. } => {
            unsupported(path, &reason)
        }
        E::Refused { path, refusal } => refused(path, &refusal),
        E::Purged { path } => Error::Purged { path },
        E::Locked { path } => Error::Locked { path },
        E::WrongKey { path } => Error::WrongKey { path },
        E::ReadOnlyLibrary => Error::ReadOnly,
        E::NothingToRollBackTo => Error::NothingToRollBackTo,
        E::QueryDimensions { .. }
        | E::QueryNotFinite
        | E::NoSuchPassage { .. }
        | E::InvalidInput { .. }
        | E::EmptyChain => Error::Internal { reason },
        E::Cancelled => Error::Cancelled,
    }
}

/// A pack that is sound in itself and does not fit the library.
fn refused(path: PathBuf, refusal: &Refusal) -> Error {
    let reason = refusal.to_string();
    match refusal {
        Refusal::OtherPack { .. } => Error::OtherPack { path, reason },
        Refusal::NotADelta => Error::Unsupported { path, reason },
        Refusal::Replayed { .. } => Error::Replayed { path, reason },
        Refusal::Fork { .. } => Error::Fork { path, reason },
        Refusal::OtherParent { .. } => Error::OtherParent { path, reason },
        Refusal::ClockTurnedBack { .. } => Error::ClockTurnedBack { path, reason },
        Refusal::OtherState { .. } | Refusal::ChangedOnTheWay => Error::Damaged { path, reason },
    }
}

fn pack(error: lorekit_pack::Error) -> Error {
    use lorekit_pack::Error as E;
    let reason = error.to_string();
    match error {
        E::Io { path, source, .. } => Error::io(&path, &source),
        E::UnsupportedVersion { path, .. } | E::UnsupportedFeature { path, .. } => unsupported(path, &reason),
        E::NotAPack { path }
        | E::Truncated { path, .. }
        | E::Damaged { path, .. }
        | E::HashMismatch { path, .. }
        | E::ManifestSyntax { path, .. }
        | E::ManifestValue { path, .. }
        | E::MissingSection { path, .. } => damaged(path, &reason),
        E::Sealed { path, source } => match source {
            lorekit_seal::Error::Io { source, .. } => Error::io(&path, &source),
            lorekit_seal::Error::Cancelled => Error::Cancelled,
            lorekit_seal::Error::UnsupportedVersion { .. } => unsupported(path, &reason),
            _ => damaged(path, &reason),
        },
        E::KeyNeeded { path } => Error::KeyNeeded { path },
        E::WrongKey { path } => Error::WrongKey { path },
        E::NotMapped { path, .. } => unsupported(path, &reason),
        E::KeySetExpired { path, .. } | E::PackExpired { path, .. } => {
            Error::Expired { reason: without_path(&path, &reason), path }
        }
        E::KeyFile { reason, .. } => Error::InvalidKey { reason },
        E::Unsigned { path }
        | E::SignatureArea { path, .. }
        | E::UnsupportedSignatures { path, .. }
        | E::BadSignature { path, .. }
        | E::UnknownSigner { path, .. }
        | E::KeyNotInSet { path, .. }
        | E::KeySetUnknownRoot { path, .. }
        | E::KeySetBadSignature { path, .. }
        | E::KeySetOutdated { path, .. }
        | E::KeySetForOtherPack { path, .. }
        | E::RollbackBadSignature { path, .. }
        | E::RollbackUnknownSigner { path, .. }
        | E::RollbackForOtherPack { path, .. } => Error::Untrusted { reason: without_path(&path, &reason), path },
        E::NoRandomness | E::BadDate { .. } | E::InvalidInput { .. } | E::BadIdentifier { .. } => {
            Error::Internal { reason }
        }
    }
}

fn damaged(path: PathBuf, reason: &str) -> Error {
    Error::Damaged { reason: without_path(&path, reason), path }
}

fn unsupported(path: PathBuf, reason: &str) -> Error {
    Error::Unsupported { reason: without_path(&path, reason), path }
}

/// The inner messages name the file themselves; once is enough.
fn without_path(path: &Path, reason: &str) -> String {
    reason.strip_prefix(&format!("{}: ", path.display())).unwrap_or(reason).to_owned()
}
