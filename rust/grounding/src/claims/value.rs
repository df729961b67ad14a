//! Values, and when one says the same as another.

use std::ops::Range;

use super::ClaimKind;

/// Numbers are counted in millionths, so that decimals are exact.
pub(super) const ONE: i128 = 1_000_000;

/// A value and where it stands, in characters of its line.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) chars: Range<usize>,
    /// Whether it claims something by itself. What is read with less certainty supports claims but makes none.
    pub(super) is_claim: bool,
    /// The number as it was written, whatever its unit.
    pub(super) written: Option<i128>,
}

impl Found {
    /// A value that claims something by itself, and has no number or none apart from its unit.
    pub(super) fn claim(value: Value, chars: Range<usize>) -> Self {
        Self { value, chars, is_claim: true, written: None }
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Of a hundred.
    Percent(i128),
    /// In lowest terms.
    Fraction(i128, i128),
    /// In units of the currency.
    Money(i128, &'static str),
    /// A count of a unit of time.
    Span(i128, Clock),
    Date {
        year: Option<i128>,
        month: Option<i128>,
        day: Option<i128>,
    },
    Article {
        level: &'static str,
        number: i128,
        part: Option<String>,
    },
    Count(i128, Option<&'static str>),
    Title(String),
    Organisation(String),
    EnglishName(String),
}

/// Units of time that can be turned into each other without a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Month,
    Minute,
    /// Working, business or trading days.
    WorkDay,
}

impl Value {
    pub(super) fn kind(&self) -> ClaimKind {
        match self {
            Self::Percent(_) | Self::Fraction(..) => ClaimKind::Percentage,
            Self::Money(..) => ClaimKind::Amount,
            Self::Span(..) => ClaimKind::Duration,
            Self::Date { .. } => ClaimKind::Date,
            Self::Article { .. } => ClaimKind::Article,
            Self::Count(..) => ClaimKind::Number,
            Self::Title(_) | Self::Organisation(_) | Self::EnglishName(_) => ClaimKind::Name,
        }
    }

    /// Whether `known`, a value of the sources, says this one too; `text` is all of the sources in lower case.
    pub(super) fn is_said_by(&self, known: &Found, text: &str) -> bool {
        match (self, &known.value) {
            (Self::Date { year, month, day }, Self::Date { year: y, month: m, day: d }) => {
                // Whoever names less than the source claims less.
                let agrees = |claimed: &Option<i128>, said: &Option<i128>| claimed.is_none() || claimed == said;
                agrees(year, y) && agrees(month, m) && agrees(day, d)
            }
            (Self::Article { level, number, part }, Self::Article { level: l, number: n, part: p }) => {
                let within = part.as_ref().is_none_or(|part| p.as_ref() == Some(part) || text.contains(part.as_str()));
                level == l && number == n && within
            }
            // "Articles 5 and 6" names the second without the word.
            (Self::Article { number, part: None, .. }, Self::Count(n, None)) => number == n,
            // A number without its unit, as the first of "3 to 5 days".
            (Self::Count(n, None), said) => known.written == Some(*n) || self == said,
            (Self::Count(n, Some(unit)), Self::Count(m, of)) => n == m && of.is_none_or(|of| of == *unit),
            (claimed, known) => claimed == known,
        }
    }
}

/// A title without the state's name before it.
pub(super) fn short_title(title: &str) -> &str {
    title.strip_prefix("中华人民共和国").filter(|short| !short.is_empty()).unwrap_or(title)
}
