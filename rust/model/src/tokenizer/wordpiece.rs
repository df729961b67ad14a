//! WordPiece (`tokenizer.ggml.model = bert`): the longest piece first, within words.
//!
//! Devlin et al., "BERT" (2018). Cleaning, lower-casing and cutting into words are the `tokenizers` crate's, the
//! original implementation. In GGUF a piece that begins a word has a leading `▁` (a space here), one that continues
//! a word has nothing, where BERT's own file has nothing and `##`.

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::vocabulary::{Kind, NONE, Vocabulary};
use crate::gguf::Gguf;
use crate::{Error, Result};

/// Longer words are unknown without trying (`max_input_chars_per_word`).
const LONGEST_WORD: usize = 100;

pub(super) struct WordPiece {
    normalizer: BertNormalizer,
    unknown: u32,
}

impl WordPiece {
    pub(super) fn read(gguf: &Gguf) -> Result<(Vocabulary, WordPiece)> {
        let vocabulary = Vocabulary::read(gguf, |token, arena| {
            match token.strip_prefix('▁') {
                Some(word) => {
                    arena.push(b' ');
                    arena.extend(word.as_bytes());
                }
                None => arena.extend(token.as_bytes()),
            }
            true
        })?;
        let unknown = match vocabulary.id_key(gguf, "tokenizer.ggml.unknown_token_id")? {
            Some(id) => id,
            None => (0..vocabulary.len() as u32)
                .find(|&id| vocabulary.kind(id) == Kind::Unknown || vocabulary.bytes(id) == b"[UNK]")
                .ok_or_else(|| gguf.damaged("the vocabulary has no unknown token"))?,
        };
        let lowercase = gguf.bool("tokenizer.ggml.normalizer.lowercase").unwrap_or(true);
        let strip_accents = gguf.bool("tokenizer.ggml.normalizer.strip_accents").unwrap_or(lowercase);
        let normalizer = BertNormalizer::new(true, true, Some(strip_accents), lowercase);
        Ok((vocabulary, WordPiece { normalizer, unknown }))
    }

    /// Appends the tokens of plain text.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<u32>) -> Result<()> {
        // The message is about the crate's own state; it cannot quote the text.
        let failed = |_| Error::InvalidArgument("the text cannot be cut into words".to_owned());
        let mut normal = NormalizedString::from(text);
        self.normalizer.normalize(&mut normal).map_err(failed)?;
        let mut words = PreTokenizedString::from(normal);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(failed)?;
        let mut spaced = Vec::new();
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            spaced.clear();
            spaced.push(b' ');
            spaced.extend(word.as_bytes());
            let before = out.len();
            if word.chars().count() > LONGEST_WORD || !longest_first(vocabulary, &spaced, out) {
                out.truncate(before);
                out.push(self.unknown);
            }
        }
        Ok(())
    }
}

/// Covers a word, which has a space before it, by the longest pieces from the left; false where one is missing.
fn longest_first(vocabulary: &Vocabulary, word: &[u8], out: &mut Vec<u32>) -> bool {
    let mut start = 0;
    while start < word.len() {
        // A token of bytes that end within a character cannot be found: all tokens are whole characters.
        let longest = (start + 1..=word.len()).rev().find_map(|end| {
            let id = vocabulary.find(&word[start..end]);
            (id != NONE && !(start == 0 && end == 1)).then_some((end, id))
        });
        let Some((end, id)) = longest else {
            return false;
        };
        out.push(id);
        start = end;
    }
    true
}
