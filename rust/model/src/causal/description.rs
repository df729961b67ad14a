//! What a decoder looks like, read from the metadata of its file.
//!
//! Facts are those of llama.cpp's model graphs (`src/models/{llama,qwen2,qwen3,gemma3,glm4}.cpp`, `llama-hparams`)
//! and of the GGUF specification. Everything a file may say that this code does not do is refused here, by name:
//! a model that runs slightly wrong is worse than one that does not open.

use lorekit_kernels::RopeStyle;

use crate::{Array, Error, Gguf, Result, Value};

/// The most layers and the widest vectors that are believed; the largest published models have about 130 and 20,000.
const MOST_LAYERS: usize = 1024;
const WIDEST: usize = 1 << 20;

/// A family of decoders, by the name GGUF gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Llama 2 to 3.2, SmolLM2 and others of that form.
    Llama,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3.
    Qwen3,
    /// Gemma 3, text only.
    Gemma3,
    /// GLM-4 (0414 and later).
    Glm4,
}

impl Architecture {
    /// All families this version runs.
    pub const ALL: [Self; 5] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma3, Self::Glm4];

    /// The value of `general.architecture`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
            Self::Glm4 => "glm4",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// The nonlinearity of the feed-forward part, applied to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU in its tanh form.
    GeluTanh,
}

/// How positions turn query and key heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f32,
    /// What positions are multiplied with: 1, or 1/8 for a window stretched eight times.
    pub position_scale: f32,
}

/// A causal decoder: every number that its computation needs, and nothing of its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The family.
    pub architecture: Architecture,
    /// Transformer blocks.
    pub n_layers: usize,
    /// Further blocks in the file that predict later tokens (GLM); they take no part in ordinary decoding.
    pub n_prediction_layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Number of tokens.
    pub vocab: usize,
    /// Positions the model was trained for.
    pub context_length: usize,
    /// The epsilon of all norms.
    pub norm_eps: f32,
    /// Which numbers of a head turn together.
    pub rope_style: RopeStyle,
    /// How many numbers of a head turn; the others pass.
    pub rotary_dim: usize,
    /// Positions of layers that see everything.
    pub rope: Rope,
    /// Positions of layers that see a window.
    pub local_rope: Rope,
    /// How many positions a local layer sees, its own included.
    pub window: usize,
    /// Which layers are local; all false but for Gemma 3.
    pub local_layers: Vec<bool>,
    /// The nonlinearity of the feed-forward part.
    pub activation: Activation,
    /// Whether gate and up are one matrix, gate first, stored as `ffn_up`.
    pub fused_gate_up: bool,
    /// Whether each query and key head has a norm before its positions.
    pub head_norms: bool,
    /// Whether attention and feed-forward outputs have a norm before they are added.
    pub post_norms: bool,
    /// What embeddings are multiplied with.
    pub embedding_scale: f32,
    /// What attention scores are multiplied with.
    pub attention_scale: f32,
    /// Logits are `cap · tanh(logits / cap)`.
    pub logit_cap: Option<f32>,
    /// Whether the embedding table is the head too.
    pub tied_head: bool,
}

impl Description {
    /// Reads and checks the metadata of a model file. Tensors are looked at only for the size of the vocabulary and
    /// whether there is a head; [`Weights`](super::weights::Weights) checks their shapes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming what this version does not do, [`Error::Damaged`] for missing or senseless values.
    pub fn read(gguf: &Gguf) -> Result<Self> {
        if let Some(kind) = gguf.str("general.type").filter(|kind| *kind != "model") {
            return Err(gguf.unsupported("general.type of a model file", kind));
        }
        let architecture = Architecture::from_name(gguf.architecture())
            .ok_or_else(|| gguf.unsupported("architecture", gguf.architecture()))?;
        let keys = Keys { gguf, prefix: architecture.name() };
        keys.refuse_what_is_not_done(architecture)?;

        let n_prediction_layers = keys.prediction_layers()?;
        let n_layers = keys.count("block_count", MOST_LAYERS)? - n_prediction_layers;
        let hidden = keys.count("embedding_length", WIDEST)?;
        let n_heads = keys.count("attention.head_count", WIDEST)?;
        let n_kv_heads = keys.count_or("attention.head_count_kv", WIDEST, n_heads)?;
        if n_heads % n_kv_heads != 0 {
            return Err(gguf.damaged(format!("{n_heads} query heads do not share {n_kv_heads} key heads evenly")));
        }
        let head_dim = keys.count_or("attention.key_length", WIDEST, hidden / n_heads)?;
        let value_dim = keys.count_or("attention.value_length", WIDEST, head_dim)?;
        if value_dim != head_dim {
            return Err(gguf.unsupported("attention.value_length other than key_length", value_dim.to_string()));
        }
        let rotary_dim = keys.count_or("rope.dimension_count", WIDEST, head_dim)?;
        if rotary_dim > head_dim || rotary_dim % 2 != 0 {
            return Err(gguf.damaged(format!("{rotary_dim} rotating numbers in heads of {head_dim}")));
        }
        if n_heads.checked_mul(head_dim).is_none_or(|wide| wide > WIDEST) {
            return Err(gguf.damaged(format!("{n_heads} heads of {head_dim}")));
        }
        let norm_eps = keys.positive("attention.layer_norm_rms_epsilon")?;
        let table = gguf.require_tensor("token_embd.weight")?;
        let vocab = table.info.rows();
        if let Some(tokens) = gguf.array("tokenizer.ggml.tokens").map(Array::len).filter(|n| *n != vocab) {
            return Err(gguf.damaged(format!("{tokens} tokens, but {vocab} rows in token_embd.weight")));
        }

        let gemma = architecture == Architecture::Gemma3;
        let glm = architecture == Architecture::Glm4;
        let rope = Rope { theta: keys.positive_or("rope.freq_base", 10_000.0)?, position_scale: keys.rope_scale()? };
        let local_rope = Rope { theta: keys.positive_or("rope.freq_base_swa", 10_000.0)?, position_scale: 1.0 };
        let window = if gemma { keys.window()? } else { 0 };
        let local_layers = if window > 0 { keys.local_layers(n_layers)? } else { vec![false; n_layers] };
        let logit_cap = gguf.f32(&keys.key("final_logit_softcapping")).filter(|cap| *cap != 0.0);
        if logit_cap.is_some_and(|cap| !(cap.is_finite() && cap > 0.0)) || (logit_cap.is_some() && !gemma) {
            return Err(gguf.unsupported("final_logit_softcapping", format!("{logit_cap:?}")));
        }
        // Gemma 3 27B alone scales by the width per head rather than the head's own (its config's query_pre_attn_scalar).
        let scaled_by = if gemma && n_layers == 62 { hidden / n_heads } else { head_dim };

        Ok(Self {
            architecture,
            n_layers,
            n_prediction_layers,
            hidden,
            n_heads,
            n_kv_heads,
            head_dim,
            ffn: keys.count("feed_forward_length", WIDEST)?,
            vocab,
            context_length: keys.count("context_length", u32::MAX as usize)?,
            norm_eps,
            rope_style: if matches!(architecture, Architecture::Llama | Architecture::Glm4) {
                RopeStyle::Interleaved
            } else {
                RopeStyle::Neox
            },
            rotary_dim,
            rope,
            local_rope,
            window,
            local_layers,
            activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
            fused_gate_up: glm,
            head_norms: matches!(architecture, Architecture::Qwen3 | Architecture::Gemma3),
            post_norms: gemma || glm,
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            attention_scale: 1.0 / (scaled_by as f32).sqrt(),
            logit_cap,
            tied_head: gguf.tensor("output.weight").is_none(),
        })
    }

    /// Numbers in all query heads of one position.
    pub fn q_dim(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Numbers in all key heads (and all value heads) of one position.
    pub fn kv_dim(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// The window of a layer, if it has one.
    pub fn layer_window(&self, layer: usize) -> Option<usize> {
        self.local_layers[layer].then_some(self.window)
    }

    /// The positions of a layer.
    pub fn layer_rope(&self, layer: usize) -> Rope {
        if self.local_layers[layer] { self.local_rope } else { self.rope }
    }
}

/// Metadata of one architecture.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'static str,
}

impl Keys<'_> {
    fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.prefix)
    }

    fn count(&self, suffix: &str, most: usize) -> Result<usize> {
        let value = self.gguf.require_u32(&self.key(suffix))? as usize;
        self.in_range(suffix, value, most)
    }

    /// As `count`; a key that is there, but is no number, is an error rather than absent.
    fn count_or(&self, suffix: &str, most: usize, default: usize) -> Result<usize> {
        match self.gguf.get(&self.key(suffix)) {
            Some(_) => self.count(suffix, most),
            None => self.in_range(suffix, default, most),
        }
    }

    fn in_range(&self, suffix: &str, value: usize, most: usize) -> Result<usize> {
        if value == 0 || value > most {
            return Err(self.gguf.damaged(format!("{} of {value}", self.key(suffix))));
        }
        Ok(value)
    }

    fn positive(&self, suffix: &str) -> Result<f32> {
        let value = self.gguf.require_f32(&self.key(suffix))?;
        if value.is_finite() && value > 0.0 {
            Ok(value)
        } else {
            Err(self.gguf.damaged(format!("{} of {value}", self.key(suffix))))
        }
    }

    fn positive_or(&self, suffix: &str, default: f32) -> Result<f32> {
        if self.gguf.get(&self.key(suffix)).is_some() { self.positive(suffix) } else { Ok(default) }
    }

    /// What positions are multiplied with. The default type is linear and the default factor 1.
    fn rope_scale(&self) -> Result<f32> {
        let kind = self.gguf.str(&self.key("rope.scaling.type")).unwrap_or("linear");
        match kind {
            "none" => Ok(1.0),
            "linear" => Ok(1.0 / self.positive_or("rope.scaling.factor", 1.0)?),
            _ => Err(self.gguf.unsupported("rope.scaling.type", kind)),
        }
    }

    /// Layers at the end that predict further tokens; they take no part in ordinary decoding.
    fn prediction_layers(&self) -> Result<usize> {
        let n = self.gguf.u32(&self.key("nextn_predict_layers")).unwrap_or(0) as usize;
        let all = self.count("block_count", MOST_LAYERS)?;
        if n >= all {
            return Err(self.gguf.damaged(format!("{n} of {all} layers predict further tokens")));
        }
        Ok(n)
    }

    /// Positions a local layer sees; 0 where all layers are global.
    fn window(&self) -> Result<usize> {
        let key = self.key("attention.sliding_window");
        if self.gguf.get(&key).is_some() { Ok(self.gguf.require_u32(&key)? as usize) } else { Ok(0) }
    }

    /// Every n-th layer is global (6 in Gemma 3), or an array says it for each.
    fn local_layers(&self, n_layers: usize) -> Result<Vec<bool>> {
        let key = self.key("attention.sliding_window_pattern");
        match self.gguf.get(&key) {
            Some(Value::Array(array)) => {
                let local = array.to_bool();
                if local.len() < n_layers {
                    return Err(self.gguf.damaged(format!("{key} has {} of {n_layers} layers", local.len())));
                }
                Ok(local[..n_layers].to_vec())
            }
            Some(_) => {
                let period = self.gguf.require_u32(&key)? as usize;
                Ok((0..n_layers).map(|layer| period == 0 || layer % period < period - 1).collect())
            }
            None => Ok((0..n_layers).map(|layer| layer % 6 < 5).collect()),
        }
    }

    /// Keys that change the computation in a way this code does not follow.
    fn refuse_what_is_not_done(&self, architecture: Architecture) -> Result<()> {
        let refuse = |key: &str| -> Error {
            self.gguf.unsupported("metadata", format!("{key} of architecture {}", architecture.name()))
        };
        let is_set = |key: &str| match self.gguf.get(key) {
            None => false,
            Some(Value::Array(array)) => array.to_u32().iter().any(|v| *v != 0),
            Some(value) => {
                value.as_u64().is_some_and(|v| v != 0) || value.as_f32().is_some_and(|v| v != 0.0 && v != 1.0)
            }
        };
        // A single 1.0 passes above because scales of 1 change nothing.
        for suffix in [
            "expert_count",
            "attention.scale",
            "attention.output_scale",
            "attn_logit_softcapping",
            "attention.clamp_kqv",
            "attention.max_alibi_bias",
            "embedding_scale",
            "residual_scale",
            "logit_scale",
            "rope.dimension_sections",
            "rope.scaling.attn_factor",
        ] {
            let key = self.key(suffix);
            if is_set(&key) {
                return Err(refuse(&key));
            }
        }
        let window = self.key("attention.sliding_window");
        if architecture != Architecture::Gemma3 && is_set(&window) {
            return Err(refuse(&window));
        }
        let causal = self.key("attention.causal");
        if self.gguf.bool(&causal) == Some(false) {
            return Err(refuse(&causal));
        }
        Ok(())
    }
}
