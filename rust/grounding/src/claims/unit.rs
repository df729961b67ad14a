//! What is counted: the text behind a number.

use super::scan::Line;
use super::value::{Clock, ONE, Value};

/// A unit and where it ends.
pub(super) struct Unit {
    pub(super) of: Of,
    pub(super) end: usize,
}

/// How a number is turned into a value.
#[derive(Clone, Copy)]
pub(super) enum Of {
    /// Hundredths of a per cent.
    Share(i128),
    Money(&'static str),
    /// So many of the clock's unit.
    Span(i128, Clock),
    /// A counter; one that only numbers what is listed says little.
    Counter(Option<&'static str>, bool),
    /// The ending of an ordinal: 21st.
    Ordinal,
}

const DAY: i128 = 24 * 60;

/// Chinese units; a longer one stands before those that begin it.
const CHINESE: &[(&str, Of)] = &[
    ("%", Of::Share(100)),
    ("‰", Of::Share(10)),
    ("个百分点", Of::Share(100)),
    ("个基点", Of::Share(1)),
    ("元人民币", Of::Money("CNY")),
    ("元", Of::Money("CNY")),
    ("圆", Of::Money("CNY")),
    ("美元", Of::Money("USD")),
    ("美金", Of::Money("USD")),
    ("欧元", Of::Money("EUR")),
    ("英镑", Of::Money("GBP")),
    ("日元", Of::Money("JPY")),
    ("港元", Of::Money("HKD")),
    ("港币", Of::Money("HKD")),
    ("个工作日", Of::Span(1, Clock::WorkDay)),
    ("工作日", Of::Span(1, Clock::WorkDay)),
    ("个交易日", Of::Span(1, Clock::WorkDay)),
    ("交易日", Of::Span(1, Clock::WorkDay)),
    ("周年", Of::Span(12, Clock::Month)),
    ("周岁", Of::Counter(Some("age"), false)),
    ("岁", Of::Counter(Some("age"), false)),
    ("年", Of::Span(12, Clock::Month)),
    ("个季度", Of::Span(3, Clock::Month)),
    ("季度", Of::Span(3, Clock::Month)),
    ("个月", Of::Span(1, Clock::Month)),
    ("个星期", Of::Span(7 * DAY, Clock::Minute)),
    ("星期", Of::Span(7 * DAY, Clock::Minute)),
    ("周", Of::Span(7 * DAY, Clock::Minute)),
    ("个自然日", Of::Span(DAY, Clock::Minute)),
    ("自然日", Of::Span(DAY, Clock::Minute)),
    ("日", Of::Span(DAY, Clock::Minute)),
    ("天", Of::Span(DAY, Clock::Minute)),
    ("个小时", Of::Span(60, Clock::Minute)),
    ("小时", Of::Span(60, Clock::Minute)),
    ("分钟", Of::Span(1, Clock::Minute)),
    ("个人", Of::Counter(Some("person"), false)),
    ("人", Of::Counter(Some("person"), false)),
    ("名", Of::Counter(Some("person"), false)),
    ("位", Of::Counter(Some("person"), false)),
    ("倍", Of::Counter(Some("times as much"), false)),
    ("次", Of::Counter(Some("time"), false)),
    ("份", Of::Counter(Some("copy"), false)),
    ("家", Of::Counter(Some("firm"), false)),
    ("户", Of::Counter(Some("household"), false)),
    ("股", Of::Counter(Some("share"), false)),
    ("张", Of::Counter(Some("sheet"), false)),
    ("笔", Of::Counter(Some("transaction"), false)),
    ("吨", Of::Counter(Some("tonne"), false)),
    ("千克", Of::Counter(Some("kilogram"), false)),
    ("公斤", Of::Counter(Some("kilogram"), false)),
    ("公里", Of::Counter(Some("kilometre"), false)),
    ("平方米", Of::Counter(Some("square metre"), false)),
    ("个", Of::Counter(None, true)),
    ("种", Of::Counter(None, true)),
    ("项", Of::Counter(None, true)),
    ("类", Of::Counter(None, true)),
    ("点", Of::Counter(None, true)),
    ("条", Of::Counter(None, true)),
    ("款", Of::Counter(None, true)),
    ("方面", Of::Counter(None, true)),
    ("部分", Of::Counter(None, true)),
    ("件", Of::Counter(None, true)),
];

/// English units by their word, in singular; `business day` and the like are put together before.
const ENGLISH: &[(&str, Of)] = &[
    ("percent", Of::Share(100)),
    ("per cent", Of::Share(100)),
    ("percentage point", Of::Share(100)),
    ("basis point", Of::Share(1)),
    ("dollar", Of::Money("USD")),
    ("us dollar", Of::Money("USD")),
    ("usd", Of::Money("USD")),
    ("euro", Of::Money("EUR")),
    ("eur", Of::Money("EUR")),
    ("yuan", Of::Money("CNY")),
    ("rmb", Of::Money("CNY")),
    ("cny", Of::Money("CNY")),
    ("business day", Of::Span(1, Clock::WorkDay)),
    ("working day", Of::Span(1, Clock::WorkDay)),
    ("trading day", Of::Span(1, Clock::WorkDay)),
    ("calendar day", Of::Span(DAY, Clock::Minute)),
    ("calendar month", Of::Span(1, Clock::Month)),
    ("calendar year", Of::Span(12, Clock::Month)),
    ("minute", Of::Span(1, Clock::Minute)),
    ("hour", Of::Span(60, Clock::Minute)),
    ("day", Of::Span(DAY, Clock::Minute)),
    ("week", Of::Span(7 * DAY, Clock::Minute)),
    ("month", Of::Span(1, Clock::Month)),
    ("quarter", Of::Span(3, Clock::Month)),
    ("year", Of::Span(12, Clock::Month)),
    ("st", Of::Ordinal),
    ("nd", Of::Ordinal),
    ("rd", Of::Ordinal),
    ("th", Of::Ordinal),
];

impl Line {
    /// The unit that begins at `at`, behind a number.
    pub(super) fn unit(&self, at: usize) -> Option<Unit> {
        // 十余年, 30多天: about so many.
        let at = at + usize::from(matches!(self.char(at), Some('余' | '多')));
        let spaced = at + usize::from(self.char(at) == Some(' '));
        let chinese = CHINESE.iter().filter(|(word, _)| self.starts(spaced, word));
        if let Some((word, of)) = chinese.max_by_key(|(word, _)| word.len()) {
            return Some(Unit { of: *of, end: spaced + word.chars().count() });
        }
        let from = at + usize::from(matches!(self.char(at), Some(' ' | '-')));
        let (first, end) = self.word(from)?;
        let two = self.word(end + 1).filter(|_| matches!(self.char(end), Some(' ' | '-')));
        let by = |word: &str| {
            let singular = word.strip_suffix('s').unwrap_or(word);
            ENGLISH.iter().find(|(unit, _)| *unit == word || *unit == singular).map(|(_, of)| *of)
        };
        if let Some((second, behind)) = two
            && let Some(of) = by(&format!("{first} {second}"))
        {
            return Some(Unit { of, end: behind });
        }
        by(&first).map(|of| Unit { of, end })
    }
}

impl Of {
    /// `number`, in millionths, of this unit.
    pub(super) fn value(self, number: i128) -> Option<Value> {
        Some(match self {
            Self::Share(hundredths) => Value::Percent(number.checked_mul(hundredths)? / 100),
            Self::Money(currency) => Value::Money(number, currency),
            Self::Span(n, clock) => Value::Span(number.checked_mul(n)?, clock),
            Self::Counter(unit, _) => Value::Count(number, unit),
            Self::Ordinal => Value::Count(number, None),
        })
    }

    /// Whether half of it is meant by 半: 半年, 一年半.
    pub(super) fn half(self) -> Option<i128> {
        matches!(self, Self::Span(..)).then_some(ONE / 2)
    }
}

/// The currency that a sign before a number stands for, and the sign's length.
pub(super) fn currency_before(line: &Line, at: usize) -> Option<(&'static str, usize)> {
    const SIGNS: [(&str, &str); 10] = [
        ("US$", "USD"),
        ("HK$", "HKD"),
        ("USD ", "USD"),
        ("RMB ", "CNY"),
        ("CNY ", "CNY"),
        ("EUR ", "EUR"),
        ("$", "USD"),
        ("¥", "CNY"),
        ("€", "EUR"),
        ("£", "GBP"),
    ];
    SIGNS.iter().find(|(sign, _)| line.starts(at, sign)).map(|(sign, currency)| (*currency, sign.chars().count()))
}
