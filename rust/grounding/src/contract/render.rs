//! Answers from their values: training targets, and what a declined question says.

use super::{Contract, Field, FieldKind, FieldValue, Values};
use crate::{Error, Result};

impl Contract {
    /// The answer with these values, as the decoder would write it: a training target.
    ///
    /// # Errors
    /// [`Error::Value`] when a field has no value or one of another kind.
    pub fn render(&self, values: &Values) -> Result<String> {
        let mut answer = String::new();
        for (n, field) in self.fields.iter().enumerate() {
            answer.push_str(if n == 0 { "" } else { &self.separator });
            answer.push_str(&field.marker);
            let value = values.get(&field.name).ok_or_else(|| Error::Value { field: field.name.clone() })?;
            answer.push_str(&content(field, value)?);
        }
        Ok(answer)
    }

    /// The form of an answer with the names of fields in braces: `【政策依据】{basis.label}：“{basis.quote}”…`.
    pub fn template(&self) -> String {
        let of = |field: &Field| match &field.kind {
            FieldKind::Quote { open, close, .. } => {
                format!("{}{{{name}.label}}{open}{{{name}.quote}}{close}", field.marker, name = field.name)
            }
            _ => format!("{}{{{}}}", field.marker, field.name),
        };
        self.fields.iter().map(of).collect::<Vec<_>>().join(&self.separator)
    }
}

fn content(field: &Field, value: &FieldValue) -> Result<String> {
    Ok(match (&field.kind, value) {
        (FieldKind::Quote { open, close, .. }, FieldValue::Quote { label, quote }) => {
            format!("{label}{open}{quote}{close}")
        }
        (FieldKind::Text { .. }, FieldValue::Text { text }) => text.trim().to_owned(),
        (FieldKind::List { bullet, .. }, FieldValue::List { items }) => {
            let line = |item: &String| format!("{bullet}{}", one_line(item));
            items.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        (FieldKind::Table { columns, .. }, FieldValue::Table { rows }) => {
            let rule: Vec<String> = columns.iter().map(|_| "---".to_owned()).collect();
            let lines = [columns, &rule].into_iter().chain(rows).map(|cells| row(cells));
            lines.collect::<Vec<_>>().join("\n")
        }
        (FieldKind::Json { schema }, FieldValue::Json { value }) => {
            let mut text = String::new();
            schema.write(value, &mut text);
            text
        }
        _ => return Err(Error::Value { field: field.name.clone() }),
    })
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
