//! `cargo xtask accept speed`: every figure that speed is held against, with target, value and machine, one a line.
//!
//! What a step measured is kept in a folder of the target directory, so that a run that was interrupted goes on;
//! `--fresh` begins anew. The steps run one after the other, since they share the processor.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use super::last_json;
use super::line::{Line, Step, add, missing, print};
use crate::process::{capture, root, step, target};

const MODELS: [(&str, &str); 3] =
    [("qwen", "qwen2.5-coder-0.5b-instruct"), ("smollm2", "smollm2-135m-instruct"), ("gemma", "gemma3-270m")];
const EMBEDDER: &str = "embeddinggemma-300m";
/// Passages of a question, as prompt tokens, when no pack is at hand to ask.
const PROMPT: u64 = 900;

struct Options {
    quick: bool,
    fresh: bool,
    /// Shared data: the laws corpus and its questions.
    data: PathBuf,
    pack: Option<PathBuf>,
    python: Option<String>,
    /// Where built programs lie; they are built first where none is named.
    programs: Option<PathBuf>,
    profile: String,
    /// Folder of f32 distributions that `scripts/kl.py` wrote.
    kl: Option<PathBuf>,
    only: Vec<String>,
    threads: String,
}

fn options(args: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        quick: false,
        fresh: false,
        data: root().join("../shared/data"),
        pack: None,
        python: None,
        programs: None,
        profile: "release".into(),
        kl: None,
        only: Vec::new(),
        threads: "2".into(),
    };
    let mut rest = args.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().map(|v| (*v).to_owned()).ok_or(format!("{argument} needs a value"));
        match *argument {
            "--quick" => options.quick = true,
            "--fresh" => options.fresh = true,
            "--data" => options.data = value()?.into(),
            "--pack" => options.pack = Some(value()?.into()),
            "--python" => options.python = Some(value()?),
            "--programs" => options.programs = Some(value()?.into()),
            "--profile" => options.profile = value()?,
            "--kl" => options.kl = Some(value()?.into()),
            "--threads" => options.threads = value()?,
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            _ => {
                return Err("accept speed takes --quick --fresh --data DIR --pack FILE --python PROGRAM --programs DIR \
                            --profile NAME --kl DIR --threads N --only llama,question,embedding,building,drafting,kl,bench"
                    .into());
            }
        }
    }
    Ok(options)
}

pub(super) fn run(args: &[&str]) -> Result<(), String> {
    let options = options(args)?;
    let programs = match &options.programs {
        Some(folder) => folder.clone(),
        None => build(&options.profile)?,
    };
    let folder = target().join(if options.quick { "accept-speed-quick" } else { "accept-speed" });
    if options.fresh {
        // What is not there need not be removed.
        let _ = std::fs::remove_dir_all(&folder);
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let run = Run { options, programs, folder };
    let mut lines = Vec::new();
    let question = run.step("question", || run.question());
    let prompt = question.as_ref().ok().and_then(|q| q["question"]["cold"]["prompt_tokens"].as_u64()).unwrap_or(PROMPT);
    let llama = run.step("llama", || run.llama(prompt));
    against_llama(&mut lines, &llama);
    first_tokens(&mut lines, &question, &llama);
    drafting(&mut lines, &run.step("drafting", || run.drafting()));
    embedding(&mut lines, &run.step("embedding", || run.embedding()));
    building(&mut lines, &run.step("building", || run.building()));
    for (short, name) in MODELS {
        divergence(&mut lines, short, &run.step(&format!("kl-{short}"), || run.divergence(name)));
        let bench = run.step(&format!("bench-{short}"), || run.bench(name));
        reported(&mut lines, short, &bench);
    }
    let versions = match &llama {
        Ok(report) => report["versions"].clone(),
        Err(_) => json!({ "lorekit": env!("CARGO_PKG_VERSION") }),
    };
    print(&lines, &versions)
}

/// Builds the command and the examples, all in one go so that they share what they are built from.
fn build(profile: &str) -> Result<PathBuf, String> {
    let mut args = vec!["build", "--locked", "--workspace", "--profile", profile, "--bin", "lore"];
    for example in ["kl", "embed_f32", "drafting"] {
        args.extend(["--example", example]);
    }
    step("building the programs (the first time takes some minutes)", "cargo", &args)?;
    Ok(target().join(if profile == "dev" { "debug" } else { profile }))
}

struct Run {
    options: Options,
    programs: PathBuf,
    folder: PathBuf,
}

impl Run {
    /// The step's result from an earlier run, or measured now and kept.
    fn step(&self, name: &str, work: impl FnOnce() -> Step) -> Step {
        let file = self.folder.join(format!("{name}.json"));
        if let Ok(text) = std::fs::read_to_string(&file)
            && let Ok(value) = serde_json::from_str(&text)
        {
            eprintln!("{name}: from {}", file.display());
            return Ok(value);
        }
        let family = name.split('-').next().unwrap_or(name);
        if !self.options.only.is_empty() && !self.options.only.iter().any(|only| only == name || only == family) {
            return Err("left out".into());
        }
        let started = Instant::now();
        let outcome = work();
        match &outcome {
            Ok(value) => {
                eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
                // Written beside and renamed, so that half a file is never taken for a result.
                let part = file.with_extension("part");
                std::fs::write(&part, format!("{value:#}\n"))
                    .and_then(|()| std::fs::rename(&part, &file))
                    .map_err(|error| format!("{}: {error}", file.display()))?;
            }
            Err(reason) => eprintln!("{name}: {reason}"),
        }
        outcome
    }

    fn program(&self, name: &str) -> String {
        self.programs.join(name).display().to_string()
    }

    fn lore(&self, args: &[&str]) -> Step {
        last_json(&capture(&self.program("lore"), args)?)
    }

    fn pack(&self) -> Result<String, String> {
        let own = target().join("laws-finance-v2.lorepack");
        let pack = self.options.pack.clone().unwrap_or(own);
        if pack.is_file() {
            return Ok(pack.display().to_string());
        }
        Err("no pack of the laws: name one with --pack, or run accept main-job first".into())
    }

    fn repeats(&self, full: usize) -> String {
        format!("--repeats={}", if self.options.quick { 1 } else { full })
    }

    fn question(&self) -> Step {
        let pack = self.pack()?;
        let threads = format!("--threads={}", self.options.threads);
        self.lore(&[
            "bench",
            "--json",
            "--offline",
            "--only=question,search",
            &threads,
            &self.repeats(3),
            "--pack",
            &pack,
        ])
    }

    fn bench(&self, model: &str) -> Step {
        let plot = self.folder.join(format!("{model}.svg")).display().to_string();
        let (model, threads) = (format!("--model={model}"), format!("--threads={}", self.options.threads));
        let args = ["bench", "--json", "--offline", "--only=model,kernels,adapter,side", &model, &threads];
        self.lore(&[&args[..], &[&self.repeats(3), "--plot", &plot]].concat())
    }

    /// Runs one of the scripts, which write their report into a file.
    fn script(&self, script: &str, more: &[&str]) -> Step {
        let file = self.folder.join(format!("{script}-report.json"));
        let path = root().join("scripts").join(script).display().to_string();
        let (report, lore) = (file.display().to_string(), self.program("lore"));
        let mut args = vec!["--resume", "--json", &report, "--lore", &lore];
        if let Some(python) = &self.options.python {
            args.extend(["--python", python]);
        }
        args.extend(more);
        eprint!("{}", capture(&path, &args)?);
        read(&file)
    }

    fn llama(&self, prompt: u64) -> Step {
        let plot = self.folder.join("llama-cpp.svg").display().to_string();
        let prompt = prompt.to_string();
        let one = ["--threads", &self.options.threads, "--rounds", "1", "--decode", "32"];
        let both = ["--threads", "2,1", "--rounds", "3", "--decode", "48"];
        let rounds: &[&str] = if self.options.quick { &one } else { &both };
        self.script("bench-llama-cpp", &[rounds, &["--first-prompt", &prompt, "--plot", &plot]].concat())
    }

    fn embedding(&self) -> Step {
        self.script("bench-embedding", if self.options.quick { &["--rounds", "1"] } else { &["--threads", "2,1"] })
    }

    fn building(&self) -> Step {
        let folder = self.options.data.join("laws-finance/v2/md");
        if !folder.is_dir() {
            return Err("the laws corpus is not here".into());
        }
        let models = self.models()?;
        let model = models.join(EMBEDDER).join("model.gguf");
        let side = models.join("../run/side");
        let output = Command::new(self.program("examples/embed_f32"))
            .args([&model, &folder])
            .arg(if self.options.quick { "9" } else { "48" })
            .arg(side)
            .env("RAYON_NUM_THREADS", "1")
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("embed_f32 cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("embed_f32 ended with {}", output.status));
        }
        last_json(&String::from_utf8_lossy(&output.stdout))
    }

    fn drafting(&self) -> Step {
        let models = self.models()?;
        let file = |name: &str| models.join(name).join("model.gguf").display().to_string();
        let questions = self.options.data.join("laws-qa/questions.jsonl").display().to_string();
        let (count, share) = if self.options.quick { ("4", "8") } else { ("50", "200") };
        let arguments = [&self.pack()?, &file(EMBEDDER), &file(MODELS[0].1), &questions];
        let mut args: Vec<&str> = arguments.iter().map(|text| text.as_str()).collect();
        args.extend([count, &self.options.threads, share]);
        let printed = capture(&self.program("examples/drafting"), &args)?;
        serde_json::from_str(&printed).map_err(|error| format!("drafting printed something that is not JSON: {error}"))
    }

    fn divergence(&self, model: &str) -> Step {
        let cache = self.models()?.join("..");
        let folder = self.options.kl.clone().unwrap_or_else(|| cache.join("reference/kl"));
        let result = folder.join(format!("{model}.json"));
        if !result.is_file() {
            return Err(format!("no reference for {model}: run scripts/kl.py"));
        }
        let gguf = self.models()?.join(model).join("model.gguf").display().to_string();
        let (result, side) = (result.display().to_string(), cache.join("run/side").display().to_string());
        let mut args = vec![&result[..], &gguf, "--threads", &self.options.threads, "--side", &side];
        if self.options.quick {
            args.extend(["--windows", "1"]);
        }
        let printed = capture(&self.program("examples/kl"), &args)?;
        serde_json::from_str(&printed).map_err(|error| format!("kl printed something that is not JSON: {error}"))
    }

    /// The folder of models, as the `lore` command finds it.
    fn models(&self) -> Result<PathBuf, String> {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home =
            || set("HOME").map(|home| home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }));
        let cache = set("LOREKIT_CACHE").or_else(|| set("XDG_CACHE_HOME").or_else(home).map(|c| c.join("lorekit")));
        Ok(cache.ok_or("no cache folder: set LOREKIT_CACHE")?.join("models"))
    }
}

fn read(path: &Path) -> Step {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn against_llama(lines: &mut Vec<Line>, report: &Step) {
    let report = match report {
        Ok(report) => report,
        Err(reason) => return missing(lines, "side by side with llama.cpp", reason),
    };
    for (short, name) in MODELS {
        let gemma = short == "gemma";
        let deep = if short == "qwen" { ">= 1.5" } else { ">= 2" };
        let targets = [
            ("prefill_512_tok_s", if gemma { ">= 1.5" } else { ">= 2.5" }),
            ("prefill_2048_tok_s", ">= 2"),
            ("decode_0_tok_s", if gemma { ">= 1.2" } else { ">= 1.5" }),
            ("decode_512_tok_s", if gemma { ">= 1.2" } else { ">= 1.5" }),
            ("decode_2048_tok_s", deep),
        ];
        for threads in [2, 1] {
            let of = &report["models"][name][format!("threads_{threads}")];
            if of.is_null() {
                continue;
            }
            let note = |key: &str| {
                let theirs = &of["llama_cpp_best"][key];
                format!(
                    "{:.1} against {:.1} ({})",
                    of["lorekit"][key].as_f64().unwrap_or(0.0),
                    theirs["value"].as_f64().unwrap_or(0.0),
                    theirs["setting"].as_str().unwrap_or("")
                )
            };
            for (key, wanted) in targets {
                let wanted = if threads == 2 { wanted } else { "" };
                let figure = format!("{short}: {} over llama.cpp, {threads} threads", key.trim_end_matches("_tok_s"));
                add(lines, figure, wanted, of["ratios"][key].clone(), note(key));
            }
            let share = |key: &str| of["ratios"][key].as_f64().map(|ahead| 1.0 / ahead);
            let wanted = |bound: &'static str| if threads == 2 { bound } else { "" };
            let figure = format!("{short}: process start to first token over llama.cpp, {threads} threads");
            add(lines, figure, wanted("<= 0.5"), json!(share("start_ms")), note("start_ms"));
            if threads == 1 {
                continue;
            }
            let figure = format!("{short}: resident memory over llama.cpp");
            add(lines, figure, "<= 1", json!(share("resident_mib")), note("resident_mib"));
            let anonymous = &of["lorekit"]["anonymous_peak_mib"];
            let bytes = anonymous.as_f64().map(|mib| mib * 1.048_576);
            let wanted = if short == "qwen" { "<= 120" } else { "" };
            add(lines, format!("{short}: anonymous memory at a context of 2,048, peak, MB"), wanted, json!(bytes), "");
        }
    }
}

fn first_tokens(lines: &mut Vec<Line>, question: &Step, llama: &Step) {
    let question = match question {
        Ok(report) => &report["question"],
        Err(reason) => return missing(lines, "first token of a question", reason),
    };
    let theirs = llama.as_ref().ok().map(|report| {
        let best = &report["models"][MODELS[0].1]["threads_2"]["llama_cpp_best"]["first_token_ms"];
        (best["value"].clone(), report["first_prompt"].clone())
    });
    for (key, figure, target) in [
        ("passages_warm", "first token, prefix and passages warm, over llama.cpp's full prefill", "<= 0.15"),
        ("prefix_warm", "first token, prefix warm, over llama.cpp's full prefill", ""),
        ("cold", "first token, cold, over llama.cpp's full prefill", ""),
    ] {
        let ours = &question[key];
        let ratio =
            ours["first_text_ms"].as_f64().zip(theirs.as_ref().and_then(|(ms, _)| ms.as_f64())).map(|(a, b)| a / b);
        let theirs = theirs.as_ref().map_or(String::new(), |(ms, n)| format!("; llama.cpp {ms} ms for {n} tokens"));
        let note = format!(
            "{} ms, {} of {} prompt tokens reused{theirs}",
            ours["first_text_ms"], ours["reused_tokens"], ours["prompt_tokens"]
        );
        add(lines, figure, target, json!(ratio), note);
    }
}

fn drafting(lines: &mut Vec<Line>, report: &Step) {
    let report = match report {
        Ok(report) => report,
        Err(reason) => return missing(lines, "drafted decoding", reason),
    };
    let decode = &report["decode"];
    let note = format!("{} questions, {} tokens per second", report["questions"], decode["tokens_per_second"]);
    add(lines, "drafted decoding over plain", ">= 1.6", decode["speedup_over_plain"]["of_totals"].clone(), note);
    add(lines, "drafted decoding: answers that differ", "<= 0", decode["different_answers"].clone(), "");
    let reuse = &report["reuse"];
    let note = format!("{} questions one after the other", reuse["questions"]);
    add(lines, "share of prompt tokens that needed no computing", "", reuse["share_of_prompt_tokens"].clone(), note);
}

fn embedding(lines: &mut Vec<Line>, report: &Step) {
    let report = match report {
        Ok(report) => report,
        Err(reason) => return missing(lines, "embedding beside onnxruntime", reason),
    };
    for threads in [2, 1] {
        let of = &report[format!("threads_{threads}")];
        if of.is_null() {
            continue;
        }
        let medians = &of["medians"];
        let each = |key: &str| {
            let of = |kind: &str| medians[kind][key].as_f64().unwrap_or(0.0);
            format!("{:.2} against int8 {:.2} and f32 {:.2}", of("lorekit"), of("onnx_int8"), of("onnx_f32"))
        };
        let wanted = if threads == 2 { "<= 1" } else { "" };
        let share = of["ratios"]["query_ms"].as_f64().map(|ahead| 1.0 / ahead);
        add(
            lines,
            format!("query embedding over onnxruntime, {threads} threads"),
            wanted,
            json!(share),
            each("query_ms"),
        );
        let figure = format!("passages per second over onnxruntime, {threads} threads");
        add(lines, figure, "", of["ratios"]["passages_per_s"].clone(), each("passages_per_s"));
    }
}

fn building(lines: &mut Vec<Line>, report: &Step) {
    match report {
        Ok(report) => {
            let note = format!(
                "{} against {} passages per core second, lowest cosine {}",
                report["passages_per_core_second"],
                report["candle_f32_passages_per_core_second"],
                report["cosine_lowest"]
            );
            add(lines, "embedding the laws over plain candle f32, per core", ">= 5", report["ratio"].clone(), note);
        }
        Err(reason) => missing(lines, "embedding the laws over plain candle f32", reason),
    }
}

fn divergence(lines: &mut Vec<Line>, model: &str, report: &Step) {
    let figure = format!("{model}: KL from f32 over llama.cpp's");
    match report {
        Ok(report) => {
            let all = &report["all"];
            let note = format!(
                "{} against {} over {} tokens",
                all["mean_kl_lumped"], all["llama_cpp_mean_kl_lumped"], all["positions"]
            );
            add(lines, figure, "<= 1.2", all["ratio"].clone(), note);
        }
        Err(reason) => missing(lines, &figure, reason),
    }
}

/// What has no target against another engine: shares of the machine's limits, side file, adapter.
fn reported(lines: &mut Vec<Line>, model: &str, report: &Step) {
    let report = match report {
        Ok(report) => report,
        Err(reason) => return missing(lines, &format!("{model}: lore bench"), reason),
    };
    let first = &report["model"]["decode"][0];
    let note = format!("of {} GB/s", report["kernels"]["roofline"]["read_gb_s"]);
    add(
        lines,
        format!("{model}: share of the read bandwidth in decoding"),
        "",
        first["share_of_read_bandwidth"].clone(),
        note,
    );
    let side = &report["side"];
    let note = format!("made in {} ms; the model has {} bytes", side["made_in_ms"], side["model_bytes"]);
    add(lines, format!("{model}: bytes of the side file"), "", side["bytes"].clone(), note);
    let adapter = &report["adapter"];
    let note = format!("rank {}", adapter["rank"]);
    add(
        lines,
        format!("{model}: cost of an adapter in decoding"),
        "<= 0.1",
        adapter["decode_cost"].clone(),
        note.clone(),
    );
    add(lines, format!("{model}: cost of an adapter in prefill"), "<= 0.05", adapter["prefill_cost"].clone(), note);
}
