//! The text the recognizers read: full-width forms made narrow, look-alike spaces and dashes made plain,
//! invisible characters dropped; with a map back to the original bytes.

use std::borrow::Cow;
use std::ops::Range;

/// A folded text that knows where each of its bytes came from.
pub(crate) struct Folded<'t> {
    original: &'t str,
    text: Cow<'t, str>,
    /// For each folded byte, the original byte at which its character starts; absent where folding changed nothing.
    starts: Option<Vec<usize>>,
}

/// What a character becomes: `None` drops it.
/// Full-width punctuation that Chinese prose uses (，：；（）！？) stays, so that most text needs no map.
fn fold(c: char) -> Option<char> {
    match c {
        '，' | '：' | '；' | '（' | '）' | '！' | '？' => Some(c),
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).or(Some(c)),
        '\u{3000}' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' => Some(' '),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => Some('-'),
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}' => None,
        _ => Some(c),
    }
}

impl<'t> Folded<'t> {
    pub(crate) fn new(original: &'t str) -> Self {
        if original.is_ascii() || original.chars().all(|c| fold(c) == Some(c)) {
            return Self { original, text: Cow::Borrowed(original), starts: None };
        }
        let mut text = String::with_capacity(original.len());
        let mut starts = Vec::with_capacity(original.len());
        for (at, c) in original.char_indices() {
            if let Some(folded) = fold(c) {
                text.push(folded);
                starts.resize(text.len(), at);
            }
        }
        Self { original, text: Cow::Owned(text), starts: Some(starts) }
    }

    /// The folded text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The original bytes of a range of the folded text.
    pub(crate) fn original(&self, range: &Range<usize>) -> Range<usize> {
        let Some(starts) = &self.starts else { return range.clone() };
        if range.is_empty() {
            let at = starts.get(range.start).copied().unwrap_or(self.original.len());
            return at..at;
        }
        let last = starts[range.end - 1];
        let width = self.original[last..].chars().next().map_or(0, char::len_utf8);
        starts[range.start]..last + width
    }
}

/// The text as it is compared and hashed: folded, and reduced to its letters and digits.
pub(crate) fn compact(text: &str) -> String {
    text.chars().filter_map(fold).filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_the_folded_text_maps_to_the_original_bytes() {
        let original = "号\u{200B}码１３９－００x";
        let folded = Folded::new(original);
        assert_eq!(folded.text(), "号码139-00x");
        let at = folded.text().find("139-00").unwrap();
        assert_eq!(&original[folded.original(&(at..at + 6))], "１３９－００");
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(Folded::new("中文，plain：text").text, Cow::Borrowed(_)));
    }
}
