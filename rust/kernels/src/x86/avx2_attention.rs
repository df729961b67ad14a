//! The two products of attention with AVX2 and FMA, on keys and values as they are stored; as in
//! `avx512_attention.rs`, with two registers for 16 values and up to six queries at once.

use crate::attention::{BLOCK, STRIDE};
use crate::kv::{GROUP, Stored, TILE};
use std::arch::x86_64::*;
use std::ops::Range;

/// 16 floats.
type Sixteen = [__m256; 2];

/// Keys or values in one stored form.
///
/// # Safety
/// Callers have AVX2 and F16C, 16 values from `at`, and 16 scales or one from where they read them.
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
        unsafe { [_mm256_loadu_ps(self.add(at)), _mm256_loadu_ps(self.add(at + 8))] }
    }
    #[inline(always)]
    unsafe fn scales(self, _at: usize) -> Sixteen {
        // SAFETY: the caller has AVX2.
        unsafe { [_mm256_setzero_ps(); 2] }
    }
    #[inline(always)]
    unsafe fn scale(self, _at: usize) -> Sixteen {
        // SAFETY: the caller has AVX2.
        unsafe { [_mm256_setzero_ps(); 2] }
    }
}

impl Load for *const u16 {
    #[inline(always)]
    unsafe fn values(self, at: usize, _scales: Sixteen) -> Sixteen {
        // SAFETY: 16 values.
        unsafe {
            let half = |i: usize| _mm256_cvtph_ps(_mm_loadu_si128(self.add(at + i * 8).cast()));
            [half(0), half(1)]
        }
    }
    #[inline(always)]
    unsafe fn scales(self, _at: usize) -> Sixteen {
        // SAFETY: the caller has AVX2.
        unsafe { [_mm256_setzero_ps(); 2] }
    }
    #[inline(always)]
    unsafe fn scale(self, _at: usize) -> Sixteen {
        // SAFETY: the caller has AVX2.
        unsafe { [_mm256_setzero_ps(); 2] }
    }
}

impl Load for (*const i8, *const f32) {
    #[inline(always)]
    unsafe fn values(self, at: usize, scales: Sixteen) -> Sixteen {
        // SAFETY: 16 values.
        unsafe {
            let half = |i: usize| {
                let wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(self.0.add(at + i * 8).cast()));
                _mm256_mul_ps(_mm256_cvtepi32_ps(wide), scales[i])
            };
            [half(0), half(1)]
        }
    }
    #[inline(always)]
    unsafe fn scales(self, at: usize) -> Sixteen {
        // SAFETY: 16 scales.
        unsafe { [_mm256_loadu_ps(self.1.add(at)), _mm256_loadu_ps(self.1.add(at + 8))] }
    }
    #[inline(always)]
    unsafe fn scale(self, at: usize) -> Sixteen {
        // SAFETY: one scale.
        unsafe { [_mm256_set1_ps(*self.1.add(at)); 2] }
    }
}

/// How many of `n` queries are taken at once.
pub(super) fn share(n: usize) -> usize {
    match n {
        6.. => 6,
        5 => 4,
        _ => n,
    }
}

/// Scores of `n` queries, `STRIDE` apart, against tiles `tiles` of `k`, into each query's `BLOCK` of `scores`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scores(q: &[f32], n: usize, head_dim: usize, k: Stored<'_>, tiles: Range<usize>, scores: &mut [f32]) {
    super::check_scores(q, n, head_dim, k, &tiles, scores);
    // SAFETY: the sizes were checked; this function has the features.
    unsafe {
        match k {
            Stored::F32(k) => scores_of(q, n, head_dim, k.as_ptr(), tiles, scores),
            Stored::F16(k) => scores_of(q, n, head_dim, k.as_ptr(), tiles, scores),
            Stored::Q8(k, scales) => scores_of(q, n, head_dim, (k.as_ptr(), scales.as_ptr()), tiles, scores),
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn scores_of<L: Load>(q: &[f32], n: usize, head_dim: usize, k: L, tiles: Range<usize>, scores: &mut [f32]) {
    for tile in tiles {
        // SAFETY: the caller's promises.
        unsafe {
            match n {
                1 => score_tile::<L, 1>(q, head_dim, k, tile, scores),
                2 => score_tile::<L, 2>(q, head_dim, k, tile, scores),
                3 => score_tile::<L, 3>(q, head_dim, k, tile, scores),
                4 => score_tile::<L, 4>(q, head_dim, k, tile, scores),
                6 => score_tile::<L, 6>(q, head_dim, k, tile, scores),
                _ => unreachable!("`share` gives no other number"),
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn score_tile<L: Load, const R: usize>(q: &[f32], head_dim: usize, k: L, tile: usize, scores: &mut [f32]) {
    let groups = head_dim.div_ceil(GROUP);
    let (q, scores) = (q.as_ptr(), scores.as_mut_ptr());
    // SAFETY: the caller checked `R` queries of `head_dim`, the tiles of keys and of scales, and room for all scores.
    unsafe {
        let mut acc = [[_mm256_setzero_ps(); 2]; R];
        for group in 0..groups {
            let scales = k.scales((tile * groups + group) * TILE);
            for d in group * GROUP..head_dim.min((group + 1) * GROUP) {
                let keys = k.values((tile * head_dim + d) * TILE, scales);
                for r in 0..R {
                    let value = _mm256_set1_ps(*q.add(r * STRIDE + d));
                    for t in 0..2 {
                        acc[r][t] = _mm256_fmadd_ps(value, keys[t], acc[r][t]);
                    }
                }
            }
        }
        for r in 0..R {
            for t in 0..2 {
                _mm256_storeu_ps(scores.add(r * BLOCK + tile * TILE + t * 8), acc[r][t]);
            }
        }
    }
}

/// Adds to each of `n` rows of `out` the sum over `positions` of its weight times the position's values.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn weighted(
    weights: &[f32],
    n: usize,
    v: Stored<'_>,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    super::check_weighted(weights, n, v, &positions, head_dim, out);
    // SAFETY: the sizes were checked; this function has the features.
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

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
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
                6 => some_dims::<L, 6>(weights, v, positions, head_dim, dim, out),
                _ => unreachable!("`share` gives no other number"),
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
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
        let mut acc = [[_mm256_setzero_ps(); 2]; R];
        for r in 0..R {
            for t in 0..2 {
                acc[r][t] = _mm256_loadu_ps(out.add(r * head_dim + dim + t * 8));
            }
        }
        for j in positions {
            let values = v.values(j * head_dim + dim, v.scale(j * groups + dim / GROUP));
            for r in 0..R {
                let weight = _mm256_set1_ps(*weights.add(r * BLOCK + j));
                for t in 0..2 {
                    acc[r][t] = _mm256_fmadd_ps(weight, values[t], acc[r][t]);
                }
            }
        }
        for r in 0..R {
            for t in 0..2 {
                _mm256_storeu_ps(out.add(r * head_dim + dim + t * 8), acc[r][t]);
            }
        }
    }
}
