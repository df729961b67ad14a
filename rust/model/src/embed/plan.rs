//! Which tensor of the source becomes which tensor of the GGUF file. Target names are llama.cpp's.

use lorekit_kernels::Format;

use crate::Result;

use super::Precision;
use super::source::{BertShape, GemmaShape, Shape, Source};
use super::tensor_source::{SourceTensor, TensorSource};

/// One tensor to write.
pub(super) struct Planned {
    pub(super) name: String,
    /// Index into the opened files: 0 is the transformer, then the dense layers.
    pub(super) file: usize,
    pub(super) source: SourceTensor,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) vector: bool,
    /// Rows left out at the beginning.
    pub(super) skip_rows: usize,
    pub(super) format: Format,
    /// Added to every value: Gemma stores its norms as the difference from one.
    pub(super) shift: f32,
}

/// How a tensor is used, which decides its format.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// A linear layer or the token table: takes the wanted precision.
    Matrix,
    /// A small table that is added: stays F32.
    SmallTable,
}

struct Plan<'a> {
    files: &'a [TensorSource],
    precision: Precision,
    tensors: Vec<Planned>,
}

/// Lists all tensors in the order of the file.
///
/// # Errors
/// [`crate::Error::Damaged`] when a tensor is missing or has another shape than the configuration says.
pub(super) fn plan(source: &Source, files: &[TensorSource], precision: Precision) -> Result<Vec<Planned>> {
    let mut plan = Plan { files, precision, tensors: Vec::new() };
    match &source.shape {
        Shape::Bert(shape) => plan.bert(shape)?,
        Shape::Gemma(shape) => plan.gemma(shape)?,
    }
    for (index, dense) in source.dense.iter().enumerate() {
        // `2_Dense` and `3_Dense` in sentence-transformers' order of modules; llama.cpp's names follow it.
        let name = format!("dense_{}", index + 2);
        plan.matrix(index + 1, &format!("{name}.weight"), "linear.weight", dense.outputs, dense.inputs)?;
        if dense.bias {
            plan.vector(index + 1, &format!("{name}.bias"), "linear.bias", dense.outputs, 0.0)?;
        }
    }
    Ok(plan.tensors)
}

impl Plan<'_> {
    fn bert(&mut self, shape: &BertShape) -> Result<()> {
        let BertShape { hidden, feed_forward, .. } = *shape;
        self.table(
            "token_embd.weight",
            "embeddings.word_embeddings.weight",
            (shape.vocabulary, hidden),
            0,
            Role::Matrix,
        )?;
        self.table(
            "position_embd.weight",
            "embeddings.position_embeddings.weight",
            (shape.positions, hidden),
            shape.position_offset,
            Role::SmallTable,
        )?;
        self.table(
            "token_types.weight",
            "embeddings.token_type_embeddings.weight",
            (shape.token_types, hidden),
            0,
            Role::SmallTable,
        )?;
        self.weight_and_bias("token_embd_norm", "embeddings.LayerNorm", hidden)?;
        for layer in 0..shape.layers {
            let from = format!("encoder.layer.{layer}");
            let to = format!("blk.{layer}");
            for (to_name, from_name, outputs, inputs) in [
                ("attn_q", "attention.self.query", hidden, hidden),
                ("attn_k", "attention.self.key", hidden, hidden),
                ("attn_v", "attention.self.value", hidden, hidden),
                ("attn_output", "attention.output.dense", hidden, hidden),
                ("ffn_up", "intermediate.dense", feed_forward, hidden),
                ("ffn_down", "output.dense", hidden, feed_forward),
            ] {
                let (to_name, from_name) = (format!("{to}.{to_name}"), format!("{from}.{from_name}"));
                self.matrix(0, &format!("{to_name}.weight"), &format!("{from_name}.weight"), outputs, inputs)?;
                self.vector(0, &format!("{to_name}.bias"), &format!("{from_name}.bias"), outputs, 0.0)?;
            }
            self.weight_and_bias(
                &format!("{to}.attn_output_norm"),
                &format!("{from}.attention.output.LayerNorm"),
                hidden,
            )?;
            self.weight_and_bias(&format!("{to}.layer_output_norm"), &format!("{from}.output.LayerNorm"), hidden)?;
        }
        Ok(())
    }

    fn gemma(&mut self, shape: &GemmaShape) -> Result<()> {
        let GemmaShape { hidden, feed_forward, head_dim, .. } = *shape;
        let (q_width, kv_width) = (shape.heads * head_dim, shape.kv_heads * head_dim);
        self.table("token_embd.weight", "embed_tokens.weight", (shape.vocabulary, hidden), 0, Role::Matrix)?;
        for layer in 0..shape.layers {
            let from = format!("layers.{layer}");
            let to = format!("blk.{layer}");
            for (to_name, from_name, outputs, inputs) in [
                ("attn_q", "self_attn.q_proj", q_width, hidden),
                ("attn_k", "self_attn.k_proj", kv_width, hidden),
                ("attn_v", "self_attn.v_proj", kv_width, hidden),
                ("attn_output", "self_attn.o_proj", hidden, q_width),
                ("ffn_gate", "mlp.gate_proj", feed_forward, hidden),
                ("ffn_up", "mlp.up_proj", feed_forward, hidden),
                ("ffn_down", "mlp.down_proj", hidden, feed_forward),
            ] {
                let source = format!("{from}.{from_name}.weight");
                self.matrix(0, &format!("{to}.{to_name}.weight"), &source, outputs, inputs)?;
            }
            for (to_name, from_name, length) in [
                ("attn_norm", "input_layernorm", hidden),
                ("attn_q_norm", "self_attn.q_norm", head_dim),
                ("attn_k_norm", "self_attn.k_norm", head_dim),
                ("post_attention_norm", "post_attention_layernorm", hidden),
                ("ffn_norm", "pre_feedforward_layernorm", hidden),
                ("post_ffw_norm", "post_feedforward_layernorm", hidden),
            ] {
                let source = format!("{from}.{from_name}.weight");
                self.vector(0, &format!("{to}.{to_name}.weight"), &source, length, 1.0)?;
            }
        }
        self.vector(0, "output_norm.weight", "norm.weight", hidden, 1.0)
    }

    fn weight_and_bias(&mut self, to: &str, from: &str, length: usize) -> Result<()> {
        self.vector(0, &format!("{to}.weight"), &format!("{from}.weight"), length, 0.0)?;
        self.vector(0, &format!("{to}.bias"), &format!("{from}.bias"), length, 0.0)
    }

    fn vector(&mut self, file: usize, name: &str, from: &str, length: usize, shift: f32) -> Result<()> {
        let source = self.files[file].require(from, &[length])?.clone();
        self.tensors.push(Planned {
            name: name.to_owned(),
            file,
            source,
            rows: 1,
            cols: length,
            vector: true,
            skip_rows: 0,
            format: Format::F32,
            shift,
        });
        Ok(())
    }

    fn matrix(&mut self, file: usize, name: &str, from: &str, rows: usize, cols: usize) -> Result<()> {
        let source = self.files[file].require(from, &[rows, cols])?.clone();
        let format = self.precision.format(cols);
        self.push_matrix(name, file, source, (rows, cols), 0, format);
        Ok(())
    }

    fn table(
        &mut self,
        name: &str,
        from: &str,
        (rows, cols): (usize, usize),
        skip_rows: usize,
        role: Role,
    ) -> Result<()> {
        let source = self.files[0].require(from, &[rows + skip_rows, cols])?.clone();
        let format = if role == Role::Matrix { self.precision.format(cols) } else { Format::F32 };
        self.push_matrix(name, 0, source, (rows, cols), skip_rows, format);
        Ok(())
    }

    fn push_matrix(
        &mut self,
        name: &str,
        file: usize,
        source: SourceTensor,
        (rows, cols): (usize, usize),
        skip_rows: usize,
        format: Format,
    ) {
        let name = name.to_owned();
        self.tensors.push(Planned { name, file, source, rows, cols, vector: false, skip_rows, format, shift: 0.0 });
    }
}
