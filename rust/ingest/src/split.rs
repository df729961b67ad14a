//! Splitting a document into passages.

use std::ops::Range;

use crate::document::Document;
use crate::fit::fit;
use crate::outline::{Section, outline};
use crate::units::{Counter, Unit, units};

/// Names the rules of splitting; it changes when the same document would give other passages.
pub const SPLITTER_VERSION: u32 = 1;

/// How large passages are, in tokens of the caller's counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitOptions {
    /// Most tokens in a passage (default 384); 0 counts as 1.
    pub max_tokens: usize,
    /// A passage smaller than this is joined to its neighbours in the section where that is possible (default 24).
    pub min_tokens: usize,
    /// How many tokens a passage may repeat from the end of the one before, in whole sentences (default 0).
    pub overlap_tokens: usize,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self { max_tokens: 384, min_tokens: 24, overlap_tokens: 0 }
    }
}

/// A passage as the splitter makes it; it gets its id when it is put in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageDraft {
    /// What is shown, searched and quoted: the repeated table header if any, then the document's text at `range`.
    /// Headings and the article's number are not in it; they are in `title_path` and `article`.
    pub text: String,
    /// Title of the document, then the headings above the passage, outermost first.
    pub title_path: Vec<String>,
    /// The article as it is cited: `第八十五条`, `§ 1005.6(b)`, `Article 85`.
    pub article: Option<String>,
    /// Document id, `#`, and the article number in Arabic digits (第八十五条之一 gives `85-1`) or else a slug of the
    /// heading; `start` before the first one. All passages of one article share it; a number that comes again in the
    /// same document gets `~2`. Where the id of a document without structure, or of one declared article, holds a `#`, it is the place.
    pub place: String,
    /// Bytes of the source file that `range` came from.
    pub source: Range<usize>,
    /// Page that the passage starts on, where the format has pages.
    pub page: Option<u32>,
    /// Tokens of `text`.
    pub tokens: usize,
    /// Bytes of the document's normalised text.
    pub range: Range<usize>,
    /// Bytes at the front of `text` that repeat a table header from elsewhere and are outside `range` and `source`.
    pub header_bytes: usize,
    /// Bytes after those that also end the passage before (they are inside `range` and `source`).
    pub overlap_bytes: usize,
    /// Whether the passage starts or ends inside a sentence, because that sentence alone is more than `max_tokens`.
    pub cuts_sentence: bool,
}

/// Splits a document along its structure.
///
/// An article, or the text under one heading, is one passage when it fits in `max_tokens`; a longer one is cut between
/// paragraphs, items, sentences, in that order of preference, and inside a sentence only when it alone does not fit.
/// Together the passages hold all of the document's text but headings and article numbers. `count` gives the tokens of
/// a text; it is called about twice per sentence of long articles, else once per article.
pub fn split(document: &Document, options: &SplitOptions, count: &dyn Fn(&str) -> usize) -> Vec<PassageDraft> {
    let counter = Counter { count };
    let options = SplitOptions { max_tokens: options.max_tokens.max(1), ..*options };
    let mut passages = Vec::new();
    for section in outline(document) {
        Splitter { document, options, counter: &counter, section: &section }.run(&mut passages);
    }
    passages
}

struct Splitter<'a> {
    document: &'a Document,
    options: SplitOptions,
    counter: &'a Counter<'a>,
    section: &'a Section,
}

impl Splitter<'_> {
    fn run(&self, passages: &mut Vec<PassageDraft>) {
        let (Some(first), Some(last)) = (self.section.pieces.first(), self.section.pieces.last()) else {
            return;
        };
        let text = self.document.text.as_str();
        let whole = first.range.start..last.range.end;
        if self.counter.within(&text[whole.clone()], self.options.max_tokens).is_some() {
            passages.extend(self.passage(&whole, None, 0, false));
            return;
        }
        // Room for the overlap is kept free, but never more than half.
        let overlap = self.options.overlap_tokens.min(self.options.max_tokens / 2);
        let budget = self.options.max_tokens - overlap;
        let units = units(text, &self.section.pieces, budget, self.counter);
        let mut runs = fit(&units, budget, self.options.min_tokens);
        runs.reverse();
        // Counting a whole can give more than counting its parts; such a run is cut again.
        while let Some(run) = runs.pop() {
            let draft = self.run_passage(&units, &run, overlap);
            match draft {
                Some(draft) if draft.tokens > self.options.max_tokens && run.len() > 1 => {
                    let middle = middle_cut(&units, &run);
                    runs.push(middle..run.end);
                    runs.push(run.start..middle);
                }
                draft => passages.extend(draft),
            }
        }
    }

    fn run_passage(&self, units: &[Unit], run: &Range<usize>, overlap: usize) -> Option<PassageDraft> {
        let first = units.get(run.start)?;
        let last = units.get(run.end.checked_sub(1)?)?;
        let cuts = first.inside_sentence || units.get(run.end).is_some_and(|next| next.inside_sentence);
        let range = first.range.start..last.range.end;
        if first.header.is_some() {
            let draft = self.passage(&range, first.header.clone(), 0, cuts)?;
            if draft.tokens <= self.options.max_tokens || run.len() > 1 {
                return Some(draft);
            }
            return self.passage(&range, None, 0, cuts);
        }
        if overlap > 0
            && let Some(start) = self.overlap_start(units, run.start, overlap)
        {
            let draft = self.passage(&(start..range.end), None, range.start - start, cuts)?;
            if draft.tokens <= self.options.max_tokens {
                return Some(draft);
            }
        }
        self.passage(&range, None, 0, cuts)
    }

    /// Where whole sentences before unit `index` begin that are together at most `overlap` tokens.
    fn overlap_start(&self, units: &[Unit], index: usize, overlap: usize) -> Option<usize> {
        let mut tokens = 0;
        let mut start = None;
        if units.get(index)?.inside_sentence {
            return None;
        }
        for unit in units.get(..index)?.iter().rev() {
            tokens += unit.tokens;
            if tokens > overlap || unit.header.is_some() || unit.inside_sentence {
                break;
            }
            start = Some(unit.range.start);
        }
        start
    }

    fn passage(
        &self,
        range: &Range<usize>,
        header: Option<Range<usize>>,
        overlap: usize,
        cuts_sentence: bool,
    ) -> Option<PassageDraft> {
        let document = self.document.text.as_str();
        let slice = document.get(range.clone())?;
        let kept = slice.trim_end();
        if kept.trim().is_empty() {
            return None;
        }
        let start = range.start + (kept.len() - kept.trim_start_matches('\n').len());
        let range = start..range.start + kept.len();
        let mut text = String::new();
        if let Some(header) = header {
            text.push_str(document.get(header)?);
            text.push('\n');
        }
        let header_bytes = text.len();
        text.push_str(document.get(range.clone())?);
        Some(PassageDraft {
            tokens: self.counter.tokens(&text),
            text,
            title_path: self.section.title_path.clone(),
            article: self.section.article.clone(),
            place: self.section.place.clone(),
            source: self.document.text.source_range(range.clone()),
            page: self.document.text.page_of(range.start),
            range,
            header_bytes,
            overlap_bytes: overlap,
            cuts_sentence,
        })
    }
}

/// The cheapest cut near the middle of a run of at least two units.
fn middle_cut(units: &[Unit], run: &Range<usize>) -> usize {
    let middle = (run.start + run.end) / 2;
    let cost = |at: &usize| (usize::from(units[*at].cut) + at.abs_diff(middle), *at);
    (run.start + 1..run.end).min_by_key(cost).unwrap_or(run.end - 1)
}
