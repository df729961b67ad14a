//! How documents are split, format by format.

#![allow(clippy::unwrap_used)]

mod common;

use common::{assert_sound, count, document, passages};
use lorekit_ingest::{SplitOptions, split};
use proptest::prelude::*;

const RULES: &str = "\
# 出借规则

> 2020年1月2日 通过

## 第一章 总则

第一条 为了管理器材出借，制定本规则。

第二条 本规则所称器材，包括：

（一）相机；

（二）三脚架。

### 第一节 押金

第三条 出借人可以收取押金，但下列情形除外：

（一）借用人是本馆职工，且借用期限不超过三日的；

（二）借用的器材价值不超过五百元的；

（三）借用人已经连续三年没有逾期归还记录，并且由两名职工共同担保的。

押金应当在归还之日退还。逾期退还的，应当支付利息。

第三条之一 押金不得超过器材价值的三成。

## 第二章 附则

第四条 本规则自二〇二〇年三月一日起施行。
";

#[test]
fn an_article_that_fits_is_one_passage() {
    let all = passages("lib/rules.md", RULES, 384);
    let places: Vec<_> = all.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(
        places,
        ["lib/rules#出借规则", "lib/rules#1", "lib/rules#2", "lib/rules#3", "lib/rules#3-1", "lib/rules#4"]
    );
    assert_eq!(all[2].text, "本规则所称器材，包括：\n（一）相机；\n（二）三脚架。");
    assert_eq!(all[2].article.as_deref(), Some("第二条"));
    assert_eq!(all[3].title_path, ["出借规则", "第一章 总则", "第一节 押金"]);
    assert_eq!(all[4].article.as_deref(), Some("第三条之一"));
    assert_eq!(all[5].title_path, ["出借规则", "第二章 附则"]);
    assert_eq!(&RULES[all[1].source.clone()], "为了管理器材出借，制定本规则。");
    assert_sound(&document("lib/rules.md", RULES), &all, RULES.len());
}

#[test]
fn a_long_article_is_cut_between_items_and_never_inside_a_sentence() {
    let all = passages("rules.md", RULES, 60);
    let third: Vec<_> = all.iter().filter(|p| p.place == "rules#3").collect();
    assert!(third.len() >= 3);
    for passage in &third {
        assert!(passage.tokens <= 60 && !passage.cuts_sentence);
        assert!(passage.text.ends_with(['。', '；', '：']), "{}", passage.text);
    }
    assert!(third[0].text.contains("（一）"), "what introduces a list stays with its first item");
    assert_sound(&document("rules.md", RULES), &all, RULES.len());
}

#[test]
fn only_a_sentence_longer_than_a_passage_is_cut_and_flagged() {
    let source = format!("第一条 {}。第二句。\n", "甲方应当按照约定交付，".repeat(30));
    let all = passages("long.txt", &source, 50);
    assert!(all.len() > 4);
    assert!(all.iter().all(|p| p.tokens <= 50));
    assert!(all[0].cuts_sentence && all[0].text.ends_with('，'), "{}", all[0].text);
    let unbroken = format!("第一条 {}", "甲".repeat(500));
    let all = passages("long.txt", &unbroken, 50);
    assert_eq!(all.iter().map(|p| p.text.as_str()).collect::<String>(), "甲".repeat(500));
    assert!(all.iter().all(|p| p.tokens <= 50 && p.cuts_sentence));
}

#[test]
fn numbers_that_come_again_get_a_place_of_their_own() {
    let source = "第一条 甲。\n\n附件\n\n第一条 乙。\n";
    let places: Vec<_> = passages("a.md", source, 99).into_iter().map(|p| p.place).collect();
    assert_eq!(places, ["a#1", "a#1~2"]);
}

#[test]
fn references_inside_text_start_no_article() {
    let source = "第一条 甲。\n\n第三十条规定的期限不适用。\n\n依照本法第五条办理。\n";
    let all = passages("a.md", source, 99);
    assert_eq!(all.len(), 1);
    assert!(all[0].text.contains("第三十条规定的"));
}

#[test]
fn markdown_and_json_lines_give_the_same_passage() {
    let line = r#"{"id":"rules#2","title":"出借规则","article":"第二条","chapter":"第一章 总则","text":"本规则所称器材，包括：\n（一）相机；\n（二）三脚架。"}"#;
    let from_json = passages("all.jsonl", line, 99).remove(0);
    let from_markdown = passages("rules.md", RULES, 384).remove(2);
    assert_eq!(from_json.text, from_markdown.text);
    assert_eq!(from_json.place, from_markdown.place);
    assert_eq!(from_json.title_path, from_markdown.title_path);
    assert_eq!(from_json.article, from_markdown.article);
}

#[test]
fn an_id_that_names_a_place_is_the_place() {
    let line = r#"{"id":"faq#12","text":"How long is a loan? Ten days."}"#;
    assert_eq!(passages("faq.jsonl", line, 99)[0].place, "faq#12");
    let line = r#"{"id":"faq-12","text":"How long is a loan? Ten days."}"#;
    assert_eq!(passages("faq.jsonl", line, 99)[0].place, "faq-12#start");
}

#[test]
fn english_sections_and_their_lettered_paragraphs_have_places() {
    let source = "# Part 99 Library loans\n\n## Subpart A\n\n### § 99.6 Liability of borrower.\n\n(a) Conditions. A borrower is liable if told so.\n\n(b) Limits. The liability is at most $50. It ends:\n\n(1) On return; or\n\n(2) After ten days.\n\n§ 99.7 Notices\n\nA notice may be sent by mail.\n";
    let all = passages("cfr.md", source, 200);
    let places: Vec<_> = all.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(places, ["cfr#99.6(a)", "cfr#99.6(b)", "cfr#99.7"]);
    assert_eq!(all[1].article.as_deref(), Some("§ 99.6(b)"));
    assert_eq!(
        all[1].text,
        "(b) Limits. The liability is at most $50. It ends:\n(1) On return; or\n(2) After ten days."
    );
    assert_eq!(all[1].title_path, ["Part 99 Library loans", "Subpart A", "Liability of borrower."]);
    assert_eq!(all[2].title_path.last().map(String::as_str), Some("Notices"));
}

#[test]
fn english_articles_are_found_in_plain_text() {
    let source = "Loan Agreement\n\nArticle 1 Definitions\n\nThe lender is the library.\n\nArticle 2. The borrower shall return the item. Section 5 of the statute applies.\n\nArticle III\n\nNothing else.\n";
    let all = passages("loan.txt", source, 200);
    let places: Vec<_> = all.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(places, ["loan#1", "loan#2", "loan#3"]);
    assert_eq!(all[0].title_path, ["Loan Agreement", "Definitions"]);
    assert_eq!(all[1].text, "The borrower shall return the item. Section 5 of the statute applies.");
}

#[test]
fn headings_give_places_where_there_are_no_articles() {
    let source = "Intro.\n\n# Handbook\n\nWelcome.\n\n## Getting paid\n\nMonthly.\n\n## Time off\n\n### Sick leave\n\nCall us.\n\n## Getting paid\n\nAgain.\n";
    let places: Vec<_> = passages("h.md", source, 99).into_iter().map(|p| (p.place, p.title_path.join("/"))).collect();
    let expected = [
        ("h#start", "Handbook"),
        ("h#handbook", "Handbook"),
        ("h#getting-paid", "Handbook/Getting paid"),
        ("h#sick-leave", "Handbook/Time off/Sick leave"),
        ("h#getting-paid~2", "Handbook/Getting paid"),
    ];
    assert_eq!(places, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn numbered_chinese_headings_are_found_in_plain_text() {
    let source = "借书须知\n\n一、开放时间\n\n每日九时至十七时。\n\n二、证件\n\n须带下列证件：\n\n一、身份证\n\n二、借书证\n\n三、押金收据\n";
    let all = passages("n.txt", source, 99);
    let places: Vec<_> = all.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(places[..2], ["n#一-开放时间", "n#二-证件"]);
    assert_sound(&document("n.txt", source), &all, source.len());
}

#[test]
fn a_split_table_repeats_its_header_and_a_small_one_stays_whole() {
    let rows: String = (0..40).map(|i| format!("| item {i} | {i} days | {i} euro |\n")).collect();
    let source = format!("# Fees\n\n| Item | Days | Fee |\n|---|---|---|\n{rows}");
    let all = passages("fees.md", &source, 80);
    assert!(all.len() > 3);
    for passage in &all {
        assert!(passage.text.starts_with("Item | Days | Fee\n") && passage.tokens <= 80);
    }
    assert_eq!((all[0].header_bytes, all[1].header_bytes), (0, "Item | Days | Fee\n".len()));
    assert!(source[all[1].source.clone()].starts_with("item "));
    assert_sound(&document("fees.md", &source), &all, source.len());
    let small = "| A | B |\n|---|---|\n| 1 | 2 |\n";
    assert_eq!(passages("t.md", small, 80)[0].text, "A | B\n1 | 2");
}

#[test]
fn overlap_repeats_whole_sentences_only() {
    let sentences: String = (0..30).map(|i| format!("Sentence number {i} says a thing. ")).collect();
    let source = document("s.txt", &sentences);
    let options = SplitOptions { max_tokens: 60, min_tokens: 8, overlap_tokens: 20 };
    let all = split(&source, &options, &count);
    assert!(all.len() > 3);
    assert_eq!(all[0].overlap_bytes, 0);
    for pair in all.windows(2) {
        let repeated = &pair[1].text[..pair[1].overlap_bytes];
        assert!(!repeated.is_empty() && repeated.starts_with("Sentence") && count(repeated) <= 20);
        assert!(pair[0].text.ends_with(repeated.trim_end()));
        assert!(pair[1].tokens <= 60);
    }
    assert_sound(&source, &all, sentences.len());
}

#[test]
fn html_and_markdown_of_the_same_rules_agree() {
    let html = "<html><head><title>出借规则 - 馆</title></head><body><h1>出借规则</h1><h2>第一章 总则</h2><p>第一条　为了管理器材出借，制定本规则。</p><p>第二条　本规则所称器材，包括：<br>（一）相机；<br>（二）三脚架。</p></body></html>";
    let all = passages("rules.html", html, 384);
    assert_eq!(all.iter().map(|p| p.place.as_str()).collect::<Vec<_>>(), ["rules#1", "rules#2"]);
    assert_eq!(all[1].text, passages("rules.md", RULES, 384)[2].text);
    assert_eq!(all[1].title_path, ["出借规则", "第一章 总则"]);
    assert!(html[all[1].source.clone()].starts_with("本规则"));
}

#[test]
fn a_counter_without_sense_is_survived() {
    for answer in [0, 1, usize::MAX] {
        let all =
            split(&document("r.md", RULES), &SplitOptions { max_tokens: 0, ..SplitOptions::default() }, &|_| answer);
        assert!(!all.is_empty());
    }
}

#[test]
#[should_panic(expected = "lost")]
fn a_passage_that_is_left_out_is_noticed() {
    let mut all = passages("rules.md", RULES, 60);
    all.remove(2);
    assert_sound(&document("rules.md", RULES), &all, RULES.len());
}

/// One block of a random document.
fn block() -> impl Strategy<Value = String> {
    prop_oneof![
        (1u32..9).prop_map(|n| format!("## 第{n}章 标题")),
        (1u32..99, "[甲乙丙丁，]{0,60}").prop_map(|(n, t)| format!("第{n}条 {t}。")),
        "（[一二三]）[甲乙]{1,20}；",
        "([A-Z][a-z]{1,8}( [a-z]{1,9}){0,12}\\. ){1,6}",
        "- [a-z]{1,9} \\*\\*[a-z]{1,9}\\*\\* &amp; x",
        "# [A-Z][a-z]{1,9}",
        (1usize..12).prop_map(|n| format!("| A | B |\n|---|---|\n{}", "| 甲 | 乙丙丁 |\n".repeat(n))),
        "```\n[a-z {}]{1,30}\n[a-z]{1,9}\n```",
        "\\PC{0,60}",
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_in_any_format(blocks in prop::collection::vec(block(), 1..14), max in 1usize..90, overlap in 0usize..30) {
        let source = blocks.join("\n\n");
        for path in ["d.md", "d.txt", "d.html"] {
            let reading = lorekit_ingest::read_bytes(path, source.as_bytes(), &lorekit_ingest::ReadOptions::default());
            for document in reading.documents {
                let options = SplitOptions { max_tokens: max, min_tokens: max / 4, overlap_tokens: overlap };
                let all = split(&document, &options, &count);
                prop_assert!(!all.is_empty());
                assert_sound(&document, &all, source.len());
            }
        }
    }

    #[test]
    fn plain_text_maps_back_to_exactly_its_bytes(words in prop::collection::vec("(保险|[a-z]{1,5}|e\u{301}|\u{3000}|。|\\. [A-Z]|\r\n\r\n| ){1,3}", 1..60)) {
        let source = words.concat();
        let reading = lorekit_ingest::read_bytes("d.txt", source.as_bytes(), &lorekit_ingest::ReadOptions::default());
        for document in reading.documents {
            for passage in split(&document, &SplitOptions { max_tokens: 12, min_tokens: 3, overlap_tokens: 0 }, &count) {
                let again = lorekit_ingest::read_bytes("d.txt", &source.as_bytes()[passage.source.clone()], &lorekit_ingest::ReadOptions::default());
                prop_assert_eq!(again.documents[0].text.as_str(), &passage.text);
            }
        }
    }
}
