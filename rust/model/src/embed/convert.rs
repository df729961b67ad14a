//! From a sentence-transformers folder to one GGUF file.

use std::path::Path;

use half::f16;
use lorekit_cancel::CancelToken;
use lorekit_kernels::{Format, quantize_q8_0};
use serde::Serialize;

use crate::gguf::{GgufWriter, TensorStream};
use crate::{Error, Result};

use super::key;
use super::plan::{Planned, plan};
use super::source::{Shape, Source, damaged};
use super::tensor_source::TensorSource;
use super::vocabulary::Vocabulary;
use super::{ARCHITECTURE_BERT, ARCHITECTURE_GEMMA, Pooling};

/// Values converted at a time; bounds the converter's heap to some megabytes besides the vocabulary.
const CHUNK_VALUES: usize = 1 << 18;

/// How linear layers and the token table are stored. Norms, biases and position tables are always F32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Precision {
    /// 32-bit floats: as exact as the source, four times the size of `Q8_0`.
    F32,
    /// 16-bit floats.
    F16,
    /// 8 bits in blocks of 32 with one scale each: what a phone should carry.
    Q8_0,
}

impl Precision {
    /// The format for rows of `cols` values; what is no whole number of blocks stays F16.
    pub(super) fn format(self, cols: usize) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::Q8_0 if cols.is_multiple_of(Format::Q8_0.block_len()) => Format::Q8_0,
            Self::F16 | Self::Q8_0 => Format::F16,
        }
    }

    /// The number that GGUF's `general.file_type` has for it.
    fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }
}

/// What the publisher of a model says in its documentation only and a source folder therefore may lack.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// Words before every query instead of those in the folder (for bge and e5 models, which have none there).
    pub query_prefix: Option<String>,
    /// Words before every passage; may hold one slot `{title|none}`.
    pub document_prefix: Option<String>,
}

/// What [`convert`] wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConvertReport {
    /// `bert` or `gemma-embedding`.
    pub architecture: String,
    /// Length of the vectors.
    pub dims: usize,
    /// Tokens of a text that count, start and end token included.
    pub max_tokens: usize,
    /// Number of tensors.
    pub tensors: usize,
    /// Length of the tensor data in bytes.
    pub bytes: u64,
    /// Matrices kept as F16 because their rows are no whole number of `Q8_0` blocks.
    pub kept_f16: usize,
}

/// Converts the sentence-transformers folder `source_dir` to one GGUF file at `out`.
///
/// The file holds everything that an [`Embedder`](super::Embedder) needs: weights, vocabulary, pooling, prompts. Tensor
/// and key names are llama.cpp's where it has them, `lorekit.embed.*` otherwise. The same input gives the same bytes.
/// `progress` hears of bytes read and bytes in all. The heap stays below some tens of megabytes besides the tokenizer's
/// own file; nothing appears at `out` until the file is complete.
///
/// # Errors
/// [`Error::Io`]; [`Error::Damaged`] for files that are malformed, contradict each other, or hold values that are no
/// finite numbers; [`Error::Unsupported`] for architectures, modules and tokenizers that the embedder does not run;
/// [`Error::Cancelled`].
pub fn convert(
    source_dir: &Path,
    out: &Path,
    precision: Precision,
    progress: &mut dyn FnMut(u64, u64),
    cancel: &CancelToken,
) -> Result<ConvertReport> {
    convert_with(source_dir, out, precision, &ConvertOptions::default(), progress, cancel)
}

/// [`convert`] with words that the folder does not hold.
///
/// # Errors
/// Those of [`convert`].
pub fn convert_with(
    source_dir: &Path,
    out: &Path,
    precision: Precision,
    options: &ConvertOptions,
    progress: &mut dyn FnMut(u64, u64),
    cancel: &CancelToken,
) -> Result<ConvertReport> {
    let mut source = Source::read(source_dir)?;
    if let Some(prefix) = &options.query_prefix {
        source.prompts.query.clone_from(prefix);
    }
    if let Some(prefix) = &options.document_prefix {
        source.prompts.document.clone_from(prefix);
    }
    let mut files = vec![TensorSource::open(&source.transformer_dir)?];
    for dense in &source.dense {
        files.push(TensorSource::open(&dense.dir)?);
    }
    let tensors = plan(&source, &files, precision)?;
    cancel.check()?;

    let mut writer = GgufWriter::new();
    write_metadata(&mut writer, &source, precision)?;
    let token_types = match &source.shape {
        Shape::Bert(shape) => Some(shape.token_types),
        Shape::Gemma(_) => None,
    };
    Vocabulary::read(&source)?.write(&mut writer, token_types)?;
    let mut bytes = 0;
    for tensor in &tensors {
        let dims = [tensor.cols, tensor.rows];
        writer.declare(&tensor.name, tensor.format, if tensor.vector { &dims[..1] } else { &dims })?;
        bytes += (tensor.format.row_bytes(tensor.cols).unwrap_or(0) * tensor.rows) as u64;
    }
    let mut stream = writer.create(out)?;
    let mut chunk = Chunk::default();
    let total: u64 = tensors.iter().map(Planned::source_bytes).sum();
    let mut done = 0;
    for tensor in &tensors {
        write_tensor(&mut stream, &mut files[tensor.file], tensor, source_dir, &mut chunk, cancel)?;
        done += tensor.source_bytes();
        progress(done, total);
    }
    stream.finish()?;
    Ok(ConvertReport {
        architecture: architecture(&source).to_owned(),
        dims: source.dims(),
        max_tokens: source.max_tokens,
        tensors: tensors.len(),
        bytes,
        kept_f16: match precision {
            Precision::Q8_0 => tensors.iter().filter(|tensor| tensor.format == Format::F16).count(),
            Precision::F32 | Precision::F16 => 0,
        },
    })
}

fn architecture(source: &Source) -> &'static str {
    match source.shape {
        Shape::Bert(_) => ARCHITECTURE_BERT,
        Shape::Gemma(_) => ARCHITECTURE_GEMMA,
    }
}

fn write_metadata(out: &mut GgufWriter, source: &Source, precision: Precision) -> Result<()> {
    let architecture = architecture(source);
    let own = |name: &str| format!("{architecture}.{name}");
    out.put("general.architecture", architecture)?;
    out.put("general.type", "model")?;
    out.put("general.file_type", precision.file_type())?;
    out.put("general.quantization_version", 2u32)?;
    match &source.shape {
        Shape::Bert(shape) => {
            out.put(&own("context_length"), shape.positions as u32)?;
            out.put(&own("embedding_length"), shape.hidden as u32)?;
            out.put(&own("block_count"), shape.layers as u32)?;
            out.put(&own("feed_forward_length"), shape.feed_forward as u32)?;
            out.put(&own("attention.head_count"), shape.heads as u32)?;
            out.put(&own("attention.layer_norm_epsilon"), shape.layer_norm_eps)?;
        }
        Shape::Gemma(shape) => {
            out.put(&own("context_length"), shape.positions as u32)?;
            out.put(&own("embedding_length"), shape.hidden as u32)?;
            out.put(&own("block_count"), shape.layers as u32)?;
            out.put(&own("feed_forward_length"), shape.feed_forward as u32)?;
            out.put(&own("attention.head_count"), shape.heads as u32)?;
            out.put(&own("attention.head_count_kv"), shape.kv_heads as u32)?;
            out.put(&own("attention.key_length"), shape.head_dim as u32)?;
            out.put(&own("attention.value_length"), shape.head_dim as u32)?;
            out.put(&own("attention.layer_norm_rms_epsilon"), shape.rms_norm_eps)?;
            out.put(&own("attention.sliding_window"), shape.window as u32)?;
            out.put(&own("attention.sliding_window_pattern"), shape.windowed.as_slice())?;
            out.put(&own("rope.freq_base"), shape.rope_theta)?;
            out.put(&own("rope.freq_base_swa"), shape.rope_local_theta)?;
        }
    }
    out.put(&own("attention.causal"), false)?;
    let pooling_number: u32 = match source.pooling {
        Pooling::Mean => 1,
        Pooling::Cls => 2,
        Pooling::Last => 3,
    };
    out.put(&own("pooling_type"), pooling_number)?;
    for (index, dense) in source.dense.iter().enumerate() {
        out.put(&own(&format!("dense_{}_feat_in", index + 2)), dense.inputs as u32)?;
        out.put(&own(&format!("dense_{}_feat_out", index + 2)), dense.outputs as u32)?;
    }
    out.put(key::FORMAT, key::FORMAT_VERSION)?;
    out.put(key::POOLING, source.pooling.name())?;
    out.put(key::NORMALIZE, source.normalize)?;
    out.put(key::DIMS, source.dims() as u32)?;
    out.put(key::MAX_TOKENS, source.max_tokens as u32)?;
    out.put(key::QUERY_PREFIX, &source.prompts.query)?;
    out.put(key::DOCUMENT_PREFIX, &source.prompts.document)?;
    Ok(())
}

/// Buffers that all tensors share.
#[derive(Default)]
struct Chunk {
    source: Vec<u8>,
    values: Vec<f32>,
    target: Vec<u8>,
}

impl Planned {
    fn source_bytes(&self) -> u64 {
        (self.rows * self.cols * 4) as u64
    }
}

fn write_tensor(
    stream: &mut TensorStream,
    file: &mut TensorSource,
    tensor: &Planned,
    source_dir: &Path,
    chunk: &mut Chunk,
    cancel: &CancelToken,
) -> Result<()> {
    // The largest magnitude whose F16 form (of the value, or of a block's scale) is finite.
    let limit = match tensor.format {
        Format::F16 => f16::MAX.to_f32(),
        Format::Q8_0 => f16::MAX.to_f32() * 127.0,
        _ => f32::MAX,
    };
    let rows_at_once = (CHUNK_VALUES / tensor.cols).max(1);
    let mut row = 0;
    while row < tensor.rows {
        cancel.check()?;
        let rows = rows_at_once.min(tensor.rows - row);
        file.read_rows(&tensor.source, tensor.skip_rows + row, rows, &mut chunk.source, &mut chunk.values)?;
        for value in &mut chunk.values {
            *value += tensor.shift;
        }
        if !chunk.values.iter().all(|value| value.abs() <= limit) {
            return Err(damaged(source_dir, format!("tensor {} holds values that cannot be stored", tensor.name)));
        }
        encode(tensor, &chunk.values, &mut chunk.target)?;
        stream.append(&tensor.name, &chunk.target)?;
        row += rows;
    }
    Ok(())
}

fn encode(tensor: &Planned, values: &[f32], out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    match tensor.format {
        Format::F16 => out.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes())),
        Format::Q8_0 => {
            out.resize(values.len() / Format::Q8_0.block_len() * Format::Q8_0.block_bytes(), 0);
            quantize_q8_0(values, out).map_err(|e| Error::InvalidArgument(format!("tensor {}: {e}", tensor.name)))?;
        }
        _ => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
    }
    Ok(())
}
