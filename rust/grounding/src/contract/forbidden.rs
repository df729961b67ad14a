//! Words that must not be written.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::text::{is_word, splits_word};

/// A word that must not be written, and the longer words in which it is something else.
///
/// In JSON a text, or an object with `word` and `unless`. Latin letters match whole words only, without regard to case in
/// ASCII; Chinese has no word boundaries, so there `unless` says which longer words are meant otherwise (亲 unless 父亲).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct ForbiddenWord {
    /// The word.
    pub word: String,
    /// Longer words that hold it and are fine.
    pub unless: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Full {
        word: String,
        #[serde(default)]
        unless: Vec<String>,
    },
}

impl From<Written> for ForbiddenWord {
    fn from(written: Written) -> Self {
        match written {
            Written::Plain(word) => Self { word, unless: Vec::new() },
            Written::Full { word, unless } => Self { word, unless },
        }
    }
}

impl ForbiddenWord {
    /// A word without exceptions.
    pub fn new(word: impl Into<String>) -> Self {
        Self { word: word.into(), unless: Vec::new() }
    }

    /// The same word, allowed inside these longer ones.
    pub fn unless<'w>(mut self, longer: impl IntoIterator<Item = &'w str>) -> Self {
        self.unless.extend(longer.into_iter().map(str::to_owned));
        self
    }

    /// Every place of the word in a text, as bytes.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let (text_folded, word) = (text.to_ascii_lowercase(), self.word.to_ascii_lowercase());
        if word.is_empty() {
            return Vec::new();
        }
        let excused: Vec<Range<usize>> = self
            .unless
            .iter()
            .filter(|longer| !longer.is_empty())
            .flat_map(|longer| places(&text_folded, &longer.to_ascii_lowercase()))
            .collect();
        let begins = word.chars().next().is_some_and(is_word);
        let ends = word.chars().next_back().is_some_and(is_word);
        places(&text_folded, &word)
            .into_iter()
            .filter(|at| !(begins && splits_word(text, at.start) || ends && splits_word(text, at.end)))
            .filter(|at| !excused.iter().any(|longer| longer.start <= at.start && at.end <= longer.end))
            .collect()
    }
}

/// Also places that overlap: `match_indices` alone would skip them.
fn places(text: &str, word: &str) -> Vec<Range<usize>> {
    let step = word.chars().next().map_or(1, char::len_utf8);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(word)) {
        found.push(from + at..from + at + word.len());
        from += at + step;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_alone_and_not_inside_words_that_mean_otherwise() {
        let dear = ForbiddenWord::new("亲").unless(["亲属", "父亲", "亲自"]);
        for (text, n) in [("亲，您好", 1), ("近亲属与父亲须亲自到场", 0), ("好的亲亲", 2), ("父亲亲自来", 0), ("", 0)]
        {
            assert_eq!(dear.find(text).len(), n, "{text}");
        }
        let hi = ForbiddenWord::new("hi");
        for (text, n) in [("Hi there, HI", 2), ("this ship", 0), ("ETF的hi", 1), ("hi-fi", 0)] {
            assert_eq!(hi.find(text).len(), n, "{text}");
        }
        assert!(ForbiddenWord::new("").find("任何文字").is_empty());
    }

    #[test]
    fn it_is_written_as_a_text_or_with_exceptions() {
        let list: Vec<ForbiddenWord> = serde_json::from_str(r#"["哈喽", {"word": "亲", "unless": ["父亲"]}]"#).unwrap();
        assert_eq!(list, [ForbiddenWord::new("哈喽"), ForbiddenWord::new("亲").unless(["父亲"])]);
    }
}
