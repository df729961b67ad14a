//! A folder in two editions, with a real embedder: the delta between them knows what a fresh build of the second knows.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skips

mod common;

use common::{build, handbook, lore_fails, lore_ok, models, text};
use serde_json::Value;

fn json(printed: &str) -> Value {
    serde_json::from_str(printed.trim().lines().last().unwrap()).unwrap()
}

#[test]
fn a_delta_embeds_only_what_changed_and_leads_to_the_state_of_a_fresh_build() {
    let Some(models) = models("a_delta_embeds_only_what_changed_and_leads_to_the_state_of_a_fresh_build") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let documents = handbook(folder.path());
    let path = |name: &str| folder.path().join(name);
    let (first, second, delta) = (path("a.lorepack"), path("b.lorepack"), path("d.lorepack"));
    build(&documents, &first, &models);

    let make = ["delta", "--from", text(&first), text(&documents), "-o", text(&delta), "--json"];
    let make = [&make[..], &["--embedder", text(&models.embedder), "--threads", "2"]].concat();
    assert!(lore_fails(&make).contains("nothing changed"));
    assert!(!delta.exists());

    let cards = documents.join("cards.md");
    let amended = std::fs::read_to_string(&cards).unwrap().replace("costs 12 crowns", "costs 15 crowns");
    std::fs::write(&cards, amended).unwrap();
    let report = json(&lore_ok(&make));
    assert_eq!((&report["embedded"], &report["added"], &report["removed"]), (&1.into(), &1.into(), &1.into()));
    assert!(report["unchanged"].as_u64().unwrap() > 0);

    // Built anew, with every passage embedded anew, the second edition has the same state: not a bit differs.
    let fresh = json(&build(&documents, &second, &models));
    assert_eq!(fresh["state"], report["state"]);
    // And with the vectors of the first edition nothing but the amended passage is embedded.
    let reused = ["build", text(&documents), "-o", text(&second), "--reuse", text(&first), "--json"];
    let reused = json(&lore_ok(&[&reused[..], &["--embedder", text(&models.embedder), "--threads", "2"]].concat()));
    assert_eq!((&reused["embedded"], &reused["state"]), (&1.into(), &fresh["state"]));

    let said = lore_ok(&["diff", text(&first), text(&delta), "--text"]);
    assert!(said.contains("1 amended") && said.contains("15 crowns"), "{said}");
    let between: Value = json(&lore_ok(&["diff", "--from", text(&first), text(&delta), text(&second), "--json"]));
    assert_eq!(between["documents"], serde_json::json!([]));
    // A delta is nothing without its base, and fits no other.
    lore_fails(&["diff", text(&delta), text(&first)]);
    lore_fails(&["diff", text(&second), text(&delta)]);

    // A library takes it, goes back, takes it again, and is the same after a compaction.
    let kept = path("library");
    let library = |command: &[&str]| {
        let place = ["--base", text(&first), "--library", text(&kept), "--json"];
        [&["library"], command, &place].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |command: &[&str]| {
        let all = library(command);
        json(&lore_ok(&all.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let unsigned = library(&["apply", text(&delta)]);
    lore_fails(&unsigned.iter().map(String::as_str).collect::<Vec<_>>());
    let trusting = "--allow-unsigned";
    let before = run(&["state", trusting])["state"].clone();
    assert_eq!(run(&["apply", text(&delta), trusting])["state"], fresh["state"]);
    assert_eq!(run(&["apply", text(&delta), trusting])["applied"], false);
    assert_eq!(run(&["rollback", trusting])["state"], before);
    assert_eq!(run(&["apply", text(&delta), trusting])["state"], fresh["state"]);
    assert_eq!(run(&["compact", trusting])["publisher_packs"], 2);
    assert!(run(&["verify", trusting])["bytes"].as_u64().unwrap() > 0);
    let state = run(&["state", trusting]);
    assert_eq!((&state["state"], &state["compacted"]), (&fresh["state"], &true.into()));
    assert_eq!(run(&["purge", trusting])["refusal_recorded"], true);
    let purged = library(&["state", trusting]);
    lore_fails(&purged.iter().map(String::as_str).collect::<Vec<_>>());

    // With a key, nothing of the delta's text lies in the folder in clear; without it the folder does not open.
    let (key, sealed) = (path("key"), path("sealed"));
    std::fs::write(&key, "0f".repeat(32)).unwrap();
    let place = ["--base", text(&first), "--library", text(&sealed), "--json", trusting];
    let with_key = [&["library", "apply", text(&delta), "--key", text(&key)][..], &place].concat();
    assert_eq!(json(&lore_ok(&with_key))["state"], fresh["state"]);
    let clear = std::fs::read(&delta).unwrap();
    let canary = "15 crowns".as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary);
    assert!(holds(&clear));
    for entry in std::fs::read_dir(&sealed).unwrap() {
        let entry = entry.unwrap();
        assert!(!entry.path().is_file() || !holds(&std::fs::read(entry.path()).unwrap()), "{entry:?}");
    }
    lore_fails(&[&["library", "state"][..], &place].concat());
    let other = path("other-key");
    std::fs::write(&other, "ab".repeat(32)).unwrap();
    let rekey = [&["library", "rekey", "--key", text(&key), "--new-key", text(&other)][..], &place].concat();
    assert_eq!(json(&lore_ok(&rekey))["packs"], 1);
    lore_fails(&[&["library", "state", "--key", text(&key)][..], &place].concat());
    lore_ok(&[&["library", "state", "--key", text(&other)][..], &place].concat());
    std::fs::write(&key, "0e".repeat(32)).unwrap();
    lore_fails(&[&["library", "state", "--key", text(&key)][..], &place].concat());
    std::fs::write(&key, "no key").unwrap();
    assert!(lore_fails(&[&["library", "state", "--key", text(&key)][..], &place].concat()).contains("64 hex"));
}
