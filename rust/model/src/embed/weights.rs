//! Tensors of an embedder's file, checked once at opening and then looked up by name in the map.

use lorekit_kernels::{Activations, Matrix, ThreadPool, matmul};

use crate::gguf::Gguf;
use crate::{Error, Result};

use super::workspace::add_bias;

/// A quantized matrix in the map, with its bias on the heap where the layer has one.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    name: String,
    pub(super) outputs: usize,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Checks `<name>.weight` (and `<name>.bias` when `biased`).
    ///
    /// # Errors
    /// [`Error::Damaged`] when a tensor is missing or has another shape.
    pub(super) fn open(gguf: &Gguf, name: &str, outputs: usize, inputs: usize, biased: bool) -> Result<Self> {
        let weight = format!("{name}.weight");
        check_matrix(gguf, &weight, outputs, inputs)?;
        let bias = if biased { Some(vector(gguf, &format!("{name}.bias"), outputs)?) } else { None };
        Ok(Self { name: weight, outputs, bias })
    }

    /// The matrix, in the map of the side file if there is one.
    pub(super) fn matrix<'a>(&self, gguf: &'a Gguf) -> Result<Matrix<'a>> {
        match gguf.packed_matrix(&self.name) {
            Some(packed) => Ok(packed),
            None => gguf.require_tensor(&self.name)?.matrix(),
        }
    }

    /// `out = x Wᵀ + b` for the rows in `x`; `out` is `(x.rows(), outputs)`.
    pub(super) fn apply(&self, gguf: &Gguf, pool: &ThreadPool, x: &Activations, out: &mut [f32]) -> Result<()> {
        matmul(pool, self.matrix(gguf)?, x, out);
        self.add_bias(out);
        Ok(())
    }

    /// Adds the bias, if there is one, to rows of outputs.
    pub(super) fn add_bias(&self, out: &mut [f32]) {
        if let Some(bias) = &self.bias {
            add_bias(out, bias);
        }
    }
}

/// Checks that `name` is a matrix of this shape.
pub(super) fn check_matrix(gguf: &Gguf, name: &str, rows: usize, cols: usize) -> Result<()> {
    let matrix = gguf.require_tensor(name)?.matrix()?;
    if (matrix.rows(), matrix.cols()) == (rows, cols) {
        return Ok(());
    }
    let found = format!("{}x{}", matrix.rows(), matrix.cols());
    Err(damaged(gguf, format!("tensor {name} has shape {found}, wanted {rows}x{cols}")))
}

/// Reads a vector of known length.
pub(super) fn vector(gguf: &Gguf, name: &str, length: usize) -> Result<Vec<f32>> {
    let tensor = gguf.require_tensor(name)?;
    if (tensor.info.rows(), tensor.info.cols()) != (1, length) {
        return Err(damaged(gguf, format!("tensor {name} is no vector of {length} values")));
    }
    Ok(tensor.to_f32())
}

/// A whole number above zero from the file's own keys, small enough that products of two cannot overflow.
pub(super) fn size(gguf: &Gguf, key: &str) -> Result<usize> {
    match gguf.require_u32(key)? {
        value @ 1..=0x10_0000 => Ok(value as usize),
        other => Err(damaged(gguf, format!("{key} is {other}"))),
    }
}

/// A positive number.
pub(super) fn positive(gguf: &Gguf, key: &str) -> Result<f32> {
    let value = gguf.require_f32(key)?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(damaged(gguf, format!("{key} is {value}"))) }
}

pub(super) fn damaged(gguf: &Gguf, reason: String) -> Error {
    Error::Damaged { path: gguf.path().to_owned(), reason }
}
