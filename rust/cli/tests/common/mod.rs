//! What the tests of the command share: running it, models from the cache, a small handbook.

#![allow(dead_code)] // each test file uses its own part
#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skips

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The small models, or `None` with a line that says what is skipped.
pub struct Models {
    pub chat: PathBuf,
    pub embedder: PathBuf,
}

pub fn models(test: &str) -> Option<Models> {
    let root = lorekit_cli::models::cache_root().join("models");
    let models =
        Models { chat: root.join("smollm2-135m-instruct/model.gguf"), embedder: root.join("minilm-l6-v2/model.gguf") };
    if models.chat.is_file() && models.embedder.is_file() {
        return Some(models);
    }
    eprintln!("skipped: {test}: smollm2-135m-instruct and minilm-l6-v2 are not in the cache");
    None
}

/// Runs `lore` and returns what it printed.
pub fn lore(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lore")).args(args).output().expect("the command was built for this test")
}

/// Runs `lore`, which must succeed, and returns its standard output.
pub fn lore_ok(args: &[&str]) -> String {
    let output = lore(args);
    assert!(output.status.success(), "lore {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("lore prints UTF-8")
}

/// Runs `lore`, which must fail without a panic, and returns its standard error.
pub fn lore_fails(args: &[&str]) -> String {
    let output = lore(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "lore {args:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(errors.contains("error: "), "{errors}");
    errors
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// A folder with two short documents of an invented house.
pub fn handbook(folder: &Path) -> PathBuf {
    let documents = folder.join("documents");
    std::fs::create_dir_all(&documents).unwrap();
    std::fs::write(
        documents.join("cards.md"),
        "---\ntitle: Card Terms\nversion: 2026-02\n---\n# Card Terms\n\n## Fees\n\n\
         A replacement card costs 12 crowns and arrives within five working days.\n\n\
         ## Disputes\n\n\
         A card transaction can be disputed within 60 days of the statement date. \
         The disputed amount is credited provisionally while the bank looks into it.\n\n\
         ## Limits\n\nThe daily limit for cash is 500 crowns.\n",
    )
    .unwrap();
    std::fs::write(
        documents.join("travel.md"),
        "# Travel Policy\n\n## Baggage\n\nLost baggage is covered up to 1,500 crowns for each journey.\n\n\
         ## Exclusions\n\nLosses from unattended baggage in a public place are not covered.\n",
    )
    .unwrap();
    documents
}

/// Builds a pack from a folder with the small embedder.
pub fn build(documents: &Path, pack: &Path, models: &Models) -> String {
    lore_ok(&["build", text(documents), "-o", text(pack), "--embedder", text(&models.embedder), "--json"])
}
