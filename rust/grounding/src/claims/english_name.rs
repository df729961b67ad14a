//! English names of several capitalised words.

use super::scan::Line;
use super::value::{Found, Value};

/// Words that may stand inside a name in lower case.
const INSIDE: [&str; 5] = ["of", "the", "and", "for", "on"];

/// Words that are capitalised where a sentence begins, and begin no name.
const OPENINGS: &[&str] = &[
    "a",
    "an",
    "the",
    "this",
    "that",
    "these",
    "those",
    "if",
    "in",
    "on",
    "at",
    "by",
    "for",
    "from",
    "to",
    "under",
    "when",
    "where",
    "while",
    "with",
    "within",
    "without",
    "after",
    "before",
    "as",
    "and",
    "but",
    "or",
    "no",
    "not",
    "any",
    "all",
    "each",
    "every",
    "both",
    "it",
    "its",
    "he",
    "she",
    "they",
    "you",
    "your",
    "we",
    "our",
    "i",
    "there",
    "here",
    "however",
    "according",
    "yes",
    "such",
    "unless",
    "until",
    "because",
    "since",
    "then",
    "per",
];

/// Every run of two capitalised words or more. The first word of a sentence belongs to it unless it is a common word.
pub(super) fn names(line: &Line) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let Some((word, end)) = capitalised(line, at) else {
            at += 1;
            continue;
        };
        if OPENINGS.contains(&word.as_str()) {
            at = end;
            continue;
        }
        let (mut last, mut n_words) = (end, 1);
        let mut from = end;
        while line.char(from) == Some(' ') {
            if let Some((_, end)) = capitalised(line, from + 1) {
                (last, from, n_words) = (end, end, n_words + 1);
            } else if let Some((_, end)) = line.word(from + 1).filter(|(word, _)| INSIDE.contains(&word.as_str())) {
                from = end;
            } else {
                break;
            }
        }
        if n_words >= 2 {
            found.push(Found::claim(Value::EnglishName(line.text(at..last)), at..last));
        }
        at = last.max(at + 1);
    }
    found
}

/// A word with a capital first letter that begins at `at`.
fn capitalised(line: &Line, at: usize) -> Option<(String, usize)> {
    line.char(at).filter(char::is_ascii_uppercase)?;
    // Part of a code: B2B, 3D.
    if line.before(at).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    line.word(at).filter(|(_, end)| !line.char(*end).is_some_and(|c| c.is_ascii_digit()))
}

/// Whether the sources have the name, its words, or its initials. `lower` is `text` in lower case.
pub(super) fn is_named(name: &str, text: &str, lower: &str) -> bool {
    let initials: String =
        name.split(' ').filter_map(|word| word.chars().next()).filter(char::is_ascii_uppercase).collect();
    let has_word = |word: &str| {
        let word = word.to_lowercase();
        INSIDE.contains(&word.as_str()) || lower.contains(word.strip_suffix('s').unwrap_or(&word))
    };
    lower.contains(&name.to_lowercase())
        || name.split(' ').all(has_word)
        || initials.len() >= 3 && text.split(|c: char| !c.is_alphanumeric()).any(|word| word == initials)
}
