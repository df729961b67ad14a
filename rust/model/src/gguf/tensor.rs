//! Tensors: where they are in the file, and a borrowed view of their bytes.

use std::path::Path;

use lorekit_kernels::{Format, Matrix, dequantize};

use crate::{Error, Result};

/// A tensor's name, format and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name, unique in its file, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// How its values are stored.
    pub format: Format,
    /// Its extent in GGUF's order: the innermost (contiguous) dimension first. One to four, none of them zero.
    pub dims: Vec<usize>,
    /// Where its data begins, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes its data has.
    pub bytes: u64,
}

impl TensorInfo {
    /// The contiguous dimension: the length of a row, in values.
    pub fn cols(&self) -> usize {
        self.dims[0]
    }

    /// The product of all dimensions but the first.
    pub fn rows(&self) -> usize {
        self.dims[1..].iter().product()
    }
}

/// A tensor whose data is borrowed from the mapped file.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// Name, format, extent and place.
    pub info: &'a TensorInfo,
    /// The bytes, as the format stores them.
    pub data: &'a [u8],
    pub(super) path: &'a Path,
}

impl<'a> Tensor<'a> {
    /// The tensor as a matrix of `dims[0]` columns and as many rows as the other dimensions make.
    ///
    /// Errors: [`Error::Damaged`] if the format cannot hold rows of that length.
    pub fn matrix(&self) -> Result<Matrix<'a>> {
        Matrix::new(self.info.format, self.info.rows(), self.info.cols(), self.data).map_err(|e| Error::Damaged {
            path: self.path.to_owned(),
            reason: format!("tensor {}: {e}", self.info.name),
        })
    }

    /// All values as 32-bit floats, in the order of the file. For norms, biases and other small tensors: it
    /// allocates four bytes for each value.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.info.rows() * self.info.cols()];
        dequantize(self.info.format, self.data, &mut out).expect("the length was computed from the extent at opening");
        out
    }
}
