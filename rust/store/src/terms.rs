//! Text into lexical terms, the same way for passages and questions.
//!
//! Text is folded by NFKC and lower-cased. A run of Han, kana or hangul gives its single characters and its overlapping
//! pairs, which is what makes Chinese searchable without a dictionary; any other run of letters and digits is one word,
//! with a point kept between two digits. An article number such as 第八十五条 gives one more term, 第85条, whichever
//! digits it is written in.
//!
//! A term holds letters, digits, combining marks and points only, so that terms joined by spaces need no quoting.

use std::collections::HashSet;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The version of these rules. It stands in each pack's manifest, because a question must be cut by the rules that the
/// passages were cut by.
pub const LEXICAL_VERSION: u32 = 1;

/// A term longer than this many characters is cut: nobody asks for the rest, and an index entry has a limit.
const MAX_TERM_CHARS: usize = 64;

/// The terms of a passage, with repetitions: each character and each pair of a Han run, each word, and then each article
/// number.
pub fn lexical_terms(text: &str) -> Vec<String> {
    let chars = fold(text);
    let mut terms = Vec::new();
    walk(&chars, |piece| match piece {
        Piece::Run(run) => {
            for (at, first) in run.iter().enumerate() {
                terms.push(first.to_string());
                if let Some(second) = run.get(at + 1) {
                    terms.push([*first, *second].iter().collect());
                }
            }
        }
        Piece::Word(word) => terms.push(term(word)),
    });
    terms.extend(articles(&chars).into_iter().map(|(_, article)| article));
    terms
}

/// The terms that a question asks for, each once: as [`lexical_terms`], except that a Han run of two or more characters
/// gives its pairs only, and an article number nothing but its own term, since its digits and 第 and 条 alone are
/// everywhere.
pub fn query_terms(text: &str) -> Vec<String> {
    let mut chars = fold(text);
    let articles = articles(&chars);
    for (place, _) in &articles {
        chars[place.clone()].fill(' ');
    }
    let mut seen = HashSet::new();
    let mut terms = Vec::new();
    let mut push = |term: String| {
        if seen.insert(term.clone()) {
            terms.push(term);
        }
    };
    articles.into_iter().for_each(|(_, article)| push(article));
    walk(&chars, |piece| match piece {
        Piece::Run([only]) => push(only.to_string()),
        Piece::Run(run) => run.windows(2).for_each(|pair| push(pair.iter().collect())),
        Piece::Word(word) => push(term(word)),
    });
    terms
}

enum Piece<'a> {
    /// Characters of a script that is written without spaces.
    Run(&'a [char]),
    /// Letters and digits of any other.
    Word(&'a [char]),
}

fn fold(text: &str) -> Vec<char> {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

fn term(word: &[char]) -> String {
    word.iter().take(MAX_TERM_CHARS).collect()
}

fn walk<'a>(chars: &'a [char], mut emit: impl FnMut(Piece<'a>)) {
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        if is_unspaced(chars[at]) {
            while at < chars.len() && is_unspaced(chars[at]) {
                at += 1;
            }
            emit(Piece::Run(&chars[start..at]));
        } else if is_word(chars[at]) {
            while at < chars.len() && (is_word(chars[at]) || is_inner_point(chars, at)) {
                at += 1;
            }
            emit(Piece::Word(&chars[start..at]));
        } else {
            at += 1;
        }
    }
}

/// The article numbers in a text, with the characters they take.
fn articles(chars: &[char]) -> Vec<(Range<usize>, String)> {
    let marks = chars.iter().enumerate().filter(|&(_, &c)| c == '第');
    marks
        .filter_map(|(at, _)| {
            let (article, length) = article(&chars[at + 1..])?;
            Some((at..at + 1 + length, article))
        })
        .collect()
}

/// Han, kana and hangul, with the marks that belong to them.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{1100}'..='\u{11ff}' | '\u{31f0}'..='\u{31ff}' | '\u{20000}'..='\u{323af}')
        && c != '・'
}

fn is_word(c: char) -> bool {
    (c.is_alphanumeric() || (is_combining_mark(c) && !c.is_ascii())) && !is_unspaced(c)
}

fn is_inner_point(chars: &[char], at: usize) -> bool {
    chars[at] == '.' && at > 0 && chars[at - 1].is_ascii_digit() && chars.get(at + 1).is_some_and(char::is_ascii_digit)
}

/// What follows 第, as the term of an article and the characters it took: `八十五条` and `85 条` give `第85条`,
/// `一百二十条之一` gives `第120条之1`.
fn article(rest: &[char]) -> Option<(String, usize)> {
    let (article, length) = number(rest)?;
    if !matches!(rest.get(length)?, '条' | '條') {
        return None;
    }
    let length = length + 1;
    let inserted = match rest.get(length) {
        Some('之') => number(&rest[length + 1..]),
        _ => None,
    };
    Some(match inserted {
        Some((inserted, digits)) => (format!("第{article}条之{inserted}"), length + 1 + digits),
        None => (format!("第{article}条"), length),
    })
}

/// A number below 10,000 in Chinese or Arabic digits, with spaces around it, and the characters it took.
fn number(chars: &[char]) -> Option<(u32, usize)> {
    let mut total = 0;
    let mut digit: Option<u32> = None;
    let mut length = 0;
    let mut any = false;
    for &c in chars.iter().take(16) {
        let value = match c {
            ' ' => {
                length += 1;
                continue;
            }
            '0'..='9' => {
                let value = u32::from(c) - u32::from('0');
                digit = Some(digit.unwrap_or(0) * 10 + value).filter(|&n| n < 10_000);
                digit?;
                any = true;
                length += 1;
                continue;
            }
            '零' | '〇' => 0,
            '一' => 1,
            '二' | '两' => 2,
            '三' => 3,
            '四' => 4,
            '五' => 5,
            '六' => 6,
            '七' => 7,
            '八' => 8,
            '九' => 9,
            '十' | '百' | '千' => {
                let unit = match c {
                    '十' => 10,
                    '百' => 100,
                    _ => 1000,
                };
                total += digit.take().filter(|&n| n > 0).unwrap_or(1) * unit;
                any = true;
                length += 1;
                continue;
            }
            _ => break,
        };
        digit = Some(digit.unwrap_or(0) * 10 + value).filter(|&n| n < 10_000);
        digit?;
        any = true;
        length += 1;
    }
    let value = total + digit.unwrap_or(0);
    (any && value < 10_000).then_some((value, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, indexed: &[&str], asked: &[&str]) {
        assert_eq!(lexical_terms(text), indexed, "index of {text:?}");
        assert_eq!(query_terms(text), asked, "query {text:?}");
    }

    #[test]
    fn text_becomes_the_expected_terms() {
        check("", &[], &[]);
        check("银", &["银"], &["银"]);
        check("商业银行", &["商", "商业", "业", "业银", "银", "银行", "行"], &["商业", "业银", "银行"]);
        check("ＡＢＣ Bank-Law", &["abc", "bank", "law"], &["abc", "bank", "law"]);
        check("3.5% 的 1.", &["3.5", "的", "1"], &["3.5", "的", "1"]);
        check("a a", &["a", "a"], &["a"]);
        check("\" * NEAR( OR", &["near", "or"], &["near", "or"]);
        check(
            "第五条银行",
            &["第", "第五", "五", "五条", "条", "条银", "银", "银行", "行", "第5条"],
            &["第5条", "银行"],
        );
        check("हिन्दी", &["हिन्दी"], &["हिन्दी"]);
    }

    #[test]
    fn an_article_number_is_one_term_in_each_way_of_writing_it() {
        for (text, term) in [
            ("第八十五条", "第85条"),
            ("第85条", "第85条"),
            ("第８５ 条", "第85条"),
            ("见第一百二十条之一规定", "第120条之1"),
            ("第十条", "第10条"),
            ("第二百零三條", "第203条"),
            ("第一千零一条", "第1001条"),
            ("第一〇三条", "第103条"),
        ] {
            assert!(lexical_terms(text).contains(&term.to_owned()), "{text}");
            assert!(query_terms(text).contains(&term.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_an_article_number_gives_no_article_term() {
        for text in ["第条", "第十章", "第", "第99999条", "第九九九九九九九九九九九九九九九九九九条", "第 条"]
        {
            // Pairs of the run have two characters, an article's term has at least three.
            assert!(
                !lexical_terms(text).iter().any(|term| term.starts_with('第') && term.chars().count() > 2),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn terms_hold_nothing_that_needs_quoting(text in "\\PC*") {
            for term in lexical_terms(&text).iter().chain(&query_terms(&text)) {
                proptest::prop_assert!(!term.is_empty());
                let plain = term.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '.');
                proptest::prop_assert!(plain, "{:?}", term);
            }
        }

        #[test]
        fn every_term_of_a_question_is_among_the_terms_of_the_same_text(text in "\\PC*") {
            let indexed = lexical_terms(&text);
            for term in query_terms(&text) {
                proptest::prop_assert!(indexed.contains(&term), "{:?}", term);
            }
        }
    }
}
