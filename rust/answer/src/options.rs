//! Options of an engine and of a request: plain values with defaults.

use std::path::PathBuf;

use lorekit_retrieval::SearchOptions;

use crate::AnswerFormat;

/// What an engine opens.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// The knowledge pack.
    pub pack: PathBuf,
    /// The embedder the pack was built with, as GGUF.
    pub embedder: PathBuf,
    /// The language model, as GGUF. Without one the engine searches but does not answer.
    pub model: Option<PathBuf>,
    /// LoRA adapters by name; each request names one, or none.
    pub adapters: Vec<(String, PathBuf)>,
    /// Threads for inference. 0, the default, takes the number of processors, at most 4.
    pub threads: usize,
    /// Window of prompt and answer in tokens. 0, the default, takes 4,096 or the model's own, whichever is smaller.
    pub context_tokens: usize,
}

/// How to answer.
#[derive(Clone, Debug)]
pub struct AnswerOptions {
    /// How to search; the default takes the three best places that are in force today.
    pub search: SearchOptions,
    /// The shape of the answer. The default is [`AnswerFormat::Basis`].
    pub format: AnswerFormat,
    /// Tokens of the answer at most. The default is 320.
    pub max_tokens: usize,
    /// Randomness of the free parts; 0, the default, always takes the likeliest token.
    pub temperature: f32,
    /// Seed for a temperature above 0. Same pack, model, seed and options: same answer.
    pub seed: u64,
    /// Name of the adapter that decides how it is said.
    pub adapter: Option<String>,
    /// Cosine similarity below which the best passage does not count as found, so that the question is declined.
    /// `None`, the default, takes the pack's own floor.
    pub floor: Option<f32>,
    /// Earlier turns of the conversation, oldest first.
    pub history: Vec<Exchange>,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            search: SearchOptions::default(),
            format: AnswerFormat::default(),
            max_tokens: 320,
            temperature: 0.0,
            seed: 0,
            adapter: None,
            floor: None,
            history: Vec::new(),
        }
    }
}

/// One earlier question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}
