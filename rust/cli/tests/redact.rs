//! Redacting on the command line: the data, its report, the check, and what a stopped or wrong run leaves.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use common::{lore_fails, lore_ok, text};
use serde_json::Value;

const LINES: &str = "{\"q\": \"我叫李娜，手机13900138000\", \"a\": \"好的，李娜\"}\n{\"q\": \"第八十五条\"}\n{\"q\": \"手机13900138000\"}\n";

#[test]
fn data_is_redacted_and_only_that_data_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output, report] = ["in.jsonl", "out.jsonl", "report.json"].map(|name| folder.path().join(name));
    std::fs::write(&input, LINES).unwrap();
    let said = lore_ok(&["redact", text(&input), "-o", text(&output), "--report", text(&report)]);
    assert!(said.contains("2 of 3 lines changed") && said.contains("PHONE") && !said.contains("13900138000"), "{said}");
    let redacted = std::fs::read_to_string(&output).unwrap();
    assert_eq!(redacted.lines().next().unwrap(), "{\"q\": \"我叫<PERSON>，手机<PHONE>\", \"a\": \"好的，<PERSON>\"}");
    let read: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(read["counts"]["PHONE"], 2);
    assert!(read["measured"][0]["recall"].is_object(), "the report says what the rules are known to find");
    assert!(lore_ok(&["redact", "check", text(&output), "--report", text(&report)]).contains("is what"));
    assert!(lore_fails(&["redact", "check", text(&input), "--report", text(&report)]).contains("the hash differs"));
    assert!(lore_fails(&["redact", "check", text(&output), "--report", text(&output)]).contains("cannot be read"));
}

#[test]
fn each_kind_can_have_an_action_of_its_own_and_surrogates_follow_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let [input, key, report] = ["in.jsonl", "key", "report.json"].map(|name| folder.path().join(name));
    std::fs::write(&input, LINES).unwrap();
    std::fs::write(&key, "07".repeat(32)).unwrap();
    let run = |name: &str, more: &[&str]| {
        let output = folder.path().join(name);
        let start = ["redact", text(&input), "-o", text(&output), "--report", text(&report), "--action", "surrogate"];
        lore_ok(&[&start, more].concat());
        std::fs::read_to_string(&output).unwrap()
    };
    let once = run("a", &["--key-file", text(&key)]);
    assert_eq!(once, run("b", &["--key-file", text(&key)]));
    let listed = folder.path().join("listed.json");
    std::fs::copy(&report, &listed).unwrap();
    assert_ne!(once, run("c", &[]), "a key that was drawn for one run");
    let (first, second) = (folder.path().join("a"), folder.path().join("a2"));
    let again = ["--action", "surrogate", "--key-file", text(&key), "--again", text(&listed)];
    lore_ok(&[&["redact", text(&first), "-o", text(&second), "--report", text(&report)], &again[..]].concat());
    assert_eq!(once, std::fs::read_to_string(&second).unwrap(), "surrogates are known by their key");
    assert!(!once.contains("13900138000") && !once.contains("李娜"));
    let kept = run("d", &["--key-file", text(&key), "--for", "PHONE=keep"]);
    assert!(kept.contains("13900138000") && !kept.contains("李娜"));
    let only = run("e", &["--key-file", text(&key), "--kinds", "PHONE"]);
    assert!(!only.contains("13900138000") && only.contains("李娜"));
}

#[test]
fn a_line_that_is_no_json_is_named_and_nothing_that_looks_redacted_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output, report] = ["in.jsonl", "out.jsonl", "report.json"].map(|name| folder.path().join(name));
    std::fs::write(&input, format!("{LINES}李娜 13900138000\n")).unwrap();
    let errors = lore_fails(&["redact", text(&input), "-o", text(&output), "--report", text(&report)]);
    assert!(errors.contains("line 4 is not JSON") && errors.contains("in.jsonl"), "{errors}");
    assert!(!errors.contains("李娜"), "no error repeats the data");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let errors = lore_fails(&["redact", text(&input), "-o", text(&input), "--report", text(&report)]);
    assert!(errors.contains("the data itself"), "{errors}");
}
