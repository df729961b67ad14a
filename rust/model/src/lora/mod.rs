//! LoRA adapters: low-rank additions to frozen linear layers, chosen by each request.
//!
//! A layer `y = x Wᵀ` becomes `y = x Wᵀ + s (x Aᵀ) Bᵀ` (Hu et al., "LoRA: Low-Rank Adaptation of Large Language
//! Models", 2021). `W` is never touched, so adapters come and go without cost, and several can act together.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, DeviceLocation, Tensor};
use lorekit_kernels::LowRank;

use crate::causal::LanguageModel;
use crate::causal::weights::LinearTensor;
use crate::{Error, Result};

/// The low-rank matrices of one linear layer, by the name of the base tensor, for [`Adapter::from_parts`].
#[derive(Clone, Debug)]
pub struct AdapterPart {
    /// The tensor it adds to, such as `blk.0.attn_q.weight`.
    pub base: String,
    /// Rows of A and columns of B.
    pub rank: usize,
    /// A, `(rank, inputs)`, row-major.
    pub a: Vec<f32>,
    /// B, `(outputs, rank)`, row-major.
    pub b: Vec<f32>,
}

/// A and B of one base tensor, with the adapter's own scale.
pub(crate) struct Pair {
    pub(crate) rank: usize,
    /// `alpha / rank`, or 1 for an alpha of 0.
    pub(crate) scale: f32,
    numbers: Numbers,
}

/// In the form of the compute path that the model takes.
enum Numbers {
    Cpu(LowRank),
    /// A, `(rank, cols)`, and B, `(rows, rank)`.
    Portable {
        a: Vec<f32>,
        b: Vec<f32>,
    },
}

impl Pair {
    /// The factors for our kernels; `None` for an adapter of the portable path, which never comes here.
    pub(crate) fn factors(&self) -> Option<&LowRank> {
        match &self.numbers {
            Numbers::Cpu(factors) => Some(factors),
            Numbers::Portable { .. } => None,
        }
    }

    fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::Cpu(factors) => factors.bytes(),
            Numbers::Portable { a, b } => size_of_val(&a[..]) + size_of_val(&b[..]),
        }
    }
}

/// A and B as tensors on one device.
pub(crate) type DevicePairs = Vec<Option<(Tensor, Tensor)>>;

/// A LoRA adapter, checked against the model it was opened for. Immutable; share it by [`Arc`].
///
/// Memory: two bytes for each number of A and B on our kernels where the base weights are quantized, four where they are
/// floats or on the portable path; on the heap.
pub struct Adapter {
    path: PathBuf,
    id: [u8; 32],
    model: [u8; 32],
    /// One entry for each linear tensor of the model.
    pairs: Vec<Option<Pair>>,
    /// Copies for the portable back end, one for each device that has asked.
    on_devices: Mutex<Vec<(DeviceLocation, Arc<DevicePairs>)>>,
}

impl Adapter {
    /// Reads an adapter in llama.cpp's GGUF form (`general.type` = `adapter`, `adapter.type` = `lora`).
    ///
    /// Cost: reads and hashes the file and copies its numbers.
    ///
    /// # Errors
    /// [`Error::AdapterMismatch`] naming the tensor or key that does not fit `model`, [`Error::Unsupported`] for kinds of adapter other
    /// than plain LoRA, and what [`Gguf::open`](crate::Gguf::open) gives.
    pub fn open(path: &Path, model: &LanguageModel) -> Result<Arc<Self>> {
        file::read(&crate::Gguf::open(path)?, model).map(Arc::new)
    }

    /// As [`open`](Self::open), for bytes in memory; `path` is the name that errors give them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(path: &Path, bytes: &[u8], model: &LanguageModel) -> Result<Arc<Self>> {
        file::read(&crate::Gguf::from_bytes(path, bytes)?, model).map(Arc::new)
    }

    /// An adapter from matrices in memory; `name` stands for a path in errors. `alpha` as in the file form.
    ///
    /// # Errors
    /// [`Error::AdapterMismatch`] as for [`open`](Self::open).
    pub fn from_parts(name: &str, alpha: f32, parts: Vec<AdapterPart>, model: &LanguageModel) -> Result<Arc<Self>> {
        let mut hash = blake3::Hasher::new();
        hash.update(&alpha.to_le_bytes());
        for part in &parts {
            hash.update(part.base.as_bytes()).update(&(part.rank as u64).to_le_bytes());
            for value in part.a.iter().chain(&part.b) {
                hash.update(&value.to_le_bytes());
            }
        }
        let path = PathBuf::from(name);
        Self::check(path, *hash.finalize().as_bytes(), alpha, parts, model).map(Arc::new)
    }

    /// Puts the parts into the order of the model's tensors; every shape is compared.
    fn check(path: PathBuf, id: [u8; 32], alpha: f32, parts: Vec<AdapterPart>, model: &LanguageModel) -> Result<Self> {
        let mismatch = |reason: String| Error::AdapterMismatch { path: path.clone(), reason };
        if !alpha.is_finite() {
            return Err(mismatch(format!("alpha is {alpha}")));
        }
        let weights = model.weights();
        let mut pairs: Vec<Option<Pair>> = Vec::new();
        pairs.resize_with(weights.tensors.len(), || None);
        for AdapterPart { base, rank, a, b } in parts {
            let Some(index) = weights.index_of(&base) else {
                let known = model.gguf().tensor(&base).is_some();
                let reason = if known { "cannot be adapted" } else { "is not in the model" };
                return Err(mismatch(format!("tensor {base} {reason}")));
            };
            let LinearTensor { rows, cols, .. } = weights.tensors[index];
            if model.description().tied_head && base == crate::causal::weights::EMBEDDING {
                return Err(mismatch(format!("tensor {base} cannot be adapted: it is both table and head")));
            }
            let fits = |len: usize, width: usize| rank.checked_mul(width) == Some(len);
            if rank == 0 || !fits(a.len(), cols) || !fits(b.len(), rows) {
                return Err(mismatch(format!(
                    "tensor {base} is ({rows}, {cols}), which rank {rank} with {} and {} numbers does not fit",
                    a.len(),
                    b.len()
                )));
            }
            if a.iter().chain(&b).any(|v| !v.is_finite()) {
                return Err(mismatch(format!("tensor {base} has a number that is not finite")));
            }
            let scale = if alpha == 0.0 { 1.0 } else { alpha / rank as f32 };
            let numbers = if model.portable().is_some() {
                Numbers::Portable { a, b }
            } else {
                // Beside quantized weights f16 loses nothing that could be seen.
                let floats = model.gguf().require_tensor(&base)?.info.format.is_float();
                let compact = if floats { None } else { LowRank::compact(rank, &a, &b, cols, rows) };
                Numbers::Cpu(compact.unwrap_or_else(|| LowRank::exact(rank, &a, &b, cols, rows)))
            };
            if pairs[index].replace(Pair { rank, scale, numbers }).is_some() {
                return Err(mismatch(format!("tensor {base} is adapted twice")));
            }
        }
        Ok(Self { path, id, model: owner(model), pairs, on_devices: Mutex::new(Vec::new()) })
    }

    /// What tells this adapter from others: the hash of its file.
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The largest rank among its layers.
    pub fn rank(&self) -> usize {
        self.pairs.iter().flatten().map(|pair| pair.rank).max().unwrap_or(0)
    }

    /// How many layers it adds to.
    pub fn n_adapted(&self) -> usize {
        self.pairs.iter().flatten().count()
    }

    /// Bytes its numbers take on the heap.
    pub fn bytes(&self) -> usize {
        self.pairs.iter().flatten().map(Pair::bytes).sum()
    }

    pub(crate) fn pair(&self, tensor: usize) -> Option<&Pair> {
        self.pairs.get(tensor)?.as_ref()
    }

    /// A and B on a device; uploaded on first use and kept.
    pub(crate) fn on_device(&self, device: &Device) -> Result<Arc<DevicePairs>> {
        let mut kept = self.on_devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pairs)) = kept.iter().find(|(place, _)| *place == device.location()) {
            return Ok(pairs.clone());
        }
        let upload = |pair: &Pair| -> Result<(Tensor, Tensor)> {
            let Numbers::Portable { a, b } = &pair.numbers else {
                return Err(Error::InvalidArgument("an adapter that was opened for another compute path".to_owned()));
            };
            let (cols, rows) = (a.len() / pair.rank, b.len() / pair.rank);
            Ok((Tensor::from_slice(a, (pair.rank, cols), device)?, Tensor::from_slice(b, (rows, pair.rank), device)?))
        };
        let pairs: Result<DevicePairs> = self.pairs.iter().map(|pair| pair.as_ref().map(upload).transpose()).collect();
        let pairs = Arc::new(pairs?);
        kept.push((device.location(), pairs.clone()));
        Ok(pairs)
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("path", &self.path)
            .field("rank", &self.rank())
            .field("n_adapted", &self.n_adapted())
            .finish_non_exhaustive()
    }
}

/// The adapters of one request, each with a strength; they act as the sum of their parts.
#[derive(Clone, Debug, Default)]
pub struct AdapterSet {
    entries: Vec<(Arc<Adapter>, f32)>,
}

impl AdapterSet {
    /// Adapters with their strengths: 1 for as it was trained, less for weaker, negative for the contrary.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a strength that is not finite.
    pub fn new(entries: Vec<(Arc<Adapter>, f32)>) -> Result<Self> {
        match entries.iter().find(|(_, strength)| !strength.is_finite()) {
            Some((_, strength)) => Err(Error::InvalidArgument(format!("adapter strength {strength}"))),
            None => Ok(Self { entries }),
        }
    }

    /// One adapter as it was trained.
    pub fn single(adapter: Arc<Adapter>) -> Self {
        Self { entries: vec![(adapter, 1.0)] }
    }

    /// The adapters and their strengths, in order.
    pub fn entries(&self) -> &[(Arc<Adapter>, f32)] {
        &self.entries
    }

    /// What tells this set from others, all zeros for none; keys and values in a cache depend on it.
    pub fn id(&self) -> [u8; 32] {
        if self.entries.is_empty() {
            return [0; 32];
        }
        let mut hash = blake3::Hasher::new();
        for (adapter, strength) in &self.entries {
            hash.update(&adapter.id).update(&strength.to_le_bytes());
        }
        *hash.finalize().as_bytes()
    }

    /// Whether every adapter was opened for this model.
    pub(crate) fn check(&self, model: &LanguageModel) -> Result<()> {
        match self.entries.iter().find(|(adapter, _)| adapter.model != owner(model)) {
            Some((adapter, _)) => Err(Error::AdapterMismatch {
                path: adapter.path.clone(),
                reason: "it was opened for another model or compute path".to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// What an adapter is opened for: a model on one compute path.
fn owner(model: &LanguageModel) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(&model.identity()).update(&[u8::from(model.portable().is_some())]);
    *hash.finalize().as_bytes()
}
