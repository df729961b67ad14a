//! What the decoder forces, copies and leaves free.

use super::{Contract, FieldKind, Schema};
use crate::QuoteRules;

/// One step of decoding an answer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text without a choice.
    Fixed(String),
    /// One of the labels of the prompt, whole ([`CopyIndex::labels`](crate::CopyIndex::labels)).
    Label,
    /// A quote of the passage under the label ([`CopyIndex::quotes`](crate::CopyIndex::quotes)).
    Quote(QuoteRules),
    /// Free text up to one of `stops`, which is not part of it (the next piece writes it), or to the end of the turn.
    Text {
        /// Texts that end it.
        stops: Vec<String>,
        /// At most so many characters.
        max_chars: Option<usize>,
        /// At most so many sentences.
        max_sentences: Option<usize>,
    },
    /// One of these texts, whole.
    Choice(Vec<String>),
    /// The inside of a JSON string, up to its closing quotation mark, which is not part of it.
    JsonString {
        /// At most so many characters.
        max_chars: Option<usize>,
    },
    /// A JSON number.
    Number {
        /// Whether it has to be whole.
        integer: bool,
    },
    /// The same pieces again and again; behind each round the choice of `separator` (another round) and `close`.
    Repeat {
        /// One round.
        item: Vec<Piece>,
        /// What parts two rounds.
        separator: String,
        /// What ends the repetition, and is written then; empty where the end of the turn does.
        close: String,
        /// At least so many rounds.
        min: usize,
        /// At most so many rounds.
        max: usize,
    },
}

impl Contract {
    /// The pieces of an answer in order; neighbouring fixed texts are one.
    pub fn plan(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (n, field) in self.fields.iter().enumerate() {
            let next = self.fields.get(n + 1).map(|next| format!("{}{}", self.separator, next.marker));
            let marker = self.fields.get(n + 1).map(|next| next.marker.trim().to_owned());
            if n == 0 {
                fixed(&mut pieces, &field.marker);
            }
            // What follows a repetition is what ends it: both are one choice.
            let close = next.clone().unwrap_or_default();
            match &field.kind {
                FieldKind::Quote { rules, open, close } => {
                    pieces.push(Piece::Label);
                    fixed(&mut pieces, open);
                    pieces.push(Piece::Quote(rules.clone()));
                    fixed(&mut pieces, close);
                }
                FieldKind::Text { max_chars, max_sentences } => pieces.push(Piece::Text {
                    // The marker alone, too: a model may leave out the line break before it.
                    stops: next.iter().map(|next| next.trim_end().to_owned()).chain(marker).collect(),
                    max_chars: *max_chars,
                    max_sentences: *max_sentences,
                }),
                FieldKind::List { bullet, min_items, max_items, max_chars } => {
                    let line = Piece::Text { stops: vec!["\n".into()], max_chars: *max_chars, max_sentences: None };
                    pieces.push(Piece::Repeat {
                        item: vec![Piece::Fixed(bullet.clone()), line],
                        separator: "\n".into(),
                        close,
                        min: *min_items,
                        max: *max_items,
                    });
                }
                FieldKind::Table { columns, min_rows, max_rows, max_chars } => {
                    let rule = vec!["---"; columns.len()].join(" | ");
                    fixed(&mut pieces, &format!("| {} |\n| {rule} |\n", columns.join(" | ")));
                    let mut item = vec![Piece::Fixed("| ".into())];
                    for n in 0..columns.len() {
                        let stops = vec![" |".into(), "\n".into()];
                        item.push(Piece::Text { stops, max_chars: *max_chars, max_sentences: None });
                        item.push(Piece::Fixed(if n + 1 == columns.len() { " |" } else { " | " }.into()));
                    }
                    pieces.push(Piece::Repeat { item, separator: "\n".into(), close, min: *min_rows, max: *max_rows });
                }
                FieldKind::Json { schema } => json(&mut pieces, schema),
            }
            if !matches!(field.kind, FieldKind::List { .. } | FieldKind::Table { .. }) {
                fixed(&mut pieces, &next.unwrap_or_default());
            }
        }
        pieces
    }
}

fn fixed(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Fixed(before)) => before.push_str(text),
        _ => pieces.push(Piece::Fixed(text.to_owned())),
    }
}

fn json(pieces: &mut Vec<Piece>, schema: &Schema) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match schema {
        Schema::Object { properties } => {
            for (n, property) in properties.iter().enumerate() {
                fixed(pieces, &format!("{}{}: ", if n == 0 { "{" } else { ", " }, quoted(&property.name)));
                json(pieces, &property.schema);
            }
            fixed(pieces, "}");
        }
        Schema::Array { items, min_items, max_items } => {
            let mut item = Vec::new();
            json(&mut item, items);
            fixed(pieces, "[");
            pieces.push(Piece::Repeat {
                item,
                separator: ", ".into(),
                close: "]".into(),
                min: *min_items,
                max: *max_items,
            });
        }
        Schema::String { one_of, .. } if !one_of.is_empty() => {
            pieces.push(Piece::Choice(one_of.iter().map(|text| quoted(text)).collect()));
        }
        Schema::String { max_chars, .. } => {
            fixed(pieces, "\"");
            pieces.push(Piece::JsonString { max_chars: *max_chars });
            fixed(pieces, "\"");
        }
        Schema::Number => pieces.push(Piece::Number { integer: false }),
        Schema::Integer => pieces.push(Piece::Number { integer: true }),
        Schema::Boolean => pieces.push(Piece::Choice(vec!["true".into(), "false".into()])),
    }
}
