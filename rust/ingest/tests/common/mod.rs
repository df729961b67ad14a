//! What several tests share.

#![allow(dead_code, clippy::unwrap_used)]

use lorekit_ingest::{BlockKind, Document, PassageDraft, ReadOptions, SplitOptions, read_bytes, split};

/// About what a subword vocabulary gives: a token a Han character, one for four other bytes.
pub fn count(text: &str) -> usize {
    let wide = text.chars().filter(|c| *c > '\u{2e7f}').count();
    let other: usize = text.chars().filter(|c| *c <= '\u{2e7f}').map(char::len_utf8).sum();
    wide + other.div_ceil(4)
}

/// Reads one document that must be readable.
pub fn document(path: &str, source: &str) -> Document {
    let mut reading = read_bytes(path, source.as_bytes(), &ReadOptions::default());
    assert_eq!(reading.skipped, [], "{path}");
    assert_eq!(reading.documents.len(), 1);
    reading.documents.remove(0)
}

/// Reads and splits with at most `max_tokens` in a passage.
pub fn passages(path: &str, source: &str, max_tokens: usize) -> Vec<PassageDraft> {
    let options = SplitOptions { max_tokens, min_tokens: 8, overlap_tokens: 0 };
    split(&document(path, source), &options, &count)
}

/// Asserts what holds for every split of every document:
/// texts are slices of the document, source ranges lie in the source in order, and what is in no passage is a heading
/// or an article marker that the passages carry in their title path or article.
pub fn assert_sound(document: &Document, passages: &[PassageDraft], source_len: usize) {
    let text = document.text.as_str();
    let mut carried = String::new();
    for passage in passages {
        assert_eq!(&passage.text[passage.header_bytes..], &text[passage.range.clone()], "{}", passage.place);
        assert!(passage.source.start <= passage.source.end && passage.source.end <= source_len, "{}", passage.place);
        assert_eq!(passage.source, document.text.source_range(passage.range.clone()));
        assert_eq!(passage.tokens, count(&passage.text).max(1));
        assert!(!passage.text.trim().is_empty());
        carried.push_str(&passage.title_path.concat());
        carried.push_str(passage.article.as_deref().unwrap_or_default());
    }
    let mut ranges: Vec<_> = passages.iter().map(|p| p.range.clone()).collect();
    ranges.sort_by_key(|r| (r.start, r.end));
    let mut at = 0;
    let squeeze = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let carried = squeeze(&carried);
    ranges.push(text.len()..text.len());
    for range in ranges {
        if range.start > at {
            // A stretch between two passages can hold several headings, one a line.
            for line in text[at..range.start].lines().map(squeeze).filter(|l| !l.is_empty()) {
                let declared = document
                    .blocks
                    .iter()
                    .any(|b| matches!(b.kind, BlockKind::Heading(_)) && squeeze(&text[b.range.clone()]) == line);
                let chapter = line.chars().count() < 60;
                assert!(declared || carried.contains(&line) || (chapter && line.starts_with('第')), "lost: {line}");
            }
        }
        at = at.max(range.end);
    }
}
