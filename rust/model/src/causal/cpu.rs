//! The CPU path: our kernels over the mapped weights.
//!
//! All buffers are allocated with the session, for one piece of prefill. The bits of the result do not depend on how
//! the tokens were cut into pieces or on the number of threads: the kernels compute every row by itself, in one order.

use std::ops::Range;

use lorekit_kernels::{
    Activations, Adapted, KvLayer, Matrix, Product, RopeTable, ThreadPool, add_assign, attend, gelu_tanh_mul,
    matmul_adapted, rms_norm, scale, silu_mul,
};

use super::backend::{Piece, Wanted};
use super::description::{Activation, Description};
use super::model::LanguageModel;
use super::weights::{EMBEDDING, Layer, Linear, matrix};
use crate::lora::AdapterSet;
use crate::{Error, Result};

/// Cache and buffers of one session on the CPU.
pub(crate) struct CpuState {
    cache: Vec<KvLayer>,
    rope: RopeTable,
    local_rope: Option<RopeTable>,
    buffers: Buffers,
}

/// Room for one piece. `n` below is the rows of the piece.
struct Buffers {
    /// `(n, hidden)`: the residual stream.
    x: Vec<f32>,
    /// `(n, hidden)`: its norm, the input of linear layers.
    normed: Vec<f32>,
    /// `(n, hidden)`: the output of attention or feed-forward.
    branch: Vec<f32>,
    /// `(n, q_dim)`: queries.
    q: Vec<f32>,
    /// `(n, q_dim)`: normed queries, then the output of attention.
    heads: Vec<f32>,
    /// `(n, kv_dim)`: keys, values, and room to norm keys into.
    k: Vec<f32>,
    v: Vec<f32>,
    k_normed: Vec<f32>,
    /// `(n, ffn)`: gate, up, and their product.
    gate: Vec<f32>,
    up: Vec<f32>,
    product: Vec<f32>,
    acts: Activations,
}

impl CpuState {
    /// A cache for `capacity` positions and buffers for pieces of up to `piece` tokens.
    pub(crate) fn new(model: &LanguageModel, capacity: usize, piece: usize) -> Self {
        let d = model.description();
        let table = |rope: super::description::Rope, factors: Option<&[f32]>| {
            RopeTable::new(d.rotary_dim, rope.theta, rope.position_scale, factors)
        };
        let local = d.local_layers.iter().any(|local| *local);
        let room = |width: usize| vec![0.0f32; piece * width];
        let key_norm = if d.head_norms { d.kv_dim() } else { 0 };
        Self {
            cache: (0..d.n_layers).map(|_| KvLayer::new(d.n_kv_heads, d.head_dim, capacity, model.kv_type())).collect(),
            rope: table(d.rope, model.weights().rope_factors.as_deref()),
            local_rope: local.then(|| table(d.local_rope, None)),
            buffers: Buffers {
                x: room(d.hidden),
                normed: room(d.hidden),
                branch: room(d.hidden),
                q: room(d.q_dim()),
                heads: room(d.q_dim()),
                k: room(d.kv_dim()),
                v: room(d.kv_dim()),
                k_normed: room(key_norm),
                gate: room(d.ffn),
                up: room(d.ffn),
                product: room(d.ffn),
                acts: Activations::new(),
            },
        }
    }

    pub(crate) fn forward(&mut self, model: &LanguageModel, piece: &Piece<'_>, logits: &mut [f32]) -> Result<()> {
        let d = model.description();
        let pass = Pass { model, d, pool: model.pool(), adapters: piece.adapters };
        let rows = piece.tokens.len();
        for rope in self.local_rope.iter_mut().chain([&mut self.rope]) {
            rope.ensure(piece.first_position + rows);
        }
        self.embed(&pass, piece.tokens);
        for (index, layer) in model.weights().layers.iter().enumerate() {
            // Behind the last layer's keys and values only the positions that need logits are computed.
            let kept = if index + 1 == d.n_layers { piece.wanted.rows(rows) } else { rows };
            let rope = match &self.local_rope {
                Some(local) if d.local_layers[index] => local,
                _ => &self.rope,
            };
            let window = d.layer_window(index);
            let place = Place { rows, kept, first_position: piece.first_position, window, rope };
            self.buffers.attention(&pass, layer, &mut self.cache[index], &place);
            if kept == 0 {
                return Ok(());
            }
            self.buffers.feed_forward(&pass, layer, kept);
        }
        let kept = piece.wanted.rows(rows);
        if piece.wanted != Wanted::None {
            self.buffers.head(&pass, kept, logits);
        }
        Ok(())
    }

    fn embed(&mut self, pass: &Pass<'_>, tokens: &[u32]) {
        // A table that is the head too stands in the side file, where each token of decoding reads it anyway: a look-up
        // in the model's own file would keep a second copy of its pages in memory.
        let gguf = pass.model.gguf();
        let table = gguf.packed_matrix(EMBEDDING).unwrap_or_else(|| matrix(gguf, EMBEDDING));
        let x = &mut self.buffers.x;
        for (row, token) in x.chunks_exact_mut(pass.d.hidden).zip(tokens) {
            table.dequantize_row(*token as usize, row);
        }
        if pass.d.embedding_scale != 1.0 {
            scale(&mut x[..tokens.len() * pass.d.hidden], pass.d.embedding_scale);
        }
    }

    pub(crate) fn export(&self, layer: usize, range: Range<usize>) -> Vec<u8> {
        self.cache[layer].export(range)
    }

    pub(crate) fn import(&mut self, layer: usize, range: Range<usize>, bytes: &[u8]) -> Result<()> {
        self.cache[layer]
            .import(range, bytes)
            .map_err(|e| Error::InvalidArgument(format!("snapshot of layer {layer}: {e}")))
    }

    pub(crate) fn bytes_per_position(&self) -> usize {
        self.cache.first().map_or(0, KvLayer::bytes_per_position)
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache.iter().map(KvLayer::bytes).sum()
    }
}

/// What stays the same through one piece.
struct Pass<'a> {
    model: &'a LanguageModel,
    d: &'a Description,
    pool: &'a ThreadPool,
    adapters: Option<&'a AdapterSet>,
}

impl<'a> Pass<'a> {
    fn matrix(&self, linear: &Linear) -> Matrix<'a> {
        self.model.weights().fast_matrix(self.model.gguf(), linear)
    }

    /// `x` times some linear layers: weights, what adapters add, biases.
    fn linear(&self, jobs: &mut [(&Linear, &mut [f32])], x: &Activations) {
        let adapters: Vec<Vec<Adapted<'_>>> = jobs.iter().map(|(linear, _)| self.adapted(linear)).collect();
        let mut products: Vec<Product<'_>> = jobs
            .iter_mut()
            .zip(&adapters)
            .map(|((linear, out), adapters)| Product { weight: self.matrix(linear), out, adapters })
            .collect();
        matmul_adapted(self.pool, &mut products, x);
        for (linear, out) in jobs {
            if let Some(bias) = &linear.bias {
                for row in out.chunks_exact_mut(bias.len()) {
                    add_assign(row, bias);
                }
            }
        }
    }

    /// What the request's adapters add to a layer.
    fn adapted(&self, linear: &Linear) -> Vec<Adapted<'a>> {
        let entries = self.adapters.into_iter().flat_map(AdapterSet::entries);
        let pairs = entries.filter_map(|(adapter, strength)| Some((adapter.pair(linear.tensor)?, strength)));
        let adapted = pairs.filter_map(|(pair, strength)| {
            let first_row = linear.rows.start;
            pair.factors().map(|factors| Adapted { factors, first_row, scale: pair.scale * strength })
        });
        adapted.collect()
    }
}

/// Where a piece stands in one layer.
struct Place<'a> {
    rows: usize,
    /// How many of the last rows go on behind the keys and values.
    kept: usize,
    first_position: usize,
    window: Option<usize>,
    rope: &'a RopeTable,
}

impl Buffers {
    /// `x += attention(norm(x))` for the kept rows, which move to the front of `x`; keys and values of all rows go
    /// into the cache.
    fn attention(&mut self, pass: &Pass<'_>, layer: &Layer, cache: &mut KvLayer, place: &Place<'_>) {
        let (d, pool) = (pass.d, pass.pool);
        let Place { rows, kept, first_position, .. } = *place;
        let Self { x, normed, branch, q, heads, k, v, k_normed, acts, .. } = self;
        let normed = &mut normed[..rows * d.hidden];
        rms_norm(pool, &x[..rows * d.hidden], &layer.attn_norm, d.norm_eps, normed);

        let (mut k, v) = (&mut k[..rows * d.kv_dim()], &mut v[..rows * d.kv_dim()]);
        let q = &mut q[..kept * d.q_dim()];
        acts.set(pool, normed, d.hidden);
        if kept == rows {
            pass.linear(&mut [(&layer.q, &mut *q), (&layer.k, &mut *k), (&layer.v, &mut *v)], acts);
        } else {
            pass.linear(&mut [(&layer.k, &mut *k), (&layer.v, &mut *v)], acts);
            if kept > 0 {
                acts.set(pool, &normed[(rows - kept) * d.hidden..], d.hidden);
                pass.linear(&mut [(&layer.q, &mut *q)], acts);
            }
        }
        if let Some(weight) = &layer.k_norm {
            let to = &mut k_normed[..k.len()];
            rms_norm(pool, k, weight, d.norm_eps, to);
            k = to;
        }
        place.rope.apply(pool, d.rope_style, k, d.n_kv_heads, d.head_dim, first_position);
        cache.write(pool, first_position, k, v);
        if kept == 0 {
            return;
        }

        let first_kept = first_position + rows - kept;
        let heads = &mut heads[..kept * d.q_dim()];
        if let Some(weight) = &layer.q_norm {
            rms_norm(pool, q, weight, d.norm_eps, heads);
            q.copy_from_slice(heads);
        }
        place.rope.apply(pool, d.rope_style, q, d.n_heads, d.head_dim, first_kept);
        attend(pool, q, d.n_heads, cache, first_kept, place.window, d.attention_scale, heads);

        let branch = &mut branch[..kept * d.hidden];
        acts.set(pool, heads, d.q_dim());
        pass.linear(&mut [(&layer.o, &mut *branch)], acts);
        if kept < rows {
            x.copy_within((rows - kept) * d.hidden..rows * d.hidden, 0);
        }
        add_branch(pass, layer.post_attn_norm.as_deref(), branch, normed, &mut x[..kept * d.hidden]);
    }

    /// `x += feed_forward(norm(x))`.
    fn feed_forward(&mut self, pass: &Pass<'_>, layer: &Layer, rows: usize) {
        let (d, pool) = (pass.d, pass.pool);
        let Self { x, normed, branch, gate, up, product, acts, .. } = self;
        let x = &mut x[..rows * d.hidden];
        let normed = &mut normed[..rows * d.hidden];
        let (gate, up, product) = (&mut gate[..rows * d.ffn], &mut up[..rows * d.ffn], &mut product[..rows * d.ffn]);
        rms_norm(pool, x, &layer.ffn_norm, d.norm_eps, normed);
        acts.set(pool, normed, d.hidden);
        pass.linear(&mut [(&layer.gate, &mut *gate), (&layer.up, &mut *up)], acts);
        match d.activation {
            Activation::Silu => silu_mul(pool, gate, up, product),
            Activation::GeluTanh => gelu_tanh_mul(pool, gate, up, product),
        }
        let branch = &mut branch[..rows * d.hidden];
        acts.set(pool, product, d.ffn);
        pass.linear(&mut [(&layer.down, &mut *branch)], acts);
        add_branch(pass, layer.post_ffn_norm.as_deref(), branch, normed, x);
    }

    /// Logits of the first `rows` rows of `x`.
    fn head(&mut self, pass: &Pass<'_>, rows: usize, logits: &mut [f32]) {
        let (d, pool, weights) = (pass.d, pass.pool, pass.model.weights());
        let normed = &mut self.normed[..rows * d.hidden];
        rms_norm(pool, &self.x[..rows * d.hidden], &weights.output_norm, d.norm_eps, normed);
        self.acts.set(pool, normed, d.hidden);
        pass.linear(&mut [(&weights.head, logits)], &self.acts);
    }
}

/// `x += branch`, with the norm between that some families have; `room` is overwritten.
fn add_branch(pass: &Pass<'_>, norm: Option<&[f32]>, branch: &[f32], room: &mut [f32], x: &mut [f32]) {
    match norm {
        Some(weight) => {
            let room = &mut room[..branch.len()];
            rms_norm(pass.pool, branch, weight, pass.d.norm_eps, room);
            add_assign(x, room);
        }
        None => add_assign(x, branch),
    }
}
