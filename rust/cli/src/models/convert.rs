//! Turning the files of an embedder into one Q8_0 GGUF file, once, on arrival.

use std::path::Path;

use lorekit_cancel::CancelToken;

use super::error::ModelsError;
use super::progress::Progress;

/// Writes `out` from the files in `source`. The same files give the same bytes.
pub(crate) fn convert(
    name: &str,
    _source: &Path,
    _out: &Path,
    cancel: &CancelToken,
    _progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), ModelsError> {
    cancel.check()?;
    Err(ModelsError::Convert {
        name: name.to_owned(),
        reason: "this build has no converter".to_owned(),
    })
}
