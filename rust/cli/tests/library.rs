//! A document of the device's own, through the command: added, found and cited as local, hidden by its label, removed.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skips

mod common;

use common::{build, handbook, lore_ok, models, text};
use serde_json::Value;

#[test]
fn an_own_document_is_found_as_local_by_who_may_see_it() {
    let Some(models) = models("an_own_document_is_found_as_local_by_who_may_see_it") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (pack, kept, note) = (path("a.lorepack"), path("library"), path("note.md"));
    build(&handbook(folder.path()), &pack, &models);
    std::fs::write(&note, "# Gymnasium\n\nThe locker combination of the gymnasium is zyxqua.\n").unwrap();
    let place = ["--base", text(&pack), "--library", text(&kept), "--allow-unsigned", "--json"];
    let run = |command: &[&str]| -> Value {
        let printed = lore_ok(&[command, &place].concat());
        serde_json::from_str(printed.trim().lines().last().unwrap()).unwrap()
    };
    let embedder = ["--embedder", text(&models.embedder)];
    let added = run(&[&["library", "add", text(&note), "--id", "gym", "--labels", "staff"][..], &embedder].concat());
    assert_eq!(added["passages"], 1);
    let search = [&["search", "locker combination of the gymnasium", "--top-k", "1"][..], &embedder].concat();
    let first = |found: Value| found["passages"][0].clone();
    let passage = first(run(&[&search[..], &["--labels", "staff"]].concat()));
    assert_eq!((&passage["origin"], &passage["document"]), (&"local".into(), &"gym".into()));
    assert_eq!(first(run(&search))["origin"], "publisher", "without the label something else is nearest");
    let words = lore_ok(&[&search[..], &["--labels", "staff"], &place[..5]].concat());
    assert!(words.contains("own document, note.md"), "{words}");
    assert_eq!(run(&["library", "remove", "gym"])["removed"], true);
    assert_eq!(run(&["library", "remove", "gym"])["removed"], false);
    assert_eq!(first(run(&[&search[..], &["--labels", "staff"]].concat()))["origin"], "publisher");
}
