//! Placeholders around a model call: the model reads `<PHONE_1>`, the user reads the number again in the answer.

use crate::entity::EntityType;
use crate::redactor::{Redactor, apply};

/// The values behind the placeholders of one exchange. They live in memory only: nothing here can be written out,
/// printed or serialised, and the values are overwritten when it is dropped.
#[derive(Default)]
pub struct Placeholders {
    values: Vec<(EntityType, usize, String)>,
}

impl std::fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Placeholders {{ count: {} }}", self.values.len())
    }
}

impl Placeholders {
    /// No values yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values are held.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The text with every finding as a numbered placeholder; the same value has the same number in every call.
    pub fn hide(&mut self, redactor: &Redactor, text: &str) -> String {
        let findings = redactor.redact(text).findings;
        apply(text, &findings, |finding, value| {
            let number = self.number(finding.kind, value);
            format!("<{}_{number}>", finding.kind)
        })
        .0
    }

    /// The text with the values back in place of their placeholders; unknown placeholders stay.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let known = self.values.iter().find_map(|(kind, number, value)| {
                rest.strip_prefix(&format!("<{kind}_{number}>")).map(|after| (value, after))
            });
            match known {
                Some((value, after)) => {
                    out.push_str(value);
                    rest = after;
                }
                None => {
                    out.push('<');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn number(&mut self, kind: EntityType, value: &str) -> usize {
        if let Some((_, number, _)) = self.values.iter().find(|(other, _, held)| *other == kind && held == value) {
            return *number;
        }
        let number = 1 + self.values.iter().filter(|(other, ..)| *other == kind).count();
        self.values.push((kind, number, value.to_owned()));
        number
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        for (_, _, value) in &mut self.values {
            std::mem::take(value).into_bytes().fill(0);
        }
    }
}
