//! The two products of attention with NEON, on keys and values as they are stored: a tile of 16 positions, or 16
//! dimensions of a value, are four registers, shared by up to four queries.

use crate::attention::{BLOCK, STRIDE};
use crate::kv::{GROUP, Stored, TILE};
use std::arch::aarch64::*;
use std::ops::Range;

/// 16 floats.
type Sixteen = [float32x4_t; 4];

/// Keys or values in one stored form.
///
/// # Safety
/// Callers have 16 values from `at`, and 16 scales or one from where they read them.
trait Load: Copy {
    /// 16 values, times their scales.
    unsafe fn values(self, at: usize, scales: Sixteen) -> Sixteen;
    /// 16 scales, of as many keys.
    unsafe fn scales(self, at: usize) -> Sixteen;
    /// One scale, 16 times.
    unsafe fn scale(self, at: usize) -> Sixteen;
}

impl Load for *const f32 {
    #[inline(always)]
    unsafe fn values(self, at: usize, _scales: Sixteen) -> Sixteen {
        // SAFETY: 16 values.
        unsafe { [0, 4, 8, 12].map(|i| vld1q_f32(self.add(at + i))) }
    }
    #[inline(always)]
    unsafe fn scales(self, _at: usize) -> Sixteen {
        zeros()
    }
    #[inline(always)]
    unsafe fn scale(self, _at: usize) -> Sixteen {
        zeros()
    }
}

impl Load for *const u16 {
    #[inline(always)]
    unsafe fn values(self, at: usize, _scales: Sixteen) -> Sixteen {
        // SAFETY: 16 values.
        unsafe { [0, 4, 8, 12].map(|i| vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(self.add(at + i))))) }
    }
    #[inline(always)]
    unsafe fn scales(self, _at: usize) -> Sixteen {
        zeros()
    }
    #[inline(always)]
    unsafe fn scale(self, _at: usize) -> Sixteen {
        zeros()
    }
}

impl Load for (*const i8, *const f32) {
    #[inline(always)]
    unsafe fn values(self, at: usize, scales: Sixteen) -> Sixteen {
        // SAFETY: 16 values.
        unsafe {
            let bytes = vld1q_s8(self.0.add(at));
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            let words = [
                vmovl_s16(vget_low_s16(low)),
                vmovl_high_s16(low),
                vmovl_s16(vget_low_s16(high)),
                vmovl_high_s16(high),
            ];
            std::array::from_fn(|i| vmulq_f32(vcvtq_f32_s32(words[i]), scales[i]))
        }
    }
    #[inline(always)]
    unsafe fn scales(self, at: usize) -> Sixteen {
        // SAFETY: 16 scales.
        unsafe { [0, 4, 8, 12].map(|i| vld1q_f32(self.1.add(at + i))) }
    }
    #[inline(always)]
    unsafe fn scale(self, at: usize) -> Sixteen {
        // SAFETY: one scale.
        unsafe { [vdupq_n_f32(*self.1.add(at)); 4] }
    }
}

#[inline(always)]
fn zeros() -> Sixteen {
    // SAFETY: registers only.
    [unsafe { vdupq_n_f32(0.0) }; 4]
}

/// How many of `n` queries are taken at once: four times four sums leave room for what they are made of.
pub(super) fn share(n: usize) -> usize {
    n.min(4)
}

/// That all positions of a block up to `positions` are there.
fn check(stored: Stored<'_>, positions: usize, head_dim: usize) {
    let (values, scales) = match stored {
        Stored::F32(values) => (values.len(), usize::MAX),
        Stored::F16(values) => (values.len(), usize::MAX),
        Stored::Q8(values, scales) => (values.len(), scales.len()),
    };
    assert!(values >= positions * head_dim && scales >= positions * head_dim.div_ceil(GROUP), "all positions");
}

/// Scores of `n` queries, `STRIDE` apart, against tiles `tiles` of `k`, into each query's `BLOCK` of `scores`.
pub(super) fn scores(q: &[f32], n: usize, head_dim: usize, k: Stored<'_>, tiles: Range<usize>, scores: &mut [f32]) {
    assert!(n > 0 && head_dim <= STRIDE && q.len() >= (n - 1) * STRIDE + head_dim, "all queries");
    assert!(tiles.end * TILE <= BLOCK && scores.len() >= n * BLOCK, "room for all scores");
    check(k, tiles.end * TILE, head_dim);
    // SAFETY: the sizes were checked.
    unsafe {
        match k {
            Stored::F32(k) => scores_of(q, n, head_dim, k.as_ptr(), tiles, scores),
            Stored::F16(k) => scores_of(q, n, head_dim, k.as_ptr(), tiles, scores),
            Stored::Q8(k, scales) => scores_of(q, n, head_dim, (k.as_ptr(), scales.as_ptr()), tiles, scores),
        }
    }
}

unsafe fn scores_of<L: Load>(q: &[f32], n: usize, head_dim: usize, k: L, tiles: Range<usize>, scores: &mut [f32]) {
    for tile in tiles {
        // SAFETY: the caller's promises.
        unsafe {
            match n {
                1 => score_tile::<L, 1>(q, head_dim, k, tile, scores),
                2 => score_tile::<L, 2>(q, head_dim, k, tile, scores),
                3 => score_tile::<L, 3>(q, head_dim, k, tile, scores),
                4 => score_tile::<L, 4>(q, head_dim, k, tile, scores),
                _ => unreachable!("`share` gives no other number"),
            }
        }
    }
}

unsafe fn score_tile<L: Load, const R: usize>(q: &[f32], head_dim: usize, k: L, tile: usize, scores: &mut [f32]) {
    let groups = head_dim.div_ceil(GROUP);
    let (q, scores) = (q.as_ptr(), scores.as_mut_ptr());
    // SAFETY: the caller checked `R` queries of `head_dim`, the tiles of keys and of scales, and room for all scores.
    unsafe {
        let mut acc = [zeros(); R];
        for group in 0..groups {
            let scales = k.scales((tile * groups + group) * TILE);
            for d in group * GROUP..head_dim.min((group + 1) * GROUP) {
                let keys = k.values((tile * head_dim + d) * TILE, scales);
                for r in 0..R {
                    for t in 0..4 {
                        acc[r][t] = vfmaq_n_f32(acc[r][t], keys[t], *q.add(r * STRIDE + d));
                    }
                }
            }
        }
        for r in 0..R {
            for t in 0..4 {
                vst1q_f32(scores.add(r * BLOCK + tile * TILE + t * 4), acc[r][t]);
            }
        }
    }
}

/// Adds to each of `n` rows of `out` the sum over `positions` of its weight times the position's values.
pub(super) fn weighted(
    weights: &[f32],
    n: usize,
    v: Stored<'_>,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    assert!(head_dim.is_multiple_of(16) && out.len() == n * head_dim, "whole registers of output");
    assert!(positions.end <= BLOCK && weights.len() >= n * BLOCK, "all weights");
    check(v, positions.end, head_dim);
    // SAFETY: the sizes were checked.
    unsafe {
        match v {
            Stored::F32(v) => weighted_of(weights, n, v.as_ptr(), positions, head_dim, out),
            Stored::F16(v) => weighted_of(weights, n, v.as_ptr(), positions, head_dim, out),
            Stored::Q8(v, scales) => {
                weighted_of(weights, n, (v.as_ptr(), scales.as_ptr()), positions, head_dim, out);
            }
        }
    }
}

unsafe fn weighted_of<L: Load>(
    weights: &[f32],
    n: usize,
    v: L,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    for dim in (0..head_dim).step_by(16) {
        let positions = positions.clone();
        // SAFETY: the caller's promises.
        unsafe {
            match n {
                1 => some_dims::<L, 1>(weights, v, positions, head_dim, dim, out),
                2 => some_dims::<L, 2>(weights, v, positions, head_dim, dim, out),
                3 => some_dims::<L, 3>(weights, v, positions, head_dim, dim, out),
                4 => some_dims::<L, 4>(weights, v, positions, head_dim, dim, out),
                _ => unreachable!("`share` gives no other number"),
            }
        }
    }
}

unsafe fn some_dims<L: Load, const R: usize>(
    weights: &[f32],
    v: L,
    positions: Range<usize>,
    head_dim: usize,
    dim: usize,
    out: &mut [f32],
) {
    let groups = head_dim.div_ceil(GROUP);
    let (weights, out) = (weights.as_ptr(), out.as_mut_ptr());
    // SAFETY: the caller checked that there are values, scales and weights of all positions, and `R` outputs of
    // `head_dim`; `dim + 16` is within a head.
    unsafe {
        let mut acc = [zeros(); R];
        for r in 0..R {
            acc[r] = out.cast_const().values(r * head_dim + dim, zeros());
        }
        for j in positions {
            let values = v.values(j * head_dim + dim, v.scale(j * groups + dim / GROUP));
            for r in 0..R {
                for t in 0..4 {
                    acc[r][t] = vfmaq_n_f32(acc[r][t], values[t], *weights.add(r * BLOCK + j));
                }
            }
        }
        for r in 0..R {
            for t in 0..4 {
                vst1q_f32(out.add(r * head_dim + dim + t * 4), acc[r][t]);
            }
        }
    }
}
