//! Numbers as Chinese law writes them.

/// The value of a Chinese number: 十六, 二百五十三, 一千零一, 一〇三, 两万, also `85` and `８５`.
///
/// `None` for anything else: an empty string, digits out of order (十十), mixed writing, or more than 64 bits.
pub fn chinese_number(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    if text.chars().all(|c| decimal(c).is_some()) {
        return positional(text.chars().filter_map(decimal));
    }
    if text.chars().all(|c| digit(c).is_some()) {
        return positional(text.chars().filter_map(digit));
    }
    with_units(text)
}

/// The value of a Roman number in capitals, up to 399 (what chapters and articles use).
pub(crate) fn roman_number(text: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut before = 0;
    for c in text.chars().rev() {
        let value = match c {
            'I' => 1,
            'V' => 5,
            'X' => 10,
            'L' => 50,
            'C' => 100,
            _ => return None,
        };
        if value < before {
            total = total.checked_sub(value)?;
        } else {
            total = total.checked_add(value)?;
            before = value;
        }
    }
    (1..400).contains(&total).then_some(total)
}

fn positional(digits: impl Iterator<Item = u64>) -> Option<u64> {
    digits.into_iter().try_fold(0u64, |value, d| value.checked_mul(10)?.checked_add(d))
}

/// Sections of four digits with 千百十, joined by 万 and 亿.
fn with_units(text: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut section = 0u64;
    let mut pending: Option<u64> = None;
    let (mut unit_below, mut section_below) = (10_000u64, u64::MAX);
    for c in text.chars() {
        if let Some(d) = digit(c) {
            if pending.is_some_and(|p| p != 0) {
                return None;
            }
            pending = Some(d);
            continue;
        }
        let (unit, closes) = match c {
            '十' => (10, false),
            '百' => (100, false),
            '千' => (1000, false),
            '万' => (10_000, true),
            '亿' => (100_000_000, true),
            _ => return None,
        };
        if closes {
            if unit >= section_below {
                return None;
            }
            section = section.checked_add(pending.take().unwrap_or(0))?;
            if section == 0 {
                return None;
            }
            total = total.checked_add(section.checked_mul(unit)?)?;
            (section, unit_below, section_below) = (0, 10_000, unit);
        } else {
            if unit >= unit_below {
                return None;
            }
            let d = match pending.take() {
                None | Some(0) if unit == 10 => 1,
                None | Some(0) => return None,
                Some(d) => d,
            };
            section = section.checked_add(d.checked_mul(unit)?)?;
            unit_below = unit;
        }
    }
    total.checked_add(section)?.checked_add(pending.unwrap_or(0))
}

fn decimal(c: char) -> Option<u64> {
    match c {
        '0'..='9' => Some(u64::from(c) - u64::from('0')),
        '０'..='９' => Some(u64::from(c) - u64::from('０')),
        _ => None,
    }
}

fn digit(c: char) -> Option<u64> {
    Some(match c {
        '〇' | '零' | '○' => 0,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_articles_are_read() {
        let cases = [
            ("一", 1),
            ("十", 10),
            ("十六", 16),
            ("二十", 20),
            ("一百", 100),
            ("一百零一", 101),
            ("一百一十", 110),
            ("一百十五", 115),
            ("一千二百六十", 1260),
            ("一千零一", 1001),
            ("一〇三", 103),
            ("二〇二四", 2024),
            ("两万三千", 23_000),
            ("一亿零五", 100_000_005),
            ("85", 85),
            ("８５", 85),
        ];
        for (text, value) in cases {
            assert_eq!(chinese_number(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "条", "十十", "百一千", "一二十", "万", "百", "3十", "一万二亿三万", "一 二"]
        {
            assert_eq!(chinese_number(text), None, "{text}");
        }
        assert_eq!(chinese_number(&"九".repeat(40)), None);
    }

    #[test]
    fn roman_numbers_are_read() {
        assert_eq!(roman_number("IV"), Some(4));
        assert_eq!(roman_number("XXXIX"), Some(39));
        assert_eq!(roman_number("CX"), Some(110));
        assert_eq!(roman_number(""), None);
        assert_eq!(roman_number("ABC"), None);
    }

    fn write(n: u64) -> String {
        let digits = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
        let mut out = String::new();
        let mut zero = false;
        for (unit, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
            let d = n / unit % 10;
            if d == 0 {
                zero = !out.is_empty();
                continue;
            }
            if zero {
                out.push('零');
                zero = false;
            }
            out.push_str(digits[d as usize]);
            out.push_str(name);
        }
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(n in 1u64..10_000) {
            prop_assert_eq!(chinese_number(&write(n)), Some(n));
        }

        #[test]
        fn any_text_is_safe(text in "[〇一二三九十百千万亿0-9]{0,60}") {
            let _ = chinese_number(&text);
        }
    }
}
