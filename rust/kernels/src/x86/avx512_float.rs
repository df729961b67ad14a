//! Float products with AVX-512: F32, F16 and BF16 weights times f32 activations.
//!
//! 4 weight rows by up to 6 activation rows share their loads; each pair has one register of 16 sums along the columns.

use crate::Format;
use crate::pool::Columns;
use std::arch::x86_64::*;

/// Weight rows of one tile.
const N: usize = 4;

/// A float weight of `rows` by `cols`, as bytes.
#[derive(Clone, Copy)]
pub(super) struct FloatRows<'a> {
    pub(super) data: &'a [u8],
    pub(super) rows: usize,
    pub(super) cols: usize,
}

/// Computes the columns of one task for a float weight, from the activation rows `x`.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and DQ.
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
/// Callers have AVX-512 F, BW and VL, and as many values at the pointer as the mask names.
trait Load {
    const BYTES: usize;
    unsafe fn whole(at: *const u8) -> __m512;
    unsafe fn masked(at: *const u8, mask: __mmask16) -> __m512;
}

struct F32;
impl Load for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn whole(at: *const u8) -> __m512 {
        // SAFETY: 16 values.
        unsafe { _mm512_loadu_ps(at.cast()) }
    }
    #[inline(always)]
    unsafe fn masked(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: the mask's values.
        unsafe { _mm512_maskz_loadu_ps(mask, at.cast()) }
    }
}

struct F16;
impl Load for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn whole(at: *const u8) -> __m512 {
        // SAFETY: 16 values.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
    }
    #[inline(always)]
    unsafe fn masked(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: the mask's values.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at.cast())) }
    }
}

struct BF16;
impl Load for BF16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn whole(at: *const u8) -> __m512 {
        // SAFETY: 16 values.
        unsafe { widen_bf16(_mm256_loadu_si256(at.cast())) }
    }
    #[inline(always)]
    unsafe fn masked(at: *const u8, mask: __mmask16) -> __m512 {
        // SAFETY: the mask's values.
        unsafe { widen_bf16(_mm256_maskz_loadu_epi16(mask, at.cast())) }
    }
}

#[inline(always)]
unsafe fn widen_bf16(bits: __m256i) -> __m512 {
    // SAFETY: registers only; the caller has the features.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits))) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn all<L: Load>(w: FloatRows<'_>, x: &[f32], mut columns: Columns<'_>) {
    let range = columns.range();
    if w.cols == 0 {
        return;
    }
    let all_rows = x.len() / w.cols;
    let mut m = 0;
    while m < all_rows {
        let rows = 6.min(all_rows - m);
        for n in range.clone().step_by(N) {
            let at = n - range.start;
            match rows {
                1 => tile::<L, 1>(w, n, x, m, at, &mut columns),
                2 => tile::<L, 2>(w, n, x, m, at, &mut columns),
                3 => tile::<L, 3>(w, n, x, m, at, &mut columns),
                4 => tile::<L, 4>(w, n, x, m, at, &mut columns),
                5 => tile::<L, 5>(w, n, x, m, at, &mut columns),
                _ => tile::<L, 6>(w, n, x, m, at, &mut columns),
            }
        }
        m += rows;
    }
}

/// Adds the 16 lanes of four registers, each in the order of `portable::add_lanes`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn add_lanes(acc: [__m512; 4]) -> __m128 {
    let low = two_apart(quarter(acc[0]), quarter(acc[1]));
    let high = two_apart(quarter(acc[2]), quarter(acc[3]));
    _mm_add_ps(_mm_shuffle_ps::<0b10_00_10_00>(low, high), _mm_shuffle_ps::<0b11_01_11_01>(low, high))
}

/// Lanes 8 apart, then 4 apart.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn quarter(acc: __m512) -> __m128 {
    let half = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps::<1>(acc));
    _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half))
}

/// Lanes 2 apart, of two registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn two_apart(a: __m128, b: __m128) -> __m128 {
    _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn tile<L: Load, const M: usize>(
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
    let mut acc = [[_mm512_setzero_ps(); N]; M];
    let whole = cols / 16 * 16;
    for k in (0..whole).step_by(16) {
        // SAFETY: rows of `cols` values, `k + 16` of them at least.
        unsafe {
            let mut loaded = [_mm512_setzero_ps(); N];
            for i in 0..N {
                loaded[i] = L::whole(weights[i].add(k * L::BYTES));
            }
            for r in 0..M {
                let value = _mm512_loadu_ps(values[r].add(k));
                for i in 0..N {
                    acc[r][i] = _mm512_fmadd_ps(loaded[i], value, acc[r][i]);
                }
            }
        }
    }
    if whole < cols {
        let mask: __mmask16 = (1 << (cols - whole)) - 1;
        // SAFETY: the mask names the values that are left.
        unsafe {
            let mut loaded = [_mm512_setzero_ps(); N];
            for i in 0..N {
                loaded[i] = L::masked(weights[i].add(whole * L::BYTES), mask);
            }
            for r in 0..M {
                let value = _mm512_maskz_loadu_ps(mask, values[r].add(whole));
                for i in 0..N {
                    acc[r][i] = _mm512_mask3_fmadd_ps(loaded[i], value, acc[r][i], mask);
                }
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        let sums = add_lanes(acc);
        let out = &mut columns.row_mut(m + r)[at..];
        let n = out.len().min(N);
        // SAFETY: the mask keeps the store within `out`.
        unsafe { _mm_mask_storeu_ps(out.as_mut_ptr(), (1 << n) - 1, sums) };
    }
}
