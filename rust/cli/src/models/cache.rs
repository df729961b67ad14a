//! Where models lie on this machine, and what state each is in.
//!
//! `CACHE/models/NAME/model.gguf` is the model; beside it `receipt.json` says which bytes were checked,
//! so that a start need not hash half a gigabyte again. `incoming/` holds what is on its way,
//! and `lock` keeps two pulls of one model apart.

use std::env;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use lorekit_cancel::CancelToken;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::catalogue::Model;
use super::error::ModelsError;
use super::progress::Progress;

/// The cache folder: `LOREKIT_CACHE` where set, else the platform's place for caches with `lorekit` added
/// (`$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`).
/// A user without a home folder gets one in the system's folder for temporary files.
pub fn cache_root() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(root) = set("LOREKIT_CACHE") {
        return root;
    }
    let home = || env::home_dir().filter(|h| !h.as_os_str().is_empty());
    let platform = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|h| h.join("Library").join("Caches"))
    } else {
        // The base directory specification says that a relative path there is to be ignored.
        set("XDG_CACHE_HOME").filter(|p| p.is_absolute()).or_else(|| home().map(|h| h.join(".cache")))
    };
    platform.unwrap_or_else(env::temp_dir).join("lorekit")
}

/// The folder of one model and the paths in it.
#[derive(Clone, Debug)]
pub(crate) struct ModelFolder {
    pub root: PathBuf,
}

impl ModelFolder {
    pub fn new(cache: &Path, name: &str) -> Self {
        Self { root: cache.join("models").join(name) }
    }

    /// The finished model.
    pub fn model(&self) -> PathBuf {
        self.root.join("model.gguf")
    }

    /// The files an embedder was converted from, where the user keeps them.
    pub fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    /// What is on its way.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    fn receipt(&self) -> PathBuf {
        self.root.join("receipt.json")
    }

    /// What is known about the model without reading its bytes.
    pub fn state(&self, model: &Model) -> State {
        let Ok(meta) = fs::metadata(self.model()) else {
            let bytes = folder_bytes(&self.incoming(), 0);
            return if bytes > 0 { State::Partial(bytes) } else { State::Absent };
        };
        match self.read_receipt(&meta) {
            Some(receipt) if model.accepted().contains(&receipt.sha256.as_str()) => State::Ready,
            Some(receipt) if receipt.unverified => State::Unverified,
            Some(_) => State::Other,
            None => State::Unchecked,
        }
    }

    /// The receipt, if it speaks of the file that `meta` describes.
    fn read_receipt(&self, meta: &Metadata) -> Option<Receipt> {
        let text = fs::read_to_string(self.receipt()).ok()?;
        let receipt: Receipt = serde_json::from_str(&text).ok()?;
        (receipt.size == meta.len() && receipt.modified == modified(meta)).then_some(receipt)
    }

    /// Notes that `model.gguf` as it lies there has this hash. A cache that cannot be written
    /// only costs the next start a hash, so failing to write is not an error.
    pub fn write_receipt(&self, sha256: &str, unverified: bool) {
        let Ok(meta) = fs::metadata(self.model()) else {
            return;
        };
        let receipt = Receipt { sha256: sha256.to_owned(), size: meta.len(), modified: modified(&meta), unverified };
        if let Ok(text) = serde_json::to_string(&receipt) {
            let _ = fs::write(self.receipt(), text);
        }
    }

    /// The hash in the receipt, for a model that the catalogue could not verify.
    pub fn received(&self) -> Option<String> {
        let meta = fs::metadata(self.model()).ok()?;
        self.read_receipt(&meta).map(|receipt| receipt.sha256)
    }

    /// Waits until no other process fetches this model. The lock ends with the value, also when the process dies.
    pub fn lock(
        &self,
        name: &str,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<File, ModelsError> {
        fs::create_dir_all(&self.root).map_err(|e| ModelsError::io("create", &self.root, e))?;
        let path = self.root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| ModelsError::io("write", &path, e))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks must not keep a user from their model.
                Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {
                    return Ok(file);
                }
                Err(TryLockError::Error(e)) => return Err(ModelsError::io("lock", &path, e)),
            }
            if !told {
                progress(Progress::Waiting { model: name });
                told = true;
            }
            cancel.check()?;
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// What is known about a model in the cache without reading its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There, and its bytes were checked since they last changed.
    Ready,
    /// There; its bytes have not been checked yet.
    Unchecked,
    /// There, taken from a source whose hash nobody has checked, because the user asked for it.
    Unverified,
    /// There, and its bytes are not those of the catalogue.
    Other,
    /// That many bytes of it have arrived.
    Partial(u64),
    /// Not there.
    Absent,
}

#[derive(Deserialize, Serialize)]
struct Receipt {
    sha256: String,
    size: u64,
    /// Nanoseconds since 1970; a number that JSON readers keep exactly only as text.
    modified: String,
    #[serde(default)]
    unverified: bool,
}

fn modified(meta: &Metadata) -> String {
    let since = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.map_or_else(String::new, |d| d.as_nanos().to_string())
}

/// Bytes of all files below `folder`, at most eight levels deep; 0 when it is not there.
pub(crate) fn folder_bytes(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() && depth < 8 => folder_bytes(&entry.path(), depth + 1),
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        })
        .sum()
}

/// SHA-256 of a file in lower-case hexadecimal, about half a gigabyte a second.
pub(crate) fn hash_file(
    path: &Path,
    what: &str,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<String, ModelsError> {
    let failed = |e| ModelsError::io("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        cancel.check()?;
        let n = file.read(&mut block).map_err(failed)?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..n]);
        done += n as u64;
        progress(Progress::Checking { what, done, total });
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
