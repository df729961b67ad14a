//! The stream of one answer: pulled, and cancelled explicitly.

use std::sync::{Arc, Mutex, PoisonError};

use lorekit_answer::{AnswerEvent, AnswerStream, Error};

use crate::error::Result;
use crate::event::{FfiAnswer, FfiAnswerEvent, FfiCitation};

/// The events of one answer. Freeing it cancels the request; a foreign cancellation must call [`cancel`](Self::cancel).
#[derive(uniffi::Object)]
pub struct FfiAnswerStream {
    inner: AnswerStream,
    seen: Mutex<Seen>,
}

/// What a streamed citation counts its spans in: the text so far, and the texts of the found passages.
#[derive(Default)]
struct Seen {
    text: String,
    passages: Vec<String>,
}

impl FfiAnswerStream {
    pub(crate) fn new(inner: AnswerStream) -> Arc<Self> {
        Arc::new(Self { inner, seen: Mutex::default() })
    }

    fn event(&self, event: AnswerEvent) -> Result<FfiAnswerEvent> {
        // Every critical section leaves the state whole.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match event {
            AnswerEvent::Retrieved(found) => {
                seen.passages = found.iter().map(|found| found.passage.text.clone()).collect();
                FfiAnswerEvent::Retrieved { passages: found.into_iter().map(Into::into).collect() }
            }
            AnswerEvent::Text(delta) => {
                seen.text.push_str(&delta);
                FfiAnswerEvent::Text { delta }
            }
            AnswerEvent::Citation(citation) => {
                FfiAnswerEvent::Citation { citation: FfiCitation::of(&citation, &seen.text, &seen.passages)? }
            }
            AnswerEvent::Finished(answer) => FfiAnswerEvent::Finished { answer: FfiAnswer::of(*answer)? },
        })
    }
}

#[uniffi::export]
impl FfiAnswerStream {
    /// Waits for the next events; an empty batch is the end. One reader at a time.
    ///
    /// # Errors
    /// The request's error, once; [`FfiError::Cancelled`](crate::FfiError) after [`cancel`](Self::cancel).
    pub async fn next_batch(&self) -> Result<Vec<FfiAnswerEvent>> {
        let batch = self.inner.next_batch_async().await?;
        batch.into_iter().map(|event| self.event(event)).collect()
    }

    /// Reads to the end and returns the whole answer.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub async fn final_answer(&self) -> Result<FfiAnswer> {
        loop {
            let batch = self.inner.next_batch_async().await?;
            if batch.is_empty() {
                return Err(Error::Internal { reason: "the stream ended without an answer".into() }.into());
            }
            for event in batch {
                if let AnswerEvent::Finished(answer) = event {
                    return FfiAnswer::of(*answer);
                }
            }
        }
    }

    /// Asks the model to stop, and wakes a waiting reader at once. The engine stays usable.
    pub fn cancel(&self) {
        self.inner.cancel();
    }
}
