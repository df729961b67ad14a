//! Where the weights of a decoder lie in its file, with every shape checked against the description.
//!
//! Matrices stay in the map and are looked up by name when they are used. Norms and biases are small and are kept
//! as f32 on the heap.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use lorekit_kernels::Matrix;

use super::description::{Architecture, Description};
use crate::{Gguf, Result};

/// A matrix of the file that linear layers use; an adapter may add to it.
#[derive(Clone, Debug)]
pub(crate) struct LinearTensor {
    /// Its name, such as `blk.0.attn_q.weight`.
    pub(crate) name: String,
    /// Outputs.
    pub(crate) rows: usize,
    /// Inputs.
    pub(crate) cols: usize,
}

/// `y = x Wᵀ + b`, where `W` is some rows of a matrix of the file.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// Which of [`Weights::tensors`].
    pub(crate) tensor: usize,
    /// Its rows: all, or half of a fused gate and up.
    pub(crate) rows: Range<usize>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// One transformer block.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) attn_norm: Vec<f32>,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) q_norm: Option<Vec<f32>>,
    pub(crate) k_norm: Option<Vec<f32>>,
    pub(crate) o: Linear,
    pub(crate) post_attn_norm: Option<Vec<f32>>,
    pub(crate) ffn_norm: Vec<f32>,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    pub(crate) post_ffn_norm: Option<Vec<f32>>,
}

/// All weights of a decoder.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// The matrices, each once.
    pub(crate) tensors: Vec<LinearTensor>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
    pub(crate) head: Linear,
    /// What the frequencies of rotary positions are divided by (Llama 3.1 and later).
    pub(crate) rope_factors: Option<Vec<f32>>,
}

/// The name of the embedding table.
pub(crate) const EMBEDDING: &str = "token_embd.weight";

impl Weights {
    /// Finds and checks every tensor that `description` calls for.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) for one that is missing or has another shape,
    /// [`Error::Unsupported`](crate::Error::Unsupported) for one that the description has no use for: leaving it out
    /// would compute something else than the file means.
    pub(crate) fn find(gguf: &Gguf, description: &Description) -> Result<Self> {
        let mut finder = Finder { gguf, tensors: Vec::new(), by_name: HashMap::new(), used: HashSet::new() };
        let d = description;
        let mut layers = Vec::with_capacity(d.n_layers);
        for layer in 0..d.n_layers {
            layers.push(finder.layer(d, layer)?);
        }
        finder.shape(EMBEDDING, &[d.hidden, d.vocab])?;
        let output_norm = finder.vector("output_norm.weight", d.hidden)?;
        let head = if d.tied_head { "token_embd" } else { "output" };
        let mut head = finder.linear(head, d.hidden, d.vocab)?;
        head.bias = finder.optional_vector("output.bias", d.vocab)?;
        let rope_factors = match d.architecture {
            Architecture::Llama => finder.optional_vector("rope_freqs.weight", d.rotary_dim / 2)?,
            _ => None,
        };
        if rope_factors.iter().flatten().any(|f| !(f.is_finite() && *f > 0.0)) {
            return Err(gguf.damaged("tensor rope_freqs.weight holds a factor that is not positive"));
        }
        let weights = Self { tensors: finder.tensors, layers, output_norm, head, rope_factors };
        for info in gguf.tensors() {
            if !finder.used.contains(&info.name) && !is_prediction_layer(&info.name, d) {
                return Err(gguf.unsupported(format!("tensor in architecture {}", d.architecture.name()), &info.name));
            }
        }
        Ok(weights)
    }

    /// The matrix of a linear layer in the model's own layout.
    pub(crate) fn matrix<'a>(&self, gguf: &'a Gguf, linear: &Linear) -> Matrix<'a> {
        let tensor = &self.tensors[linear.tensor];
        let matrix = matrix(gguf, &tensor.name);
        if linear.rows.len() == tensor.rows { matrix } else { matrix.rows_range(linear.rows.clone()) }
    }

    /// The same, in the layout that the kernels read fastest.
    pub(crate) fn fast_matrix<'a>(&self, gguf: &'a Gguf, linear: &Linear) -> Matrix<'a> {
        let tensor = &self.tensors[linear.tensor];
        let rows = linear.rows.clone();
        match gguf.packed_matrix(&tensor.name) {
            Some(packed) if rows.len() == tensor.rows => packed,
            // Half of a fused matrix whose halves are whole tiles, as they are in every model of today.
            Some(packed) if rows.start.is_multiple_of(16) && rows.end.is_multiple_of(16) => packed.rows_range(rows),
            _ => self.matrix(gguf, linear),
        }
    }

    /// Which of [`Self::tensors`] has this name.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.tensors.iter().position(|t| t.name == name)
    }
}

/// A matrix that [`Weights::find`] has found.
pub(crate) fn matrix<'a>(gguf: &'a Gguf, name: &str) -> Matrix<'a> {
    let tensor = gguf.tensor(name).expect("found when the weights were checked");
    tensor.matrix().expect("its shape was checked with the weights")
}

/// Layers for predicting further tokens stand behind the ordinary ones.
fn is_prediction_layer(name: &str, d: &Description) -> bool {
    let number = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next());
    number
        .and_then(|n| n.parse::<usize>().ok())
        .is_some_and(|n| (d.n_layers..d.n_layers + d.n_prediction_layers).contains(&n))
}

struct Finder<'a> {
    gguf: &'a Gguf,
    tensors: Vec<LinearTensor>,
    by_name: HashMap<String, usize>,
    used: HashSet<String>,
}

impl Finder<'_> {
    fn layer(&mut self, d: &Description, layer: usize) -> Result<Layer> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let vector = |finder: &mut Self, wanted: bool, part: &str, len: usize| -> Result<Option<Vec<f32>>> {
            if wanted { finder.vector(&format!("{}.weight", name(part)), len).map(Some) } else { Ok(None) }
        };
        let (gate, up) = if d.fused_gate_up {
            let both = self.linear(&name("ffn_up"), d.hidden, 2 * d.ffn)?;
            let (gate_bias, up_bias) = match both.bias {
                Some(bias) => (Some(bias[..d.ffn].to_vec()), Some(bias[d.ffn..].to_vec())),
                None => (None, None),
            };
            (
                Linear { tensor: both.tensor, rows: 0..d.ffn, bias: gate_bias },
                Linear { tensor: both.tensor, rows: d.ffn..2 * d.ffn, bias: up_bias },
            )
        } else {
            (self.linear(&name("ffn_gate"), d.hidden, d.ffn)?, self.linear(&name("ffn_up"), d.hidden, d.ffn)?)
        };
        Ok(Layer {
            attn_norm: self.vector(&format!("{}.weight", name("attn_norm")), d.hidden)?,
            q: self.linear(&name("attn_q"), d.hidden, d.q_dim())?,
            k: self.linear(&name("attn_k"), d.hidden, d.kv_dim())?,
            v: self.linear(&name("attn_v"), d.hidden, d.kv_dim())?,
            q_norm: vector(self, d.head_norms, "attn_q_norm", d.head_dim)?,
            k_norm: vector(self, d.head_norms, "attn_k_norm", d.head_dim)?,
            o: self.linear(&name("attn_output"), d.q_dim(), d.hidden)?,
            post_attn_norm: vector(self, d.post_norms, "post_attention_norm", d.hidden)?,
            ffn_norm: self.vector(&format!("{}.weight", name("ffn_norm")), d.hidden)?,
            gate,
            up,
            down: self.linear(&name("ffn_down"), d.ffn, d.hidden)?,
            post_ffn_norm: vector(self, d.post_norms, "post_ffw_norm", d.hidden)?,
        })
    }

    /// The linear layer whose tensors are `base.weight` and, if it is there, `base.bias`.
    fn linear(&mut self, base: &str, cols: usize, rows: usize) -> Result<Linear> {
        let name = format!("{base}.weight");
        self.shape(&name, &[cols, rows])?;
        let next = self.tensors.len();
        let tensor = *self.by_name.entry(name.clone()).or_insert(next);
        if tensor == next {
            self.tensors.push(LinearTensor { name, rows, cols });
        }
        let bias = self.optional_vector(&format!("{base}.bias"), rows)?;
        Ok(Linear { tensor, rows: 0..rows, bias })
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>> {
        self.shape(name, &[len])?;
        Ok(self.gguf.require_tensor(name)?.to_f32())
    }

    fn optional_vector(&mut self, name: &str, len: usize) -> Result<Option<Vec<f32>>> {
        if self.gguf.tensor(name).is_some() { self.vector(name, len).map(Some) } else { Ok(None) }
    }

    /// Checks a tensor's shape; trailing dimensions of 1 count as absent.
    fn shape(&mut self, name: &str, wanted: &[usize]) -> Result<()> {
        let tensor = self.gguf.require_tensor(name)?;
        let dims = &tensor.info.dims;
        let fits = dims.len() >= wanted.len()
            && dims[..wanted.len()] == *wanted
            && dims[wanted.len()..].iter().all(|d| *d == 1);
        if !fits {
            return Err(self.gguf.damaged(format!("tensor {name} has shape {dims:?}, the model needs {wanted:?}")));
        }
        tensor.matrix()?;
        self.used.insert(name.to_owned());
        Ok(())
    }
}
