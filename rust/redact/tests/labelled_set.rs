//! How much of the labelled development set is found: exact and overlapping F1 by kind, and hard negatives flagged.

#![allow(clippy::print_stdout)] // the table is what this test is for

use std::collections::BTreeMap;
use std::path::PathBuf;

use lorekit_redact::{Detector, DetectorOptions};
use serde_json::Value;

fn folder() -> PathBuf {
    let data = std::env::var_os("LOREKIT_DATA").map(PathBuf::from);
    data.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")).join("pii-zh-en")
}

#[derive(Default, Clone, Copy)]
struct Tally {
    gold: usize,
    found: usize,
    exact: usize,
    gold_met: usize,
    found_met: usize,
}

fn f1(precision: (usize, usize), recall: (usize, usize)) -> f64 {
    let (p, r) = (precision.0 as f64 / precision.1.max(1) as f64, recall.0 as f64 / recall.1.max(1) as f64);
    if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 }
}

#[test]
fn most_of_the_labelled_set_is_found_and_hard_negatives_stay() {
    let detector = Detector::new(DetectorOptions::default());
    for (file, least) in [("synthetic.jsonl", 0.9), ("en-presidio.jsonl", 0.35)] {
        let Ok(rows) = std::fs::read_to_string(folder().join(file)) else {
            println!("skipped: no labelled set");
            return;
        };
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let (mut negatives, mut flagged) = (0, 0);
        for row in rows.lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            let text = row["text"].as_str().unwrap();
            let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let gold: Vec<(String, usize, usize)> = row["spans"]
                .as_array()
                .unwrap()
                .iter()
                .map(|span| {
                    let at = |key: &str| bytes[span[key].as_u64().unwrap() as usize];
                    (span["type"].as_str().unwrap().to_owned(), at("start"), at("end"))
                })
                .collect();
            let all = detector.find(text);
            if row["kind"] == "hard-negative" {
                negatives += 1;
                if !all.is_empty() {
                    flagged += 1;
                    println!(
                        "flagged: {text} {:?}",
                        all.iter().map(|f| (f.kind, &text[f.range.clone()])).collect::<Vec<_>>()
                    );
                }
            }
            const LABELLED: [&str; 10] =
                ["PERSON", "ID_CARD", "PHONE", "BANK_CARD", "EMAIL", "ADDRESS", "PLATE", "PASSPORT", "IBAN", "US_SSN"];
            let found: Vec<(String, usize, usize)> = all
                .iter()
                .map(|finding| (finding.kind.name().to_owned(), finding.range.start, finding.range.end))
                .filter(|(kind, ..)| LABELLED.contains(&kind.as_str()))
                .collect();
            let meets = |a: &(String, usize, usize), b: &(String, usize, usize)| a.0 == b.0 && a.1 < b.2 && b.1 < a.2;
            for span in &gold {
                for key in [span.0.as_str(), "all"] {
                    let tally = tallies.entry(key.to_owned()).or_default();
                    tally.gold += 1;
                    tally.exact += usize::from(found.contains(span));
                    tally.gold_met += usize::from(found.iter().any(|other| meets(span, other)));
                }
                if std::env::var_os("LOREKIT_SHOW").is_some() && !found.contains(span) {
                    println!("missed {} {:?} in {text:?}", span.0, &text[span.1..span.2]);
                }
            }
            for span in &found {
                for key in [span.0.as_str(), "all"] {
                    let tally = tallies.entry(key.to_owned()).or_default();
                    tally.found += 1;
                    tally.found_met += usize::from(gold.iter().any(|other| meets(span, other)));
                }
                if std::env::var_os("LOREKIT_SHOW").is_some() && !gold.contains(span) {
                    println!("wrong  {} {:?} in {text:?}", span.0, &text[span.1..span.2]);
                }
            }
        }
        println!("{file}: hard negatives flagged {flagged} of {negatives}");
        for (kind, t) in &tallies {
            println!(
                "{kind:10} gold {:3} found {:3}  exact F1 {:.3}  overlap F1 {:.3}  recall {:.3}",
                t.gold,
                t.found,
                f1((t.exact, t.found), (t.exact, t.gold)),
                f1((t.found_met, t.found), (t.gold_met, t.gold)),
                t.gold_met as f64 / t.gold.max(1) as f64
            );
        }
        let all = tallies["all"];
        assert!(f1((all.exact, all.found), (all.exact, all.gold)) >= least, "{file}: exact F1 fell below {least}");
        assert!(flagged * 50 <= negatives, "more than 2 % of the hard negatives are flagged");
    }
}
