//! Turning the files of an embedder into one Q8_0 GGUF file, once, on arrival.

use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{self, Precision};

use super::error::ModelsError;
use super::progress::Progress;

/// Writes `out` from the files in `source`. The same files give the same bytes on every machine,
/// so that the catalogue can name their hash.
pub(crate) fn convert(
    name: &str,
    source: &Path,
    out: &Path,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), ModelsError> {
    let mut show = |done, total| progress(Progress::Converting { model: name, done, total });
    match embed::convert(source, out, Precision::Q8_0, &mut show, cancel) {
        Ok(_) => Ok(()),
        Err(_) if cancel.is_cancelled() => Err(ModelsError::Cancelled),
        Err(error) => Err(ModelsError::Convert { name: name.to_owned(), reason: error.to_string() }),
    }
}
