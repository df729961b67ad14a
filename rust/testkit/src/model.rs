//! Tiny models of each architecture.

use crate::gguf::{GgufEmitter, TensorFormat};
use crate::random::uniform;
use crate::vocabulary::{CHAT_TEMPLATE, END_OF_TEXT, IM_END, VOCABULARY_SIZE, merges, token_texts, token_types};

/// The decoder families that LoreKit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TinyArchitecture {
    /// Llama and SmolLM2: interleaved rotary positions, here with frequency factors as in Llama 3.2.
    Llama,
    /// Qwen2 and Qwen2.5: biases on query, key and value.
    Qwen2,
    /// Qwen3: norms over each query and key head.
    Qwen3,
    /// Gemma 3: norms before and after, local and global layers, GELU.
    Gemma3,
    /// GLM-4: half the head rotates, gate and up are one matrix.
    Glm4,
}

impl TinyArchitecture {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma3, Self::Glm4];

    /// The name that stands in the file, such as `qwen2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
            Self::Glm4 => "glm4",
        }
    }

    /// The sizes of the tiny model of this family.
    pub fn shape(self) -> TinyShape {
        let head_dim = match self {
            // A head size that is not hidden / heads.
            Self::Qwen3 | Self::Gemma3 => 32,
            _ => 16,
        };
        TinyShape { n_layers: 2, hidden: 64, n_heads: 4, n_kv_heads: 2, head_dim, ffn: 96 }
    }
}

/// The sizes of a tiny model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TinyShape {
    /// Transformer blocks.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
}

/// How the matrices are stored; vectors are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// 32-bit floats: nothing is lost, tolerances are those of arithmetic.
    F32,
    /// Q8_0 and Q5_0 side by side, as in the published files of small models.
    Mixed,
}

/// A tiny model, fully named by three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TinyModel {
    /// The family.
    pub architecture: TinyArchitecture,
    /// How the matrices are stored.
    pub weights: Weights,
    /// Where the weights come from.
    pub seed: u64,
}

impl TinyModel {
    /// A model of 32-bit floats.
    pub fn f32(architecture: TinyArchitecture, seed: u64) -> Self {
        Self { architecture, weights: Weights::F32, seed }
    }

    /// A model of quantized matrices.
    pub fn mixed(architecture: TinyArchitecture, seed: u64) -> Self {
        Self { architecture, weights: Weights::Mixed, seed }
    }

    /// The bytes of the model file, about 400 kB with 32-bit floats.
    pub fn to_gguf(&self) -> Vec<u8> {
        self.to_emitter().to_bytes()
    }

    /// The model file before it is laid out, for tests that add something wrong.
    pub fn to_emitter(&self) -> GgufEmitter {
        self.to_emitter_with(|_, _, _| true)
    }

    /// As [`to_emitter`](Self::to_emitter); `change` may alter the shape and the numbers of each tensor,
    /// and leaves one out by returning false.
    pub fn to_emitter_with(&self, mut change: impl FnMut(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool) -> GgufEmitter {
        let mut file = GgufEmitter::new();
        self.metadata(&mut file);
        for (name, mut shape) in self.tensors() {
            let mut values = self.values(&name, &shape);
            let format = self.format(&name, &shape);
            if change(&name, &mut shape, &mut values) {
                file.tensor(&name, &shape, format, &values);
            }
        }
        file
    }

    fn metadata(&self, file: &mut GgufEmitter) {
        let shape = self.architecture.shape();
        let name = self.architecture.name();
        let key = |suffix: &str| format!("{name}.{suffix}");
        file.str("general.architecture", name).str("general.type", "model").str("general.name", "Tiny");
        file.u32(&key("block_count"), shape.n_layers as u32)
            .u32(&key("context_length"), 512)
            .u32(&key("embedding_length"), shape.hidden as u32)
            .u32(&key("feed_forward_length"), shape.ffn as u32)
            .u32(&key("attention.head_count"), shape.n_heads as u32)
            .u32(&key("attention.head_count_kv"), shape.n_kv_heads as u32)
            .f32(&key("attention.layer_norm_rms_epsilon"), 1e-6);
        match self.architecture {
            TinyArchitecture::Llama => {
                file.u32(&key("rope.dimension_count"), shape.head_dim as u32).f32(&key("rope.freq_base"), 10_000.0);
            }
            TinyArchitecture::Qwen2 => {
                file.f32(&key("rope.freq_base"), 1_000_000.0);
            }
            TinyArchitecture::Qwen3 => {
                file.u32(&key("attention.key_length"), shape.head_dim as u32)
                    .u32(&key("attention.value_length"), shape.head_dim as u32)
                    .f32(&key("rope.freq_base"), 1_000_000.0);
            }
            TinyArchitecture::Gemma3 => {
                // Layer 0 sees 8 positions, layer 1 all of them.
                file.u32(&key("attention.key_length"), shape.head_dim as u32)
                    .u32(&key("attention.value_length"), shape.head_dim as u32)
                    .u32(&key("attention.sliding_window"), 8)
                    .u32(&key("attention.sliding_window_pattern"), 2)
                    .str(&key("rope.scaling.type"), "linear")
                    .f32(&key("rope.scaling.factor"), 8.0)
                    .f32(&key("rope.freq_base"), 1_000_000.0);
            }
            TinyArchitecture::Glm4 => {
                file.u32(&key("rope.dimension_count"), shape.head_dim as u32 / 2).f32(&key("rope.freq_base"), 10_000.0);
            }
        }
        file.str("tokenizer.ggml.model", "gpt2")
            .str("tokenizer.ggml.pre", "qwen2")
            .strs("tokenizer.ggml.tokens", &token_texts())
            .i32s("tokenizer.ggml.token_type", &token_types())
            .strs("tokenizer.ggml.merges", &merges())
            .u32("tokenizer.ggml.eos_token_id", IM_END)
            .u32("tokenizer.ggml.bos_token_id", END_OF_TEXT)
            .u32("tokenizer.ggml.padding_token_id", END_OF_TEXT)
            .bool("tokenizer.ggml.add_bos_token", false)
            .str("tokenizer.chat_template", CHAT_TEMPLATE);
    }

    /// Names and shapes of all tensors in file order, shapes in GGUF order (columns first).
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        use TinyArchitecture::{Gemma3, Glm4, Llama, Qwen2, Qwen3};
        let shape = self.architecture.shape();
        let (hidden, q, kv) = (shape.hidden, shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);
        let mut out = vec![
            ("token_embd.weight".to_owned(), vec![hidden, VOCABULARY_SIZE]),
            ("output_norm.weight".to_owned(), vec![hidden]),
        ];
        // Gemma 3 and Llama share the table with the head, the others have both.
        if !matches!(self.architecture, Gemma3 | Llama) {
            out.push(("output.weight".to_owned(), vec![hidden, VOCABULARY_SIZE]));
        }
        if self.architecture == Llama {
            out.push(("rope_freqs.weight".to_owned(), vec![shape.head_dim / 2]));
        }
        for layer in 0..shape.n_layers {
            let mut add = |name: &str, dims: &[usize]| out.push((format!("blk.{layer}.{name}"), dims.to_vec()));
            add("attn_norm.weight", &[hidden]);
            add("attn_q.weight", &[hidden, q]);
            add("attn_k.weight", &[hidden, kv]);
            add("attn_v.weight", &[hidden, kv]);
            if matches!(self.architecture, Qwen2 | Glm4) {
                add("attn_q.bias", &[q]);
                add("attn_k.bias", &[kv]);
                add("attn_v.bias", &[kv]);
            }
            if matches!(self.architecture, Qwen3 | Gemma3) {
                add("attn_q_norm.weight", &[shape.head_dim]);
                add("attn_k_norm.weight", &[shape.head_dim]);
            }
            add("attn_output.weight", &[q, hidden]);
            if matches!(self.architecture, Gemma3 | Glm4) {
                add("post_attention_norm.weight", &[hidden]);
                add("post_ffw_norm.weight", &[hidden]);
            }
            add("ffn_norm.weight", &[hidden]);
            if self.architecture == Glm4 {
                add("ffn_up.weight", &[hidden, 2 * shape.ffn]);
            } else {
                add("ffn_gate.weight", &[hidden, shape.ffn]);
                add("ffn_up.weight", &[hidden, shape.ffn]);
            }
            add("ffn_down.weight", &[shape.ffn, hidden]);
        }
        out
    }

    /// The numbers of a tensor before they are stored in their format.
    pub fn values(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        if name == "rope_freqs.weight" {
            // As in Llama 3.2: fast frequencies stay, slow ones are stretched.
            return (0..count).map(|i| if i < count / 2 { 1.0 } else { 1.0 + i as f32 }).collect();
        }
        if name.ends_with("norm.weight") {
            return uniform(self.seed, name, count, 1.0, 0.25);
        }
        if name.ends_with("bias") {
            return uniform(self.seed, name, count, 0.0, 0.25);
        }
        // Unit variance is kept through a product with `columns` terms: a uniform ±√3 has variance 1. A head is larger,
        // so that logits spread by about 3, as those of real models do. A table that is the head too stays smaller:
        // with a large one every token would answer with itself.
        let spread = match name {
            "output.weight" => 5.0,
            "token_embd.weight" => 2.0,
            _ => 1.75,
        };
        uniform(self.seed, name, count, 0.0, spread / (shape[0] as f32).sqrt())
    }

    fn format(&self, name: &str, shape: &[usize]) -> TensorFormat {
        match self.weights {
            _ if shape.len() == 1 => TensorFormat::F32,
            Weights::F32 => TensorFormat::F32,
            // The mix of the published Q4_K_M files of models whose width is no multiple of 256.
            Weights::Mixed if name.contains("attn_v") || name.starts_with("output") => TensorFormat::Q8_0,
            Weights::Mixed if name.starts_with("token_embd") && self.architecture == TinyArchitecture::Gemma3 => {
                TensorFormat::Q8_0
            }
            Weights::Mixed => TensorFormat::Q5_0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_the_bytes() {
        for architecture in TinyArchitecture::ALL {
            let bytes = TinyModel::mixed(architecture, 1).to_gguf();
            assert_eq!(bytes, TinyModel::mixed(architecture, 1).to_gguf());
            assert_ne!(bytes, TinyModel::mixed(architecture, 2).to_gguf());
            assert!(bytes.len() < 300_000, "{}", bytes.len());
        }
    }
}
