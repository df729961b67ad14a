//! Numbers in digits, in Chinese and in English words.

use super::scan::Line;
use super::value::ONE;

/// A number that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numeral {
    /// In millionths.
    pub(super) value: i128,
    /// Behind its last character.
    pub(super) end: usize,
    /// Whether it is written in digits, at least in part.
    pub(super) in_digits: bool,
    /// Whether it is a row of Chinese digits, as in 二〇二四.
    pub(super) is_row: bool,
}

/// Numbers longer than this are no numbers of a text but codes.
const MAX_DIGITS: usize = 18;

impl Line {
    /// The number that begins at `at`, in digits or Chinese.
    pub(super) fn numeral(&self, at: usize) -> Option<Numeral> {
        match self.char(at)? {
            c if c.is_ascii_digit() => self.digits(at),
            c if digit(c).is_some() || small(c).is_some() => self.chinese(at),
            _ => None,
        }
    }

    /// `1,000.50`, with what multiplies it: `3.5万`, `3 million`, `3万5千`.
    fn digits(&self, at: usize) -> Option<Numeral> {
        let is_digit = |at: usize| self.char(at).is_some_and(|c| c.is_ascii_digit());
        let run = |from: usize| (from..).take_while(|at| is_digit(*at)).count();
        let mut end = at + run(at);
        let mut whole: String = self.text(at..end);
        if whole.len() <= 3 {
            while self.char(end) == Some(',') && run(end + 1) == 3 {
                whole.push_str(&self.text(end + 1..end + 4));
                end += 4;
            }
        }
        let mut fraction = String::new();
        if self.char(end) == Some('.') && run(end + 1) > 0 {
            let len = run(end + 1);
            fraction = self.text(end + 1..end + 1 + len);
            end += 1 + len;
        }
        if whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return None;
        }
        let millionths: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let mut value = whole.parse::<i128>().ok()? * ONE + millionths.parse::<i128>().ok()?;
        while let Some((factor, behind)) = self.factor(end) {
            value = value.checked_mul(factor)?;
            end = behind;
            // 3万5千: the next part is counted in smaller units.
            if let Some(next) = self.numeral(end)
                && next.value < factor * ONE
                && self.char(behind - 1).is_some_and(|c| !c.is_ascii())
            {
                value = value.checked_add(next.value)?;
                end = next.end;
                break;
            }
        }
        Some(Numeral { value, end, in_digits: true, is_row: false })
    }

    fn factor(&self, at: usize) -> Option<(i128, usize)> {
        let chinese = match self.char(at) {
            Some('百') => Some(100),
            Some('千') => Some(1_000),
            Some('万') => Some(10_000),
            Some('亿') => Some(100_000_000),
            _ => None,
        };
        // 5百分点 is no number of hundreds, and 千克 and 千米 are units.
        if chinese.is_some() && matches!(self.char(at + 1), Some('分' | '克' | '米')) {
            return None;
        }
        chinese.map(|factor| (factor, at + 1)).or_else(|| {
            let from = at + usize::from(matches!(self.char(at), Some(' ' | '-')));
            let (word, end) = self.word(from)?;
            let factor = match word.as_str() {
                "thousand" => 1_000,
                "million" => 1_000_000,
                "billion" => 1_000_000_000,
                "trillion" => 1_000_000_000_000,
                _ => return None,
            };
            Some((factor, end))
        })
    }

    /// 三千五百万, 二〇二四, 三点五.
    fn chinese(&self, at: usize) -> Option<Numeral> {
        let mut end = at;
        let (mut total, mut section, mut current) = (0i128, 0i128, 0i128);
        let (mut n_digits, mut has_unit, mut row) = (0usize, false, 0i128);
        while let Some(c) = self.char(end) {
            if let Some(value) = digit(c) {
                current = value;
                row = row.checked_mul(10)?.checked_add(value)?;
                n_digits += 1;
            } else if let Some(unit) = small(c) {
                // 百 and 千 need a number before them, 十 does not.
                if current == 0 && unit != 10 {
                    break;
                }
                // 百分之, 千克: the character belongs to what follows.
                if matches!(self.char(end + 1), Some('分' | '克' | '米')) && unit != 10 {
                    break;
                }
                section = section.checked_add(current.max(i128::from(current == 0)) * unit)?;
                (current, has_unit) = (0, true);
            } else if let Some(unit) = large(c) {
                if total + section + current == 0 || self.char(end + 1) == Some('分') {
                    break;
                }
                section += current;
                let counted = if unit == 10_000 { section } else { total + section };
                let kept = if unit == 10_000 { total } else { 0 };
                total = counted.checked_mul(unit)?.checked_add(kept)?;
                (section, current, has_unit) = (0, 0, true);
            } else {
                break;
            }
            end += 1;
            if end - at > 2 * MAX_DIGITS {
                return None;
            }
        }
        if n_digits == 0 && !has_unit || n_digits > MAX_DIGITS {
            return None;
        }
        let is_row = !has_unit && n_digits > 1;
        let whole = if has_unit { total.checked_add(section)?.checked_add(current)? } else { row };
        let mut value = whole.checked_mul(ONE)?;
        if self.char(end) == Some('点') {
            let mut scale = ONE / 10;
            let mut behind = end + 1;
            while let Some(next) = self.char(behind).and_then(digit) {
                value += next * scale;
                scale /= 10;
                behind += 1;
            }
            end = if behind > end + 1 { behind } else { end };
        }
        Some(Numeral { value, end, in_digits: false, is_row })
    }

    /// A number in English words: `twenty-five`, `one hundred and twenty`.
    pub(super) fn number_words(&self, at: usize) -> Option<Numeral> {
        let (mut total, mut current, mut end) = (0i128, 0i128, None);
        let mut from = at;
        while let Some((word, behind)) = self.word(from) {
            match (word_value(&word), word.as_str()) {
                (Some(value @ 0..100), _) => current += value,
                (_, "hundred") if current > 0 => current *= 100,
                (_, "thousand") if current > 0 => (total, current) = (total + current * 1_000, 0),
                (_, "million") if current > 0 => (total, current) = (total + current * 1_000_000, 0),
                (_, "and") if end.is_some() && self.word(behind + 1).is_some_and(|(w, _)| word_value(&w).is_some()) => {
                }
                _ => break,
            }
            end = Some(behind);
            if total > i128::from(u64::MAX) || !matches!(self.char(behind), Some(' ' | '-')) {
                break;
            }
            from = behind + 1;
        }
        end.map(|end| Numeral { value: (total + current) * ONE, end, in_digits: false, is_row: false })
    }
}

fn digit(c: char) -> Option<i128> {
    Some(match c {
        '〇' | '零' => 0,
        '一' | '壹' => 1,
        '二' | '两' | '贰' => 2,
        '三' | '叁' => 3,
        '四' | '肆' => 4,
        '五' | '伍' => 5,
        '六' | '陆' => 6,
        '七' | '柒' => 7,
        '八' | '捌' => 8,
        '九' | '玖' => 9,
        _ => return None,
    })
}

fn small(c: char) -> Option<i128> {
    Some(match c {
        '十' | '拾' => 10,
        '百' | '佰' => 100,
        '千' | '仟' => 1_000,
        _ => return None,
    })
}

fn large(c: char) -> Option<i128> {
    Some(match c {
        '万' | '萬' => 10_000,
        '亿' | '億' => 100_000_000,
        _ => return None,
    })
}

pub(super) fn word_value(word: &str) -> Option<i128> {
    const BELOW_TWENTY: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let below = BELOW_TWENTY.iter().position(|w| *w == word).map(|n| n as i128);
    below.or_else(|| TENS.iter().position(|w| *w == word).map(|n| (n as i128 + 2) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, value) in [
            ("一百二十三", 123.0),
            ("三千五百万", 35_000_000.0),
            ("一亿三千万", 130_000_000.0),
            ("三万亿", 3e12),
            ("二〇二四", 2024.0),
            ("十五", 15.0),
            ("二十", 20.0),
            ("一千零五", 1005.0),
            ("三点二五", 3.25),
            ("伍万", 50_000.0),
            ("两百", 200.0),
            ("1,000.50", 1000.5),
            ("１５", 15.0),
            ("3.5万", 35_000.0),
            ("3万5千", 35_000.0),
            ("3千万", 30_000_000.0),
            ("3 million", 3_000_000.0),
            ("12,34", 12.0),
        ] {
            let found = Line::new(text).numeral(0).unwrap();
            assert_eq!(found.value, (value * 1e6) as i128, "{text}");
        }
        for text in ["万一", "百姓", "千万", "百分之五", "亿", "点五", "年", ""] {
            assert_eq!(Line::new(text).numeral(0), None, "{text}");
        }
        let words = |text: &str| Line::new(text).number_words(0).map(|n| n.value / ONE);
        assert_eq!(words("twenty-five days"), Some(25));
        assert_eq!(words("one hundred and twenty days"), Some(120));
        assert_eq!(words("two thousand five hundred"), Some(2_500));
        assert_eq!(words("hundred"), None);
        assert_eq!(words("and"), None);
    }

    #[test]
    fn numbers_of_any_length_are_read_or_refused() {
        for text in [
            "9".repeat(500),
            "九".repeat(500),
            "九亿".repeat(100),
            "1.".to_owned() + &"0".repeat(100),
            "nine ".repeat(300),
        ] {
            let line = Line::new(&text);
            let _ = (line.numeral(0), line.number_words(0));
        }
    }
}
