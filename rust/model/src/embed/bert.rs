//! The BERT encoder (Devlin et al. 2018): absolute positions, post-norm blocks, erf-GELU.

use lorekit_cancel::CancelToken;
use lorekit_kernels::{ThreadPool, add_assign, attend_full, gelu_erf, layer_norm, matmul_group};

use crate::Result;
use crate::gguf::Gguf;

use super::ARCHITECTURE_BERT;
use super::batch::Packed;
use super::weights::{Linear, check_matrix, damaged, positive, size, vector};
use super::workspace::{Workspace, room};

const TOKEN_TABLE: &str = "token_embd.weight";

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn open(gguf: &Gguf, name: &str, length: usize) -> Result<Self> {
        Ok(Self {
            weight: vector(gguf, &format!("{name}.weight"), length)?,
            bias: vector(gguf, &format!("{name}.bias"), length)?,
        })
    }
}

struct Layer {
    q: Linear,
    k: Linear,
    v: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    output_norm: Norm,
}

pub(super) struct Bert {
    pub(super) hidden: usize,
    pub(super) vocabulary: usize,
    heads: usize,
    eps: f32,
    /// The position table, with the row of token type 0 added to each: a text is always the first segment.
    position_table: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Checks all tensors against the file's own shape; heap: the norms, biases and the position table.
    pub(super) fn open(gguf: &Gguf) -> Result<Self> {
        let own = |name: &str| format!("{ARCHITECTURE_BERT}.{name}");
        let hidden = size(gguf, &own("embedding_length"))?;
        let positions = size(gguf, &own("context_length"))?;
        let heads = size(gguf, &own("attention.head_count"))?;
        let feed_forward = size(gguf, &own("feed_forward_length"))?;
        if !hidden.is_multiple_of(heads) {
            return Err(damaged(gguf, format!("{hidden} values in {heads} heads")));
        }
        let vocabulary = gguf.require_tensor(TOKEN_TABLE)?.info.rows();
        check_matrix(gguf, TOKEN_TABLE, vocabulary, hidden)?;
        check_matrix(gguf, "position_embd.weight", positions, hidden)?;
        let mut position_table = gguf.require_tensor("position_embd.weight")?.to_f32();
        let token_types = gguf.require_tensor("token_types.weight")?;
        if token_types.info.cols() != hidden {
            return Err(damaged(gguf, "tensor token_types.weight has another width".to_owned()));
        }
        let first_type = token_types.to_f32();
        for row in position_table.chunks_exact_mut(hidden) {
            add_assign(row, &first_type[..hidden]);
        }
        let layers = (0..size(gguf, &own("block_count"))?)
            .map(|index| {
                let linear = |name: &str, outputs, inputs| {
                    Linear::open(gguf, &format!("blk.{index}.{name}"), outputs, inputs, true)
                };
                Ok(Layer {
                    q: linear("attn_q", hidden, hidden)?,
                    k: linear("attn_k", hidden, hidden)?,
                    v: linear("attn_v", hidden, hidden)?,
                    output: linear("attn_output", hidden, hidden)?,
                    attention_norm: Norm::open(gguf, &format!("blk.{index}.attn_output_norm"), hidden)?,
                    up: linear("ffn_up", feed_forward, hidden)?,
                    down: linear("ffn_down", hidden, feed_forward)?,
                    output_norm: Norm::open(gguf, &format!("blk.{index}.layer_output_norm"), hidden)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            hidden,
            vocabulary,
            heads,
            eps: positive(gguf, &own("attention.layer_norm_epsilon"))?,
            position_table,
            embedding_norm: Norm::open(gguf, "token_embd_norm", hidden)?,
            layers,
        })
    }

    /// Leaves the last layer's `(rows, hidden)` at the beginning of `ws.hidden`. Tokens are below `vocabulary`, sequences no
    /// longer than the position table.
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
        let side = room(&mut ws.side, rows * hidden);
        for range in batch.sequences() {
            for (position, row) in range.enumerate() {
                let out = &mut side[row * hidden..][..hidden];
                table.dequantize_row(batch.tokens()[row] as usize, out);
                add_assign(out, &self.position_table[position * hidden..][..hidden]);
            }
        }
        self.norm(pool, &self.embedding_norm, side, room(&mut ws.hidden, rows * hidden));
        for layer in &self.layers {
            cancel.check()?;
            self.attention(layer, gguf, pool, batch, ws)?;
            self.add_and_norm(pool, &layer.attention_norm, rows, ws);

            ws.acts.set(pool, &ws.hidden[..rows * hidden], hidden);
            let up = room(&mut ws.up, rows * layer.up.outputs);
            layer.up.apply(gguf, pool, &ws.acts, up)?;
            gelu_erf(pool, up);
            ws.acts.set(pool, up, layer.up.outputs);
            layer.down.apply(gguf, pool, &ws.acts, room(&mut ws.side, rows * hidden))?;
            self.add_and_norm(pool, &layer.output_norm, rows, ws);
        }
        Ok(())
    }

    /// Self-attention of `ws.hidden` into `ws.side`.
    fn attention(
        &self,
        layer: &Layer,
        gguf: &Gguf,
        pool: &ThreadPool,
        batch: &Packed,
        ws: &mut Workspace,
    ) -> Result<()> {
        let hidden = self.hidden;
        let values = batch.tokens().len() * hidden;
        let [q, k, v, mixed] = [&mut ws.q, &mut ws.k, &mut ws.v, &mut ws.mixed].map(|buffer| room(buffer, values));
        ws.acts.set(pool, &ws.hidden[..values], hidden);
        matmul_group(
            pool,
            &mut [
                (layer.q.matrix(gguf)?, &mut q[..]),
                (layer.k.matrix(gguf)?, &mut k[..]),
                (layer.v.matrix(gguf)?, &mut v[..]),
            ],
            &ws.acts,
        );
        layer.q.add_bias(q);
        layer.k.add_bias(k);
        layer.v.add_bias(v);
        let head_dim = hidden / self.heads;
        let scale = 1.0 / (head_dim as f32).sqrt();
        for range in batch.sequences() {
            let length = range.len();
            let at = range.start * hidden..range.end * hidden;
            let (q, k, v) = (&q[at.clone()], &k[at.clone()], &v[at.clone()]);
            attend_full(pool, q, k, v, length, self.heads, self.heads, head_dim, None, scale, &mut mixed[at]);
        }
        ws.acts.set(pool, mixed, hidden);
        layer.output.apply(gguf, pool, &ws.acts, room(&mut ws.side, values))
    }

    /// Adds a block's result in `ws.side` to `ws.hidden` and norms the sum.
    fn add_and_norm(&self, pool: &ThreadPool, norm: &Norm, rows: usize, ws: &mut Workspace) {
        let values = rows * self.hidden;
        let (side, hidden) = (&mut ws.side[..values], &mut ws.hidden[..values]);
        add_assign(side, hidden);
        self.norm(pool, norm, side, hidden);
    }

    fn norm(&self, pool: &ThreadPool, norm: &Norm, x: &[f32], out: &mut [f32]) {
        layer_norm(pool, x, &norm.weight, &norm.bias, self.eps, out);
    }
}
