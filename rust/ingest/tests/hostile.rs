//! Any bytes are safe: a document, or a reason why not, in bounded time and memory.

#![allow(clippy::unwrap_used)]

mod common;

use common::{assert_sound, count};
use lorekit_ingest::{ReadOptions, SplitOptions, read_bytes, split};
use proptest::prelude::*;

const TEXTUAL: [&str; 4] = ["x.md", "x.txt", "x.html", "x.jsonl"];

/// Reads and splits; gives the number of passages.
fn digest(path: &str, bytes: &[u8]) -> usize {
    let reading = read_bytes(path, bytes, &ReadOptions::default());
    assert!(!reading.documents.is_empty() || !reading.skipped.is_empty(), "{path}");
    let mut number = 0;
    for document in reading.documents {
        let options = SplitOptions { max_tokens: 64, min_tokens: 8, overlap_tokens: 8 };
        let all = split(&document, &options, &count);
        assert_sound(&document, &all, bytes.len());
        number += all.len();
    }
    number
}

#[test]
fn deep_nesting_costs_no_stack() {
    let cases = [
        ("x.md", "> ".repeat(50_000) + "a"),
        ("x.md", "- ".repeat(5_000) + "a"),
        ("x.md", "[".repeat(50_000)),
        ("x.md", "*a _b ".repeat(20_000)),
        ("x.md", "`".repeat(50_000)),
        ("x.md", "![[".repeat(20_000) + "](x)"),
        ("x.html", "<div>".repeat(100_000) + "a"),
        ("x.html", "<table><tr><td>".repeat(30_000) + "a"),
        ("x.html", "<ol><li>".repeat(50_000) + "a"),
        ("x.html", "&".repeat(100_000)),
        ("x.html", "<".repeat(100_000)),
        ("x.jsonl", "{\"text\":".repeat(100_000)),
        ("x.jsonl", format!("{{\"a\":{}1{},\"text\":\"b\"}}", "[".repeat(100_000), "]".repeat(100_000))),
    ];
    for (path, source) in cases {
        digest(path, source.as_bytes());
    }
}

#[test]
fn a_line_of_megabytes_is_split_in_linear_time() {
    let han = "甲".repeat(1_000_000);
    assert!(digest("x.txt", han.as_bytes()) >= 1_000_000 / 64);
    let words = "word ".repeat(400_000);
    assert!(digest("x.md", words.as_bytes()) > 1000);
    let stops = "a. ".repeat(400_000);
    assert!(digest("x.txt", stops.as_bytes()) > 1000);
    let marks = format!("a{}", "\u{301}".repeat(500_000));
    assert!(digest("x.txt", marks.as_bytes()) > 0);
    let closing = "!)\"".repeat(300_000);
    assert!(digest("x.txt", closing.as_bytes()) > 0);
}

#[test]
fn control_characters_and_marks_are_taken_out() {
    let reading = read_bytes("x.txt", "a\0b\u{7}c\u{202e}d\u{200b}e\u{feff}".as_bytes(), &ReadOptions::default());
    assert_eq!(reading.documents[0].text.as_str(), "abcde");
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let options = ReadOptions { max_file_bytes: 10, ..ReadOptions::default() };
    let reading = read_bytes("x.txt", &[b'a'; 11], &options);
    assert!(reading.documents.is_empty() && reading.skipped.len() == 1);
}

proptest! {
    #[test]
    fn random_bytes_are_safe_in_every_format(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for path in TEXTUAL.into_iter().chain(["x.pdf", "x", "x.unknown"]) {
            digest(path, &bytes);
        }
    }

    #[test]
    fn random_markup_is_safe_in_every_format(source in "(\\PC|[\n\r\t#*`|<>\\[\\]():\\-_&;\"{}\\\\]|第|条|章|---|text|<td>|<table>|\\| a \\|\n|\\|---\\|\n|\n\n|1\\. |（一）){0,80}") {
        for path in TEXTUAL {
            digest(path, source.as_bytes());
        }
        digest("x.jsonl", format!("{{\"text\":{}}}", serde_json::Value::String(source)).as_bytes());
    }

    #[test]
    fn random_bytes_behind_a_pdf_header_are_safe(body in prop::collection::vec(any::<u8>(), 0..200), text in "(obj|endobj|stream\n|endstream|<<|>>|/Type|/Page|/Kids| 1 0 R|\\[|\\]|xref|trailer|\n| |\\(|\\)){0,40}") {
        let mut bytes = b"%PDF-1.4\n1 0 obj\n".to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&body);
        digest("x.pdf", &bytes);
    }
}
