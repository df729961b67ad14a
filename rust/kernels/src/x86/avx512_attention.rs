//! The two products of attention with AVX-512, on keys and values as they are stored.
//!
//! Up to 12 queries share each load, and a load widens: 24 fused multiply-adds then hide two conversions, and nothing
//! is written between. Orders are those of `attention.rs`: a score is summed dimension after dimension, a value
//! position after position.

use crate::attention::{BLOCK, STRIDE};
use crate::kv::{GROUP, Stored, TILE};
use std::arch::x86_64::*;
use std::ops::Range;

/// Keys or values in one stored form.
///
/// # Safety
/// Callers have AVX-512 F, BW and VL, 16 values from `at`, and 16 scales or one from where they read them.
trait Load: Copy {
    /// 16 values, times their scales.
    unsafe fn values(self, at: usize, scales: __m512) -> __m512;
    /// 16 scales, of as many keys.
    unsafe fn scales(self, at: usize) -> __m512;
    /// One scale, 16 times.
    unsafe fn scale(self, at: usize) -> __m512;
}

impl Load for *const f32 {
    #[inline(always)]
    unsafe fn values(self, at: usize, _scales: __m512) -> __m512 {
        // SAFETY: 16 values.
        unsafe { _mm512_loadu_ps(self.add(at)) }
    }
    #[inline(always)]
    unsafe fn scales(self, _at: usize) -> __m512 {
        // SAFETY: the caller has AVX-512 F.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn scale(self, _at: usize) -> __m512 {
        // SAFETY: the caller has AVX-512 F.
        unsafe { _mm512_setzero_ps() }
    }
}

impl Load for *const u16 {
    #[inline(always)]
    unsafe fn values(self, at: usize, _scales: __m512) -> __m512 {
        // SAFETY: 16 values.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(self.add(at).cast())) }
    }
    #[inline(always)]
    unsafe fn scales(self, _at: usize) -> __m512 {
        // SAFETY: the caller has AVX-512 F.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn scale(self, _at: usize) -> __m512 {
        // SAFETY: the caller has AVX-512 F.
        unsafe { _mm512_setzero_ps() }
    }
}

impl Load for (*const i8, *const f32) {
    #[inline(always)]
    unsafe fn values(self, at: usize, scales: __m512) -> __m512 {
        // SAFETY: 16 values.
        unsafe {
            let wide = _mm512_cvtepi8_epi32(_mm_loadu_si128(self.0.add(at).cast()));
            _mm512_mul_ps(_mm512_cvtepi32_ps(wide), scales)
        }
    }
    #[inline(always)]
    unsafe fn scales(self, at: usize) -> __m512 {
        // SAFETY: 16 scales.
        unsafe { _mm512_loadu_ps(self.1.add(at)) }
    }
    #[inline(always)]
    unsafe fn scale(self, at: usize) -> __m512 {
        // SAFETY: one scale.
        unsafe { _mm512_set1_ps(*self.1.add(at)) }
    }
}

/// How many of `n` queries are taken at once.
pub(super) fn share(n: usize) -> usize {
    match n {
        12.. => 12,
        9..12 => 8,
        _ => n,
    }
}

/// Scores of `n` queries, `STRIDE` apart, against tiles `tiles` of `k`, into each query's `BLOCK` of `scores`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn scores_of<L: Load>(q: &[f32], n: usize, head_dim: usize, k: L, tiles: Range<usize>, scores: &mut [f32]) {
    // SAFETY: the caller's promises.
    unsafe {
        match n {
            1 => some_scores::<L, 1, 8>(q, head_dim, k, tiles, scores),
            2 => some_scores::<L, 2, 4>(q, head_dim, k, tiles, scores),
            3 => some_scores::<L, 3, 4>(q, head_dim, k, tiles, scores),
            4 => some_scores::<L, 4, 4>(q, head_dim, k, tiles, scores),
            5 => some_scores::<L, 5, 4>(q, head_dim, k, tiles, scores),
            6 => some_scores::<L, 6, 4>(q, head_dim, k, tiles, scores),
            7 => some_scores::<L, 7, 2>(q, head_dim, k, tiles, scores),
            8 => some_scores::<L, 8, 2>(q, head_dim, k, tiles, scores),
            12 => some_scores::<L, 12, 2>(q, head_dim, k, tiles, scores),
            _ => unreachable!("`share` gives no other number"),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn some_scores<L: Load, const R: usize, const T: usize>(
    q: &[f32],
    head_dim: usize,
    k: L,
    tiles: Range<usize>,
    scores: &mut [f32],
) {
    let mut tile = tiles.start;
    // SAFETY: the caller's promises.
    unsafe {
        while tile + T <= tiles.end {
            score_tiles::<L, R, T>(q, head_dim, k, tile, scores);
            tile += T;
        }
        while tile < tiles.end {
            score_tiles::<L, R, 1>(q, head_dim, k, tile, scores);
            tile += 1;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn score_tiles<L: Load, const R: usize, const T: usize>(
    q: &[f32],
    head_dim: usize,
    k: L,
    tile: usize,
    scores: &mut [f32],
) {
    let groups = head_dim.div_ceil(GROUP);
    let (q, scores) = (q.as_ptr(), scores.as_mut_ptr());
    // SAFETY: the caller checked `R` queries of `head_dim`, `T` tiles of keys and of scales, and room for all scores.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); T]; R];
        for group in 0..groups {
            let mut scales = [_mm512_setzero_ps(); T];
            for t in 0..T {
                scales[t] = k.scales(((tile + t) * groups + group) * TILE);
            }
            for d in group * GROUP..head_dim.min((group + 1) * GROUP) {
                let mut keys = [_mm512_setzero_ps(); T];
                for t in 0..T {
                    keys[t] = k.values(((tile + t) * head_dim + d) * TILE, scales[t]);
                }
                for r in 0..R {
                    let value = _mm512_set1_ps(*q.add(r * STRIDE + d));
                    for t in 0..T {
                        acc[r][t] = _mm512_fmadd_ps(value, keys[t], acc[r][t]);
                    }
                }
            }
        }
        for r in 0..R {
            for t in 0..T {
                _mm512_storeu_ps(scores.add(r * BLOCK + (tile + t) * TILE), acc[r][t]);
            }
        }
    }
}

/// Adds to each of `n` rows of `out` the sum over `positions` of its weight times the position's values.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn weighted_of<L: Load>(
    weights: &[f32],
    n: usize,
    v: L,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    // SAFETY: the caller's promises.
    unsafe {
        match n {
            1 => all_dims::<L, 1, 4>(weights, v, positions, head_dim, out),
            2 => all_dims::<L, 2, 4>(weights, v, positions, head_dim, out),
            3 => all_dims::<L, 3, 4>(weights, v, positions, head_dim, out),
            4 => all_dims::<L, 4, 4>(weights, v, positions, head_dim, out),
            5 => all_dims::<L, 5, 4>(weights, v, positions, head_dim, out),
            6 => all_dims::<L, 6, 4>(weights, v, positions, head_dim, out),
            7 => all_dims::<L, 7, 2>(weights, v, positions, head_dim, out),
            8 => all_dims::<L, 8, 2>(weights, v, positions, head_dim, out),
            12 => all_dims::<L, 12, 2>(weights, v, positions, head_dim, out),
            _ => unreachable!("`share` gives no other number"),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn all_dims<L: Load, const R: usize, const T: usize>(
    weights: &[f32],
    v: L,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    let mut dim = 0;
    // SAFETY: the caller's promises.
    unsafe {
        while dim + 16 * T <= head_dim {
            some_dims::<L, R, T>(weights, v, positions.clone(), head_dim, dim, out);
            dim += 16 * T;
        }
        while dim < head_dim {
            some_dims::<L, R, 1>(weights, v, positions.clone(), head_dim, dim, out);
            dim += 16;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn some_dims<L: Load, const R: usize, const T: usize>(
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
    // `head_dim`; `dim + 16 T` is within a head.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); T]; R];
        for r in 0..R {
            for t in 0..T {
                acc[r][t] = _mm512_loadu_ps(out.add(r * head_dim + dim + t * 16));
            }
        }
        for j in positions {
            let mut values = [_mm512_setzero_ps(); T];
            for t in 0..T {
                let scale = v.scale(j * groups + (dim + t * 16) / GROUP);
                values[t] = v.values(j * head_dim + dim + t * 16, scale);
            }
            for r in 0..R {
                let weight = _mm512_set1_ps(*weights.add(r * BLOCK + j));
                for t in 0..T {
                    acc[r][t] = _mm512_fmadd_ps(weight, values[t], acc[r][t]);
                }
            }
        }
        for r in 0..R {
            for t in 0..T {
                _mm512_storeu_ps(out.add(r * head_dim + dim + t * 16), acc[r][t]);
            }
        }
    }
}
