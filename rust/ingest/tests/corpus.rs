//! Splitting a folder of Chinese laws against a list of its articles.
//!
//! The laws are not part of the project: `LOREKIT_LAWS` names a folder with `md/*.md` and `articles.jsonl`
//! (`{"id": "<file>#<number>", "text": …}`). Without it the test is skipped; `LOREKIT_LAWS_SHOW` prints the misses.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{assert_sound, count};
use lorekit_ingest::{Language, PassageDraft, ReadOptions, SplitOptions, read_bytes, read_folder, split};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("LOREKIT_LAWS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: LOREKIT_LAWS is not set");
    }
    folder
}

/// Without white space, and without the zero-width spaces that the list keeps and normalisation takes out.
fn squeeze(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect()
}

/// The articles as listed: id and text.
fn articles(folder: &Path) -> Vec<(String, String)> {
    let list = fs::read_to_string(folder.join("articles.jsonl")).unwrap();
    let one = |line: &str| -> (String, String) {
        let article: serde_json::Value = serde_json::from_str(line).unwrap();
        (article["id"].as_str().unwrap().to_owned(), article["text"].as_str().unwrap().to_owned())
    };
    list.lines().map(one).collect()
}

/// How many articles are not in the passages with their place, and how many are all that those passages hold.
fn compare(articles: &[(String, String)], passages: &[PassageDraft]) -> (usize, usize) {
    let mut places: HashMap<&str, String> = HashMap::new();
    for passage in passages {
        places.entry(&passage.place).or_default().push_str(&squeeze(&passage.text));
    }
    let (mut misses, mut equal) = (0, 0);
    for (id, text) in articles {
        let text = squeeze(text);
        let found = places.get(id.as_str());
        equal += usize::from(found == Some(&text));
        if !found.is_some_and(|found| found.contains(&text)) {
            misses += 1;
            if std::env::var_os("LOREKIT_LAWS_SHOW").is_some() {
                println!("miss {id}: {text}\n  have: {found:?}");
            }
        }
    }
    (misses, equal)
}

#[test]
fn every_article_of_the_laws_is_found_at_its_place() {
    let Some(folder) = folder() else { return };
    let started = Instant::now();
    let reading = read_folder(&folder.join("md"), &ReadOptions::default(), &mut |_| {}).unwrap();
    let read = started.elapsed();
    let started = Instant::now();
    let options = SplitOptions::default();
    let split: Vec<Vec<PassageDraft>> = reading.documents.iter().map(|d| split(d, &options, &count)).collect();
    let time = started.elapsed();
    for (document, passages) in reading.documents.iter().zip(&split) {
        assert_eq!(document.language, Language::Zh, "{}", document.id);
        assert_sound(document, passages, document.source_bytes as usize);
    }
    let passages: Vec<_> = split.into_iter().flatten().collect();
    assert!(passages.iter().all(|p| p.tokens <= options.max_tokens));
    let cut = passages.iter().filter(|p| p.cuts_sentence).count();
    let small = passages.iter().filter(|p| p.tokens < options.min_tokens).count();
    println!(
        "{} documents, {} skipped, {} passages ({cut} cut in a sentence, {small} small); read {read:?}, split {time:?}",
        reading.documents.len(),
        reading.skipped.len(),
        passages.len()
    );
    let articles = articles(&folder);
    let (misses, equal) = compare(&articles, &passages);
    println!("{} articles, {misses} misses, {equal} equal to the list", articles.len());
    assert_eq!(misses, 0);
}

#[test]
fn the_laws_as_json_lines_text_and_html_give_the_same_articles() {
    let Some(folder) = folder() else { return };
    let articles = articles(&folder);
    let options = SplitOptions::default();
    let bytes = fs::read(folder.join("articles.jsonl")).unwrap();
    let reading =
        read_bytes("articles.jsonl", &bytes, &ReadOptions { max_file_bytes: 1 << 30, ..ReadOptions::default() });
    assert_eq!(reading.skipped, []);
    let passages: Vec<_> = reading.documents.iter().flat_map(|d| split(d, &options, &count)).collect();
    assert_eq!(compare(&articles, &passages), (0, articles.len()), "json lines");

    for (extension, convert) in [("txt", plain as fn(&str) -> String), ("txt", wrapped), ("html", html)] {
        let mut passages = Vec::new();
        for entry in fs::read_dir(folder.join("md")).unwrap() {
            let path = entry.unwrap().path();
            let source = convert(&fs::read_to_string(&path).unwrap());
            let name = format!("{}.{extension}", path.file_stem().unwrap().to_str().unwrap());
            for document in read_bytes(&name, source.as_bytes(), &ReadOptions::default()).documents {
                let all = split(&document, &options, &count);
                assert_sound(&document, &all, source.len());
                passages.extend(all);
            }
        }
        let found = compare(&articles, &passages);
        assert_eq!(found, (0, articles.len()), "misses and equal ones as {extension}");
    }
}

/// Without any markup.
fn plain(markdown: &str) -> String {
    markdown.lines().map(|line| format!("{}\n", line.trim_start_matches(['#', '>', ' ']))).collect()
}

/// Without markup or empty lines, paragraphs indented and wrapped at 60 columns.
fn wrapped(markdown: &str) -> String {
    let mut out = String::new();
    for line in plain(markdown).lines().filter(|l| !l.is_empty()) {
        let mut column = 0;
        let heading = line.chars().count() < 25 && !line.ends_with('。');
        for c in if heading { line.to_owned() } else { format!("　　{line}") }.chars() {
            if column >= 60 {
                out.push('\n');
                column = 0;
            }
            out.push(c);
            column += if c < '\u{2e80}' { 1 } else { 2 };
        }
        out.push('\n');
    }
    out
}

fn html(markdown: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let line = |line: &str| {
        if let Some(title) = line.strip_prefix("# ") {
            format!("<h1>{}</h1>\n", escape(title))
        } else if let Some(heading) = line.strip_prefix("## ") {
            format!("<h2>{}</h2>\n", escape(heading))
        } else {
            format!("<p>{}\n", escape(line.trim_start_matches(['#', '>', ' '])))
        }
    };
    format!("<html><body>{}</body></html>", markdown.lines().map(line).collect::<String>())
}
