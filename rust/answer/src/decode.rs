//! Decoding one answer: forced text, copied spans, free text.

use lorekit_cancel::CancelToken;
use lorekit_model::{AdapterSet, Sampler, Session, Tokenizer};

use crate::copying::{Copied, Copying};
use crate::token_index::TokenIndex;
use crate::{Result, convert};

/// How a stretch of free text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FreeEnd {
    /// The model ended its turn, or a stop text came.
    Complete,
    /// The token limit came first.
    Limit,
}

/// What decoding needs from outside, borrowed for one answer.
pub(crate) struct Surroundings<'a> {
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) index: &'a TokenIndex,
    pub(crate) adapter: Option<&'a AdapterSet>,
    pub(crate) cancel: &'a CancelToken,
}

/// The answer so far, and the session that goes on with it.
pub(crate) struct Decoder<'a, 'e> {
    around: Surroundings<'a>,
    session: &'a mut Session,
    sampler: Sampler,
    logits: Vec<f32>,
    /// The answer in bytes; the last character may be incomplete.
    bytes: Vec<u8>,
    emitted: usize,
    emit: &'e mut dyn FnMut(&str) -> Result<()>,
    pub(crate) n_tokens: usize,
    max_tokens: usize,
}

impl<'a, 'e> Decoder<'a, 'e> {
    /// Computes the prompt from the session's position on and stands ready for the first token of the answer.
    pub(crate) fn start(
        session: &'a mut Session,
        around: Surroundings<'a>,
        prompt: &[u32],
        sampler: Sampler,
        max_tokens: usize,
        emit: &'e mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        let logits = session.prefill(prompt, around.adapter, around.cancel).map_err(convert::model)?.to_vec();
        let (bytes, emitted) = (Vec::new(), 0);
        Ok(Self { around, session, sampler, logits, bytes, emitted, emit, n_tokens: 0, max_tokens })
    }

    /// Bytes of the answer so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the token limit is reached.
    pub(crate) fn at_limit(&self) -> bool {
        self.n_tokens >= self.max_tokens
    }

    /// Appends fixed text, computed in one pass.
    pub(crate) fn force(&mut self, text: &str) -> Result<()> {
        let tokens = self.around.tokenizer.encode(text).map_err(convert::model)?;
        self.advance(&tokens)?;
        self.push(text.as_bytes())
    }

    /// Copies as `copying` allows, taking the likeliest token each time, and stops at the first end at which the model
    /// would rather write one of `closing` (or end its turn) than go on.
    pub(crate) fn copy(&mut self, mut copying: Copying<'_>, closing: &[u32]) -> Result<Option<Copied>> {
        loop {
            let stop = copying.stop();
            if stop.is_none()
                && let Some((rest, copied)) = copying.forced()
            {
                self.force(rest)?;
                return Ok(Some(copied));
            }
            let best =
                copying.allowed(self.around.index).into_iter().max_by(|a, b| self.logit(*a).total_cmp(&self.logit(*b)));
            let Some(best) = best else {
                return Ok(stop);
            };
            if stop.is_some() {
                let close = closing.iter().map(|id| self.logit(*id)).fold(f32::NEG_INFINITY, f32::max);
                if close > self.logit(best) || self.at_limit() {
                    return Ok(stop);
                }
            }
            let bytes = self.around.index.token(best).to_vec();
            copying.accept(&bytes);
            self.advance(&[best])?;
            self.push(&bytes)?;
        }
    }

    /// Decodes freely to the end of the turn, to one of `stops` (which is not part of the text), or to the limit.
    pub(crate) fn free(&mut self, stops: &[&str]) -> Result<FreeEnd> {
        let from = self.bytes.len();
        let held = stops.iter().map(|stop| stop.len()).max().unwrap_or(0);
        let mut recent: Vec<u32> = Vec::new();
        loop {
            if self.at_limit() {
                self.drop_partial_character();
                self.release(self.bytes.len())?;
                return Ok(FreeEnd::Limit);
            }
            let id = self.sampler.sample(&self.logits, &recent).map_err(convert::model)?.id;
            if self.around.tokenizer.is_end_of_generation(id) || self.around.tokenizer.is_control(id) {
                self.drop_partial_character();
                self.release(self.bytes.len())?;
                return Ok(FreeEnd::Complete);
            }
            recent.push(id);
            self.bytes.extend_from_slice(self.around.index.token(id));
            if let Some(at) = earliest(&self.bytes[from..], stops) {
                self.bytes.truncate(from + at);
                self.release(self.bytes.len())?;
                return Ok(FreeEnd::Complete);
            }
            // What could still become a stop text is held back.
            self.release(self.bytes.len().saturating_sub(held).max(self.emitted))?;
            self.advance(&[id])?;
        }
    }

    /// The whole text; every byte of it has been emitted.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn logit(&self, id: u32) -> f32 {
        self.logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY)
    }

    fn advance(&mut self, tokens: &[u32]) -> Result<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        let logits = self.session.prefill(tokens, self.around.adapter, self.around.cancel).map_err(convert::model)?;
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        self.n_tokens += tokens.len();
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        self.release(self.bytes.len())
    }

    /// Emits up to `end`, whole characters only.
    fn release(&mut self, end: usize) -> Result<()> {
        let pending = &self.bytes[self.emitted..end];
        let valid = match std::str::from_utf8(pending) {
            Ok(text) => text,
            // An error without a length is a character that is not complete yet; any other is not text at all and is
            // shown as the replacement character when the rest of the line is.
            Err(error) => std::str::from_utf8(&pending[..error.valid_up_to()]).unwrap_or_default(),
        };
        if !valid.is_empty() {
            (self.emit)(valid)?;
            self.emitted += valid.len();
        }
        Ok(())
    }

    /// Cuts bytes at the end that are no text: a model may stop inside a character, or write an invalid one.
    fn drop_partial_character(&mut self) {
        if let Err(error) = std::str::from_utf8(&self.bytes) {
            self.bytes.truncate(error.valid_up_to());
        }
    }
}

fn earliest(text: &[u8], stops: &[&str]) -> Option<usize> {
    stops.iter().filter_map(|stop| text.windows(stop.len().max(1)).position(|window| window == stop.as_bytes())).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_stop_wins() {
        assert_eq!(earliest("abc\n\nd【".as_bytes(), &["【", "\n\n"]), Some(3));
        assert_eq!(earliest(b"abc", &["x"]), None);
    }
}
