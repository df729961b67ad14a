//! The dot product of bytes in the three families, and what is done with its sums.
//!
//! The `sdot` and `smmla` intrinsics are not stable yet, so each is one line of assembly in a function that names the
//! feature it needs.

use crate::activations::Activations;
use std::arch::aarch64::*;
use std::arch::asm;

/// Four dot products of four signed bytes: byte `4 r + i` of `w` with byte `i` of word `LANE` of `x`, added to lane
/// `r` of the sums.
///
/// # Safety
/// The processor has the family's features.
pub(super) trait Dot {
    /// Adds the dot products of `a` with word `A` of `x` and of `b` with word `B`. If `wide`, weights may be any byte;
    /// if not, they are within -64..64. Activations are within -127..=127.
    unsafe fn pair<const A: i32, const B: i32>(
        wide: bool,
        acc: int32x4_t,
        a: int8x16_t,
        b: int8x16_t,
        x: int8x16_t,
    ) -> int32x4_t;
}

/// NEON without a dot product.
pub(super) struct Neon;

impl Dot for Neon {
    #[inline(always)]
    unsafe fn pair<const A: i32, const B: i32>(
        wide: bool,
        acc: int32x4_t,
        a: int8x16_t,
        b: int8x16_t,
        x: int8x16_t,
    ) -> int32x4_t {
        // SAFETY: registers only.
        unsafe {
            let words = vreinterpretq_s32_s8(x);
            let xa = vreinterpretq_s8_s32(vdupq_laneq_s32::<A>(words));
            let xb = vreinterpretq_s8_s32(vdupq_laneq_s32::<B>(words));
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(xa));
            let high = vmull_high_s8(a, xa);
            if wide {
                // Two products of at most 128 * 127 fit into 16 bits.
                let acc = vpadalq_s16(acc, vpaddq_s16(low, high));
                let low = vmull_s8(vget_low_s8(b), vget_low_s8(xb));
                let high = vmull_high_s8(b, xb);
                vpadalq_s16(acc, vpaddq_s16(low, high))
            } else {
                // Four of at most 64 * 127 do too.
                let low = vmlal_s8(low, vget_low_s8(b), vget_low_s8(xb));
                let high = vmlal_high_s8(high, b, xb);
                vpadalq_s16(acc, vpaddq_s16(low, high))
            }
        }
    }
}

/// NEON with `sdot`.
pub(super) struct DotProd;

impl Dot for DotProd {
    #[inline(always)]
    unsafe fn pair<const A: i32, const B: i32>(
        _: bool,
        acc: int32x4_t,
        a: int8x16_t,
        b: int8x16_t,
        x: int8x16_t,
    ) -> int32x4_t {
        // SAFETY: the caller's promise of features.
        unsafe { sdot::<B>(sdot::<A>(acc, a, x), b, x) }
    }
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn sdot<const LANE: i32>(mut acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: registers only.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            acc = inout(vreg) acc, w = in(vreg) w, x = in(vreg) x, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// Rows 0 and 1 of 8 signed bytes in `w` times rows 0 and 1 in `x`: lane `2 i + j` gets `w_i · x_j`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) fn smmla(mut acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: registers only.
    unsafe {
        asm!(
            "smmla {acc:v}.4s, {w:v}.16b, {x:v}.16b",
            acc = inout(vreg) acc, w = in(vreg) w, x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// Where the sides of one activation row begin.
#[derive(Clone, Copy)]
pub(super) struct XRow {
    pub(super) q: *const i8,
    pub(super) d: *const f32,
    pub(super) sums: *const i32,
    pub(super) dsums: *const f32,
    pub(super) dsums32: *const f32,
}

impl XRow {
    /// Row `m`, which has `x.cols()` integers and the sides of as many.
    pub(super) fn new(x: &Activations, m: usize) -> Self {
        let (cols, chunks) = (x.cols(), x.cols() / 32);
        Self {
            q: x.q[m * cols..(m + 1) * cols].as_ptr(),
            d: x.d[m * chunks..(m + 1) * chunks].as_ptr(),
            sums: x.sums[m * chunks * 2..(m + 1) * chunks * 2].as_ptr(),
            dsums: x.dsums[m * chunks * 2..(m + 1) * chunks * 2].as_ptr(),
            dsums32: x.dsums32[m * chunks..(m + 1) * chunks].as_ptr(),
        }
    }
}

/// Adds the scaled dot products of columns `32 chunk ..` of four weight rows to `acc`; the order is that of
/// `portable.rs`. With one group of 32, the dots are added and the first scale and minimum count.
///
/// # Safety
/// The activation row has this chunk.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn accumulate(
    groups: usize,
    has_min: bool,
    acc: float32x4_t,
    dots: [int32x4_t; 2],
    scale: [float32x4_t; 2],
    min: [float32x4_t; 2],
    x: XRow,
    chunk: usize,
) -> float32x4_t {
    // SAFETY: registers, and the sides of chunk `chunk`.
    unsafe {
        let d = vdupq_n_f32(*x.d.add(chunk));
        if groups == 1 {
            let dot = vcvtq_f32_s32(vaddq_s32(dots[0], dots[1]));
            let acc = vfmaq_f32(acc, vmulq_f32(dot, scale[0]), d);
            if has_min { vfmaq_f32(acc, min[0], vdupq_n_f32(*x.dsums32.add(chunk))) } else { acc }
        } else {
            let first = vmulq_f32(vcvtq_f32_s32(dots[0]), scale[0]);
            let both = vfmaq_f32(first, vcvtq_f32_s32(dots[1]), scale[1]);
            let acc = vfmaq_f32(acc, both, d);
            if !has_min {
                return acc;
            }
            let acc = vfmaq_f32(acc, min[0], vdupq_n_f32(*x.dsums.add(2 * chunk)));
            vfmaq_f32(acc, min[1], vdupq_n_f32(*x.dsums.add(2 * chunk + 1)))
        }
    }
}
