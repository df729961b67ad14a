//! Packed weights: their bits in registers, and products of few activation rows straight from them.
//!
//! A quarter of a line is 4 weight rows of 4 columns, which is what a dot instruction takes; see `packed.rs` of the
//! crate for the layout.

use super::dots::{Dot, DotProd, Neon, XRow, accumulate};
use crate::dispatch::Isa;
use crate::packed::{LINE, Layout, Planes, TILE_ROWS};
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use std::arch::aarch64::*;

/// A format whose bits are known when code is compiled.
pub(super) trait Packed {
    const FORMAT: Format;
    const PLANES: Planes;
    /// Bytes of quants of 32 columns.
    const CHUNK: usize = (Self::PLANES.low + Self::PLANES.high) as usize * LINE;
    /// What to take off [`quants`] to have the format's integers: bytes of 8 bits are made signed at once.
    const OFFSET: i32 = if Self::PLANES.low == 8 { 0 } else { Self::PLANES.offset };
    /// Values need all 8 bits.
    const WIDE: bool = Self::PLANES.low == 8;
}

macro_rules! packed {
    ($($name:ident)*) => {$(
        pub(super) struct $name;
        impl Packed for $name {
            const FORMAT: Format = Format::$name;
            const PLANES: Planes = Format::$name.planes().expect("a quantized format");
        }
    )*};
}
packed!(Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K);

/// Calls a generic function for the type of a format.
macro_rules! by_format {
    ($format:expr, $name:ident($($argument:expr),*)) => {
        match $format {
            Format::Q4_0 => $name::<Q4_0>($($argument),*),
            Format::Q4_1 => $name::<Q4_1>($($argument),*),
            Format::Q5_0 => $name::<Q5_0>($($argument),*),
            Format::Q5_1 => $name::<Q5_1>($($argument),*),
            Format::Q8_0 => $name::<Q8_0>($($argument),*),
            Format::Q2K => $name::<Q2K>($($argument),*),
            Format::Q3K => $name::<Q3K>($($argument),*),
            Format::Q4K => $name::<Q4K>($($argument),*),
            Format::Q5K => $name::<Q5K>($($argument),*),
            Format::Q6K => $name::<Q6K>($($argument),*),
            Format::F32 | Format::F16 | Format::BF16 => unreachable!("float weights are not packed"),
        }
    };
}
pub(super) use by_format;

/// Rows `4 t ..` of 32 columns: vector `g` has columns `4 g ..` of row after row.
///
/// # Safety
/// `chunk` points at [`Packed::CHUNK`] bytes, and `t` is below 4.
#[inline(always)]
pub(super) unsafe fn quants<P: Packed>(chunk: *const u8, t: usize) -> [int8x16_t; 8] {
    let Planes { low, high, .. } = P::PLANES;
    // SAFETY: the first `low` lines of the chunk and the `high` after them.
    unsafe {
        let line = |i: usize| vld1q_u8(chunk.add(i * LINE + t * 16));
        // A shift to the right by a number that is a constant once this is inlined.
        let shifted = |bits: uint8x16_t, by: usize| vshlq_u8(bits, vdupq_n_s8(-(by as i8)));
        let mut q = [vdupq_n_u8(0); 8];
        match low {
            2 => {
                for i in 0..2 {
                    let bits = line(i);
                    for f in 0..4 {
                        q[2 * f + i] = vandq_u8(shifted(bits, 2 * f), vdupq_n_u8(3));
                    }
                }
            }
            4 => {
                for i in 0..4 {
                    let bits = line(i);
                    q[i] = vandq_u8(bits, vdupq_n_u8(15));
                    q[4 + i] = vshrq_n_u8::<4>(bits);
                }
            }
            _ => {
                for (g, q) in q.iter_mut().enumerate() {
                    *q = veorq_u8(line(g), vdupq_n_u8(128));
                }
            }
        }
        if high == 1 {
            let bits = line(low as usize);
            for (g, q) in q.iter_mut().enumerate() {
                let set = vtstq_u8(bits, vdupq_n_u8(1 << g));
                *q = vorrq_u8(*q, vandq_u8(set, vdupq_n_u8(1 << low)));
            }
        }
        if high == 2 {
            for i in 0..2 {
                let bits = line(low as usize + i);
                for f in 0..4 {
                    let two = vandq_u8(shifted(bits, 2 * f), vdupq_n_u8(3));
                    q[2 * f + i] = vorrq_u8(q[2 * f + i], vshlq_u8(two, vdupq_n_s8(low as i8)));
                }
            }
        }
        q.map(|q| vreinterpretq_s8_u8(q))
    }
}

/// Four f16 as f32.
#[inline(always)]
unsafe fn f16_4(at: *const u8) -> float32x4_t {
    // SAFETY: the caller has 8 bytes.
    unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at))) }
}

/// Four bytes as the low bytes of words.
#[inline(always)]
unsafe fn bytes_4(at: *const u8) -> uint32x4_t {
    // SAFETY: the caller has 4 bytes.
    unsafe {
        let bytes = vreinterpret_u8_u32(vdup_n_u32(at.cast::<u32>().read_unaligned()));
        vmovl_u16(vget_low_u16(vmovl_u8(bytes)))
    }
}

/// Scales and minima of rows `4 t ..` for the two halves of chunk `chunk`, or for all of it in the first.
///
/// # Safety
/// `scales` points at the scales of a tile that has this chunk.
#[inline(always)]
pub(super) unsafe fn scales<P: Packed>(
    scales: *const u8,
    chunk: usize,
    t: usize,
) -> ([float32x4_t; 2], [float32x4_t; 2]) {
    let has_min = P::FORMAT.has_min();
    let heads = if has_min { 64 } else { 32 };
    // SAFETY: the places of the layout, within the tile.
    unsafe {
        let zero = vdupq_n_f32(0.0);
        if P::FORMAT.block_len() == 32 {
            let at = scales.add(chunk * heads + 8 * t);
            return ([f16_4(at), zero], [if has_min { f16_4(at.add(32)) } else { zero }, zero]);
        }
        let block = scales.add(chunk / 8 * (heads + 256));
        let d = f16_4(block.add(8 * t));
        let m = if has_min { f16_4(block.add(32 + 8 * t)) } else { zero };
        let bytes = block.add(heads + chunk % 8 * 32 + 4 * t);
        let (first, second) = (bytes_4(bytes), bytes_4(bytes.add(16)));
        let minimum = |bits: uint32x4_t| vnegq_f32(vmulq_f32(m, vcvtq_f32_u32(bits)));
        match P::FORMAT {
            Format::Q4K | Format::Q5K => ([vmulq_f32(d, vcvtq_f32_u32(first)), zero], [minimum(second), zero]),
            Format::Q2K => {
                let scale = |bits: uint32x4_t| vmulq_f32(d, vcvtq_f32_u32(vandq_u32(bits, vdupq_n_u32(15))));
                let high = |bits: uint32x4_t| minimum(vshrq_n_u32::<4>(bits));
                ([scale(first), scale(second)], [high(first), high(second)])
            }
            _ => {
                let signed = |bits: uint32x4_t| vshrq_n_s32::<24>(vreinterpretq_s32_u32(vshlq_n_u32::<24>(bits)));
                let scale = |bits: uint32x4_t| vmulq_f32(d, vcvtq_f32_s32(signed(bits)));
                ([scale(first), scale(second)], [zero; 2])
            }
        }
    }
}

/// Few activation rows times one task's columns of a packed weight.
pub(super) fn few(isa: Isa, w: Matrix<'_>, x: &Activations, columns: Columns<'_>) {
    assert!(w.cols() == x.cols() && columns.range().start.is_multiple_of(TILE_ROWS));
    by_format!(w.format(), few_of(isa, w, x, columns));
}

fn few_of<P: Packed>(isa: Isa, w: Matrix<'_>, x: &Activations, mut columns: Columns<'_>) {
    let range = columns.range();
    for start in range.clone().step_by(TILE_ROWS) {
        let (layout, tile) = w.tile(start / TILE_ROWS);
        let at = start - range.start;
        let mut m = 0;
        while m < x.rows() {
            let rows = (x.rows() - m).min(4);
            // Rows beyond the last are the last again.
            let x_rows: [XRow; 4] = std::array::from_fn(|r| XRow::new(x, (m + r).min(x.rows() - 1)));
            let mut out = [[0.0f32; TILE_ROWS]; 4];
            // SAFETY: each value of `Isa` is made only where its features were detected; the i8mm family has sdot.
            unsafe {
                match (isa == Isa::Neon, rows) {
                    (true, 1) => pass::<P, Neon, 1>(layout, tile, &x_rows, &mut out),
                    (true, 2) => pass::<P, Neon, 2>(layout, tile, &x_rows, &mut out),
                    (true, _) => pass::<P, Neon, 4>(layout, tile, &x_rows, &mut out),
                    (false, 1) => pass_dotprod::<P, 1>(layout, tile, &x_rows, &mut out),
                    (false, 2) => pass_dotprod::<P, 2>(layout, tile, &x_rows, &mut out),
                    (false, _) => pass_dotprod::<P, 4>(layout, tile, &x_rows, &mut out),
                }
            }
            for (r, out) in out.iter().enumerate().take(rows) {
                let to = &mut columns.row_mut(m + r)[at..];
                let len = to.len().min(TILE_ROWS);
                to[..len].copy_from_slice(&out[..len]);
            }
            m += rows;
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
fn pass_dotprod<P: Packed, const M: usize>(layout: Layout, tile: &[u8], x: &[XRow; 4], out: &mut [[f32; 16]; 4]) {
    // SAFETY: this function has the features.
    unsafe { pass::<P, DotProd, M>(layout, tile, x, out) }
}

/// The first `M` activation rows times a tile.
///
/// # Safety
/// The processor has the features of `D`, and the rows of `x` the columns of the tile.
#[inline(always)]
unsafe fn pass<P: Packed, D: Dot, const M: usize>(
    layout: Layout,
    tile: &[u8],
    x: &[XRow; 4],
    out: &mut [[f32; 16]; 4],
) {
    let chunks = layout.quant_bytes / P::CHUNK;
    assert!(tile.len() == layout.tile_bytes && layout.quant_bytes == chunks * P::CHUNK);
    assert!(tile.len() - layout.quant_bytes >= chunks * 32 / P::FORMAT.block_len() * layout.block_scale_bytes());
    // SAFETY: the tile has `chunks` chunks and their scales, the activation rows as many; the caller's features.
    unsafe {
        let sides = tile.as_ptr().add(layout.quant_bytes);
        let mut acc = [[vdupq_n_f32(0.0); M]; 4];
        for chunk in 0..chunks {
            let bits = tile.as_ptr().add(chunk * P::CHUNK);
            // One after the other, not in a loop, so that all sums stay in registers.
            quarter::<P, D, M>(bits, sides, chunk, 0, x, &mut acc[0]);
            quarter::<P, D, M>(bits, sides, chunk, 1, x, &mut acc[1]);
            quarter::<P, D, M>(bits, sides, chunk, 2, x, &mut acc[2]);
            quarter::<P, D, M>(bits, sides, chunk, 3, x, &mut acc[3]);
        }
        for (t, acc) in acc.iter().enumerate() {
            for (acc, out) in acc.iter().zip(out.iter_mut()) {
                vst1q_f32(out.as_mut_ptr().add(4 * t), *acc);
            }
        }
    }
}

/// Adds the products of columns `32 chunk ..` of rows `4 t ..`.
///
/// # Safety
/// As [`pass`]; `bits` and `scale_bytes` are the tile's, which has the chunk.
#[inline(always)]
unsafe fn quarter<P: Packed, D: Dot, const M: usize>(
    bits: *const u8,
    scale_bytes: *const u8,
    chunk: usize,
    t: usize,
    x: &[XRow; 4],
    acc: &mut [float32x4_t; M],
) {
    let groups = if P::FORMAT.has_groups_of_16() { 2 } else { 1 };
    // SAFETY: the caller's promise.
    unsafe {
        let q = quants::<P>(bits, t);
        let (scale, min) = scales::<P>(scale_bytes, chunk, t);
        for (acc, x) in acc.iter_mut().zip(*x) {
            let (x0, x1) = (vld1q_s8(x.q.add(chunk * 32)), vld1q_s8(x.q.add(chunk * 32 + 16)));
            let offset = |half: usize| vdupq_n_s32(-P::OFFSET * *x.sums.add(2 * chunk + half));
            let dot = D::pair::<0, 1>(P::WIDE, offset(0), q[0], q[1], x0);
            let low = D::pair::<2, 3>(P::WIDE, dot, q[2], q[3], x0);
            let dot = D::pair::<0, 1>(P::WIDE, offset(1), q[4], q[5], x1);
            let high = D::pair::<2, 3>(P::WIDE, dot, q[6], q[7], x1);
            *acc = accumulate(groups, P::FORMAT.has_min(), *acc, [low, high], scale, min, x, chunk);
        }
    }
}
