//! Whether an answer keeps its contract, and what it breaks.

use std::ops::Range;

use serde::Serialize;

use super::parse::{Part, parts, value};
use super::{Contract, FieldKind, FieldValue, Language, Values};
use crate::sentence::sentences;
use crate::text::{is_han, is_word};
use crate::{Occurrence, QuoteFault, QuoteRules};

/// A passage of the prompt, under the label that stands there.
#[derive(Clone, Copy, Debug)]
pub struct Source<'s> {
    /// How the prompt names it.
    pub label: &'s str,
    /// Its text, as stored.
    pub text: &'s str,
}

/// A way in which an answer breaks its contract. Holds names of the contract and places, never a text of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum Violation {
    /// A field is not there.
    Missing {
        /// Its name.
        field: String,
    },
    /// A field stands before one that should come first.
    OutOfOrder {
        /// Its name.
        field: String,
    },
    /// The marker of a field stands again in a later text.
    Repeated {
        /// Its name.
        field: String,
    },
    /// There is text before the first field.
    Stray,
    /// A field holds nothing.
    Empty {
        /// Its name.
        field: String,
    },
    /// A field has not the form of its kind: no quotation marks, no table, no JSON by its schema.
    Malformed {
        /// Its name.
        field: String,
    },
    /// More characters or sentences than allowed.
    TooLong {
        /// Its name.
        field: String,
    },
    /// Fewer or more items or rows than allowed.
    Count {
        /// Its name.
        field: String,
    },
    /// A forbidden word stands outside quotes.
    Forbidden {
        /// The word of the contract.
        word: String,
        /// Where, in bytes of the answer.
        at: Range<usize>,
    },
    /// The quote is none.
    Quote {
        /// Name of the field.
        field: String,
        /// Why.
        fault: QuoteFault,
    },
    /// The label is none of the prompt's.
    UnknownLabel {
        /// Name of the field.
        field: String,
    },
    /// The quote stands in another passage than the label says.
    OtherLabel {
        /// Name of the field.
        field: String,
    },
    /// Free text is in another language than the contract's.
    Language {
        /// Name of the field.
        field: String,
    },
}

/// An answer held against its contract.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Checked {
    /// The answer is the contract's text for declining, and nothing else; then there are no values.
    pub declined: bool,
    /// The values of the fields that could be read.
    pub values: Values,
    /// Where quotes stand in the answer, in bytes, and in which sources.
    #[serde(skip)]
    pub quotes: Vec<(Range<usize>, Vec<Occurrence>)>,
    /// Where free text stands in the answer, in bytes: what claims are looked for in.
    pub free: Vec<Range<usize>>,
    /// What is broken.
    pub violations: Vec<Violation>,
}

impl Checked {
    /// Whether nothing is broken.
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }
}

impl Contract {
    /// Takes an answer apart and checks it against the passages of its prompt. Time is linear in answer and passages.
    pub fn check(&self, answer: &str, sources: &[Source<'_>]) -> Checked {
        if answer.trim() == self.decline.trim() {
            return Checked { declined: true, ..Checked::default() };
        }
        let (parts, violations) = parts(self, answer);
        let mut checked = Checked { violations, ..Checked::default() };
        // What the model did not choose freely, and so cannot be blamed for.
        let mut copied: Vec<Range<usize>> = Vec::new();
        for part in &parts {
            let range = part.at..part.at + part.content.len();
            let field = || part.field.name.clone();
            if part.content.is_empty() {
                checked.violations.push(Violation::Empty { field: field() });
                continue;
            }
            let Some(value) = value(&part.field.kind, part.content) else {
                checked.violations.push(Violation::Malformed { field: field() });
                continue;
            };
            match (&part.field.kind, &value) {
                (FieldKind::Quote { rules, open, .. }, FieldValue::Quote { label, quote }) => {
                    copied.push(range);
                    checked.quote(part, rules, open, label, quote, sources);
                }
                (kind, value) => {
                    checked.free.push(range);
                    checked.limits(kind, value, part, self.language);
                }
            }
            checked.values.insert(field(), value);
        }
        for forbidden in &self.forbidden {
            let outside = |at: &Range<usize>| !copied.iter().any(|span| span.start <= at.start && at.end <= span.end);
            let places = forbidden.find(answer).into_iter().filter(outside);
            checked.violations.extend(places.map(|at| Violation::Forbidden { word: forbidden.word.clone(), at }));
        }
        checked
    }
}

impl Checked {
    fn quote(
        &mut self,
        part: &Part<'_, '_>,
        rules: &QuoteRules,
        open: &str,
        label: &str,
        quote: &str,
        sources: &[Source<'_>],
    ) {
        let field = || part.field.name.clone();
        let named: Vec<usize> = (0..sources.len()).filter(|n| sources[*n].label == label).collect();
        if named.is_empty() {
            self.violations.push(Violation::UnknownLabel { field: field() });
        }
        let texts = |of: &[usize]| of.iter().map(|n| sources[*n].text).collect::<Vec<_>>();
        let all: Vec<usize> = (0..sources.len()).collect();
        let found = rules.locate(quote, &texts(&named)).map(|places| (named, places)).or_else(|fault| {
            let elsewhere = rules.locate(quote, &texts(&all)).map(|places| (all, places));
            elsewhere.map_err(|other| if fault == QuoteFault::NotInPassages { other } else { fault })
        });
        match found {
            Ok((of, places)) => {
                let places: Vec<Occurrence> =
                    places.into_iter().map(|(n, bytes)| Occurrence { text: of[n], bytes }).collect();
                let labelled = places.iter().any(|place| sources[place.text].label == label);
                if !labelled && sources.iter().any(|source| source.label == label) {
                    self.violations.push(Violation::OtherLabel { field: field() });
                }
                let start = part.content.find(open).map_or(0, |at| at + open.len()) + part.at;
                self.quotes.push((start..start + quote.len(), places));
            }
            Err(fault) => self.violations.push(Violation::Quote { field: field(), fault }),
        }
    }

    fn limits(&mut self, kind: &FieldKind, value: &FieldValue, part: &Part<'_, '_>, language: Language) {
        let field = || part.field.name.clone();
        let over = |text: &str, max: Option<usize>| max.is_some_and(|max| text.chars().count() > max);
        let (too_long, count) = match (kind, value) {
            (FieldKind::Text { max_chars, max_sentences }, FieldValue::Text { text }) => {
                let wordy = max_sentences.is_some_and(|max| sentences(text).len() > max);
                (over(text, *max_chars) || wordy, true)
            }
            (FieldKind::List { min_items, max_items, max_chars, .. }, FieldValue::List { items }) => {
                let long = items.iter().any(|item| over(item, *max_chars));
                (long, (*min_items..=*max_items).contains(&items.len()))
            }
            (FieldKind::Table { min_rows, max_rows, max_chars, .. }, FieldValue::Table { rows }) => {
                let long = rows.iter().flatten().any(|cell| over(cell, *max_chars));
                (long, (*min_rows..=*max_rows).contains(&rows.len()))
            }
            _ => (false, true),
        };
        if too_long {
            self.violations.push(Violation::TooLong { field: field() });
        }
        if !count {
            self.violations.push(Violation::Count { field: field() });
        }
        if is_foreign(part.content, language) {
            self.violations.push(Violation::Language { field: field() });
        }
    }
}

/// Whether a text is plainly in another language; names and codes in one are not.
fn is_foreign(text: &str, language: Language) -> bool {
    let han = text.chars().filter(|c| is_han(*c)).count();
    let words = text.split(|c: char| !is_word(c)).filter(|word| word.chars().any(char::is_alphabetic)).count();
    match language {
        Language::Chinese => han == 0 && words >= 5,
        Language::English => han > 2 * words,
    }
}
