//! `lore bench`: speed and memory of the parts, on this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use lorekit_answer::{AnswerEvent, AnswerOptions, CancelToken, Engine, EngineOptions};
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage as EmbeddingInput};
use lorekit_model::{BackendChoice, LanguageModel, LoadOptions};
use lorekit_retrieval::{Retriever, SearchOptions};
use lorekit_store::{Library, OpenOptions};
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
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs of each figure; the median is reported.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Tokens decoded per run.
    #[arg(long, default_value_t = 64)]
    decode: usize,
    /// Where side files are kept; `none` runs from the models' own layout.
    #[arg(long)]
    side: Option<PathBuf>,
    /// Never touch the network.
    #[arg(long)]
    offline: bool,
    /// Print one JSON object on one line.
    #[arg(long)]
    json: bool,
}

/// Text that is embedded and split into prompts; about 150 tokens.
const SAMPLE: &str = "投保人申请投保时，保险公司应当提示投保人如实告知被保险人的健康状况、职业和既往投保情况。投保人因重大过失未履行如实告知义务，\
对保险事故的发生有严重影响的，保险公司对合同解除前发生的保险事故不承担给付责任，但应当退还保险费。合同成立满二年的，保险公司不得解除合同；\
发生保险事故的，应当承担给付责任。被保险人在等待期内因疾病住院的，保险公司退还已交保险费，合同终止；因意外伤害住院的，不受等待期限制。";

pub(crate) fn run(args: &BenchArgs, cancel: &CancelToken) -> Result<()> {
    let mut report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "threads": args.threads,
        "repeats": args.repeats,
        "cpu": cpu(),
    });
    if args.model != "none" {
        report["model"] = model(args, cancel)?;
    }
    if args.embedder != "none" {
        report["embedder"] = embedder(args, cancel)?;
        if let Some(pack) = &args.pack {
            report["search"] = search(args, pack, cancel)?;
            if args.model != "none" {
                report["question"] = question(args, pack, cancel)?;
            }
        }
    }
    if args.json {
        println!("{report}")
    } else {
        println!("{report:#}")
    }
    Ok(())
}

fn model(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let path = resolve::model(&args.model, args.offline, cancel)?;
    let before = memory();
    let started = Instant::now();
    let options = LoadOptions {
        threads: args.threads,
        backend: BackendChoice::Cpu,
        side_folder: args.side.clone(),
        ..LoadOptions::default()
    };
    let model = LanguageModel::open(&path, &options)?;
    let mut session = model.new_session(2_304)?;
    let load = started.elapsed();
    let vocabulary = model.info().vocab as u32;
    // Ordinary tokens in a fixed pattern: what they are does not change the work.
    let tokens = |n: usize| (0..n as u32).map(|i| 1_000 + (i * 7_919) % (vocabulary / 2)).collect::<Vec<u32>>();
    let mut prefill = |n: usize| -> Result<f64> {
        let prompt = tokens(n);
        session.truncate(0);
        session.prefill(&prompt, None, cancel)?;
        let times = repeat(args.repeats, || {
            session.truncate(0);
            let started = Instant::now();
            session.prefill(&prompt, None, cancel)?;
            Ok(started.elapsed())
        })?;
        Ok(n as f64 / times.as_secs_f64())
    };
    let prefill_128 = prefill(128)?;
    let prefill_512 = prefill(512)?;
    let mut decode = |depth: usize| -> Result<f64> {
        session.truncate(0);
        session.prefill(&tokens(depth.max(1)), None, cancel)?;
        let times = repeat(args.repeats, || {
            session.truncate(depth.max(1));
            let started = Instant::now();
            for n in 0..args.decode as u32 {
                session.prefill(&[1_000 + n], None, cancel)?;
            }
            Ok(started.elapsed())
        })?;
        Ok(args.decode as f64 / times.as_secs_f64())
    };
    let decode_0 = decode(0)?;
    let decode_512 = decode(512)?;
    let after = memory();
    let first_prompt = tokens(900);
    let first = repeat(args.repeats, || {
        session.truncate(0);
        let started = Instant::now();
        session.prefill(&first_prompt, None, cancel)?;
        Ok(started.elapsed())
    })?;
    Ok(json!({
        "name": args.model,
        "load_ms": millis(load),
        "prefill_128_tok_s": prefill_128,
        "prefill_512_tok_s": prefill_512,
        "decode_tok_s": decode_0,
        "decode_512_tok_s": decode_512,
        "first_token_ms": millis(first),
        "first_token_prompt": 900,
        "rss_before_mib": before.resident,
        "rss_mib": after.resident,
        "rss_peak_mib": after.peak,
        "rss_anon_mib": after.anonymous,
    }))
}

fn embedder(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let path = resolve::model(&args.embedder, args.offline, cancel)?;
    let started = Instant::now();
    let embedder = Embedder::open(
        &path,
        &EmbedderOptions { threads: args.threads, side_folder: args.side.clone(), ..EmbedderOptions::default() },
    )?;
    let load = started.elapsed();
    embedder.embed_query(&args.question, cancel)?;
    let query = repeat(args.repeats.max(5), || {
        let started = Instant::now();
        embedder.embed_query(&args.question, cancel)?;
        Ok(started.elapsed())
    })?;
    let inputs = vec![EmbeddingInput { title: Some("人身保险条款"), text: SAMPLE }; 32];
    let batch = repeat(args.repeats, || {
        let started = Instant::now();
        embedder.embed_passages(&inputs, &mut |_| {}, cancel)?;
        Ok(started.elapsed())
    })?;
    Ok(json!({
        "name": args.embedder,
        "load_ms": millis(load),
        "query_ms": millis(query),
        "passages_per_s": inputs.len() as f64 / batch.as_secs_f64(),
        "passage_tokens": embedder.count_tokens(SAMPLE)?,
        "rss_anon_mib": memory().anonymous,
    }))
}

fn search(args: &BenchArgs, pack: &Path, cancel: &CancelToken) -> Result<Value> {
    let path = resolve::model(&args.embedder, args.offline, cancel)?;
    let embedder = Embedder::open(
        &path,
        &EmbedderOptions { threads: args.threads, side_folder: args.side.clone(), ..EmbedderOptions::default() },
    )?;
    let started = Instant::now();
    let library = Library::open(pack, &OpenOptions::default())?;
    let open = started.elapsed();
    let retriever = Retriever::new(&library, &embedder)?;
    // Questions made of the passages' own first words, spread over the pack.
    let n = library.len().min(100);
    let questions = (0..n)
        .map(|i| Ok(library.passage(i * library.len() / n.max(1))?.text.chars().take(24).collect::<String>()))
        .collect::<Result<Vec<String>>>()?;
    let mut whole = Vec::new();
    let mut lists = Vec::new();
    for question in &questions {
        let started = Instant::now();
        retriever.search(question, &SearchOptions::default(), cancel)?;
        whole.push(started.elapsed());
        let vector = embedder.embed_query(question, cancel)?;
        let started = Instant::now();
        library.dense(&vector, 100, None)?;
        library.lexical(question, 100)?;
        lists.push(started.elapsed());
    }
    whole.sort();
    lists.sort();
    let at = |times: &[Duration], share: usize| {
        times.get(times.len().saturating_sub(1) * share / 100).copied().map_or(0.0, millis)
    };
    Ok(json!({
        "passages": library.len(),
        "open_ms": millis(open),
        "queries": questions.len(),
        "p50_ms": at(&whole, 50),
        "p99_ms": at(&whole, 99),
        "without_embedding_p50_ms": at(&lists, 50),
        "without_embedding_p99_ms": at(&lists, 99),
    }))
}

fn question(args: &BenchArgs, pack: &Path, cancel: &CancelToken) -> Result<Value> {
    let started = Instant::now();
    let engine = Engine::open(EngineOptions {
        pack: pack.to_path_buf(),
        embedder: resolve::model(&args.embedder, args.offline, cancel)?,
        model: Some(resolve::model(&args.model, args.offline, cancel)?),
        threads: args.threads,
        ..EngineOptions::default()
    })?;
    let open = started.elapsed();
    let mut first = Vec::new();
    let mut passages = Vec::new();
    let mut usage = None;
    for _ in 0..args.repeats.max(1) {
        // Another question in between leaves nothing of this one in the cache but the fixed prefix.
        engine
            .answer("另一个问题", AnswerOptions { floor: Some(-1.0), max_tokens: 8, ..AnswerOptions::default() })?
            .final_answer()?;
        let options = AnswerOptions { floor: Some(-1.0), ..AnswerOptions::default() };
        let stream = engine.answer(&args.question, options)?;
        loop {
            let batch = stream.next_batch()?;
            if batch.is_empty() {
                break;
            }
            for event in batch {
                if let AnswerEvent::Finished(answer) = event {
                    first.push(answer.usage.time_to_first_text);
                    passages.push(answer.usage.time_to_passages);
                    usage = Some(answer.usage);
                }
            }
        }
    }
    let usage = usage.ok_or_else(|| CliError::Usage("no answer came".into()))?;
    Ok(json!({
        "open_ms": millis(open),
        "passages_ms": millis(median(passages)),
        "first_text_ms": millis(median(first)),
        "prompt_tokens": usage.prompt_tokens,
        "reused_tokens": usage.reused_tokens,
        "completion_tokens": usage.completion_tokens,
        "decode_tok_s": usage.decode_tokens_per_second,
    }))
}

fn repeat(times: usize, mut run: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    Ok(median((0..times.max(1)).map(|_| run()).collect::<Result<Vec<_>>>()?))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Memory of this process in MiB; zeros where the system does not tell.
#[derive(Default)]
struct Memory {
    resident: f64,
    anonymous: f64,
    peak: f64,
}

fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
        kib.unwrap_or(0.0) / 1024.0
    };
    Memory { resident: mib("VmRSS:"), anonymous: mib("RssAnon:"), peak: mib("VmHWM:") }
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}
