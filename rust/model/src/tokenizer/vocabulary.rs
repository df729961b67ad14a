//! The tokens of a model: their bytes in one arena, their kinds, and the way back from bytes to id.

use crate::gguf::Gguf;
use crate::{Error, Result};

/// What a token is for (`tokenizer.ggml.token_type`; the numbers are SentencePiece's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A piece of text.
    Normal,
    /// Stands for text that the vocabulary cannot express.
    Unknown,
    /// Steers the model: never the result of plain text.
    Control,
    /// A text that is always one token, found before anything else.
    UserDefined,
    /// Fills the embedding table.
    Unused,
    /// One byte, for text that no piece covers.
    Byte,
}

impl Kind {
    fn from_number(n: i32) -> Option<Kind> {
        Some(match n {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return None,
        })
    }
}

/// "No token".
pub(super) const NONE: u32 = u32::MAX;
/// More tokens than any model has; a bound for the tables.
const MOST_TOKENS: usize = 1 << 22;

/// About ten bytes of heap for each token beside its text.
pub(super) struct Vocabulary {
    arena: Vec<u8>,
    /// Where each token's bytes end in `arena`.
    ends: Vec<u32>,
    kinds: Vec<Kind>,
    /// Ids of normal and user-defined tokens by the hash of their bytes: open addressing, a power of two of slots.
    slots: Vec<u32>,
}

impl Vocabulary {
    /// Reads tokens and kinds; `text` turns the form a normal token has in the file into its bytes, appended to the
    /// arena, or says that the form is wrong.
    pub(super) fn read(gguf: &Gguf, mut text: impl FnMut(&str, &mut Vec<u8>) -> bool) -> Result<Vocabulary> {
        let tokens = gguf.require_array("tokenizer.ggml.tokens")?;
        let n = tokens.len();
        if !tokens.is_str() || n == 0 || n > MOST_TOKENS {
            return Err(gguf.damaged(format!("tokenizer.ggml.tokens has {n} entries or is not of strings")));
        }
        let types = gguf.array("tokenizer.ggml.token_type").map(|types| types.to_i32());
        if types.as_ref().is_some_and(|types| types.len() != n) {
            return Err(gguf.damaged(format!("tokenizer.ggml.token_type has not {n} entries")));
        }
        let mut vocabulary = Vocabulary {
            arena: Vec::with_capacity(8 * n),
            ends: Vec::with_capacity(n),
            kinds: Vec::with_capacity(n),
            slots: vec![NONE; (2 * n).next_power_of_two()],
        };
        for (id, token) in tokens.iter_str().enumerate() {
            let number = types.as_ref().map_or(1, |types| types[id]);
            let kind = Kind::from_number(number)
                .ok_or_else(|| gguf.damaged(format!("tokenizer.ggml.token_type of token {id} is {number}")))?;
            let well_formed = match kind {
                Kind::Normal => text(token, &mut vocabulary.arena),
                Kind::Byte => hex_byte(token).map(|byte| vocabulary.arena.push(byte)).is_some(),
                _ => {
                    vocabulary.arena.extend(token.as_bytes());
                    true
                }
            };
            let end = u32::try_from(vocabulary.arena.len()).ok();
            match end.filter(|_| well_formed) {
                Some(end) => vocabulary.ends.push(end),
                None => {
                    return Err(gguf.damaged(format!("tokenizer.ggml.tokens: token {id} is malformed")));
                }
            }
            vocabulary.kinds.push(kind);
            if kind == Kind::Normal || (kind == Kind::UserDefined && !looks_like_control(token.as_bytes())) {
                vocabulary.index(id as u32);
            }
        }
        Ok(vocabulary)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The token's bytes; nothing for an id outside the vocabulary.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else {
            return &[];
        };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.arena[start as usize..end as usize]
    }

    /// The token's kind; an id outside the vocabulary is unused.
    pub(super) fn kind(&self, id: u32) -> Kind {
        self.kinds.get(id as usize).copied().unwrap_or(Kind::Unused)
    }

    /// The token of text with these bytes, or [`NONE`].
    pub(super) fn find(&self, bytes: &[u8]) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = hash(bytes) as usize & mask;
        loop {
            match self.slots[slot] {
                NONE => return NONE,
                id if self.bytes(id) == bytes => return id,
                _ => slot = (slot + 1) & mask, // half of the slots are empty: this ends
            }
        }
    }

    /// Adds a token; of two with the same bytes the first is found.
    fn index(&mut self, id: u32) {
        let mask = self.slots.len() - 1;
        let mut slot = hash(self.bytes(id)) as usize & mask;
        while self.slots[slot] != NONE {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = id;
    }

    /// The ids of the byte tokens, by byte, or [`NONE`].
    pub(super) fn byte_tokens(&self) -> [u32; 256] {
        let mut ids = [NONE; 256];
        for id in (0..self.len() as u32).filter(|&id| self.kind(id) == Kind::Byte) {
            ids[usize::from(self.bytes(id)[0])] = id;
        }
        ids
    }

    /// Reads `tokenizer.ggml.scores`, one for each token.
    pub(super) fn scores(&self, gguf: &Gguf) -> Result<Vec<f32>> {
        let scores = gguf.require_array("tokenizer.ggml.scores")?.to_f32();
        if scores.len() != self.len() || scores.iter().any(|s| s.is_nan()) {
            return Err(gguf.damaged(format!("tokenizer.ggml.scores has not {} numbers", self.len())));
        }
        Ok(scores)
    }

    /// A token id among the metadata, if it is there and in the vocabulary.
    pub(super) fn id_key(&self, gguf: &Gguf, key: &str) -> Result<Option<u32>, Error> {
        match gguf.u64(key) {
            None => Ok(None),
            Some(id) if id < self.len() as u64 => Ok(Some(id as u32)),
            Some(u64::MAX) => Ok(None),
            Some(id) if id == u64::from(u32::MAX) => Ok(None), // "none", as some converters write it
            Some(id) => Err(gguf.damaged(format!("{key} is {id}, of {} tokens", self.len()))),
        }
    }
}

/// Whether a user-defined token has the form `<|…|>`: some converters leave control tokens among those.
pub(super) fn looks_like_control(text: &[u8]) -> bool {
    text.starts_with(b"<|") && text.ends_with(b"|>")
}

/// `<0xE4>` is the byte token of 0xE4.
fn hex_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// A multiplicative hash, eight bytes at a time. A vocabulary made to collide only slows its own reader.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio
    let mut state = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        state = mix(state ^ u64::from_le_bytes(chunk.try_into().expect("chunks of eight")), FACTOR);
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(state ^ u64::from_le_bytes(last), FACTOR)
}

/// Folds the 128-bit product, so that high bits reach the low ones.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}
