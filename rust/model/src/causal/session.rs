//! One sequence of tokens with its cache.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use lorekit_cancel::CancelToken;

use super::backend::{Piece, State, Wanted};
use super::cpu::CpuState;
use super::model::LanguageModel;
use super::portable::PortableState;
use super::snapshot::KvSnapshot;
use crate::lora::AdapterSet;
use crate::{Error, Result};

/// One sequence of tokens: what was computed for them is kept, so each token is computed once.
///
/// After an error or a cancellation the session stands at the end of the last piece that was finished and can go on.
/// The keys and values in it were computed with one set of adapters; another set needs an empty session
/// ([`truncate`](Self::truncate) to 0).
pub struct Session {
    model: Arc<LanguageModel>,
    state: State,
    tokens: Vec<u32>,
    capacity: usize,
    /// Of the last positions, `(rows, vocab)` for the `rows` that the last call computed; never shorter than one row.
    logits: Vec<f32>,
    rows: usize,
    /// What the cached positions were computed with; without meaning while there are none.
    adapters: [u8; 32],
}

impl Session {
    pub(super) fn new(model: Arc<LanguageModel>, capacity: usize) -> Result<Self> {
        let limit = model.description().context_length;
        if capacity == 0 {
            return Err(Error::InvalidArgument("a session for 0 tokens".to_owned()));
        }
        if capacity > limit {
            return Err(Error::ContextFull { tokens: capacity, limit });
        }
        let state = match model.portable() {
            Some(portable) => State::Portable(Box::new(PortableState::new(&model, portable, capacity)?)),
            None => State::Cpu(Box::new(CpuState::new(&model, capacity, model.prefill_piece().min(capacity)))),
        };
        let logits = vec![0.0; model.description().vocab];
        Ok(Self { model, state, tokens: Vec::with_capacity(capacity), capacity, logits, rows: 0, adapters: [0; 32] })
    }

    /// The model.
    pub fn model(&self) -> &Arc<LanguageModel> {
        &self.model
    }

    /// How many tokens are in the cache.
    pub fn position(&self) -> usize {
        self.tokens.len()
    }

    /// The tokens in the cache.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How many tokens fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that the full cache takes. They become resident as positions are filled.
    pub fn cache_bytes(&self) -> usize {
        self.state.cache_bytes()
    }

    /// The logits of the last position, `vocab` of them, if the last call computed them.
    pub fn logits(&self) -> Option<&[f32]> {
        self.logits_back(0)
    }

    /// The logits of the position `back` before the last one, if the last call computed them.
    pub fn logits_back(&self, back: usize) -> Option<&[f32]> {
        let vocab = self.model.description().vocab;
        let row = self.rows.checked_sub(back + 1)?;
        self.logits.get(row * vocab..(row + 1) * vocab)
    }

    /// Appends `tokens` and returns the logits of the last one, `vocab` of them.
    ///
    /// # Errors
    /// [`Error::ContextFull`] before anything is computed; [`Error::InvalidArgument`] for no tokens, a token outside the vocabulary, or
    /// adapters other than those the cache was computed with; [`Error::AdapterMismatch`] for an adapter of another
    /// model; [`Error::Cancelled`] within one piece of the cancellation.
    pub fn prefill(&mut self, tokens: &[u32], adapters: Option<&AdapterSet>, cancel: &CancelToken) -> Result<&[f32]> {
        self.prefill_with_progress(tokens, adapters, cancel, &mut |_, _| {})
    }

    /// As [`prefill`](Self::prefill); calls `progress(done, all)` after each piece.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    pub fn prefill_with_progress(
        &mut self,
        tokens: &[u32],
        adapters: Option<&AdapterSet>,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<&[f32]> {
        self.append(tokens, 1, adapters, cancel, progress)?;
        Ok(&self.logits[..self.model.description().vocab])
    }

    /// Appends `tokens` and computes the logits of the last `n` of them, which [`logits_back`](Self::logits_back) then
    /// gives: for checking drafts. 0 only fills the cache, which saves the product with the output head.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    pub fn prefill_last(
        &mut self,
        tokens: &[u32],
        n: usize,
        adapters: Option<&AdapterSet>,
        cancel: &CancelToken,
    ) -> Result<()> {
        self.append(tokens, n, adapters, cancel, &mut |_, _| {})
    }

    /// Appends `tokens` and returns the logits of each, `(tokens, vocab)` row-major: for measuring likelihoods.
    /// The result is as large as it says: 152,000 tokens of vocabulary make 600 kB a position.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    pub fn forward_all(
        &mut self,
        tokens: &[u32],
        adapters: Option<&AdapterSet>,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>> {
        self.append(tokens, tokens.len(), adapters, cancel, &mut |_, _| {})?;
        let vocab = self.model.description().vocab;
        let mut out = std::mem::take(&mut self.logits);
        out.truncate(tokens.len() * vocab);
        self.logits = out[(tokens.len() - 1) * vocab..].to_vec();
        self.rows = 1;
        Ok(out)
    }

    /// Appends `tokens` piece by piece, with logits for the last `n`.
    fn append(
        &mut self,
        tokens: &[u32],
        n: usize,
        adapters: Option<&AdapterSet>,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<()> {
        self.check(tokens, adapters)?;
        let vocab = self.model.description().vocab;
        let n = n.min(tokens.len());
        let first_wanted = tokens.len() - n;
        self.rows = 0;
        let needed = n.max(1) * vocab;
        if self.logits.len() < needed {
            self.logits.resize(needed, 0.0);
        }
        let (mut done, mut rows) = (0, 0);
        for piece in tokens.chunks(self.model.prefill_piece()) {
            cancel.check()?;
            let wanted = Wanted::last((done + piece.len()).saturating_sub(first_wanted.max(done)));
            let work = Piece { tokens: piece, first_position: self.tokens.len(), adapters, wanted };
            let logits = &mut self.logits[rows * vocab..(rows + wanted.rows(piece.len())) * vocab];
            self.state.forward(&self.model, &work, logits)?;
            cap(self.model.description().logit_cap, logits);
            rows += wanted.rows(piece.len());
            self.tokens.extend_from_slice(piece);
            done += piece.len();
            progress(done, tokens.len());
        }
        self.rows = rows;
        Ok(())
    }

    /// Everything that can be wrong with a call, before it changes anything.
    fn check(&mut self, tokens: &[u32], adapters: Option<&AdapterSet>) -> Result<()> {
        if tokens.is_empty() {
            return Err(Error::InvalidArgument("no tokens".to_owned()));
        }
        let needed = self.tokens.len().saturating_add(tokens.len());
        if needed > self.capacity {
            return Err(Error::ContextFull { tokens: needed, limit: self.capacity });
        }
        let vocab = self.model.description().vocab;
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocab) {
            return Err(Error::InvalidArgument(format!("token {token} of a vocabulary of {vocab}")));
        }
        let id = adapters.map(AdapterSet::id).unwrap_or_default();
        if let Some(set) = adapters {
            set.check(&self.model)?;
        }
        if !self.tokens.is_empty() && id != self.adapters {
            return Err(Error::InvalidArgument("the cache was computed with other adapters".to_owned()));
        }
        self.adapters = id;
        Ok(())
    }

    /// Forgets all but the first `n` tokens; nothing happens if there are no more. Costs nothing.
    pub fn truncate(&mut self, n: usize) {
        if n < self.tokens.len() {
            self.tokens.truncate(n);
            self.rows = 0;
        }
    }

    /// Copies the cache of some positions, to be kept and put back later.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the range is empty or not within the cached positions.
    pub fn snapshot(&self, range: Range<usize>) -> Result<KvSnapshot> {
        if range.is_empty() || range.end > self.tokens.len() {
            let n = self.tokens.len();
            return Err(Error::InvalidArgument(format!("a snapshot of positions {range:?} of {n}")));
        }
        let layers = self.model.description().n_layers;
        let mut data = Vec::with_capacity(layers * range.len() * self.state.bytes_per_position());
        for layer in 0..layers {
            data.extend(self.state.export(layer, range.clone())?);
        }
        Ok(KvSnapshot {
            model: self.model.identity(),
            backend: self.model.backend_tag(),
            adapters: self.adapters,
            start: range.start,
            tokens: self.tokens[..range.end].to_vec(),
            data,
        })
    }

    /// Puts a snapshot back: the session then stands at its end. Positions before its start must hold the very tokens
    /// it was taken behind, because keys and values depend on all tokens before them. Logits are not part of a
    /// snapshot; the next [`prefill`](Self::prefill) gives them.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it belongs to another model, compute path or adapter set, or stands behind other
    /// tokens; [`Error::ContextFull`] if it is longer than this session.
    pub fn restore(&mut self, snapshot: &KvSnapshot) -> Result<()> {
        let invalid = |reason: &str| Err(Error::InvalidArgument(format!("the snapshot {reason}")));
        if snapshot.model != self.model.identity() || snapshot.backend != self.model.backend_tag() {
            return invalid("belongs to another model or compute path");
        }
        let end = snapshot.tokens.len();
        if end > self.capacity {
            return Err(Error::ContextFull { tokens: end, limit: self.capacity });
        }
        let start = snapshot.start;
        if self.tokens.len() < start || self.tokens[..start] != snapshot.tokens[..start] {
            return invalid("stands behind other tokens");
        }
        if start > 0 && self.adapters != snapshot.adapters {
            return invalid("was computed with other adapters");
        }
        let vocab = self.model.description().vocab;
        if snapshot.tokens.iter().any(|token| *token as usize >= vocab) {
            return invalid("has a token outside the vocabulary");
        }
        let layers = self.model.description().n_layers;
        let bytes = (end - start) * self.state.bytes_per_position();
        if bytes.checked_mul(layers) != Some(snapshot.data.len()) || bytes == 0 {
            return invalid("has another size than this model's cache");
        }
        self.truncate(start);
        for (layer, data) in snapshot.data.chunks_exact(bytes).enumerate() {
            self.state.import(layer, start..end, data)?;
        }
        self.tokens.extend_from_slice(&snapshot.tokens[start..]);
        self.adapters = snapshot.adapters;
        self.rows = 0;
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("position", &self.tokens.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// `cap · tanh(logits / cap)`.
fn cap(cap: Option<f32>, logits: &mut [f32]) {
    if let Some(cap) = cap {
        for logit in logits {
            *logit = cap * (*logit / cap).tanh();
        }
    }
}
