//! An opened language model: the mapped file, its description, and a compute path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorekit_kernels::{Format, KvType, ThreadPool};

use super::description::Description;
use super::portable::PortableModel;
use super::session::Session;
use super::weights::{EMBEDDING, Weights};
use crate::lora::AdapterSet;
use crate::{Error, Gguf, Result};

/// Which compute path a model takes.
#[derive(Clone, Debug, Default)]
pub enum BackendChoice {
    /// Our CPU kernels over the mapped weights.
    #[default]
    Cpu,
    /// candle's tensors on this device. Weights are copied to it.
    Portable(candle_core::Device),
}

/// How to open a model.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Threads that compute, the caller's included. Only for [`BackendChoice::Cpu`]; the number does not change results.
    pub threads: usize,
    /// The compute path.
    pub backend: BackendChoice,
    /// Tokens computed between two looks at the cancel token; a larger piece is somewhat faster, takes memory (tens of
    /// kilobytes for each token) and answers a cancellation later. At least 1.
    pub prefill_piece: usize,
    /// How sessions store keys and values. 8 bits take a little more than half of the memory and are less exact; only
    /// for [`BackendChoice::Cpu`].
    pub kv_type: KvType,
    /// A folder for the side file: the matrices once more in the layout that our kernels read fastest, about as large
    /// as the model, made at the first opening (some seconds) and mapped from then on. Without one, or where it cannot
    /// be written, the weights are read from the model file itself, which gives the same bits more slowly.
    pub side_folder: Option<PathBuf>,
}

impl Default for LoadOptions {
    /// One thread, our kernels, pieces of 256 tokens, no side file.
    fn default() -> Self {
        Self { threads: 1, backend: BackendChoice::Cpu, prefill_piece: 256, kv_type: KvType::F16, side_folder: None }
    }
}

/// What a model is, for people and for planning memory.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// The family, such as `qwen2`.
    pub architecture: String,
    /// What the file calls itself; empty if it does not.
    pub name: String,
    /// Transformer blocks.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of tokens.
    pub vocab: usize,
    /// Positions the model was trained for.
    pub context_length: usize,
    /// Length of the file.
    pub file_bytes: u64,
    /// Length of the side file; `None` without one.
    pub side_file_bytes: Option<u64>,
    /// How many tensors are stored in each format, the most frequent first.
    pub formats: Vec<(Format, usize)>,
}

/// A causal language model over its mapped file. Immutable and shared; the state of a text is a [`Session`].
pub struct LanguageModel {
    gguf: Arc<Gguf>,
    description: Description,
    weights: Weights,
    pool: ThreadPool,
    portable: Option<PortableModel>,
    prefill_piece: usize,
    kv_type: KvType,
    identity: [u8; 32],
}

impl LanguageModel {
    /// Maps a model file and checks everything that computing will rely on.
    ///
    /// Cost: the header, the small vectors, and a few pages of each matrix; the portable path also copies all weights.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the architecture or the detail that this version does not do, [`Error::Damaged`]
    /// for a missing or misshapen tensor, [`Error::InvalidArgument`] for a piece of 0, and what [`Gguf::open`] gives.
    pub fn open(path: &Path, options: &LoadOptions) -> Result<Arc<Self>> {
        let mut gguf = Gguf::open(path)?;
        if let (Some(folder), BackendChoice::Cpu) = (&options.side_folder, &options.backend) {
            let skip = looked_up(&gguf);
            gguf = gguf.with_packed(folder, skip, &ThreadPool::new(options.threads))?;
        }
        Self::from_gguf(Arc::new(gguf), options)
    }

    /// As [`open`](Self::open), for a file that is mapped already; no side file is looked for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_gguf(gguf: Arc<Gguf>, options: &LoadOptions) -> Result<Arc<Self>> {
        if options.prefill_piece == 0 {
            return Err(Error::InvalidArgument("prefill_piece of 0".to_owned()));
        }
        if let BackendChoice::Portable(device) = &options.backend
            && device.is_cpu()
            && !has_dot_product()
        {
            return Err(Error::InvalidArgument(
                "the portable path on an Arm processor without the dot product".to_owned(),
            ));
        }
        let description = Description::read(&gguf)?;
        let weights = Weights::find(&gguf, &description)?;
        let (threads, portable) = match &options.backend {
            BackendChoice::Cpu => (options.threads, None),
            BackendChoice::Portable(device) => (1, Some(PortableModel::load(&gguf, &description, &weights, device)?)),
        };
        let identity = identity(&gguf, &description);
        if gguf.packed_bytes().is_some() {
            // What was looked at once is not needed again: products read the side file.
            gguf.release_pages();
        }
        let prefill_piece = options.prefill_piece;
        let pool = ThreadPool::new(threads);
        let kv_type = options.kv_type;
        Ok(Arc::new(Self { gguf, description, weights, pool, portable, prefill_piece, kv_type, identity }))
    }

    /// What the network is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The model file.
    pub fn gguf(&self) -> &Arc<Gguf> {
        &self.gguf
    }

    /// What the model is, for people and for planning memory.
    pub fn info(&self) -> ModelInfo {
        let mut formats: Vec<(Format, usize)> = Vec::new();
        for info in self.gguf.tensors() {
            match formats.iter_mut().find(|(format, _)| *format == info.format) {
                Some((_, count)) => *count += 1,
                None => formats.push((info.format, 1)),
            }
        }
        formats.sort_by_key(|(format, count)| (usize::MAX - count, format.ggml_id()));
        let d = &self.description;
        ModelInfo {
            architecture: d.architecture.name().to_owned(),
            name: self.gguf.str("general.name").unwrap_or_default().to_owned(),
            n_layers: d.n_layers,
            hidden: d.hidden,
            vocab: d.vocab,
            context_length: d.context_length,
            file_bytes: self.gguf.file_bytes(),
            side_file_bytes: self.gguf.packed_bytes(),
            formats,
        }
    }

    /// A hash that tells models apart without reading the whole file: of the description, of the names, formats and
    /// places of all tensors, and of two pages of each. It keys caches; against a forger use [`Gguf::fingerprint`].
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// The key under which the cache of `tokens`, computed with these adapters, may be kept outside the process.
    /// Another model, adapter, compute path or version of it gives another key.
    pub fn prefix_key(&self, tokens: &[u32], adapters: Option<&AdapterSet>) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.identity)
            .update(&[self.backend_tag()])
            .update(&super::snapshot::CACHE_VERSION.to_le_bytes())
            .update(&adapters.map(AdapterSet::id).unwrap_or_default());
        for token in tokens {
            hash.update(&token.to_le_bytes());
        }
        *hash.finalize().as_bytes()
    }

    /// An empty sequence with room for `capacity` tokens. All memory it will use is set aside here.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0, [`Error::ContextFull`] for more than the model's context length.
    pub fn new_session(self: &Arc<Self>, capacity: usize) -> Result<Session> {
        Session::new(self.clone(), capacity)
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    pub(crate) fn pool(&self) -> &ThreadPool {
        &self.pool
    }

    pub(crate) fn portable(&self) -> Option<&PortableModel> {
        self.portable.as_ref()
    }

    pub(crate) fn prefill_piece(&self) -> usize {
        self.prefill_piece
    }

    /// Caches of different compute paths do not mix.
    pub(crate) fn backend_tag(&self) -> u8 {
        match (&self.portable, self.kv_type) {
            (Some(_), _) => 1,
            (None, KvType::F16) => 0,
            (None, KvType::Q8) => 2,
        }
    }

    /// How sessions store keys and values.
    pub(crate) fn kv_type(&self) -> KvType {
        self.kv_type
    }
}

impl fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanguageModel").field("gguf", &self.gguf).finish_non_exhaustive()
    }
}

/// Whether candle's products of quantized weights can run: on Arm they use `sdot` without asking (0.11.1), which older
/// processors do not have. Our own kernels ask.
fn has_dot_product() -> bool {
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(target_arch = "aarch64"))]
    return true;
}

fn identity(gguf: &Gguf, description: &Description) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{description:?}").as_bytes()).update(&gguf.sample_hash());
    *hash.finalize().as_bytes()
}

/// The tables that are only looked up: the embedding, unless it is the head as well.
fn looked_up(gguf: &Gguf) -> &'static [&'static str] {
    if gguf.tensor("output.weight").is_some() { &[EMBEDDING] } else { &[] }
}
