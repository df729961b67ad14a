//! Numbers written in groups: resident numbers, telephones, cards, US social security numbers.
//!
//! The scan reads groups of digits joined by spaces, dashes or a line break, and asks each recognizer about every
//! window of whole groups. So a number may be spaced in any way and broken over lines, and `\b` (which Han letters
//! defeat) is never asked.

use std::ops::Range;

use crate::checks;
use crate::context::{AGAINST, Context, char_at, char_before, has_before, judge};
use crate::entity::{EntityType, Finding};

const LONGEST: usize = 19;
const MOST_GROUPS: usize = 20;

const ID_WORDS: &[&str] = &[
    "身份证",
    "证件",
    "公民身份",
    "身份号码",
    "居民证",
    "id card",
    "id number",
    "identity",
    "resident id",
    "id no",
    "idcard",
    "id_card",
];
const PHONE_WORDS: &[&str] = &[
    "手机",
    "电话",
    "座机",
    "固话",
    "联系方式",
    "来电",
    "回电",
    "拨打",
    "致电",
    "短信",
    "微信",
    "whatsapp",
    "tel",
    "phone",
    "mobile",
    "cell",
    "call",
    "text me",
    "fax",
    "传真",
    "contact",
    "registered",
    "number to reach",
];
const CARD_WORDS: &[&str] = &[
    "卡号",
    "银行卡",
    "储蓄卡",
    "信用卡",
    "借记卡",
    "工资卡",
    "的卡",
    "账号",
    "账户",
    "绑卡",
    "转账",
    "打款",
    "汇款",
    "card",
    "visa",
    "mastercard",
    "amex",
    "account",
    "debit",
    "credit",
];
const SSN_WORDS: &[&str] = &["ssn", "social security", "社保号", "社会安全"];
const ACCOUNT_WORDS: &[&str] =
    &["账号", "帐号", "账户号", "户号", "account number", "account no", "account is", "acct"];

/// One run of ASCII letters and digits, read as digits.
#[derive(Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
    look_alikes: usize,
}

/// The digit a scanned character is usually misread for, or the character itself; `None` for anything else.
fn as_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte),
        b'O' | b'o' | b'D' => Some(b'0'),
        b'l' | b'I' | b'|' | b'i' => Some(b'1'),
        b'Z' | b'z' => Some(b'2'),
        b'S' | b's' => Some(b'5'),
        b'B' => Some(b'8'),
        b'q' => Some(b'9'),
        _ => None,
    }
}

/// Every finding among the numbers of a folded text.
pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    let mut chain: Vec<Group> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_alphanumeric() || bytes[at] == b'|') {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'|') {
            at += 1;
        }
        let group = read_group(bytes, start, at);
        let joined = chain.last().is_some_and(|last| is_separator(&bytes[last.end..start]));
        if group.is_none() || !joined || chain.len() == MOST_GROUPS {
            windows(text, &chain, found);
            chain.clear();
        }
        chain.extend(group);
    }
    windows(text, &chain, found);
}

fn read_group(bytes: &[u8], start: usize, end: usize) -> Option<Group> {
    let token = &bytes[start..end];
    if token.len() > 24 || !token.iter().any(u8::is_ascii_digit) && token.len() > 1 {
        return None;
    }
    // The last character of a resident number may be an X.
    let body = match token {
        [body @ .., b'X' | b'x'] => body,
        _ => token,
    };
    let real = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    if body.iter().any(|&byte| as_digit(byte).is_none()) || body.len() > 2 && real * 3 < body.len() * 2 {
        return None;
    }
    if real == 0 && !matches!(token, b"X" | b"x") {
        return None;
    }
    Some(Group { start, end, look_alikes: body.iter().filter(|byte| !byte.is_ascii_digit()).count() })
}

/// Up to two blanks or one dash with blanks, or one line break with the indentation after it.
fn is_separator(between: &[u8]) -> bool {
    let dashes = between.iter().filter(|&&byte| byte == b'-').count();
    let breaks = between.iter().filter(|&&byte| byte == b'\n').count();
    let blanks = between.iter().filter(|&&byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    dashes + breaks + blanks == between.len()
        && dashes <= 1
        && breaks <= 1
        && (blanks <= 2 || breaks == 1 && blanks <= 8)
}

struct Window<'t> {
    text: &'t str,
    range: Range<usize>,
    /// The digits, look-alikes read as digits, a last `X` as it is.
    digits: Vec<u8>,
    sizes: Vec<usize>,
    look_alikes: usize,
    broken: bool,
    dash_before: bool,
    dash_after: bool,
}

fn windows(text: &str, chain: &[Group], found: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    for first in 0..chain.len() {
        let mut digits = Vec::new();
        let mut sizes = Vec::new();
        let mut look_alikes = 0;
        let mut broken = false;
        for last in first..chain.len() {
            let group = chain[last];
            if digits.len() + (group.end - group.start) > LONGEST + 4 || matches!(digits.last(), Some(b'X')) {
                break;
            }
            if last > first {
                broken |= bytes[chain[last - 1].end..group.start].contains(&b'\n');
            }
            digits.extend(bytes[group.start..group.end].iter().map(|&byte| as_digit(byte).unwrap_or(b'X')));
            sizes.push(group.end - group.start);
            look_alikes += group.look_alikes;
            if digits.len() < 7 {
                continue;
            }
            let window = Window {
                text,
                range: chain[first].start..group.end,
                digits: digits.clone(),
                sizes: sizes.clone(),
                look_alikes,
                broken,
                dash_before: first > 0 && bytes[chain[first - 1].end..chain[first].start].contains(&b'-'),
                dash_after: last + 1 < chain.len() && bytes[group.end..chain[last + 1].start].contains(&b'-'),
            };
            if window.stands_alone() {
                found.extend(window.judge());
            }
        }
    }
}

impl Window<'_> {
    /// Whether the characters on both sides allow a number that ends here: no decimals, amounts or identifiers.
    fn stands_alone(&self) -> bool {
        let before = char_before(self.text, self.range.start);
        let after = char_at(self.text, self.range.end);
        let digit_beyond = |range: &str, back: bool| {
            let mut chars = range.chars();
            if back { chars.nth_back(1) } else { chars.nth(1) }.is_some_and(|c| c.is_ascii_digit())
        };
        let unit = matches!(before, Some('_' | '¥' | '$' | '€' | '£' | '￥' | '@'))
            || matches!(after, Some('_' | '%' | '@' | '元' | '万' | '亿'));
        let decimal = matches!(before, Some('.' | ',')) && digit_beyond(&self.text[..self.range.start], true)
            || matches!(after, Some('.' | ',')) && digit_beyond(&self.text[self.range.end..], false);
        !unit && !decimal
    }

    fn judge(&self) -> Option<Finding> {
        let only_digits = self.digits.iter().all(u8::is_ascii_digit);
        if self.digits.len() == 18 && checks::resident_id(&self.digits) {
            return Some(self.finding(EntityType::IdCard, if self.look_alikes > 0 { 0.9 } else { 1.0 }));
        }
        if !only_digits {
            return None;
        }
        self.legacy_id()
            .or_else(|| self.ssn())
            .or_else(|| self.card())
            .or_else(|| self.phone())
            .or_else(|| self.account())
    }

    fn finding(&self, kind: EntityType, score: f32) -> Finding {
        Finding::new(kind, self.range.clone(), score)
    }

    /// The score with and without a telling word; look-alikes are believed only with one.
    fn scored(&self, kind: EntityType, words: &[&str], plain: f32, told: f32) -> Option<Finding> {
        let score = match judge(self.text, &self.range, words) {
            Context::For => told,
            Context::Against => return None,
            Context::Silent if self.look_alikes > 0 => return None,
            Context::Silent => plain,
        };
        Some(self.finding(kind, score))
    }

    fn legacy_id(&self) -> Option<Finding> {
        (checks::legacy_id(&self.digits) && self.sizes.iter().all(|&size| size >= 3))
            .then(|| self.scored(EntityType::IdCard, ID_WORDS, 0.4, 0.85))?
    }

    fn ssn(&self) -> Option<Finding> {
        if !checks::ssn(&self.digits) || self.dash_before || self.dash_after {
            return None;
        }
        let dashed = self.sizes == [3, 2, 4];
        (dashed || self.sizes.len() == 1)
            .then(|| self.scored(EntityType::UsSsn, SSN_WORDS, if dashed { 0.6 } else { 0.2 }, 0.95))?
    }

    fn card(&self) -> Option<Finding> {
        if self.digits.len() < 12 || self.digits.len() > LONGEST || !checks::luhn(&self.digits) {
            return None;
        }
        if self.sizes.len() > 1 && (self.sizes.iter().any(|&size| size < 2) || self.sizes.len() > 6) {
            return None;
        }
        let plain = match (checks::card_range(&self.digits), self.digits.len()) {
            (true, 14..) => 0.65,
            (true, _) => 0.4,
            (false, _) => 0.3,
        };
        let told = if plain > 0.35 { 0.95 } else { 0.7 };
        self.scored(EntityType::BankCard, CARD_WORDS, plain, told)
    }

    fn phone(&self) -> Option<Finding> {
        if self.broken && self.sizes.len() > 4 {
            return None;
        }
        let digits = self.digits.as_slice();
        let plus = char_before(self.text, self.range.start) == Some('+');
        let national = if plus || digits.starts_with(b"0086") || digits.len() == 13 { strip_86(digits) } else { None };
        let number = national.unwrap_or(digits);
        let mut finding = if number.len() == 11 && number[0] == b'1' && (b'3'..=b'9').contains(&number[1]) {
            let fits = self.broken
                || national.is_some()
                || matches!(self.sizes[..], [11] | [3, 4, 4] | [3, 8] | [7, 4] | [3, 3, 5] | [4, 4, 3] | [3, 2, 3, 3]);
            if !fits || self.dash_before || self.dash_after {
                return None;
            }
            self.scored(EntityType::Phone, PHONE_WORDS, 0.75, 0.95)?
        } else if let Some(area) = area_code(number, national.is_some()) {
            let rest = number.len() - area;
            if !(7..=8).contains(&rest) || self.dash_before || self.dash_after {
                return None;
            }
            let split = self.sizes.first() == Some(&area) && self.sizes.len() <= 3;
            self.scored(EntityType::Phone, PHONE_WORDS, if split || national.is_some() { 0.6 } else { 0.3 }, 0.9)?
        } else if self.told_at_once()
            && matches!(digits.len(), 7..=15)
            && !self.dash_before
            && !self.dash_after
            && !self.looks_like_date()
        {
            // A number of another plan, by the word right before it. Service numbers (400, 800, 95) are nobody's.
            let service = [&b"400"[..], b"800", b"95", b"12"].iter().any(|service| digits.starts_with(service));
            if service && digits.len() != 11 {
                return None;
            }
            self.scored(EntityType::Phone, PHONE_WORDS, 0.3, 0.6)?
        } else {
            return None;
        };
        if plus {
            finding.range.start -= 1;
        }
        Some(finding)
    }

    fn told_at_once(&self) -> bool {
        has_before(self.text, self.range.start, 24, PHONE_WORDS)
            && !has_before(self.text, self.range.start, 30, AGAINST)
    }

    fn looks_like_date(&self) -> bool {
        matches!(self.sizes[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4] | [8]) && checks_date(&self.digits)
    }

    fn account(&self) -> Option<Finding> {
        let told = (8..=LONGEST).contains(&self.digits.len())
            && has_before(self.text, self.range.start, 24, ACCOUNT_WORDS)
            && !has_before(self.text, self.range.start, 24, AGAINST)
            && !self.looks_like_date();
        told.then(|| {
            self.finding(
                EntityType::AccountNumber,
                if crate::context::personal(self.text, &self.range) { 0.6 } else { 0.4 },
            )
        })
    }
}

fn checks_date(digits: &[u8]) -> bool {
    digits.starts_with(b"19") || digits.starts_with(b"20") || digits.ends_with(b"20")
}

fn strip_86(digits: &[u8]) -> Option<&[u8]> {
    digits.strip_prefix(b"0086").or_else(|| digits.strip_prefix(b"86"))
}

/// How many digits of a Chinese fixed number are its area code: 010 and 02x have three, the others four.
fn area_code(digits: &[u8], without_zero: bool) -> Option<usize> {
    if without_zero {
        return match digits {
            [b'1', b'0', ..] | [b'2', _, ..] => Some(2),
            [b'3'..=b'9', _, ..] => Some(3),
            _ => None,
        };
    }
    match digits {
        [b'0', b'1', b'0', ..] | [b'0', b'2', ..] => Some(3),
        [b'0', b'3'..=b'9', ..] => Some(4),
        _ => None,
    }
}
