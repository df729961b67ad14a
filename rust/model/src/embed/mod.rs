//! Embedders: text in, vector out.
//!
//! [`convert`] turns a sentence-transformers folder into one GGUF file; [`Embedder`] maps that file and computes
//! vectors of queries and passages on the CPU kernels. Two families run: BERT-like encoders (MiniLM, bge, and with a
//! Unigram vocabulary the multilingual e5 and bge-m3 form of XLM-RoBERTa), and EmbeddingGemma, a Gemma 3 that attends in
//! both directions.
//!
//! A vector is a function of the model file, the options and the text alone: how texts are batched does not change a
//! bit of it. [`EmbedderFingerprint`] names everything that does, so that an index can refuse queries from another
//! embedder.

mod base64;
mod batch;
mod bert;
mod convert;
mod embedder;
mod fingerprint;
mod gemma;
mod head;
mod plan;
mod prompt;
mod sentencepiece;
mod source;
mod tensor_source;
mod tokenizer_json;
mod vocabulary;
mod weights;
mod workspace;

pub use convert::{ConvertOptions, ConvertReport, Precision, convert, convert_with};
pub use embedder::{Embedder, EmbedderOptions, Passage, PassageVectors};
pub use fingerprint::EmbedderFingerprint;

use serde::{Deserialize, Serialize};

/// `general.architecture` of BERT-like encoders.
const ARCHITECTURE_BERT: &str = "bert";
/// `general.architecture` of EmbeddingGemma.
const ARCHITECTURE_GEMMA: &str = "gemma-embedding";

/// Keys of ours in the model file: what llama.cpp's files do not say.
mod key {
    /// Version of this set of keys.
    pub(super) const FORMAT: &str = "lorekit.embed.format";
    pub(super) const FORMAT_VERSION: u32 = 1;
    /// `mean`, `cls` or `last`.
    pub(super) const POOLING: &str = "lorekit.embed.pooling";
    /// Whether vectors are scaled to length one.
    pub(super) const NORMALIZE: &str = "lorekit.embed.normalize";
    pub(super) const DIMS: &str = "lorekit.embed.dims";
    /// Tokens of a text that count, start and end token included.
    pub(super) const MAX_TOKENS: &str = "lorekit.embed.max_tokens";
    pub(super) const QUERY_PREFIX: &str = "lorekit.embed.query_prefix";
    /// May hold one slot `{title|none}`.
    pub(super) const DOCUMENT_PREFIX: &str = "lorekit.embed.document_prefix";
}

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over all tokens, start and end token included.
    Mean,
    /// The first token's vector.
    Cls,
    /// The last token's vector.
    Last,
}

impl Pooling {
    /// The name in model files and fingerprints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Last => "last",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Mean, Self::Cls, Self::Last].into_iter().find(|pooling| pooling.name() == name)
    }
}
