//! The structure of a document: its blocks gathered into sections, each an article or what stands under one heading.

use std::collections::HashMap;
use std::ops::Range;

use crate::document::{Block, BlockKind, Document, Format};
use crate::markers::{self, Article, Family};
use crate::slug::slug;

/// What belongs together and shares one place.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// Document title, then the headings above, outermost first.
    pub(crate) title_path: Vec<String>,
    /// The article as it is cited.
    pub(crate) article: Option<String>,
    /// Document id, `#`, article number or slug of the heading.
    pub(crate) place: String,
    /// Its text in order, without headings and article markers; only line feeds lie between two pieces.
    pub(crate) pieces: Vec<Piece>,
}

/// One block, or what is left of it after its article marker.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) kind: BlockKind,
    pub(crate) range: Range<usize>,
}

/// Longest title of an article that is set on the line of its number, in characters.
const MAX_ARTICLE_TITLE: usize = 100;

/// The place of text before the first heading.
const START: &str = "start";

/// The sections of a document in order. Every byte of a block that is neither heading nor article marker is in one.
pub(crate) fn outline(document: &Document) -> Vec<Section> {
    let mut outline = Outline::new(document);
    if document.article.is_some() {
        outline.declared();
    } else {
        for index in 0..document.blocks.len() {
            outline.block(index);
        }
    }
    outline.finish()
}

struct Heading {
    /// Level that the markup gives; `None` for a paragraph that is a heading by its words alone.
    level: Option<u8>,
    /// Rank among 编, 章, 节; `None` for a heading without a number of that kind.
    rank: Option<u8>,
    text: String,
}

struct Outline<'a> {
    document: &'a Document,
    sections: Vec<Section>,
    headings: Vec<Heading>,
    open: bool,
    taken: HashMap<String, usize>,
    /// The family of markers that are articles where a document has two (a US article holds sections).
    leaf: Option<Family>,
    /// Base label and number of the regulation section (`§ 1005.6`) and the letter its next paragraph must have.
    lettered: Option<(String, String, u8)>,
    /// Whether `一、…` lines are headings here.
    han_headings: bool,
    /// The title on the line of an article's number, kept until it is known whether text follows.
    article_title: Option<Range<usize>>,
}

impl<'a> Outline<'a> {
    fn new(document: &'a Document) -> Self {
        let mut families: HashMap<Family, usize> = HashMap::new();
        let text = document.text.as_str();
        if document.article.is_none() {
            for block in &document.blocks {
                let heading = matches!(block.kind, BlockKind::Heading(_));
                if let Some(article) = slice(text, &block.range).and_then(|t| markers::article(t, heading)) {
                    *families.entry(article.family).or_default() += 1;
                }
            }
        }
        let count = |family| families.get(&family).copied().unwrap_or(0);
        let leaf = [Family::Tiao, Family::Sign, Family::Section, Family::Article]
            .into_iter()
            .rev()
            .max_by_key(|f| count(*f))
            .filter(|f| count(*f) > 0);
        let unmarked = matches!(document.format, Format::Text | Format::Pdf);
        Self {
            document,
            sections: Vec::new(),
            headings: Vec::new(),
            open: false,
            taken: HashMap::new(),
            leaf,
            lettered: None,
            han_headings: unmarked,
            article_title: None,
        }
    }

    /// The source says which one article the document is: no structure is looked for.
    fn declared(&mut self) {
        let document = self.document;
        let label = document.article.clone().unwrap_or_default();
        let place = if document.id.contains('#') {
            document.id.clone()
        } else {
            format!("{}#{}", document.id, markers::normalise_label(&label))
        };
        let title_path = self.title_path();
        let pieces = document.blocks.iter().map(|b| Piece { kind: b.kind.clone(), range: b.range.clone() }).collect();
        self.sections.push(Section { title_path, article: Some(label), place, pieces });
    }

    fn block(&mut self, index: usize) {
        let Some(block) = self.document.blocks.get(index) else {
            return;
        };
        let Some(text) = slice(self.document.text.as_str(), &block.range) else {
            return;
        };
        let level = if let BlockKind::Heading(level) = block.kind { Some(level) } else { None };
        if matches!(block.kind, BlockKind::Code | BlockKind::Table { .. }) {
            return self.piece(block.kind.clone(), block.range.clone());
        }
        if let Some(rank) = markers::chapter_rank(text, level.is_some()) {
            return self.heading(level, Some(rank), text);
        }
        if let Some(article) = markers::article(text, level.is_some()) {
            if Some(article.family) == self.leaf || article.family == Family::Tiao {
                return self.article(block, &article, index);
            }
            if level.is_some() || text.chars().count() <= MAX_ARTICLE_TITLE {
                return self.heading(level, Some(4), text);
            }
        }
        if level.is_some() || (self.han_headings && self.is_han_heading(index, text)) {
            return self.heading(level, None, text);
        }
        if let Some((label, number, letter)) = self.lettered.clone()
            && letter <= b'z'
            && markers::paragraph_letter(text).is_some_and(|l| l.as_bytes() == [letter])
        {
            let c = char::from(letter);
            // The title of the section goes on to its paragraphs, through the title path.
            self.article_title = None;
            self.start(Some(format!("{label}({c})")), &format!("{number}({c})"));
            self.lettered = Some((label, number, letter + 1));
        }
        self.piece(block.kind.clone(), block.range.clone());
    }

    /// `一、…` is a heading when text follows it, not the next number of a list; among articles, when one follows.
    fn is_han_heading(&self, index: usize, text: &str) -> bool {
        let next = self.document.blocks.get(index + 1);
        let Some(next) = next.and_then(|b| slice(self.document.text.as_str(), &b.range)) else {
            return false;
        };
        let follows = match self.leaf {
            Some(_) => markers::article(next, false).is_some(),
            None => !markers::is_han_heading(next),
        };
        follows && markers::is_han_heading(text)
    }

    fn heading(&mut self, level: Option<u8>, rank: Option<u8>, text: &str) {
        self.settle_title();
        if let Some(rank) = rank
            && let Some(same) = self.headings.iter().position(|h| h.rank.is_some_and(|r| r >= rank))
        {
            self.headings.truncate(same);
        }
        if let Some(level) = level {
            // Marked headings close marked ones of their level; a chapter without markup is closed by any plain one.
            while let Some(top) = self.headings.last() {
                let closes = match (top.level, top.rank, rank) {
                    (_, Some(_), Some(_)) => false,
                    (Some(top), _, _) => top >= level,
                    (None, _, _) => rank.is_none(),
                };
                if !closes {
                    break;
                }
                self.headings.pop();
            }
        } else if rank.is_none() {
            while self.headings.last().is_some_and(|h| h.level.is_none() && h.rank.is_none()) {
                self.headings.pop();
            }
        }
        self.headings.push(Heading { level, rank, text: text.replace('\n', " ") });
        self.open = false;
        self.lettered = None;
    }

    fn article(&mut self, block: &Block, article: &Article, index: usize) {
        self.settle_title();
        self.start(Some(article.label.clone()), &article.number);
        if article.family == Family::Sign && !article.number.contains('(') {
            self.lettered = Some((article.label.clone(), article.number.clone(), b'a'));
        } else {
            self.lettered = None;
        }
        let rest = (block.range.start + article.length).min(block.range.end)..block.range.end;
        let Some(text) = slice(self.document.text.as_str(), &rest).filter(|t| !t.trim().is_empty()) else {
            return;
        };
        let heading = matches!(block.kind, BlockKind::Heading(_));
        let short = text.chars().count() <= MAX_ARTICLE_TITLE;
        let next_lettered = self
            .document
            .blocks
            .get(index + 1)
            .and_then(|b| slice(self.document.text.as_str(), &b.range))
            .is_some_and(|t| t.starts_with("(a)"));
        let sentence = text.trim_end().ends_with(['.', '。', '；', ';', '，', ',', '：', ':']);
        let title = short
            && (heading
                || (article.family != Family::Tiao
                    && (!sentence || (article.family == Family::Sign && next_lettered))));
        if title {
            if let Some(section) = self.sections.last_mut() {
                section.title_path.push(text.replace('\n', " "));
            }
            self.article_title = Some(rest);
        } else {
            self.piece(BlockKind::Paragraph, rest);
        }
    }

    /// An article whose title has no text under it: the title is its text.
    fn settle_title(&mut self) {
        let Some(title) = self.article_title.take() else {
            return;
        };
        if let Some(section) = self.sections.last_mut()
            && section.pieces.is_empty()
        {
            section.title_path.pop();
            section.pieces.push(Piece { kind: BlockKind::Paragraph, range: title });
        }
    }

    fn piece(&mut self, kind: BlockKind, range: Range<usize>) {
        if !self.open {
            let name = self.headings.last().map(|h| slug(&h.text)).filter(|s| !s.is_empty());
            self.start(None, name.as_deref().unwrap_or(START));
        }
        if let Some(section) = self.sections.last_mut() {
            section.pieces.push(Piece { kind, range });
        }
    }

    /// Opens a section. A number or heading that comes again (in an annex) gets `~2`, `~3` and so on.
    fn start(&mut self, article: Option<String>, key: &str) {
        let times = self.taken.entry(key.to_owned()).or_default();
        *times += 1;
        let id = &self.document.id;
        let place = match *times {
            // An id that names a place already needs no other where the text has no structure.
            1 if key == START && id.contains('#') => id.clone(),
            1 => format!("{id}#{key}"),
            times => format!("{id}#{key}~{times}"),
        };
        let mut title_path = self.title_path();
        if article.is_some()
            && let (Some(title), Some(text)) = (self.lettered.as_ref(), self.sections.last())
            && text.article.as_deref().is_some_and(|a| a.starts_with(title.0.as_str()))
        {
            // The lettered paragraphs of a section keep the section's title.
            title_path.clone_from(&text.title_path);
        }
        self.sections.push(Section { title_path, article, place, pieces: Vec::new() });
        self.open = true;
    }

    fn title_path(&self) -> Vec<String> {
        let title = &self.document.title;
        let declared = self.document.headings.iter().cloned();
        let headings = self.headings.iter().map(|h| h.text.clone());
        let mut path: Vec<String> =
            std::iter::once(title.clone()).chain(declared.chain(headings).filter(|h| h != title)).collect();
        path.dedup();
        path
    }

    fn finish(mut self) -> Vec<Section> {
        self.settle_title();
        self.sections.retain(|s| !s.pieces.is_empty());
        if self.sections.is_empty() {
            // Only headings: better found than lost.
            let pieces: Vec<_> = self
                .document
                .blocks
                .iter()
                .map(|b| Piece { kind: BlockKind::Paragraph, range: b.range.clone() })
                .collect();
            if !pieces.is_empty() {
                let place = format!("{}#{START}", self.document.id);
                self.sections.push(Section {
                    title_path: vec![self.document.title.clone()],
                    article: None,
                    place,
                    pieces,
                });
            }
        }
        self.sections
    }
}

fn slice<'t>(text: &'t str, range: &Range<usize>) -> Option<&'t str> {
    text.get(range.clone())
}
