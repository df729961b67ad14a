//! Options of an engine and of a request: plain values with defaults.

use std::path::PathBuf;
use std::sync::Arc;

use lorekit_retrieval::SearchOptions;
use lorekit_store::LibraryOptions;

use crate::{AnswerFormat, SnapshotCipher};

/// What an engine opens.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The knowledge pack. Not looked at if there is a library.
    pub pack: PathBuf,
    /// A library in place of a single pack: a base in a read-only place, and a folder that takes updates and the app's
    /// own documents. The default is none. Where its options name no day, the engine takes today, so that packs expire.
    /// Its key also seals the cache folder, unless [`cache_cipher`](Self::cache_cipher) does.
    pub library: Option<LibraryOptions>,
    /// The embedder the pack was built with, as GGUF.
    pub embedder: PathBuf,
    /// The language model, as GGUF. Without one the engine searches but does not answer.
    pub model: Option<PathBuf>,
    /// LoRA adapters by name; each request names one, or none.
    pub adapters: Vec<(String, PathBuf)>,
    /// Threads for inference. 0, the default, takes the fast processors of a phone, or all, at most 4.
    pub threads: usize,
    /// Window of prompt and answer in tokens. 0, the default, takes 4,096 or the model's own, whichever is smaller.
    pub context_tokens: usize,
    /// Bytes of memory in which computed beginnings of prompts are kept for later questions. The default is 64 MiB:
    /// about 5,000 tokens of a model of half a billion parameters. 0 keeps only those of the last question.
    pub cache_memory_bytes: usize,
    /// Folder for what should outlive the process; anything in it can be deleted at any time. The default is none.
    ///
    /// `prefixes` holds computed beginnings of prompts: the fixed instructions, and passages that were asked about more
    /// than once. Like memory, it holds what passages say. `side` holds the models' weights once more in the layout
    /// that the kernels read fastest, about as large as the models and made when they are first opened, which takes
    /// some seconds; without it models run from their own files, at about two thirds of the speed.
    pub cache_folder: Option<PathBuf>,
    /// Bytes in that folder. The default is 128 MiB.
    pub cache_disk_bytes: u64,
    /// Asks for the graphics processor. The default, none, computes on the CPU. It is used only where this build has code
    /// for one (Metal, on Apple's systems), the system is new enough, there is a cache folder, and a trial agreed with
    /// the CPU; a trial that failed is remembered there and not made again until the system or the library changes.
    pub gpu: Option<GpuRequest>,
    /// Seals the files in that folder; without one they are readable by whoever can read the folder.
    pub cache_cipher: Option<Arc<dyn SnapshotCipher>>,
}

/// What an app says when it asks for the graphics processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuRequest {
    /// Whether the system is one that it is known to work on: for Metal a real device with iOS 18 or macOS 15 at least.
    pub system_supported: bool,
    /// The version of the system as text; a failure is remembered for it.
    pub system_version: String,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            pack: PathBuf::new(),
            library: None,
            embedder: PathBuf::new(),
            model: None,
            adapters: Vec::new(),
            threads: 0,
            context_tokens: 0,
            cache_memory_bytes: 64 << 20,
            cache_folder: None,
            cache_disk_bytes: 128 << 20,
            gpu: None,
            cache_cipher: None,
        }
    }
}

/// What is computed before it is known to be needed. It decides how long an answer takes, never what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Drafting {
    /// Fixed parts in one pass, and guesses from the passages and from what was said, checked in one pass with it.
    /// How far it guesses follows from how often it was right.
    #[default]
    Passages,
    /// Fixed parts in one pass, no guesses.
    FixedParts,
    /// One pass for each token of the answer.
    Off,
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
    /// What is computed ahead.
    pub drafting: Drafting,
    /// What the caller may see, in any form that differs when the right differs. What was computed for passages in one
    /// scope is not used in another. The labels in `search` are part of the scope anyway, so an app that keeps access by
    /// labels leaves this empty, which is the default and a scope like any other.
    pub scope: Vec<u8>,
}

impl AnswerOptions {
    /// The scope that computed passages belong to: the app's own, and the caller's labels.
    pub(crate) fn cache_scope(&self) -> Vec<u8> {
        let mut labels: Vec<&str> = self.search.labels.iter().map(String::as_str).collect();
        labels.sort_unstable();
        labels.dedup();
        let mut scope = self.scope.clone();
        // A zero cannot stand in a label, so two sets of labels never look alike.
        for label in labels {
            scope.push(0);
            scope.extend(label.as_bytes());
        }
        scope
    }
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
            drafting: Drafting::default(),
            scope: Vec::new(),
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
