//! Markdown (CommonMark with tables and footnotes): visible text with the exact bytes it stands at.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::document::{Block, BlockKind};
use crate::html;
use crate::markers::starts_new;
use crate::normalise::TextBuilder;
use crate::table::TableWriter;

/// Reads the Markdown `body`, which starts at byte `base` of its file.
pub(crate) fn read(body: &str, base: usize, builder: &mut TextBuilder) -> Vec<Block> {
    let mut reader = Reader {
        body,
        base,
        builder,
        blocks: Vec::new(),
        kind: BlockKind::Paragraph,
        fresh_item: false,
        table: None,
        code: None,
    };
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut html: Option<Range<usize>> = None;
    for (event, range) in Parser::new_ext(body, options).into_offset_iter() {
        match event {
            Event::Start(Tag::HtmlBlock) => html = Some(range),
            Event::End(TagEnd::HtmlBlock) => {
                if let Some(range) = html.take() {
                    reader.html_block(range);
                }
            }
            Event::Html(_) if html.is_some() => {}
            Event::Text(_) if html.is_some() => {}
            event => reader.event(event, range),
        }
    }
    reader.finish();
    reader.blocks
}

struct Reader<'a, 'b> {
    body: &'a str,
    base: usize,
    builder: &'b mut TextBuilder,
    blocks: Vec<Block>,
    kind: BlockKind,
    /// A list item was just opened: its number is written, its text comes.
    fresh_item: bool,
    table: Option<TableWriter>,
    code: Option<Range<usize>>,
}

impl Reader<'_, '_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code.is_some() => self.code_text(&text, range),
            Event::Text(text) => self.text(&text, range),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.inside(&text, range),
            Event::SoftBreak | Event::HardBreak => self.line_break(matches!(event, Event::HardBreak), range),
            Event::InlineHtml(tag) | Event::Html(tag) => {
                if tag.get(..3).is_some_and(|t| t.eq_ignore_ascii_case("<br")) {
                    self.line_break(true, range);
                }
            }
            Event::Rule => self.finish(),
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading { level, .. } => self.open(BlockKind::Heading(depth(*level))),
            Tag::Item => {
                self.open(BlockKind::Item);
                self.item_number(range);
                self.fresh_item = true;
            }
            Tag::Paragraph if self.fresh_item => self.fresh_item = false,
            Tag::Paragraph | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) | Tag::List(_) => {
                self.open(BlockKind::Paragraph)
            }
            Tag::CodeBlock(_) => {
                self.finish();
                self.code = Some(range);
                self.kind = BlockKind::Code;
                self.builder.start_block(true);
            }
            Tag::Table(_) => {
                self.finish();
                self.table = Some(TableWriter::start(self.builder));
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.start_row(self.builder, matches!(tag, Tag::TableHead));
                }
            }
            Tag::TableCell => {
                if let Some(table) = &mut self.table {
                    table.start_cell(self.builder);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
            | TagEnd::FootnoteDefinition => self.finish(),
            TagEnd::CodeBlock => {
                self.finish();
                self.code = None;
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.blocks.extend(table.finish(self.builder));
                }
                self.open(BlockKind::Paragraph);
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                if let Some(table) = &mut self.table {
                    table.end_row(self.builder);
                }
            }
            TagEnd::TableCell => {
                if let Some(table) = &mut self.table {
                    table.end_cell(self.builder);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, kind: BlockKind) {
        self.finish();
        self.kind = kind;
    }

    fn finish(&mut self) {
        self.fresh_item = false;
        if self.table.is_some() {
            return;
        }
        let kind = std::mem::replace(&mut self.kind, BlockKind::Paragraph);
        if let Some(range) = self.builder.finish_block() {
            self.blocks.push(Block { kind, range });
        }
        self.builder.start_block(false);
    }

    /// The number of an ordered item is part of the text ("see step 3"); bullets are markup.
    fn item_number(&mut self, range: Range<usize>) {
        let item = self.body.get(range.clone()).unwrap_or_default();
        let digits = item.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && item[digits..].starts_with(['.', ')']) {
            self.builder.push(&item[..=digits], self.base + range.start);
            self.builder.push(" ", self.base + range.start + digits + 1);
        }
    }

    fn text(&mut self, text: &str, range: Range<usize>) {
        self.fresh_item = false;
        let source = self.base + range.start..self.base + range.end;
        if self.body.get(range) == Some(text) {
            self.builder.push(text, source.start);
        } else {
            self.builder.push_decoded(text, source);
        }
    }

    /// Text somewhere inside its markup, as code between backticks.
    fn inside(&mut self, text: &str, range: Range<usize>) {
        let markup = self.body.get(range.clone()).unwrap_or_default();
        match markup.find(text) {
            Some(at) if !text.is_empty() => self.text(text, range.start + at..range.start + at + text.len()),
            _ => self.text(text, range),
        }
    }

    /// Indented text is code to Markdown, but prose to authors who indent paragraphs: Han text is read as such.
    fn code_text(&mut self, text: &str, range: Range<usize>) {
        let indented = self
            .code
            .as_ref()
            .and_then(|c| self.body.get(c.clone()))
            .is_some_and(|c| !c.trim_start().starts_with(['`', '~']));
        let prose = indented && text.chars().any(crate::chars::is_han);
        if prose && !matches!(self.kind, BlockKind::Paragraph) {
            // What came before in this block was code.
            if let Some(block) = self.builder.finish_block() {
                self.blocks.push(Block { kind: BlockKind::Code, range: block });
            }
        }
        if prose {
            self.open(BlockKind::Paragraph);
            self.text(text.trim_end_matches('\n'), range.start..range.start + text.trim_end_matches('\n').len());
            self.finish();
            self.kind = BlockKind::Code;
            self.builder.start_block(true);
        } else {
            self.text(text, range);
        }
    }

    fn line_break(&mut self, hard: bool, range: Range<usize>) {
        let source = self.base + range.start..self.base + range.end;
        let next_line = self.body.get(range.end..).unwrap_or_default().lines().next().unwrap_or_default();
        let next_line = next_line.trim_start_matches(['*', '_', ' ', '>', '　', '\t']);
        let next_line = &next_line[..next_line.floor_char_boundary(240)];
        let before = self.body.get(..range.start).unwrap_or_default();
        let heading = matches!(self.kind, BlockKind::Heading(_));
        if self.table.is_none() && !heading && (hard || starts_new(next_line, before)) {
            let kind = if matches!(self.kind, BlockKind::Item) { BlockKind::Item } else { BlockKind::Paragraph };
            self.open(kind);
        } else {
            self.builder.soft_break(source);
        }
    }

    /// HTML between blank lines is read as HTML.
    fn html_block(&mut self, range: Range<usize>) {
        self.finish();
        let source = self.body.get(range.clone()).unwrap_or_default();
        let (blocks, _) = html::read(source, self.base + range.start, self.builder);
        self.blocks.extend(blocks);
        self.builder.start_block(false);
    }
}

fn depth(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::NormalisedText;

    fn parse(body: &str) -> (NormalisedText, Vec<Block>) {
        let mut builder = TextBuilder::new();
        let blocks = read(body, 0, &mut builder);
        (builder.finish(), blocks)
    }

    fn texts(body: &str) -> Vec<String> {
        let (text, blocks) = parse(body);
        blocks.iter().map(|b| text.as_str()[b.range.clone()].to_owned()).collect()
    }

    #[test]
    fn markup_goes_and_the_range_is_exact() {
        let body = "A **bold** `x  y` [link](http://a.b) &amp; more";
        let (text, _) = parse(body);
        assert_eq!(text.as_str(), "A bold x y link & more");
        let at = text.as_str().find("bold").unwrap();
        assert_eq!(&body[text.source_range(at..at + 4)], "bold");
        let at = text.as_str().find('&').unwrap();
        assert_eq!(&body[text.source_range(at..at + 1)], "&amp;");
        let at = text.as_str().find("link").unwrap();
        assert_eq!(&body[text.source_range(at..at + 4)], "link");
    }

    #[test]
    fn numbers_of_lists_stay_and_bullets_go() {
        assert_eq!(texts("1. one\n2. two\n   - inner\n\n   second\n"), ["1. one", "2. two", "inner", "second"]);
        assert_eq!(texts("- a\n- b"), ["a", "b"]);
        assert_eq!(texts("1. a\n\n2. b\n"), ["1. a", "2. b"]);
    }

    #[test]
    fn soft_lines_join_unless_they_start_something() {
        assert_eq!(
            texts("第一条 保险\n合同。\n第二条 投保\n（一）甲"),
            ["第一条 保险合同。", "第二条 投保", "（一）甲"]
        );
        assert_eq!(texts("a line\ncontinues  \nhard break"), ["a line continues", "hard break"]);
    }

    #[test]
    fn tables_become_rows_with_their_header() {
        let (text, blocks) = parse("before\n\n| A | B |\n|---|---|\n| 1 |  |\n|  |  |\n| **2** | x |\n\nafter");
        let BlockKind::Table { header, rows } = &blocks[1].kind else { panic!("no table: {blocks:?}") };
        let row = |r: &Range<usize>| text.as_str()[r.clone()].to_owned();
        assert_eq!(header.as_ref().map(row).as_deref(), Some("A | B"));
        assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), ["A | B", "1 | ", "2 | x"]);
        assert_eq!(text.as_str(), "before\nA | B\n1 | \n2 | x\nafter");
    }

    #[test]
    fn code_keeps_its_lines_and_indented_han_is_prose() {
        assert_eq!(texts("```rust\nfn a() {\n    b();\n}\n```\n"), ["fn a() {\n    b();\n}"]);
        assert_eq!(texts("    第一条 缩进的条文。\n"), ["第一条 缩进的条文。"]);
    }
}
