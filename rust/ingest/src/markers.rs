//! Recognising structure at the start of a paragraph: articles, chapters, items.

use std::sync::LazyLock;

use regex::Regex;

use crate::chars::is_han;
use crate::number::{chinese_number, roman_number};
use crate::slug::slug;

/// An article marker at the start of a paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Article {
    /// As it is cited: `第八十五条之一`, `Article 85`, `§ 1005.6(b)`.
    pub(crate) label: String,
    /// With Arabic numbers: `85-1`, `85`, `1005.6(b)`.
    pub(crate) number: String,
    /// Bytes of the paragraph that the marker and the space after it take.
    pub(crate) length: usize,
    /// Which family it belongs to.
    pub(crate) family: Family,
    /// Whether a space or mark parts it from the text; without one it may be a reference that a line break put in front.
    pub(crate) set_off: bool,
}

/// Families of article markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// 第X条
    Tiao,
    /// Article X
    Article,
    /// Section X
    Section,
    /// § X
    Sign,
}

const CN: &str = "[〇○零一二三四五六七八九十百千万两0-9０-９]{1,12}";

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant and the tests use it")
}

static TIAO: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!("^第 ?({CN}) ?条(?: ?之 ?([〇一二三四五六七八九十0-9０-９]{{1,4}}))?")));
static LATIN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:(Article|ARTICLE|Art\.)|(Section|SECTION|Sec\.|SEC\.)|(§§?)) ?",
        r"([0-9]{1,6}[A-Za-z]?(?:[.\-–][0-9]{1,6}[A-Za-z]?){0,4}|[IVXLC]{1,7}\b)((?:\([A-Za-z0-9]{1,5}\)){0,4})"
    ))
});
static CHAPTER: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!("^第 ?({CN}) ?(部分|分编|编|篇|卷|章|节|目)(.*)$")));
static BARE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "^(?:附 ?则|总 ?则|分 ?则|序 ?言|前 ?言|目 ?录|附 ?录 ?[〇一二三四五六七八九十0-9A-Z]{0,3}|附 ?件 ?[〇一二三四五六七八九十0-9]{0,3})$",
    )
});
static LATIN_PART: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:(PART|Part|TITLE|Title|BOOK|Book)|(CHAPTER|Chapter|Subpart|SUBPART|Annex|ANNEX|Appendix|APPENDIX|Schedule|SCHEDULE)) (?:[0-9]{1,4}[A-Za-z]?|[IVXLC]{1,7}|[A-Z])(?:$|[ .:—–-].{0,90}$)",
    )
});
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:[（(] ?(?:[一二三四五六七八九十百]{1,4}|[0-9０-９]{1,3}|[A-Za-z]|[ivx]{1,5}) ?[）)]",
        r"|[一二三四五六七八九十]{1,3}、|[0-9０-９]{1,3}(?:[.．、)）](?:[^0-9]|$))|[①-⑳⑴-⒇]|[-•●▪◦*·] )"
    ))
});
static HAN_HEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[一二三四五六七八九十]{1,3}、[^。；：，,;:]{1,30}$"));
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^[ 、]*第 ?{CN} ?[款项条目]")));
static LETTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\(([a-z]{1,2})\)"));

/// Reads an article marker. `heading` says that the markup makes the paragraph a heading, which settles doubts.
///
/// A number in running text (`第十六条规定的期限…`, `Section 5 of the Act applies`) is none.
pub(crate) fn article(paragraph: &str, heading: bool) -> Option<Article> {
    tiao(paragraph, heading).or_else(|| latin(paragraph, heading))
}

fn tiao(paragraph: &str, heading: bool) -> Option<Article> {
    let found = TIAO.captures(paragraph)?;
    let whole = found.get(0)?;
    let mut number = chinese_number(found.get(1)?.as_str())?.to_string();
    if let Some(after) = found.get(2) {
        number = format!("{number}-{}", chinese_number(after.as_str())?);
    }
    let rest = &paragraph[whole.end()..];
    let set_off =
        rest.is_empty() || rest.starts_with([' ', '【', '（', '(', '［', '[', '：', ':', '、', '.', '．', '《']);
    // Without a space the words that continue a reference to an article rule it out.
    let continues =
        ["规定", "所", "的", "第", "和", "或", "至", "、", "及", "与", "，", "中", "之", "或者", "以及", "到"];
    let refers = !set_off && continues.iter().any(|word| rest.starts_with(word));
    if !heading && (refers || REFERENCE.is_match(rest)) {
        return None;
    }
    let label: String = whole.as_str().chars().filter(|c| *c != ' ').collect();
    let skipped = rest.len() - rest.trim_start_matches([' ', '：', ':', '、', '.', '．']).len();
    Some(Article { label, number, length: whole.end() + skipped, family: Family::Tiao, set_off })
}

fn latin(paragraph: &str, heading: bool) -> Option<Article> {
    let found = LATIN.captures(paragraph)?;
    let whole = found.get(0)?;
    let (family, name) = if found.get(1).is_some() {
        (Family::Article, "Article")
    } else if found.get(2).is_some() {
        (Family::Section, "Section")
    } else {
        (Family::Sign, "§")
    };
    let written = found.get(4)?.as_str();
    let sub = found.get(5).map_or("", |m| m.as_str());
    let number = match roman_number(written) {
        Some(value) => format!("{value}{sub}"),
        None if written.chars().all(|c| c.is_ascii_alphabetic()) => return None,
        None => format!("{}{sub}", written.replace('–', "-").to_lowercase()),
    };
    let rest = &paragraph[whole.end()..];
    let first = rest.trim_start().chars().next();
    let short = rest.chars().count() <= 90 && !rest.trim_end().ends_with(['.', ';', ',']);
    let set_off = rest.is_empty()
        || rest.starts_with([':', '—', '–', '【', '['])
        || rest.starts_with(". ")
        || rest == "."
        || rest.starts_with(" - ")
        || rest.starts_with(" — ")
        || rest.starts_with(" – ");
    let titled = rest.starts_with(' ')
        && first.is_some_and(|c| c.is_uppercase() || is_han(c) || c == '(' || c == '“' || c == '"');
    let accepted = heading || set_off || (titled && (short || family == Family::Sign));
    if !accepted || rest.starts_with(char::is_alphanumeric) {
        return None;
    }
    let skipped = rest.len() - rest.trim_start_matches([' ', ':', '.', '—', '–', '-']).len();
    Some(Article {
        label: format!("{name} {written}{sub}"),
        number,
        length: whole.end() + skipped,
        family,
        set_off: true,
    })
}

/// The Arabic form of an article label written by hand, for labels that a source declares; a slug where it is none.
pub(crate) fn normalise_label(label: &str) -> String {
    let label = label.trim();
    match article(label, true) {
        Some(found) => found.number,
        None => slug(label),
    }
}

/// The rank of a structural heading, 1 (部分, Part) to 7 (目), if the paragraph is one.
///
/// `heading` says that the markup makes it a heading; else it must be short and hold no sentence.
pub(crate) fn chapter_rank(paragraph: &str, heading: bool) -> Option<u8> {
    if let Some(found) = CHAPTER.captures(paragraph) {
        chinese_number(found.get(1)?.as_str())?;
        let rest = found.get(3).map_or("", |m| m.as_str());
        let spaced = rest.is_empty() || rest.starts_with([' ', '：', ':', '、']);
        let plain = paragraph.chars().count() <= if spaced { 50 } else { 25 }
            && !rest.trim_start_matches(['：', ':', '、']).contains(['，', '。', '；', '：', ';']);
        let continues = ["的", "规定", "第", "和", "或", "至", "所"].iter().any(|word| rest.starts_with(word));
        if !heading && (!plain || continues) {
            return None;
        }
        return Some(match found.get(2)?.as_str() {
            "部分" | "卷" | "篇" => 1,
            "编" => 2,
            "分编" => 3,
            "章" => 4,
            "节" => 5,
            _ => 6,
        });
    }
    if BARE.is_match(paragraph) {
        return Some(4);
    }
    let found = LATIN_PART.captures(paragraph)?;
    if !heading && paragraph.ends_with(['.', ';', ',']) {
        return None;
    }
    Some(if found.get(1).is_some() { 1 } else { 4 })
}

/// Whether a paragraph starts with the number or bullet of a list item.
pub(crate) fn is_item(paragraph: &str) -> bool {
    ITEM.is_match(paragraph)
}

/// Whether a paragraph could be a heading of the kind `一、适用范围`: numbered, short, no sentence.
pub(crate) fn is_han_heading(paragraph: &str) -> bool {
    HAN_HEADING.is_match(paragraph)
}

/// The letter of a first-level paragraph of a regulation: `(b) Liability…` gives `b`.
pub(crate) fn paragraph_letter(paragraph: &str) -> Option<&str> {
    LETTER.captures(paragraph).and_then(|found| found.get(1)).map(|m| m.as_str())
}

/// Whether a line starts something new, so that it never continues the line `before`.
pub(crate) fn starts_new(line: &str, before: &str) -> bool {
    let ended = || before.trim_end().ends_with(['。', '；', '：', '！', '？', '.', ';', ':']);
    is_item(line) || chapter_rank(line, false).is_some() || article(line, false).is_some_and(|a| a.set_off || ended())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(paragraph: &str) -> Option<String> {
        article(paragraph, false).map(|a| a.number)
    }

    #[test]
    fn articles_are_read_in_all_their_forms() {
        let cases = [
            ("第十六条 订立保险合同", "16"),
            ("第八十五条之一 有下列情形", "85-1"),
            ("第85条 合同", "85"),
            ("第六条 第三方机构应当备案", "6"),
            ("第一百二十条", "120"),
            ("第一条为了规范保险活动", "1"),
            ("第二条【定义】本法所称", "2"),
            ("第一〇三条 甲", "103"),
            ("Article 85", "85"),
            ("ARTICLE IV. Duties", "4"),
            ("Section 5. Scope.", "5"),
            ("Section 12A — Fees", "12a"),
            ("§ 1005.6 Liability of consumer", "1005.6"),
            ("§ 1005.6(b) Limitations on amount", "1005.6(b)"),
            ("§1005.6(b)(1)", "1005.6(b)(1)"),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn references_in_running_text_are_no_articles() {
        for text in [
            "第十六条规定的期限届满",
            "第十六条的规定适用于本章。",
            "第十六条、第十七条不适用。",
            "依照第十六条 办理",
            "第十六次会议",
            "第十六条 第二款规定的期限",
            "Section 5 of the Act applies to banks.",
            "Article 5 applies where the buyer pays, and not otherwise.",
            "Articles 5 to 7",
            "§ 5 and the rest",
            "Sectional views",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn the_label_is_set_apart_from_the_text() {
        let found = article("第八十五条 之一　", false).unwrap();
        assert_eq!((found.label.as_str(), found.number.as_str()), ("第八十五条之一", "85-1"));
        let text = "第二条：本法";
        assert_eq!(&text[article(text, false).unwrap().length..], "本法");
    }

    #[test]
    fn chapters_have_ranks() {
        assert_eq!(chapter_rank("第一编 总则", false), Some(2));
        assert_eq!(chapter_rank("第一章 总则", false), Some(4));
        assert_eq!(chapter_rank("第二节　人身保险合同".replace('　', " ").as_str(), false), Some(5));
        assert_eq!(chapter_rank("第三章保险公司", false), Some(4));
        assert_eq!(chapter_rank("附 则", false), Some(4));
        assert_eq!(chapter_rank("CHAPTER II", false), Some(4));
        assert_eq!(chapter_rank("Part 3 — Remedies", false), Some(1));
        assert_eq!(chapter_rank("第一章规定的条件，由主管部门认定。", false), None);
        assert_eq!(chapter_rank("Part 3 applies to every bank.", false), None);
        assert_eq!(chapter_rank("第一次会议", false), None);
    }

    #[test]
    fn items_are_seen() {
        for text in
            ["（一）投保人", "(1) 甲", "1. first", "2、第二", "(a) Scope", "①甲", "- point", "三、其他", "（十二）"]
        {
            assert!(is_item(text), "{text}");
        }
        for text in ["1.5 percent", "2024年", "（本法）", "word", "一般规定", "-5"] {
            assert!(!is_item(text), "{text}");
        }
    }

    #[test]
    fn declared_labels_get_arabic_numbers() {
        assert_eq!(normalise_label("第八十五条之一"), "85-1");
        assert_eq!(normalise_label("§ 1002.1(a)"), "1002.1(a)");
        assert_eq!(normalise_label("Annex B"), "annex-b");
    }
}
