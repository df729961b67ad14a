//! The main job with real small models: build, verify, search, ask, open the citation.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skips

mod common;

use common::{build, handbook, lore, lore_ok, models, text};
use serde_json::Value;

#[test]
fn an_answer_cites_bytes_that_stand_in_the_source_file() {
    let Some(models) = models("an_answer_cites_bytes_that_stand_in_the_source_file") else { return };
    let folder = tempfile::tempdir().unwrap();
    let documents = handbook(folder.path());
    let pack = folder.path().join("handbook.lorepack");
    let summary: Value = serde_json::from_str(build(&documents, &pack, &models).trim()).unwrap();
    assert_eq!(summary["documents"], 2);
    assert_eq!(summary["skipped"], serde_json::json!([]));
    lore_ok(&["verify", text(&pack)]);

    let ask = ["ask", "Within how many days can I dispute a card transaction?", "--pack", text(&pack), "--json"];
    let ask =
        [&ask[..], &["--model", text(&models.chat), "--embedder", text(&models.embedder), "--threads", "2"]].concat();
    let printed = lore_ok(&ask);
    let events: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "retrieved");
    assert_eq!(events[0]["passages"][0]["path"], "cards.md");
    let streamed: String = events.iter().filter_map(|e| e["delta"].as_str()).collect();
    let finished = &events.last().unwrap()["answer"];
    assert_eq!(finished["text"], streamed);
    assert_eq!(finished["outcome"], "answered", "{streamed}");

    let citations = finished["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{streamed}");
    for citation in citations {
        let span = |key: &str| citation[key][0].as_u64().unwrap() as usize..citation[key][1].as_u64().unwrap() as usize;
        let passage = &events[0]["passages"][citation["passage"].as_u64().unwrap() as usize];
        let source = std::fs::read(documents.join(passage["path"].as_str().unwrap())).unwrap();
        let quoted = &streamed[span("answer")];
        assert_eq!(quoted, &passage["text"].as_str().unwrap()[span("quoted")]);
        assert!(String::from_utf8_lossy(&source[span("source")]).contains(quoted), "{quoted}");
        let opened = lore_ok(&["show", passage["id"].as_str().unwrap(), "--pack", text(&pack)]);
        assert!(opened.contains(quoted));
    }
    // The same question once more: the same answer.
    let again = lore_ok(&ask);
    let last: Value = serde_json::from_str(again.lines().last().unwrap()).unwrap();
    assert_eq!(last["answer"]["text"], finished["text"]);
}

#[test]
fn building_twice_gives_the_same_bytes() {
    let Some(models) = models("building_twice_gives_the_same_bytes") else { return };
    let folder = tempfile::tempdir().unwrap();
    let documents = handbook(folder.path());
    let (first, second) = (folder.path().join("a.lorepack"), folder.path().join("b.lorepack"));
    let build = |pack| {
        lore_ok(&[
            "build",
            text(&documents),
            "-o",
            text(pack),
            "--embedder",
            text(&models.embedder),
            "--id",
            "handbook",
            "--title",
            "Handbook",
        ])
    };
    build(&first);
    build(&second);
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
}

#[test]
fn a_question_without_support_is_declined() {
    let Some(models) = models("a_question_without_support_is_declined") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("handbook.lorepack");
    build(&handbook(folder.path()), &pack, &models);
    let printed = lore_ok(&[
        "ask",
        "Who won the chess championship in 1997?",
        "--pack",
        text(&pack),
        "--json",
        "--model",
        text(&models.chat),
        "--embedder",
        text(&models.embedder),
    ]);
    let last: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!(last["answer"]["outcome"], "declined: NothingFound");
    assert_eq!(last["answer"]["citations"], serde_json::json!([]));
    assert!(!last["answer"]["passages"].as_array().unwrap().is_empty(), "the nearest passages are shown");
}

#[test]
fn an_interrupted_build_leaves_no_pack_and_goes_on_later() {
    let Some(models) = models("an_interrupted_build_leaves_no_pack_and_goes_on_later") else { return };
    let folder = tempfile::tempdir().unwrap();
    let documents = handbook(folder.path());
    for n in 0..300 {
        let text =
            format!("# Notice {n}\n\nBranch {n} opens at {} and closes at {} on working days.\n", n % 12, 12 + n % 12);
        std::fs::write(documents.join(format!("notice-{n:03}.md")), text).unwrap();
    }
    let pack = folder.path().join("handbook.lorepack");
    let journal = folder.path().join(".handbook.lorepack.unfinished");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lore"))
        .args(["build", text(&documents), "-o", text(&pack), "--embedder", text(&models.embedder), "--threads", "1"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let embedding = || std::fs::metadata(&journal).is_ok_and(|m| m.len() > 4_000);
    while !embedding() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    if status.success() {
        eprintln!("skipped: the build ended before it could be interrupted");
        return;
    }
    assert_eq!(status.code(), Some(130));
    let left: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "documents")
        .collect();
    assert_eq!(left, [".handbook.lorepack.unfinished"]);
    let output = lore(&["build", text(&documents), "-o", text(&pack), "--embedder", text(&models.embedder)]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("were embedded before the build was interrupted"));
    assert!(pack.is_file() && !journal.exists());
}
