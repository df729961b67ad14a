//! The portable path: the same decoder in candle's tensors, on whatever device candle has.
//!
//! It is the path to a GPU, and the reference that our kernels are held against. Weights are copied to the device as
//! they are stored; the embedding table is read row by row from the map, so it is on the device only where it is
//! also the head. Keys and values are kept in f32.

use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{D, Device, Module, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};
use lorekit_kernels::{Format, Matrix, RopeStyle};

use super::backend::{Piece, Wanted};
use super::description::{Activation, Description, Rope};
use super::model::LanguageModel;
use super::weights::{self, EMBEDDING, Layer, Linear, Weights};
use crate::lora::DevicePairs;
use crate::{Error, Gguf, Result};

/// All weights on one device.
pub(crate) struct PortableModel {
    device: Device,
    layers: Vec<PortableLayer>,
    output_norm: Tensor,
    head: PortableLinear,
}

struct PortableLinear {
    matrix: QMatMul,
    bias: Option<Tensor>,
    /// Where adapters find it: the tensor and its rows.
    tensor: usize,
    rows: Range<usize>,
}

struct PortableLayer {
    attn_norm: Tensor,
    q: PortableLinear,
    k: PortableLinear,
    v: PortableLinear,
    q_norm: Option<Tensor>,
    k_norm: Option<Tensor>,
    o: PortableLinear,
    post_attn_norm: Option<Tensor>,
    ffn_norm: Tensor,
    gate: PortableLinear,
    up: PortableLinear,
    down: PortableLinear,
    post_ffn_norm: Option<Tensor>,
}

impl PortableModel {
    /// Copies all weights to `device`.
    pub(crate) fn load(gguf: &Gguf, d: &Description, weights: &Weights, device: &Device) -> Result<Self> {
        let loader = Loader { gguf, weights, device };
        let layers: Result<Vec<_>> = weights.layers.iter().map(|layer| loader.layer(layer)).collect();
        Ok(Self {
            device: device.clone(),
            layers: layers?,
            output_norm: Tensor::from_slice(&weights.output_norm, d.hidden, device)?,
            head: loader.linear(&weights.head)?,
        })
    }
}

struct Loader<'a> {
    gguf: &'a Gguf,
    weights: &'a Weights,
    device: &'a Device,
}

impl Loader<'_> {
    fn layer(&self, layer: &Layer) -> Result<PortableLayer> {
        let vector = |v: &Vec<f32>| -> Result<Tensor> { Ok(Tensor::from_slice(v, v.len(), self.device)?) };
        let optional = |v: &Option<Vec<f32>>| v.as_ref().map(vector).transpose();
        Ok(PortableLayer {
            attn_norm: vector(&layer.attn_norm)?,
            q: self.linear(&layer.q)?,
            k: self.linear(&layer.k)?,
            v: self.linear(&layer.v)?,
            q_norm: optional(&layer.q_norm)?,
            k_norm: optional(&layer.k_norm)?,
            o: self.linear(&layer.o)?,
            post_attn_norm: optional(&layer.post_attn_norm)?,
            ffn_norm: vector(&layer.ffn_norm)?,
            gate: self.linear(&layer.gate)?,
            up: self.linear(&layer.up)?,
            down: self.linear(&layer.down)?,
            post_ffn_norm: optional(&layer.post_ffn_norm)?,
        })
    }

    fn linear(&self, linear: &Linear) -> Result<PortableLinear> {
        let matrix = self.weights.matrix(self.gguf, linear);
        let name = &self.weights.tensors[linear.tensor].name;
        let bias = linear.bias.as_ref().map(|bias| Tensor::from_slice(bias, bias.len(), self.device)).transpose()?;
        let stored = self.quantized(matrix, name)?;
        // candle's kernels for these three formats take blocks two by two.
        let in_pairs = matches!(matrix.format(), Format::Q4_1 | Format::Q5_0 | Format::Q5_1);
        let matrix = if in_pairs && matrix.cols() % 64 != 0 {
            QMatMul::Tensor(stored.dequantize(self.device)?)
        } else {
            QMatMul::from_qtensor(stored)?
        };
        Ok(PortableLinear { matrix, bias, tensor: linear.tensor, rows: linear.rows.clone() })
    }

    fn quantized(&self, matrix: Matrix<'_>, name: &str) -> Result<QTensor> {
        // candle asserts the alignment of the bytes it is given; four suffice for every block it has.
        if matrix.data().as_ptr().align_offset(4) != 0 {
            return Err(self.gguf.damaged(format!("tensor {name} is not aligned to 4 bytes")));
        }
        let storage = QStorage::from_data(matrix.data().into(), self.device, candle_type(matrix.format()))?;
        Ok(QTensor::new(storage, (matrix.rows(), matrix.cols()))?)
    }
}

fn candle_type(format: Format) -> GgmlDType {
    match format {
        Format::F32 => GgmlDType::F32,
        Format::F16 => GgmlDType::F16,
        Format::BF16 => GgmlDType::BF16,
        Format::Q4_0 => GgmlDType::Q4_0,
        Format::Q4_1 => GgmlDType::Q4_1,
        Format::Q5_0 => GgmlDType::Q5_0,
        Format::Q5_1 => GgmlDType::Q5_1,
        Format::Q8_0 => GgmlDType::Q8_0,
        Format::Q2K => GgmlDType::Q2K,
        Format::Q3K => GgmlDType::Q3K,
        Format::Q4K => GgmlDType::Q4K,
        Format::Q5K => GgmlDType::Q5K,
        Format::Q6K => GgmlDType::Q6K,
    }
}

/// Cache and position tables of one session on the device.
pub(crate) struct PortableState {
    /// For each layer keys and values, `(n_kv_heads, capacity, head_dim)`.
    cache: Vec<(Tensor, Tensor)>,
    rope: Turn,
    local_rope: Option<Turn>,
    kv_dim: usize,
}

/// Cosines and sines, `(capacity, rotary_dim / 2)`.
struct Turn {
    cos: Tensor,
    sin: Tensor,
}

impl Turn {
    fn new(d: &Description, rope: Rope, factors: Option<&[f32]>, capacity: usize, device: &Device) -> Result<Self> {
        let half = d.rotary_dim / 2;
        let mut angles = Vec::with_capacity(capacity * half);
        for position in 0..capacity {
            for pair in 0..half {
                let exponent = -2.0 * pair as f64 / d.rotary_dim as f64;
                let frequency = f64::from(rope.theta).powf(exponent) / f64::from(factors.map_or(1.0, |f| f[pair]));
                angles.push(position as f64 * f64::from(rope.position_scale) * frequency);
            }
        }
        let table = |f: fn(f64) -> f64| -> Result<Tensor> {
            let values: Vec<f32> = angles.iter().map(|angle| f(*angle) as f32).collect();
            Ok(Tensor::from_vec(values, (capacity, half), device)?)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }
}

impl PortableState {
    pub(crate) fn new(model: &LanguageModel, portable: &PortableModel, capacity: usize) -> Result<Self> {
        let d = model.description();
        let device = &portable.device;
        let room = || Tensor::zeros((d.n_kv_heads, capacity, d.head_dim), candle_core::DType::F32, device);
        let cache: Result<Vec<_>> = (0..d.n_layers).map(|_| Ok((room()?, room()?))).collect();
        let local = d.local_layers.iter().any(|local| *local);
        let factors = model.weights().rope_factors.as_deref();
        Ok(Self {
            cache: cache?,
            rope: Turn::new(d, d.rope, factors, capacity, device)?,
            local_rope: if local { Some(Turn::new(d, d.local_rope, None, capacity, device)?) } else { None },
            kv_dim: d.kv_dim(),
        })
    }

    pub(crate) fn forward(&mut self, model: &LanguageModel, piece: &Piece<'_>, logits: &mut [f32]) -> Result<()> {
        let portable = model.portable().ok_or_else(|| Error::InvalidArgument("not a portable model".to_owned()))?;
        let d = model.description();
        let rows = piece.tokens.len();
        let adapters: Result<Vec<_>> = piece
            .adapters
            .into_iter()
            .flat_map(|set| set.entries())
            .map(|(adapter, strength)| {
                let scales = (0..model.weights().tensors.len())
                    .map(|t| adapter.pair(t).map_or(0.0, |pair| f64::from(pair.scale * strength)))
                    .collect();
                Ok(ActiveAdapter { pairs: adapter.on_device(&portable.device)?, scales })
            })
            .collect();
        let pass = Pass { d, adapters: adapters?, device: &portable.device };

        let mut x = embed(model, &portable.device, piece.tokens)?;
        let mask = pass.mask(piece.first_position, rows, None)?;
        let local_mask =
            if self.local_rope.is_some() { pass.mask(piece.first_position, rows, Some(d.window))? } else { None };
        for (index, layer) in portable.layers.iter().enumerate() {
            let kept = if index + 1 == d.n_layers { piece.wanted.rows(rows) } else { rows };
            let local = d.local_layers[index];
            let turn = self.local_rope.as_ref().filter(|_| local).unwrap_or(&self.rope);
            let mask = if local { &local_mask } else { &mask };
            let place = Place { kept, first_position: piece.first_position, turn, mask: mask.as_ref() };
            let Some(attended) = pass.attention(layer, &x, &self.cache[index], &place)? else {
                return Ok(());
            };
            x = pass.feed_forward(layer, &attended)?;
        }
        if piece.wanted != Wanted::None {
            let normed = rms_norm(&x.contiguous()?, &portable.output_norm, d.norm_eps)?;
            let values = pass.linear(&portable.head, &normed)?.flatten_all()?.to_vec1::<f32>()?;
            logits.copy_from_slice(&values);
        }
        Ok(())
    }

    pub(crate) fn export(&self, layer: usize, range: Range<usize>) -> Result<Vec<u8>> {
        let (keys, values) = &self.cache[layer];
        let mut out = Vec::with_capacity(range.len() * self.bytes_per_position());
        for tensor in [keys, values] {
            let part = tensor.narrow(1, range.start, range.len())?.flatten_all()?.to_vec1::<f32>()?;
            out.extend(part.iter().flat_map(|v| v.to_le_bytes()));
        }
        Ok(out)
    }

    pub(crate) fn import(&mut self, layer: usize, range: Range<usize>, bytes: &[u8]) -> Result<()> {
        if bytes.len() != range.len() * self.bytes_per_position() {
            return Err(Error::InvalidArgument(format!("snapshot of layer {layer}: {} bytes", bytes.len())));
        }
        let (keys, values) = &self.cache[layer];
        let (heads, _, head_dim) = keys.dims3()?;
        let (for_keys, for_values) = bytes.split_at(bytes.len() / 2);
        for (tensor, bytes) in [(keys, for_keys), (values, for_values)] {
            let part: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let part = Tensor::from_vec(part, (heads, range.len(), head_dim), tensor.device())?;
            tensor.slice_set(&part, 1, range.start)?;
        }
        Ok(())
    }

    pub(crate) fn bytes_per_position(&self) -> usize {
        2 * 4 * self.kv_dim
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache.iter().map(|(keys, values)| 4 * (keys.elem_count() + values.elem_count())).sum()
    }
}

/// The embeddings of some tokens: rows of the mapped table, expanded one by one.
fn embed(model: &LanguageModel, device: &Device, tokens: &[u32]) -> Result<Tensor> {
    let d = model.description();
    let table = weights::matrix(model.gguf(), EMBEDDING);
    let mut rows = vec![0.0f32; tokens.len() * d.hidden];
    for (row, token) in rows.chunks_exact_mut(d.hidden).zip(tokens) {
        table.dequantize_row(*token as usize, row);
    }
    lorekit_kernels::scale(&mut rows, d.embedding_scale);
    Ok(Tensor::from_vec(rows, (tokens.len(), d.hidden), device)?)
}

struct ActiveAdapter {
    pairs: Arc<DevicePairs>,
    /// For each tensor, the adapter's own scale times its strength in this request.
    scales: Vec<f64>,
}

/// What stays the same through one piece.
struct Pass<'a> {
    d: &'a Description,
    adapters: Vec<ActiveAdapter>,
    device: &'a Device,
}

/// Where a piece stands in one layer.
struct Place<'a> {
    /// How many of the last rows go on behind the keys and values.
    kept: usize,
    first_position: usize,
    turn: &'a Turn,
    mask: Option<&'a Tensor>,
}

impl Pass<'_> {
    /// `x Wᵀ + s (x Aᵀ) Bᵀ + b`.
    fn linear(&self, linear: &PortableLinear, x: &Tensor) -> Result<Tensor> {
        let mut y = linear.matrix.forward(x)?;
        for adapter in &self.adapters {
            if let Some((a, b)) = &adapter.pairs[linear.tensor] {
                let b = b.narrow(0, linear.rows.start, linear.rows.len())?;
                let low = x.matmul(&a.t()?)?.matmul(&b.t()?)?;
                y = (y + (low * adapter.scales[linear.tensor])?)?;
            }
        }
        match &linear.bias {
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y),
        }
    }

    /// What is added to the scores of `rows` queries over all positions so far: 0 or -∞. `None` where nothing is hidden.
    fn mask(&self, first: usize, rows: usize, window: Option<usize>) -> Result<Option<Tensor>> {
        let all = first + rows;
        let window = window.unwrap_or(usize::MAX);
        if rows == 1 && all <= window {
            return Ok(None);
        }
        let mut mask = Vec::with_capacity(rows * all);
        for row in first..all {
            mask.extend((0..all).map(|p| if p <= row && row - p < window { 0.0 } else { f32::NEG_INFINITY }));
        }
        Ok(Some(Tensor::from_vec(mask, (rows, all), self.device)?))
    }

    /// `(n, heads * head_dim)` to `(heads, n, head_dim)`, normed and turned.
    fn heads(&self, x: &Tensor, n_heads: usize, norm: Option<&Tensor>, turn: &Turn, first: usize) -> Result<Tensor> {
        let d = self.d;
        let n = x.dim(0)?;
        let mut x = x.reshape((n, n_heads, d.head_dim))?.transpose(0, 1)?.contiguous()?;
        if let Some(weight) = norm {
            x = rms_norm(&x, weight, d.norm_eps)?;
        }
        let (cos, sin) = (turn.cos.narrow(0, first, n)?, turn.sin.narrow(0, first, n)?);
        let rotate = match d.rope_style {
            RopeStyle::Neox => rope,
            RopeStyle::Interleaved => rope_i,
        };
        let x = x.unsqueeze(0)?;
        let x = if d.rotary_dim == d.head_dim {
            rotate(&x, &cos, &sin)?
        } else {
            let turned = rotate(&x.narrow(D::Minus1, 0, d.rotary_dim)?.contiguous()?, &cos, &sin)?;
            let rest = x.narrow(D::Minus1, d.rotary_dim, d.head_dim - d.rotary_dim)?;
            Tensor::cat(&[&turned, &rest], D::Minus1)?
        };
        Ok(x.squeeze(0)?.contiguous()?)
    }

    /// `x + attention(norm(x))` for the kept rows, or `None` if there are none; keys and values of all rows go into
    /// the cache.
    fn attention(
        &self,
        layer: &PortableLayer,
        x: &Tensor,
        cache: &(Tensor, Tensor),
        place: &Place<'_>,
    ) -> Result<Option<Tensor>> {
        let d = self.d;
        let n = x.dim(0)?;
        let Place { kept, first_position, turn, .. } = *place;
        let normed = rms_norm(x, &layer.attn_norm, d.norm_eps)?;
        let k = self.linear(&layer.k, &normed)?;
        let k = self.heads(&k, d.n_kv_heads, layer.k_norm.as_ref(), turn, first_position)?;
        let v = self.linear(&layer.v, &normed)?;
        let v = v.reshape((n, d.n_kv_heads, d.head_dim))?.transpose(0, 1)?.contiguous()?;
        cache.0.slice_set(&k, 1, first_position)?;
        cache.1.slice_set(&v, 1, first_position)?;
        if kept == 0 {
            return Ok(None);
        }
        let skipped = n - kept;
        let x = x.narrow(0, skipped, kept)?;
        let q = self.linear(&layer.q, &normed.narrow(0, skipped, kept)?.contiguous()?)?;
        let q = self.heads(&q, d.n_heads, layer.q_norm.as_ref(), turn, first_position + skipped)?;

        let all = first_position + n;
        let keys = cache.0.narrow(1, 0, all)?.contiguous()?;
        let values = cache.1.narrow(1, 0, all)?.contiguous()?;
        // Query heads that share a key head lie side by side: they become rows of one product.
        let together = d.n_heads / d.n_kv_heads * kept;
        let q = (q.reshape((d.n_kv_heads, together, d.head_dim))? * f64::from(d.attention_scale))?;
        let mut scores = q.matmul(&keys.transpose(1, 2)?)?.reshape((d.n_heads, kept, all))?;
        if let Some(mask) = place.mask {
            scores = scores.broadcast_add(&mask.narrow(0, skipped, kept)?)?;
        }
        let shares = softmax_last_dim(&scores)?.reshape((d.n_kv_heads, together, all))?;
        let heads = shares.matmul(&values)?.reshape((d.n_heads, kept, d.head_dim))?;
        let heads = heads.transpose(0, 1)?.contiguous()?.reshape((kept, d.q_dim()))?;
        let branch = self.linear(&layer.o, &heads)?;
        self.add(&x, &branch, layer.post_attn_norm.as_ref()).map(Some)
    }

    /// `x + feed_forward(norm(x))`.
    fn feed_forward(&self, layer: &PortableLayer, x: &Tensor) -> Result<Tensor> {
        let normed = rms_norm(x, &layer.ffn_norm, self.d.norm_eps)?;
        let gate = self.linear(&layer.gate, &normed)?;
        let gate = match self.d.activation {
            Activation::Silu => silu(&gate)?,
            Activation::GeluTanh => gate.gelu()?,
        };
        let product = (gate * self.linear(&layer.up, &normed)?)?;
        let branch = self.linear(&layer.down, &product)?;
        self.add(x, &branch, layer.post_ffn_norm.as_ref())
    }

    fn add(&self, x: &Tensor, branch: &Tensor, norm: Option<&Tensor>) -> Result<Tensor> {
        match norm {
            Some(weight) => Ok((x + rms_norm(branch, weight, self.d.norm_eps)?)?),
            None => Ok((x + branch)?),
        }
    }
}
