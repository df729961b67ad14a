//! EmbeddingGemma's encoder: Gemma 3 (arXiv 2503.19786) with attention in both directions (arXiv 2509.20354).
//!
//! Every sixth layer attends to the whole text, the others to at most `sliding_window / 2` positions on either side, as
//! the reference implementation does for `use_bidirectional_attention`.

use lorekit_cancel::CancelToken;
use lorekit_kernels::{
    RopeStyle, RopeTable, ThreadPool, add_assign, attend_full, gelu_tanh_mul, matmul_group, rms_norm, scale,
};

use crate::Result;
use crate::gguf::Gguf;

use super::ARCHITECTURE_GEMMA;
use super::batch::Packed;
use super::weights::{Linear, check_matrix, damaged, positive, size, vector};
use super::workspace::Workspace;

const TOKEN_TABLE: &str = "token_embd.weight";

struct Layer {
    windowed: bool,
    input_norm: Vec<f32>,
    q: Linear,
    k: Linear,
    v: Linear,
    q_norm: Vec<f32>,
    k_norm: Vec<f32>,
    output: Linear,
    attention_norm: Vec<f32>,
    feed_forward_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
    output_norm: Vec<f32>,
}

pub(super) struct Gemma {
    pub(super) hidden: usize,
    pub(super) vocabulary: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    eps: f32,
    /// Positions seen on either side in windowed layers.
    reach: usize,
    theta: f32,
    windowed_theta: f32,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
}

impl Gemma {
    /// Checks all tensors against the file's own shape; heap: the norms.
    pub(super) fn open(gguf: &Gguf) -> Result<Self> {
        let own = |name: &str| format!("{ARCHITECTURE_GEMMA}.{name}");
        let hidden = size(gguf, &own("embedding_length"))?;
        let heads = size(gguf, &own("attention.head_count"))?;
        let kv_heads = size(gguf, &own("attention.head_count_kv"))?;
        let head_dim = size(gguf, &own("attention.key_length"))?;
        let feed_forward = size(gguf, &own("feed_forward_length"))?;
        if !heads.is_multiple_of(kv_heads) || !head_dim.is_multiple_of(2) {
            return Err(damaged(gguf, format!("{heads} heads of {head_dim} over {kv_heads} key heads")));
        }
        let (q_width, kv_width) = match (heads.checked_mul(head_dim), kv_heads.checked_mul(head_dim)) {
            (Some(q), Some(kv)) => (q, kv),
            _ => return Err(damaged(gguf, "head count and width overflow".to_owned())),
        };
        let vocabulary = gguf.require_tensor(TOKEN_TABLE)?.info.rows();
        check_matrix(gguf, TOKEN_TABLE, vocabulary, hidden)?;
        let count = size(gguf, &own("block_count"))?;
        let windowed = match gguf.array(&own("attention.sliding_window_pattern")) {
            Some(pattern) if pattern.len() == count => pattern.to_bool(),
            Some(_) => return Err(damaged(gguf, "the window pattern has not one entry for each layer".to_owned())),
            None => (1..=count).map(|layer| layer % 6 != 0).collect(),
        };
        if windowed.len() != count {
            return Err(damaged(gguf, "the window pattern is no array of flags".to_owned()));
        }
        let layers = windowed
            .into_iter()
            .enumerate()
            .map(|(index, windowed)| {
                let linear = |name: &str, outputs, inputs| {
                    Linear::open(gguf, &format!("blk.{index}.{name}"), outputs, inputs, false)
                };
                let norm = |name: &str, length| vector(gguf, &format!("blk.{index}.{name}.weight"), length);
                Ok(Layer {
                    windowed,
                    input_norm: norm("attn_norm", hidden)?,
                    q: linear("attn_q", q_width, hidden)?,
                    k: linear("attn_k", kv_width, hidden)?,
                    v: linear("attn_v", kv_width, hidden)?,
                    q_norm: norm("attn_q_norm", head_dim)?,
                    k_norm: norm("attn_k_norm", head_dim)?,
                    output: linear("attn_output", hidden, q_width)?,
                    attention_norm: norm("post_attention_norm", hidden)?,
                    feed_forward_norm: norm("ffn_norm", hidden)?,
                    gate: linear("ffn_gate", feed_forward, hidden)?,
                    up: linear("ffn_up", feed_forward, hidden)?,
                    down: linear("ffn_down", hidden, feed_forward)?,
                    output_norm: norm("post_ffw_norm", hidden)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let windowed_theta = match gguf.f32(&own("rope.freq_base_swa")) {
            Some(_) => positive(gguf, &own("rope.freq_base_swa"))?,
            None => 10_000.0,
        };
        Ok(Self {
            hidden,
            vocabulary,
            heads,
            kv_heads,
            head_dim,
            eps: positive(gguf, &own("attention.layer_norm_rms_epsilon"))?,
            reach: size(gguf, &own("attention.sliding_window"))? / 2,
            theta: positive(gguf, &own("rope.freq_base"))?,
            windowed_theta,
            layers,
            final_norm: vector(gguf, "output_norm.weight", hidden)?,
        })
    }

    /// Leaves the normed last layer's `(rows, hidden)` in `ws.hidden`. Tokens are below `vocabulary`, sequences of any
    /// length.
    pub(super) fn forward(
        &self,
        gguf: &Gguf,
        pool: &ThreadPool,
        batch: &Packed,
        ws: &mut Workspace,
        cancel: &CancelToken,
    ) -> Result<()> {
        let hidden = self.hidden;
        let rows = batch.tokens().len();
        let table = gguf.require_tensor(TOKEN_TABLE)?.matrix()?;
        ws.hidden.resize(rows * hidden, 0.0);
        ws.side.resize(rows * hidden, 0.0);
        for (row, &token) in ws.hidden.chunks_exact_mut(hidden).zip(batch.tokens()) {
            table.dequantize_row(token as usize, row);
        }
        scale(&mut ws.hidden, (hidden as f32).sqrt());
        if ws.ropes.is_empty() {
            ws.ropes = [self.theta, self.windowed_theta].map(|theta| RopeTable::new(self.head_dim, theta, 1.0, None)).into();
        }
        let longest = batch.sequences().map(|range| range.len()).max().unwrap_or(0);
        ws.ropes.iter_mut().for_each(|rope| rope.ensure(longest));
        for layer in &self.layers {
            cancel.check()?;
            self.attention(layer, gguf, pool, batch, ws)?;
            self.feed_forward(layer, gguf, pool, ws)?;
        }
        rms_norm(pool, &ws.hidden, &self.final_norm, self.eps, &mut ws.side);
        std::mem::swap(&mut ws.hidden, &mut ws.side);
        Ok(())
    }

    fn attention(
        &self,
        layer: &Layer,
        gguf: &Gguf,
        pool: &ThreadPool,
        batch: &Packed,
        ws: &mut Workspace,
    ) -> Result<()> {
        let (heads, kv_heads, head_dim) = (self.heads, self.kv_heads, self.head_dim);
        let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let rows = batch.tokens().len();
        rms_norm(pool, &ws.hidden, &layer.input_norm, self.eps, &mut ws.side);
        ws.acts.set(pool, &ws.side, self.hidden);
        ws.mixed.resize(rows * q_width, 0.0);
        ws.q.resize(rows * q_width, 0.0);
        ws.gate.resize(rows * kv_width, 0.0);
        ws.k.resize(rows * kv_width, 0.0);
        ws.v.resize(rows * kv_width, 0.0);
        // Raw queries and keys go to buffers that are free at this point; the norms write the final ones.
        matmul_group(
            pool,
            &mut [
                (layer.q.matrix(gguf)?, &mut ws.mixed[..]),
                (layer.k.matrix(gguf)?, &mut ws.gate[..]),
                (layer.v.matrix(gguf)?, &mut ws.v[..]),
            ],
            &ws.acts,
        );
        rms_norm(pool, &ws.mixed, &layer.q_norm, self.eps, &mut ws.q);
        rms_norm(pool, &ws.gate, &layer.k_norm, self.eps, &mut ws.k);
        let (rope, reach) =
            if layer.windowed { (&ws.ropes[1], Some(self.reach)) } else { (&ws.ropes[0], None) };
        let scale = 1.0 / (head_dim as f32).sqrt();
        for range in batch.sequences() {
            let at_q = range.start * q_width..range.end * q_width;
            let at_kv = range.start * kv_width..range.end * kv_width;
            let (q, k, v) = (&mut ws.q[at_q.clone()], &mut ws.k[at_kv.clone()], &ws.v[at_kv]);
            rope.apply(RopeStyle::Neox, q, heads, head_dim, 0);
            rope.apply(RopeStyle::Neox, k, kv_heads, head_dim, 0);
            let out = &mut ws.mixed[at_q];
            attend_full(pool, q, k, v, range.len(), heads, kv_heads, head_dim, reach, scale, out);
        }
        ws.acts.set(pool, &ws.mixed, q_width);
        // `q` has at least as many values as it needs and is free again.
        layer.output.apply(gguf, pool, &ws.acts, &mut ws.q)?;
        rms_norm(pool, &ws.q, &layer.attention_norm, self.eps, &mut ws.side);
        add_assign(&mut ws.hidden, &ws.side);
        Ok(())
    }

    fn feed_forward(&self, layer: &Layer, gguf: &Gguf, pool: &ThreadPool, ws: &mut Workspace) -> Result<()> {
        rms_norm(pool, &ws.hidden, &layer.feed_forward_norm, self.eps, &mut ws.side);
        ws.acts.set(pool, &ws.side, self.hidden);
        let width = ws.acts.rows() * layer.up.outputs;
        for buffer in [&mut ws.gate, &mut ws.up, &mut ws.mixed] {
            buffer.resize(width, 0.0);
        }
        matmul_group(
            pool,
            &mut [
                (layer.gate.matrix(gguf)?, &mut ws.gate[..]),
                (layer.up.matrix(gguf)?, &mut ws.up[..]),
            ],
            &ws.acts,
        );
        gelu_tanh_mul(pool, &ws.gate, &ws.up, &mut ws.mixed);
        ws.acts.set(pool, &ws.mixed, layer.up.outputs);
        layer.down.apply(gguf, pool, &ws.acts, &mut ws.q)?;
        rms_norm(pool, &ws.q, &layer.output_norm, self.eps, &mut ws.side);
        add_assign(&mut ws.hidden, &ws.side);
        Ok(())
    }
}
