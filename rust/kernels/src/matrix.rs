//! A weight: borrowed bytes with a format and a shape.

use crate::Format;
use crate::blocks::dequantize;
use crate::error::{ShapeError, check_length};
use crate::packed::{Layout, TILE_ROWS};
use std::ops::Range;

/// A borrowed weight of `rows` outputs by `cols` inputs: row-major, each row a whole number of blocks, or packed in
/// tiles of 16 rows (see [`pack`](crate::pack)), which the kernels read faster.
///
/// It never copies: the bytes may lie in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    format: Format,
    rows: usize,
    cols: usize,
    /// Bytes of a row, or of a tile where `packed`.
    row_bytes: usize,
    packed: bool,
    data: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// Describes `data` as a matrix. No alignment is needed.
    ///
    /// # Errors
    /// [`ShapeError`] if `cols` is no whole number of blocks or `data` has not exactly the bytes of the shape.
    pub fn new(format: Format, rows: usize, cols: usize, data: &'a [u8]) -> Result<Self, ShapeError> {
        let row_bytes = format.row_bytes(cols).ok_or(ShapeError::Columns { format, cols })?;
        let bytes = rows.checked_mul(row_bytes).ok_or(ShapeError::Overflow)?;
        check_length(bytes, data.len())?;
        Ok(Self { format, rows, cols, row_bytes, packed: false, data })
    }

    /// Describes what [`pack`](crate::pack) made of a matrix of this shape. Data that begins at a multiple of
    /// [`PACKED_ALIGNMENT`](crate::PACKED_ALIGNMENT) is read fastest.
    ///
    /// # Errors
    /// [`ShapeError`] for float formats, which are not packed, if `cols` is no whole number of blocks, or `data` has
    /// not exactly the bytes of the shape.
    pub fn packed(format: Format, rows: usize, cols: usize, data: &'a [u8]) -> Result<Self, ShapeError> {
        let layout = Layout::new(format, cols).ok_or(ShapeError::Columns { format, cols })?;
        check_length(layout.bytes(rows).ok_or(ShapeError::Overflow)?, data.len())?;
        Ok(Self { format, rows, cols, row_bytes: layout.tile_bytes, packed: true, data })
    }

    /// Whether the rows lie in packed tiles.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// The sizes of the tiles and tile `i`; only for packed matrices.
    pub(crate) fn tile(&self, i: usize) -> (Layout, &'a [u8]) {
        debug_assert!(self.packed);
        let layout = Layout::new(self.format, self.cols).expect("checked when the matrix was made");
        (layout, &self.data[i * self.row_bytes..(i + 1) * self.row_bytes])
    }

    /// The format of the values.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The number of rows: outputs of the linear layer, or entries of an embedding table.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns: inputs of the linear layer.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All bytes, row after row or tile after tile.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The bytes of one row.
    ///
    /// # Panics
    /// If `i` is not below [`rows`](Self::rows) or the matrix is packed.
    pub fn row(&self, i: usize) -> &'a [u8] {
        assert!(!self.packed, "packed rows do not lie one after the other");
        assert!(i < self.rows, "row {i} of a matrix with {} rows", self.rows);
        &self.data[i * self.row_bytes..(i + 1) * self.row_bytes]
    }

    /// The matrix of the rows in `range`, over the same bytes.
    ///
    /// # Panics
    /// If the range is not within the rows or, of a packed matrix, does not begin and end with tiles (its end may be
    /// that of the matrix).
    pub fn rows_range(&self, range: Range<usize>) -> Matrix<'a> {
        assert!(
            range.start <= range.end && range.end <= self.rows,
            "rows {range:?} of a matrix with {} rows",
            self.rows
        );
        let (start, end) = if self.packed {
            let whole = |row: usize| row.is_multiple_of(TILE_ROWS) || row == self.rows;
            assert!(whole(range.start) && whole(range.end), "rows {range:?} are no whole tiles");
            (range.start.div_ceil(TILE_ROWS), range.end.div_ceil(TILE_ROWS))
        } else {
            (range.start, range.end)
        };
        let data = &self.data[start * self.row_bytes..end * self.row_bytes];
        Matrix { rows: range.end - range.start, data, ..*self }
    }

    /// Writes row `i` as f32, for reading a token's embedding.
    ///
    /// # Panics
    /// If `i` is not below [`rows`](Self::rows) or `out` has not [`cols`](Self::cols) values.
    pub fn dequantize_row(&self, i: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "a row of {} columns", self.cols);
        if self.packed {
            assert!(i < self.rows, "row {i} of a matrix with {} rows", self.rows);
            let (layout, tile) = self.tile(i / TILE_ROWS);
            return layout.dequantize(tile, i % TILE_ROWS, out);
        }
        dequantize(self.format, self.row(i), out).expect("the shape was checked when the matrix was made");
    }
}
