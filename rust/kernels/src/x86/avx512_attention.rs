//! The two products of attention with AVX-512: scores of a block, and its weighted sum of values.
//!
//! Up to four queries share each load of a key or a value. Orders are those of `attention.rs`: a score is summed
//! dimension after dimension, a value position after position.

use crate::kv::TILE;
use std::arch::x86_64::*;
use std::ops::Range;

/// Scores of `R` queries against tiles `tiles` of `k`, unscaled, into each query's `scores` at the tile's positions.
#[target_feature(enable = "avx512f")]
pub(super) fn scores<const R: usize>(
    q: [&[f32]; R],
    k: &[f32],
    tiles: Range<usize>,
    scores: &mut [f32],
    stride: usize,
) {
    let head_dim = q[0].len();
    let mut tile = tiles.start;
    while tile < tiles.end {
        if tile + 4 <= tiles.end {
            score_tiles::<R, 4>(q, k, tile, head_dim, scores, stride);
            tile += 4;
        } else {
            score_tiles::<R, 1>(q, k, tile, head_dim, scores, stride);
            tile += 1;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn score_tiles<const R: usize, const T: usize>(
    q: [&[f32]; R],
    k: &[f32],
    tile: usize,
    head_dim: usize,
    scores: &mut [f32],
    stride: usize,
) {
    let k = &k[tile * head_dim * TILE..(tile + T) * head_dim * TILE];
    for q in q {
        assert_eq!(q.len(), head_dim);
    }
    let mut acc = [[_mm512_setzero_ps(); T]; R];
    for d in 0..head_dim {
        let mut keys = [_mm512_setzero_ps(); T];
        for (t, keys) in keys.iter_mut().enumerate() {
            // SAFETY: `k` has `T` tiles of `head_dim` times 16 values.
            *keys = unsafe { _mm512_loadu_ps(k.as_ptr().add((t * head_dim + d) * TILE)) };
        }
        for r in 0..R {
            // SAFETY: each query has `head_dim` values.
            let value = _mm512_set1_ps(unsafe { *q[r].get_unchecked(d) });
            for t in 0..T {
                acc[r][t] = _mm512_fmadd_ps(value, keys[t], acc[r][t]);
            }
        }
    }
    for r in 0..R {
        for t in 0..T {
            let out = &mut scores[r * stride + (tile + t) * TILE..][..TILE];
            // SAFETY: 16 values.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), acc[r][t]) };
        }
    }
}

/// For each of `R` queries the sum over `positions` of its weight times the position's values, into `out`.
#[target_feature(enable = "avx512f")]
pub(super) fn weighted<const R: usize>(
    weights: &[f32],
    stride: usize,
    v: &[f32],
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    assert!(head_dim.is_multiple_of(16) && v.len() >= positions.end * head_dim);
    assert!(positions.end <= stride && weights.len() >= R * stride && out.len() == R * head_dim);
    let mut dim = 0;
    while dim < head_dim {
        match (head_dim - dim) / 16 {
            1 => weighted_dims::<R, 1>(weights, stride, v, positions.clone(), head_dim, dim, out),
            2 | 3 => weighted_dims::<R, 2>(weights, stride, v, positions.clone(), head_dim, dim, out),
            _ => weighted_dims::<R, 4>(weights, stride, v, positions.clone(), head_dim, dim, out),
        }
        dim += match (head_dim - dim) / 16 {
            1 => 16,
            2 | 3 => 32,
            _ => 64,
        };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn weighted_dims<const R: usize, const T: usize>(
    weights: &[f32],
    stride: usize,
    v: &[f32],
    positions: Range<usize>,
    head_dim: usize,
    dim: usize,
    out: &mut [f32],
) {
    let mut acc = [[_mm512_setzero_ps(); T]; R];
    for j in positions {
        let mut values = [_mm512_setzero_ps(); T];
        for (t, values) in values.iter_mut().enumerate() {
            // SAFETY: the caller checked `positions.end` rows of `head_dim`, and `dim + 16 T` is within a row.
            *values = unsafe { _mm512_loadu_ps(v.as_ptr().add(j * head_dim + dim + t * 16)) };
        }
        for r in 0..R {
            // SAFETY: the caller checked that there is a weight for each position.
            let weight = _mm512_set1_ps(unsafe { *weights.get_unchecked(r * stride + j) });
            for t in 0..T {
                acc[r][t] = _mm512_fmadd_ps(weight, values[t], acc[r][t]);
            }
        }
    }
    for r in 0..R {
        for t in 0..T {
            let out = &mut out[r * head_dim + dim + t * 16..][..16];
            // SAFETY: 16 values.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), acc[r][t]) };
        }
    }
}
