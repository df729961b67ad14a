//! From a name or a path on the command line to a model file.

use std::path::{Path, PathBuf};

use lorekit_pack::EmbedderInfo;

use crate::error::{CliError, Result};
use crate::models::{self, Catalogue, PullOptions};

/// The default language model.
pub(crate) const DEFAULT_MODEL: &str = "qwen2.5-coder-0.5b-instruct";
/// The default embedder.
pub(crate) const DEFAULT_EMBEDDER: &str = "embeddinggemma-300m";

/// A path as it stands, or a name of the catalogue, fetched if it is not here yet.
pub(crate) fn model(name_or_path: &str, offline: bool, cancel: &lorekit_cancel::CancelToken) -> Result<PathBuf> {
    let path = Path::new(name_or_path);
    if path.is_file() || path.extension().is_some_and(|extension| extension == "gguf") {
        return Ok(path.to_path_buf());
    }
    let options = PullOptions { offline, ..PullOptions::with_catalogue(Catalogue::built_in()?, cancel) };
    let mut printer = models::ProgressPrinter::new();
    Ok(models::ensure(name_or_path, &options, &mut |progress| printer.show(&progress))?)
}

/// The catalogue's embedder for a pack, by what the pack's manifest says of it.
pub(crate) fn embedder_for(info: &EmbedderInfo) -> Result<&'static str> {
    match (info.architecture.as_str(), info.dims) {
        ("gemma-embedding", _) => Ok("embeddinggemma-300m"),
        ("bert", 384) => Ok("minilm-l6-v2"),
        (architecture, dims) => Err(CliError::Usage(format!(
            "the pack was built with an embedder that is not in the catalogue ({architecture}, {dims} dimensions): name its file with --embedder"
        ))),
    }
}

/// The engine's cache folder on a developer's machine.
pub(crate) fn run_folder() -> PathBuf {
    models::cache_root().join("run")
}

/// Where side files of models lie.
pub(crate) fn side_folder() -> PathBuf {
    run_folder().join("side")
}

/// The number of threads: all processors when 0 is asked.
pub(crate) fn threads(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        n => n,
    }
}
