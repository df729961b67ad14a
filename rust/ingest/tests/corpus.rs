//! Splitting a folder of Chinese laws against a list of its articles.
//!
//! The laws are not part of the project: `LOREKIT_LAWS` names a folder with `md/*.md` and `articles.jsonl`
//! (`{"id": "<file>#<number>", "text": …}`). Without it the test is skipped; `LOREKIT_LAWS_SHOW` prints the misses.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use lorekit_ingest::{PassageDraft, ReadOptions, SplitOptions, read_folder, split};

/// About what a subword vocabulary gives: a token a Han character, one for four other bytes.
fn count(text: &str) -> usize {
    let han = text.chars().filter(|c| *c > '\u{2e7f}').count();
    let other: usize = text
        .chars()
        .filter(|c| *c <= '\u{2e7f}')
        .map(char::len_utf8)
        .sum();
    han + other.div_ceil(4)
}

#[test]
fn every_article_of_the_laws_is_found_at_its_place() {
    let Some(folder) = std::env::var_os("LOREKIT_LAWS").map(PathBuf::from) else {
        println!("skipped: LOREKIT_LAWS is not set");
        return;
    };
    let started = Instant::now();
    let reading = read_folder(&folder.join("md"), &ReadOptions::default(), &mut |_| {}).unwrap();
    let read = started.elapsed();
    let started = Instant::now();
    let passages: Vec<PassageDraft> = reading
        .documents
        .iter()
        .flat_map(|d| split(d, &SplitOptions::default(), &count))
        .collect();
    println!(
        "{} documents, {} skipped, {} passages; read {read:?}, split {:?}",
        reading.documents.len(),
        reading.skipped.len(),
        passages.len(),
        started.elapsed()
    );
    let mut places: HashMap<&str, String> = HashMap::new();
    for passage in &passages {
        places
            .entry(&passage.place)
            .or_default()
            .push_str(&passage.text);
        assert!(
            passage.tokens <= SplitOptions::default().max_tokens,
            "{} has {} tokens",
            passage.place,
            passage.tokens
        );
    }
    // The list keeps a few zero-width spaces, which normalisation takes out.
    let squeeze = |text: &str| {
        text.chars()
            .filter(|c| !c.is_whitespace() && *c != '\u{200b}')
            .collect::<String>()
    };
    let (mut articles, mut misses, mut exact) = (0, 0, 0);
    for line in fs::read_to_string(folder.join("articles.jsonl"))
        .unwrap()
        .lines()
    {
        let article: serde_json::Value = serde_json::from_str(line).unwrap();
        let (id, text) = (
            article["id"].as_str().unwrap(),
            article["text"].as_str().unwrap(),
        );
        articles += 1;
        let found = places.get(id).map(|t| squeeze(t));
        exact += usize::from(found.as_deref() == Some(squeeze(text).as_str()));
        if !found.is_some_and(|found| found.contains(&squeeze(text))) {
            misses += 1;
            if std::env::var_os("LOREKIT_LAWS_SHOW").is_some() {
                println!("miss {id}: {text}\n  have: {:?}", places.get(id));
            }
        }
    }
    println!("{articles} articles, {misses} misses, {exact} equal to the list");
    assert_eq!(misses, 0);
}
