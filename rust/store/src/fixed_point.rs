//! Vectors in fixed point: what a scan of small packs looks at before it compares exactly.
//!
//! A row scaled to length one is held as whole multiples of 2^-15. Products of two such rows are whole multiples of 2^-30
//! whose sum, also over any part of the row, is at most 2^30 and a little (Cauchy-Schwarz), so it fits 32 bits, and
//! any processor multiplies and adds eight of them at once. What the sum is off by is bounded by the rounding of the two
//! rows (again Cauchy-Schwarz), which is kept beside the row: a row whose sum and bound stay below a score that
//! matters need not be compared exactly. For 768 dimensions the bound is about 0.0005.

use half::f16;

use crate::matrix::LANES;

const ONE: f64 = (1i32 << 15) as f64;
/// What the exact comparison may be off by itself: some tens of roundings of f32 in each sum.
const EXACT_ERROR: f32 = 2e-5;

/// Rows of one length.
#[derive(Debug)]
pub(crate) struct FixedRows {
    values: Vec<i16>,
    /// For each row, the length of what rounding took.
    errors: Vec<f32>,
    dims: usize,
}

impl FixedRows {
    pub fn new(rows: usize, dims: usize) -> Self {
        Self { values: Vec::with_capacity(rows * dims), errors: Vec::with_capacity(rows), dims }
    }

    /// Appends a row, given by its stored bytes.
    pub fn push(&mut self, stored: &[u8]) {
        let row = stored.as_chunks::<2>().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32());
        let square: f64 = row.clone().map(|x| f64::from(x) * f64::from(x)).sum();
        // A row of zeros stays one: its cosine is 0 by definition.
        let scale = if square > 0.0 { square.sqrt().recip() } else { 0.0 };
        self.errors.push(round(row.map(|x| f64::from(x) * scale), &mut self.values));
    }

    pub fn len(&self) -> usize {
        self.errors.len()
    }
}

/// A query of length one in fixed point.
pub(crate) struct FixedQuery {
    values: Vec<i16>,
    error: f32,
}

impl FixedQuery {
    pub fn new(unit: &[f32]) -> Self {
        let mut values = Vec::with_capacity(unit.len());
        let error = round(unit.iter().map(|&x| f64::from(x)), &mut values);
        Self { values, error }
    }

    /// No exact score of this row, which exists, is greater.
    pub fn at_most(&self, rows: &FixedRows, row: usize) -> f32 {
        let values = &rows.values[row * rows.dims..(row + 1) * rows.dims];
        let error = rows.errors[row];
        let product = f64::from(product(&self.values, values)) / (ONE * ONE);
        // |q r - q' r'| <= |q - q'| |r| + |q'| |r - r'|, with |r| = 1 and |q'| <= 1 + |q - q'|.
        product as f32 + self.error + (1.0 + self.error) * error + EXACT_ERROR
    }
}

/// Appends the nearest multiples of 2^-15; gives the length of what that took, rounded up.
fn round(row: impl Iterator<Item = f64>, values: &mut Vec<i16>) -> f32 {
    let mut lost = 0.0;
    values.extend(row.map(|x| {
        let value = (x * ONE).round().clamp(-ONE, ONE - 1.0);
        lost += (x - value / ONE).powi(2);
        value as i16
    }));
    lost.sqrt() as f32 * (1.0 + f32::EPSILON)
}

fn product(a: &[i16], b: &[i16]) -> i32 {
    let mut sums = [0i32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<{ 2 * LANES }>();
    let (b_chunks, b_rest) = b.as_chunks::<{ 2 * LANES }>();
    // Sums of neighbours first: that is one instruction for eight products. None of it can overflow, see above.
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            let first = i32::from(a[2 * lane]) * i32::from(b[2 * lane]);
            let second = i32::from(a[2 * lane + 1]) * i32::from(b[2 * lane + 1]);
            sums[lane] = sums[lane].wrapping_add(first.wrapping_add(second));
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| i32::from(a) * i32::from(b));
    sums.into_iter().chain(rest).fold(0, i32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Matrix, encode_row, unit};

    #[test]
    fn no_exact_score_is_above_the_bound_and_the_bound_is_near() {
        for dims in [1, 2, 31, 32, 33, 384, 768, 1000] {
            let vector = |seed: usize| -> Vec<f32> {
                (0..dims)
                    .map(|i| ((i * (seed * 7 + 3) % 101) as f32 - 50.3) * if i % 9 == seed % 9 { 8.0 } else { 1.0 })
                    .collect()
            };
            let rows: Vec<Vec<f32>> = (0..50).map(vector).chain([vec![0.0; dims]]).collect();
            let (mut stored, mut fixed) = (Vec::new(), FixedRows::new(rows.len(), dims));
            for row in &rows {
                // Not scaled to length one, and with rows of zeros: what a hostile pack may hold.
                let before = stored.len();
                encode_row(row, &mut stored);
                fixed.push(&stored[before..]);
            }
            assert_eq!(fixed.len(), rows.len());
            for query in (0..20).map(|n| unit(&vector(n * 3)).unwrap()) {
                let bounds = FixedQuery::new(&query);
                for hit in Matrix::of_rows(&stored, dims).nearest(&query, rows.len(), 0..rows.len() as u64) {
                    let bound = bounds.at_most(&fixed, hit.key as usize);
                    assert!(hit.score <= bound, "{dims}: {} above {bound}", hit.score);
                    // Twice the bound's own width: the product may be as far below as above.
                    assert!(bound - hit.score < 0.004, "{dims}: {} far below {bound}", hit.score);
                }
            }
        }
    }
}
