//! Products over an unpacked panel: register tiles of 8 weight rows by 4 activation rows.

use super::dots::{Dot, DotProd, Neon, XRow, accumulate, smmla};
use super::panel::{CHUNK, Panel};
use crate::dispatch::Isa;
use crate::packed::TILE_ROWS;
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use std::arch::aarch64::*;

/// Activation rows of a tile.
const M: usize = 4;
/// Sums of a tile: for each activation row 8 weight rows.
type Sums = [[float32x4_t; 2]; M];

/// One task's columns of a quantized weight, unpacked 16 rows at a time.
pub(super) fn many(isa: Isa, w: Matrix<'_>, x: &Activations, mut columns: Columns<'_>, panel: &mut Panel) {
    assert_eq!(w.cols(), x.cols());
    let range = columns.range();
    // The matrix instruction takes two activation rows at once, and tiles of it four.
    let zipped = isa == Isa::NeonI8mm && x.rows() > 2;
    for start in range.clone().step_by(TILE_ROWS) {
        panel.unpack(w, start, zipped);
        let at = start - range.start;
        for m in (0..x.rows()).step_by(M) {
            // Rows beyond the last are the last again.
            let rows: [XRow; M] = std::array::from_fn(|r| XRow::new(x, (m + r).min(x.rows() - 1)));
            let n_rows = M.min(x.rows() - m);
            for half in 0..(range.end - start).min(TILE_ROWS).div_ceil(8) {
                let sums = one(isa, w.format(), panel, half, &rows, zipped, n_rows == 1);
                for (r, sums) in sums.iter().enumerate().take(n_rows) {
                    let mut lanes = [0.0f32; 8];
                    // SAFETY: 8 values.
                    unsafe {
                        vst1q_f32(lanes.as_mut_ptr(), sums[0]);
                        vst1q_f32(lanes.as_mut_ptr().add(4), sums[1]);
                    }
                    let to = &mut columns.row_mut(m + r)[at + 8 * half..];
                    let len = to.len().min(8);
                    to[..len].copy_from_slice(&lanes[..len]);
                }
            }
        }
    }
}

/// One tile, by the kernel of the family and the kind of format; with `single`, only its first row is computed.
fn one(isa: Isa, format: Format, panel: &Panel, half: usize, x: &[XRow; M], zipped: bool, single: bool) -> Sums {
    let (groups, has_min) = (if format.has_groups_of_16() { 2 } else { 1 }, format.has_min());
    let sides = panel.chunks * groups * TILE_ROWS;
    assert!(panel.q.len() * 64 >= panel.chunks * CHUNK && panel.scale.len() >= sides && panel.min.len() >= sides);
    assert!(half < 2);
    // SAFETY: each value of `Isa` is made only where its features were detected; the i8mm family has sdot. The panel
    // has `chunks` of everything, the activation rows have as many columns.
    unsafe {
        macro_rules! kernel {
            ($groups:expr, $has_min:expr, $wide:expr) => {
                match (isa, single) {
                    (Isa::NeonI8mm, _) if zipped => pairs::<$groups, $has_min>(panel, half, x),
                    (Isa::Neon, true) => lanes::<Neon, $groups, $has_min, $wide, 1>(panel, half, x),
                    (Isa::Neon, false) => lanes::<Neon, $groups, $has_min, $wide, M>(panel, half, x),
                    (_, true) => lanes_dotprod::<$groups, $has_min, 1>(panel, half, x),
                    (_, false) => lanes_dotprod::<$groups, $has_min, M>(panel, half, x),
                }
            };
        }
        match (groups, has_min, format == Format::Q8_0) {
            (1, false, true) => kernel!(1, false, true),
            (1, false, false) => kernel!(1, false, false),
            (1, true, _) => kernel!(1, true, false),
            (_, false, _) => kernel!(2, false, false),
            (_, true, _) => kernel!(2, true, false),
        }
    }
}

/// Scales and minima of 4 weight rows, the `t`-th quarter of the panel.
///
/// # Safety
/// The panel has this chunk.
#[inline(always)]
unsafe fn sides<const GROUPS: usize>(panel: &Panel, chunk: usize, t: usize) -> ([float32x4_t; 2], [float32x4_t; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut scale = [vdupq_n_f32(0.0); 2];
        let mut min = scale;
        for g in 0..GROUPS {
            let at = (chunk * GROUPS + g) * TILE_ROWS + t * 4;
            scale[g] = vld1q_f32(panel.scale.as_ptr().add(at));
            min[g] = vld1q_f32(panel.min.as_ptr().add(at));
        }
        (scale, min)
    }
}

#[target_feature(enable = "neon,dotprod")]
fn lanes_dotprod<const GROUPS: usize, const MIN: bool, const ROWS: usize>(
    panel: &Panel,
    half: usize,
    x: &[XRow; M],
) -> Sums {
    // SAFETY: this function has the features; the panel and the rows are those of `one`.
    unsafe { lanes::<DotProd, GROUPS, MIN, true, ROWS>(panel, half, x) }
}

/// `ROWS` activation rows times 8 rows of a panel in lines: a lane is a weight row.
///
/// # Safety
/// The processor has the features of `D`; panel and rows have `panel.chunks` chunks.
#[inline(always)]
unsafe fn lanes<D: Dot, const GROUPS: usize, const MIN: bool, const WIDE: bool, const ROWS: usize>(
    panel: &Panel,
    half: usize,
    x: &[XRow; M],
) -> Sums {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [[vdupq_n_f32(0.0); 2]; M];
        for chunk in 0..panel.chunks {
            let q = panel.q.as_ptr().cast::<i8>().add(chunk * CHUNK + half * 32);
            let mut dots = [[[vdupq_n_s32(0); 2]; 2]; ROWS];
            for side in 0..2 {
                let group = if GROUPS == 2 { side } else { 0 };
                let mut values = [vdupq_n_s8(0); ROWS];
                for r in 0..ROWS {
                    values[r] = vld1q_s8(x[r].q.add(chunk * 32 + side * 16));
                }
                for t in 0..2 {
                    let line = |i: usize| vld1q_s8(q.add((side * 4 + i) * 64 + t * 16));
                    let w = [line(0), line(1), line(2), line(3)];
                    for r in 0..ROWS {
                        let dot = D::pair::<0, 1>(WIDE, dots[r][t][group], w[0], w[1], values[r]);
                        dots[r][t][group] = D::pair::<2, 3>(WIDE, dot, w[2], w[3], values[r]);
                    }
                }
            }
            for t in 0..2 {
                let (scale, min) = sides::<GROUPS>(panel, chunk, half * 2 + t);
                for r in 0..ROWS {
                    acc[r][t] = accumulate(GROUPS, MIN, acc[r][t], dots[r][t], scale, min, x[r], chunk);
                }
            }
        }
        acc
    }
}

/// Four activation rows times 8 rows of a zipped panel: the matrix instruction multiplies pairs of rows.
#[target_feature(enable = "neon,dotprod,i8mm")]
fn pairs<const GROUPS: usize, const MIN: bool>(panel: &Panel, half: usize, x: &[XRow; M]) -> Sums {
    // SAFETY: this function has the features; the panel and the rows are those of `one`.
    unsafe {
        let mut acc = [[vdupq_n_f32(0.0); 2]; M];
        for chunk in 0..panel.chunks {
            let q = panel.q.as_ptr().cast::<i8>().add(chunk * CHUNK + half * 64);
            // For each group, pair of weight rows and pair of activation rows.
            let mut dots = [[[vdupq_n_s32(0); 2]; 4]; 2];
            for side in 0..2 {
                let group = if GROUPS == 2 { side } else { 0 };
                let row = |r: usize| vreinterpretq_s64_s8(vld1q_s8(x[r].q.add(chunk * 32 + side * 16)));
                let rows = [row(0), row(1), row(2), row(3)];
                for eight in 0..2 {
                    let zip = |a, b| {
                        let zipped = if eight == 0 { vzip1q_s64(a, b) } else { vzip2q_s64(a, b) };
                        vreinterpretq_s8_s64(zipped)
                    };
                    let values = [zip(rows[0], rows[1]), zip(rows[2], rows[3])];
                    for pair in 0..4 {
                        let w = vld1q_s8(q.add(((side * 2 + eight) * 8 + pair) * 16));
                        for v in 0..2 {
                            dots[group][pair][v] = smmla(dots[group][pair][v], w, values[v]);
                        }
                    }
                }
            }
            for t in 0..2 {
                let (scale, min) = sides::<GROUPS>(panel, chunk, half * 2 + t);
                for r in 0..M {
                    let mut four = [vdupq_n_s32(0); 2];
                    for g in 0..GROUPS {
                        let (a, b) = (dots[g][2 * t][r / 2], dots[g][2 * t + 1][r / 2]);
                        four[g] = if r % 2 == 0 { vuzp1q_s32(a, b) } else { vuzp2q_s32(a, b) };
                    }
                    acc[r][t] = accumulate(GROUPS, MIN, acc[r][t], four, scale, min, x[r], chunk);
                }
            }
        }
        acc
    }
}
