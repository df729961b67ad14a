//! Units: the smallest parts that a passage is put together from, with the cost of a cut before each.

use std::ops::Range;

use crate::document::BlockKind;
use crate::outline::Piece;
use crate::sentence::{clauses, sentences};
use unicode_normalization::char::canonical_combining_class;

/// A cut between paragraphs.
pub(crate) const PARAGRAPH: u8 = 0;
/// A cut between list items, table rows or lines of code.
pub(crate) const ITEM: u8 = 1;
/// A cut between sentences of a paragraph.
pub(crate) const SENTENCE: u8 = 6;
/// A cut inside a sentence that is longer than a whole passage may be.
pub(crate) const CLAUSE: u8 = 14;
/// What a cut costs more behind a colon, where a list belongs to what introduces it.
const LEAD_IN: u8 = 4;

/// Text longer than this many bytes a token is not counted as a whole: it cannot fit, and counting would be slow.
const MAX_BYTES_A_TOKEN: usize = 32;

/// A part that is only cut when it alone is more than a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Where it lies in the text.
    pub(crate) range: Range<usize>,
    /// Cost of a cut before it.
    pub(crate) cut: u8,
    /// Its tokens, counted alone.
    pub(crate) tokens: usize,
    /// The header row that a passage starting here repeats.
    pub(crate) header: Option<Range<usize>>,
    /// Whether it starts inside a sentence.
    pub(crate) inside_sentence: bool,
}

/// Counts tokens, at least one for any text.
pub(crate) struct Counter<'a> {
    pub(crate) count: &'a dyn Fn(&str) -> usize,
}

impl Counter<'_> {
    pub(crate) fn tokens(&self, text: &str) -> usize {
        (self.count)(text).max(1)
    }

    /// The tokens of `text` if there are at most `budget`.
    pub(crate) fn within(&self, text: &str, budget: usize) -> Option<usize> {
        if text.len() > budget.saturating_mul(MAX_BYTES_A_TOKEN) {
            return None;
        }
        Some(self.tokens(text)).filter(|tokens| *tokens <= budget)
    }
}

/// The units of the pieces of one section, each at most `budget` tokens as far as the counting allows.
pub(crate) fn units(text: &str, pieces: &[Piece], budget: usize, counter: &Counter<'_>) -> Vec<Unit> {
    let mut maker = Maker { text, budget, counter, out: Vec::new() };
    for piece in pieces {
        let lead_in = maker.out.last().is_some_and(|last| text[last.range.clone()].trim_end().ends_with(['：', ':']));
        let cut =
            if matches!(piece.kind, BlockKind::Item) { ITEM } else { PARAGRAPH } + if lead_in { LEAD_IN } else { 0 };
        match &piece.kind {
            BlockKind::Table { header, rows } => maker.table(&piece.range, header.as_ref(), rows, cut),
            BlockKind::Code => maker.lines(&piece.range, cut),
            _ => maker.sentences(&piece.range, cut, None),
        }
    }
    maker.out
}

struct Maker<'a> {
    text: &'a str,
    budget: usize,
    counter: &'a Counter<'a>,
    out: Vec<Unit>,
}

impl Maker<'_> {
    fn unit(&mut self, range: Range<usize>, tokens: usize, cut: u8, header: Option<Range<usize>>) {
        self.out.push(Unit { range, cut, tokens, header, inside_sentence: cut == CLAUSE });
    }

    fn table(&mut self, range: &Range<usize>, header: Option<&Range<usize>>, rows: &[Range<usize>], cut: u8) {
        if let Some(tokens) = self.counter.within(&self.text[range.clone()], self.budget) {
            return self.unit(range.clone(), tokens, cut, None);
        }
        // A header that leaves little room for rows is not repeated.
        let header = header.filter(|h| self.counter.within(&self.text[(*h).clone()], self.budget / 3).is_some());
        let mut from = range.start;
        for (index, row) in rows.iter().enumerate() {
            let to = rows.get(index + 1).map_or(range.end, |next| next.start);
            let repeats = header.filter(|h| h.end <= row.start).cloned();
            let room = repeats
                .as_ref()
                .map_or(self.budget, |h| self.budget.saturating_sub(self.counter.tokens(&self.text[h.clone()]) + 1));
            let row_cut = if index == 0 { cut } else { ITEM };
            match self.counter.within(&self.text[from..to], room.max(1)) {
                Some(tokens) => self.unit(from..to, tokens, row_cut, repeats),
                None => self.sentences(&(from..to), row_cut, None),
            }
            from = to;
        }
    }

    fn lines(&mut self, range: &Range<usize>, cut: u8) {
        if let Some(tokens) = self.counter.within(&self.text[range.clone()], self.budget) {
            return self.unit(range.clone(), tokens, cut, None);
        }
        let mut from = range.start;
        for line in self.text[range.clone()].split_inclusive('\n') {
            let to = from + line.len();
            let line_cut = if from == range.start { cut } else { ITEM };
            match self.counter.within(line, self.budget) {
                Some(tokens) => self.unit(from..to, tokens, line_cut, None),
                None => self.clauses(&(from..to), line_cut),
            }
            from = to;
        }
    }

    fn sentences(&mut self, range: &Range<usize>, cut: u8, header: Option<&Range<usize>>) {
        for (index, sentence) in sentences(&self.text[range.clone()]).into_iter().enumerate() {
            let at = range.start + sentence.start..range.start + sentence.end;
            let cut = if index == 0 { cut } else { SENTENCE };
            match self.counter.within(&self.text[at.clone()], self.budget) {
                Some(tokens) => self.unit(at, tokens, cut, header.cloned()),
                None => self.clauses(&at, cut),
            }
        }
    }

    /// One sentence that is too long.
    fn clauses(&mut self, range: &Range<usize>, cut: u8) {
        let mut first = cut;
        for clause in clauses(&self.text[range.clone()]) {
            let at = range.start + clause.start..range.start + clause.end;
            match self.counter.within(&self.text[at.clone()], self.budget) {
                Some(tokens) => self.unit(at, tokens, first, None),
                None => self.characters(&at, first),
            }
            first = CLAUSE;
        }
    }

    /// One clause that is too long: the longest prefixes that fit, at spaces where there are any.
    fn characters(&mut self, range: &Range<usize>, cut: u8) {
        let mut from = range.start;
        let mut cut = cut;
        // The first guess adapts to the text, so that each prefix is counted a few times only.
        let mut guess = self.budget.max(1).saturating_mul(4);
        while from < range.end {
            let (length, tokens) = self.prefix(&self.text[from..range.end], guess);
            self.unit(from..from + length, tokens, cut, None);
            from += length;
            guess = length.max(1);
            cut = CLAUSE;
        }
    }

    /// Length and tokens of a long prefix within the budget; one character at least.
    fn prefix(&self, rest: &str, guess: usize) -> (usize, usize) {
        let mut length = safe_cut(rest, guess);
        let most = self.budget.saturating_mul(MAX_BYTES_A_TOKEN);
        let mut tokens = self.counter.tokens(&rest[..length]);
        while tokens <= self.budget && length < rest.len() && length < most {
            let longer = safe_cut(rest, length.saturating_add(length / 2 + 1).min(most));
            let more = self.counter.tokens(&rest[..longer]);
            if more > self.budget || longer <= length {
                break;
            }
            (length, tokens) = (longer, more);
        }
        while tokens > self.budget {
            let shorter = safe_cut(rest, length - length / 4 - 1);
            if shorter >= length {
                break;
            }
            length = shorter;
            tokens = self.counter.tokens(&rest[..length]);
        }
        if length < rest.len()
            && let Some(space) = rest[..length].rfind(' ').filter(|at| *at >= length / 2)
        {
            length = space + 1;
            tokens = self.counter.tokens(&rest[..length]);
        }
        (length, tokens)
    }
}

/// The largest cut at or before `length` that parts no letter from its marks; at least one whole character.
fn safe_cut(text: &str, length: usize) -> usize {
    if length >= text.len() {
        return text.len();
    }
    let mut at = text.floor_char_boundary(length);
    // A look back that is bounded: endless marks may be parted.
    for _ in 0..64 {
        match text[at..].chars().next() {
            Some(c) if at > 0 && canonical_combining_class(c) != 0 => at = text.floor_char_boundary(at - 1),
            _ => break,
        }
    }
    if at > 0 { at } else { text.chars().next().map_or(0, char::len_utf8).max(text.floor_char_boundary(length)) }
}
