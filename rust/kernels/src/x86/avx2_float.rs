//! Float products with AVX2 and FMA.
//!
//! Orders are those of `portable.rs`: the 16 sums of a float product are two registers here.

use super::avx512_float::FloatRows;
use crate::Format;
use crate::pool::Columns;
use std::arch::x86_64::*;

/// Weight rows and activation rows of one tile.
const N: usize = 2;

/// Computes the columns of one task for a float weight, from the activation rows `x`.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
pub(super) unsafe fn float(format: Format, w: FloatRows<'_>, x: &[f32], columns: Columns<'_>) {
    assert_eq!(Some(w.data.len()), format.row_bytes(w.cols).map(|bytes| bytes * w.rows));
    // SAFETY: the caller's promise of features.
    unsafe {
        match format {
            Format::F32 => all::<F32>(w, x, columns),
            Format::F16 => all::<F16>(w, x, columns),
            Format::BF16 => all::<BF16>(w, x, columns),
            _ => unreachable!("quantized weights have their own kernels"),
        }
    }
}

/// A float format in memory.
///
/// # Safety
/// Callers have AVX2 and F16C, and 8 values or one at the pointer.
trait Load {
    const BYTES: usize;
    unsafe fn eight(at: *const u8) -> __m256;
    unsafe fn one(at: *const u8) -> f32;
}

struct F32;
impl Load for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn eight(at: *const u8) -> __m256 {
        // SAFETY: 8 values.
        unsafe { _mm256_loadu_ps(at.cast()) }
    }
    #[inline(always)]
    unsafe fn one(at: *const u8) -> f32 {
        // SAFETY: one value.
        unsafe { at.cast::<f32>().read_unaligned() }
    }
}

struct F16;
impl Load for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn eight(at: *const u8) -> __m256 {
        // SAFETY: 8 values.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
    }
    #[inline(always)]
    unsafe fn one(at: *const u8) -> f32 {
        // SAFETY: one value.
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(at.cast::<u16>().read_unaligned())))) }
    }
}

struct BF16;
impl Load for BF16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn eight(at: *const u8) -> __m256 {
        // SAFETY: 8 values.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn one(at: *const u8) -> f32 {
        // SAFETY: one value.
        unsafe { f32::from_bits(u32::from(at.cast::<u16>().read_unaligned()) << 16) }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn all<L: Load>(w: FloatRows<'_>, x: &[f32], mut columns: Columns<'_>) {
    let range = columns.range();
    if w.cols == 0 {
        return;
    }
    let rows = x.len() / w.cols;
    for m in (0..rows).step_by(N) {
        for n in range.clone().step_by(N) {
            let at = n - range.start;
            // SAFETY: this function has the features.
            unsafe {
                if m + N <= rows {
                    tile::<L, N>(w, n, x, m, at, &mut columns);
                } else {
                    tile::<L, 1>(w, n, x, m, at, &mut columns);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<L: Load, const M: usize>(
    w: FloatRows<'_>,
    n: usize,
    x: &[f32],
    m: usize,
    at: usize,
    columns: &mut Columns<'_>,
) {
    let cols = w.cols;
    let last = w.rows - 1;
    let row = cols * L::BYTES;
    let weights: [*const u8; N] = std::array::from_fn(|i| w.data[(n + i).min(last) * row..][..row].as_ptr());
    let values: [*const f32; M] = std::array::from_fn(|r| x[(m + r) * cols..(m + r + 1) * cols].as_ptr());
    let whole = cols / 16 * 16;
    // SAFETY: rows of `cols` values; the caller's promise of features.
    unsafe {
        let mut acc = [[[_mm256_setzero_ps(); 2]; N]; M];
        for k in (0..whole).step_by(16) {
            for half in 0..2 {
                let k = k + half * 8;
                for i in 0..N {
                    let weight = L::eight(weights[i].add(k * L::BYTES));
                    for r in 0..M {
                        let value = _mm256_loadu_ps(values[r].add(k));
                        acc[r][i][half] = _mm256_fmadd_ps(weight, value, acc[r][i][half]);
                    }
                }
            }
        }
        for r in 0..M {
            for i in 0..N {
                let mut lanes = [0.0f32; 16];
                _mm256_storeu_ps(lanes.as_mut_ptr(), acc[r][i][0]);
                _mm256_storeu_ps(lanes.as_mut_ptr().add(8), acc[r][i][1]);
                for k in whole..cols {
                    let (weight, value) = (L::one(weights[i].add(k * L::BYTES)), *values[r].add(k));
                    lanes[k - whole] = weight.mul_add(value, lanes[k - whole]);
                }
                if let Some(out) = columns.row_mut(m + r).get_mut(at + i) {
                    *out = crate::portable::add_lanes(lanes);
                }
            }
        }
    }
}
