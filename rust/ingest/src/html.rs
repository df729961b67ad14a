//! HTML: visible text in source order, with the raw bytes it stands at.
//!
//! The tokenizer follows the WHATWG standard; no tree is built. What a browser would not show (`script`, `style`,
//! `template`, form controls, hidden elements) and navigation (`nav`) is left out. Ranges map to raw bytes, an entity as
//! a whole. Unbalanced markup costs structure, never text or safety.

use std::ops::Range;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use crate::document::{Block, BlockKind};
use crate::fields::{Field, Fields};
use crate::html_tags::{closes_itself, heading_level, is_block, is_left_out, is_void};
use crate::html_text::align;
use crate::markers::is_item;
use crate::normalise::TextBuilder;
use crate::table::TableWriter;

/// Reads the HTML `source`, which starts at byte `base` of its file; gives the blocks and what the page says about itself.
pub(crate) fn read(source: &str, base: usize, builder: &mut TextBuilder) -> (Vec<Block>, Fields) {
    let mut reader = Reader {
        source,
        base,
        builder,
        blocks: Vec::new(),
        fields: Fields::default(),
        kind: BlockKind::Paragraph,
        hidden: None,
        title: None,
        fresh_item: false,
        in_caption: false,
        lists: Vec::new(),
        table: None,
    };
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    // Text of `script`, `style`, `title` and the like holds no tags.
    emitter.naively_switch_states(true);
    reader.builder.start_block(false);
    for token in Tokenizer::new_with_emitter(source, emitter).flatten() {
        match token {
            Token::StartTag(tag) => reader.start_tag(&tag),
            Token::EndTag(tag) => reader.end_tag(name_of(&tag.name)),
            Token::String(text) => {
                let decoded = String::from_utf8_lossy(&text.value).into_owned();
                reader.text(&decoded, text.span.start..text.span.end);
            }
            _ => {}
        }
    }
    reader.end_table();
    reader.finish();
    if let Some(title) = reader.title.take() {
        reader.fields.set(Field::Title, &squeeze(&title));
    }
    (reader.blocks, reader.fields)
}

/// An element whose content is left out, until its end tag.
struct Hidden {
    name: String,
    depth: usize,
}

/// A table in progress. Tables inside its cells are read as text of the cell.
struct Table {
    writer: TableWriter,
    in_row: bool,
    in_cell: bool,
    in_head: bool,
    nested: usize,
}

struct Reader<'a, 'b> {
    source: &'a str,
    base: usize,
    builder: &'b mut TextBuilder,
    blocks: Vec<Block>,
    fields: Fields,
    kind: BlockKind,
    hidden: Option<Hidden>,
    /// The text of `<title>` while it is read, or once it was.
    title: Option<String>,
    /// A list item was just opened: its number is written, its text comes.
    fresh_item: bool,
    /// A caption is read; its table goes on behind it.
    in_caption: bool,
    /// The next number of each open list; `None` for one with bullets.
    lists: Vec<Option<u64>>,
    table: Option<Table>,
}

/// Lists nested deeper than this are numbered as if they were not.
const MAX_LISTS: usize = 64;

impl Reader<'_, '_> {
    fn start_tag(&mut self, tag: &StartTag<usize>) {
        let name = name_of(&tag.name);
        if let Some(hidden) = &mut self.hidden {
            if hidden.name != name {
                return;
            }
            if !closes_itself(name) {
                hidden.depth += 1;
                return;
            }
            // A new `<p>` or `<li>` ends the hidden one before it.
            self.hidden = None;
        }
        let attribute = |key: &str| tag.attributes.get(key.as_bytes()).map(|v| String::from_utf8_lossy(v).into_owned());
        if name == "html"
            && let Some(code) = attribute("lang")
        {
            self.fields.set(Field::Language, &code);
        }
        if name == "meta" {
            self.meta(attribute("name").or_else(|| attribute("property")), attribute("content"));
        }
        if is_void(name) {
            match name {
                "br" => self.line_break(tag.span.start..tag.span.end),
                "hr" => self.open(BlockKind::Paragraph),
                _ => {}
            }
            return;
        }
        let style = || attribute("style").is_some_and(|s| s.to_lowercase().replace(' ', "").contains("display:none"));
        let unseen = tag.attributes.contains_key(b"hidden".as_slice())
            || attribute("aria-hidden").is_some_and(|v| v == "true")
            || style();
        // A hidden root would hide everything: a page that is shown by script.
        if is_left_out(name) || (unseen && !matches!(name, "html" | "body")) {
            if !tag.self_closing || is_left_out(name) {
                self.hidden = Some(Hidden { name: name.to_owned(), depth: 1 });
            }
            return;
        }
        match name {
            "title" if self.title.is_none() => {
                self.title = Some(String::new());
                self.hidden = Some(Hidden { name: "title".into(), depth: 1 });
            }
            "ol" | "ul" | "menu" => {
                self.open(BlockKind::Paragraph);
                if self.lists.len() < MAX_LISTS {
                    let start = attribute("start").and_then(|s| s.trim().parse().ok()).unwrap_or(1);
                    self.lists.push((name == "ol").then_some(start));
                }
            }
            "li" => self.item(),
            "table" | "thead" | "tbody" | "tfoot" | "tr" | "td" | "th" | "caption" => self.table_tag(name),
            "pre" => {
                self.open(BlockKind::Code);
                if self.table.is_none() {
                    self.builder.start_block(true);
                }
            }
            _ => match heading_level(name) {
                Some(level) => {
                    // A heading in a table means that the table is only there for its looks.
                    self.end_table();
                    self.open(BlockKind::Heading(level));
                }
                None if is_block(name) => self.open(BlockKind::Paragraph),
                None => {}
            },
        }
    }

    fn end_tag(&mut self, name: &str) {
        if let Some(hidden) = &mut self.hidden {
            if hidden.name == name {
                hidden.depth -= 1;
            }
            // An element left open ends with the page's body at the latest.
            if hidden.depth == 0 || matches!(name, "body" | "html") {
                self.hidden = None;
            }
            return;
        }
        match name {
            "ol" | "ul" | "menu" => {
                self.lists.pop();
                self.open(BlockKind::Paragraph);
            }
            "caption" if self.in_caption => self.start_table(),
            "table" | "thead" | "tr" | "td" | "th" => self.table_end_tag(name),
            _ if heading_level(name).is_some() || is_block(name) || matches!(name, "li" | "pre" | "caption") => {
                self.fresh_item &= name != "li";
                self.open(BlockKind::Paragraph);
            }
            _ => {}
        }
    }

    fn text(&mut self, decoded: &str, span: Range<usize>) {
        if let Some(hidden) = &self.hidden {
            if hidden.name == "title"
                && let Some(title) = &mut self.title
            {
                title.push_str(decoded);
            }
            return;
        }
        if let Some(table) = &self.table
            && !table.in_cell
        {
            if decoded.trim().is_empty() {
                return;
            }
            // Text between rows is misplaced; it is kept after what the table has so far.
            self.end_table();
        }
        self.fresh_item &= decoded.trim().is_empty();
        let raw = self.source.get(span.clone()).unwrap_or_default();
        for (text, at, verbatim) in align(raw, decoded) {
            let source = self.base + span.start + at.start..self.base + span.start + at.end;
            if verbatim {
                self.builder.push(text, source.start);
            } else {
                self.builder.push_decoded(text, source);
            }
        }
    }

    fn meta(&mut self, name: Option<String>, content: Option<String>) {
        let (Some(name), Some(content)) = (name, content) else {
            return;
        };
        match name.to_lowercase().as_str() {
            "article:published_time" | "dcterms.issued" | "date" => self.fields.set(Field::Published, &content),
            "version" => self.fields.set(Field::Version, &content),
            // A page with access labels that are missed would be open to everyone.
            "labels" | "access" => self.fields.set(Field::Labels, &content),
            _ => {}
        }
    }

    fn item(&mut self) {
        self.open(BlockKind::Item);
        if self.table.is_none()
            && let Some(Some(number)) = self.lists.last_mut()
        {
            let text = format!("{number}. ");
            *number = number.saturating_add(1);
            self.builder.push_derived(&text);
        }
        self.fresh_item = true;
    }

    fn line_break(&mut self, source: Range<usize>) {
        match self.kind {
            BlockKind::Code if self.table.is_none() => self.builder.line_feed(),
            BlockKind::Heading(_) => self.builder.soft_break(self.base + source.start..self.base + source.end),
            _ => {
                let kind = if matches!(self.kind, BlockKind::Item) { BlockKind::Item } else { BlockKind::Paragraph };
                self.open(kind);
            }
        }
    }

    /// Ends the block at hand; the next text is of this kind. Inside a table cell it is only a space.
    fn open(&mut self, kind: BlockKind) {
        if self.table.is_some() {
            self.builder.derived_space();
            return;
        }
        if self.fresh_item && matches!(kind, BlockKind::Paragraph) {
            return;
        }
        self.finish();
        self.kind = kind;
    }

    fn finish(&mut self) {
        if self.table.is_some() {
            return;
        }
        self.fresh_item = false;
        let kind = std::mem::replace(&mut self.kind, BlockKind::Paragraph);
        if let Some(range) = self.builder.finish_block() {
            let numbered = matches!(kind, BlockKind::Paragraph) && is_item(self.builder.text_from(range.start));
            self.blocks.push(Block { kind: if numbered { BlockKind::Item } else { kind }, range });
        }
        self.builder.start_block(false);
    }

    fn table_tag(&mut self, name: &str) {
        if name == "caption" {
            // A paragraph before its table; the table has no rows yet.
            self.in_caption = self.table.as_ref().is_some_and(|t| t.nested == 0);
            if self.in_caption {
                self.end_table();
            }
            return self.open(BlockKind::Paragraph);
        }
        if self.in_caption || (name == "table" && self.table.is_none()) {
            self.start_table();
            if name == "table" {
                return;
            }
        }
        let Some(table) = &mut self.table else {
            return self.open(BlockKind::Paragraph);
        };
        if name == "table" {
            table.nested += 1;
        }
        if table.nested > 0 {
            return self.open(BlockKind::Paragraph);
        }
        match name {
            "thead" => table.in_head = true,
            "tbody" | "tfoot" => table.in_head = false,
            "tr" => {
                table.end_row(self.builder);
                table.start_row(self.builder);
            }
            "td" | "th" => {
                if !table.in_row {
                    table.start_row(self.builder);
                }
                table.end_cell(self.builder);
                table.writer.start_cell(self.builder);
                table.in_cell = true;
                if name == "th" {
                    table.has_header_cell();
                }
            }
            _ => {}
        }
    }

    fn start_table(&mut self) {
        self.in_caption = false;
        self.finish();
        let writer = TableWriter::start(self.builder);
        self.table = Some(Table { writer, in_row: false, in_cell: false, in_head: false, nested: 0 });
    }

    fn table_end_tag(&mut self, name: &str) {
        self.in_caption &= name != "table";
        let Some(table) = &mut self.table else {
            return self.open(BlockKind::Paragraph);
        };
        if table.nested > 0 {
            if name == "table" {
                table.nested -= 1;
            }
            return self.open(BlockKind::Paragraph);
        }
        match name {
            "table" => self.end_table(),
            "thead" => table.in_head = false,
            "tr" => table.end_row(self.builder),
            _ => table.end_cell(self.builder),
        }
    }

    fn end_table(&mut self) {
        let Some(mut table) = self.table.take() else {
            return;
        };
        table.end_row(self.builder);
        self.blocks.extend(table.writer.finish(self.builder));
        self.kind = BlockKind::Paragraph;
        self.builder.start_block(false);
    }
}

impl Table {
    fn start_row(&mut self, builder: &mut TextBuilder) {
        self.writer.start_row(builder, self.in_head);
        self.in_row = true;
    }

    fn end_cell(&mut self, builder: &mut TextBuilder) {
        if std::mem::take(&mut self.in_cell) {
            self.writer.end_cell(builder);
        }
    }

    fn end_row(&mut self, builder: &mut TextBuilder) {
        self.end_cell(builder);
        if std::mem::take(&mut self.in_row) {
            self.writer.end_row(builder);
        }
    }

    fn has_header_cell(&mut self) {
        self.writer.mark_header();
    }
}

fn name_of(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::normalise::NormalisedText;

    fn parse(source: &str) -> (NormalisedText, Vec<Block>, Fields) {
        let mut builder = TextBuilder::new();
        let (blocks, fields) = read(source, 0, &mut builder);
        (builder.finish(), blocks, fields)
    }

    fn texts(source: &str) -> Vec<String> {
        let (text, blocks, _) = parse(source);
        blocks.iter().map(|b| text.as_str()[b.range.clone()].to_owned()).collect()
    }

    #[test]
    fn only_visible_text_is_read_in_order() {
        let source = "<!doctype html><html lang=zh-CN><head><title> 规 则 </title><style>p{}</style></head><body><nav><a>Home</a></nav><h1>规则</h1><p>甲<b>乙</b>\n丙</p><script>var x = '<p>no</p>';</script><div hidden>no<div>no</div></div><p style='display: none'>no<p>丁<br>戊</p></body>";
        let (_, blocks, fields) = parse(source);
        assert_eq!(texts(source), ["规则", "甲乙丙", "丁", "戊"]);
        assert_eq!(blocks[0].kind, BlockKind::Heading(1));
        assert_eq!(fields.title.as_deref(), Some("规 则"));
        assert_eq!(fields.language, Some(crate::Language::Zh));
    }

    #[test]
    fn entities_map_to_their_raw_bytes() {
        let source = "<p>a &lt; b&nbsp;&amp;amp; c &notit; &#x4E59;&#65; R&D caf&eacute;</p>";
        let (text, _, _) = parse(source);
        assert_eq!(text.as_str(), "a < b &amp; c ¬it; 乙A R&D café");
        for (shown, raw) in [
            ("<", "&lt;"),
            ("¬", "&not"),
            ("乙", "&#x4E59;"),
            ("A", "&#65;"),
            ("é", "&eacute;"),
            ("R&D", "R&D"),
            ("caf", "caf"),
        ] {
            let at = text.as_str().find(shown).unwrap();
            assert_eq!(&source[text.source_range(at..at + shown.len())], raw);
        }
    }

    #[test]
    fn lists_are_numbered_as_they_are_shown() {
        assert_eq!(texts("<ol start=3><li>a<li>b<ul><li>c</ul><li>d</ol>"), ["3. a", "4. b", "c", "5. d"]);
        assert_eq!(texts("<ol><li><p>a</p></li></ol>"), ["1. a"]);
    }

    #[test]
    fn tables_become_rows_with_their_header() {
        let (text, blocks, _) = parse(
            "<p>x</p><table><caption>Fees</caption><tr><th>A<th>B<tr><td>1<td><p>2</p><p>3</p><tr><td></td><td></td></tr></table>y",
        );
        let table = blocks
            .iter()
            .find_map(|b| if let BlockKind::Table { header, rows } = &b.kind { Some((header, rows)) } else { None });
        let shown: Vec<_> = blocks.iter().map(|b| &text.as_str()[b.range.clone()]).collect();
        assert_eq!(shown, ["x", "Fees", "A | B\n1 | 2 3", "y"]);
        let (header, rows) = table.unwrap();
        assert_eq!(&text.as_str()[header.clone().unwrap()], "A | B");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn unbalanced_and_deep_markup_keeps_its_text() {
        assert_eq!(texts("</p></table><td>a</td></div><b><i>b"), ["a", "b"]);
        let deep = format!("{}x", "<div><ul><table><tr><td>".repeat(20_000));
        assert_eq!(texts(&deep).concat().trim(), "x");
        assert_eq!(texts("<nav><p>no</p></body>after"), ["after"]);
    }

    proptest! {
        #[test]
        fn any_markup_is_safe_and_plain_text_is_exact(source in "(<|>|/|&|;|#|p|table|td|tr|ol|li|h1|script|title|hidden| |\\PC|\n|\r|\0|=|\"){0,60}") {
            let (text, blocks, _) = parse(&source);
            for block in blocks {
                prop_assert!(text.as_str().get(block.range.clone()).is_some());
                let range = text.source_range(block.range);
                prop_assert!(source.get(range).is_some());
            }
        }

        #[test]
        fn every_letter_is_found_in_its_raw_bytes(words in prop::collection::vec("(&amp;|&lt;|é|[a-z]{1,4}|保险|<b>|</b>|\r\n| ){1,4}", 1..12)) {
            let source = format!("<p>{}</p>", words.concat());
            let (text, _, _) = parse(&source);
            for (at, c) in text.as_str().char_indices() {
                let raw = &source[text.source_range(at..at + c.len_utf8())];
                match c {
                    '&' => prop_assert_eq!(raw, "&amp;"),
                    '<' => prop_assert_eq!(raw, "&lt;"),
                    ' ' => prop_assert!(raw.contains([' ', '\n'])),
                    c => prop_assert_eq!(raw, c.to_string()),
                }
            }
        }
    }
}
