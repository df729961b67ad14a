//! Byte-level BPE (`tokenizer.ggml.model = gpt2`).
//!
//! Not the BPE of the `tokenizers` crate: that one keeps the vocabulary twice as strings and the merges in a third
//! table, built anew at each start from an owned copy, and finds control tokens in any text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::byte_level::ByteLevel;
use super::merge::Merger;
use super::split::Splitter;
use super::vocabulary::{NONE, Vocabulary, mix};
use crate::Result;
use crate::gguf::Gguf;

/// Merges by their two tokens: rank, and the token they make.
type Merges = HashMap<(u32, u32), (u32, u32), BuildHasherDefault<PairHasher>>;

pub(super) struct Bpe {
    splitter: Splitter,
    byte_token: [u32; 256],
    merges: Merges,
}

impl Bpe {
    pub(super) fn read(gguf: &Gguf) -> Result<(Vocabulary, Bpe)> {
        let pre = gguf.str("tokenizer.ggml.pre").unwrap_or("none");
        let splitter =
            Splitter::named(pre).ok_or_else(|| gguf.unsupported("pre-tokenizer (tokenizer.ggml.pre)", pre))?;
        let level = ByteLevel::new();
        let vocabulary = Vocabulary::read(gguf, |token, arena| {
            let start = arena.len();
            if !level.decode(token, arena) {
                // An added token that the file calls normal stands in clear.
                arena.truncate(start);
                arena.extend(token.as_bytes());
            }
            true
        })?;
        let lines = gguf.require_array("tokenizer.ggml.merges")?;
        let mut merges = Merges::with_capacity_and_hasher(lines.len(), BuildHasherDefault::default());
        let mut joined = Vec::new();
        for (rank, line) in lines.iter_str().enumerate() {
            let malformed = || gguf.damaged(format!("tokenizer.ggml.merges: merge {rank} is malformed"));
            let (left, right) = line.split_once(' ').ok_or_else(malformed)?;
            joined.clear();
            let well_formed = level.decode(left, &mut joined);
            let middle = joined.len();
            if !well_formed || !level.decode(right, &mut joined) {
                return Err(malformed());
            }
            let (left, right) = (vocabulary.find(&joined[..middle]), vocabulary.find(&joined[middle..]));
            let id = vocabulary.find(&joined);
            if [left, right, id].contains(&NONE) {
                return Err(gguf.damaged(format!("tokenizer.ggml.merges: merge {rank} names a token that is missing")));
            }
            merges.entry((left, right)).or_insert((rank as u32, id));
        }
        let mut byte_token = [NONE; 256];
        for byte in 0..=255u8 {
            byte_token[usize::from(byte)] = vocabulary.find(&[byte]);
        }
        Ok((vocabulary, Bpe { splitter, byte_token, merges }))
    }

    /// Appends the tokens of plain text.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, merger: &mut Merger, out: &mut Vec<u32>) {
        let composed: String;
        let text = if self.splitter.composed && is_nfc_quick(text.chars()) != IsNormalized::Yes {
            composed = text.nfc().collect();
            &composed
        } else {
            text
        };
        self.splitter.words(text, |word| {
            if self.splitter.whole_words {
                let id = vocabulary.find(word.as_bytes());
                if id != NONE {
                    out.push(id);
                    return;
                }
            }
            for &byte in word.as_bytes() {
                merger.push(1, self.byte_token[usize::from(byte)]);
            }
            let pair = |l: super::merge::Symbol, r: super::merge::Symbol| self.merges.get(&(l.id, r.id)).copied();
            // A byte without a token is left out, as the original tokenizers do. Complete vocabularies have all.
            merger.finish(pair, |symbol| out.extend(Some(symbol.id).filter(|&id| id != NONE)));
        });
    }
}

/// Hashes a pair of tokens by one multiplication: the default hash would be most of the loading time.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u32(b.into()));
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = self.0.rotate_left(32) ^ u64::from(n);
    }

    fn finish(&self) -> u64 {
        mix(self.0 ^ 0x2545_f491_4f6c_dd1d, 0x9e37_79b9_7f4a_7c15)
    }
}
