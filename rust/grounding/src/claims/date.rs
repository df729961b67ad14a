//! Days, months and years.

use super::scan::Line;
use super::value::{Found, ONE, Value};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Line {
    /// The date that begins at `at`: 2024年3月1日, 3月1日, `2024-03-01`, `March 1, 2024`, `1 March 2024`.
    pub(super) fn date(&self, at: usize) -> Option<Found> {
        if self.before(at).is_some_and(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        self.chinese_date(at).or_else(|| self.numeric_date(at)).or_else(|| self.english_date(at))
    }

    fn chinese_date(&self, at: usize) -> Option<Found> {
        let part = |from: usize, marks: &[char], in_range: std::ops::RangeInclusive<i128>| {
            let number = self.numeral(from)?;
            let named = self.char(number.end).is_some_and(|c| marks.contains(&c));
            let n = whole(number.value)?;
            (named && in_range.contains(&n)).then_some((n, number.end + 1))
        };
        let (mut year, mut month, mut day) = (None, None, None);
        let mut end = at;
        // 3年 is a span; a year has four digits.
        if let Some((n, behind)) = part(end, &['年'], 1000..=2999) {
            (year, end) = (Some(n), behind);
        }
        if let Some((n, behind)) = part(end, &['月'], 1..=12) {
            (month, end) = (Some(n), behind);
            if let Some((n, behind)) = part(end, &['日', '号'], 1..=31) {
                (day, end) = (Some(n), behind);
            }
        }
        found(year, month, day, at..end)
    }

    /// `2024-03-01`, `2024/3/1`, `2024.3.1`.
    fn numeric_date(&self, at: usize) -> Option<Found> {
        let digits = |from: usize, lengths: std::ops::RangeInclusive<usize>| {
            let len = (from..).take_while(|at| self.char(*at).is_some_and(|c| c.is_ascii_digit())).count();
            if !lengths.contains(&len) {
                return None;
            }
            Some((self.text(from..from + len).parse::<i128>().ok()?, from + len))
        };
        let (year, end) = digits(at, 4..=4)?;
        let mark = self.char(end).filter(|c| matches!(c, '-' | '/' | '.'))?;
        let (month, end) = digits(end + 1, 1..=2)?;
        let end = Some(end).filter(|end| self.char(*end) == Some(mark))?;
        let (day, end) = digits(end + 1, 1..=2)?;
        let real = (1..=12).contains(&month) && (1..=31).contains(&day);
        real.then(|| found(Some(year), Some(month), Some(day), at..end)).flatten()
    }

    fn english_date(&self, at: usize) -> Option<Found> {
        let month_at = |at: usize| {
            let (word, end) = self.word(at)?;
            let capital = self.char(at).is_some_and(|c| c.is_ascii_uppercase());
            let n = MONTHS.iter().position(|month| *month == word || word.len() == 3 && month.starts_with(&word))?;
            capital.then_some((n as i128 + 1, end + usize::from(word.len() == 3 && self.char(end) == Some('.'))))
        };
        let number_at = |at: usize| {
            let number = self.numeral(at).filter(|number| number.in_digits)?;
            Some((whole(number.value)?, number.end))
        };
        let year_at = |end: usize| {
            let from = end + usize::from(self.char(end) == Some(','));
            let from = Some(from + 1).filter(|_| self.char(from) == Some(' '))?;
            number_at(from).filter(|(n, _)| (1000..=2999).contains(n))
        };
        let day_at = |at: usize| {
            let (day, end) = number_at(at).filter(|(n, _)| (1..=31).contains(n))?;
            let ordinal = ["st", "nd", "rd", "th"].iter().any(|ending| self.starts(end, ending));
            Some((day, end + if ordinal { 2 } else { 0 }))
        };
        if let Some((month, end)) = month_at(at) {
            let day = day_at(end + 1).filter(|_| self.char(end) == Some(' '));
            let end_of_day = day.map_or(end, |(_, end)| end);
            let year = year_at(end_of_day);
            // "May" or "March" alone may be other words.
            if day.is_none() && year.is_none() {
                return None;
            }
            let end = year.map_or(end_of_day, |(_, end)| end);
            return found(year.map(|(n, _)| n), Some(month), day.map(|(n, _)| n), at..end);
        }
        let (day, end) = day_at(at)?;
        let (month, end) = month_at(end + 1).filter(|_| self.char(end) == Some(' '))?;
        let year = year_at(end);
        found(year.map(|(n, _)| n), Some(month), Some(day), at..year.map_or(end, |(_, end)| end))
    }
}

fn whole(value: i128) -> Option<i128> {
    (value % ONE == 0).then_some(value / ONE)
}

fn found(year: Option<i128>, month: Option<i128>, day: Option<i128>, chars: std::ops::Range<usize>) -> Option<Found> {
    let any = year.is_some() || month.is_some() || day.is_some();
    any.then_some(Found::claim(Value::Date { year, month, day }, chars))
}
