//! What a compute path has to offer to a [`Session`](super::Session).

use super::cpu::CpuState;
use super::model::LanguageModel;
use super::portable::PortableState;
use crate::Result;
use crate::lora::AdapterSet;

/// Which positions of a piece need logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None: the piece only fills the cache.
    None,
    /// That many at the end, in order.
    Last(usize),
}

impl Wanted {
    /// The last `n`, where 0 is none.
    pub(crate) fn last(n: usize) -> Self {
        if n == 0 { Self::None } else { Self::Last(n) }
    }

    /// How many of `n` positions that is.
    pub(crate) fn rows(self, n: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last(last) => last.min(n),
        }
    }
}

/// One piece of work: some tokens in a row, the first at `first_position`, all before it in the cache.
pub(crate) struct Piece<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) first_position: usize,
    pub(crate) adapters: Option<&'a AdapterSet>,
    pub(crate) wanted: Wanted,
}

/// The cache and the buffers of a session, in the form its compute path needs.
pub(crate) enum State {
    Cpu(Box<CpuState>),
    Portable(Box<PortableState>),
}

impl State {
    /// Computes a piece; `logits` has `wanted.rows(tokens) * vocab` numbers. The caller has checked token ids and room.
    /// After an error the cache may hold anything at and behind `first_position`, and what it held before it.
    pub(crate) fn forward(&mut self, model: &LanguageModel, piece: &Piece<'_>, logits: &mut [f32]) -> Result<()> {
        match self {
            Self::Cpu(state) => state.forward(model, piece, logits),
            Self::Portable(state) => state.forward(model, piece, logits),
        }
    }

    /// The stored bytes of positions of one layer.
    pub(crate) fn export(&self, layer: usize, range: std::ops::Range<usize>) -> Result<Vec<u8>> {
        match self {
            Self::Cpu(state) => Ok(state.export(layer, range)),
            Self::Portable(state) => state.export(layer, range),
        }
    }

    /// How many bytes [`export`](Self::export) gives for each position of a layer.
    pub(crate) fn bytes_per_position(&self) -> usize {
        match self {
            Self::Cpu(state) => state.bytes_per_position(),
            Self::Portable(state) => state.bytes_per_position(),
        }
    }

    /// Puts back what [`export`](Self::export) gave.
    pub(crate) fn import(&mut self, layer: usize, range: std::ops::Range<usize>, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Cpu(state) => state.import(layer, range, bytes),
            Self::Portable(state) => state.import(layer, range, bytes),
        }
    }

    /// Bytes the cache takes when full.
    pub(crate) fn cache_bytes(&self) -> usize {
        match self {
            Self::Cpu(state) => state.cache_bytes(),
            Self::Portable(state) => state.cache_bytes(),
        }
    }
}
