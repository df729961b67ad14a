//! Development only: tiny seeded models and adapters, as bytes of GGUF files.
//!
//! A tiny model has two layers, random weights, a byte-level tokenizer of about 300 tokens and a ChatML template.
//! What it says is noise; that it says the same noise everywhere is what tests need.
//! The same arguments give the same bytes on every machine: only integer arithmetic and exactly rounded
//! floating-point operations are used.
//!
//! ```
//! use lorekit_testkit::{TinyArchitecture, TinyModel, Weights};
//! let model = TinyModel { architecture: TinyArchitecture::Qwen2, weights: Weights::Mixed, seed: 7 };
//! assert_eq!(model.to_gguf(), model.to_gguf());
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adapter;
mod gguf;
mod model;
mod random;
mod vocabulary;

pub use adapter::TinyAdapter;
pub use gguf::{GgufEmitter, TensorFormat};
pub use model::{TinyArchitecture, TinyModel, TinyShape, Weights};
pub use random::SplitMix64;
pub use vocabulary::{END_OF_TEXT, IM_END, IM_START, VOCABULARY_SIZE, token_texts};
