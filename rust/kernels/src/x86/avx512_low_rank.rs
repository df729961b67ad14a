//! The two products of a low-rank addition with AVX-512, in the order of `low_rank.rs`.

use crate::low_rank::{DownRows, LANES, PARTS, UpColumns};
use crate::panel::ROWS;
use crate::pool::Columns;
use std::arch::x86_64::*;

/// Rows that share the loads of the second factor.
const SHARE: usize = 8;

#[target_feature(enable = "avx512f")]
pub(super) fn down(rows: DownRows<'_>) {
    let DownRows { x, cols, first, factors, sums } = rows;
    assert!(first + factors.len() <= cols && x.len() >= sums.len() * cols);
    let mut m = 0;
    let (blocks, rest) = sums.as_chunks_mut::<4>();
    for block in blocks {
        accumulate::<4>(&x[m * cols + first..], cols, factors, block);
        m += 4;
    }
    for row in rest {
        accumulate::<1>(&x[m * cols + first..], cols, factors, std::array::from_mut(row));
        m += 1;
    }
}

/// Adds the products of `M` rows, `stride` values apart, with the factors.
#[target_feature(enable = "avx512f")]
fn accumulate<const M: usize>(
    x: &[f32],
    stride: usize,
    factors: &[[f32; LANES]],
    sums: &mut [[[f32; LANES]; PARTS]; M],
) {
    assert!(x.len() >= (M - 1) * stride + factors.len());
    // SAFETY: a lane group has 64 bytes; row `r` has as many values from its start as there are factors.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); PARTS]; M];
        for r in 0..M {
            for part in 0..PARTS {
                acc[r][part] = _mm512_loadu_ps(sums[r][part].as_ptr());
            }
        }
        let (fours, rest) = factors.as_chunks::<PARTS>();
        let mut at = x.as_ptr();
        for four in fours {
            for part in 0..PARTS {
                let factor = _mm512_loadu_ps(four[part].as_ptr());
                for r in 0..M {
                    let value = _mm512_set1_ps(*at.add(r * stride + part));
                    acc[r][part] = _mm512_fmadd_ps(value, factor, acc[r][part]);
                }
            }
            at = at.add(PARTS);
        }
        for (part, factor) in rest.iter().enumerate() {
            let factor = _mm512_loadu_ps(factor.as_ptr());
            for r in 0..M {
                let value = _mm512_set1_ps(*at.add(r * stride + part));
                acc[r][part] = _mm512_fmadd_ps(value, factor, acc[r][part]);
            }
        }
        for r in 0..M {
            for part in 0..PARTS {
                _mm512_storeu_ps(sums[r][part].as_mut_ptr(), acc[r][part]);
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn up(columns: UpColumns<'_, '_>) {
    let UpColumns { low, panel, rank, columns } = columns;
    assert_eq!(panel.len(), rank * ROWS);
    let rows = low.len() / rank;
    let mut m = 0;
    while m < rows {
        let n = SHARE.min(rows - m);
        let low = &low[m * rank..(m + n) * rank];
        let sums = if n == SHARE { sums::<SHARE>(low, panel, rank) } else { some_sums(low, panel, rank) };
        for (r, sums) in sums.into_iter().enumerate().take(n) {
            add(columns.row_mut(m + r), sums);
        }
        m += n;
    }
}

/// Sums of fewer than [`SHARE`] rows, one after the other.
#[target_feature(enable = "avx512f")]
fn some_sums(low: &[f32], panel: &[f32], rank: usize) -> [[__m512; 2]; SHARE] {
    let mut all = [[_mm512_setzero_ps(); 2]; SHARE];
    for (low, all) in low.chunks_exact(rank).zip(&mut all) {
        [*all] = sums::<1>(low, panel, rank);
    }
    all
}

#[target_feature(enable = "avx512f")]
fn sums<const M: usize>(low: &[f32], panel: &[f32], rank: usize) -> [[__m512; 2]; M] {
    assert!(low.len() == M * rank && panel.len() == rank * ROWS);
    let mut sums = [[_mm512_setzero_ps(); 2]; M];
    // SAFETY: `rank` groups of 32 values, and `M` rows of `rank`.
    unsafe {
        for r in 0..rank {
            let b = panel.as_ptr().add(r * ROWS);
            let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(LANES)));
            for m in 0..M {
                let low = _mm512_set1_ps(*low.as_ptr().add(m * rank + r));
                sums[m][0] = _mm512_fmadd_ps(low, b0, sums[m][0]);
                sums[m][1] = _mm512_fmadd_ps(low, b1, sums[m][1]);
            }
        }
    }
    sums
}

/// Adds two lane groups to up to 32 values.
#[target_feature(enable = "avx512f")]
fn add(out: &mut [f32], sums: [__m512; 2]) {
    let (first, second) = out.split_at_mut(out.len().min(LANES));
    for (out, sum) in [first, second].into_iter().zip(sums) {
        let mask = super::avx512::mask(out.len());
        // SAFETY: the mask keeps reads and writes within `out`.
        unsafe {
            let before = _mm512_maskz_loadu_ps(mask, out.as_ptr());
            _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, _mm512_add_ps(before, sum));
        }
    }
}

/// One row of `x` times a lane group of A in f16: nothing is widened into memory.
#[target_feature(enable = "avx512f")]
pub(super) fn down_one(x: &[f32], bits: &[u16]) -> [[f32; LANES]; PARTS] {
    assert_eq!(bits.len(), x.len() * LANES);
    let mut acc = [_mm512_setzero_ps(); PARTS];
    for (x, bits) in x.chunks(PARTS).zip(bits.chunks(PARTS * LANES)) {
        for (part, x) in x.iter().enumerate() {
            // SAFETY: each value has a lane group of 32 bytes; a prefetch may point anywhere.
            unsafe {
                let at = bits.as_ptr().add(part * LANES);
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(1024).cast());
                let factor = _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()));
                acc[part] = _mm512_fmadd_ps(_mm512_set1_ps(*x), factor, acc[part]);
            }
        }
    }
    let mut sums = [[0.0; LANES]; PARTS];
    for (sums, acc) in sums.iter_mut().zip(acc) {
        // SAFETY: 64 bytes.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), acc) };
    }
    sums
}

/// One row's second product, from a panel of B in f16.
#[target_feature(enable = "avx512f")]
pub(super) fn up_one(low: &[f32], bits: &[u16], columns: &mut Columns<'_>) {
    assert_eq!(bits.len(), low.len() * ROWS);
    let mut sums = [_mm512_setzero_ps(); 2];
    for (low, bits) in low.iter().zip(bits.chunks_exact(ROWS)) {
        let low = _mm512_set1_ps(*low);
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a panel's row has 64 bytes; a prefetch may point anywhere.
            let b = unsafe {
                let at = bits.as_ptr().add(half * LANES);
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(1024).cast());
                _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()))
            };
            *sum = _mm512_fmadd_ps(low, b, *sum);
        }
    }
    add(columns.row_mut(0), sums);
}
