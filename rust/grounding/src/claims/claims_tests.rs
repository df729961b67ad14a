use proptest::prelude::*;

use super::*;

/// What of `text` is unsupported by `source`, as it is written, with its kind.
fn unsupported(text: &str, source: &str) -> Vec<(String, ClaimKind)> {
    let found = Evidence::new([source]).unsupported(text);
    found.into_iter().map(|claim| (text[claim.range].to_owned(), claim.kind)).collect()
}

#[test]
fn what_is_only_rephrased_is_supported() {
    let mut wrong = Vec::new();
    for (text, source) in [
        // Shares.
        ("不得超过5%。", "不得超过百分之五"),
        ("at most 5 percent", "不得超过百分之五"),
        ("at most five per cent", "no more than 5%"),
        ("费率为0.5‰", "费率为万分之五"),
        ("须经2/3以上表决权……即三分之二", "三分之二以上，2/3"),
        ("上浮50个基点", "上浮0.5%"),
        ("two-thirds of the votes", "三分之二以上"),
        // Money.
        ("最高可罚10,000元", "处一万元以下罚款"),
        ("罚款3500万元", "三千五百万元"),
        ("罚款３５００万元", "三千五百万元"),
        ("¥20万", "二十万元"),
        ("a fine of $3 million", "a civil penalty of $3,000,000"),
        ("3 million dollars", "$3 million"),
        ("伍万元整", "50000元"),
        // Spans of time.
        ("within three months", "三个月内"),
        ("一年内", "12个月内"),
        ("半年", "六个月"),
        ("一年半", "18个月"),
        ("2周内", "十四日内"),
        ("within 24 hours", "within one day"),
        ("within 30 calendar days", "30天内"),
        ("a 30-day notice", "thirty days' notice"),
        ("三至五年", "三年以上五年以下有期徒刑"),
        ("3至5年", "三年以上五年以下有期徒刑"),
        ("十个工作日内", "10 business days"),
        ("两年", "二年"),
        // Dates.
        ("2024年3月1日起施行", "自二〇二四年三月一日起施行"),
        ("自2024年3月起", "自二〇二四年三月一日起施行"),
        ("effective March 1, 2024", "effective on 2024-03-01"),
        ("on 1 Mar. 2024", "on March 1st, 2024"),
        ("在3月1日前", "2024年3月1日"),
        ("2024年", "2024/3/1"),
        // Articles.
        ("根据第85条", "《证券法》第八十五条"),
        ("see Section 12(b)", "§ 12 ... (b) Late fees"),
        ("Article 85", "第八十五条"),
        ("Article 6", "Articles 5 and 6"),
        ("第一百二十条之一", "第一百二十条之一 资助恐怖活动"),
        // Counts.
        ("应有3名董事", "董事会成员为三人"),
        ("30 people", "30"),
        ("年满18周岁", "十八岁以上"),
        ("加收3倍罚款", "三倍"),
        // Names.
        ("《证券法》规定", "《中华人民共和国证券法》第一条"),
        ("《中华人民共和国证券法》", "证券法第八十五条"),
        ("向中国证券监督管理委员会报告", "报证监会备案"),
        ("国务院证券监督管理委员会", "国务院证券监督管理委员会"),
        ("The Consumer Financial Protection Bureau may act.", "the CFPB may act"),
        ("The Annual Percentage Rate applies.", "the annual percentage rates"),
    ] {
        let found = unsupported(text, source);
        if !found.is_empty() {
            wrong.push((text, source, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_stands_in_no_source_is_told_with_its_kind() {
    use ClaimKind::{Amount, Article, Date, Duration, Name, Number, Percentage};
    let mut wrong = Vec::new();
    for (text, source, expected) in [
        ("不得超过6%。", "不得超过百分之五", &[("6%", Percentage)][..]),
        ("最高可罚百分之十。", "处10元罚款，限10日", &[("百分之十", Percentage)]),
        ("三分之一以上", "三分之二以上", &[("三分之一", Percentage)]),
        ("罚款二十万元，限5日", "二百万元，五日", &[("二十万元", Amount)]),
        ("罚款100美元", "罚款100元", &[("100美元", Amount)]),
        ("a fee of $3.50", "a fee of $3.05", &[("$3.50", Amount)]),
        ("应在30日内答复", "应在15日内答复", &[("30日", Duration)]),
        ("within 15 business days", "within 15 days", &[("15 business days", Duration)]),
        ("within five years", "within 5 months", &[("five years", Duration)]),
        ("2023年3月1日起施行", "自二〇二四年三月一日起施行", &[("2023年3月1日", Date)]),
        ("effective April 1, 2024", "effective March 1, 2024", &[("April 1, 2024", Date)]),
        ("根据第八十六条", "第八十五条", &[("第八十六条", Article)]),
        ("under Section 13(a)", "Section 12(a)", &[("Section 13(a)", Article)]),
        ("第一百二十条之二", "第一百二十条之一", &[("第一百二十条之二", Article)]),
        ("第三章", "第三条", &[("第三章", Article)]),
        ("须有5名股东", "须有三名股东，限5日", &[("5名", Number)]),
        ("a limit of 2,500", "a limit of 2,000", &[("2,500", Number)]),
        ("依据《保险法》", "《证券法》", &[("《保险法》", Name)]),
        ("由中国人民银行批准", "由国务院批准", &[("中国人民银行", Name)]),
        ("The Federal Reserve Board may act.", "The bank may act.", &[("Federal Reserve Board", Name)]),
        ("按最高限５００元，处10天", "十日，50元", &[("５００元", Amount)]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(text, kind)| ((*text).to_owned(), *kind)).collect();
        let found = unsupported(text, source);
        if found != expected {
            wrong.push((text, source, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn words_with_numerals_in_them_and_marks_of_lists_claim_nothing() {
    for text in [
        "一般情况下，双方应当一致同意，万一不成，千万不要十分着急。",
        "有以下两种情形、三个条件：\n1. 提供材料；\n2、缴纳费用。\n（3）其他。见[4]。",
        "一个部门内的一次性付款由其中之一负责；第一，应当书面申请。第三人无权。",
        "The first party may ask one of the two parties. If May is missing, march on.",
        "B2B 平台、Q3 报告、ISO9001 认证、G20。",
        "银行、法院、商业银行、有限责任公司、国家机关、全部、内部、国家工作人员。",
        "You may ask. If The bank agrees, You win.",
        "情形如下：1.未付款的；2.逾期的。2、其他。只有3种，共4个。",
        "全国法院、国家银行、中国境内的公司，《最高人民法院关于担保的解释》",
        "百分之百",
    ] {
        let expected: &[(String, ClaimKind)] = &[];
        let found = unsupported(text, "百分之百《最高人民法院关于担保的解释》");
        assert_eq!(found, expected, "{text}");
    }
}

proptest! {
    /// Whatever a text says, it supports itself, and every claim lies on whole characters.
    #[test]
    fn a_text_supports_itself(text in "([0-9]{1,3}|[一二三十百千万亿〇点半]|第|条|年|月|日|个|元|%|百分之|分之|《|》|March |Article |, |\\.|-|/|\\(|\\)|five |percent|days |The Big |中国|银行|\n){0,25}") {
        prop_assert_eq!(unsupported(&text, &text), vec![]);
        for claim in Evidence::new([]).unsupported(&text) {
            prop_assert!(text.get(claim.range).is_some_and(|span| !span.is_empty()));
        }
    }

    /// Chinese and Western numbers are read as the same value.
    #[test]
    fn a_number_is_equal_in_digits_and_in_chinese(n in 1u32..100_000_000) {
        let chinese = in_chinese(n);
        prop_assert_eq!(unsupported(&format!("{n}元"), &format!("{chinese}元")), vec![]);
        prop_assert_eq!(unsupported(&format!("{chinese}元"), &format!("{n}元")), vec![]);
        prop_assert_eq!(unsupported(&format!("{chinese}元"), &format!("{}元", n + 1)).len(), 1);
    }
}

/// A number below 一亿 as it is read aloud.
fn in_chinese(n: u32) -> String {
    let below = |n: u32| {
        let mut text = String::new();
        let mut gap = false;
        for (unit, name) in [(1_000, "千"), (100, "百"), (10, "十"), (1, "")] {
            let digit = n / unit % 10;
            if digit == 0 {
                gap |= !text.is_empty();
                continue;
            }
            text.push_str(if gap { "零" } else { "" });
            gap = false;
            text.extend("零一二三四五六七八九".chars().nth(digit as usize));
            text.push_str(name);
        }
        text
    };
    let (high, low) = (n / 10_000, n % 10_000);
    match (high, low) {
        (0, low) => below(low),
        (high, 0) => format!("{}万", below(high)),
        (high, low) => format!("{}万{}{}", below(high), if low < 1_000 { "零" } else { "" }, below(low)),
    }
}
