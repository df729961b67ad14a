//! A found passage, flat.

use lorekit_answer::{Origin, RetrievedPassage};

/// Who brought a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiOrigin {
    /// The publisher of the pack.
    Publisher,
    /// The app, as a document of its own on this device.
    Local,
}

impl From<Origin> for FfiOrigin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Publisher => Self::Publisher,
            Origin::Local => Self::Local,
        }
    }
}

/// A passage that was found for a question, with its document and its place.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct FfiPassage {
    /// Its name across builds, in hexadecimal.
    pub id: String,
    /// Whether the publisher or this device brought it.
    pub origin: FfiOrigin,
    /// Its text.
    pub text: String,
    /// Stable name of its document.
    pub document_id: String,
    /// Title of its document.
    pub document_title: String,
    /// Path of the document in the publisher's folder.
    pub document_path: String,
    /// Edition of the document.
    pub document_version: Option<String>,
    /// Language of the document, BCP 47.
    pub language: String,
    /// Headings above it, outermost first.
    pub title_path: Vec<String>,
    /// Label of its article.
    pub article: Option<String>,
    /// Document id, `#`, and article number or heading.
    pub place: String,
    /// First byte in the source file.
    pub source_start: u64,
    /// The byte after the last in the source file.
    pub source_end: u64,
    /// Page in the source.
    pub page: Option<u32>,
    /// First day it holds, `YYYY-MM-DD`.
    pub valid_from: Option<String>,
    /// Last day it holds, `YYYY-MM-DD`.
    pub valid_to: Option<String>,
    /// Fused score, `0.0..=1.0`, larger is better; comparable within one search only.
    pub score: f32,
    /// Cosine similarity of question and passage, if the search used vectors.
    pub dense: Option<f32>,
    /// BM25 score, if the passage shares a term with the question.
    pub lexical: Option<f32>,
}

impl From<RetrievedPassage> for FfiPassage {
    fn from(found: RetrievedPassage) -> Self {
        let passage = found.passage;
        Self {
            id: passage.id.to_string(),
            origin: passage.origin.into(),
            text: passage.text,
            document_id: passage.document.id,
            document_title: passage.document.title,
            document_path: passage.document.path,
            document_version: passage.document.version,
            language: passage.document.language,
            title_path: passage.title_path,
            article: passage.article,
            place: passage.place,
            source_start: passage.source.start,
            source_end: passage.source.end,
            page: passage.page,
            valid_from: passage.valid_from,
            valid_to: passage.valid_to,
            score: found.score,
            dense: found.dense,
            lexical: found.lexical,
        }
    }
}
