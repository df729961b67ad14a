//! Finding and checking citations: spans of the answer that stand, byte for byte, in a passage.

use std::collections::HashMap;
use std::ops::Range;

use lorekit_store::Passage;

use crate::Citation;

/// Characters in the windows by which equal spans are found.
const WINDOW: usize = 8;
/// A quote is at least this many Han characters …
const MIN_HAN: usize = 8;
/// … or this many words.
const MIN_WORDS: usize = 5;

/// A citation for a span that is known to be copied; `None` when the bytes disagree after all.
pub(crate) fn checked(
    answer: &str,
    span: Range<usize>,
    passages: &[&Passage],
    passage: usize,
    quoted: Range<usize>,
) -> Option<Citation> {
    let source = passages.get(passage)?;
    let (said, stands) = (answer.get(span.clone())?, source.text.get(quoted.clone())?);
    (said == stands && !said.is_empty()).then(|| Citation {
        answer: span,
        passage,
        source: source_range(source, &quoted),
        origin: source.origin,
        quoted,
    })
}

/// Every maximal span of `answer` from `from` on that stands in a passage and is long enough to be a quote,
/// in order, without overlaps; the earlier passage wins among equals.
pub(crate) fn verbatim(answer: &str, from: usize, passages: &[&Passage]) -> Vec<Citation> {
    let windows = index_windows(passages);
    let starts: Vec<usize> =
        answer.char_indices().map(|(at, _)| at).filter(|at| *at >= from).chain([answer.len()]).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at + WINDOW < starts.len() {
        let window = &answer[starts[at]..starts[at + WINDOW]];
        let best = windows
            .get(window)
            .into_iter()
            .flatten()
            .map(|&(passage, offset)| {
                (common(&answer[starts[at]..], &passages[passage].text[offset..]), passage, offset)
            })
            .max_by_key(|&(len, passage, _)| (len, std::cmp::Reverse(passage)));
        let Some((len, passage, offset)) = best else {
            at += 1;
            continue;
        };
        let trimmed = to_word_boundaries(answer, starts[at]..starts[at] + len);
        let quoted = offset + (trimmed.start - starts[at])..offset + (trimmed.end - starts[at]);
        if long_enough(&answer[trimmed.clone()]) {
            found.extend(checked(answer, trimmed, passages, passage, quoted));
            let end = starts[at] + len;
            at = starts.partition_point(|start| *start < end);
        } else {
            at += 1;
        }
    }
    found
}

fn index_windows<'p>(passages: &[&'p Passage]) -> HashMap<&'p str, Vec<(usize, usize)>> {
    let mut windows: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (n, passage) in passages.iter().enumerate() {
        let text = passage.text.as_str();
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for pair in starts.windows(WINDOW + 1) {
            windows.entry(&text[pair[0]..pair[WINDOW]]).or_default().push((n, pair[0]));
        }
    }
    windows
}

/// Bytes that two texts have in common from their start, whole characters.
fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum()
}

/// Cuts words that the span holds only in part, and white space at both ends.
fn to_word_boundaries(text: &str, span: Range<usize>) -> Range<usize> {
    let inside_word = |at: usize| {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_han(c));
        is_word(text[..at].chars().next_back()) && is_word(text[at..].chars().next())
    };
    let mut range = span;
    while range.start < range.end && inside_word(range.start) {
        range.start += text[range.start..].chars().next().map_or(1, char::len_utf8);
    }
    while range.start < range.end && inside_word(range.end) {
        range.end -= text[..range.end].chars().next_back().map_or(1, char::len_utf8);
    }
    let piece = &text[range.clone()];
    let start = range.start + piece.len() - piece.trim_start().len();
    start..(start + piece.trim().len())
}

fn long_enough(text: &str) -> bool {
    let han = text.chars().filter(|c| is_han(*c)).count();
    let words = text.split_whitespace().filter(|word| word.chars().any(|c| c.is_alphanumeric() && !is_han(c))).count();
    han >= MIN_HAN || words >= MIN_WORDS
}

/// Whether a character is a CJK ideograph (the unified block and its extension A, compatibility, 〇).
pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}' | '〇')
}

/// Bytes of the source file for a part of a passage's text.
fn source_range(passage: &Passage, quoted: &Range<usize>) -> Range<u64> {
    // Equal lengths mean that normalisation changed nothing between the two ends.
    if passage.source.end.saturating_sub(passage.source.start) == passage.text.len() as u64 {
        passage.source.start + quoted.start as u64..passage.source.start + quoted.end as u64
    } else {
        passage.source.clone()
    }
}
