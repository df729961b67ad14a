//! Generating tokens, one after the other, and ending at the right place.

use lorekit_cancel::CancelToken;

use crate::causal::Session;
use crate::lora::AdapterSet;
use crate::sample::{Sampler, Token};
use crate::{Error, Result};

/// When generation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerateOptions {
    /// At most this many tokens.
    pub max_tokens: usize,
    /// Tokens that end the text; they are not given out.
    pub stop_tokens: Vec<u32>,
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model chose this stop token.
    Stop(u32),
    /// As many tokens as were asked for.
    MaxTokens,
    /// The session is full.
    ContextFull,
}

/// An iterator over the tokens that a session continues with.
///
/// The session needs logits: call [`Session::prefill`] first. A token given out is put into the session when the next
/// one is asked for, so the last token given out is not in the session's cache (unless it ended by an error or by its stop token).
/// After an error the iterator ends; the session stays usable.
pub struct Generator<'a> {
    session: &'a mut Session,
    sampler: &'a mut Sampler,
    adapters: Option<&'a AdapterSet>,
    options: GenerateOptions,
    cancel: CancelToken,
    /// Given out, not yet in the session.
    pending: Option<u32>,
    n_generated: usize,
    finished: Option<FinishReason>,
    failed: bool,
    /// The last logits, where the caller's adjustment may write.
    logits: Vec<f32>,
    /// What the sampler's repetition penalty looks at.
    history: Vec<u32>,
}

impl<'a> Generator<'a> {
    /// Continues `session`; `adapters` are those it was prefilled with.
    pub fn new(
        session: &'a mut Session,
        sampler: &'a mut Sampler,
        adapters: Option<&'a AdapterSet>,
        options: GenerateOptions,
        cancel: CancelToken,
    ) -> Self {
        let history = session.tokens().to_vec();
        Self {
            session,
            sampler,
            adapters,
            options,
            cancel,
            pending: None,
            n_generated: 0,
            finished: None,
            failed: false,
            logits: Vec::new(),
            history,
        }
    }

    /// Why it ended; `None` while it goes on and after an error.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finished
    }

    /// Tokens given out so far.
    pub fn n_generated(&self) -> usize {
        self.n_generated
    }

    /// As [`Iterator::next`], with a chance to change the logits before a token is chosen: -∞ forbids one. The token's
    /// `logprob` is then under the changed logits. Stop tokens are chosen from the same logits.
    ///
    /// # Errors
    /// As [`Session::prefill`] and [`Sampler::sample`]; [`Error::InvalidArgument`] if the session has no logits.
    pub fn next_with(&mut self, adjust: impl FnOnce(&mut [f32])) -> Option<Result<Token>> {
        self.advance(|this| {
            let logits = this.session.logits().ok_or_else(no_logits)?;
            this.logits.clear();
            this.logits.extend_from_slice(logits);
            adjust(&mut this.logits);
            this.sampler.sample(&this.logits, &this.history)
        })
    }

    fn advance(&mut self, choose: impl FnOnce(&mut Self) -> Result<Token>) -> Option<Result<Token>> {
        if self.finished.is_some() || self.failed {
            return None;
        }
        if self.n_generated >= self.options.max_tokens {
            self.finished = Some(FinishReason::MaxTokens);
            return None;
        }
        match self.step(choose) {
            Ok(Some(token)) => Some(Ok(token)),
            Ok(None) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }

    fn step(&mut self, choose: impl FnOnce(&mut Self) -> Result<Token>) -> Result<Option<Token>> {
        self.cancel.check()?;
        if let Some(token) = self.pending {
            if self.session.position() == self.session.capacity() {
                self.finished = Some(FinishReason::ContextFull);
                return Ok(None);
            }
            self.session.prefill(&[token], self.adapters, &self.cancel)?;
            self.pending = None;
        }
        let token = choose(self)?;
        if self.options.stop_tokens.contains(&token.id) {
            self.finished = Some(FinishReason::Stop(token.id));
            return Ok(None);
        }
        self.pending = Some(token.id);
        self.history.push(token.id);
        self.n_generated += 1;
        Ok(Some(token))
    }
}

impl Iterator for Generator<'_> {
    type Item = Result<Token>;

    fn next(&mut self) -> Option<Result<Token>> {
        self.advance(|this| {
            let logits = this.session.logits().ok_or_else(no_logits)?;
            this.sampler.sample(logits, &this.history)
        })
    }
}

fn no_logits() -> Error {
    Error::InvalidArgument("the session has no logits: prefill first".to_owned())
}

/// Ends a text at given strings, which may come in pieces.
///
/// Text that could be the beginning of a stop string is held back until it is clear; a stop string is never given out,
/// not even in part. Everything is in whole characters.
#[derive(Clone, Debug)]
pub struct StopSequences {
    stops: Vec<String>,
    held: String,
    stopped: Option<usize>,
}

/// What came of a piece of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopOutcome {
    /// Text that can be given out now.
    pub text: String,
    /// Which stop string ended the text, if one did.
    pub stopped: Option<usize>,
}

impl StopSequences {
    /// Watches for these strings; empty ones are left out of account.
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new(), stopped: None }
    }

    /// Takes the next piece of text. After a stop nothing more comes out.
    pub fn push(&mut self, piece: &str) -> StopOutcome {
        if self.stopped.is_some() {
            return StopOutcome { text: String::new(), stopped: self.stopped };
        }
        self.held.push_str(piece);
        let stops = || self.stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty());
        // The stop that begins first; of two at one place the longer.
        let first = stops()
            .filter_map(|(i, stop)| self.held.find(stop.as_str()).map(|at| (at, usize::MAX - stop.len(), i)))
            .min();
        if let Some((at, _, i)) = first {
            self.held.truncate(at);
            self.stopped = Some(i);
            return StopOutcome { text: std::mem::take(&mut self.held), stopped: self.stopped };
        }
        let kept = stops().map(|(_, stop)| overlap(&self.held, stop)).max().unwrap_or(0);
        let held = self.held.split_off(self.held.len() - kept);
        StopOutcome { text: std::mem::replace(&mut self.held, held), stopped: None }
    }

    /// The text that was held back, when nothing follows any more.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// The length of the longest end of `text` that is a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest).rev().find(|n| stop.is_char_boundary(*n) && text.ends_with(&stop[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<usize>) {
        let mut watch = StopSequences::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut text = String::new();
        for piece in pieces {
            let outcome = watch.push(piece);
            text += &outcome.text;
            if outcome.stopped.is_some() {
                return (text, outcome.stopped);
            }
        }
        (text + &watch.finish(), None)
    }

    #[test]
    fn a_stop_is_found_however_the_text_is_cut() {
        let whole = "答案如下。END了吗";
        let points: Vec<usize> = whole.char_indices().map(|(i, _)| i).collect();
        for a in &points {
            for b in points.iter().filter(|b| *b >= a) {
                let pieces = [&whole[..*a], &whole[*a..*b], &whole[*b..]];
                assert_eq!(run(&["END了", "。。"], &pieces), ("答案如下。".to_owned(), Some(0)));
            }
        }
    }

    #[test]
    fn a_beginning_that_leads_nowhere_is_given_out_whole() {
        assert_eq!(run(&["abcd"], &["xab", "c", "e"]), ("xabce".to_owned(), None));
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]), ("a".to_owned(), Some(0)));
        assert_eq!(run(&["abc"], &["zab"]), ("zab".to_owned(), None));
    }

    #[test]
    fn text_is_not_held_longer_than_needed() {
        let mut watch = StopSequences::new(vec!["\n\n".to_owned(), String::new()]);
        assert_eq!(watch.push("one\n").text, "one");
        assert_eq!(watch.push("two").text, "\ntwo");
    }

    #[test]
    fn of_two_stops_the_earlier_wins_and_then_the_longer() {
        assert_eq!(run(&["b", "ab"], &["xabc"]), ("x".to_owned(), Some(1)));
        assert_eq!(run(&["ab", "abc"], &["xabc"]), ("x".to_owned(), Some(1)));
    }
}
