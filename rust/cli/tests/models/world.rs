//! A cache folder, a catalogue with one model, and options that wait only shortly.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use lorekit_cancel::CancelToken;
use lorekit_cli::models::{Catalogue, ModelsError, Progress, PullOptions, Timeouts, ensure};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub const HUB: &str = "[[model.source]]\nkind = \"hub\"\nrepo = \"o/r\"\nrevision = \"v1\"\nfile = \"m.gguf\"\n";
pub const SCOPE: &str =
    "[[model.source]]\nkind = \"modelscope\"\nrepo = \"o/r\"\nrevision = \"master\"\nfile = \"m.gguf\"\n";

/// Bytes that look like nothing in particular, long enough for several blocks.
pub fn content() -> Vec<u8> {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let words = 0..200_000u32;
        words.flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    });
    BYTES.clone()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub struct World {
    pub folder: TempDir,
    pub options: PullOptions,
    /// What was told on the way, one line each.
    pub told: Vec<String>,
}

impl World {
    /// A world with the model `m` of these bytes and these sources.
    pub fn new(bytes: &[u8], sources: &str) -> Self {
        let head = "[endpoints]\nhub = \"http://127.0.0.1:1\"\nmodelscope = \"http://127.0.0.1:1\"\n";
        let (size, sha256) = (bytes.len(), sha256(bytes));
        let model = format!(
            "name = \"m\"\nuse = \"chat\"\nabout = \"a\"\nlicence = \"l\"\nsize = {size}\nsha256 = \"{sha256}\"\n"
        );
        let catalogue = Catalogue::parse(&format!("{head}[[model]]\n{model}{sources}"), "test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut options = PullOptions::with_catalogue(catalogue, &CancelToken::new());
        options.endpoints = options.catalogue.endpoints.clone();
        options.hub_token = None;
        options.cache = folder.path().join("cache");
        // Long enough for a machine that does much else; the tests of silence set their own.
        options.timeouts = Timeouts { connect: Duration::from_secs(60), idle: Duration::from_secs(60) };
        options.pip = Some(PathBuf::from("no-such-pip"));
        Self { folder, options, told: Vec::new() }
    }

    pub fn hub(mut self, address: &str) -> Self {
        self.options.endpoints.hub = address.to_owned();
        self
    }

    pub fn scope(mut self, address: &str) -> Self {
        self.options.endpoints.modelscope = address.to_owned();
        self
    }

    pub fn ensure(&mut self) -> Result<PathBuf, ModelsError> {
        let told = &mut self.told;
        ensure("m", &self.options, &mut |step| match step {
            Progress::Failed { source, error, .. } => told.push(format!("{source}: {error}")),
            Progress::Trying { source, .. } => told.push(format!("trying {source}")),
            _ => {}
        })
    }

    pub fn model_folder(&self) -> PathBuf {
        self.options.cache.join("models/m")
    }

    /// All files below the model's folder but the lock, relative, sorted.
    pub fn files(&self) -> Vec<String> {
        let root = self.model_folder();
        let mut files = Vec::new();
        collect(&root, &root, &mut files);
        files.retain(|file| file != "lock");
        files.sort();
        files
    }

    /// The part file of `model.gguf`.
    pub fn part(&self) -> PathBuf {
        let hash = self.options.catalogue.models[0].sha256.known().unwrap().to_owned();
        self.model_folder().join(format!("incoming/model.gguf.{}.part", &hash[..16]))
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}
