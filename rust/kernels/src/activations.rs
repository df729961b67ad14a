//! The other operand of a matrix product: rows of f32, quantized once and used against many weights.

use crate::ThreadPool;

/// Rows of activations: the f32 values, and for each 32 of them 8-bit integers with one f32 scale.
///
/// Quantizing costs about as much as one output row, so it is done once for all weights that read the same input.
/// The buffers are kept from one [`set`](Self::set) to the next.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    rows: usize,
    cols: usize,
    pub(crate) values: Vec<f32>,
    /// `(rows, cols)`: `round_ties_even(x / d)`, within -127..=127. Empty if `cols` is no multiple of 32.
    pub(crate) q: Vec<i8>,
    /// `(rows, cols / 32)`: the scale `d`, the largest magnitude over 127.
    pub(crate) d: Vec<f32>,
    /// `(rows, cols / 16)`: the sum of `q` over each 16.
    pub(crate) sums: Vec<i32>,
    /// `(rows, cols / 16)`: `d` times that sum, what a minimum is multiplied with.
    pub(crate) dsums: Vec<f32>,
}

impl Activations {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of rows set last.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns set last.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Takes the `(rows, cols)` values of `x`, row-major.
    ///
    /// # Panics
    /// If `x` is no whole number of rows of `cols` values.
    pub fn set(&mut self, pool: &ThreadPool, x: &[f32], cols: usize) {
        assert!(
            cols > 0 && x.len().is_multiple_of(cols),
            "{} values in rows of {cols}",
            x.len()
        );
        let _ = pool;
        self.rows = x.len() / cols;
        self.cols = cols;
        self.values.clear();
        self.values.extend_from_slice(x);
        if !cols.is_multiple_of(32) {
            self.q.clear();
            return;
        }
        self.q.resize(x.len(), 0);
        self.d.resize(x.len() / 32, 0.0);
        self.sums.resize(x.len() / 16, 0);
        self.dsums.resize(x.len() / 16, 0.0);
        for (i, (x, q)) in x
            .as_chunks::<32>()
            .0
            .iter()
            .zip(self.q.as_chunks_mut::<32>().0)
            .enumerate()
        {
            let d = quantize_32(x, q);
            self.d[i] = d;
            for half in 0..2 {
                let sum: i32 = q[half * 16..half * 16 + 16]
                    .iter()
                    .map(|&v| i32::from(v))
                    .sum();
                self.sums[2 * i + half] = sum;
                self.dsums[2 * i + half] = d * sum as f32;
            }
        }
    }
}

/// Quantizes 32 values and returns their scale.
///
/// A scale that is not finite (an infinite or NaN input) leaves zeros in `q` and spreads through the scale.
#[inline]
fn quantize_32(x: &[f32; 32], q: &mut [i8; 32]) -> f32 {
    let largest = x.iter().fold(0.0f32, |m, v| {
        if v.abs() > m || v.is_nan() {
            v.abs()
        } else {
            m
        }
    });
    let d = largest / 127.0;
    let inverse = if d == 0.0 { 0.0 } else { 127.0 / largest };
    for (q, x) in q.iter_mut().zip(x) {
        *q = (x * inverse).round_ties_even() as i8;
    }
    d
}
