//! What an opened pack and model say of themselves.

use lorekit_answer::{ModelInfo, PackInfo};

/// What a pack says of itself.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiPackInfo {
    /// The pack's id.
    pub id: String,
    /// Its version, which grows with every release.
    pub version: u64,
    /// Its title.
    pub title: String,
    /// The languages of its documents.
    pub languages: Vec<String>,
    /// How many documents it holds.
    pub document_count: u64,
    /// How many passages it holds.
    pub passage_count: u64,
    /// The licence of its contents, as its publisher stated it.
    pub licence: String,
    /// Hash of its logical state, in hexadecimal.
    pub state: String,
}

impl From<&PackInfo> for FfiPackInfo {
    fn from(info: &PackInfo) -> Self {
        Self {
            id: info.id.clone(),
            version: info.version,
            title: info.title.clone(),
            languages: info.languages.clone(),
            document_count: info.document_count,
            passage_count: info.passage_count,
            licence: info.licence.clone(),
            state: info.state.clone(),
        }
    }
}

/// What a language model says of itself.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiModelInfo {
    /// The name in the file.
    pub name: String,
    /// The architecture, for example `qwen2`.
    pub architecture: String,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Tokens that prompt and answer may take together.
    pub context_tokens: u64,
}

impl From<&ModelInfo> for FfiModelInfo {
    fn from(info: &ModelInfo) -> Self {
        Self {
            name: info.name.clone(),
            architecture: info.architecture.clone(),
            file_bytes: info.file_bytes,
            context_tokens: info.context_tokens as u64,
        }
    }
}
