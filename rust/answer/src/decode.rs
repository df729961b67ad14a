//! Decoding one answer: forced text, copied spans, free text.
//!
//! Every token is chosen from the true logits of its position, so the text does not depend on what was drafted.
//! Text without a choice is not computed by itself: it waits for the next choice, and goes in one pass with it.

use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_model::{AdapterSet, DraftSource, Lookahead, LookaheadCounts, Sampler, Session, Tokenizer};

use crate::copying::{Copied, Copying};
use crate::token_index::TokenIndex;
use crate::{Result, convert};

/// Rows of a pass at most while it holds drafts. Up to here the kernels read the weights once for all rows.
const MAX_ROWS: usize = 8;

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

/// What is computed before it is known to be needed.
pub(crate) enum Ahead<'d> {
    /// Nothing: each token by itself, fixed text too.
    Nothing,
    /// Fixed text goes together; no guesses.
    Fixed,
    /// Fixed text goes together, and guesses with it, at most so many at once.
    Guesses(&'d mut dyn DraftSource, usize),
}

/// The answer so far, and the session that goes on with it.
pub(crate) struct Decoder<'a, 'e> {
    around: Surroundings<'a>,
    session: Lookahead<'a>,
    ahead: Ahead<'e>,
    sampler: Sampler,
    /// Seconds of a pass of one row, once there was one.
    single_pass: Option<f32>,
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
        ahead: Ahead<'e>,
        sampler: Sampler,
        max_tokens: usize,
        emit: &'e mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        session.prefill(prompt, around.adapter, around.cancel).map_err(convert::model)?;
        let session = Lookahead::new(session, around.adapter, around.cancel);
        let (bytes, emitted, single_pass) = (Vec::new(), 0, None);
        Ok(Self { around, session, ahead, sampler, single_pass, bytes, emitted, emit, n_tokens: 0, max_tokens })
    }

    /// Bytes of the answer so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the token limit is reached.
    pub(crate) fn at_limit(&self) -> bool {
        self.n_tokens >= self.max_tokens
    }

    /// What computing ahead took and saved.
    pub(crate) fn counts(&self) -> LookaheadCounts {
        self.session.counts()
    }

    /// Appends fixed text. It is given out when the pass that computes it is done.
    pub(crate) fn force(&mut self, text: &str) -> Result<()> {
        let tokens = self.around.tokenizer.encode(text).map_err(convert::model)?;
        self.bytes.extend_from_slice(text.as_bytes());
        tokens.into_iter().try_for_each(|token| self.accept(token))
    }

    /// Copies as `copying` allows, taking the likeliest token where there is a choice, and stops at the first end at
    /// which the model would rather write one of `closing` (or end its turn) than go on.
    pub(crate) fn copy(&mut self, mut copying: Copying<'_>, closing: &[u32]) -> Result<Option<Copied>> {
        loop {
            let stop = copying.stop();
            if stop.is_none()
                && let Some(text) = copying.determined()
            {
                self.force(text)?;
                copying.accept(text.as_bytes());
                continue;
            }
            let allowed = copying.allowed(self.around.index);
            let best = match allowed[..] {
                [] => return Ok(stop),
                [only] if stop.is_none() => only,
                _ => {
                    let logits = self.logits()?;
                    let logit = |id: &u32| logits.get(*id as usize).copied().unwrap_or(f32::NEG_INFINITY);
                    // Of equals the largest id, as `max_by` has it.
                    let Some(best) = allowed.iter().max_by(|a, b| logit(a).total_cmp(&logit(b))) else {
                        return Ok(stop);
                    };
                    let close = closing.iter().map(logit).fold(f32::NEG_INFINITY, f32::max);
                    let closes = close > logit(best);
                    if stop.is_some() && (closes || self.at_limit()) {
                        return Ok(stop);
                    }
                    *best
                }
            };
            let bytes = self.around.index.token(best).to_vec();
            copying.accept(&bytes);
            self.bytes.extend_from_slice(&bytes);
            self.accept(best)?;
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
            self.look()?;
            let logits = self.session.logits(&[]).map_err(convert::model)?;
            let id = self.sampler.sample(logits, &recent).map_err(convert::model)?.id;
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
            self.release(self.bytes.len().saturating_sub(held).max(from).max(self.emitted))?;
            self.accept(id)?;
        }
    }

    /// The whole text; every byte of it has been emitted.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The logits behind the text, computed if need be; then all of the text can be given out.
    fn logits(&mut self) -> Result<&[f32]> {
        self.look()?;
        self.release(self.bytes.len())?;
        self.session.logits(&[]).map_err(convert::model)
    }

    /// Computes what waits, with a draft behind it.
    fn look(&mut self) -> Result<()> {
        if !self.session.is_due() {
            return Ok(());
        }
        let due = self.session.n_pending();
        let left = self.max_tokens.saturating_sub(self.n_tokens + 1).min(self.session.room());
        let draft = match &mut self.ahead {
            // A long pass takes a few guesses more without being much longer.
            Ahead::Guesses(source, most) => {
                source.propose(left.min(*most).min(MAX_ROWS.saturating_sub(due).max(MAX_ROWS / 2)))
            }
            Ahead::Nothing | Ahead::Fixed => Vec::new(),
        };
        let started = Instant::now();
        self.session.logits(&draft).map_err(convert::model)?;
        let took = started.elapsed().as_secs_f32();
        match (&mut self.ahead, due + draft.len(), self.single_pass) {
            (Ahead::Guesses(..), 1, known) => self.single_pass = Some(known.map_or(took, |t| 0.7 * t + 0.3 * took)),
            // Fewer rows would tell little: the difference is divided by their number.
            (Ahead::Guesses(source, _), rows @ 4..=MAX_ROWS, Some(single)) if single > 0.0 => {
                source.row_cost((took / single - 1.0) / (rows - 1) as f32);
            }
            _ => {}
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<()> {
        let verdict = self.session.accept(token);
        self.n_tokens += 1;
        match &mut self.ahead {
            Ahead::Guesses(source, _) => source.observe(token, verdict),
            Ahead::Nothing => self.look()?,
            Ahead::Fixed => {}
        }
        Ok(())
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
#[path = "decode_tests.rs"]
mod tests;
