//! Plain text: lines to paragraphs.
//!
//! Some texts write a paragraph in one line, others wrap it at a fixed width. A line is joined to the next one only when
//! the file is wrapped, the first word of the next line would not have fit, and the next line starts nothing new.

use std::ops::Range;

use crate::chars::{Class, classify, is_wide};
use crate::document::{Block, BlockKind};
use crate::markers::{is_item, starts_new};
use crate::normalise::TextBuilder;

/// The widest line, in columns, that can come from wrapping; longer ones are whole paragraphs.
const MAX_WRAP: usize = 130;
/// The narrowest, so that lists of short lines stay lists.
const MIN_WRAP: usize = 30;

/// One line with its place in the source.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    /// Its first byte.
    pub(crate) at: usize,
    /// Page it stands on, where there are pages.
    pub(crate) page: Option<u32>,
}

/// Splits at line feeds, carriage returns and both together. `base` is the byte where `source` starts in its file.
pub(crate) fn split(source: &str, base: usize) -> impl Iterator<Item = Line<'_>> {
    let mut at = base;
    source.split_inclusive(['\n', '\r', '\u{c}']).map(move |piece| {
        let line = Line { text: piece.trim_end_matches(['\n', '\r', '\u{c}']), at, page: None };
        at += piece.len();
        line
    })
}

/// Writes lines as paragraphs and gives the blocks. With `ignore_blank`, an empty line does not end a paragraph.
pub(crate) fn paragraphs(lines: &[Line<'_>], ignore_blank: bool, builder: &mut TextBuilder) -> Vec<Block> {
    let wrap = wrap_width(lines);
    let mut blocks = Vec::new();
    let mut before: Option<&Line<'_>> = None;
    let mut page = None;
    let mut first_of_block = "";
    for line in lines {
        let content = trim(line.text);
        if content.is_empty() {
            if !ignore_blank {
                before = None;
            }
            continue;
        }
        let start = line.at + (content.as_ptr() as usize - line.text.as_ptr() as usize);
        match before {
            Some(last) if continues(last, line, wrap) => builder.soft_break(last.at + last.text.len()..start),
            _ => {
                finish(builder, first_of_block, &mut blocks);
                builder.start_block(false);
                first_of_block = content;
            }
        }
        if line.page.is_some() && line.page != page {
            page = line.page;
            if let Some(number) = page {
                builder.set_page(number);
            }
        }
        builder.push(content, start);
        before = Some(line);
    }
    finish(builder, first_of_block, &mut blocks);
    blocks
}

fn finish(builder: &mut TextBuilder, first_line: &str, blocks: &mut Vec<Block>) {
    if let Some(range) = builder.finish_block() {
        let kind = if is_item(first_line) { BlockKind::Item } else { BlockKind::Paragraph };
        blocks.push(Block { kind, range });
    }
}

fn trim(line: &str) -> &str {
    line.trim_matches(|c| classify(c) != Class::Visible)
}

/// Width in columns, a wide character taking two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// The width that the text is wrapped at: that of its longer lines; `None` when it is not wrapped.
fn wrap_width(lines: &[Line<'_>]) -> Option<usize> {
    let mut widths: Vec<usize> = lines.iter().map(|l| width(trim(l.text))).filter(|w| *w > 0).collect();
    if widths.len() < 3 {
        return None;
    }
    widths.sort_unstable();
    let long = widths[widths.len() * 9 / 10];
    let widest = widths[widths.len() - 1];
    ((MIN_WRAP..=MAX_WRAP).contains(&long) && widest <= long + long / 3 + 8).then_some(long)
}

fn continues(last: &Line<'_>, line: &Line<'_>, wrap: Option<usize>) -> bool {
    let Some(wrap) = wrap else { return false };
    let content = trim(line.text);
    let indent = |l: &Line<'_>| {
        l.text
            .chars()
            .take_while(|c| classify(*c) == Class::Space)
            .map(|c| if is_wide(c) { 2 } else { 1 })
            .sum::<usize>()
    };
    // The paragraph that this line would continue may itself be indented at its first line, so only more indent counts.
    if starts_new(content, last.text) || indent(line) > indent(last) + 1 {
        return false;
    }
    let first_word: usize = match content.chars().next() {
        Some(c) if is_wide(c) => 2,
        _ => width(content.split_whitespace().next().unwrap_or_default()),
    };
    let gap = usize::from(!content.starts_with(is_wide));
    indent(last) + width(trim(last.text)) + gap + first_word.min(20) > wrap.saturating_sub(3)
}

/// A title at the start of a text: its first line, if that is short, holds no sentence and is no structure itself.
pub(crate) fn leading_title(text: &str, blocks: &[Block]) -> Option<Range<usize>> {
    let first = blocks.first()?;
    if blocks.len() < 2 {
        return None;
    }
    let line = text.get(first.range.clone())?;
    let plain =
        width(line) <= 90 && !line.contains(['。', '；', '\n']) && !line.ends_with(['.', '，', ',', ':', '：', ';']);
    (plain && !starts_new(line, "。")).then(|| first.range.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Vec<String> {
        let lines: Vec<_> = split(source, 0).collect();
        let mut builder = TextBuilder::new();
        let blocks = paragraphs(&lines, false, &mut builder);
        let text = builder.finish();
        blocks.iter().map(|b| text.as_str()[b.range.clone()].to_owned()).collect()
    }

    #[test]
    fn wrapped_lines_join_and_short_ones_end_a_paragraph() {
        let source = "The lender shall send a notice to the borrower at\nleast thirty days before the change takes effect and\nshall keep a copy.\nA copy may be electronic, and it must be kept for two\nyears after the notice.\n\nNext paragraph.";
        assert_eq!(read(source).len(), 3);
        assert!(read(source)[0].ends_with("effect and shall keep a copy."));
    }

    #[test]
    fn one_line_a_paragraph_is_kept() {
        let source = "甲方应当在合同生效后十日内支付全部价款，并将付款凭证送交乙方，逾期支付的应当支付违约金，违约金按照未付价款的万分之五按日计算，直至付清之日止，双方另有约定的从其约定。\n乙方应当交付。\n丙方见证。";
        assert_eq!(read(source).len(), 3);
    }

    #[test]
    fn a_structural_line_never_continues() {
        let source = "第一条 甲方应当在合同生效之后的十日之内支付全部的\n价款。\n第二条 乙方应当在收到全部的价款之后的十日之内交付\n（一）货物；\n（二）单据。";
        assert_eq!(read(source).len(), 4);
    }

    #[test]
    fn a_reference_that_a_line_break_put_in_front_continues() {
        let source = "第一条 借用人应当按照约定的期限归还全部器材，但是依照\n第二十条延长期限的除外，延长的期限不得超过三个月并且\n应当在期限届满之前书面提出。\n第二条 甲。";
        assert_eq!(read(source).len(), 2);
    }

    #[test]
    fn every_kind_of_line_end_is_one() {
        let ends: Vec<_> = split("a\r\nb\rc\nd", 10).map(|l| (l.text.to_owned(), l.at)).collect();
        let expected: Vec<_> =
            [("a", 10), ("", 12), ("b", 13), ("c", 15), ("d", 17)].map(|(t, a)| (t.to_owned(), a)).into();
        assert_eq!(ends, expected);
    }
}
