//! Characters and words: where a text can be cut without changing what it says.

/// Whether a character is a CJK ideograph (the unified block and its extensions, compatibility, 〇).
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}' | '〇')
}

/// Whether a character belongs to a word written with letters or digits. Han characters are counted one by one.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() && !is_han(c)
}

/// Whether a character says something: a letter, a digit or a Han character.
pub(crate) fn is_content(c: char) -> bool {
    c.is_alphanumeric() || is_han(c)
}

/// Han characters that write numbers.
pub(crate) fn is_han_numeral(c: char) -> bool {
    "〇零一二三四五六七八九十百千万亿两".contains(c)
}

/// Whether a cut at `at`, a character boundary of `text`, parts what reads as one: letters of a word, digits of a number
/// (`3.5`, `1,000`, 一百二十), a number and its sign (`5%`, `$3`), or a letter and its accent.
pub(crate) fn splits_word(text: &str, at: usize) -> bool {
    let (head, tail) = text.split_at(at);
    let (mut back, mut ahead) = (head.chars().rev(), tail.chars());
    let (Some(before), Some(after)) = (back.next(), ahead.next()) else { return false };
    let (earlier, later) = (back.next(), ahead.next());
    if is_word(before) && is_word(after) || is_han_numeral(before) && is_han_numeral(after) {
        return true;
    }
    if matches!(after, '\u{300}'..='\u{36F}' | '\u{FE00}'..='\u{FE0F}' | '\u{200D}') || before == '\u{200D}' {
        return true;
    }
    let joins = |left: Option<char>, mark: char, right: Option<char>| match (left, right) {
        (Some(left), Some(right)) if matches!(mark, '.' | ',' | ':' | '，' | '．' | '：') => {
            left.is_numeric() && right.is_numeric() && !is_han(left) && !is_han(right)
        }
        (Some(left), Some(right)) if matches!(mark, '\'' | '’' | '-' | '_' | '/' | '@' | '·') => {
            is_word(left) && is_word(right)
        }
        _ => false,
    };
    joins(Some(before), after, later)
        || joins(earlier, before, Some(after))
        || is_word(before) && matches!(after, '%' | '％' | '‰')
        || matches!(before, '$' | '¥' | '￥' | '€' | '£') && is_word(after)
}

/// How many characters a text has that count towards the length of a quote: Han characters, and words between white space
/// that have a letter or digit of another script.
pub(crate) fn measure(text: &str) -> (usize, usize) {
    let han = text.chars().filter(|c| is_han(*c)).count();
    let words = text.split_whitespace().filter(|word| word.chars().any(is_word)).count();
    (han, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_words_and_their_signs_are_not_parted() {
        for (text, parted) in [
            ("ra|te", true),
            ("3|.5", true),
            ("3.|5", true),
            ("1|,000", true),
            ("5|%", true),
            ("$|3", true),
            ("一百|二十", true),
            ("card|holder's", true),
            ("holder|'s", true),
            ("e|\u{301}", true),
            ("end|. Next", false),
            ("甲方|乙方", false),
            ("第|八", false),
            ("fee|, daily", false),
            ("款|5", false),
            ("|a", false),
            ("a|", false),
        ] {
            let at = text.find('|').unwrap();
            assert_eq!(splits_word(&text.replace('|', ""), at), parted, "{text}");
        }
    }
}
