//! GGUF models: tokenizer, chat template, transformer, LoRA, sampling, embedders.

mod error;

pub use error::{Error, Result};
