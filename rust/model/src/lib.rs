//! GGUF models: tokenizer, chat template, transformer, LoRA, sampling, embedders.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod causal;
mod chat;
mod detokenize;
mod draft;
pub mod embed;
mod error;
mod generate;
mod gguf;
mod lookahead;
mod lora;
mod sample;
mod tokenizer;

pub use causal::{
    Activation, Architecture, BackendChoice, Description, DeviceRequest, DeviceVerdict, KvSnapshot, LanguageModel,
    LoadOptions, ModelInfo, Rope, Session, choose_backend,
};
pub use chat::{ChatTemplate, Date, Message, Piece, RenderOptions, Role, encode_chat};
pub use detokenize::Detokenizer;
pub use draft::{DraftSource, Habits, PromptLookup};
pub use error::{Error, Result};
pub use generate::{FinishReason, GenerateOptions, Generator, StopOutcome, StopSequences};
pub use gguf::{Array, Gguf, GgufWriter, Meta, Tensor, TensorInfo, TensorStream, Value};
pub use lookahead::{Lookahead, LookaheadCounts, Verdict};
pub use lora::{Adapter, AdapterPart, AdapterSet};
pub use lorekit_kernels::{KvType, performance_cores};
pub use sample::{Sampler, SamplingOptions, Token};
pub use tokenizer::Tokenizer;
