//! From token vectors to a text's vector: pooling, dense layers, truncation, normalisation.

use lorekit_kernels::{Activations, ThreadPool};

use crate::Result;
use crate::gguf::Gguf;

use super::Pooling;
use super::batch::Packed;
use super::weights::{Linear, damaged};

pub(super) struct Head {
    pub(super) pooling: Pooling,
    hidden: usize,
    dense: Vec<Linear>,
    /// Length of the vectors given out; below [`Self::full_dims`] for Matryoshka truncation.
    pub(super) dims: usize,
    pub(super) full_dims: usize,
    pub(super) normalize: bool,
}

impl Head {
    /// Finds `dense_2` and `dense_3` where the file has them.
    pub(super) fn open(gguf: &Gguf, pooling: Pooling, hidden: usize, normalize: bool) -> Result<Self> {
        let mut dense: Vec<Linear> = Vec::new();
        for name in ["dense_2", "dense_3"] {
            let Some(tensor) = gguf.tensor(&format!("{name}.weight")) else { break };
            let inputs = dense.last().map_or(hidden, |layer| layer.outputs);
            let biased = gguf.tensor(&format!("{name}.bias")).is_some();
            dense.push(Linear::open(gguf, name, tensor.info.rows(), inputs, biased)?);
        }
        let full_dims = dense.last().map_or(hidden, |layer| layer.outputs);
        if let Some(stated) = gguf.u32(super::key::DIMS)
            && stated as usize != full_dims
        {
            return Err(damaged(gguf, format!("vectors of {full_dims} values where {stated} are stated")));
        }
        Ok(Self { pooling, hidden, dense, dims: full_dims, full_dims, normalize })
    }

    /// One vector for each sequence of the batch, from the encoder's `(rows, hidden)`.
    pub(super) fn apply(
        &self,
        gguf: &Gguf,
        pool: &ThreadPool,
        batch: &Packed,
        tokens: &[f32],
        acts: &mut Activations,
    ) -> Result<Vec<Vec<f32>>> {
        let hidden = self.hidden;
        let mut pooled = vec![0.0f32; batch.len() * hidden];
        for (out, range) in pooled.chunks_exact_mut(hidden).zip(batch.sequences()) {
            let rows = &tokens[range.start * hidden..range.end * hidden];
            match self.pooling {
                Pooling::Mean => mean(rows, out),
                Pooling::Cls => out.copy_from_slice(&rows[..hidden]),
                Pooling::Last => out.copy_from_slice(&rows[rows.len() - hidden..]),
            }
        }
        let mut width = hidden;
        let mut next = Vec::new();
        for layer in &self.dense {
            acts.set(pool, &pooled, width);
            next.clear();
            next.resize(batch.len() * layer.outputs, 0.0);
            layer.apply(gguf, pool, acts, &mut next)?;
            std::mem::swap(&mut pooled, &mut next);
            width = layer.outputs;
        }
        Ok(pooled.chunks_exact(width).map(|row| self.finish(row)).collect())
    }

    fn finish(&self, row: &[f32]) -> Vec<f32> {
        let mut vector = row[..self.dims].to_vec();
        if self.normalize {
            let norm = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                let inverse = (1.0 / norm) as f32;
                vector.iter_mut().for_each(|value| *value *= inverse);
            }
        }
        vector
    }
}

/// The mean of rows as long as `out`, which is zero before; there is at least one row.
fn mean(rows: &[f32], out: &mut [f32]) {
    let count = rows.len() / out.len();
    for row in rows.chunks_exact(out.len()) {
        for (sum, value) in out.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let inverse = 1.0 / count as f32;
    out.iter_mut().for_each(|sum| *sum *= inverse);
}
