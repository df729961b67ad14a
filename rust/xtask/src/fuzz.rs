//! `cargo xtask fuzz`: coverage-guided fuzzing of each part that reads bytes from elsewhere, by libFuzzer on a stable compiler.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::accept::{date, machine};
use crate::process::{capture, children_seconds, root, step_in, target};

/// As `PARTS` in `rust/fuzz/src/cases/mod.rs`.
const PARTS: [&str; 10] =
    ["header", "manifest", "signatures", "passages", "vectors", "withdrawals", "notices", "sealed", "delta", "record"];

/// Longest input, and so the largest file of the corpus.
const MAX_INPUT: usize = 4096;
/// What the checkout keeps of one part's corpus.
const MAX_KEPT_BYTES: u64 = 28 << 10;
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// LLVM's coverage counters, which a stable compiler can be asked for.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

struct Options {
    minutes: f64,
    jobs: usize,
    keep: bool,
    parts: Vec<&'static str>,
}

pub fn run(args: &[&str]) -> Result<(), String> {
    let options = parse(args)?;
    let program = build()?;
    let queue = Mutex::new(options.parts.iter().copied());
    let next = || queue.lock().ok()?.next();
    let figures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..options.jobs {
            threads.spawn(|| {
                while let Some(part) = next() {
                    let figure =
                        fuzz(&program, part, &options).unwrap_or_else(|error| json!({ "part": part, "failed": error }));
                    remember(part, &figure);
                    if let Ok(mut figures) = figures.lock() {
                        figures.push(figure);
                    }
                }
            });
        }
    });
    let mut figures = figures.into_inner().map_err(|_| "a thread of the fuzzer panicked")?;
    figures.sort_by_key(|figure| options.parts.iter().position(|part| figure["part"] == *part));
    let found = figures.iter().filter(|figure| figure["crashes"] != json!(0)).count();
    println!("{:#}", json!({ "fuzz": figures, "machine": machine(), "date": date()? }));
    if found == 0 { Ok(()) } else { Err(format!("{found} parts ended with a find or an error")) }
}

/// What came out of each part, all runs since its last find put together.
fn file() -> PathBuf {
    target().join("fuzz/report.json")
}

/// What was found last, by part; none if nothing ran.
pub fn report() -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(file()).ok()?).ok()
}

/// Adds a run to the report. One that another thread overwrites is only run again.
fn remember(part: &str, figure: &Value) {
    let mut all = report().unwrap_or_else(|| json!({}));
    let mut figure = figure.clone();
    let sound = |of: &Value| of["crashes"] == json!(0);
    if sound(&all[part]) && sound(&figure) {
        for name in ["minutes", "cpu_minutes", "cases"] {
            let sum = all[part][name].as_f64().zip(figure[name].as_f64()).map(|(before, now)| before + now);
            figure[name] = json!(sum);
        }
    }
    figure["date"] = json!(date().ok());
    all[part] = figure;
    if let Err(error) = fs::write(file(), format!("{all:#}\n")) {
        eprintln!("{}: {error}", file().display());
    }
}

fn parse(args: &[&str]) -> Result<Options, String> {
    let mut options = Options { minutes: 10.0, jobs: 1, keep: false, parts: Vec::new() };
    let usage = || format!("fuzz takes --minutes N, --jobs N, --keep and parts: {}", PARTS.join(", "));
    let mut rest = args.iter();
    while let Some(&arg) = rest.next() {
        match arg {
            "--keep" => options.keep = true,
            "--minutes" => options.minutes = rest.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?,
            "--jobs" => options.jobs = rest.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?,
            name => options.parts.push(PARTS.into_iter().find(|part| *part == name).ok_or_else(usage)?),
        }
    }
    if options.parts.is_empty() {
        options.parts = PARTS.to_vec();
    }
    Ok(options)
}

/// Builds the fuzzer. Coverage flags are for the target only, so that build scripts do not need the fuzzer's runtime.
fn build() -> Result<PathBuf, String> {
    let rustc = capture("rustc", &["-vV"])?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?;
    let folder = target().join("fuzz");
    let manifest = root().join("rust/fuzz/Cargo.toml").display().to_string();
    let args = ["build", "--release", "--locked", "--manifest-path", &manifest, "--target", host];
    let c_flags = format!("CFLAGS_{}", host.replace('-', "_"));
    let places = [
        ("RUSTFLAGS", PathBuf::from(COVERAGE)),
        // SQLite's branches are counted as well, see rust/fuzz/src/c_coverage.c.
        (c_flags.as_str(), PathBuf::from("-fsanitize-coverage=trace-pc")),
        ("CARGO_TARGET_DIR", folder.clone()),
    ];
    step_in("building the fuzzer", "cargo", &args, &places)?;
    Ok(folder.join(host).join("release/lorekit-fuzz"))
}

fn tree(part: &str) -> PathBuf {
    root().join("rust/fuzz/corpus").join(part)
}

fn made(folder: PathBuf) -> Result<PathBuf, String> {
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// The fuzzer, for one part.
fn command(program: &Path, part: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LOREKIT_FUZZ_PART", part).current_dir(root());
    // Cases are files; in memory they cost a tenth.
    if std::env::var_os("TMPDIR").is_none() && Path::new("/dev/shm").is_dir() {
        command.env("TMPDIR", "/dev/shm");
    }
    command
}

fn fuzz(program: &Path, part: &str, options: &Options) -> Result<Value, String> {
    let folder = target().join("fuzz");
    let (work, kept) = (made(folder.join("corpus").join(part))?, made(tree(part))?);
    let finds = made(folder.join("finds").join(part))?;
    let seconds = (options.minutes * 60.0).ceil();
    let (started, cpu) = (Instant::now(), children_seconds());
    let mut child = command(program, part)
        .env("LOREKIT_FUZZ_SEEDS", &work)
        .args([&work, &kept])
        .args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_INPUT}")])
        .args(["-print_final_stats=1", "-timeout=60", "-rss_limit_mb=2048", "-len_control=0"])
        .arg(format!("-artifact_prefix={}/", finds.display()))
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut log = Vec::new();
    let mut told = Instant::now();
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
        let counted = line.contains(" cov: ");
        if counted && told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            eprintln!("{part}: {:.0} of {seconds} s {}", started.elapsed().as_secs_f64(), line.trim());
        }
        if !counted || log.is_empty() || line.contains("DONE") {
            log.push(line);
        }
    }
    let status = child.wait().map_err(|error| format!("{}: {error}", program.display()))?;
    let number =
        |line: &str, name: &str| -> Option<u64> { line.split_once(name)?.1.split_whitespace().next()?.parse().ok() };
    let last = |name: &str| log.iter().rev().find_map(|line| number(line, name));
    if !status.success() {
        log.iter().filter(|line| !line.contains(" cov: ")).for_each(|line| eprintln!("{part}: {line}"));
    }
    let crashes = fs::read_dir(&finds).map_err(|error| error.to_string())?.count();
    let cases = last("stat::number_of_executed_units:");
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    // With several at once nobody can tell whose they were.
    let cpu = children_seconds().zip(cpu).map(|(after, before)| after - before).filter(|_| options.jobs == 1);
    if status.success() && options.keep {
        keep(program, part, &work)?;
    }
    Ok(json!({
        "part": part,
        "minutes": (minutes * 10.0).round() / 10.0,
        "cpu_minutes": cpu.map(|seconds| (seconds / 6.0).round() / 10.0),
        "cases": cases,
        "cases_per_second": cases.map(|n| (n as f64 / minutes / 60.0 * 10.0).round() / 10.0),
        "edges": last(" cov: "),
        "features": last(" ft: "),
        "peak_mib": last("stat::peak_rss_mb:"),
        "corpus": fs::read_dir(&work).map_err(|error| error.to_string())?.count(),
        "crashes": if status.success() { crashes } else { crashes.max(1) },
        "finds": (crashes > 0).then(|| finds.display().to_string()),
    }))
}

/// Renews what the checkout keeps: the smallest inputs that reach what the whole corpus reaches, as many as there is room for.
fn keep(program: &Path, part: &str, work: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("keeping the corpus of {part}: {error}");
    let few = target().join("fuzz").join("merged").join(part);
    let _ = fs::remove_dir_all(&few);
    let (few, kept) = (made(few)?, tree(part));
    let merge = command(program, part).arg("-merge=1").args([&few, work, &kept]).stderr(Stdio::null()).status();
    if !merge.map_err(failed)?.success() {
        return Err(format!("the corpus of {part} could not be merged"));
    }
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&few).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        inputs.push((entry.metadata().map_err(failed)?.len(), entry.file_name(), entry.path()));
    }
    inputs.sort();
    fs::remove_dir_all(&kept).map_err(failed)?;
    fs::create_dir_all(&kept).map_err(failed)?;
    let mut room = MAX_KEPT_BYTES;
    for (bytes, name, path) in inputs {
        let Some(left) = room.checked_sub(bytes) else { break };
        room = left;
        fs::copy(path, kept.join(name)).map_err(failed)?;
    }
    Ok(())
}
