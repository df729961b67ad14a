//! Events of an answer, and the answer, with spans in the units of every language.

use std::time::Duration;

use lorekit_answer::{Answer, Citation, DeclineReason, Error, Outcome, Usage};

use crate::error::Result;
use crate::span::FfiSpan;
use crate::{FfiOrigin, FfiPassage};

/// One step of an answer. They come in the order of the variants; `Text` and `Citation` any number of times.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum FfiAnswerEvent {
    /// What was found, best first, before the model has said a word.
    Retrieved {
        /// The passages.
        passages: Vec<FfiPassage>,
    },
    /// The next piece of text, whole Unicode characters.
    Text {
        /// The piece.
        delta: String,
    },
    /// A part of the answer that stands, word for word, in a passage.
    Citation {
        /// Where, and where there.
        citation: FfiCitation,
    },
    /// The end; nothing follows.
    Finished {
        /// The whole answer.
        answer: FfiAnswer,
    },
}

/// A span of the answer and the span of a passage that holds exactly these characters.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiCitation {
    /// The span of the answer's text.
    pub answer: FfiSpan,
    /// Index into the answer's passages.
    pub passage: u32,
    /// The span of that passage's text.
    pub quoted: FfiSpan,
    /// First byte in the source file.
    pub source_start: u64,
    /// The byte after the last in the source file.
    pub source_end: u64,
    /// Whether the passage is the publisher's or from a document of the app.
    pub origin: FfiOrigin,
}

impl FfiCitation {
    /// Counts a citation of `text` into the `passages` that it may point at.
    pub(crate) fn of(citation: &Citation, text: &str, passages: &[impl AsRef<str>]) -> Result<Self> {
        let passage = passages
            .get(citation.passage)
            .ok_or_else(|| Error::Internal { reason: "a citation points at no passage".into() })?;
        Ok(Self {
            answer: FfiSpan::of(text, &citation.answer)?,
            passage: citation.passage as u32,
            quoted: FfiSpan::of(passage.as_ref(), &citation.quoted)?,
            source_start: citation.source.start,
            source_end: citation.source.end,
            origin: citation.origin.into(),
        })
    }
}

/// How an answer ended. Declining is a result, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiOutcome {
    /// Answered.
    Answered,
    /// Declined: no passage came above the floor, and the model was not asked.
    DeclinedNothingFound,
    /// Declined: the model read the passages and said that they do not answer the question.
    DeclinedNotInPassages,
    /// The text ended at the token limit, not at its own end.
    Truncated,
}

impl From<Outcome> for FfiOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered => Self::Answered,
            Outcome::Declined(DeclineReason::NothingFound) => Self::DeclinedNothingFound,
            Outcome::Declined(DeclineReason::NotInPassages) => Self::DeclinedNotInPassages,
            Outcome::Truncated => Self::Truncated,
        }
    }
}

/// What an answer took.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct FfiUsage {
    /// Tokens of the whole prompt.
    pub prompt_tokens: u64,
    /// Prompt tokens that were still in the cache from the request before.
    pub reused_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// From the request to the passages.
    pub time_to_passages: Duration,
    /// From the request to the first piece of text; zero when there was none.
    pub time_to_first_text: Duration,
    /// From the request to the end.
    pub total_time: Duration,
    /// Prompt tokens per second, without the reused ones; zero when nothing was computed.
    pub prefill_tokens_per_second: f64,
    /// Answer tokens per second.
    pub decode_tokens_per_second: f64,
}

impl From<Usage> for FfiUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens as u64,
            reused_tokens: usage.reused_tokens as u64,
            completion_tokens: usage.completion_tokens as u64,
            time_to_passages: usage.time_to_passages,
            time_to_first_text: usage.time_to_first_text,
            total_time: usage.total_time,
            prefill_tokens_per_second: usage.prefill_tokens_per_second,
            decode_tokens_per_second: usage.decode_tokens_per_second,
        }
    }
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct FfiAnswer {
    /// The whole text, as it was streamed.
    pub text: String,
    /// Verified citations, in the order of their place in `text`.
    pub citations: Vec<FfiCitation>,
    /// The passages that were in the prompt, best first; for a declined question the nearest ones.
    pub passages: Vec<FfiPassage>,
    /// How it ended.
    pub outcome: FfiOutcome,
    /// What it took.
    pub usage: FfiUsage,
}

impl FfiAnswer {
    /// An answer with its citations counted.
    pub(crate) fn of(answer: Answer) -> Result<Self> {
        let texts: Vec<&str> = answer.passages.iter().map(|found| found.passage.text.as_str()).collect();
        let citations = answer
            .citations
            .iter()
            .map(|citation| FfiCitation::of(citation, &answer.text, &texts))
            .collect::<Result<_>>()?;
        Ok(Self {
            citations,
            text: answer.text,
            passages: answer.passages.into_iter().map(FfiPassage::from).collect(),
            outcome: answer.outcome.into(),
            usage: answer.usage.into(),
        })
    }
}
