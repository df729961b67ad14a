//! What counts as a quote.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::sentence::sentences;
use crate::text::{is_content, is_han, is_word, measure, splits_word};

/// Where a quote may begin and end. Never inside a character, a word or a number, whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// At any word; Chinese has no spaces, so at any Han character. A quote can then begin behind the 不 that it needs.
    Word,
    /// At clauses: the ends of sentences, and commas, semicolons and colons.
    #[default]
    Clause,
    /// At whole sentences.
    Sentence,
}

/// What counts as a quote: long enough to prove something, short enough to point at something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuoteRules {
    /// At least so many Han characters …
    pub min_han: usize,
    /// … or at least so many words of other scripts.
    pub min_words: usize,
    /// Touches at most so many sentences of the passage.
    pub max_sentences: usize,
    /// At most so many bytes; it also bounds what is built for a hostile passage.
    pub max_bytes: usize,
    /// Where the decoder begins and ends a quote. A passage that has no legal quote at these places is quoted by the next
    /// finer ones, so that a short rule can be quoted at all.
    pub boundary: Boundary,
}

impl Default for QuoteRules {
    fn default() -> Self {
        Self { min_han: 8, min_words: 5, max_sentences: 2, max_bytes: 2_000, boundary: Boundary::Clause }
    }
}

/// Why a span of a passage is not a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum QuoteFault {
    /// There is nothing to check.
    #[error("the quote is empty")]
    Empty,
    /// The text stands in no passage.
    #[error("the quote stands in no passage")]
    NotInPassages,
    /// Begins or ends inside a character, a word or a number, or with white space.
    #[error("the quote begins or ends inside a word")]
    Boundary,
    /// Fewer Han characters and fewer words than asked for.
    #[error("the quote is too short")]
    TooShort,
    /// More sentences or more bytes than allowed.
    #[error("the quote is too long")]
    TooLong,
    /// All that the passage says.
    #[error("the quote is the whole passage")]
    WholePassage,
}

impl QuoteRules {
    /// Whether bytes `range` of `passage` are a quote, whoever wrote it: boundaries are held to [`Boundary::Word`].
    ///
    /// # Errors
    /// The first fault found. Time is linear in the passage.
    pub fn check(&self, passage: &str, range: Range<usize>) -> Result<(), QuoteFault> {
        let text = passage.get(range.clone()).ok_or(QuoteFault::Boundary)?;
        if text.trim().is_empty() {
            return Err(QuoteFault::Empty);
        }
        let whole = is_edge_free(text) && !splits_word(passage, range.start) && !splits_word(passage, range.end);
        if !whole {
            return Err(QuoteFault::Boundary);
        }
        if !self.long_enough(text) {
            return Err(QuoteFault::TooShort);
        }
        let touched = sentences(passage).iter().filter(|s| s.start < range.end && range.start < s.end).count();
        if touched > self.max_sentences.max(1) || text.len() > self.max_bytes {
            return Err(QuoteFault::TooLong);
        }
        let content = content_range(passage);
        if range.start <= content.start && content.end <= range.end {
            return Err(QuoteFault::WholePassage);
        }
        Ok(())
    }

    /// Every place where `quote` stands in one of `passages` as a legal quote: the passage and its bytes.
    ///
    /// # Errors
    /// The fault of its first place when no place is legal; [`QuoteFault::NotInPassages`] when it stands nowhere.
    pub fn locate(&self, quote: &str, passages: &[&str]) -> Result<Vec<(usize, Range<usize>)>, QuoteFault> {
        if quote.trim().is_empty() {
            return Err(QuoteFault::Empty);
        }
        let mut found = Vec::new();
        let mut fault = QuoteFault::NotInPassages;
        for (n, passage) in passages.iter().enumerate() {
            for (at, _) in passage.match_indices(quote) {
                let range = at..at + quote.len();
                match self.check(passage, range.clone()) {
                    Ok(()) => found.push((n, range)),
                    Err(other) if fault == QuoteFault::NotInPassages => fault = other,
                    Err(_) => {}
                }
            }
        }
        if found.is_empty() { Err(fault) } else { Ok(found) }
    }

    fn long_enough(&self, text: &str) -> bool {
        let (han, words) = measure(text);
        han >= self.min_han.max(1) || words >= self.min_words.max(1)
    }
}

/// One place where a quote may begin, and where it may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) at: usize,
    /// The first legal end.
    pub(crate) first_end: usize,
    /// The last legal end.
    pub(crate) last_end: usize,
}

/// All legal quotes of a passage: each start, and the ends that they share (those between its first and last).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Legal {
    pub(crate) starts: Vec<Start>,
    pub(crate) ends: Vec<usize>,
}

impl Legal {
    /// The legal quotes at the boundaries that `rules` name, or at the next finer ones where these leave none.
    ///
    /// `barriers` are positions that no quote may cross, ascending.
    pub(crate) fn of(passage: &str, rules: &QuoteRules, barriers: &[usize]) -> Self {
        let sentences = sentences(passage);
        let finer = [Boundary::Sentence, Boundary::Clause, Boundary::Word];
        let from = finer.iter().position(|b| *b == rules.boundary).unwrap_or(0);
        for boundary in &finer[from..] {
            let (starts, ends) = places(passage, &sentences, *boundary);
            let legal = Self::between(passage, rules, &sentences, &starts, ends, barriers);
            if !legal.starts.is_empty() {
                return legal;
            }
        }
        Self::default()
    }

    fn between(
        passage: &str,
        rules: &QuoteRules,
        sentences: &[Range<usize>],
        starts: &[usize],
        ends: Vec<usize>,
        barriers: &[usize],
    ) -> Self {
        let content = content_range(passage);
        let legal = |at: &usize| {
            let sentence = sentences.partition_point(|s| s.end <= *at);
            let last = sentences.get(sentence + rules.max_sentences.max(1) - 1).or(sentences.last())?;
            let barrier = barriers.get(barriers.partition_point(|b| b < at)).copied().unwrap_or(usize::MAX);
            let mut limit = last.end.min(at.saturating_add(rules.max_bytes)).min(barrier);
            if *at <= content.start {
                limit = limit.min(content.end.saturating_sub(1));
            }
            let first_enough = enough(&passage[*at..], rules)? + at;
            let first = ends.partition_point(|end| *end < first_enough);
            let after_last = ends.partition_point(|end| *end <= limit);
            let reachable = ends.get(first..after_last)?;
            Some(Start { at: *at, first_end: *reachable.first()?, last_end: *reachable.last()? })
        };
        let starts = starts.iter().filter_map(legal).collect();
        Self { starts, ends }
    }
}

/// How many bytes of `text` it takes to be long enough; `None` when all of it is not.
fn enough(text: &str, rules: &QuoteRules) -> Option<usize> {
    let (mut han, mut words, mut counted) = (0, 0, false);
    for (at, c) in text.char_indices() {
        han += usize::from(is_han(c));
        if c.is_whitespace() {
            counted = false;
        } else if is_word(c) && !counted {
            (words, counted) = (words + 1, true);
        }
        if han >= rules.min_han.max(1) || words >= rules.min_words.max(1) {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// From the first to the last character of a passage that says something.
fn content_range(passage: &str) -> Range<usize> {
    let mut content = passage.char_indices().filter(|(_, c)| is_content(*c));
    let Some((start, first)) = content.next() else { return 0..0 };
    content.next_back().map_or(start..start + first.len_utf8(), |(end, last)| start..end + last.len_utf8())
}

const NOT_FIRST: &str = "，。；：、！？,.;:!?)]}）】》〉」』”’…—";
const NOT_LAST: &str = "，、：；,:;([{（【《〈「『“‘";

/// Whether a span neither begins nor ends with white space or a mark that belongs to its neighbour.
fn is_edge_free(text: &str) -> bool {
    let at_start = text.chars().next().is_some_and(|c| !c.is_whitespace() && !NOT_FIRST.contains(c));
    let at_end = text.chars().next_back().is_some_and(|c| !c.is_whitespace() && (c == '；' || !NOT_LAST.contains(c)));
    at_start && at_end
}

/// Starts and ends of a passage at a boundary, ascending.
fn places(passage: &str, sentences: &[Range<usize>], boundary: Boundary) -> (Vec<usize>, Vec<usize>) {
    let first_may_be = |at: usize| {
        passage[at..].chars().next().is_some_and(|c| !c.is_whitespace() && !NOT_FIRST.contains(c))
            && !splits_word(passage, at)
    };
    let last_may_be = |at: usize| {
        passage[..at].chars().next_back().is_some_and(|c| !c.is_whitespace() && !NOT_LAST.contains(c))
            && !splits_word(passage, at)
    };
    let sentence_starts = sentences.iter().map(|s| s.start).filter(|at| first_may_be(*at));
    let ends_well = |s: &&Range<usize>| is_edge_free_end(&passage[(*s).clone()]);
    let sentence_ends = sentences.iter().filter(ends_well).map(|s| s.end).filter(|at| !splits_word(passage, *at));
    let (mut starts, mut ends): (Vec<usize>, Vec<usize>) = (sentence_starts.collect(), sentence_ends.collect());
    match boundary {
        Boundary::Sentence => {}
        Boundary::Clause => {
            for (at, c) in passage.char_indices() {
                let after = at + c.len_utf8();
                let spaced = passage[after..].chars().next().is_none_or(char::is_whitespace);
                if matches!(c, '，' | '；' | '：') || matches!(c, ',' | ';' | ':') && spaced {
                    ends.extend(Some(at).filter(|at| last_may_be(*at)));
                    let next = after + (passage[after..].len() - passage[after..].trim_start().len());
                    starts.extend(Some(next).filter(|at| first_may_be(*at)));
                }
            }
        }
        Boundary::Word => {
            let places = passage.char_indices().map(|(at, _)| at).chain([passage.len()]);
            for at in places {
                starts.extend(Some(at).filter(|at| first_may_be(*at)));
                ends.extend(Some(at).filter(|at| last_may_be(*at)));
            }
        }
    }
    for list in [&mut starts, &mut ends] {
        list.sort_unstable();
        list.dedup();
    }
    (starts, ends)
}

fn is_edge_free_end(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| c == '；' || !NOT_LAST.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: &str =
        "银行应当在十五日内答复申请人，不得收取任何费用。逾期未答复的，视为同意。\n申请人可以依法提起诉讼。";

    fn check(quote: &str) -> Result<(), QuoteFault> {
        QuoteRules::default().locate(quote, &[LAW]).map(drop)
    }

    #[test]
    fn a_quote_is_long_enough_and_neither_too_long_nor_everything() {
        assert_eq!(check("银行应当在十五日内答复申请人"), Ok(()));
        assert_eq!(check("逾期未答复的，视为同意。"), Ok(()));
        assert_eq!(check("视为同意。"), Err(QuoteFault::TooShort));
        assert_eq!(check(LAW), Err(QuoteFault::TooLong));
        assert_eq!(check(""), Err(QuoteFault::Empty));
        assert_eq!(check("银行可以收取费用。"), Err(QuoteFault::NotInPassages));
        let single = "The bank shall answer within fifteen days.";
        let rules = QuoteRules::default();
        assert_eq!(rules.locate(single, &[single]), Err(QuoteFault::WholePassage));
        assert_eq!(rules.locate(&single[..single.len() - 1], &[single]), Err(QuoteFault::WholePassage));
        assert_eq!(rules.locate("bank shall answer within fifteen", &[single]), Ok(vec![(0, 4..36)]));
        assert_eq!(rules.locate("ank shall answer within fifteen", &[single]), Err(QuoteFault::Boundary));
    }

    #[test]
    fn clauses_are_the_places_of_quotes_and_words_where_there_are_none() {
        let quotes = |text: &str| {
            let legal = Legal::of(text, &QuoteRules::default(), &[]);
            legal.starts.iter().map(|s| text[s.at..s.first_end].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            quotes(LAW),
            [
                "银行应当在十五日内答复申请人",
                "不得收取任何费用。",
                "逾期未答复的，视为同意。",
                "视为同意。\n申请人可以依法提起诉讼。",
                "申请人可以依法提起诉讼。"
            ]
        );
        let short = quotes("保险人应当及时作出核定");
        assert_eq!(short.first().map(String::as_str), Some("保险人应当及时作"));
        assert!(quotes("太短。").is_empty());
        assert!(quotes("").is_empty());
    }
}
