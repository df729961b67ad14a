//! A text read from left to right for what it claims.

use std::ops::Range;

use super::unit::{Of, currency_before};
use super::value::{Found, ONE, Value};
use super::{chinese_name, english_name, numeral};
use crate::text::is_han;

/// A text as characters, full-width forms folded to their ASCII, with the way back to its bytes.
pub(super) struct Line {
    chars: Vec<char>,
    /// Byte of each character, and the length of the text.
    bytes: Vec<usize>,
}

impl Line {
    pub(super) fn new(text: &str) -> Self {
        let chars = text.chars().map(fold).collect();
        let bytes = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self { chars, bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.chars.len()
    }

    pub(super) fn char(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    pub(super) fn before(&self, at: usize) -> Option<char> {
        self.chars.get(at.checked_sub(1)?).copied()
    }

    pub(super) fn text(&self, chars: Range<usize>) -> String {
        self.chars.get(chars).unwrap_or_default().iter().collect()
    }

    pub(super) fn bytes(&self, chars: Range<usize>) -> Range<usize> {
        self.bytes[chars.start]..self.bytes[chars.end]
    }

    pub(super) fn starts(&self, at: usize, text: &str) -> bool {
        let mut here = self.chars.get(at..).unwrap_or_default().iter();
        text.chars().all(|c| here.next() == Some(&c))
    }

    /// The word of ASCII letters that begins at `at`, in lower case, and its end; `None` inside a word.
    pub(super) fn word(&self, at: usize) -> Option<(String, usize)> {
        if self.before(at).is_some_and(|c| c.is_ascii_alphabetic()) {
            return None;
        }
        let rest = self.chars.get(at..)?;
        let len = rest.iter().take_while(|c| c.is_ascii_alphabetic()).count();
        (len > 0).then(|| (self.text(at..at + len).to_ascii_lowercase(), at + len))
    }

    /// The text with every run of white space as one blank.
    pub(super) fn squeezed(&self) -> String {
        let text: String = self.chars.iter().collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn fold(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '\u{3000}' | '\u{A0}' => ' ',
        '￥' => '¥',
        '–' | '—' | '‑' | '−' => '-',
        '’' => '\'',
        _ => c,
    }
}

/// Everything that can be read with certainty.
pub(super) fn scan(line: &Line) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let read = title(line, at)
            .or_else(|| share(line, at))
            .or_else(|| article(line, at))
            .or_else(|| line.date(at))
            .or_else(|| number(line, at));
        match read {
            Some(value) => {
                at = value.chars.end.max(at + 1);
                found.push(value);
            }
            None => at = behind(line, at),
        }
    }
    let titles: Vec<Range<usize>> =
        found.iter().filter(|found| matches!(found.value, Value::Title(_))).map(|found| found.chars.clone()).collect();
    // A name may hold what was read above, a number say, so names are looked for on their own; but not inside titles.
    let names = chinese_name::organisations(line).into_iter().chain(english_name::names(line));
    let outside = |name: &Found| !titles.iter().any(|t| t.start <= name.chars.start && name.chars.end <= t.end);
    found.extend(names.filter(outside));
    found.sort_by_key(|found| (found.chars.start, found.chars.end));
    found
}

/// Behind the character, or behind the code that it is part of: letters and digits glued together are no number.
fn behind(line: &Line, at: usize) -> usize {
    let glued = |at: usize| line.char(at).is_some_and(|c| c.is_ascii_alphanumeric());
    match line.char(at) {
        Some(c) if c.is_ascii_alphabetic() => (at..).find(|at| !glued(*at)).unwrap_or(at + 1),
        Some(c) if c.is_ascii_digit() => (at..).find(|at| !glued(*at)).unwrap_or(at + 1),
        _ => at + 1,
    }
}

/// 《…》, titles inside titles included.
fn title(line: &Line, at: usize) -> Option<Found> {
    if line.char(at)? != '《' {
        return None;
    }
    let mut depth = 0;
    for end in at..line.len().min(at + 200) {
        match line.char(end)? {
            '《' => depth += 1,
            '》' => depth -= 1,
            '\n' => return None,
            _ => {}
        }
        if depth == 0 {
            let inside = line.text(at + 1..end).split_whitespace().collect::<Vec<_>>().join(" ");
            return (!inside.is_empty()).then(|| Found::claim(Value::Title(inside), at..end + 1));
        }
    }
    None
}

/// 百分之五, 千分之三点五, 三分之二, `two thirds`, 一半.
fn share(line: &Line, at: usize) -> Option<Found> {
    for (word, of) in [("百分之", 1), ("千分之", 10), ("万分之", 100)] {
        if line.starts(at, word) {
            let part = line.numeral(at + 3)?;
            return Some(Found::claim(Value::Percent(part.value / of), at..part.end));
        }
    }
    if let Some(whole) = line.numeral(at)
        && line.starts(whole.end, "分之")
    {
        let part = line.numeral(whole.end + 2)?;
        return Some(Found::claim(fraction(part.value, whole.value)?, at..part.end));
    }
    let (first, end) = line.word(at)?;
    let (second, behind) = line.word(end + 1)?;
    let below = match second.trim_end_matches('s') {
        "half" | "halve" => 2,
        "third" => 3,
        "quarter" => 4,
        "fifth" => 5,
        "tenth" => 10,
        _ => return None,
    };
    let above = numeral::word_value(&first).filter(|n| (1..below).contains(n))?;
    // "one third party" is none.
    let is_share = matches!(line.char(end), Some(' ' | '-')) && line.word(behind + 1).is_some_and(|(w, _)| w == "of");
    is_share.then(|| fraction(above * ONE, below * ONE)).flatten().map(|value| Found::claim(value, at..behind))
}

fn fraction(above: i128, below: i128) -> Option<Value> {
    let (mut a, mut b) = (above.abs(), below.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (below != 0 && a != 0).then(|| Value::Fraction(above / a, below / a))
}

/// 第八十五条, 第三章, `Article 85`, `Section 12(b)`, `§ 12`.
fn article(line: &Line, at: usize) -> Option<Found> {
    if line.char(at) == Some('第') {
        let number = line.numeral(at + 1)?;
        let level = match line.char(number.end)? {
            '条' => "article",
            '章' => "chapter",
            '节' => "section",
            '编' => "part",
            _ => return None,
        };
        let mut end = number.end + 1;
        let mut part = None;
        if line.char(end) == Some('之')
            && let Some(of) = line.numeral(end + 1)
        {
            part = Some(line.text(end..of.end));
            end = of.end;
        }
        let value = Value::Article { level, number: number.value, part };
        return Some(Found { written: Some(number.value), ..Found::claim(value, at..end) });
    }
    let (level, from) = match line.char(at)? {
        '§' => ("article", at + 1),
        _ => {
            let (word, end) = line.word(at)?;
            let level = match word.as_str() {
                "article" | "articles" | "section" | "sections" | "art" | "sec" | "rule" | "clause" => "article",
                "chapter" => "chapter",
                "part" => "part",
                _ => return None,
            };
            (level, end + usize::from(line.char(end) == Some('.')))
        }
    };
    let from = from + usize::from(line.char(from) == Some(' '));
    let number = line.numeral(from).filter(|number| number.in_digits)?;
    let mut end = number.end;
    let mut part = None;
    // (b)(1): of the parts the first is compared, as the source may write them apart.
    while line.char(end) == Some('(') {
        let close = (end + 1..end + 6).find(|at| line.char(*at) == Some(')'))?;
        let inside = line.text(end..close + 1).to_lowercase();
        if !inside[1..inside.len() - 1].chars().all(|c| c.is_ascii_alphanumeric()) {
            break;
        }
        part = part.or(Some(inside));
        end = close + 1;
    }
    let value = Value::Article { level, number: number.value, part };
    Some(Found { written: Some(number.value), ..Found::claim(value, at..end) })
}

/// A number with its unit.
fn number(line: &Line, at: usize) -> Option<Found> {
    if let Some((currency, len)) = currency_before(line, at) {
        let amount = line.numeral(at + len)?;
        let value = Value::Money(amount.value, currency);
        return Some(Found { written: Some(amount.value), ..Found::claim(value, at..amount.end) });
    }
    let ordinal = usize::from(line.char(at) == Some('第'));
    if line.char(at) == Some('半') {
        let unit = line.unit(at + 1)?;
        return Some(Found::claim(unit.of.value(unit.of.half()?)?, at..unit.end));
    }
    let is_word = line.char(at)?.is_ascii_alphabetic();
    let number = if is_word { line.number_words(at)? } else { line.numeral(at + ordinal)? };
    // A2, Q3: a code.
    if line.before(at).is_some_and(|c| c.is_ascii_alphanumeric()) || is_marker(line, at, number.end) {
        return None;
    }
    let Some(unit) = line.unit(number.end) else {
        // A row of Chinese digits may be a year; any other number without a unit is a word (一般, 三农).
        let plain = number.in_digits && !line.char(number.end).is_some_and(|c| c.is_ascii_alphabetic());
        let read = plain || number.is_row && number.end - at >= 4;
        let value = Value::Count(number.value, None);
        return read.then(|| Found { written: Some(number.value), ..Found::claim(value, at..number.end) });
    };
    let mut end = unit.end;
    let mut value = number.value;
    // 一年半.
    if line.char(end) == Some('半')
        && let Some(half) = unit.of.half()
    {
        value = value.checked_add(half)?;
        end += 1;
    }
    let small = value <= 10 * ONE;
    let says_much = match unit.of {
        // 第三人, 第一年 and 第二次 stand in a row.
        _ if ordinal == 1 => false,
        // 一个, 两种, 三项: what counts the items of a list is no claim of the source; 一人 and 一次 are mostly articles.
        Of::Counter(_, true) => !small,
        Of::Counter(_, false) => number.in_digits || value != ONE,
        Of::Ordinal => !small,
        _ => true,
    };
    Some(Found { value: unit.of.value(value)?, chars: at..end, is_claim: says_much, written: Some(number.value) })
}

/// Whether a number only marks an item of a list: `1.`, 3、 where a line or a sentence begins, `(2)`, `[3]`.
fn is_marker(line: &Line, at: usize, end: usize) -> bool {
    let (before, after) = (line.before(at), line.char(end));
    if matches!((before, after), (Some('('), Some(')')) | (Some('['), Some(']'))) {
        return true;
    }
    let earlier = (0..at).rev().map_while(|at| line.char(at)).find(|c| *c != ' ');
    let opens = earlier.is_none_or(|c| "\n。；;：:！!？?”》，".contains(c));
    let closes = match after {
        Some('、' | ')') => true,
        Some('.') => line.char(end + 1).is_none_or(|c| c.is_whitespace() || is_han(c)),
        _ => false,
    };
    opens && closes
}
