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
use super::workspace::{Workspace, room};

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

    /// Leaves the normed last layer's `(rows, hidden)` at the beginning of `ws.hidden`. Tokens are below `vocabulary`, sequences of any
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
        let stream = room(&mut ws.hidden, rows * hidden);
        for (row, &token) in stream.chunks_exact_mut(hidden).zip(batch.tokens()) {
            table.dequantize_row(token as usize, row);
        }
        scale(stream, (hidden as f32).sqrt());
        if ws.ropes.is_empty() {
            ws.ropes =
                [self.theta, self.windowed_theta].map(|theta| RopeTable::new(self.head_dim, theta, 1.0, None)).into();
        }
        let longest = batch.sequences().map(|range| range.len()).max().unwrap_or(0);
        ws.ropes.iter_mut().for_each(|rope| rope.ensure(longest));
        for layer in &self.layers {
            cancel.check()?;
            self.attention(layer, gguf, pool, batch, ws)?;
            self.feed_forward(layer, gguf, pool, rows, ws)?;
        }
        let values = rows * hidden;
        rms_norm(pool, &ws.hidden[..values], &self.final_norm, self.eps, room(&mut ws.side, values));
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
        let values = rows * self.hidden;
        let stream = &mut ws.hidden[..values];
        let side = room(&mut ws.side, values);
        let [q, raw_q] = [&mut ws.q, &mut ws.mixed].map(|buffer| room(buffer, rows * q_width));
        let [k, v, raw_k] = [&mut ws.k, &mut ws.v, &mut ws.gate].map(|buffer| room(buffer, rows * kv_width));
        rms_norm(pool, stream, &layer.input_norm, self.eps, side);
        ws.acts.set(pool, side, self.hidden);
        matmul_group(
            pool,
            &mut [
                (layer.q.matrix(gguf)?, &mut raw_q[..]),
                (layer.k.matrix(gguf)?, &mut raw_k[..]),
                (layer.v.matrix(gguf)?, &mut v[..]),
            ],
            &ws.acts,
        );
        rms_norm(pool, raw_q, &layer.q_norm, self.eps, q);
        rms_norm(pool, raw_k, &layer.k_norm, self.eps, k);
        let (rope, reach) = if layer.windowed { (&ws.ropes[1], Some(self.reach)) } else { (&ws.ropes[0], None) };
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mixed = raw_q; // free again
        for range in batch.sequences() {
            let at_q = range.start * q_width..range.end * q_width;
            let at_kv = range.start * kv_width..range.end * kv_width;
            let (q, k, v) = (&mut q[at_q.clone()], &mut k[at_kv.clone()], &v[at_kv]);
            rope.apply(pool, RopeStyle::Neox, q, heads, head_dim, 0);
            rope.apply(pool, RopeStyle::Neox, k, kv_heads, head_dim, 0);
            attend_full(pool, q, k, v, range.len(), heads, kv_heads, head_dim, reach, scale, &mut mixed[at_q]);
        }
        ws.acts.set(pool, mixed, q_width);
        let result = room(&mut ws.up, values);
        layer.output.apply(gguf, pool, &ws.acts, result)?;
        rms_norm(pool, result, &layer.attention_norm, self.eps, side);
        add_assign(stream, side);
        Ok(())
    }

    fn feed_forward(
        &self,
        layer: &Layer,
        gguf: &Gguf,
        pool: &ThreadPool,
        rows: usize,
        ws: &mut Workspace,
    ) -> Result<()> {
        let values = rows * self.hidden;
        let stream = &mut ws.hidden[..values];
        let side = room(&mut ws.side, values);
        let width = layer.up.outputs;
        let [gate, up, mixed] = [&mut ws.gate, &mut ws.up, &mut ws.mixed].map(|buffer| room(buffer, rows * width));
        rms_norm(pool, stream, &layer.feed_forward_norm, self.eps, side);
        ws.acts.set(pool, side, self.hidden);
        matmul_group(
            pool,
            &mut [(layer.gate.matrix(gguf)?, &mut gate[..]), (layer.up.matrix(gguf)?, &mut up[..])],
            &ws.acts,
        );
        gelu_tanh_mul(pool, gate, up, mixed);
        ws.acts.set(pool, mixed, width);
        let result = room(&mut ws.q, values);
        layer.down.apply(gguf, pool, &ws.acts, result)?;
        rms_norm(pool, result, &layer.output_norm, self.eps, side);
        add_assign(stream, side);
        Ok(())
    }
}
