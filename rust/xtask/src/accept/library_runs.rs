//! The longer runs of `accept library`: faults at each file operation, kills, readers under changes, searches over a chain, the
//! bench at scale, fuzzing.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::library::Options;
use super::line::{Line, Step, add, missing};
use crate::process::{capture, root};

/// Search over a base and thirty deltas beside one pack, and through the library beside usearch alone.
pub(super) fn chain_cost(lines: &mut Vec<Line>, pack: &str) {
    let run = ["run", "--locked", "-p", "lorekit-store", "--example", "chain_cost", "--", pack, "30", "20", "--json"];
    let races: Step = capture("cargo", &run)
        .and_then(|printed| serde_json::from_str(&printed).map_err(|error| format!("not JSON: {error}")));
    let races = match races {
        Ok(races) => races,
        Err(reason) => return missing(lines, "search over a base and thirty deltas", &reason),
    };
    for race in races.as_array().into_iter().flatten() {
        let name = race["name"].as_str().unwrap_or_default();
        let median = |who: &str| {
            let medians = race["medians"].as_array()?.iter();
            medians.filter(|median| median[0] == who).find_map(|median| median[1].as_f64())
        };
        let note = race["medians"].to_string();
        let ratio = |over: &str, under: &str| median(over).zip(median(under)).map(|(over, under)| over / under);
        if let Some(ratio) = ratio("chain", "one pack") {
            add(lines, format!("{name}: base and thirty deltas over one pack"), "<= 1.3", json!(ratio), note.clone());
        }
        if let Some(ratio) = ratio("one pack", "usearch") {
            add(lines, format!("{name}: library over usearch alone"), "<= 1.2", json!(ratio), note);
        }
    }
}

/// A file of the store's tests, asked for more than it does each day.
fn test(file: &str, name: &str, asked: &[(&str, &str)]) -> Result<String, String> {
    eprintln!("\n== {name}");
    let output = Command::new("cargo")
        .args(["test", "--locked", "-p", "lorekit-store", "--test", file, "--", "--nocapture", "--exact", name])
        .envs(asked.iter().copied())
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{name} failed:\n{said}")) }
}

/// The numbers in the line that has these words.
fn numbers(said: &str, words: &str) -> Vec<u64> {
    let line = said.lines().find(|line| line.contains(words)).unwrap_or_default();
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

pub(super) fn faults(lines: &mut Vec<Line>, options: &Options) {
    let times = options.times.as_str();
    let bound = format!(">= {times}");
    let runs = [
        (
            "library_faults",
            "after_a_fault_at_each_operation_the_library_is_the_old_or_the_new_generation",
            ("LOREKIT_ALL_FAULTS", "1"),
            "fault points",
            "fault points after which the library is the old or the new generation",
            ">= 1",
        ),
        (
            "library_kills",
            "a_process_killed_at_any_moment_leaves_a_library_that_opens",
            ("LOREKIT_KILLS", times),
            " kills, ",
            "kills after which the library is whole",
            &bound,
        ),
        (
            "library",
            "readers_find_whole_generations_while_the_library_changes",
            ("LOREKIT_ROUNDS", times),
            "searches by eight readers",
            "searches by eight readers while the library changes, none with an error",
            ">= 1",
        ),
    ];
    for (file, name, asked, words, figure, target) in runs {
        match test(file, name, &[asked]) {
            Ok(said) => {
                let found = numbers(&said, words);
                let line = said.lines().find(|line| line.contains(words)).unwrap_or_default();
                add(lines, figure, target, json!(found.first()), format!("{line}; {}={}", asked.0, asked.1));
            }
            Err(reason) => missing(lines, figure, &reason),
        }
    }
}

/// The bench at scale: run now where sizes are named, else what was measured last.
pub(super) fn scale(lines: &mut Vec<Line>, options: &Options) {
    if let Some(rows) = &options.scale
        && let Err(reason) = crate::scale::run(&["--rows", rows])
    {
        return missing(lines, "the bench at scale", &reason);
    }
    let Some(report) = crate::scale::report() else {
        return missing(lines, "the bench at scale", "run cargo xtask bench-scale first, or ask with --scale");
    };
    for (size, ratio) in crate::scale::ratios(&report) {
        let of = &report[&size];
        let ours = &of["lorekit"]["open"]["search"];
        let note = format!("recall at 10 {}, as of {}", ours["recall_at_10"], of["date"]);
        add(
            lines,
            format!("{size}: median search through the library over usearch alone"),
            "<= 1.2",
            json!(ratio),
            note,
        );
    }
}

/// Fuzzing: run now where minutes are named, else what was found last.
pub(super) fn fuzzing(lines: &mut Vec<Line>, options: &Options) {
    if let Some(minutes) = &options.fuzz
        && let Err(reason) = crate::fuzz::run(&["--minutes", minutes])
    {
        return missing(lines, "fuzzing", &reason);
    }
    let Some(Value::Object(report)) = crate::fuzz::report() else {
        return missing(lines, "fuzzing", "run cargo xtask fuzz first, or ask with --fuzz");
    };
    for (part, of) in report {
        let note =
            format!("{} cases, {} edges, found: {}, as of {}", of["cases"], of["edges"], of["crashes"], of["date"]);
        add(
            lines,
            format!("minutes of fuzzing of {part} since it found something"),
            ">= 10",
            of["minutes"].clone(),
            note,
        );
    }
}
