//! What an answer holds, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The values of an answer by the names of its fields.
pub type Values = BTreeMap<String, FieldValue>;

/// What one field holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldValue {
    /// A quote under its label.
    Quote {
        /// The label, as in the prompt.
        label: String,
        /// The quoted text.
        quote: String,
    },
    /// Free text.
    Text {
        /// Without white space around it.
        text: String,
    },
    /// Lines without their bullets.
    List {
        /// In order.
        items: Vec<String>,
    },
    /// Rows below the first.
    Table {
        /// Cells without escapes, row by row.
        rows: Vec<Vec<String>>,
    },
    /// A JSON value.
    Json {
        /// The value.
        value: serde_json::Value,
    },
}

impl FieldValue {
    /// Free text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A quote under its label.
    pub fn quote(label: impl Into<String>, quote: impl Into<String>) -> Self {
        Self::Quote { label: label.into(), quote: quote.into() }
    }
}
