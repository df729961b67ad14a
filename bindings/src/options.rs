//! Options, with every field named: defaults are the skins' business.

use lorekit_answer::{
    AnswerFormat, AnswerOptions, EngineOptions, Exchange, GpuRequest, Mode, SearchOptions, ThermalState,
};

use crate::error::FfiError;
use crate::library::{FfiLibraryOptions, place};

/// What an engine opens. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiEngineOptions {
    /// The knowledge pack; with `library`, its base, which is never written to.
    pub pack: String,
    /// The embedder the pack was built with, as GGUF.
    pub embedder: String,
    /// The language model, as GGUF. Without one the engine searches but does not answer.
    pub model: Option<String>,
    /// LoRA adapters by name; each request names one, or none.
    pub adapters: Vec<FfiAdapterFile>,
    /// Threads for inference; 0 takes the number of processors, at most 4.
    pub threads: u32,
    /// Window of prompt and answer in tokens; 0 takes 4,096 or the model's own, whichever is smaller.
    pub context_tokens: u32,
    /// Folder in which computed beginnings of prompts outlive the process; `None` keeps them in memory alone.
    /// Like memory, it holds what passages say.
    #[uniffi(default = None)]
    pub cache_folder: Option<String>,
    /// Asks for the graphics processor, on Apple's systems; `None` computes on the CPU.
    #[uniffi(default = None)]
    pub gpu: Option<FfiGpuRequest>,
    /// Makes the pack the base of a library; `None` opens the pack alone, which never changes.
    #[uniffi(default = None)]
    pub library: Option<FfiLibraryOptions>,
}

/// What an app says when it asks for the graphics processor.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiGpuRequest {
    /// Whether the system is one that it is known to work on.
    pub system_supported: bool,
    /// The version of the system as text; a failure is remembered for it.
    pub system_version: String,
}

/// An adapter's name and file.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiAdapterFile {
    /// The name by which a request asks for it.
    pub name: String,
    /// The adapter, as GGUF.
    pub path: String,
}

impl TryFrom<FfiEngineOptions> for EngineOptions {
    type Error = FfiError;

    fn try_from(options: FfiEngineOptions) -> Result<Self, FfiError> {
        Ok(Self {
            embedder: options.embedder.into(),
            model: options.model.map(Into::into),
            adapters: options.adapters.into_iter().map(|adapter| (adapter.name, adapter.path.into())).collect(),
            threads: options.threads as usize,
            context_tokens: options.context_tokens as usize,
            cache_folder: options.cache_folder.map(Into::into),
            gpu: options
                .gpu
                .map(|gpu| GpuRequest { system_supported: gpu.system_supported, system_version: gpu.system_version }),
            ..place(options.pack, options.library)?
        })
    }
}

/// Which lists take part in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiSearchMode {
    /// By meaning and by words, fused.
    Hybrid,
    /// By meaning only.
    Dense,
    /// By words only; needs no embedding of the question.
    Lexical,
}

/// How to search.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiSearchOptions {
    /// How many places to return.
    pub limit: u32,
    /// Which lists take part.
    pub mode: FfiSearchMode,
    /// The day for which the rules are asked, `YYYY-MM-DD`; `None` takes today.
    pub as_of: Option<String>,
    /// The caller's access labels; without any, what is public is found.
    #[uniffi(default = [])]
    pub labels: Vec<String>,
}

impl From<FfiSearchOptions> for SearchOptions {
    fn from(options: FfiSearchOptions) -> Self {
        let mode = match options.mode {
            FfiSearchMode::Hybrid => Mode::Hybrid,
            FfiSearchMode::Dense => Mode::Dense,
            FfiSearchMode::Lexical => Mode::Lexical,
        };
        Self { limit: options.limit as usize, mode, as_of: options.as_of, labels: options.labels, ..Self::default() }
    }
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiAnswerFormat {
    /// First the basis with a word-for-word quote, then a short explanation.
    Basis,
    /// Free text, cited where it repeats a passage word for word.
    Free,
}

/// One earlier question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiExchange {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// How to answer.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct FfiAnswerOptions {
    /// How to search.
    pub search: FfiSearchOptions,
    /// The shape of the answer.
    pub format: FfiAnswerFormat,
    /// Tokens of the answer at most.
    pub max_tokens: u32,
    /// Randomness of the free parts; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Seed for a temperature above 0.
    pub seed: u64,
    /// Name of the adapter that decides how it is said.
    pub adapter: Option<String>,
    /// Cosine similarity below which the question is declined; `None` takes the pack's own floor.
    pub floor: Option<f32>,
    /// Earlier turns of the conversation, oldest first.
    pub history: Vec<FfiExchange>,
}

impl From<FfiAnswerOptions> for AnswerOptions {
    fn from(options: FfiAnswerOptions) -> Self {
        let format = match options.format {
            FfiAnswerFormat::Basis => AnswerFormat::Basis,
            FfiAnswerFormat::Free => AnswerFormat::Free,
        };
        let history = options.history.into_iter().map(|turn| Exchange { question: turn.question, answer: turn.answer });
        // What the skins do not offer keeps the engine's default.
        Self {
            search: options.search.into(),
            format,
            max_tokens: options.max_tokens as usize,
            temperature: options.temperature,
            seed: options.seed,
            adapter: options.adapter,
            floor: options.floor,
            history: history.collect(),
            ..Self::default()
        }
    }
}

/// How hot the device is, in the steps of the platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiThermalState {
    /// Cool: everything is allowed.
    Nominal,
    /// Warm: nothing changes yet.
    Fair,
    /// Hot: answers are the same, somewhat later.
    Serious,
    /// Too hot to compute: an answer is the best passage as it stands, and the model is not asked.
    Critical,
}

impl From<FfiThermalState> for ThermalState {
    fn from(state: FfiThermalState) -> Self {
        match state {
            FfiThermalState::Nominal => Self::Nominal,
            FfiThermalState::Fair => Self::Fair,
            FfiThermalState::Serious => Self::Serious,
            FfiThermalState::Critical => Self::Critical,
        }
    }
}
