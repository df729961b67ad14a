//! What an explanation claims and its sources do not say.
//!
//! Numbers with their units, dates, article numbers and names are read from both sides into values, and a value of the
//! text that none of the sources has is reported. No model reads again. Precision comes first: what is only rephrased
//! (百分之五 and 5 percent, 一年 and 12 months, 两 and 二) is equal, and what cannot be read with certainty is no claim.

mod chinese_name;
mod date;
mod english_name;
mod numeral;
mod scan;
mod unit;
mod value;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::scan::{Line, scan};
use self::value::{Found, Value};

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// A count, with or without its unit: `3人`, `12.5`.
    Number,
    /// A share: `5%`, 百分之五, 三分之二.
    Percentage,
    /// A sum of money.
    Amount,
    /// A span of time: 三个月, `15 business days`.
    Duration,
    /// A day, a month or a year.
    Date,
    /// The number of an article, section or chapter.
    Article,
    /// A title in 《》, an organisation, a name of several capitalised words.
    Name,
}

/// A claim that no source supports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsupported {
    /// What kind it is.
    pub kind: ClaimKind,
    /// Where it stands, in bytes of the text.
    pub range: Range<usize>,
}

/// What the sources say: built once for an answer, asked for each of its free texts.
pub struct Evidence {
    found: Vec<Found>,
    /// The sources with full-width forms folded and white space made one blank, for names.
    text: String,
    /// The same in lower case.
    lower: String,
}

impl Evidence {
    /// Reads the sources: the cited passages and their labels, in which article numbers and titles stand; and the question,
    /// if a number that the asker gave may be repeated. Time is linear in their length.
    pub fn new<'s>(sources: impl IntoIterator<Item = &'s str>) -> Self {
        let (mut found, mut text) = (Vec::new(), String::new());
        for source in sources {
            let line = Line::new(source);
            found.extend(scan(&line));
            text.push_str(&line.squeezed());
            text.push('\n');
        }
        let lower = text.to_lowercase();
        Self { found, text, lower }
    }

    /// Every claim of `text` that no source supports, in order.
    pub fn unsupported(&self, text: &str) -> Vec<Unsupported> {
        let line = Line::new(text);
        let claims = scan(&line).into_iter().filter(|claim| claim.is_claim && !self.supports(claim));
        claims.map(|claim| Unsupported { kind: claim.value.kind(), range: line.bytes(claim.chars) }).collect()
    }

    fn supports(&self, claim: &Found) -> bool {
        match &claim.value {
            Value::Title(title) => self.text.contains(title.as_str()) || self.text.contains(value::short_title(title)),
            Value::Organisation(name) => chinese_name::is_named(name, &self.text),
            Value::EnglishName(name) => english_name::is_named(name, &self.text, &self.lower),
            value => self.found.iter().any(|known| value.is_said_by(known, &self.lower)),
        }
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
