//! Bad input ends a command with a message that names the file and the cause; nothing panics, nothing is half-written.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skips

mod common;

use common::{build, handbook, lore_fails, lore_ok, models, text};

#[test]
fn an_empty_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("p.lorepack");
    let errors = lore_fails(&["build", text(folder.path()), "-o", text(&pack), "--embedder", "missing.gguf"]);
    assert!(errors.contains(text(folder.path())), "{errors}");
    assert!(!pack.exists());
}

#[test]
fn a_document_that_is_not_text_is_skipped_and_listed() {
    let Some(models) = models("a_document_that_is_not_text_is_skipped_and_listed") else { return };
    let folder = tempfile::tempdir().unwrap();
    let documents = handbook(folder.path());
    std::fs::write(documents.join("broken.txt"), b"ab\xff\xfecd").unwrap();
    let summary = build(&documents, &folder.path().join("p.lorepack"), &models);
    assert!(summary.contains("broken.txt") && summary.contains("utf-8"), "{summary}");
}

#[test]
fn a_damaged_pack_is_refused_whatever_is_damaged() {
    let Some(models) = models("a_damaged_pack_is_refused_whatever_is_damaged") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("p.lorepack");
    build(&handbook(folder.path()), &pack, &models);
    let whole = std::fs::read(&pack).unwrap();
    let damaged = folder.path().join("damaged.lorepack");
    for at in (0..whole.len()).step_by(whole.len() / 20) {
        std::fs::write(&damaged, &whole[..at]).unwrap();
        let errors = lore_fails(&["verify", text(&damaged)]);
        assert!(errors.contains("damaged.lorepack"), "{errors}");
    }
    let mut refused = 0;
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&damaged, &bytes).unwrap();
        let output = common::lore(&["verify", text(&damaged)]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "flip at {at}: {output:?}");
        refused += usize::from(!output.status.success());
    }
    // Padding between sections is no content; almost every other byte is.
    assert!(refused >= 20, "{refused} of 40 flips were noticed");
}

#[test]
fn a_file_that_is_no_model_is_named() {
    let Some(models) = models("a_file_that_is_no_model_is_named") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("p.lorepack");
    build(&handbook(folder.path()), &pack, &models);
    let foreign = folder.path().join("foreign.gguf");
    std::fs::write(&foreign, b"this is not a model").unwrap();
    let chat = std::fs::read(&models.chat).unwrap();
    let truncated = folder.path().join("truncated.gguf");
    std::fs::write(&truncated, &chat[..chat.len() / 2]).unwrap();
    for model in [&foreign, &truncated, &folder.path().join("absent.gguf")] {
        let errors = lore_fails(&[
            "ask",
            "Is baggage covered?",
            "--pack",
            text(&pack),
            "--model",
            text(model),
            "--embedder",
            text(&models.embedder),
        ]);
        assert!(errors.contains(text(model)), "{errors}");
    }
}

#[test]
fn an_embedder_that_is_not_the_packs_is_refused_naming_both() {
    let Some(models) = models("an_embedder_that_is_not_the_packs_is_refused_naming_both") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("p.lorepack");
    build(&handbook(folder.path()), &pack, &models);
    // One bit of one weight, in the middle of the file.
    let mut bytes = std::fs::read(&models.embedder).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let other = folder.path().join("other.gguf");
    std::fs::write(&other, bytes).unwrap();
    let errors = lore_fails(&["search", "baggage", "--pack", text(&pack), "--embedder", text(&other)]);
    assert_eq!(errors.matches("bert-384-mean").count(), 2, "{errors}");
}

#[test]
fn questions_that_are_empty_or_too_long_are_refused() {
    let Some(models) = models("questions_that_are_empty_or_too_long_are_refused") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("p.lorepack");
    build(&handbook(folder.path()), &pack, &models);
    let ask = |question: &str| {
        lore_fails(&[
            "ask",
            question,
            "--pack",
            text(&pack),
            "--model",
            text(&models.chat),
            "--embedder",
            text(&models.embedder),
            "--floor=-1",
        ])
    };
    assert!(ask("  ").contains("the question is empty"));
    let long = "baggage and cards ".repeat(3_000);
    let errors = ask(&long);
    assert!(errors.contains("tokens") && errors.contains("fit"), "{errors}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let Some(models) = models("a_folder_that_cannot_be_written_is_named") else { return };
    let folder = tempfile::tempdir().unwrap();
    let documents = handbook(folder.path());
    let pack = folder.path().join("no/such/folder/p.lorepack");
    let errors = lore_fails(&["build", text(&documents), "-o", text(&pack), "--embedder", text(&models.embedder)]);
    assert!(errors.contains("no/such/folder"), "{errors}");
}

#[test]
fn an_unknown_model_name_lists_what_there_is() {
    let errors = lore_fails(&["models", "path", "no-such-model"]);
    assert!(errors.contains("no-such-model"), "{errors}");
    assert!(lore_ok(&["models", "list"]).contains("qwen2.5-coder-0.5b-instruct"));
}
