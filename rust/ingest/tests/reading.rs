//! Reading folders: order, ids, metadata, and what is left out.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use lorekit_ingest::{Format, IngestError, Language, ReadOptions, SkipReason, read_folder};

fn write(dir: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
}

#[test]
fn documents_come_in_the_order_of_their_paths_with_their_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let front =
        "---\nid: leave\ntitle: 假期\nversion: 2\neffective: 2024-01-01\nlabels: [hr, staff]\n---\n第一条 年假五天。\n";
    write(
        dir.path(),
        &[
            ("b/zeta.txt", b"Plain text with a few words."),
            ("b/alpha.md", front.as_bytes()),
            ("a.html", b"<title>Site | Page</title><h1>Page</h1><p>Some words here.</p>"),
            ("faq.jsonl", b"{\"text\":\"one\",\"id\":7}\n{\"text\":\"two\"}\n"),
            (".hidden.md", b"no"),
            (".git/config.md", b"no"),
        ],
    );
    let mut seen = Vec::new();
    let reading =
        read_folder(dir.path(), &ReadOptions::default(), &mut |p| seen.push((p.done, p.total, p.path.to_owned())))
            .unwrap();
    let ids: Vec<_> = reading.documents.iter().map(|d| (d.id.as_str(), d.path.as_str(), d.format)).collect();
    assert_eq!(
        ids,
        [
            ("a", "a.html", Format::Html),
            ("leave", "b/alpha.md", Format::Markdown),
            ("b/zeta", "b/zeta.txt", Format::Text),
            ("7", "faq.jsonl", Format::Jsonl),
            ("faq:2", "faq.jsonl", Format::Jsonl),
        ]
    );
    assert_eq!(seen.last(), Some(&(4, 4, "faq.jsonl".to_owned())));
    assert_eq!(reading.skipped, []);
    let leave = &reading.documents[1];
    assert_eq!((leave.title.as_str(), leave.language), ("假期", Language::Zh));
    assert_eq!(leave.labels, ["hr", "staff"]);
    assert_eq!((leave.version.as_deref(), leave.effective.as_deref()), (Some("2"), Some("2024-01-01")));
    assert_eq!(leave.source_bytes, front.len() as u64);
    let at = leave.text.as_str().find("年假").unwrap();
    assert_eq!(&front[leave.text.source_range(at..at + 6)], "年假");
    assert_eq!(reading.documents[0].title, "Page");
    assert_eq!(reading.documents[2].title, "zeta");
    assert_eq!(reading.documents[2].language, Language::En);
}

#[test]
fn what_cannot_be_used_is_listed_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("a.md", b"good"),
            ("b.txt", b"\xff\xfeb\x00a\x00d\x00"),
            ("c.txt", b" \n\n\t \n"),
            ("d.pdf", b"not a pdf"),
            ("e.png", b"\x89PNG"),
            ("f.md", b"---\nlabels: hr\nno end"),
            ("g.txt", &[b'x'; 200]),
            ("h.jsonl", b"{}\n"),
        ],
    );
    let options = ReadOptions { max_file_bytes: 100, ..ReadOptions::default() };
    let reading = read_folder(dir.path(), &options, &mut |_| {}).unwrap();
    assert_eq!(reading.documents.len(), 1);
    let skipped: Vec<_> = reading.skipped.iter().map(|s| (s.path.as_str(), &s.reason)).collect();
    assert_eq!(
        skipped,
        [
            ("b.txt", &SkipReason::NotUtf8 { offset: 0 }),
            ("c.txt", &SkipReason::Empty),
            ("d.pdf", &SkipReason::Pdf { what: "not a pdf" }),
            ("e.png", &SkipReason::UnsupportedType),
            (
                "f.md",
                &SkipReason::FrontMatter {
                    line: 3,
                    what: "not a `key: value` line, or no closing `---` before the text"
                }
            ),
            ("g.txt", &SkipReason::TooLarge { limit: 100 }),
            ("h.jsonl", &SkipReason::JsonLine { line: 1, what: "no `text`" }),
        ]
    );
    for (_, reason) in skipped {
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn equal_ids_are_parted_by_extension_or_listed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("a.md", b"one"), ("a.txt", b"two"), ("b.md", b"---\nid: a\n---\nthree")]);
    let reading = read_folder(dir.path(), &ReadOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(reading.documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["a", "a.txt"]);
    assert_eq!(reading.skipped[0].reason, SkipReason::DuplicateId { id: "a".into(), first: "a.md".into() });
}

#[test]
fn a_folder_without_documents_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("e.png", b"x")]);
    let error = read_folder(dir.path(), &ReadOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, IngestError::NoDocuments { skipped: 1, .. }), "{error}");
    let error = read_folder(&dir.path().join("none"), &ReadOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, IngestError::FolderUnreadable { .. }), "{error}");
}

#[test]
fn a_cancelled_reading_ends() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("a.md", b"x")]);
    let options = ReadOptions::default();
    options.cancel.cancel();
    assert!(matches!(read_folder(dir.path(), &options, &mut |_| {}), Err(IngestError::Cancelled)));
}

#[cfg(unix)]
#[test]
fn links_are_listed_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("in/a.md", b"x")]);
    std::os::unix::fs::symlink(dir.path(), dir.path().join("in/loop")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("out.txt")).unwrap();
    let reading = read_folder(dir.path(), &ReadOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(reading.documents.len(), 1);
    let reasons: Vec<_> = reading.skipped.iter().map(|s| (s.path.as_str(), s.reason.clone())).collect();
    assert_eq!(reasons, [("in/loop", SkipReason::SymbolicLink), ("out.txt", SkipReason::SymbolicLink)]);
}
