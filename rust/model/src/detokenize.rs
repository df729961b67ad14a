//! From tokens to text while they are generated: whole characters only.

use crate::Tokenizer;

/// Collects the bytes of tokens and hands out the characters that are complete. A Chinese character or an emoji
/// often takes two to four tokens.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    /// The beginning of a character, at most three bytes between calls.
    pending: Vec<u8>,
    complete: String,
}

impl Detokenizer {
    /// A detokenizer at the start of a text.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        Detokenizer { tokenizer: tokenizer.clone(), pending: Vec::new(), complete: String::new() }
    }

    /// Takes the next token and returns the characters that it completed, often none or several. Bytes that can be
    /// no part of any character come out as U+FFFD; control tokens add nothing.
    pub fn push(&mut self, id: u32) -> &str {
        self.complete.clear();
        self.pending.extend(self.tokenizer.token_bytes(id));
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(text) => {
                    self.complete.push_str(text);
                    self.pending.clear();
                    break;
                }
                Err(error) => {
                    let (valid, rest) = self.pending.split_at(error.valid_up_to());
                    self.complete.push_str(&String::from_utf8_lossy(valid)); // borrows: it is valid
                    let Some(wrong) = error.error_len() else {
                        self.pending = rest.to_vec();
                        break;
                    };
                    self.complete.push(char::REPLACEMENT_CHARACTER);
                    self.pending = rest[wrong..].to_vec();
                }
            }
        }
        &self.complete
    }

    /// Ends the text: a character that was begun and never completed becomes one U+FFFD.
    pub fn finish(&mut self) -> &str {
        self.complete.clear();
        if !self.pending.is_empty() {
            self.pending.clear();
            self.complete.push(char::REPLACEMENT_CHARACTER);
        }
        &self.complete
    }
}
