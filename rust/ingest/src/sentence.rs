//! Where sentences end, in Chinese and English.

use std::ops::Range;

/// Words whose full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "inc", "ltd", "co", "corp", "no", "nos", "art",
    "arts", "sec", "secs", "ch", "pt", "fig", "figs", "al", "cf", "eg", "ie", "viz", "ed", "eds", "vol", "pp", "p",
    "para", "paras", "reg", "regs", "stat", "pub", "dept", "est", "approx", "jan", "feb", "mar", "apr", "jun", "jul",
    "aug", "sep", "sept", "oct", "nov", "dec", "op", "cit", "ibid", "subch", "app", "tel", "ext", "gov", "hon", "rev",
];

/// The sentences of `text`, in bytes, in order; together they cover it, white space after a sentence belonging to it.
///
/// A sentence ends after 。！？； or a line feed, and after `.`, `!` or `?` where a new sentence follows; closing quotes
/// and brackets stay with it. Abbreviations, initials, decimals, and numbers like `§ 1005.6` do not end one.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    cut(text, ends_sentence)
}

/// The clauses of `text`: as [`sentences`], and also after ， 、 ： , ; : with a space behind the Latin ones.
pub(crate) fn clauses(text: &str) -> Vec<Range<usize>> {
    cut(text, |text, at, c| ends_sentence(text, at, c) || ends_clause(text, at, c))
}

fn cut(text: &str, ends: impl Fn(&str, usize, char) -> bool) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !ends(text, at, c) {
            continue;
        }
        // Repeated marks, closing marks and white space belong to what they end; a straight quote behind white space
        // opens the next sentence.
        let mut spaced = c == '\n';
        while let Some(&(_, next)) = chars.peek() {
            let closing = is_closing(next) && !(spaced && matches!(next, '"' | '\''));
            if !(is_terminal(next) || closing || next.is_whitespace()) {
                break;
            }
            spaced |= next.is_whitespace();
            chars.next();
        }
        let end = chars.peek().map_or(text.len(), |&(i, _)| i);
        out.push(start..end);
        start = end;
    }
    if start < text.len() {
        out.push(start..text.len());
    }
    out
}

fn is_terminal(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '；' | '!' | '?' | '．')
}

fn is_closing(c: char) -> bool {
    matches!(c, '”' | '’' | '」' | '』' | '）' | ')' | '】' | ']' | '》' | '〉' | '"' | '\'' | '｝' | '}')
}

fn ends_sentence(text: &str, at: usize, c: char) -> bool {
    match c {
        '。' | '！' | '？' | '；' | '\n' => true,
        '!' | '?' => starts_sentence(&text[at + 1..]),
        '.' => ends_at_stop(text, at),
        _ => false,
    }
}

fn ends_clause(text: &str, at: usize, c: char) -> bool {
    match c {
        '，' | '、' | '：' => true,
        ',' | ';' | ':' => text[at + 1..].starts_with(char::is_whitespace),
        _ => false,
    }
}

/// Whether what follows a Latin end mark can be a new sentence.
fn starts_sentence(after: &str) -> bool {
    let rest = after.trim_start_matches(is_closing);
    if rest.is_empty() {
        return true;
    }
    let next = rest.trim_start();
    // Chinese needs no space after the mark.
    let Some(first) = next.chars().next() else {
        return true;
    };
    if next.len() == rest.len() {
        return crate::chars::is_han(first);
    }
    !first.is_lowercase()
}

fn ends_at_stop(text: &str, at: usize) -> bool {
    let after = &text[at + 1..];
    if !starts_sentence(after) {
        return false;
    }
    let rest = after.trim_start_matches(is_closing).trim_start();
    if rest.is_empty() {
        return true;
    }
    let before = &text[..at];
    // No word of interest is longer, and the look back must not grow with the text.
    let word: String = before.chars().rev().take(24).take_while(|c| c.is_alphanumeric() || *c == '.').collect();
    if word.is_empty() {
        return true;
    }
    let word: String = word.chars().rev().collect();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    // `U.S.`, `e.g.`: single letters with stops between them.
    let dotted = word.contains('.')
        && word.split('.').all(|part| part.chars().count() <= 1 && part.chars().all(char::is_alphabetic));
    if initial || dotted || ABBREVIATIONS.contains(&word.to_lowercase().as_str()) {
        return false;
    }
    // The number of a list item at the start of a line: `1. First`.
    let number = word.chars().all(|c| c.is_ascii_digit());
    let leading = before[..before.len() - word.len()].trim_end_matches(' ');
    !(number && (leading.is_empty() || leading.ends_with('\n')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|r| text[r].trim_end()).collect()
    }

    #[test]
    fn chinese_sentences_keep_their_closing_marks() {
        assert_eq!(
            split("甲应当告知。乙说：“可以！”丙不同意；丁？！戊"),
            ["甲应当告知。", "乙说：“可以！”", "丙不同意；", "丁？！", "戊"]
        );
    }

    #[test]
    fn english_sentences_end_where_a_new_one_starts() {
        assert_eq!(
            split(
                "Dr. Lee paid $3.50 under § 1005.6(b). \"Was it late?\" she asked. It was, e.g. by 2 days. See 15 U.S.C. 1601 et seq."
            ),
            [
                "Dr. Lee paid $3.50 under § 1005.6(b).",
                "\"Was it late?\" she asked.",
                "It was, e.g. by 2 days.",
                "See 15 U.S.C. 1601 et seq."
            ]
        );
        assert_eq!(split("He left (at noon.) Then he came back."), ["He left (at noon.)", "Then he came back."]);
        assert_eq!(split("1. First step\n2. Second step"), ["1. First step", "2. Second step"]);
        assert_eq!(split("Wait... and see. J. Smith did."), ["Wait... and see.", "J. Smith did."]);
    }

    proptest! {
        #[test]
        fn sentences_and_clauses_cover_the_text_in_order(text in "(\\PC|[。！”.?!,; \n]){0,60}") {
            for parts in [sentences(&text), clauses(&text)] {
                let joined: String = parts.iter().map(|r| &text[r.clone()]).collect();
                prop_assert_eq!(&joined, &text);
                prop_assert!(parts.iter().all(|r| r.start < r.end));
            }
        }
    }
}
