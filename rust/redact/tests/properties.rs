//! What holds for every text: no panic, offsets on the original, found values gone, masking and labelling idempotent,
//! surrogates of the same kind.

use lorekit_cancel::CancelToken;
use lorekit_redact::{
    Action, Detector, DetectorOptions, EntityType, Error, Gate, Issued, Placeholders, Policy, Redactor, Report,
    StreamOptions, Surrogates, check, redact_jsonl,
};
use proptest::prelude::*;

fn redactor(action: Action) -> Redactor {
    Redactor::new(Detector::new(DetectorOptions::default()), Policy::all(action), Surrogates::new([7; 32]))
}

thread_local! {
    static MASK: Redactor = redactor(Action::Mask);
    static LABEL: Redactor = redactor(Action::Label);
    static SURROGATE: Redactor = redactor(Action::Surrogate);
}

/// Pieces that meet in every order: values, words that introduce them, separators, and noise.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("440524188001010014".to_owned()),
        Just("６２２２０２ 1234567890".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("139-0013-8000".to_owned()),
        Just("+86 13900138000".to_owned()),
        Just("我叫王小明".to_owned()),
        Just("姓名：李 娜".to_owned()),
        Just("Alice Johnson".to_owned()),
        Just("My name is ".to_owned()),
        Just("a.b@example.com".to_owned()),
        Just("GB82 WEST 1234 5698 7654 32".to_owned()),
        Just("上海市浦东新区世纪大道100号3栋201室".to_owned()),
        Just("12 Oak Street, Austin, TX 78701".to_owned()),
        Just("订单号".to_owned()),
        Just("身份证".to_owned()),
        Just("密码：Abc12345!".to_owned()),
        Just("京A12345".to_owned()),
        Just("，".to_owned()),
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        "[0-9 -]{1,20}",
        "[\\PC]{0,12}",
        "[王李张伟芳的给和，。]{1,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        LABEL.with(|redactor| redactor.redact(&text));
        SURROGATE.with(|redactor| redactor.redact(&text));
    }

    #[test]
    fn findings_are_ordered_apart_and_on_the_original(text in text()) {
        let findings = LABEL.with(|redactor| redactor.redact(&text).findings);
        let mut end = 0;
        for finding in findings {
            prop_assert!(finding.range.start >= end && !finding.range.is_empty());
            prop_assert!(text.get(finding.range.clone()).is_some());
            end = finding.range.end;
        }
    }

    #[test]
    fn what_is_outside_the_edits_is_untouched(text in text()) {
        let redaction = SURROGATE.with(|redactor| redactor.redact(&text));
        let (mut from, mut out) = (0, 0);
        for edit in &redaction.edits {
            prop_assert_eq!(&text[from..edit.original.start], &redaction.text[out..edit.output.start]);
            (from, out) = (edit.original.end, edit.output.end);
        }
        prop_assert_eq!(&text[from..], &redaction.text[out..]);
    }

    #[test]
    fn masking_and_labelling_twice_changes_nothing(text in text()) {
        for action in [&MASK, &LABEL] {
            let once = action.with(|redactor| redactor.redact(&text).text);
            let twice = action.with(|redactor| redactor.redact(&once).text);
            prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn a_found_number_is_nowhere_in_the_output(text in text()) {
        let redaction = MASK.with(|redactor| redactor.redact(&text));
        for finding in &redaction.findings {
            let value = &text[finding.range.clone()];
            if value.chars().filter(char::is_ascii_digit).count() >= 7 {
                let digits = |text: &str| text.contains(value);
                let glued = redaction.text.match_indices(value).all(|(at, _)| {
                    redaction.text[..at].ends_with(|c: char| c.is_alphanumeric())
                        || redaction.text[at + value.len()..].starts_with(|c: char| c.is_alphanumeric())
                });
                prop_assert!(!digits(&redaction.text) || glued);
            }
        }
    }

    #[test]
    fn placeholders_give_the_text_back(text in text()) {
        prop_assume!(!text.contains('<'));
        let mut placeholders = Placeholders::new();
        let hidden = LABEL.with(|redactor| placeholders.hide(redactor, &text));
        prop_assert_eq!(placeholders.restore(&hidden), text);
    }
}

#[test]
fn surrogates_are_valid_of_the_same_shape_and_consistent() {
    let surrogates = Surrogates::new([3; 32]);
    let other = Surrogates::new([4; 32]);
    let detector = Detector::new(DetectorOptions::default());
    for (kind, before, value) in [
        (EntityType::IdCard, "身份证", "440524 18800101 0014"),
        (EntityType::BankCard, "银行卡号", "4111 1111 1111 1111"),
        (EntityType::Phone, "手机", "１３９-0013-8000"),
        (EntityType::Iban, "IBAN ", "GB82 WEST 1234 5698 7654 32"),
        (EntityType::CreditCode, "统一社会信用代码", "91350100M000100Y43"),
        (EntityType::Email, "邮箱", "a.b@corp.cn"),
        (EntityType::Plate, "车牌", "京A12345"),
        (EntityType::Passport, "护照", "E12345678"),
        (EntityType::UsSsn, "SSN ", "301-18-6332"),
    ] {
        let surrogate = surrogates.of(kind, value);
        assert_ne!(surrogate, value);
        assert_eq!(surrogate, surrogates.of(kind, value), "the same value has the same surrogate");
        if kind != EntityType::Email {
            assert_eq!(surrogate.chars().count(), value.chars().count());
        }
        let text = format!("{before}{surrogate}");
        let found = detector.find(&text);
        assert_eq!(found.len(), 1, "a surrogate of {kind} is valid");
        assert_eq!((found[0].kind, &text[found[0].range.clone()]), (kind, surrogate.as_str()));
    }
    assert_ne!(
        surrogates.of(EntityType::IdCard, "440524188001010014"),
        other.of(EntityType::IdCard, "440524188001010014")
    );
}

#[test]
fn what_was_redacted_is_left_alone_by_those_who_have_key_and_report() {
    let lines: String = (0..50u64)
        .map(|n| format!("{{\"t\": \"我叫李娜，手机139{:08}，邮箱a{n}b@corp.cn\"}}\n", 1_380_000 + n * 7919))
        .collect();
    let made = |key: u8, own: Issued| {
        let detector = Detector::new(DetectorOptions::default());
        Redactor::new(detector, Policy::all(Action::Surrogate), Surrogates::new([key; 32])).leaving(own)
    };
    let run = |redactor: &Redactor, input: &str| {
        let mut output = Vec::new();
        let options = StreamOptions::default();
        let report =
            redact_jsonl(input.as_bytes(), &mut output, redactor, &options, &CancelToken::new(), &mut |_| {}).unwrap();
        (String::from_utf8(output).unwrap(), report)
    };
    let (once, report) = run(&made(1, Issued::default()), &lines);
    let report = Report::from_json(&report.to_json()).unwrap();
    let issued = report.issued.unwrap();
    assert_eq!(issued.len(), 101, "50 numbers, 50 addresses, one name");
    assert_eq!(run(&made(1, issued.clone()), &once).0, once);
    assert_ne!(run(&made(1, Issued::default()), &once).0, once, "nothing says that they are surrogates");
    assert_ne!(run(&made(2, issued.clone()), &once).0, once, "the list says nothing under another key");
    let (mixed, report) = run(&made(1, issued), &format!("{once}{{\"t\": \"手机13712345678\"}}\n"));
    assert!(mixed.starts_with(&once) && !mixed.contains("13712345678"));
    assert_eq!(report.counts[&EntityType::Phone], 1);
}

#[test]
fn a_file_is_redacted_in_order_and_only_its_report_opens_the_gate() {
    let lines: Vec<String> = (0..500)
        .map(|n| {
            format!(
                "{{\"id\": {n},  \"turns\": [\"我叫李娜，手机13900138000\", \"好的，李娜\"], \"phone\": 13900138000}}\n"
            )
        })
        .collect();
    let input = lines.concat();
    let options = StreamOptions { batch_bytes: 4096, ..StreamOptions::default() };
    let mut output = Vec::new();
    let mut done = 0;
    let report = LABEL
        .with(|redactor| {
            redact_jsonl(input.as_bytes(), &mut output, redactor, &options, &CancelToken::new(), &mut |bytes| {
                done = bytes
            })
        })
        .unwrap();
    let text = String::from_utf8(output.clone()).unwrap();
    assert_eq!(done, input.len() as u64);
    for (n, line) in text.lines().enumerate() {
        assert_eq!(
            line,
            format!(
                "{{\"id\": {n},  \"turns\": [\"我叫<PERSON>，手机<PHONE>\", \"好的，<PERSON>\"], \"phone\": \"<PHONE>\"}}"
            )
        );
    }
    assert_eq!(report.counts[&EntityType::Phone], 1000);
    let report = Report::from_json(&report.to_json()).unwrap();
    assert!(check(output.as_slice(), Some(&report), Gate::RequireReport).is_ok());
    assert!(matches!(check(input.as_bytes(), Some(&report), Gate::RequireReport), Err(Error::HashDiffers)));
    assert!(matches!(check(input.as_bytes(), None, Gate::RequireReport), Err(Error::NoReport)));
    assert!(check(input.as_bytes(), None, Gate::AllowUnredacted).is_ok());
}

#[test]
fn a_broken_line_is_named_and_a_long_one_refused() {
    let run = |input: &str, limit: usize| {
        let options = StreamOptions { max_line_bytes: limit, ..StreamOptions::default() };
        LABEL.with(|redactor| {
            redact_jsonl(input.as_bytes(), Vec::new(), redactor, &options, &CancelToken::new(), &mut |_| {})
        })
    };
    assert!(matches!(run("{}\n{\"a\": \"13900138000\n", 1000), Err(Error::NotJson { line: 2 })));
    assert!(matches!(run("{\"a\": \"long enough\"}\n", 8), Err(Error::LineTooLong { line: 1, .. })));
}

#[test]
fn numbers_are_found_however_they_are_written_and_likes_of_them_stay() {
    let detector = Detector::new(DetectorOptions::default());
    let kinds = |text: &str| detector.find(text).into_iter().map(|finding| finding.kind).collect::<Vec<_>>();
    for text in [
        "身份证号440524188001010014",
        "身份证：440524\n188001010014",
        "身份证４４０５２４１８８００１０１００１４",
        "身份证44O5241880O1010014",
    ] {
        assert_eq!(kinds(text), [EntityType::IdCard], "{text}");
    }
    assert_eq!(kinds("令牌 ghp_abcdefghijklmnopqrstuvwxyz0123456789"), [EntityType::Secret]);
    assert_eq!(kinds("见https://root:hunter2x@db.example.com/x"), [EntityType::UrlCredentials]);
    assert_eq!(kinds("出生日期：1988年3月5日"), [EntityType::DateOfBirth]);
    assert_eq!(kinds("我的保单号是PL662190549987"), [EntityType::PolicyNumber]);
    assert_eq!(kinds("National Insurance number AB123456C"), [EntityType::UkNino]);
    assert_eq!(kinds("台胞证号码12345678"), [EntityType::Permit]);
    for text in [
        "自2023年12月1日起施行",
        "第三百三十三条第2款",
        "金额13900138000元",
        "订单号13900138000",
        "国发〔2020〕12号文件",
        "利率4.35%",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn names_and_addresses_are_found_by_roles_rows_and_titles_and_statutes_hold_none() {
    let detector = Detector::new(DetectorOptions::default());
    let found = |text: &str| -> Vec<String> {
        detector.find(text).iter().map(|finding| text[finding.range.clone()].to_owned()).collect()
    };
    for (text, expected) in [
        ("张伟和李静是夫妻，二人共同持有该保单。", &["张伟", "李静"][..]),
        ("王芳、李强、赵敏三人共同出资", &["王芳", "李强", "赵敏"]),
        ("麻烦转告刘芳女士", &["刘芳"]),
        ("贷款申请人司马懿之配偶须到场", &["司马懿"]),
        ("委托代理人韩梅梅，女，汉族", &["韩梅梅"]),
        ("旅客孙悦已办理登机", &["孙悦"]),
        ("家庭住址：湖北省武汉市武昌区丁字桥路南湖家园5栋", &["湖北省武汉市武昌区丁字桥路南湖家园5栋"]),
        ("行业主管部门、监管部门由国务院规定；中华人民共和国法律另有规定的除外。", &[]),
        ("经税务机关同意，方为有效；职工代表由工会选举。", &[]),
        ("投诉电话400-820-8888，服务热线95588", &[]),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}
