//! How many claims of answers that people and templates wrote stand in no cited article, and how many wrong numbers are
//! found when one number of an answer is changed.
//!
//! `cargo run -p lorekit-grounding --example claims_on_dialogs DIALOGS.jsonl ARTICLES.jsonl [--list]`

#![allow(clippy::print_stdout)] // the table is what this example is for
#![allow(clippy::unwrap_used)] // an example may end with the first error

use std::collections::{BTreeMap, HashMap};

use lorekit_grounding::{ClaimKind, Contract, Evidence, FieldValue};
use serde_json::Value;

fn lines(path: &str) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dialogs, articles, ..] = &arguments[..] else { panic!("two files: dialogs, articles") };
    let list = arguments.iter().any(|argument| argument == "--list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let articles: HashMap<String, String> =
        lines(articles).iter().map(|article| (text(&article["id"]), text(&article["text"]))).collect();
    let contract = Contract::basis_zh();
    let mut tables: BTreeMap<String, (usize, usize, BTreeMap<String, usize>)> = BTreeMap::new();
    let (mut n_changed, mut n_found) = (0, 0);
    for dialog in lines(dialogs) {
        let (question, answer) = (text(&dialog["messages"][0]["content"]), text(&dialog["messages"][1]["content"]));
        let checked = contract.check(&answer, &[]);
        let Some(FieldValue::Text { text: explanation }) = checked.values.get("explanation") else { continue };
        let label = match checked.values.get("basis") {
            Some(FieldValue::Quote { label, .. }) => label.clone(),
            _ => String::new(),
        };
        let gold = dialog["gold"].as_array().unwrap().iter().filter_map(|id| articles.get(&text(id)));
        let sources: Vec<&str> = gold.map(String::as_str).chain([label.as_str(), question.as_str()]).collect();
        let evidence = Evidence::new(sources);
        let found = evidence.unsupported(explanation);
        let table = tables.entry(text(&dialog["explanation_source"])).or_default();
        table.0 += 1;
        table.1 += usize::from(!found.is_empty());
        for claim in &found {
            *table.2.entry(format!("{:?}", claim.kind)).or_default() += 1;
            if list {
                println!("{:?} {} | {explanation}", claim.kind, &explanation[claim.range.clone()]);
            }
        }
        // Every claim that is told without any source is one that can be got wrong.
        for claim in Evidence::new([]).unsupported(explanation).iter().filter(|claim| !found.contains(claim)) {
            if claim.kind == ClaimKind::Name {
                continue;
            }
            let said = &explanation[claim.range.clone()];
            let digits = "一二三四五六七八九123456789";
            let Some(digit) = said.chars().find(|c| digits.contains(*c)) else { continue };
            let other = digits.chars().cycle().skip_while(|c| *c != digit).nth(3).unwrap();
            let wrong = said.replacen(digit, &other.to_string(), 1);
            let changed = format!("{}{wrong}{}", &explanation[..claim.range.start], &explanation[claim.range.end..]);
            n_changed += 1;
            let hits = evidence.unsupported(&changed);
            let is_found = hits
                .iter()
                .any(|hit| hit.range.start <= claim.range.start + wrong.len() && hit.range.end > claim.range.start);
            n_found += usize::from(is_found);
            if list && !is_found {
                println!("missed: {wrong} for {said} | {explanation}");
            }
        }
    }
    for (source, (n, flagged, kinds)) in tables {
        println!("{source}: {flagged} of {n} explanations have unsupported claims {kinds:?}");
    }
    println!("one digit changed: {n_found} of {n_changed} found");
}
