//! The contract of redaction, which needs no engine.

use std::sync::Arc;

use lorekit_ffi::{
    FfiPersonalData, FfiPlaceholders, FfiRedactionAction, FfiRedactionRule, FfiRedactor, FfiRedactorOptions,
};

use crate::code;

const TEXT: &str = "😀我叫李娜，手机13900138000。";

fn redactor(action: FfiRedactionAction, key: Option<u8>) -> Arc<FfiRedactor> {
    FfiRedactor::new(FfiRedactorOptions { surrogate_key: key.map(|byte| vec![byte; 32]), ..options(action) }).unwrap()
}

fn options(action: FfiRedactionAction) -> FfiRedactorOptions {
    FfiRedactorOptions { action, rules: vec![], kinds: vec![], threshold: 0.5, surrogate_key: None }
}

#[test]
fn redact_and_restore() {
    let label = redactor(FfiRedactionAction::Label, None);
    let redacted = label.redact(TEXT.into()).unwrap();
    assert_eq!(redacted.text, "😀我叫<PERSON>，手机<PHONE>。");
    let units: Vec<u16> = TEXT.encode_utf16().collect();
    let found = redacted.findings.iter().map(|finding| {
        let span = finding.span;
        let bytes = &TEXT[span.utf8_start as usize..span.utf8_end as usize];
        let cut = String::from_utf16(&units[span.utf16_start as usize..span.utf16_end as usize]).unwrap();
        assert!(cut == bytes && finding.score >= 0.5);
        (finding.kind, cut)
    });
    let expected = [(FfiPersonalData::Person, "李娜".to_owned()), (FfiPersonalData::Phone, "13900138000".to_owned())];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let masked = redactor(FfiRedactionAction::Mask, None).redact(TEXT.into()).unwrap().text;
    assert_eq!(masked, "😀我叫**，手机***********。");
    let rules = vec![FfiRedactionRule { kind: FfiPersonalData::Person, action: FfiRedactionAction::Keep }];
    let kept = FfiRedactor::new(FfiRedactorOptions { rules, ..options(FfiRedactionAction::Label) }).unwrap();
    assert_eq!(kept.redact(TEXT.into()).unwrap().text, "😀我叫李娜，手机<PHONE>。");
    let only = FfiRedactorOptions { kinds: vec![FfiPersonalData::Email], ..options(FfiRedactionAction::Label) };
    assert_eq!(FfiRedactor::new(only).unwrap().redact(TEXT.into()).unwrap().text, TEXT);

    let surrogate = |key| redactor(FfiRedactionAction::Surrogate, key).redact(TEXT.into()).unwrap().text;
    assert_eq!(surrogate(Some(1)), surrogate(Some(1)), "a key chooses the same for the same value");
    assert_ne!(surrogate(Some(1)), surrogate(Some(2)));
    assert!(!surrogate(Some(1)).contains("李娜") && !surrogate(None).contains("13900138000"));

    let turns = label.redact_together(vec!["我叫李娜。".into(), "您好，李娜！".into()]).unwrap();
    let texts: Vec<_> = turns.iter().map(|turn| turn.text.as_str()).collect();
    assert_eq!(texts, ["我叫<PERSON>。", "您好，<PERSON>！"], "what one turn gives away is replaced in all");

    let placeholders = FfiPlaceholders::new(label);
    assert_eq!(placeholders.hide(TEXT.into()).unwrap(), "😀我叫<PERSON_1>，手机<PHONE_1>。");
    assert_eq!(
        placeholders.hide("手机13900138000".into()).unwrap(),
        "手机<PHONE_1>",
        "the same value, the same number"
    );
    let answer = placeholders.restore("<PERSON_1>，我们打<PHONE_1>，不打<PHONE_2>".into()).unwrap();
    assert_eq!(answer, "李娜，我们打13900138000，不打<PHONE_2>");

    let short = FfiRedactorOptions { surrogate_key: Some(vec![1; 31]), ..options(FfiRedactionAction::Surrogate) };
    assert_eq!(code(FfiRedactor::new(short)), "invalid_key");
}
