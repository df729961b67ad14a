//! Personal data found on the labelled set, beside Presidio and its Rust port in the same run.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{date, last_json, machine};
use crate::process::{capture, root};

/// Kinds of Chinese identifiers and particulars, on each of which the others must be behind.
const CHINESE: [&str; 8] = ["PERSON", "ID_CARD", "PHONE", "BANK_CARD", "EMAIL", "ADDRESS", "PLATE", "PASSPORT"];
const PEERS: [&str; 3] = ["presidio", "presidio with Chinese patterns", "presidio-analyzer (Rust)"];

pub(super) fn run(args: &[&str]) -> Result<(), String> {
    let (mut data, mut more) = (root().join("../shared/data"), Vec::new());
    let mut rest = args.iter();
    while let Some(argument) = rest.next() {
        let value = rest.next().ok_or(format!("{argument} needs a value"))?;
        match *argument {
            "--data" => data = PathBuf::from(value),
            "--python" | "--rounds" => more.extend([*argument, *value]),
            _ => return Err("accept redact takes --data FOLDER --python PROGRAM --rounds N".into()),
        }
    }
    let labelled = data.join("pii-zh-en");
    let figures = if labelled.is_dir() {
        let (script, labelled) = (root().join("scripts/bench-redact"), labelled.display().to_string());
        let printed = capture(&script.display().to_string(), &[&["--data", labelled.as_str()], &more[..]].concat())?;
        figures(&last_json(&printed)?)
    } else {
        vec![json!({ "name": "pii-zh-en", "value": "skipped: the labelled set is not here" })]
    };
    let report = json!({ "accept": "redact", "machine": machine(), "date": date()?, "figures": figures });
    println!("{report:#}");
    Ok(())
}

fn figures(report: &Value) -> Vec<Value> {
    let mut figures = Vec::new();
    for (set, tools) in report["sets"].as_object().into_iter().flatten() {
        let ours = &tools["lorekit"];
        for peer in PEERS {
            let theirs = &tools[peer];
            for measure in ["exact", "overlap"] {
                let of = |tool: &Value| tool["f1"]["all"][measure].clone();
                figures.push(ahead(format!("{set}: {measure} F1, against {peer}"), &of(ours), &of(theirs)));
            }
            for kind in CHINESE.iter().filter(|kind| ours["chinese"][kind].is_object()) {
                let of = |tool: &Value| tool["chinese"][kind]["exact"].clone();
                figures.push(ahead(
                    format!("{set}: exact F1 of {kind} in Chinese, against {peer}"),
                    &of(ours),
                    &of(theirs),
                ));
            }
            let of = |tool: &Value| tool["megabytes_per_second"].clone();
            figures.push(ahead(format!("{set}: MB/s on one thread, against {peer}"), &of(ours), &of(theirs)));
        }
        if let (Some(flagged), Some(all)) = (ours["flagged"].as_f64(), ours["hard_negatives"].as_f64())
            && all > 0.0
        {
            let share = flagged / all;
            figures.push(json!({ "name": format!("{set}: share of hard negatives flagged"), "target": "<= 0.02",
                "value": share, "met": share <= 0.02 }));
        }
    }
    figures.push(json!({ "name": "all of it", "value": report }));
    figures
}

/// A figure of ours that must not be behind a peer's.
fn ahead(name: String, ours: &Value, theirs: &Value) -> Value {
    let (a, b) = (ours.as_f64().unwrap_or(0.0), theirs.as_f64().unwrap_or(0.0));
    json!({ "name": name, "target": format!(">= {b:.3}"), "value": a, "met": a >= b })
}
