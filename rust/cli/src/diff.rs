//! `lore diff`: what changed between two packs, in words.

use std::path::PathBuf;

use clap::Args;
use lorekit_cancel::CancelToken;
use lorekit_pack::{Pack, PackKind};
use lorekit_store::{ArticleChange, Change, DocumentDiff, diff};
use serde_json::json;

use crate::chain;
use crate::error::Result;
use crate::rankings;
use crate::ui::Style;

/// Articles of one kind that are named before the rest is only counted.
const NAMED: usize = 12;

/// Arguments of `lore diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// The older pack.
    old: PathBuf,
    /// The newer pack; a delta is taken as applied to the older one.
    new: PathBuf,
    /// What the older pack builds on if it is a delta: the base, then each delta in order.
    #[arg(long, value_name = "PACK")]
    from: Vec<PathBuf>,
    /// Name every article.
    #[arg(long)]
    all: bool,
    /// Show the words of each article before and after.
    #[arg(long)]
    text: bool,
    /// Instead of what changed, say whether both rank alike on these questions: JSONL of `{query}`. This shows that a
    /// base with its deltas searches as a fresh build does.
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Print one JSON object, with all articles and their texts.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DiffArgs, cancel: &CancelToken) -> Result<()> {
    let mut packs = args.from.clone();
    packs.push(args.old.clone());
    let old = chain::open(&packs)?;
    let builds_on_old = Pack::open(&args.new)?.manifest().kind == PackKind::Delta;
    packs = if builds_on_old { packs } else { Vec::new() };
    packs.push(args.new.clone());
    let new = chain::open(&packs)?;
    if let Some(questions) = &args.questions {
        let report = rankings::compare(&old, &new, questions, cancel)?;
        if args.json {
            println!("{report}");
        } else {
            println!("{} questions", report["questions"]);
            println!("  {} with the same ranking by words", report["same_lexical_ranking"]);
            println!("  {} with the same ten nearest by an exact scan", report["same_exact_top_10"]);
            println!("  {} of them found through the older one's index", report["overlap_at_10_through_the_index"]);
        }
        return Ok(());
    }
    let differences = diff(&old, &new)?;
    if args.json {
        println!("{}", json!({ "documents": differences.iter().map(document_json).collect::<Vec<_>>() }));
        return Ok(());
    }
    for document in &differences {
        show(document, args);
    }
    println!("{}", totals(&differences));
    Ok(())
}

fn is_chinese(document: &DocumentDiff) -> bool {
    document.language.starts_with("zh")
}

fn show(document: &DocumentDiff, args: &DiffArgs) {
    let style = Style::stdout();
    println!("{}", style.bold(&headline(document)));
    // A document that is new or gone as a whole needs no list of its articles.
    let whole = document.change != Change::Amended && !args.all;
    for change in [Change::Added, Change::Amended, Change::Withdrawn] {
        let articles: Vec<&ArticleChange> = document.articles.iter().filter(|a| a.change == change).collect();
        if articles.is_empty() {
            continue;
        }
        let names: Vec<&str> = articles.iter().map(|article| article.name.as_str()).collect();
        let named = match (whole, args.all) {
            (true, _) => &[],
            (false, true) => &names[..],
            (false, false) => &names[..names.len().min(NAMED)],
        };
        println!("  {}", line(is_chinese(document), change, named, names.len()));
    }
    for article in document.articles.iter().filter(|_| args.text) {
        println!("\n  {}", style.dim(&article.name));
        article.before.lines().for_each(|line| println!("  - {line}"));
        article.after.lines().for_each(|line| println!("  + {line}"));
    }
}

/// What happened to a document, in one sentence.
fn headline(document: &DocumentDiff) -> String {
    let only_described = document.change == Change::Amended && document.articles.is_empty();
    let day = document.valid_from.as_deref().filter(|_| document.change != Change::Withdrawn);
    let title = &document.title;
    if is_chinese(document) {
        let what = match document.change {
            Change::Added => "新增",
            Change::Amended if only_described => "说明变更，条文未变",
            Change::Amended => "修订",
            Change::Withdrawn => "废止",
        };
        let day = day.map_or_else(String::new, |day| format!("，自 {day} 起施行"));
        return format!("《{title}》{what}{day}");
    }
    let what = match document.change {
        Change::Added => "new",
        Change::Amended if only_described => "described anew, its text unchanged",
        Change::Amended => "amended",
        Change::Withdrawn => "withdrawn",
    };
    let day = day.map_or_else(String::new, |day| format!(", in force from {day}"));
    format!("{title}: {what}{day}")
}

/// Names and number of the articles with one kind of change.
fn line(chinese: bool, change: Change, named: &[&str], count: usize) -> String {
    if chinese {
        let what = match change {
            Change::Added => "新增",
            Change::Amended => "修改",
            Change::Withdrawn => "删除",
        };
        let unit = if named.iter().all(|name| name.starts_with('第') && name.contains('条')) { "条" } else { "处" };
        return match (named.is_empty(), named.len() == count) {
            (true, _) => format!("{what} {count} {unit}"),
            (false, true) => format!("{what} {count} {unit}：{}", named.join("、")),
            (false, false) => format!("{what} {count} {unit}：{}等", named.join("、")),
        };
    }
    let what = match change {
        Change::Added => "added",
        Change::Amended => "amended",
        Change::Withdrawn => "withdrawn",
    };
    match (named.is_empty(), count - named.len()) {
        (true, _) => format!("{count} {what}"),
        (false, 0) => format!("{count} {what}: {}", named.join(", ")),
        (false, more) => format!("{count} {what}: {} and {more} more", named.join(", ")),
    }
}

/// The last line: how many documents and articles.
fn totals(differences: &[DocumentDiff]) -> String {
    let documents = |change| differences.iter().filter(|document| document.change == change).count();
    let articles =
        |change| differences.iter().flat_map(|d| &d.articles).filter(|article| article.change == change).count();
    let [d_added, d_amended, d_gone] = [Change::Added, Change::Amended, Change::Withdrawn].map(documents);
    let [added, amended, gone] = [Change::Added, Change::Amended, Change::Withdrawn].map(articles);
    if !differences.is_empty() && differences.iter().all(is_chinese) {
        return format!(
            "共新增 {d_added} 部、修订 {d_amended} 部、废止 {d_gone} 部；条文新增 {added}、修改 {amended}、删除 {gone}"
        );
    }
    format!(
        "documents: {d_added} new, {d_amended} amended, {d_gone} withdrawn; places: {added} added, {amended} amended, {gone} withdrawn"
    )
}

fn change_name(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Amended => "amended",
        Change::Withdrawn => "withdrawn",
    }
}

fn document_json(document: &DocumentDiff) -> serde_json::Value {
    let articles: Vec<_> = document
        .articles
        .iter()
        .map(|article| {
            json!({
                "place": article.place,
                "name": article.name,
                "change": change_name(article.change),
                "before": article.before,
                "after": article.after,
            })
        })
        .collect();
    json!({
        "id": document.id,
        "title": document.title,
        "change": change_name(document.change),
        "valid_from": document.valid_from,
        "redescribed": document.redescribed,
        "articles": articles,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(language: &str, change: Change) -> DocumentDiff {
        DocumentDiff {
            id: "d".into(),
            title: "反洗钱法".into(),
            language: language.into(),
            change,
            valid_from: Some("2025-01-01".into()),
            redescribed: false,
            articles: vec![ArticleChange {
                place: "d#1".into(),
                name: "第一条".into(),
                change: Change::Amended,
                before: "甲".into(),
                after: "乙".into(),
            }],
        }
    }

    #[test]
    fn a_difference_is_said_in_the_language_of_the_document() {
        let chinese = document("zh", Change::Amended);
        assert_eq!(headline(&chinese), "《反洗钱法》修订，自 2025-01-01 起施行");
        assert_eq!(line(true, Change::Amended, &["第一条", "第二条"], 2), "修改 2 条：第一条、第二条");
        assert_eq!(line(true, Change::Added, &["第一条"], 9), "新增 9 条：第一条等");
        assert_eq!(totals(&[chinese]), "共新增 0 部、修订 1 部、废止 0 部；条文新增 0、修改 1、删除 0");
        let english = document("en", Change::Withdrawn);
        assert_eq!(headline(&english), "反洗钱法: withdrawn");
        assert_eq!(line(false, Change::Withdrawn, &["1", "2"], 5), "5 withdrawn: 1, 2 and 3 more");
        assert_eq!(line(false, Change::Added, &[], 5), "5 added");
    }
}
