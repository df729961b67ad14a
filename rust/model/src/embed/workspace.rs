//! Buffers of a forward pass, kept from one batch to the next.

use lorekit_kernels::{Activations, RopeTable};

/// Row-major activations of the batch in work. Buffers only grow (see [`room`]); what a forward pass does not write
/// holds values of an earlier one.
#[derive(Default)]
pub(super) struct Workspace {
    /// `(rows, hidden)`: the residual stream, and the result.
    pub(super) hidden: Vec<f32>,
    /// `(rows, hidden)`: a normed copy, or what a block adds.
    pub(super) side: Vec<f32>,
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    /// `(rows, heads * head_dim)`: attention's result, and the normed queries before it.
    pub(super) mixed: Vec<f32>,
    pub(super) gate: Vec<f32>,
    pub(super) up: Vec<f32>,
    pub(super) acts: Activations,
    /// Rotations for the positions that occurred, in the order of the encoder that fills it.
    pub(super) ropes: Vec<RopeTable>,
}

impl Workspace {
    /// Gives memory back after a batch of `used` rows when usual ones have at most `usual`.
    pub(super) fn shrink(&mut self, usual: usize, used: usize) {
        if used > usual {
            *self = Self::default();
        }
    }
}

/// The first `len` values of a buffer, which is made longer when needed. Their content is anything: growing and
/// shrinking a `Vec` would write zeros each time.
pub(super) fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Adds `bias` to each row.
pub(super) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}
