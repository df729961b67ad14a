//! Float products with NEON.
//!
//! Orders are those of `portable.rs`: the 16 sums of a float product are four registers here.

use crate::Format;
use crate::pool::Columns;
use std::arch::aarch64::*;

/// Weight rows and activation rows of one tile.
const N: usize = 2;

/// A float weight: bytes of `rows` rows of `cols` values.
#[derive(Clone, Copy)]
pub(super) struct FloatRows<'a> {
    pub(super) data: &'a [u8],
    pub(super) rows: usize,
    pub(super) cols: usize,
}

/// Computes the columns of one task for a float weight, from the activation rows `x`.
pub(super) fn float(format: Format, w: FloatRows<'_>, x: &[f32], columns: Columns<'_>) {
    assert_eq!(Some(w.data.len()), format.row_bytes(w.cols).map(|bytes| bytes * w.rows));
    match format {
        Format::F32 => all::<F32>(w, x, columns),
        Format::F16 => all::<F16>(w, x, columns),
        Format::BF16 => all::<BF16>(w, x, columns),
        _ => unreachable!("quantized weights have their own kernels"),
    }
}

/// A float format in memory.
///
/// # Safety
/// Callers have 4 values, or one, at the pointer.
trait Load {
    const BYTES: usize;
    unsafe fn four(at: *const u8) -> float32x4_t;
    unsafe fn one(at: *const u8) -> f32;
}

struct F32;
impl Load for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn four(at: *const u8) -> float32x4_t {
        // SAFETY: 4 values; as bytes, which need no alignment.
        unsafe { vreinterpretq_f32_u8(vld1q_u8(at)) }
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
    unsafe fn four(at: *const u8) -> float32x4_t {
        // SAFETY: 4 values; as bytes, which need no alignment.
        unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at))) }
    }
    #[inline(always)]
    unsafe fn one(at: *const u8) -> f32 {
        // SAFETY: one value.
        let bits = unsafe { at.cast::<u16>().read_unaligned() };
        // SAFETY: registers only.
        unsafe { vgetq_lane_f32::<0>(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits)))) }
    }
}

struct BF16;
impl Load for BF16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn four(at: *const u8) -> float32x4_t {
        // SAFETY: 4 values; as bytes, which need no alignment.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(vld1_u8(at)))) }
    }
    #[inline(always)]
    unsafe fn one(at: *const u8) -> f32 {
        // SAFETY: one value.
        unsafe { f32::from_bits(u32::from(at.cast::<u16>().read_unaligned()) << 16) }
    }
}

fn all<L: Load>(w: FloatRows<'_>, x: &[f32], mut columns: Columns<'_>) {
    let range = columns.range();
    if w.cols == 0 {
        return;
    }
    let rows = x.len() / w.cols;
    for m in (0..rows).step_by(N) {
        for n in range.clone().step_by(N) {
            let at = n - range.start;
            if m + N <= rows {
                tile::<L, N>(w, n, x, m, at, &mut columns);
            } else {
                tile::<L, 1>(w, n, x, m, at, &mut columns);
            }
        }
    }
}

/// `M` activation rows from `m` times two weight rows from `n`, or one where the weight ends.
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
    let whole = cols / 16 * 16;
    // SAFETY: rows of `cols` values.
    unsafe {
        let mut acc = [[[vdupq_n_f32(0.0); 4]; N]; M];
        for k in (0..whole).step_by(16) {
            for part in 0..4 {
                let k = k + part * 4;
                for i in 0..N {
                    let weight = L::four(weights[i].add(k * L::BYTES));
                    for r in 0..M {
                        let value = vld1q_f32(values[r].add(k));
                        acc[r][i][part] = vfmaq_f32(acc[r][i][part], weight, value);
                    }
                }
            }
        }
        for r in 0..M {
            for i in 0..N {
                let mut lanes = [0.0f32; 16];
                for part in 0..4 {
                    vst1q_f32(lanes.as_mut_ptr().add(part * 4), acc[r][i][part]);
                }
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
