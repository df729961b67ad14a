//! Weights laid out for the kernels: the same bits as in the file, in tiles of 16 rows whose columns interleave.
//!
//! In a GGUF file a row's blocks follow one another. A kernel that computes 16 rows at once then reads 16 streams and
//! has to transpose what it read. Here a tile of 16 rows is one stream:
//!
//! - its quants, for each 32 columns some lines of 64 bytes. Columns count in 8 groups of 4; byte `j` of a line belongs
//!   to row `j / 4` and column `j % 4` of a group. Values are unsigned, with the format's offset added.
//!   4 bits: line `i` of 4 has group `i` in its low and group `4 + i` in its high halves. 2 bits: line `i` of 2 has
//!   group `2 f + i` in bits `2 f ..`. 8 bits: line `g` of 8 has group `g`. Formats of 3, 5 and 6 bits are 2 or 4 low
//!   bits, then the rest: one bit is a line whose bit `g` belongs to group `g`, two bits are as above;
//! - its scales, each for 16 rows side by side. For each block of 32 columns an f16 scale and, where the format has
//!   one, an f16 minimum. For each superblock an f16 scale, for the formats with minima an f16 scale of the minima,
//!   and then for each 32 columns 16 times the first and 16 times the second of the block's two scale bytes
//!   (see [`raw_scales`]).
//!
//! Each of the two parts begins on a line. Rows beyond the matrix are zeros. A dot instruction that multiplies four
//! bytes with four bytes (`vpdpbusd`, `sdot`) takes a line as it is, with four activations broadcast.

use crate::blocks::{Expanded, expand, heads, raw_scales};
use crate::error::{ShapeError, check_length};
use crate::{Format, Matrix, ThreadPool};
use half::f16;
use std::sync::{Mutex, PoisonError};

/// Rows of one tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Bytes of one line of quants: 4 columns of 16 rows.
pub(crate) const LINE: usize = 64;
/// Lines begin at multiples of this when the buffer does.
pub const PACKED_ALIGNMENT: usize = LINE;

/// The version of the layout; files that keep packed weights are made again when it changes.
pub const PACKED_VERSION: u32 = 1;

/// How the bits of a value are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    /// Bits in the first lines: 2, 4 or 8.
    pub(crate) low: u32,
    /// Bits in the lines after them: 0, 1 or 2.
    pub(crate) high: u32,
    /// What was added to make values unsigned.
    pub(crate) offset: i32,
}

impl Format {
    /// How packed values of this format are stored; `None` for floats, which are not packed.
    pub(crate) const fn planes(self) -> Option<Planes> {
        let (low, high, offset) = match self {
            Self::F32 | Self::F16 | Self::BF16 => return None,
            Self::Q4_0 => (4, 0, 8),
            Self::Q4_1 | Self::Q4K => (4, 0, 0),
            Self::Q5_0 => (4, 1, 16),
            Self::Q5_1 | Self::Q5K => (4, 1, 0),
            Self::Q8_0 => (8, 0, 128),
            Self::Q2K => (2, 0, 0),
            Self::Q3K => (2, 1, 4),
            Self::Q6K => (4, 2, 32),
        };
        Some(Planes { low, high, offset })
    }
}

/// Sizes within the tiles of one matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    format: Format,
    planes: Planes,
    cols: usize,
    /// Bytes of quants in one tile, a whole number of lines.
    pub(crate) quant_bytes: usize,
    /// Bytes of one tile.
    pub(crate) tile_bytes: usize,
}

impl Layout {
    /// The layout of rows of `cols` values; `None` for floats, rows of no whole blocks, and sizes that overflow.
    pub(crate) fn new(format: Format, cols: usize) -> Option<Self> {
        let planes = format.planes()?;
        if !cols.is_multiple_of(format.block_len()) {
            return None;
        }
        let (chunks, lines) = (cols / 32, (planes.low + planes.high) as usize);
        let head = if format.has_min() { 64 } else { 32 };
        let scale_bytes =
            if format.block_len() == 32 { chunks.checked_mul(head)? } else { (chunks / 8).checked_mul(head + 256)? };
        let quant_bytes = chunks.checked_mul(lines)?.checked_mul(LINE)?;
        let tile_bytes = quant_bytes.checked_add(scale_bytes.checked_next_multiple_of(LINE)?)?;
        Some(Self { format, planes, cols, quant_bytes, tile_bytes })
    }

    /// Bytes of `rows` rows.
    pub(crate) fn bytes(&self, rows: usize) -> Option<usize> {
        rows.div_ceil(TILE_ROWS).checked_mul(self.tile_bytes)
    }

    /// Where value `k` of a chunk's row `row` lies: the byte of its low bits within the chunk's lines and their shift,
    /// and the same of its high bits.
    fn place(&self, row: usize, k: usize) -> [(usize, u32); 2] {
        let (g, byte) = (k / 4, 4 * row + k % 4);
        let spread = |bits: u32| {
            // `bits` lines, each with 8 / bits groups.
            let lines = bits.max(1) as usize;
            (g % lines * LINE + byte, (g / lines) as u32 * bits)
        };
        let (low, high) = (spread(self.planes.low), spread(self.planes.high));
        [low, (self.planes.low as usize * LINE + high.0, high.1)]
    }

    /// Packs one tile from up to 16 rows of blocks into `out`, which is all zeros.
    fn pack_tile<'a>(&self, rows: impl Iterator<Item = &'a [u8]>, out: &mut [u8]) {
        let (format, block_len) = (self.format, self.format.block_len());
        let lines = (self.planes.low + self.planes.high) as usize * LINE;
        let mask = (1u32 << self.planes.low) - 1;
        let mut block = Expanded::new();
        for (row, blocks) in rows.enumerate() {
            for (b, raw) in blocks.chunks_exact(format.block_bytes()).enumerate() {
                expand(format, raw, &mut block);
                for c in 0..block_len / 32 {
                    let chunk = &mut out[(b * block_len / 32 + c) * lines..][..lines];
                    for k in 0..32 {
                        let value = (i32::from(block.q[32 * c + k]) + self.planes.offset) as u32;
                        let [(low, low_shift), (high, high_shift)] = self.place(row, k);
                        chunk[low] |= ((value & mask) << low_shift) as u8;
                        if self.planes.high > 0 {
                            chunk[high] |= ((value >> self.planes.low) << high_shift) as u8;
                        }
                    }
                }
                let scales = &mut out[self.quant_bytes + b * self.block_scale_bytes()..];
                let (d, m) = heads(format, raw);
                scales[2 * row..2 * row + 2].copy_from_slice(&d);
                let mut at = 32;
                if let Some(m) = m {
                    scales[at + 2 * row..at + 2 * row + 2].copy_from_slice(&m);
                    at += 32;
                }
                if block_len == 256 {
                    for c in 0..8 {
                        let [first, second] = raw_scales(format, raw, c);
                        scales[at + c * 32 + row] = first;
                        scales[at + c * 32 + 16 + row] = second;
                    }
                }
            }
        }
    }

    /// Bytes of scales of one block of 16 rows.
    pub(crate) fn block_scale_bytes(&self) -> usize {
        let head = if self.format.has_min() { 64 } else { 32 };
        if self.format.block_len() == 32 { head } else { head + 256 }
    }

    /// Expands block `b` of row `row` of a tile.
    pub(crate) fn expand(&self, tile: &[u8], row: usize, b: usize, out: &mut Expanded) {
        let block_len = self.format.block_len();
        let lines = (self.planes.low + self.planes.high) as usize * LINE;
        let mask = (1u32 << self.planes.low) - 1;
        for c in 0..block_len / 32 {
            let chunk = &tile[(b * block_len / 32 + c) * lines..][..lines];
            for k in 0..32 {
                let [(low, low_shift), (high, high_shift)] = self.place(row, k);
                let mut value = (u32::from(chunk[low]) >> low_shift) & mask;
                if self.planes.high > 0 {
                    let bits = (u32::from(chunk[high]) >> high_shift) & ((1 << self.planes.high) - 1);
                    value |= bits << self.planes.low;
                }
                out.q[32 * c + k] = (value as i32 - self.planes.offset) as i8;
            }
        }
        let scales = &tile[self.quant_bytes + b * self.block_scale_bytes()..];
        let f16_at = |at: usize| f16::from_le_bytes([scales[at], scales[at + 1]]).to_f32();
        let (d, m) = (f16_at(2 * row), if self.format.has_min() { f16_at(32 + 2 * row) } else { 0.0 });
        let to = &mut out.scales;
        if block_len == 32 {
            to.scale[..2].fill(d);
            to.min[..2].fill(m);
            return;
        }
        let bytes = &scales[if self.format.has_min() { 64 } else { 32 }..];
        for c in 0..8 {
            let (first, second) = (bytes[32 * c + row], bytes[32 * c + 16 + row]);
            for (g, byte) in [first, second].into_iter().enumerate() {
                let at = 2 * c + g;
                match self.format {
                    Format::Q4K | Format::Q5K => {
                        to.scale[at] = d * f32::from(first);
                        to.min[at] = -(m * f32::from(second));
                    }
                    Format::Q2K => {
                        to.scale[at] = d * f32::from(byte & 15);
                        to.min[at] = -(m * f32::from(byte >> 4));
                    }
                    _ => to.scale[at] = d * f32::from(byte.cast_signed()),
                }
            }
        }
    }

    /// Writes one row of a tile as f32.
    pub(crate) fn dequantize(&self, tile: &[u8], row: usize, out: &mut [f32]) {
        let mut block = Expanded::new();
        for (b, values) in out[..self.cols].chunks_exact_mut(self.format.block_len()).enumerate() {
            self.expand(tile, row, b, &mut block);
            block.write(self.format, values);
        }
    }
}

/// Bytes that a matrix takes when it is packed; `None` for float formats, which are used as they are, for columns that
/// are no whole number of blocks, and for sizes that overflow.
pub fn packed_bytes(format: Format, rows: usize, cols: usize) -> Option<usize> {
    Layout::new(format, cols)?.bytes(rows)
}

/// Packs `w` into `out`, [`packed_bytes`] long: the same values, in the order that the kernels read.
///
/// # Errors
/// [`ShapeError`] if `w` is a float matrix or packed already, or `out` has another size.
pub fn pack(pool: &ThreadPool, w: Matrix<'_>, out: &mut [u8]) -> Result<(), ShapeError> {
    let wrong = ShapeError::Columns { format: w.format(), cols: w.cols() };
    let layout = Layout::new(w.format(), w.cols()).filter(|_| !w.is_packed()).ok_or(wrong)?;
    check_length(layout.bytes(w.rows()).ok_or(ShapeError::Overflow)?, out.len())?;
    if out.is_empty() {
        return Ok(());
    }
    let tiles: Vec<Mutex<&mut [u8]>> = out.chunks_mut(layout.tile_bytes).map(Mutex::new).collect();
    pool.run(tiles.len(), &|tile| {
        let mut out = tiles[tile].lock().unwrap_or_else(PoisonError::into_inner);
        out.fill(0);
        let first = tile * TILE_ROWS;
        layout.pack_tile((first..w.rows().min(first + TILE_ROWS)).map(|row| w.row(row)), &mut out);
    });
    Ok(())
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
