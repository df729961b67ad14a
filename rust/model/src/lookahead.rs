//! Computing ahead of the choice of tokens: drafts are checked in one pass, fixed tokens wait for the next one.

use lorekit_cancel::CancelToken;

use crate::Result;
use crate::causal::Session;
use crate::lora::AdapterSet;

/// What a choice said about a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was drafted for this position.
    Undrafted,
    /// The draft was right: the logits behind it are there already.
    Hit,
    /// The draft was wrong: it and what follows it are forgotten.
    Miss,
}

/// What computing ahead took and saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookaheadCounts {
    /// Forward passes.
    pub passes: usize,
    /// Drafted tokens that were computed.
    pub drafted: usize,
    /// Drafted tokens that the choice confirmed.
    pub confirmed: usize,
}

/// A session that is decoded with drafts (speculative decoding: Leviathan, Kalman and Matias, 2023).
///
/// The caller chooses each token from the true logits of its position, by any rule, and tells it with
/// [`accept`](Self::accept). A draft only decides which logits are computed together; a row has the same bits in any
/// batch, so the tokens are those of decoding one by one. With sampling the same holds draw by draw: a draft is kept
/// only where the draw, made from the true distribution with the same random numbers as without drafts, gives it. The
/// text is the one that plain sampling with this seed gives, hence the distribution is untouched, exactly.
///
/// Tokens that need no choice are accepted without asking for logits in between; they are computed together with the
/// next ones. When it is dropped, the session holds the accepted tokens that were computed and no draft.
pub struct Lookahead<'a> {
    session: &'a mut Session,
    adapters: Option<&'a AdapterSet>,
    cancel: &'a CancelToken,
    /// Positions of the session that hold accepted tokens; those behind it are drafts.
    accepted: usize,
    /// Accepted tokens that are not in the session yet. While there are any, no draft is open.
    pending: Vec<u32>,
    counts: LookaheadCounts,
}

impl<'a> Lookahead<'a> {
    /// Goes on behind the tokens of `session`; `adapters` are those it was computed with.
    pub fn new(session: &'a mut Session, adapters: Option<&'a AdapterSet>, cancel: &'a CancelToken) -> Self {
        let accepted = session.position();
        Self { session, adapters, cancel, accepted, pending: Vec::new(), counts: LookaheadCounts::default() }
    }

    /// Puts a token behind the text. Costs nothing.
    pub fn accept(&mut self, token: u32) -> Verdict {
        if !self.pending.is_empty() {
            self.pending.push(token);
            return Verdict::Undrafted;
        }
        match self.session.tokens().get(self.accepted) {
            Some(draft) if *draft == token => {
                self.accepted += 1;
                self.counts.confirmed += 1;
                Verdict::Hit
            }
            drafted => {
                let verdict = if drafted.is_some() { Verdict::Miss } else { Verdict::Undrafted };
                self.pending.push(token);
                verdict
            }
        }
    }

    /// Accepted tokens, computed or not.
    pub fn position(&self) -> usize {
        self.accepted + self.pending.len()
    }

    /// Tokens that still fit.
    pub fn room(&self) -> usize {
        self.session.capacity().saturating_sub(self.position())
    }

    /// Accepted tokens whose computation is due.
    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether [`logits`](Self::logits) has to compute, so that a draft is worth thinking of.
    pub fn is_due(&self) -> bool {
        !self.pending.is_empty() || self.row().is_none()
    }

    /// The logits behind the last accepted token; when they have to be computed, those behind each token of `draft`
    /// are computed in the same pass, as far as the session has room.
    ///
    /// # Errors
    /// As [`Session::prefill`]; [`Error::InvalidArgument`](crate::Error::InvalidArgument) at the beginning of an empty
    /// session, and for a draft outside the vocabulary. After an error it can be asked again.
    pub fn logits(&mut self, draft: &[u32]) -> Result<&[f32]> {
        if self.is_due() {
            self.compute(draft)?;
        }
        let back = self.session.position() - self.accepted;
        self.session.logits_back(back).ok_or_else(|| crate::Error::InvalidArgument("no token to go on from".to_owned()))
    }

    /// What it took and saved so far.
    pub fn counts(&self) -> LookaheadCounts {
        self.counts
    }

    fn row(&self) -> Option<&[f32]> {
        self.session.logits_back(self.session.position().checked_sub(self.accepted)?)
    }

    fn compute(&mut self, draft: &[u32]) -> Result<()> {
        self.session.truncate(self.accepted);
        if self.pending.is_empty() {
            // The session was truncated or restored: its last token is computed once more, for its logits.
            let Some(last) = self.accepted.checked_sub(1) else { return Ok(()) };
            self.pending.push(self.session.tokens()[last]);
            self.session.truncate(last);
            self.accepted = last;
        }
        let due = self.pending.len();
        let draft = &draft[..draft.len().min(self.room())];
        self.pending.extend_from_slice(draft);
        let done = self.session.prefill_last(&self.pending, draft.len() + 1, self.adapters, self.cancel);
        self.pending.truncate(due);
        // After an error as many tokens are there as were finished; a draft among them counts for nothing.
        let computed = (self.session.position() - self.accepted).min(due);
        self.accepted += computed;
        self.pending.drain(..computed);
        if done.is_err() {
            self.session.truncate(self.accepted);
        } else {
            self.counts.passes += 1;
            self.counts.drafted += draft.len();
        }
        done
    }
}

impl Drop for Lookahead<'_> {
    fn drop(&mut self) {
        self.session.truncate(self.accepted);
    }
}
