//! Updates by deltas on two editions of the laws corpus: the same knowledge as a fresh build, and what it costs.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{date, last_json, machine};
use crate::process::{build_lore, capture, root, target};

/// Where the data is and which packs lend their vectors.
struct Options {
    data: PathBuf,
    /// Packs to copy vectors from; without one, each article of both editions is embedded.
    vectors: Vec<String>,
}

pub fn run(args: &[&str]) -> Result<(), String> {
    let options = parse(args)?;
    let laws = options.data.join("laws-finance");
    if !laws.is_dir() {
        let skipped = json!({ "name": "laws-finance", "value": "skipped: the corpus is not here" });
        return print(vec![skipped]);
    }
    let lore = build_lore()?;
    let folder = target().join("accept-library");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = |name: &str| folder.join(name).display().to_string();
    let source = |edition: &str| laws.join(edition).join("md").display().to_string();
    let (first, second, delta) = (file("v1.lorepack"), file("v2.lorepack"), file("delta.lorepack"));

    let mut figures = Vec::new();
    let mut built = Vec::new();
    for (edition, pack, version) in [("v1", &first, "1"), ("v2", &second, "2")] {
        let source = source(edition);
        let mut build = vec!["build", &source, "-o", pack, "--id", "laws-finance", "--pack-version", version, "--json"];
        options.vectors.iter().for_each(|pack| build.extend(["--reuse", pack.as_str()]));
        let report = last_json(&capture(&lore, &build)?)?;
        figures.push(json!({ "name": format!("{edition}, built whole"), "value": report }));
        built.push(report);
    }
    // Vectors of new articles come from the fresh build, so that the figures are those of the delta and not of the
    // embedder; which passages need one is counted before.
    let source = source("v2");
    let make = ["delta", "--from", &first, &source, "-o", &delta, "--reuse", &second, "--json"];
    let (report, cost) = measured(|| capture(&lore, &make))?;
    let report = last_json(&report)?;
    figures.push(json!({ "name": "delta v1 to v2", "value": report, "cpu_seconds": cost }));
    figures.push(figure(
        "the delta's state is that of the fresh build",
        json!(true),
        json!(report["state"] == built[1]["state"]),
    ));
    let bytes = |value: &Value| value["file_bytes"].as_f64().unwrap_or(f64::NAN);
    figures.push(figure(
        "bytes of the delta, of the whole pack",
        Value::Null,
        json!([bytes(&report), bytes(&built[1])]),
    ));

    let questions = options.data.join("laws-qa/questions.jsonl").display().to_string();
    let ranked =
        last_json(&capture(&lore, &["diff", "--from", &first, &delta, &second, "--questions", &questions, "--json"])?)?;
    figures.push(figure(
        "questions with the same ranking by words",
        ranked["questions"].clone(),
        ranked["same_lexical_ranking"].clone(),
    ));
    figures.push(figure(
        "questions with the same ten nearest by exact scan",
        ranked["questions"].clone(),
        ranked["same_exact_top_10"].clone(),
    ));
    figures.push(figure(
        "overlap at 10 through the index",
        json!(0.99),
        ranked["overlap_at_10_through_the_index"].clone(),
    ));
    figures.push(updates(&lore, &options.data.join("laws-qa/update.jsonl"), &first, &delta)?);
    device(&lore, &folder, &first, &delta, &mut figures)?;
    print(figures)
}

/// The delta on a library, as a device has it: what applying costs, and that each way back and on gives the same state.
fn device(lore: &str, folder: &Path, base: &str, delta: &str, figures: &mut Vec<Value>) -> Result<(), String> {
    let kept = folder.join("library");
    match std::fs::remove_dir_all(&kept) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", kept.display()));
        }
        _ => {}
    }
    let kept = kept.display().to_string();
    let run = |command: &[&str]| {
        let place = ["--base", base, "--folder", &kept, "--allow-unsigned", "--json"];
        observed(lore, &[&["library"], command, &place].concat())
    };
    // The first opening hashes the base once for good; what follows does not.
    run(&["state"])?;
    let before = run(&["state"])?;
    let applied = run(&["apply", delta])?;
    let spent = applied.cpu_seconds.zip(before.cpu_seconds).map(|(with, without)| with - without);
    figures.push(figure("CPU seconds of applying, above those of opening", json!("well under 1"), json!(spent)));
    let memory = applied.anonymous_kib.zip(before.anonymous_kib).map(|(with, without)| with.saturating_sub(without));
    figures.push(figure("KiB of anonymous memory of applying, above that of opening", json!(64 << 10), json!(memory)));
    let back = run(&["rollback"])?;
    let again = run(&["apply", delta])?;
    let compacted = run(&["compact"])?;
    let after = run(&["state"])?;
    let same = back.value["state"] == before.value["state"]
        && again.value["state"] == applied.value["state"]
        && after.value["state"] == applied.value["state"];
    figures.push(figure("rollback, applying again and compacting lead to the same states", json!(true), json!(same)));
    figures.push(figure("CPU seconds of compacting", Value::Null, json!(compacted.cpu_seconds)));
    Ok(())
}

/// What a command printed, and what it took.
struct Observed {
    value: Value,
    cpu_seconds: Option<f64>,
    /// The most anonymous memory seen, looked at every millisecond.
    anonymous_kib: Option<u64>,
}

fn observed(program: &str, args: &[&str]) -> Result<Observed, String> {
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let started = children_seconds();
    let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut anonymous_kib = None;
    // What these commands print fits a pipe, so that waiting before reading cannot hang.
    let status = loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let kib =
            status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok());
        anonymous_kib = anonymous_kib.max(kib);
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let mut printed = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut printed).map_err(failed)?;
    }
    if !status.success() {
        return Err(format!("{program} {args:?}: {status}"));
    }
    let cpu_seconds = children_seconds().zip(started).map(|(after, before)| after - before);
    Ok(Observed { value: last_json(&printed)?, cpu_seconds, anonymous_kib })
}

fn parse(args: &[&str]) -> Result<Options, String> {
    let mut options = Options { data: root().join("../shared/data"), vectors: Vec::new() };
    let mut rest = args;
    while let [name, value, after @ ..] = rest {
        match *name {
            "--data" => options.data = PathBuf::from(value),
            "--vectors" => options.vectors.push((*value).to_owned()),
            _ => break,
        }
        rest = after;
    }
    if rest.is_empty() { Ok(options) } else { Err("accept library takes --data FOLDER and --vectors PACK".into()) }
}

/// Questions whose answer the new edition changed: the old article before the delta, the new one after.
fn updates(lore: &str, questions: &Path, first: &str, delta: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(questions).map_err(|error| format!("{}: {error}", questions.display()))?;
    let path = questions.display().to_string();
    let report = last_json(&capture(lore, &["diff", first, delta, "--questions", &path, "--json"])?)?;
    let mut missed = Vec::new();
    let (mut asked, mut before, mut after) = ([0, 0], 0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let question: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let found = report["found"].as_array().and_then(|all| all.iter().find(|f| f["query"] == question["query"]));
        // A document that the new edition brought has no old article.
        let wanted = |gold: &str| question[gold].as_array().is_some_and(|gold| !gold.is_empty());
        let has = |side: &str, gold: &str| {
            let places = found.and_then(|found| found[side].as_array());
            let gold = question[gold].as_array();
            places.zip(gold).is_some_and(|(places, gold)| gold.iter().any(|gold| places.contains(gold)))
        };
        let (old, new) = (has("old", "gold_v1"), has("new", "gold_v2"));
        asked[0] += u32::from(wanted("gold_v1"));
        asked[1] += u32::from(wanted("gold_v2"));
        before += u32::from(old);
        after += u32::from(new);
        if (wanted("gold_v1") && !old) || (wanted("gold_v2") && !new) {
            missed.push(question["qid"].clone());
        }
    }
    Ok(json!({
        "name": "update questions that find the old article before and the new one after, among ten",
        "target": { "before": asked[0], "after": asked[1] },
        "value": { "before": before, "after": after, "missed": missed },
    }))
}

fn figure(name: &str, target: Value, value: Value) -> Value {
    json!({ "name": name, "target": target, "value": value })
}

/// What a command gives, and the processor's seconds of it where the system tells them.
fn measured<T>(run: impl FnOnce() -> Result<T, String>) -> Result<(T, Option<f64>), String> {
    let before = children_seconds();
    let value = run()?;
    Ok((value, children_seconds().zip(before).map(|(after, before)| after - before)))
}

/// Processor seconds of all children that ended, on Linux: fields 16 and 17 of `/proc/self/stat`, in hundredths.
fn children_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

fn print(figures: Vec<Value>) -> Result<(), String> {
    println!("{:#}", json!({ "accept": "library", "machine": machine(), "date": date()?, "figures": figures }));
    Ok(())
}
