//! Normalised text that knows where every byte of it came from.
//!
//! Normalisation takes the byte order mark and control characters off, makes every space an ordinary one, folds runs of
//! spaces, and composes to NFC. It never applies NFKC: full-width punctuation and digits stay as they were written.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use crate::chars::{Class, classify, is_composed, joins_tight, starts_cluster};

/// A stretch of text with one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// Where it starts in the text; it ends where the next run starts.
    text_start: usize,
    /// Its bytes in the source.
    source: Range<usize>,
    /// Whether the text is those bytes unchanged, so that offsets inside map one to one.
    verbatim: bool,
}

/// Text as it is shown, searched and split, with an exact way back to the bytes of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NormalisedText {
    text: String,
    runs: Vec<Run>,
    pages: Vec<(usize, u32)>,
}

impl NormalisedText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The bytes of the source that `range` (bytes of the text) came from: the smallest range that holds them all.
    ///
    /// Markup between two characters of the range lies inside; markup before and after it does not. A character that
    /// stands for several bytes (an HTML entity, a composed letter, folded spaces) is never cut. Ranges outside the text
    /// are clamped to it. For a PDF the source is the text extracted from it, pages in order, a form feed after each.
    /// Takes time logarithmic in the number of runs.
    pub fn source_range(&self, range: Range<usize>) -> Range<usize> {
        let start = range.start.min(self.text.len());
        let end = range.end.clamp(start, self.text.len());
        if start == end {
            let at = self.source_start(start);
            return at..at;
        }
        let from = self.source_start(start);
        from..self.source_end(end).max(from)
    }

    /// The page (from 1) that the byte `offset` of the text stands on; `None` where the format has no pages.
    pub fn page_of(&self, offset: usize) -> Option<u32> {
        let after = self.pages.partition_point(|(start, _)| *start <= offset);
        self.pages.get(after.max(1) - 1).map(|(_, page)| *page)
    }

    fn source_start(&self, at: usize) -> usize {
        let after = self.runs.partition_point(|run| run.text_start <= at);
        let Some(run) = after.checked_sub(1).and_then(|i| self.runs.get(i)) else {
            return 0;
        };
        if run.verbatim { (run.source.start + at - run.text_start).min(run.source.end) } else { run.source.start }
    }

    /// `at` is the end of a non-empty range.
    fn source_end(&self, at: usize) -> usize {
        let after = self.runs.partition_point(|run| run.text_start < at);
        let Some(run) = after.checked_sub(1).and_then(|i| self.runs.get(i)) else {
            return 0;
        };
        if run.verbatim { (run.source.start + at - run.text_start).min(run.source.end) } else { run.source.end }
    }
}

/// A character waiting to be composed with the marks that follow it.
struct Waiting {
    c: char,
    source: Range<usize>,
    verbatim: bool,
}

/// White space seen but not yet written: it only counts between two visible characters of a block.
enum Gap {
    None,
    Space(Range<usize>, bool),
    /// A line end inside a paragraph: a space, or nothing between characters written without spaces.
    Break(Range<usize>),
}

/// Builds a [`NormalisedText`] block by block from pieces of a source.
pub(crate) struct TextBuilder {
    out: NormalisedText,
    waiting: Vec<Waiting>,
    gap: Gap,
    block_start: usize,
    /// A line feed is due before the next visible character, because a block came before.
    open: bool,
    preserve: bool,
    after_cr: bool,
    source_end: usize,
    page: Option<u32>,
}

impl TextBuilder {
    pub(crate) fn new() -> Self {
        Self {
            out: NormalisedText::default(),
            waiting: Vec::new(),
            gap: Gap::None,
            block_start: 0,
            open: false,
            preserve: false,
            after_cr: false,
            source_end: 0,
            page: None,
        }
    }

    /// Starts a block; what was written of an unfinished one before becomes part of no block, so finish it first.
    /// With `preserve`, spaces and line ends inside the block are kept as they are.
    pub(crate) fn start_block(&mut self, preserve: bool) {
        self.flush();
        self.gap = Gap::None;
        self.open = false;
        self.preserve = preserve;
        self.block_start = self.out.text.len();
    }

    /// Ends the block and says where it lies; `None` when nothing visible was in it.
    pub(crate) fn finish_block(&mut self) -> Option<Range<usize>> {
        self.flush();
        self.gap = Gap::None;
        if !self.open {
            return None;
        }
        self.open = false;
        let trimmed = self.out.text.trim_end_matches([' ', '\t', '\n']).len().max(self.block_start);
        self.truncate(trimmed);
        (self.block_start < trimmed).then_some(self.block_start..trimmed)
    }

    /// Appends a piece of the source that stands there, at byte `at`, unchanged.
    pub(crate) fn push(&mut self, piece: &str, at: usize) {
        for (i, c) in piece.char_indices() {
            self.push_char(c, at + i..at + i + c.len_utf8(), true);
        }
    }

    /// Appends text that stands for the bytes `source`, which cannot be divided.
    pub(crate) fn push_decoded(&mut self, decoded: &str, source: Range<usize>) {
        for c in decoded.chars() {
            self.push_char(c, source.clone(), false);
        }
    }

    /// Appends text that stands nowhere in the source (a cell separator, a list number). No white space is folded.
    pub(crate) fn push_derived(&mut self, derived: &str) {
        self.flush();
        self.gap = Gap::None;
        self.open_block();
        let at = self.source_end;
        self.emit(derived, at..at, false);
    }

    /// White space that stands nowhere in the source, between two blocks that are written into one.
    pub(crate) fn derived_space(&mut self) {
        self.flush();
        let at = self.source_end;
        self.push_char(' ', at..at, false);
    }

    /// A line end inside a paragraph.
    pub(crate) fn soft_break(&mut self, source: Range<usize>) {
        self.flush();
        if matches!(self.gap, Gap::None) {
            self.gap = Gap::Break(source);
        }
    }

    /// A line feed that stays, inside a block; nothing at its start.
    pub(crate) fn line_feed(&mut self) {
        self.flush();
        self.gap = Gap::None;
        if self.open {
            let at = self.source_end;
            self.emit("\n", at..at, false);
        }
    }

    /// What follows stands on this page.
    pub(crate) fn set_page(&mut self, page: u32) {
        self.flush();
        self.page = Some(page);
    }

    /// End of the text written so far, with nothing left waiting.
    pub(crate) fn position(&mut self) -> usize {
        self.flush();
        self.out.text.len()
    }

    /// The text from `start` on.
    pub(crate) fn text_from(&mut self, start: usize) -> &str {
        self.flush();
        self.out.text.get(start..).unwrap_or_default()
    }

    /// Takes everything from `position` on away again.
    pub(crate) fn rewind(&mut self, position: usize) {
        self.flush();
        self.gap = Gap::None;
        self.truncate(position);
        if self.out.text.len() <= self.block_start {
            self.open = false;
        }
    }

    pub(crate) fn finish(mut self) -> NormalisedText {
        self.flush();
        // A line feed opened for a block that was then rewound.
        let trimmed = self.out.text.trim_end_matches('\n').len();
        self.truncate(trimmed);
        self.out
    }

    fn push_char(&mut self, c: char, source: Range<usize>, verbatim: bool) {
        let after_cr = std::mem::replace(&mut self.after_cr, c == '\r');
        match classify(c) {
            Class::Dropped => {}
            Class::Space | Class::Line if self.preserve => {
                if c == '\n' && after_cr {
                    return;
                }
                self.flush();
                if classify(c) == Class::Line {
                    if self.open {
                        self.emit("\n", source, verbatim && c == '\n');
                    }
                } else if self.open || c == ' ' || c == '\t' {
                    self.open_block();
                    let kept = if c == '\t' { "\t" } else { " " };
                    self.emit(kept, source, verbatim && (c == ' ' || c == '\t'));
                }
            }
            Class::Space => {
                self.flush();
                self.gap = match std::mem::replace(&mut self.gap, Gap::None) {
                    Gap::None => Gap::Space(source, verbatim && c == ' '),
                    Gap::Space(before, _) => Gap::Space(before.start..source.end.max(before.end), false),
                    Gap::Break(before) => Gap::Break(before.start..source.end.max(before.end)),
                };
            }
            Class::Line => {
                self.flush();
                self.gap = match std::mem::replace(&mut self.gap, Gap::None) {
                    Gap::None => Gap::Break(source),
                    Gap::Space(before, _) | Gap::Break(before) => Gap::Break(before.start..source.end.max(before.end)),
                };
            }
            Class::Visible => {
                if starts_cluster(c) {
                    self.flush();
                }
                self.waiting.push(Waiting { c, source, verbatim });
            }
        }
    }

    /// Writes the waiting character with its marks, after the white space that was due before it.
    fn flush(&mut self) {
        let Some(first) = self.waiting.first() else {
            return;
        };
        let first_char = first.c;
        self.open_block();
        let last = self.out.text[self.block_start..].chars().next_back();
        match (std::mem::replace(&mut self.gap, Gap::None), last) {
            (Gap::Space(source, verbatim), Some(c)) if !c.is_whitespace() => self.emit(" ", source, verbatim),
            (Gap::Break(source), Some(c)) if !c.is_whitespace() && !joins_tight(c, first_char) => {
                self.emit(" ", source, false)
            }
            _ => {}
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        match waiting.as_slice() {
            [one] if is_composed(one.c) => {
                let mut buffer = [0; 4];
                self.emit(one.c.encode_utf8(&mut buffer), one.source.clone(), one.verbatim);
            }
            several => {
                let raw: String = several.iter().map(|w| w.c).collect();
                let composed: String = raw.nfc().collect();
                let contiguous = several.windows(2).all(|w| w[0].source.end == w[1].source.start);
                let verbatim = composed == raw && contiguous && several.iter().all(|w| w.verbatim);
                let start = several.iter().map(|w| w.source.start).min().unwrap_or_default();
                let end = several.iter().map(|w| w.source.end).max().unwrap_or_default();
                self.emit(&composed, start..end, verbatim);
            }
        }
        waiting.clear();
        self.waiting = waiting;
    }

    fn open_block(&mut self) {
        if self.open {
            return;
        }
        self.open = true;
        if !self.out.text.is_empty() {
            let at = self.source_end;
            self.emit("\n", at..at, false);
        }
        self.block_start = self.out.text.len();
        if let Some(page) = self.page.take() {
            self.out.pages.push((self.block_start, page));
        }
    }

    fn emit(&mut self, text: &str, source: Range<usize>, verbatim: bool) {
        if let Some(page) = self.page.take() {
            self.out.pages.push((self.out.text.len(), page));
        }
        self.source_end = source.end;
        match self.out.runs.last_mut() {
            Some(last) if verbatim && last.verbatim && last.source.end == source.start => last.source.end = source.end,
            _ => self.out.runs.push(Run { text_start: self.out.text.len(), source, verbatim }),
        }
        self.out.text.push_str(text);
    }

    fn truncate(&mut self, length: usize) {
        if length >= self.out.text.len() {
            return;
        }
        while self.out.runs.last().is_some_and(|run| run.text_start >= length) {
            self.out.runs.pop();
        }
        if let Some(last) = self.out.runs.last_mut()
            && last.verbatim
        {
            last.source.end = last.source.start + (length - last.text_start);
        }
        self.out.text.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::is_nfc;

    use super::*;

    fn build(source: &str) -> NormalisedText {
        let mut builder = TextBuilder::new();
        builder.start_block(false);
        builder.push(source, 0);
        builder.finish_block();
        builder.finish()
    }

    #[test]
    fn full_width_stays_and_spaces_fold() {
        let text = build("\u{feff} 第一条　\u{a0}ＡＢ，１\u{0}２。 ");
        assert_eq!(text.as_str(), "第一条 ＡＢ，１２。");
    }

    #[test]
    fn a_composed_letter_maps_to_both_its_bytes() {
        let text = build("cafe\u{301}s");
        assert_eq!(text.as_str(), "cafés");
        assert_eq!(text.source_range(3..5), 3..6);
        assert_eq!(text.source_range(5..6), 6..7);
        assert_eq!(text.source_range(0..3), 0..3);
    }

    #[test]
    fn line_ends_join_han_and_part_words() {
        assert_eq!(build("保险\r\n合同").as_str(), "保险合同");
        assert_eq!(build("insurance\ncontract").as_str(), "insurance contract");
    }

    #[test]
    fn ranges_outside_the_text_are_clamped() {
        let text = build("abc");
        assert_eq!(text.source_range(2..900), 2..3);
        assert_eq!(text.source_range(900..1000), 3..3);
        assert_eq!(NormalisedText::default().source_range(3..9), 0..0);
    }

    proptest! {
        #[test]
        fn every_slice_is_the_normalisation_of_its_source(source in "(\\PC|[ \t\n\u{301}\u{0}\u{3000}\u{1100}\u{1161}e]){0,40}", a in 0usize..60, b in 0usize..60) {
            let text = build(&source);
            prop_assert!(is_nfc(text.as_str()));
            // A letter that became several characters cannot be divided.
            let divides = |i: usize| {
                let after = text.runs.partition_point(|run| run.text_start < i);
                !text.as_str().is_char_boundary(i) || after > 0 && !text.runs[after - 1].verbatim && text.runs.get(after).map_or(text.len(), |run| run.text_start) != i
            };
            let floor = |i: usize| (0..=i.min(text.len())).rev().find(|i| !divides(*i)).unwrap();
            let (from, to) = (floor(a.min(b)), floor(a.max(b)));
            let slice = &text.as_str()[from..to];
            let range = text.source_range(from..to);
            let again = build(&source[range]);
            prop_assert_eq!(again.as_str(), slice.trim_matches(' '));
        }
    }
}
