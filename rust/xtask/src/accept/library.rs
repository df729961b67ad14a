//! Updates by deltas on two editions of the laws corpus: the same knowledge as a fresh build, and what it costs; then what a
//! library survives and how fast it is searched.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::last_json;
use super::library_runs::{chain_cost, faults, fuzzing, scale};
use super::line::{Line, Step, add, missing, print};
use crate::process::{build_lore, capture, children_seconds, root, target};

pub(super) struct Options {
    data: PathBuf,
    /// Packs to copy vectors from; without one, each article of both editions is embedded.
    vectors: Vec<String>,
    /// The `lore` command; built first where none is named.
    lore: Option<String>,
    /// Minutes of fuzzing for each part; without it, the last run's figures are reported.
    pub fuzz: Option<String>,
    /// Sizes to run the bench at scale with; without it, the last runs' figures are reported.
    pub scale: Option<String>,
    /// Times that a process is killed, and rounds of changes under eight readers.
    pub times: String,
}

pub fn run(args: &[&str]) -> Result<(), String> {
    let options = parse(args)?;
    let mut lines = Vec::new();
    let laws = options.data.join("laws-finance");
    let folder = target().join("accept-library");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if laws.is_dir() {
        let lore = options.lore.clone().map_or_else(build_lore, Ok)?;
        let packs = Packs { lore, folder, laws };
        if let Err(reason) = packs.measure(&options, &mut lines) {
            missing(&mut lines, "the rest of what deltas of the laws corpus are held to", &reason);
        }
        chain_cost(&mut lines, &packs.file("v2"));
    } else {
        missing(&mut lines, "deltas of the laws corpus", "the corpus is not here");
    }
    faults(&mut lines, &options);
    scale(&mut lines, &options);
    fuzzing(&mut lines, &options);
    print(&lines, &json!({ "lorekit": env!("CARGO_PKG_VERSION") }))
}

fn parse(args: &[&str]) -> Result<Options, String> {
    let usage = "accept library takes --data FOLDER, --vectors PACK, --lore PROGRAM, --times N, --fuzz MINUTES and --scale N,N…";
    let data = root().join("../shared/data");
    let mut options =
        Options { data, vectors: Vec::new(), lore: None, fuzz: None, scale: None, times: "200".to_owned() };
    let mut rest = args;
    while let [name, value, after @ ..] = rest {
        let text = (*value).to_owned();
        match *name {
            "--data" => options.data = PathBuf::from(text),
            "--vectors" => options.vectors.push(text),
            "--lore" => options.lore = Some(text),
            "--fuzz" => options.fuzz = Some(text),
            "--scale" => options.scale = Some(text),
            "--times" => options.times = text,
            _ => break,
        }
        rest = after;
    }
    if rest.is_empty() { Ok(options) } else { Err(usage.into()) }
}

/// The corpus, and packs of it.
struct Packs {
    lore: String,
    folder: PathBuf,
    laws: PathBuf,
}

impl Packs {
    fn file(&self, name: &str) -> String {
        self.folder.join(format!("{name}.lorepack")).display().to_string()
    }

    fn source(&self, edition: &str) -> String {
        self.laws.join(edition).join("md").display().to_string()
    }

    fn lore(&self, args: &[&str]) -> Step {
        last_json(&capture(&self.lore, args)?)
    }

    fn measure(&self, options: &Options, lines: &mut Vec<Line>) -> Result<(), String> {
        let (first, second, delta) = (self.file("v1"), self.file("v2"), self.file("delta"));
        let built_first = self.build("v1", "1", options, lines)?;
        let built = self.build("v2", "2", options, lines)?;
        // Vectors of new articles come from the fresh build, so that the figures are those of the delta and not of the
        // embedder; which passages need one is counted before.
        let source = self.source("v2");
        let make = ["delta", "--from", &first, &source, "-o", &delta, "--reuse", &second, "--json"];
        let (report, seconds) = measured(|| self.lore(&make))?;
        let bytes = |value: &Value| value["file_bytes"].as_f64().unwrap_or(f64::NAN);
        let note = format!("{} of {} bytes; {report}", report["file_bytes"], built["file_bytes"]);
        add(lines, "bytes of the delta over those of the whole pack", "", json!(bytes(&report) / bytes(&built)), note);
        add(lines, "CPU seconds of making the delta, vectors at hand", "", json!(seconds), "");
        let same = report["state"] == built["state"] && report["state"] != built_first["state"];
        add(
            lines,
            "the delta's state, and so its live ids and texts, is that of the fresh build",
            "= true",
            json!(same),
            "",
        );

        let questions = options.data.join("laws-qa/questions.jsonl").display().to_string();
        self.rankings(&[&first, &delta, &second], &questions, "base and delta beside the fresh build", lines)?;
        let updates = Update::read(&options.data.join("laws-qa/update.jsonl"))?;
        self.ask(&["--pack", &second, "--json"], 1, "fresh build", &updates, lines)?;
        let compacted = self.device(&first, &delta, &updates, lines)?;
        self.rankings(&[&first, &delta, &compacted], &questions, "base and delta beside the compacted library", lines)
    }

    fn build(&self, edition: &str, version: &str, options: &Options, lines: &mut Vec<Line>) -> Step {
        let (source, pack) = (self.source(edition), self.file(edition));
        let mut build =
            vec!["build", &source, "-o", &pack, "--id", "laws-finance", "--pack-version", version, "--json"];
        options.vectors.iter().for_each(|pack| build.extend(["--reuse", pack.as_str()]));
        let (report, seconds) = measured(|| self.lore(&build))?;
        add(lines, format!("CPU seconds of building {edition} whole"), "", json!(seconds), report.to_string());
        Ok(report)
    }

    /// Whether a base with its delta ranks as one pack does.
    fn rankings(&self, packs: &[&str; 3], questions: &str, what: &str, lines: &mut Vec<Line>) -> Result<(), String> {
        let [base, delta, whole] = packs;
        let ranked = self.lore(&["diff", "--from", base, delta, whole, "--questions", questions, "--json"])?;
        let all = format!("= {}", ranked["questions"]);
        add(
            lines,
            format!("{what}: questions with the same ranking by words"),
            &all,
            ranked["same_lexical_ranking"].clone(),
            "",
        );
        let exact = ranked["same_exact_top_10"].clone();
        add(lines, format!("{what}: questions with the same ten nearest by exact scan"), &all, exact, "");
        let overlap = ranked["overlap_at_10_through_the_index"].clone();
        add(lines, format!("{what}: overlap at 10 through the index"), ">= 0.99", overlap, "");
        Ok(())
    }

    /// How many update questions find their article of an edition among ten, in a pack or a library.
    fn ask(
        &self,
        place: &[&str],
        edition: usize,
        when: &str,
        updates: &[Update],
        lines: &mut Vec<Line>,
    ) -> Result<(), String> {
        let (mut asked, mut missed) = (0u64, Vec::new());
        for update in updates.iter().filter(|update| !update.gold[edition].is_empty()) {
            let found = self.lore(&[&["search", &update.query, "--top-k", "10"], place].concat())?;
            let passages = found["passages"].as_array().ok_or("lore search named no passages")?;
            let hit = passages.iter().any(|passage| update.gold[edition].contains(&passage["place"]));
            asked += 1;
            missed.extend((!hit).then(|| update.id.clone()));
        }
        let which = ["old", "new"][edition];
        let figure = format!("{when}: update questions that find the {which} article among ten");
        let note = format!("not found: {}", json!(missed));
        add(lines, figure, &format!("= {asked}"), json!(asked - missed.len() as u64), note);
        Ok(())
    }

    /// The delta on a library, as a device has it: what applying costs, what is found before and after, and that each way back
    /// and on gives the same state. Gives the base that the compaction made.
    fn device(&self, base: &str, delta: &str, updates: &[Update], lines: &mut Vec<Line>) -> Result<String, String> {
        let kept = self.folder.join("library");
        match std::fs::remove_dir_all(&kept) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", kept.display()));
            }
            _ => {}
        }
        let library = kept.display().to_string();
        let place = ["--base", base, "--library", &library, "--allow-unsigned", "--json"];
        let run = |command: &[&str]| observed(&self.lore, &[&["library"], command, &place].concat());
        // The first opening hashes the base once for good; what follows does not.
        run(&["state"])?;
        let before = run(&["state"])?;
        self.ask(&place, 0, "before the delta", updates, lines)?;
        let applied = run(&["apply", delta])?;
        let spent = applied.cpu_seconds.zip(before.cpu_seconds).map(|(with, without)| with - without);
        let note = format!("{:?} with opening, {:?} for opening alone", applied.cpu_seconds, before.cpu_seconds);
        add(lines, "CPU seconds of applying the delta, above those of opening", "<= 0.5", json!(spent), note);
        let memory =
            applied.anonymous_kib.zip(before.anonymous_kib).map(|(with, without)| with.saturating_sub(without));
        let mib = memory.map(|kib| kib as f64 / 1024.0);
        add(lines, "MiB of anonymous memory of applying, above that of opening", "<= 64", json!(mib), "");
        self.ask(&place, 1, "after the delta", updates, lines)?;
        let back = run(&["rollback"])?;
        let same = back.value["state"] == before.value["state"];
        add(lines, "after a rollback the state is the one before", "= true", json!(same), "");
        self.ask(&place, 0, "after a rollback", updates, lines)?;
        let again = run(&["apply", delta])?;
        let compacted = run(&["compact"])?;
        let after = run(&["state"])?;
        let same = [&again, &after].into_iter().all(|later| later.value["state"] == applied.value["state"]);
        add(lines, "applying again and compacting lead to the state after the delta", "= true", json!(same), "");
        add(lines, "CPU seconds of compacting", "", json!(compacted.cpu_seconds), "");
        self.ask(&place, 1, "applied again and compacted", updates, lines)?;
        run(&["verify"])?;
        let names = std::fs::read_dir(&kept).map_err(|error| error.to_string())?.filter_map(Result::ok);
        // The base is numbered last; the delta before it may be kept for a rollback.
        let packs =
            names.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "lorepack"));
        packs.max().map(|path| path.display().to_string()).ok_or_else(|| "the compaction left no pack".into())
    }
}

/// A question whose answer the new edition changed.
struct Update {
    id: Value,
    query: String,
    /// Its articles in the old edition and in the new one; a document that is new has no old article.
    gold: [Vec<Value>; 2],
}

impl Update {
    fn read(file: &Path) -> Result<Vec<Self>, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let question = |line: &str| {
            let of: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let query = of["query"].as_str().unwrap_or_default().to_owned();
            let gold = ["gold_v1", "gold_v2"].map(|name| of[name].as_array().cloned().unwrap_or_default());
            Ok(Self { id: of["qid"].clone(), query, gold })
        };
        text.lines().filter(|line| !line.trim().is_empty()).map(question).collect()
    }
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

/// What a command gives, and the processor's seconds of it where the system tells them.
fn measured<T>(run: impl FnOnce() -> Result<T, String>) -> Result<(T, Option<f64>), String> {
    let before = children_seconds();
    let value = run()?;
    Ok((value, children_seconds().zip(before).map(|(after, before)| after - before)))
}
