//! A weight: borrowed bytes with a format and a shape.

use crate::Format;
use crate::blocks::dequantize;
use crate::error::{ShapeError, check_length};
use std::ops::Range;

/// A borrowed weight of `rows` outputs by `cols` inputs, row-major, each row a whole number of blocks.
///
/// It never copies: the bytes may lie in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    format: Format,
    rows: usize,
    cols: usize,
    row_bytes: usize,
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
        Ok(Self { format, rows, cols, row_bytes, data })
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

    /// All bytes, row after row.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The bytes of one row.
    ///
    /// # Panics
    /// If `i` is not below [`rows`](Self::rows).
    pub fn row(&self, i: usize) -> &'a [u8] {
        assert!(i < self.rows, "row {i} of a matrix with {} rows", self.rows);
        &self.data[i * self.row_bytes..(i + 1) * self.row_bytes]
    }

    /// The matrix of the rows in `range`, over the same bytes.
    ///
    /// # Panics
    /// If the range is not within the rows.
    pub fn rows_range(&self, range: Range<usize>) -> Matrix<'a> {
        assert!(
            range.start <= range.end && range.end <= self.rows,
            "rows {range:?} of a matrix with {} rows",
            self.rows
        );
        let data = &self.data[range.start * self.row_bytes..range.end * self.row_bytes];
        Matrix { rows: range.end - range.start, data, ..*self }
    }

    /// Writes row `i` as f32, for reading a token's embedding.
    ///
    /// # Panics
    /// If `i` is not below [`rows`](Self::rows) or `out` has not [`cols`](Self::cols) values.
    pub fn dequantize_row(&self, i: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "a row of {} columns", self.cols);
        dequantize(self.format, self.row(i), out).expect("the shape was checked when the matrix was made");
    }
}
