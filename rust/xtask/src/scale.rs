//! `cargo xtask bench-scale`: packs of many passages, beside other vector indexes on the same vectors.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::accept::{date, last_json, machine};
use crate::process::{capture, root, step, target};

/// From here on only LoreKit and usearch alone: the others take gigabytes more and say nothing new.
const ALONE_FROM: u64 = 1_000_000;
const PEERS: [&str; 3] = ["hnswlib", "faiss", "sqlite-vec"];

struct Options {
    rows: Vec<u64>,
    dims: Vec<u64>,
    characters: String,
    python: Option<String>,
    json: bool,
}

pub fn run(args: &[&str]) -> Result<(), String> {
    let options = parse(args)?;
    let bench = Bench { program: build()?, python: python(&options)?, folder: target().join("bench-scale") };
    for &rows in &options.rows {
        for &dims in &options.dims {
            let smallest = options.dims.iter().min() == Some(&dims);
            if rows < ALONE_FROM || smallest {
                let report = bench.size(rows, dims, &options.characters)?;
                remember(&format!("{rows} passages of {dims} dimensions"), report)?;
            }
        }
    }
    let report = report().ok_or("no report was written")?;
    if options.json {
        println!("{report:#}")
    } else {
        println!("{}", markdown(&report))
    }
    Ok(())
}

fn parse(args: &[&str]) -> Result<Options, String> {
    let usage = "bench-scale takes --rows N,N… --dims N,N… --characters N, --python PROGRAM with faiss, hnswlib and sqlite_vec, \
                 and --json";
    let numbers =
        |text: &str| text.split(',').map(|n| n.parse().map_err(|_| usage.to_owned())).collect::<Result<Vec<u64>, _>>();
    let (rows, dims, characters) = (vec![10_000, 100_000], vec![384, 768], "60".to_owned());
    let mut options = Options { rows, dims, characters, python: None, json: false };
    let mut rest = args.iter();
    while let Some(&name) = rest.next() {
        let mut value = || rest.next().copied().ok_or(usage);
        match name {
            "--rows" => options.rows = numbers(value()?)?,
            "--dims" => options.dims = numbers(value()?)?,
            "--characters" => options.characters = value()?.to_owned(),
            "--python" => options.python = Some(value()?.to_owned()),
            "--json" => options.json = true,
            _ => return Err(usage.into()),
        }
    }
    Ok(options)
}

/// Built as the tests are, in which all that counts is optimised.
fn build() -> Result<String, String> {
    step("building the bench", "cargo", &["build", "--locked", "-p", "lorekit-store", "--example", "scale"])?;
    Ok(target().join("debug/examples/scale").display().to_string())
}

/// An interpreter with the other indexes: the one that was named, or one of our own that is made once.
fn python(options: &Options) -> Result<String, String> {
    if let Some(python) = &options.python {
        return Ok(python.clone());
    }
    let (home, wanted) = (target().join("scale-python"), root().join("scripts/reference/requirements-scale.txt"));
    let (python, ready) = (home.join("bin/python").display().to_string(), home.join("ready.txt"));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    if text(&ready) != text(&wanted) {
        step("making a Python environment", "python3", &["-m", "venv", &home.display().to_string()])?;
        let packages = wanted.display().to_string();
        step("installing the other indexes", &python, &["-m", "pip", "install", "--quiet", "-r", &packages])?;
        fs::copy(&wanted, &ready).map_err(|error| format!("{}: {error}", ready.display()))?;
    }
    Ok(python)
}

struct Bench {
    program: String,
    python: String,
    folder: PathBuf,
}

impl Bench {
    /// All steps of one size. What they write is removed as soon as no step needs it.
    fn size(&self, rows: u64, dims: u64, characters: &str) -> Result<Value, String> {
        let folder = self.folder.join(format!("{rows}x{dims}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let place = folder.display().to_string();
        let ours = |name: &str, more: &[&str]| {
            eprintln!("{rows} x {dims}: {name} {}", more.join(" "));
            last_json(&capture(&self.program, &[&[name, &place], more].concat())?)
        };
        let remove = |names: &[&str]| names.iter().for_each(|name| drop(fs::remove_file(folder.join(name))));
        let queries = if rows < ALONE_FROM { "200" } else { "100" };
        let mut report = Map::new();
        report.insert("data".into(), {
            let numbers = [rows.to_string(), dims.to_string()];
            ours("data", &[&numbers[0], &numbers[1], queries])?
        });
        let build = ours("build", &[characters])?;
        let expansion = build["index"]["expansion_search"].as_u64().filter(|&n| n > 0).unwrap_or(128).to_string();
        let bare_build = ours("bare-build", &[&expansion])?;
        let open = || -> Result<Value, String> {
            let mut opened = ours("search", &[])?;
            opened["race"] = ours("race", &[&expansion])?;
            Ok(opened)
        };
        report.insert("lorekit".into(), json!({ "build": build, "open": open()? }));
        let bare = json!({ "build": bare_build, "open": ours("bare-search", &[&expansion])? });
        report.insert("usearch".into(), bare);
        for engine in PEERS.into_iter().filter(|_| rows < ALONE_FROM) {
            report.insert(engine.into(), self.peer(engine, &place, &expansion)?);
            remove(&["hnswlib.index", "faiss.index", "sqlite-vec.db"]);
        }
        let delta = ours("delta", &[characters])?;
        remove(&["vectors.f32"]);
        let applied = ours("apply", &[])?;
        let chain = open()?;
        remove(&["delta.lorepack"]);
        let compacted = ours("compact", &[])?;
        let steps =
            [("delta", delta), ("apply", applied), ("chain", chain), ("compact", compacted), ("compacted", open()?)];
        for (name, value) in steps {
            report["lorekit"][name] = value;
        }
        let _ = fs::remove_dir_all(&folder);
        report.insert("machine".into(), machine());
        report.insert("date".into(), json!(date()?));
        report.insert("versions".into(), self.versions()?);
        Ok(Value::Object(report))
    }

    fn peer(&self, engine: &str, place: &str, expansion: &str) -> Result<Value, String> {
        let script = root().join("scripts/reference/bench_scale.py").display().to_string();
        let run = |name: &str| {
            eprintln!("{engine}: {name}");
            last_json(&capture(&self.python, &[&script, name, engine, place, expansion])?)
        };
        Ok(json!({ "build": run("build")?, "open": run("search")? }))
    }

    fn versions(&self) -> Result<Value, String> {
        let lock = fs::read_to_string(root().join("Cargo.lock")).map_err(|error| error.to_string())?;
        let usearch = lock.split_once("name = \"usearch\"\nversion = \"").and_then(|(_, rest)| rest.split('"').next());
        let packages = capture(&self.python, &["-m", "pip", "freeze"])?;
        let mut versions = json!({ "usearch": usearch });
        for (name, version) in packages.lines().filter_map(|line| line.split_once("==")) {
            if name.starts_with("faiss") || name == "apsw" || PEERS.contains(&name) {
                versions[name] = json!(version);
            }
        }
        Ok(versions)
    }
}

/// Where reports of all sizes are kept, so that a size can be measured alone.
fn file() -> PathBuf {
    target().join("bench-scale/report.json")
}

/// What was measured last, by size; none if nothing was.
pub fn report() -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(file()).ok()?).ok()
}

fn remember(size: &str, of: Value) -> Result<(), String> {
    let mut all = report().unwrap_or_else(|| json!({}));
    all[size] = of;
    fs::write(file(), format!("{all:#}\n")).map_err(|error| format!("{}: {error}", file().display()))
}

/// Median search of one thread through the library over that of usearch alone, for each size.
pub fn ratios(report: &Value) -> Vec<(String, Option<f64>)> {
    let sizes = report.as_object().into_iter().flatten();
    sizes.map(|(size, of)| (size.clone(), ratio(&of["lorekit"]["open"], &of["usearch"]["open"]))).collect()
}

/// In turns where they were raced; the others were measured one after the other.
fn ratio(ours: &Value, theirs: &Value) -> Option<f64> {
    if let Some(raced) = ours["race"]["ratio"].as_f64() {
        return Some(raced);
    }
    let median = |of: &Value| of["search"]["threads_1"]["p50_ms"].as_f64();
    median(ours).zip(median(theirs)).map(|(ours, theirs)| ours / theirs)
}

/// A table for each size.
fn markdown(report: &Value) -> String {
    let mut text = String::new();
    for (size, of) in report.as_object().into_iter().flatten() {
        let machine = format!("{}, {} cores", of["machine"]["cpu"].as_str().unwrap_or("?"), of["machine"]["cores"]);
        let characters = &of["lorekit"]["build"]["characters"];
        text += &format!(
            "\n### {size}\n\n{machine}, {}; passages of {characters} characters; versions {}\n\n",
            of["date"].as_str().unwrap_or(""),
            of["versions"]
        );
        text += "| | build s | file MB | open ms | mapped / anonymous MiB | p50 / p99 ms, 1 thread | 2 threads | recall@10 | p50 over usearch |\n";
        text += "|---|---|---|---|---|---|---|---|---|\n";
        let bare = &of["usearch"]["open"];
        let mut row = |name: &str, build: &Value, open: &Value| {
            let text_of = |value: &Value| value.as_f64().map_or("".into(), |x| format!("{x}"));
            let threads = |n: u32| {
                let of = &open["search"][format!("threads_{n}")];
                format!("{} / {}", text_of(&of["p50_ms"]), text_of(&of["p99_ms"]))
            };
            let scaled = |value: &Value, by: f64| value.as_f64().map_or(String::new(), |x| format!("{:.1}", x * by));
            // An interpreter's own memory is taken off.
            let memory = |name: &str| {
                let own = open["memory_before"][name].as_f64().unwrap_or(0.0);
                open["memory_searched"][name].as_f64().map_or(String::new(), |mib| format!("{:.1}", mib - own))
            };
            text += &format!(
                "| {name} | {} | {} | {} | {} / {} | {} | {} | {} | {} |\n",
                scaled(&build["seconds"]["wall"], 1.0),
                scaled(&build["file_bytes"], 1e-6),
                scaled(&open["open_seconds"]["wall"], 1e3),
                memory("mapped_mib"),
                memory("anonymous_mib"),
                threads(1),
                threads(2),
                text_of(&open["search"]["recall_at_10"]),
                ratio(open, bare).map_or(String::new(), |ratio| format!("{ratio:.2}")),
            );
        };
        let ours = &of["lorekit"];
        row("LoreKit, one base", &ours["build"], &ours["open"]);
        row("LoreKit, base and delta", &ours["delta"], &ours["chain"]);
        row("LoreKit, compacted", &ours["compact"], &ours["compacted"]);
        row("usearch alone", &of["usearch"]["build"], bare);
        for engine in PEERS.into_iter().filter(|engine| !of[*engine].is_null()) {
            row(engine, &of[engine]["build"], &of[engine]["open"]);
        }
        let seconds = |of: &Value| format!("{} s ({} s CPU)", of["seconds"]["wall"], of["seconds"]["cpu"]);
        text += &format!(
            "\nFirst opening, hashing all: {} ms. Delta of {} passages: built in {}, {} bytes, applied in {}. Compaction: {}.\n",
            ours["open"]["first_open_seconds"]["wall"].as_f64().unwrap_or(f64::NAN) * 1e3,
            ours["delta"]["passages"],
            seconds(&ours["delta"]),
            ours["delta"]["file_bytes"],
            seconds(&ours["apply"]),
            seconds(&ours["compact"]),
        );
    }
    text
}
