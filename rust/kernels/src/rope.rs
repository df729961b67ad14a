//! Rotary position embedding (Su et al. 2021, RoFormer), from one table of sines and cosines.

use crate::ThreadPool;
use crate::dispatch::{Isa, Kernel};

/// Values one task rotates.
const TASK: usize = 16 * 1024;

/// Which values of a head form the pairs that are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Value `i` with value `i + rotary_dim / 2` (Qwen, Gemma, GPT-NeoX).
    Neox,
    /// Value `2 i` with value `2 i + 1` (Llama's GGUF files, GLM).
    Interleaved,
}

/// Cosines and sines for each position and pair, grown on demand.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// Radians per position for each pair.
    frequencies: Vec<f64>,
    n_positions: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// A table for the first `rotary_dim` values of a head, without positions yet.
    ///
    /// Pair `i` turns by `position * position_scale * theta^(-2 i / rotary_dim) / freq_factors[i]`. `position_scale`
    /// below 1 is linear context extension; `freq_factors` are those of Llama 3's `rope_freqs` tensor.
    ///
    /// # Panics
    /// If `rotary_dim` is odd or `freq_factors` has another length than half of it.
    pub fn new(rotary_dim: usize, theta: f32, position_scale: f32, freq_factors: Option<&[f32]>) -> Self {
        assert!(rotary_dim.is_multiple_of(2), "rotation takes pairs");
        let pairs = rotary_dim / 2;
        if let Some(factors) = freq_factors {
            assert_eq!(factors.len(), pairs, "one frequency factor for each pair");
        }
        let frequencies = (0..pairs)
            .map(|i| {
                let base = f64::from(theta).powf(-2.0 * i as f64 / rotary_dim as f64);
                let factor = freq_factors.map_or(1.0, |factors| f64::from(factors[i]));
                f64::from(position_scale) * base / factor
            })
            .collect();
        Self { frequencies, n_positions: 0, cos: Vec::new(), sin: Vec::new() }
    }

    /// Values of a head that are rotated; those after them stay.
    pub fn rotary_dim(&self) -> usize {
        self.frequencies.len() * 2
    }

    /// The number of positions the table holds.
    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// Makes sure that positions below `n_positions` can be applied. A position costs `rotary_dim / 2` sine pairs, once.
    pub fn ensure(&mut self, n_positions: usize) {
        if n_positions <= self.n_positions {
            return;
        }
        let more = (n_positions - self.n_positions) * self.frequencies.len();
        self.cos.reserve(more);
        self.sin.reserve(more);
        for position in self.n_positions..n_positions {
            for frequency in &self.frequencies {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                self.cos.push(cos as f32);
                self.sin.push(sin as f32);
            }
        }
        self.n_positions = n_positions;
    }

    /// Rotates `x`, `(rows, n_heads * head_dim)`, in place; row `i` stands at position `first_position + i`.
    ///
    /// # Panics
    /// If `x` is no whole number of rows, a head is smaller than the rotation, or a position is not in the table.
    pub fn apply(
        &self,
        pool: &ThreadPool,
        style: RopeStyle,
        x: &mut [f32],
        n_heads: usize,
        head_dim: usize,
        first_position: usize,
    ) {
        self.apply_on(Isa::detected(), pool, style, x, n_heads, head_dim, first_position);
    }

    #[allow(clippy::too_many_arguments)]
    fn apply_on(
        &self,
        isa: Isa,
        pool: &ThreadPool,
        style: RopeStyle,
        x: &mut [f32],
        n_heads: usize,
        head_dim: usize,
        first_position: usize,
    ) {
        let width = n_heads * head_dim;
        assert!(width > 0 && x.len().is_multiple_of(width), "{} values in rows of {width}", x.len());
        assert!(self.rotary_dim() <= head_dim, "a rotation of {} values in heads of {head_dim}", self.rotary_dim());
        let rows = x.len() / width;
        assert!(first_position + rows <= self.n_positions, "positions beyond the table's {}", self.n_positions);
        let pairs = self.frequencies.len();
        let rows_per_task = (TASK / width).max(1);
        pool.for_each_chunk(x, rows_per_task * width, &|task, x| {
            for (row, x) in x.chunks_exact_mut(width).enumerate() {
                let at = (first_position + task * rows_per_task + row) * pairs;
                isa.compiled(Rotate {
                    style,
                    x,
                    head_dim,
                    cos: &self.cos[at..at + pairs],
                    sin: &self.sin[at..at + pairs],
                });
            }
        });
    }
}

/// Rotates the heads of one row.
struct Rotate<'a> {
    style: RopeStyle,
    x: &'a mut [f32],
    head_dim: usize,
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { style, x, head_dim, cos, sin } = self;
        let pairs = cos.len();
        for head in x.chunks_exact_mut(head_dim) {
            match style {
                RopeStyle::Neox => {
                    let (first, second) = head[..2 * pairs].split_at_mut(pairs);
                    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
                RopeStyle::Interleaved => {
                    for (([a, b], cos), sin) in head[..2 * pairs].as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_turn_by_their_positions_with_the_same_bits_everywhere() {
        let (n_heads, head_dim) = (3, 40);
        let mut table = RopeTable::new(32, 10_000.0, 1.0, None);
        table.ensure(700);
        let x: Vec<f32> = (0..600 * n_heads * head_dim).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
        let (one, several) = (ThreadPool::new(1), ThreadPool::new(3));
        for style in [RopeStyle::Neox, RopeStyle::Interleaved] {
            let mut expected = x.clone();
            table.apply_on(Isa::Portable, &one, style, &mut expected, n_heads, head_dim, 90);
            let whole = &x;
            for (i, (found, x)) in expected.iter().zip(whole).enumerate() {
                let (position, d) = (90 + i / (n_heads * head_dim), i % head_dim);
                let (pair, partner) = match style {
                    RopeStyle::Neox => (d % 16, if d < 16 { i + 16 } else { i.wrapping_sub(16) }),
                    RopeStyle::Interleaved => (d / 2, i ^ 1),
                };
                let angle = position as f64 * 10_000f64.powf(-2.0 * pair as f64 / 32.0);
                let first = if style == RopeStyle::Neox { d < 16 } else { d % 2 == 0 };
                let turned = match (d < 32, first) {
                    (false, _) => f64::from(*x),
                    (_, true) => f64::from(*x) * angle.cos() - f64::from(whole[partner]) * angle.sin(),
                    (_, false) => f64::from(whole[partner]) * angle.sin() + f64::from(*x) * angle.cos(),
                };
                // Three roundings of values below 2.
                assert!((turned - f64::from(*found)).abs() < 5e-7, "{i}: {turned} {found}");
            }
            for isa in Isa::supported() {
                let mut found = x.clone();
                table.apply_on(isa, &several, style, &mut found, n_heads, head_dim, 90);
                assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
                let mut row = x[5 * n_heads * head_dim..6 * n_heads * head_dim].to_vec();
                table.apply_on(isa, &one, style, &mut row, n_heads, head_dim, 95);
                assert_eq!(row, expected[5 * n_heads * head_dim..6 * n_heads * head_dim]);
            }
        }
    }
}
