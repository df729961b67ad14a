//! 16 weight rows unpacked to signed bytes and f32 scales, in the order the register tiles read them.

use super::packed::*;
use crate::blocks::{Expanded, expand};
use crate::packed::TILE_ROWS;
use crate::panel::Line;
use crate::{Format, Matrix};
use std::arch::aarch64::*;

/// Bytes of 32 columns.
pub(super) const CHUNK: usize = 32 * TILE_ROWS;

/// 16 rows of a weight.
///
/// For each 32 columns, either 8 lines as in the packed layout, line `g` with columns `4 g ..` of row after row; or,
/// zipped for the matrix instruction, 4 times 8 pairs of rows with 8 columns each.
#[derive(Default)]
pub(super) struct Panel {
    pub(super) q: Vec<Line>,
    /// `(chunks, groups, 16)`.
    pub(super) scale: Vec<f32>,
    /// As `scale`; zeros for formats without.
    pub(super) min: Vec<f32>,
    pub(super) chunks: usize,
}

impl Panel {
    /// Unpacks rows `first ..` of `w`, up to 16; bytes of rows beyond the end are of no meaning.
    pub(super) fn unpack(&mut self, w: Matrix<'_>, first: usize, zipped: bool) {
        let chunks = w.cols() / 32;
        let groups = if w.format().has_groups_of_16() { 2 } else { 1 };
        self.chunks = chunks;
        if self.q.len() < chunks * CHUNK / 64 {
            self.q.resize(chunks * CHUNK / 64, Line([0; 64]));
        }
        for side in [&mut self.scale, &mut self.min] {
            if side.len() < chunks * groups * TILE_ROWS {
                side.resize(chunks * groups * TILE_ROWS, 0.0);
            }
        }
        if w.is_packed() {
            by_format!(w.format(), unpack_tile(w, first, zipped, self));
        } else {
            self.expand_blocks(w, first, zipped);
        }
    }

    fn expand_blocks(&mut self, w: Matrix<'_>, first: usize, zipped: bool) {
        let format = w.format();
        let (step, groups) = if format.has_groups_of_16() { (1, 2) } else { (2, 1) };
        let per_block = format.block_len() / 32;
        let mut block = Expanded::new();
        for row in 0..TILE_ROWS.min(w.rows() - first) {
            for (b, raw) in w.row(first + row).chunks_exact(format.block_bytes()).enumerate() {
                expand(format, raw, &mut block);
                for c in 0..per_block {
                    let chunk = b * per_block + c;
                    let lines = &mut self.q[chunk * CHUNK / 64..][..CHUNK / 64];
                    for (g, four) in block.q[32 * c..32 * c + 32].as_chunks::<4>().0.iter().enumerate() {
                        let at = if zipped {
                            ((g / 2 * 8) + row / 2) * 16 + row % 2 * 8 + g % 2 * 4
                        } else {
                            g * 64 + row * 4
                        };
                        lines[at / 64].0[at % 64..][..4].copy_from_slice(&four.map(i8::cast_unsigned));
                    }
                    for g in 0..groups {
                        let at = (chunk * groups + g) * TILE_ROWS + row;
                        self.scale[at] = block.scales.scale[2 * c + g * step];
                        self.min[at] = if format.has_min() { block.scales.min[2 * c + g * step] } else { 0.0 };
                    }
                }
            }
        }
    }
}

fn unpack_tile<P: Packed>(w: Matrix<'_>, first: usize, zipped: bool, panel: &mut Panel) {
    assert!(first.is_multiple_of(TILE_ROWS));
    let (layout, tile) = w.tile(first / TILE_ROWS);
    let (chunks, groups) = (panel.chunks, if P::FORMAT.has_groups_of_16() { 2 } else { 1 });
    assert!(tile.len() == layout.tile_bytes && layout.quant_bytes == chunks * P::CHUNK);
    assert!(tile.len() - layout.quant_bytes >= chunks * 32 / P::FORMAT.block_len() * layout.block_scale_bytes());
    assert!(panel.q.len() * 64 >= chunks * CHUNK && panel.scale.len() >= chunks * groups * TILE_ROWS);
    assert!(panel.min.len() >= chunks * groups * TILE_ROWS);
    // SAFETY: the tile has `chunks` chunks and their scales, the panel room for as many.
    unsafe {
        let sides = tile.as_ptr().add(layout.quant_bytes);
        for chunk in 0..chunks {
            let to = panel.q.as_mut_ptr().cast::<i8>().add(chunk * CHUNK);
            for t in 0..4 {
                let offset = vdupq_n_s8(P::OFFSET as i8);
                let q = quants::<P>(tile.as_ptr().add(chunk * P::CHUNK), t).map(|q| vsubq_s8(q, offset));
                if zipped {
                    for k in 0..4 {
                        let (a, b) = (vreinterpretq_s32_s8(q[2 * k]), vreinterpretq_s32_s8(q[2 * k + 1]));
                        let pair = to.add((k * 8 + 2 * t) * 16);
                        vst1q_s8(pair, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
                        vst1q_s8(pair.add(16), vreinterpretq_s8_s32(vzip2q_s32(a, b)));
                    }
                } else {
                    for (g, q) in q.into_iter().enumerate() {
                        vst1q_s8(to.add(g * 64 + t * 16), q);
                    }
                }
                let (scale, min) = scales::<P>(sides, chunk, t);
                for g in 0..groups {
                    let at = (chunk * groups + g) * TILE_ROWS + 4 * t;
                    vst1q_f32(panel.scale.as_mut_ptr().add(at), scale[g]);
                    vst1q_f32(panel.min.as_mut_ptr().add(at), min[g]);
                }
            }
        }
    }
}
