//! Tiny LoRA adapters in llama.cpp's GGUF form.

use crate::gguf::{GgufEmitter, TensorFormat};
use crate::model::{TinyArchitecture, TinyModel};
use crate::random::uniform;

/// A seeded adapter over every linear layer of a [`TinyModel`]'s blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TinyAdapter {
    /// The family of the base model.
    pub architecture: TinyArchitecture,
    /// Rows of A and columns of B.
    pub rank: usize,
    /// `adapter.lora.alpha`; 0 means a scale of 1.
    pub alpha: f32,
    /// Whether B is all zeros, as before training: the adapter then changes nothing.
    pub zero_b: bool,
    /// How A and B are stored: F32 or F16.
    pub format: TensorFormat,
    /// Where the numbers come from.
    pub seed: u64,
}

impl TinyAdapter {
    /// An adapter of rank 4 and alpha 8, in 32-bit floats.
    pub fn new(architecture: TinyArchitecture, seed: u64) -> Self {
        Self { architecture, rank: 4, alpha: 8.0, zero_b: false, format: TensorFormat::F32, seed }
    }

    /// The linear layers it adapts: base tensor, then its shape in GGUF order (columns first).
    pub fn targets(&self) -> Vec<(String, Vec<usize>)> {
        let model = TinyModel::f32(self.architecture, 0);
        model.tensors().into_iter().filter(|(name, shape)| name.starts_with("blk.") && shape.len() == 2).collect()
    }

    /// A of one layer, `rank` rows of the layer's columns.
    pub fn a(&self, base: &str, columns: usize) -> Vec<f32> {
        let name = format!("{base}.lora_a");
        uniform(self.seed, &name, self.rank * columns, 0.0, 1.0 / (columns as f32).sqrt())
    }

    /// B of one layer, the layer's `rows` rows of `rank` numbers.
    pub fn b(&self, base: &str, rows: usize) -> Vec<f32> {
        if self.zero_b {
            return vec![0.0; rows * self.rank];
        }
        uniform(self.seed, &format!("{base}.lora_b"), rows * self.rank, 0.0, 0.25)
    }

    /// The bytes of the adapter file.
    pub fn to_gguf(&self) -> Vec<u8> {
        self.to_emitter().to_bytes()
    }

    /// The adapter file before it is laid out, for tests that add something wrong.
    pub fn to_emitter(&self) -> GgufEmitter {
        let mut file = GgufEmitter::new();
        file.str("general.type", "adapter")
            .str("general.architecture", self.architecture.name())
            .str("adapter.type", "lora")
            .f32("adapter.lora.alpha", self.alpha);
        for (base, shape) in self.targets() {
            let (columns, rows) = (shape[0], shape[1]);
            file.tensor(&format!("{base}.lora_a"), &[columns, self.rank], self.format, &self.a(&base, columns));
            file.tensor(&format!("{base}.lora_b"), &[self.rank, rows], self.format, &self.b(&base, rows));
        }
        file
    }
}
