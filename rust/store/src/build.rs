//! Building a pack.

use std::path::Path;

use lorekit_cancel::CancelToken;

use crate::error::Result;
use crate::types::{BuildInput, BuildProgress, BuildReport};

/// Builds one pack at `path` from documents, passages and vectors.
///
/// The same input gives the same bytes. The file appears whole or not at all: an error, a cancelled token or a full
/// disk leaves neither it nor a temporary file behind.
///
/// # Errors
/// [`Error::InvalidInput`](crate::Error::InvalidInput) if the parts do not fit together,
/// [`Error::Cancelled`](crate::Error::Cancelled), or what the disk, SQLite or usearch refused.
pub fn write_pack(
    path: impl AsRef<Path>,
    input: &BuildInput<'_>,
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<BuildReport> {
    cancel.check()?;
    let _ = (path.as_ref(), input, progress);
    unimplemented!("under construction")
}
