//! Rotary position embedding (Su et al. 2021, RoFormer), from one table of sines and cosines.

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
    pub fn apply(&self, style: RopeStyle, x: &mut [f32], n_heads: usize, head_dim: usize, first_position: usize) {
        let width = n_heads * head_dim;
        assert!(width > 0 && x.len().is_multiple_of(width), "{} values in rows of {width}", x.len());
        assert!(self.rotary_dim() <= head_dim, "a rotation of {} values in heads of {head_dim}", self.rotary_dim());
        let rows = x.len() / width;
        assert!(first_position + rows <= self.n_positions, "positions beyond the table's {}", self.n_positions);
        let pairs = self.frequencies.len();
        for (row, x) in x.chunks_exact_mut(width).enumerate() {
            let at = (first_position + row) * pairs;
            let (cos, sin) = (&self.cos[at..at + pairs], &self.sin[at..at + pairs]);
            for head in x.chunks_exact_mut(head_dim) {
                match style {
                    RopeStyle::Neox => {
                        let (first, second) = head[..2 * pairs].split_at_mut(pairs);
                        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                        }
                    }
                    RopeStyle::Interleaved => {
                        for (([a, b], cos), sin) in
                            head[..2 * pairs].as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin)
                        {
                            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                        }
                    }
                }
            }
        }
    }
}
