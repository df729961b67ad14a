//! What decides the vectors of an embedder.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Pooling;

/// Everything that two embedders must have in common for their vectors to be comparable.
///
/// It goes into the manifest of a knowledge pack; a library refuses a pack whose fingerprint is not its embedder's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderFingerprint {
    /// BLAKE3 of the model file, in hexadecimal.
    pub weights: String,
    /// `bert` or `gemma-embedding`.
    pub architecture: String,
    /// Length of the vectors.
    pub dims: usize,
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Whether vectors have length one.
    pub normalized: bool,
    /// Words before every query.
    pub query_prefix: String,
    /// Words before every passage, with a slot `{title|none}` where the model wants the title.
    pub document_prefix: String,
    /// Tokens of a text that count.
    pub max_tokens: usize,
}

impl fmt::Display for EmbedderFingerprint {
    /// A short form for messages: architecture, dimensions and the first eight digits of the weights' hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = self.weights.get(..8).unwrap_or(&self.weights);
        write!(f, "{}-{}-{} {weights}", self.architecture, self.dims, self.pooling.name())
    }
}
