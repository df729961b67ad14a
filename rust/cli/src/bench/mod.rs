//! `lore bench`: speed and memory of the parts, on this machine, beside what the machine allows.
//!
//! One module a part; each gives one JSON object. What is measured is said in the modules.

mod adapter;
mod embedder;
mod kernels;
mod measure;
mod model;
mod plot;
mod question;
mod search;
mod start;
mod sustained;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lorekit_answer::CancelToken;
use lorekit_model::{BackendChoice, LoadOptions};
use serde_json::{Value, json};

use crate::error::{CliError, Result};
use crate::resolve::{self, DEFAULT_EMBEDDER, DEFAULT_MODEL};

/// Arguments of `lore bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// The language model; `none` leaves it out.
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: String,
    /// The embedder; `none` leaves it out.
    #[arg(long, default_value = DEFAULT_EMBEDDER)]
    embedder: String,
    /// A pack built with that embedder: adds search, and the time to the first word of a question.
    #[arg(long)]
    pack: Option<PathBuf>,
    /// The question whose first word is timed.
    #[arg(long, default_value = "个人贷款提前还款需要支付违约金吗？")]
    question: String,
    /// The query whose embedding is timed; the question if none is given.
    #[arg(long)]
    query: Option<String>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs of each figure; the median is reported.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Tokens decoded per run.
    #[arg(long, default_value_t = 64)]
    decode: usize,
    /// Prompt lengths for prefill; decoding is measured after an empty prompt and after those of 512 and more.
    #[arg(long, value_delimiter = ',', default_value = "128,512,2048")]
    prompts: Vec<usize>,
    /// Rank of the made-up adapter on all linear layers.
    #[arg(long, default_value_t = 16)]
    rank: usize,
    /// Decode for so many seconds and report the speed of every ten; off by default, 300 shows whether it holds.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    sustained: u64,
    /// Where side files are kept; `none` runs from the models' own layout. Default: `run/side` in the cache folder.
    #[arg(long, value_name = "DIR")]
    side: Option<PathBuf>,
    /// Measure only these parts.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Draw the figures into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Never touch the network.
    #[arg(long)]
    offline: bool,
    /// Print one JSON object on one line.
    #[arg(long)]
    json: bool,
    /// Only open the model, compute the first token of a short prompt and print it; what `start` runs and times.
    #[arg(long, hide = true)]
    first_token: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the start of a process to the first token.
    Start,
    /// Prefill, decoding, memory.
    Model,
    /// The machine's limits, and each matrix product beside them.
    Kernels,
    /// What an adapter costs.
    Adapter,
    /// Making the side file once more.
    Side,
    /// Embedding.
    Embedder,
    /// Search in a pack.
    Search,
    /// First word of an answer: cold, prefix warm, passages warm.
    Question,
}

impl BenchArgs {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn side_folder(&self) -> Option<PathBuf> {
        match &self.side {
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path.clone()),
            None => Some(resolve::side_folder()),
        }
    }

    fn load_options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.threads,
            backend: BackendChoice::Cpu,
            side_folder: self.side_folder(),
            ..LoadOptions::default()
        }
    }

    fn model_path(&self, cancel: &CancelToken) -> Result<PathBuf> {
        resolve::model(&self.model, self.offline, cancel)
    }

    fn embedder_path(&self, cancel: &CancelToken) -> Result<PathBuf> {
        resolve::model(&self.embedder, self.offline, cancel)
    }
}

pub(crate) fn run(args: &BenchArgs, cancel: &CancelToken) -> Result<()> {
    if args.first_token {
        return start::first_token(args, cancel);
    }
    let mut report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "threads": args.threads,
        "repeats": args.repeats,
        "decode_tokens": args.decode,
        "cpu": measure::cpu_name(),
        "instruction_set": lorekit_kernels::instruction_set(),
    });
    for (part, name) in [
        (Part::Start, "start"),
        (Part::Model, "model"),
        (Part::Kernels, "kernels"),
        (Part::Adapter, "adapter"),
        (Part::Side, "side"),
        (Part::Embedder, "embedder"),
        (Part::Search, "search"),
        (Part::Question, "question"),
    ] {
        if args.wants(part)
            && let Some(value) = measure_part(args, part, cancel)?
        {
            report[name] = value;
        }
    }
    if args.sustained > 0 && args.model != "none" {
        report["sustained"] = sustained::measure(args, cancel)?;
    }
    relate(&mut report);
    if let Some(file) = &args.plot {
        std::fs::write(file, plot::draw(&report)).map_err(|source| CliError::File { path: file.clone(), source })?;
    }
    if args.json {
        println!("{report}")
    } else {
        println!("{report:#}")
    }
    Ok(())
}

/// One part's figures; `None` where its model or pack was not asked for.
fn measure_part(args: &BenchArgs, part: Part, cancel: &CancelToken) -> Result<Option<Value>> {
    let with_model = args.model != "none";
    let pack = args.pack.as_deref().filter(|_| args.embedder != "none");
    Ok(match (part, pack) {
        (Part::Embedder, _) if args.embedder != "none" => Some(embedder::measure(args, cancel)?),
        (Part::Search, Some(pack)) => Some(search::measure(args, pack, cancel)?),
        (Part::Question, Some(pack)) if with_model => Some(question::measure(args, pack, cancel)?),
        (Part::Embedder | Part::Search | Part::Question, _) => None,
        _ if !with_model => None,
        (Part::Start, _) => Some(start::measure(args, cancel)?),
        (Part::Model, _) => Some(model::measure(args, cancel)?),
        (Part::Kernels, _) => Some(kernels::measure(args, cancel)?),
        (Part::Adapter, _) => Some(adapter::measure(args, cancel)?),
        (Part::Side, _) => Some(model::side_file(args, cancel)?),
    })
}

/// Holds decoding against the read bandwidth, where both were measured.
fn relate(report: &mut Value) {
    let Some(limit) = report["kernels"]["roofline"]["read_gb_s"].as_f64() else { return };
    let Some(decode) = report.pointer_mut("/model/decode").and_then(Value::as_array_mut) else { return };
    for at in decode {
        if let Some(read) = at["read_gb_s"].as_f64() {
            at["share_of_read_bandwidth"] = json!(read / limit);
        }
    }
}
