//! What an app receives while an answer is made, and the answer itself. Plain values.

use std::ops::Range;

use lorekit_store::{Origin, Passage};

use crate::Usage;

/// A passage that was found for a question.
#[derive(Clone, Debug)]
pub struct RetrievedPassage {
    /// The passage, its document and its place.
    pub passage: Passage,
    /// Fused score, `0.0..=1.0`, larger is better; comparable within one search only.
    pub score: f32,
    /// Cosine similarity of question and passage, if the search used vectors.
    pub dense: Option<f32>,
    /// BM25 score, if the passage shares a term with the question.
    pub lexical: Option<f32>,
}

/// One step of an answer. They come in the order of the variants; `Text` and `Citation` any number of times.
#[derive(Clone, Debug)]
pub enum AnswerEvent {
    /// What was found, best first, before the model has said a word.
    Retrieved(Vec<RetrievedPassage>),
    /// The next piece of text, whole Unicode characters.
    Text(String),
    /// A part of the answer that stands, word for word, in a passage.
    Citation(Citation),
    /// The end; nothing follows.
    Finished(Box<Answer>),
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The whole text, as it was streamed.
    pub text: String,
    /// Verified citations, in the order of their place in `text`.
    pub citations: Vec<Citation>,
    /// The passages that were in the prompt, best first; for a declined question the nearest ones.
    pub passages: Vec<RetrievedPassage>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it took.
    pub usage: Usage,
}

/// A span of the answer and the span of a passage that holds exactly these characters.
///
/// Code found it by comparing bytes; the model's word is never taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// Bytes in [`Answer::text`].
    pub answer: Range<usize>,
    /// Index into [`Answer::passages`].
    pub passage: usize,
    /// Bytes in that passage's text.
    pub quoted: Range<usize>,
    /// Bytes in the source file: those of the quote where text and source agree byte for byte, else those of the passage.
    pub source: Range<u64>,
    /// Whether the passage is the publisher's or from a document of the app.
    pub origin: Origin,
}

/// How an answer ended. Declining is a result, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered. In [`AnswerFormat::Basis`](crate::AnswerFormat::Basis) at least one citation proves it;
    /// free text may have none, and then nothing proves it.
    Answered,
    /// Not answered; the nearest passages are in [`Answer::passages`].
    Declined(DeclineReason),
    /// The text ended at the token limit, not at its own end.
    Truncated,
}

/// Why a question was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclineReason {
    /// No passage came above the floor; the model was not asked.
    NothingFound,
    /// The model read the passages and said that they do not answer the question.
    NotInPassages,
}
