//! Which language a text is in: declared codes and a count of letters.

use crate::chars::is_han;
use crate::document::Language;

/// How much of a text is looked at, in characters: enough to be sure, cheap on large files.
const SAMPLE_CHARS: usize = 20_000;

/// Reads a declared code such as `zh-CN`, `en_US`, `Chinese`, `中文`.
pub(crate) fn from_code(code: &str) -> Option<Language> {
    let code = code.trim().to_lowercase();
    let primary = code.split(['-', '_']).next().unwrap_or_default();
    Some(match primary {
        "zh" | "cmn" | "chinese" | "中文" | "汉语" => Language::Zh,
        "en" | "eng" | "english" | "英文" | "英语" => Language::En,
        "mixed" | "mul" => Language::Mixed,
        "" => return None,
        _ => Language::Other,
    })
}

/// Counts Han characters against Latin words; other scripts in the majority give [`Language::Other`].
pub(crate) fn detect(text: &str) -> Language {
    let (mut han, mut latin_words, mut other) = (0usize, 0usize, 0usize);
    let mut in_word = false;
    for c in text.chars().take(SAMPLE_CHARS) {
        let latin = c.is_ascii_alphabetic() || ('\u{c0}'..='\u{24f}').contains(&c);
        if latin && !in_word {
            latin_words += 1;
        }
        in_word = latin;
        if is_han(c) {
            han += 1;
        } else if !latin && c.is_alphabetic() {
            other += 1;
        }
    }
    if han + latin_words == 0 || other > han + latin_words * 4 {
        return Language::Other;
    }
    // A Han character carries about as much as two thirds of a word.
    let share = han * 100 / (han + latin_words + latin_words / 2);
    match share {
        70.. => Language::Zh,
        0..=10 => Language::En,
        _ => Language::Mixed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_decide_where_nothing_is_declared() {
        assert_eq!(detect("投保人应当如实告知。"), Language::Zh);
        assert_eq!(detect("The policy holder shall tell the truth."), Language::En);
        assert_eq!(detect("投保人 policy holder 应当 shall 告知 tell"), Language::Mixed);
        assert_eq!(detect("Договор вступает в силу"), Language::Other);
        assert_eq!(detect("123 456"), Language::Other);
    }

    #[test]
    fn codes_with_region_are_understood() {
        assert_eq!(from_code("zh-Hans-CN"), Some(Language::Zh));
        assert_eq!(from_code("en_GB"), Some(Language::En));
        assert_eq!(from_code("fr"), Some(Language::Other));
        assert_eq!(from_code(" "), None);
    }
}
