//! Acceptance runs: the figures of one area, with target, value, machine and date, as JSON.

mod library;
mod library_runs;
mod line;
mod redact;
mod speed;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::{build_lore, capture, root, target};

pub fn run(args: &[&str]) -> Result<(), String> {
    match args.split_first() {
        Some((&"main-job", rest)) => main_job(rest),
        Some((&"speed", rest)) => speed::run(rest),
        Some((&"library", rest)) => library::run(rest),
        Some((&"redact", rest)) => redact::run(rest),
        _ => Err("accept takes one of: main-job, speed, library, redact".into()),
    }
}

/// Retrieval over the laws corpus and the figures of `lore bench`.
fn main_job(args: &[&str]) -> Result<(), String> {
    let data = match args {
        [] => root().join("../shared/data"),
        ["--data", folder] => PathBuf::from(folder),
        _ => return Err("accept main-job takes --data FOLDER".into()),
    };
    let lore = build_lore()?;
    let mut figures = Vec::new();
    let laws = data.join("laws-finance/v2/md");
    if laws.is_dir() {
        let pack = target().join("laws-finance-v2.lorepack").display().to_string();
        if !PathBuf::from(&pack).is_file() {
            let built = capture(
                &lore,
                &["build", &laws.display().to_string(), "-o", &pack, "--embedder", "embeddinggemma-300m", "--json"],
            )?;
            figures.push(json!({ "name": "laws-finance v2 build", "value": last_json(&built)? }));
        }
        let questions = data.join("laws-qa/questions.jsonl").display().to_string();
        let unanswerable = data.join("laws-qa/unanswerable.jsonl").display().to_string();
        let printed = capture(
            &lore,
            &[
                "eval",
                "retrieval",
                "--pack",
                &pack,
                "--questions",
                &questions,
                "--unanswerable",
                &unanswerable,
                "--json",
            ],
        )?;
        let report = last_json(&printed)?;
        figures.push(json!({
            "name": "hybrid hit@3 over all articles of laws-finance v2",
            "target": 0.70,
            "value": report["hybrid"]["all"]["hit_3"],
        }));
        figures.push(json!({ "name": "retrieval report", "value": report }));
    } else {
        figures.push(json!({ "name": "laws-finance v2", "value": "skipped: the corpus is not here" }));
    }
    let handbook = target().join("handbook.lorepack").display().to_string();
    if PathBuf::from(&handbook).is_file() {
        let printed = capture(
            &lore,
            &[
                "eval",
                "retrieval",
                "--pack",
                &handbook,
                "--questions",
                "examples/handbook-questions.jsonl",
                "--unanswerable",
                "examples/handbook-unanswerable.jsonl",
                "--json",
            ],
        )?;
        figures.push(json!({ "name": "retrieval report, sample handbook", "value": last_json(&printed)? }));
    } else {
        figures.push(json!({ "name": "sample handbook", "value": "skipped: run cargo xtask main-job first" }));
    }
    let bench = capture(&lore, &["bench", "--json"])?;
    figures.push(json!({ "name": "bench", "value": last_json(&bench)? }));
    let report = json!({ "accept": "main-job", "machine": machine(), "date": date()?, "figures": figures });
    println!("{report:#}");
    Ok(())
}

/// The last line of what a program printed.
pub fn last_json(printed: &str) -> Result<Value, String> {
    let line = printed.trim().lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))
}

/// The machine that a figure is from.
pub fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|name| name.trim_start_matches([' ', '\t', ':']));
    json!({
        "cpu": name.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}

/// Now, for the reports.
pub fn date() -> Result<String, String> {
    Ok(capture("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?.trim().to_owned())
}
