//! The error a command ends with.

use std::path::PathBuf;

use crate::models;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Fetching or finding a model failed.
    #[error(transparent)]
    Models(#[from] crate::models::ModelsError),
    /// Reading documents failed.
    #[error(transparent)]
    Ingest(#[from] lorekit_ingest::IngestError),
    /// A pack could not be written or read.
    #[error(transparent)]
    Store(#[from] lorekit_store::Error),
    /// A pack file is not what it should be.
    #[error(transparent)]
    Pack(#[from] lorekit_pack::Error),
    /// A model failed.
    #[error(transparent)]
    Model(#[from] lorekit_model::Error),
    /// Searching failed.
    #[error(transparent)]
    Retrieval(#[from] lorekit_retrieval::Error),
    /// The engine failed.
    #[error(transparent)]
    Answer(#[from] lorekit_answer::Error),
    /// Redacting failed.
    #[error(transparent)]
    Redact(#[from] lorekit_redact::Error),
    /// A file of the command itself could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// An input file has the wrong form.
    #[error("{path}: {reason}")]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        reason: String,
    },
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// Standard output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// `Result` with this crate's [`CliError`].
pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// Whether the user interrupted the command.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            Self::Answer(lorekit_answer::Error::Cancelled)
                | Self::Model(lorekit_model::Error::Cancelled(_))
                | Self::Retrieval(lorekit_retrieval::Error::Cancelled(_))
                | Self::Store(lorekit_store::Error::Cancelled)
                | Self::Ingest(lorekit_ingest::IngestError::Cancelled)
                | Self::Redact(lorekit_redact::Error::Cancelled(_))
                | Self::Models(models::ModelsError::Cancelled)
        )
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
