//! The kernels in portable Rust. Their order of operations is the definition; every other kernel reproduces its bits.
//!
//! One row of a quantized weight times one row of activations goes through the columns 32 at a time, in order, with
//! one f32 accumulator:
//!
//! - one scale for 32 values: `t = int(dot) * s`, `acc = fma(t, d, acc)`;
//! - one scale for 16: `t = fma(int(dot1), s1, int(dot0) * s0)`, `acc = fma(t, d, acc)`;
//! - then, where the format has minima, for 32 `acc = fma(m, d * int(sum), acc)`, for 16 the same twice.
//!
//! Here `dot` is an exact integer, `s` and `m` the weight's scale and minimum, `d` and `sum` the activations'.
//! One row of floats goes into 16 accumulators, value `k` into number `k % 16` by fma, which are then added as a tree:
//! 0 with 8, 1 with 9 and so on, then with 4, 2, 1 apart.

use crate::blocks::{Expanded, expand};
use crate::dispatch::Kernel;
use crate::kv::TILE;
use crate::packed::TILE_ROWS;
use crate::{Activations, Format, Matrix};
use half::{bf16, f16};
use std::ops::Range;

/// One row of a quantized weight as integers, and a scale and a minimum for each 16.
#[derive(Default)]
pub(crate) struct Row {
    q: Vec<i8>,
    scale: Vec<f32>,
    min: Vec<f32>,
}

impl Row {
    /// Expands row `n` of `w`.
    pub(crate) fn expand(&mut self, w: Matrix<'_>, n: usize) {
        let format = w.format();
        let mut block = Expanded::new();
        self.q.clear();
        self.scale.clear();
        self.min.clear();
        for b in 0..w.cols() / format.block_len() {
            if w.is_packed() {
                let (layout, tile) = w.tile(n / TILE_ROWS);
                layout.expand(tile, n % TILE_ROWS, b, &mut block);
            } else {
                expand(format, &w.row(n)[b * format.block_bytes()..][..format.block_bytes()], &mut block);
            }
            self.q.extend_from_slice(&block.q[..format.block_len()]);
            self.scale.extend_from_slice(&block.scales.scale[..format.block_len() / 16]);
            self.min.extend_from_slice(&block.scales.min[..format.block_len() / 16]);
        }
    }

    /// The row, of a weight of `format`, times row `m` of `x`.
    pub(crate) fn dot(&self, format: Format, x: &Activations, m: usize) -> f32 {
        let (cols, chunks) = (self.q.len(), self.q.len() / 32);
        let x_q = &x.q[m * cols..(m + 1) * cols];
        let d = &x.d[m * chunks..(m + 1) * chunks];
        let dsums = &x.dsums[m * chunks * 2..(m + 1) * chunks * 2];
        let dsums32 = &x.dsums32[m * chunks..(m + 1) * chunks];
        let mut acc = 0.0f32;
        let both = self.q.as_chunks::<16>().0.iter().zip(x_q.as_chunks::<16>().0);
        let mut dots = both.map(|(w, x)| w.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum::<i32>());
        for chunk in 0..chunks {
            let (dot0, dot1) = (dots.next().unwrap_or(0), dots.next().unwrap_or(0));
            let (scale, min) = (&self.scale[2 * chunk..2 * chunk + 2], &self.min[2 * chunk..2 * chunk + 2]);
            if format.has_groups_of_16() {
                let t = (dot1 as f32).mul_add(scale[1], dot0 as f32 * scale[0]);
                acc = t.mul_add(d[chunk], acc);
                if format.has_min() {
                    acc = min[0].mul_add(dsums[2 * chunk], acc);
                    acc = min[1].mul_add(dsums[2 * chunk + 1], acc);
                }
            } else {
                acc = ((dot0 + dot1) as f32 * scale[0]).mul_add(d[chunk], acc);
                if format.has_min() {
                    acc = min[0].mul_add(dsums32[chunk], acc);
                }
            }
        }
        acc
    }
}

/// Adds 16 accumulators in the fixed order.
#[inline(always)]
pub(crate) fn add_lanes(mut lanes: [f32; 16]) -> f32 {
    for apart in [8, 4, 2, 1] {
        for i in 0..apart {
            lanes[i] += lanes[i + apart];
        }
    }
    lanes[0]
}

/// The dot product of two f32 rows in the fixed order.
#[inline(always)]
pub(crate) fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (a_whole, a_rest) = a.as_chunks::<16>();
    let (b_whole, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for i in 0..16 {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[i] = a.mul_add(*b, lanes[i]);
    }
    add_lanes(lanes)
}

/// Writes row `n` of a float weight as f32.
pub(crate) fn widen(w: Matrix<'_>, n: usize, out: &mut [f32]) {
    let raw = w.row(n);
    match w.format() {
        Format::F32 => {
            for (v, raw) in out.iter_mut().zip(raw.as_chunks::<4>().0) {
                *v = f32::from_le_bytes(*raw);
            }
        }
        Format::F16 => {
            for (v, raw) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                *v = f16::from_le_bytes(*raw).to_f32();
            }
        }
        _ => {
            for (v, raw) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                *v = bf16::from_le_bytes(*raw).to_f32();
            }
        }
    }
}

/// Scores of one query against some tiles of keys: each summed dimension after dimension.
pub(crate) struct AttentionScores<'a>(
    pub(crate) &'a [f32],
    pub(crate) &'a [f32],
    pub(crate) Range<usize>,
    pub(crate) &'a mut [f32],
);

impl Kernel for AttentionScores<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(q, k, tiles, scores) = self;
        for tile in tiles {
            let mut sums = [0.0f32; TILE];
            for (q, k) in q.iter().zip(k[tile * q.len() * TILE..].as_chunks::<TILE>().0) {
                for lane in 0..TILE {
                    sums[lane] = q.mul_add(k[lane], sums[lane]);
                }
            }
            scores[tile * TILE..(tile + 1) * TILE].copy_from_slice(&sums);
        }
    }
}

/// The sum of values weighted by `weights`, position after position.
pub(crate) struct AttentionWeighted<'a>(
    pub(crate) &'a [f32],
    pub(crate) &'a [f32],
    pub(crate) Range<usize>,
    pub(crate) &'a mut [f32],
);

impl Kernel for AttentionWeighted<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(weights, v, positions, out) = self;
        out.fill(0.0);
        for j in positions {
            let v = &v[j * out.len()..(j + 1) * out.len()];
            for (out, v) in out.iter_mut().zip(v) {
                *out = weights[j].mul_add(*v, *out);
            }
        }
    }
}
