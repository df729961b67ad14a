//! Front matter: `key: value` lines between two `---` lines at the start of a file.
//!
//! Only the small part of YAML that documents use is read. Access labels stand here, so whatever cannot be understood
//! is an error that leaves the document out; reading it without its labels would open it to everyone.

use crate::error::SkipReason;
use crate::fields::{Field, Fields};

/// More lines than this are no front matter.
const MAX_LINES: usize = 400;

/// Reads the front matter of `source` (without byte order mark) and gives the byte where the body starts.
///
/// # Errors
/// [`SkipReason::FrontMatter`] when it is not closed, or a known key has a value of an unknown shape.
pub(crate) fn read(source: &str) -> Result<(Fields, usize), SkipReason> {
    let mut fields = Fields::default();
    let mut lines = source.split_inclusive('\n');
    let Some(first) = lines.next() else {
        return Ok((fields, 0));
    };
    if first.trim_end() != "---" {
        return Ok((fields, 0));
    }
    let mut at = first.len();
    let mut list: Option<Field> = None;
    let mut keys = 0;
    for (index, line) in lines.enumerate().take(MAX_LINES) {
        let number = index + 2;
        at += line.len();
        let content = line.trim_end();
        if content == "---" || content == "..." {
            return Ok((fields, at));
        }
        if content.is_empty() || content.trim_start().starts_with('#') {
            continue;
        }
        let entry = content.trim_start();
        if let Some(value) = entry.strip_prefix("- ").or(if entry == "-" { Some("") } else { None }) {
            match list {
                Some(Field::Labels) => fields.add_labels([scalar(value, number)?.as_str()]),
                Some(_) => return Err(wrong(number, "a list where one value is expected")),
                // A list of an unknown key, or a thematic break and a list: the keys before it decide.
                None if keys == 0 => return Ok((Fields::default(), 0)),
                None => {}
            }
            continue;
        }
        if content.starts_with([' ', '\t']) {
            if list.is_some() {
                return Err(wrong(number, "nested values are not supported"));
            }
            continue;
        }
        let Some((key, value)) = content.split_once(':') else {
            // `---` may also be a thematic break at the start of a document without front matter.
            if keys == 0 {
                return Ok((Fields::default(), 0));
            }
            return Err(wrong(number, "not a `key: value` line, or no closing `---` before the text"));
        };
        keys += 1;
        list = None;
        let Some(field) = Field::from_key(key) else {
            continue;
        };
        let value = value.trim();
        if value.is_empty() {
            list = Some(field);
        } else if let Some(inner) = value.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| wrong(number, "a list must close on its line"))?;
            if field != Field::Labels {
                return Err(wrong(number, "a list where one value is expected"));
            }
            for part in inner.split([',', '，']) {
                fields.add_labels([scalar(part, number)?.as_str()]);
            }
        } else {
            fields.set(field, &scalar(value, number)?);
        }
    }
    if keys == 0 { Ok((Fields::default(), 0)) } else { Err(wrong(1, "no closing `---`")) }
}

/// One plain or quoted value; a comment after it is taken off.
fn scalar(value: &str, line: usize) -> Result<String, SkipReason> {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let end = rest.find(quote).ok_or_else(|| wrong(line, "a quote is not closed"))?;
            return Ok(rest[..end].to_owned());
        }
    }
    if value.starts_with(['|', '>', '&', '*', '!', '{', '%', '@', '`']) {
        return Err(wrong(line, "this kind of value is not supported"));
    }
    Ok(value.split(" #").next().unwrap_or_default().trim().to_owned())
}

fn wrong(line: usize, what: &'static str) -> SkipReason {
    SkipReason::FrontMatter { line, what }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::Language;

    #[test]
    fn all_fields_are_read() {
        let source = "---\ntitle: \"Leave: rules\"\nversion: 3 # third\ndate: 2024-01-02\neffective_date: 2024-02-01\nvalid_to: 2025-01-31\naccess:\n  - staff\n  - 'hr'\nlang: zh-CN\nother:\n  nested: x\n---\nBody";
        let (fields, body) = read(source).unwrap();
        assert_eq!(fields.title.as_deref(), Some("Leave: rules"));
        assert_eq!(fields.version.as_deref(), Some("3"));
        assert_eq!(fields.published.as_deref(), Some("2024-01-02"));
        assert_eq!(fields.effective.as_deref(), Some("2024-02-01"));
        assert_eq!(fields.valid_to.as_deref(), Some("2025-01-31"));
        assert_eq!(fields.labels, ["hr", "staff"]);
        assert_eq!(fields.language, Some(Language::Zh));
        assert_eq!(&source[body..], "Body");
    }

    #[test]
    fn labels_in_one_line_are_read() {
        let (fields, _) = read("---\r\nLabels: [b, \"a\"]\r\n---\r\n").unwrap();
        assert_eq!(fields.labels, ["a", "b"]);
        assert_eq!(read("---\nlabels: x, y\n---\n").unwrap().0.labels, ["x", "y"]);
    }

    #[test]
    fn doubtful_labels_leave_the_document_out() {
        for source in [
            "---\nlabels: hr\nBody without an end",
            "---\nlabels: [hr\n---\n",
            "---\nlabels:\n  a: b\n---\n",
            "---\nlabels: *x\n---\n",
            "---\naccess: \"hr\n---\n",
        ] {
            assert!(read(source).is_err(), "{source}");
        }
    }

    #[test]
    fn a_thematic_break_is_no_front_matter() {
        assert_eq!(read("---\nText follows\n").unwrap().1, 0);
        assert_eq!(read("# Title\n---\n").unwrap().1, 0);
        assert_eq!(read("---").unwrap().1, 0);
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "(---\n)?(\\PC|\n|: |- |labels){0,40}") {
            if let Ok((_, body)) = read(&text) {
                prop_assert!(text.is_char_boundary(body));
            }
        }
    }
}
