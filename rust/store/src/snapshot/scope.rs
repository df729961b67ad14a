//! Who asks, and for which day; and what of a member that leaves.

use std::sync::Arc;

use crate::bitmap::Bitmap;
use crate::row_table::Profile;
use crate::snapshot::chain::{Member, Status};

/// Who asks, and for which day.
///
/// The default is a caller without labels, who sees what is public, and no day, which finds what is live whether or
/// not it is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The caller's access labels. A passage is seen if it has at least one of them in each of its groups.
    pub labels: &'a [String],
    /// A day, `YYYY-MM-DD`: live passages that are not in force on it are left out, and superseded ones that were are
    /// found.
    pub as_of: Option<&'a str>,
}

/// The rows of one member that a scope leaves.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    All,
    Some(Arc<Bitmap>),
    None,
}

impl Rows {
    fn of(bitmap: Bitmap, rows: usize) -> Self {
        match bitmap.len() {
            0 => Self::None,
            n if n == rows => Self::All,
            _ => Self::Some(Arc::new(bitmap)),
        }
    }

    /// The rows, unless it is all or none of them.
    pub fn bitmap(&self) -> Option<&Bitmap> {
        match self {
            Self::Some(bitmap) => Some(bitmap),
            Self::All | Self::None => None,
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub fn contains(&self, row: u64) -> bool {
        match self {
            Self::All => true,
            Self::Some(bitmap) => bitmap.contains(row),
            Self::None => false,
        }
    }
}

/// What a scope leaves of one member.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// What may be found: live, allowed and in force, and what was in force and is superseded.
    pub found: Rows,
    /// What statistics are taken over: live and allowed, whatever the day.
    pub counted: Rows,
    /// How many rows are counted.
    pub n_counted: u64,
    /// How many terms they have.
    pub counted_terms: u64,
}

impl Filter {
    /// Whether nothing of the member matters.
    pub fn is_empty(&self) -> bool {
        matches!((&self.found, &self.counted), (Rows::None, Rows::None))
    }

    /// One pass over the rows: some nanoseconds each.
    pub fn of(member: &Member, members: &[Member], scope: &Scope<'_>) -> Self {
        let table = member.table();
        let verdicts: Vec<Verdict> =
            table.profiles.iter().map(|profile| Verdict::of(member, members, profile, scope)).collect();
        let n_rows = table.of_row.len();
        let verdict_of = |row: u64| &verdicts[table.of_row[row as usize] as usize];
        let everything = member.exceptions.is_empty() && verdicts.iter().all(|verdict| verdict.counted);
        let counted = match everything {
            true => Rows::All,
            false => {
                let live = |row: u64| verdict_of(row).counted && !member.exceptions.contains_key(&(row as u32));
                Rows::of(Bitmap::collect(n_rows as u64, &live), n_rows)
            }
        };
        let found = if everything && verdicts.iter().all(|verdict| verdict.found) {
            Rows::All
        } else {
            let found = |row: u64| match member.exceptions.get(&(row as u32)) {
                None => verdict_of(row).found,
                Some(Status::Superseded { last_day }) => {
                    verdict_of(row).allowed
                        && scope.as_of.is_some_and(|day| held(member, table.profile(row as u32), last_day, day))
                }
                Some(Status::Shadowed | Status::Removed | Status::Revoked | Status::Hidden) => false,
            };
            Rows::of(Bitmap::collect(n_rows as u64, &found), n_rows)
        };
        let (n_counted, counted_terms) = match &counted {
            Rows::All => (n_rows as u64, table.total_terms),
            Rows::None => (0, 0),
            Rows::Some(bitmap) => {
                let terms = table.terms.iter().enumerate().filter(|&(row, _)| bitmap.contains(row as u64));
                (bitmap.len() as u64, terms.map(|(_, &terms)| u64::from(terms)).sum())
            }
        };
        Self { found, counted, n_counted, counted_terms }
    }
}

/// What a scope says of all rows of a profile that no withdrawal names.
struct Verdict {
    allowed: bool,
    counted: bool,
    found: bool,
}

impl Verdict {
    fn of(member: &Member, members: &[Member], profile: &Profile, scope: &Scope<'_>) -> Self {
        let own = &member.table().documents[profile.document as usize];
        let current = member.describing(members, profile.document);
        // The newest description of a document restricts passages that came before it, and never opens them.
        let allowed =
            profile.groups.allow(scope.labels) && own.groups.allow(scope.labels) && current.groups.allow(scope.labels);
        let superseded = profile.valid_to.as_deref();
        let in_time = match (superseded, scope.as_of) {
            (None, None) => true,
            (None, Some(day)) => {
                let from = profile.valid_from.as_deref().or(current.valid_from.as_deref());
                in_force(day, from, current.valid_to.as_deref())
            }
            (Some(_), None) => false,
            (Some(last_day), Some(day)) => held(member, profile, last_day, day),
        };
        Self { allowed, counted: allowed && superseded.is_none(), found: allowed && in_time }
    }
}

/// Whether a superseded row was in force on a day; it keeps the dates of its own document.
fn held(member: &Member, profile: &Profile, last_day: &str, day: &str) -> bool {
    let own = &member.table().documents[profile.document as usize];
    in_force(day, profile.valid_from.as_deref().or(own.valid_from.as_deref()), Some(last_day))
}

/// Whether something valid from one day to another is in force on `day`; either end may be open or a year or month only.
pub(crate) fn in_force(day: &str, from: Option<&str>, to: Option<&str>) -> bool {
    // Dates of this form compare as text; against a month, the day counts as its month.
    let up_to = |bound: &str| day.get(..bound.len().min(day.len())).unwrap_or(day).to_owned();
    from.is_none_or(|from| from <= day) && to.is_none_or(|to| up_to(to).as_str() <= to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_in_force_from_its_first_to_its_last_day() {
        let day = "2026-03-15";
        for (from, to, expected) in [
            (None, None, true),
            (Some("2026-03-15"), Some("2026-03-15"), true),
            (Some("2026-03-16"), None, false),
            (None, Some("2026-03-14"), false),
            (Some("2026-03"), Some("2026-03"), true),
            (Some("2025"), Some("2026"), true),
            (Some("2024-01-01"), Some("2025-12"), false),
        ] {
            assert_eq!(in_force(day, from, to), expected, "{from:?} to {to:?}");
        }
    }
}
