//! One declaration of an answer's format, for the prompt, the training target, the decoder and the evaluation.
//!
//! Constraints are late: fixed text is forced and quotes are copied, explanations are written freely, since hard
//! constraints everywhere cost small models their accuracy (arXiv:2605.26128).

mod answer;
mod builtin;
mod check;
mod forbidden;
mod parse;
mod plan;
mod render;
mod schema;
mod wording;

use serde::{Deserialize, Serialize};

pub use answer::{FieldValue, Values};
pub use check::{Checked, Source, Violation};
pub use forbidden::ForbiddenWord;
pub use plan::Piece;
pub use schema::{Property, Schema};

use crate::{Error, QuoteRules, Result};

/// The language of the fixed parts of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// Chinese.
    #[serde(rename = "zh")]
    Chinese,
    /// English.
    #[serde(rename = "en")]
    English,
}

/// The format of an answer: fields in order, each behind its marker.
///
/// A plain value that JSON and TOML can hold; build it with [`Contract::from_json`] or check it with
/// [`Contract::validate`], since the other functions take a valid contract for granted (they do not panic on others, but
/// what they give is then of no use).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// A name for reports.
    pub name: String,
    /// The language that fixed texts and free text are in.
    pub language: Language,
    /// First sentences of the system prompt: role and tone.
    pub preamble: String,
    /// What stands between two fields.
    #[serde(default = "line_break")]
    pub separator: String,
    /// What is written, and nothing else, when the sources do not answer the question.
    pub decline: String,
    /// Whether the system prompt tells the model to decline by itself; leave it to the calibrated gate otherwise.
    #[serde(default)]
    pub decline_stated: bool,
    /// Words that must not be written outside quotes.
    #[serde(default)]
    pub forbidden: Vec<ForbiddenWord>,
    /// The fields in order.
    pub fields: Vec<Field>,
}

/// One field of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The name by which values are given and violations reported.
    pub name: String,
    /// The text that opens the field, white space behind it included; only the first field may have none.
    #[serde(default)]
    pub marker: String,
    /// What the system prompt says of the field; worked out from the kind when empty.
    #[serde(default)]
    pub hint: String,
    /// What stands in it.
    pub kind: FieldKind,
}

/// What stands in a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldKind {
    /// The label of a passage and a word-for-word quote of it: `label open quote close`.
    Quote {
        /// What counts as a quote.
        #[serde(default)]
        rules: QuoteRules,
        /// What stands between label and quote.
        open: String,
        /// What stands behind the quote.
        close: String,
    },
    /// Free text.
    Text {
        /// At most so many characters.
        #[serde(default)]
        max_chars: Option<usize>,
        /// At most so many sentences.
        #[serde(default)]
        max_sentences: Option<usize>,
    },
    /// Lines of free text, each behind a bullet.
    List {
        /// What opens each line.
        #[serde(default = "bullet")]
        bullet: String,
        /// At least so many lines.
        #[serde(default)]
        min_items: usize,
        /// At most so many lines.
        max_items: usize,
        /// At most so many characters a line.
        #[serde(default)]
        max_chars: Option<usize>,
    },
    /// A Markdown table with these columns.
    Table {
        /// Texts of the first row.
        columns: Vec<String>,
        /// At least so many rows below it.
        #[serde(default)]
        min_rows: usize,
        /// At most so many rows below it.
        max_rows: usize,
        /// At most so many characters a cell.
        #[serde(default)]
        max_chars: Option<usize>,
    },
    /// A JSON value.
    Json {
        /// Its form.
        schema: Schema,
    },
}

impl Contract {
    /// Reads a contract and checks it.
    ///
    /// # Errors
    /// [`Error::Json`] when it is not one, [`Error::Contract`] when it contradicts itself.
    pub fn from_json(json: &str) -> Result<Self> {
        let contract: Self = serde_json::from_str(json)?;
        contract.validate()?;
        Ok(contract)
    }

    /// Whether answers in this format can be written and told apart.
    ///
    /// # Errors
    /// [`Error::Contract`] with the field and what is wrong with it.
    pub fn validate(&self) -> Result<()> {
        let wrong = |field: &str, reason: &'static str| Err(Error::Contract { field: field.to_owned(), reason });
        if self.fields.is_empty() {
            return wrong("fields", "there are none");
        }
        if self.decline.trim().is_empty() {
            return wrong("decline", "there is no text to decline with");
        }
        for (n, field) in self.fields.iter().enumerate() {
            let earlier = &self.fields[..n];
            if field.name.trim().is_empty() {
                return wrong(&field.name, "it has no name");
            }
            if earlier.iter().any(|other| other.name == field.name) {
                return wrong(&field.name, "its name is taken");
            }
            if n > 0 && field.marker.trim().is_empty() {
                return wrong(&field.name, "without a marker its beginning cannot be told");
            }
            let marker = field.marker.trim();
            if earlier
                .iter()
                .map(|other| other.marker.trim())
                .any(|m| m.contains(marker) || marker.contains(m) && !m.is_empty())
            {
                return wrong(&field.name, "its marker holds another one");
            }
            match &field.kind {
                FieldKind::Quote { open, close, .. } if open.is_empty() || close.is_empty() => {
                    return wrong(&field.name, "a quote needs text before and behind it");
                }
                FieldKind::Text { max_chars: Some(0), .. } | FieldKind::Text { max_sentences: Some(0), .. } => {
                    return wrong(&field.name, "a limit of nothing leaves nothing to write");
                }
                FieldKind::List { bullet, min_items, max_items, .. }
                    if bullet.trim().is_empty() || min_items > max_items || *max_items == 0 =>
                {
                    return wrong(&field.name, "its bullet or its numbers of items make no list");
                }
                FieldKind::Table { columns, min_rows, max_rows, .. }
                    if columns.is_empty()
                        || columns.iter().any(|c| c.trim().is_empty() || c.contains(['|', '\n']))
                        || min_rows > max_rows
                        || *max_rows == 0 =>
                {
                    return wrong(&field.name, "its columns or its numbers of rows make no table");
                }
                FieldKind::Json { schema } => {
                    if let Some(reason) = schema.fault() {
                        return wrong(&field.name, reason);
                    }
                }
                _ => {}
            }
        }
        if self.forbidden.iter().any(|forbidden| forbidden.word.trim().is_empty()) {
            return wrong("forbidden", "an empty word stands everywhere");
        }
        Ok(())
    }
}

fn line_break() -> String {
    "\n".to_owned()
}

fn bullet() -> String {
    "- ".to_owned()
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
