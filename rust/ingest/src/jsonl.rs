//! JSONL: one JSON object a line, each a document of its own.
//!
//! `text` is required. Read too: `id`, `title`, `article`, `chapter` (a string or a list), `url`, `version`, dates,
//! `labels`, `language`, under the names that front matter has. Source ranges are exact bytes of the file inside the
//! `text` value; a character written as an escape maps to the whole escape.

use serde_json::{Map, Value};

use crate::document::{Block, BlockKind, Document};
use crate::error::SkipReason;
use crate::fields::{Field, Fields, Origin};
use crate::json_text::{decode, string_value};
use crate::markers::is_item;
use crate::normalise::TextBuilder;
use crate::read::{BytesReading, stem};

/// Broken lines listed one by one; more are only counted.
const MAX_LISTED: usize = 20;

/// Reads all lines; a broken one is listed and the others are kept.
pub(crate) fn read(source: &str, base: usize, origin: &Origin<'_>) -> BytesReading {
    let mut reading = BytesReading::default();
    let mut broken = 0;
    let mut at = base;
    for (index, line) in source.split_inclusive('\n').enumerate() {
        if !line.trim().is_empty() {
            match document(line, at, index + 1, origin) {
                Ok(document) => reading.documents.push(document),
                Err(what) => {
                    broken += 1;
                    if broken <= MAX_LISTED {
                        reading.skipped.push(SkipReason::JsonLine { line: index + 1, what });
                    }
                }
            }
        }
        at += line.len();
    }
    if broken > MAX_LISTED {
        reading.skipped.push(SkipReason::MoreJsonLines { count: broken - MAX_LISTED });
    }
    if reading.documents.is_empty() && reading.skipped.is_empty() {
        reading.skipped.push(SkipReason::Empty);
    }
    reading
}

fn document(line: &str, at: usize, number: usize, origin: &Origin<'_>) -> Result<Document, &'static str> {
    let object: Map<String, Value> = serde_json::from_str(line).map_err(|_| "not a json object")?;
    let value = match object.get("text") {
        Some(Value::String(_)) => string_value(line, "text").ok_or("the key `text` is written with escapes")?,
        Some(_) => return Err("`text` is not a string"),
        None => return Err("no `text`"),
    };
    let mut fields = Fields::default();
    for (key, value) in &object {
        if let Some(field) = Field::from_key(key) {
            set(&mut fields, field, value)?;
        }
    }
    let mut builder = TextBuilder::new();
    let blocks = text_blocks(line, value, at, &mut builder)?;
    if blocks.is_empty() {
        return Err("`text` is empty");
    }
    let fallback_id = format!("{}:{number}", stem(origin.path));
    let title = fields.title.clone().unwrap_or_else(|| fields.id.clone().unwrap_or_else(|| fallback_id.clone()));
    let mut document = fields.into_document(origin, builder.finish(), fallback_id, title);
    document.blocks = blocks;
    document.article = one(object.get("article")).ok_or("`article` is not a string")?;
    document.headings = match object.get("chapter") {
        Some(Value::Array(parts)) => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| one(Some(part))).collect();
            parts.ok_or("`chapter` is not a string or a list of them")?.into_iter().flatten().collect()
        }
        chapter => one(chapter).ok_or("`chapter` is not a string or a list of them")?.into_iter().collect(),
    };
    Ok(document)
}

/// Every line of the text is a paragraph.
fn text_blocks(
    line: &str,
    value: std::ops::Range<usize>,
    at: usize,
    builder: &mut TextBuilder,
) -> Result<Vec<Block>, &'static str> {
    let mut blocks = Vec::new();
    let mut finish = |builder: &mut TextBuilder| {
        if let Some(range) = builder.finish_block() {
            let item = is_item(builder.text_from(range.start));
            blocks.push(Block { kind: if item { BlockKind::Item } else { BlockKind::Paragraph }, range });
        }
        builder.start_block(false);
    };
    builder.start_block(false);
    let valid = decode(line, value, |piece, source, verbatim| {
        if !verbatim && matches!(piece, "\n" | "\r") {
            finish(builder);
        } else if verbatim {
            builder.push(piece, at + source.start);
        } else {
            builder.push_decoded(piece, at + source.start..at + source.end);
        }
    });
    finish(builder);
    if valid { Ok(blocks) } else { Err("an escape in `text` is not valid") }
}

fn set(fields: &mut Fields, field: Field, value: &Value) -> Result<(), &'static str> {
    if field == Field::Labels
        && let Value::Array(labels) = value
    {
        for label in labels {
            fields.add_labels([label.as_str().ok_or("a label is not a string")?]);
        }
        return Ok(());
    }
    match one(Some(value)) {
        Some(text) => {
            fields.set(field, text.as_deref().unwrap_or_default());
            Ok(())
        }
        None if field == Field::Labels => Err("`labels` is not a string or a list of them"),
        None => Err("a known field is not a string"),
    }
}

/// A string or number as text; `Some(None)` where absent, null or empty; `None` for any other type.
fn one(value: Option<&Value>) -> Option<Option<String>> {
    match value {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        Some(Value::Number(number)) => Some(Some(number.to_string())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Format;

    fn parse(source: &str) -> BytesReading {
        read(source, 0, &Origin { path: "faq/rules.jsonl", format: Format::Jsonl, bytes: source.len() as u64 })
    }

    #[test]
    fn a_line_is_a_document_and_its_range_is_exact() {
        let source = "{\"id\":\"r#16\",\"title\":\"规则\",\"article\":\"第十六条\",\"chapter\":\"第一章\",\"text\":\"甲\\n（一）\\u4e59。\",\"labels\":[\"b\",\"a\"],\"effective_date\":null}\n";
        let reading = parse(source);
        let document = &reading.documents[0];
        assert_eq!((document.id.as_str(), document.title.as_str()), ("r#16", "规则"));
        assert_eq!(document.article.as_deref(), Some("第十六条"));
        assert_eq!(document.headings, ["第一章"]);
        assert_eq!(document.labels, ["a", "b"]);
        assert_eq!(document.text.as_str(), "甲\n（一）乙。");
        let at = document.text.as_str().find('乙').unwrap();
        assert_eq!(&source[document.text.source_range(at..at + 3)], "\\u4e59");
        assert_eq!(&source[document.text.source_range(0..3)], "甲");
    }

    #[test]
    fn broken_lines_are_listed_and_the_rest_is_kept() {
        let reading = parse(
            "{\"text\":\"a\"}\nnot json\n{\"text\":\"\\ud800\"}\n{\"text\":\"b\",\"labels\":7}\n{\"text\":\"b\",\"labels\":{}}\n\n{\"text\":\"c\"}",
        );
        let lines: Vec<_> =
            reading.skipped.iter().map(|s| if let SkipReason::JsonLine { line, .. } = s { *line } else { 0 }).collect();
        assert_eq!(lines, [2, 3, 5]);
        assert_eq!(
            reading.documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(),
            ["faq/rules:1", "faq/rules:4", "faq/rules:7"]
        );
    }

    #[test]
    fn many_broken_lines_are_counted() {
        let reading = parse(&"x\n".repeat(1000));
        assert_eq!(reading.skipped.len(), MAX_LISTED + 1);
        assert_eq!(reading.skipped.last(), Some(&SkipReason::MoreJsonLines { count: 1000 - MAX_LISTED }));
    }
}
