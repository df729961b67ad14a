//! Cutting text into the words that byte-level BPE merges within.
//!
//! The expressions are those of the models' own tokenizer definitions (`pre_tokenizer` in `tokenizer.json`). All of
//! them end in `\s+(?!\S)|\s+`: a run of blanks leaves its last one to the word that follows. That look-ahead is
//! done here by hand, so that an engine without backtracking, of linear time on any text, can do the rest.

use regex::Regex;

/// GPT-2's words (its `encoder.py`).
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
/// Qwen 2's words: digits stand alone.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
/// Llama 3's words, also GLM-4's: digits in threes.
const LLAMA3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";

/// How a model's text becomes words (`tokenizer.ggml.pre`).
pub(super) struct Splitter {
    words: Regex,
    /// A run of blanks that ends in a line break is a word as it is (`\s*[\r\n]+` comes before `\s+`).
    line_breaks_apart: bool,
    /// Digits are cut out one by one before all else.
    digits_apart: bool,
    /// Text is brought to Unicode's composed form (NFC) first.
    pub(super) composed: bool,
    /// A word that is a token is taken whole, even if no merges lead to it.
    pub(super) whole_words: bool,
}

impl Splitter {
    /// The splitter of that name; none for a name not known here, since a wrong one gives wrong tokens silently.
    pub(super) fn named(pre: &str) -> Option<Splitter> {
        let (words, digits_apart, composed, whole_words) = match pre {
            "gpt-2" | "default" => (GPT2, false, false, false),
            "smollm" => (GPT2, true, false, false),
            "qwen2" => (QWEN2, false, true, false),
            "llama-bpe" | "llama3" | "llama-v3" => (LLAMA3, false, false, true),
            "glm4" | "chatglm-bpe" => (LLAMA3, false, false, false),
            _ => return None,
        };
        let line_breaks_apart = words != GPT2;
        let words = Regex::new(words).expect("the expressions are constants, and tests compile each");
        Some(Splitter { words, line_breaks_apart, digits_apart, composed, whole_words })
    }

    /// Calls `each` with every word, in order; together they are the text.
    pub(super) fn words<'t>(&self, text: &'t str, mut each: impl FnMut(&'t str)) {
        if !self.digits_apart {
            return self.cut(text, &mut each);
        }
        let mut rest = text;
        while let Some(at) = rest.find(char::is_numeric) {
            self.cut(&rest[..at], &mut each);
            let digit = rest[at..].chars().next().map_or(0, char::len_utf8);
            each(&rest[at..at + digit]);
            rest = &rest[at + digit..];
        }
        self.cut(rest, &mut each);
    }

    fn cut<'t>(&self, text: &'t str, each: &mut impl FnMut(&'t str)) {
        let mut at = 0;
        while at < text.len() {
            // The expressions match at every place; an unmatched rest would be a word of its own.
            let Some(found) = self.words.find_at(text, at) else {
                break;
            };
            if found.start() > at {
                each(&text[at..found.start()]);
            }
            let mut end = found.end();
            let word = found.as_str();
            let last = word.chars().next_back().map_or(0, char::len_utf8);
            let blank =
                word.chars().all(char::is_whitespace) && !(self.line_breaks_apart && word.ends_with(['\r', '\n']));
            if blank && end < text.len() && last < word.len() {
                end -= last;
            }
            each(&text[found.start()..end]);
            at = end;
        }
        if at < text.len() {
            each(&text[at..]);
        }
    }
}
