//! GGUF models: tokenizer, chat template, transformer, LoRA, sampling, embedders.

mod error;
mod gguf;

pub use error::{Error, Result};
pub use gguf::{Array, Gguf, GgufWriter, Meta, Tensor, TensorInfo, TensorStream, Value};
