//! `lore eval`: the quality of retrieval on a file of questions.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorekit_answer::CancelToken;
use lorekit_eval::{Interval, RankingSummary, auc, bootstrap_mean, first_gold_rank, operating_point, summarize};
use lorekit_model::embed::{Embedder, EmbedderOptions};
use lorekit_retrieval::{Mode, Retriever, SearchOptions, Weights};
use lorekit_store::{OpenOptions, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{CliError, Result};
use crate::resolve;
use crate::search::embedder;
use crate::ui::Progress;

/// The subcommands of `lore eval`.
#[derive(Subcommand, Clone, Debug)]
pub enum EvalCommand {
    /// Hit rate and reciprocal rank for dense, lexical and hybrid search.
    Retrieval(RetrievalArgs),
}

/// Arguments of `lore eval retrieval`.
#[derive(Args, Clone, Debug)]
pub struct RetrievalArgs {
    /// The pack.
    #[arg(long)]
    pack: PathBuf,
    /// Questions with gold places: JSONL of `{qid, query, gold: [place…], gold_alt?, source?}`.
    #[arg(long)]
    questions: PathBuf,
    /// Questions that the pack cannot answer, to see how well the scores tell them apart.
    #[arg(long)]
    unanswerable: Option<PathBuf>,
    /// The embedder; the pack's own unless given.
    #[arg(long)]
    embedder: Option<String>,
    /// Weight of the dense list in hybrid search; the pack's own unless given.
    #[arg(long)]
    dense_weight: Option<f32>,
    /// The caller's access labels, separated by commas; what is public is found without any.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// Threads; 0 takes all processors.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Write each question's ranks here, as JSONL.
    #[arg(long, value_name = "FILE")]
    details: Option<PathBuf>,
    /// Never touch the network.
    #[arg(long)]
    offline: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    qid: String,
    query: String,
    #[serde(default)]
    gold: Vec<String>,
    #[serde(default)]
    gold_alt: Vec<String>,
    #[serde(default)]
    source: String,
}

/// A summary with the interval of its hit@3.
#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    summary: RankingSummary,
    hit_3_interval: Option<Interval>,
}

pub(crate) fn run(command: &EvalCommand, cancel: &CancelToken) -> Result<()> {
    let EvalCommand::Retrieval(args) = command;
    let questions = read_questions(&args.questions)?;
    let unanswerable = args.unanswerable.as_deref().map(read_questions).transpose()?.unwrap_or_default();
    let file = embedder(&args.pack, args.embedder.as_deref(), args.offline, cancel)?;
    let threads = resolve::threads(args.threads);
    let embedder = Embedder::open(
        &file,
        &EmbedderOptions { threads, side_folder: Some(resolve::side_folder()), ..EmbedderOptions::default() },
    )?;
    let library = Snapshot::open_pack(&args.pack, &OpenOptions::default())?;
    let retriever = Retriever::new(&library, &embedder)?;
    let weights = args.dense_weight.map(|dense| Weights { dense, lexical: 1.0 - dense });

    let mut report = serde_json::Map::new();
    let mut details: Vec<serde_json::Value> = questions.iter().map(|q| json!({ "qid": q.qid })).collect();
    let mut answerable_cosines = Vec::new();
    for (name, mode) in [("dense", Mode::Dense), ("lexical", Mode::Lexical), ("hybrid", Mode::Hybrid)] {
        let options =
            SearchOptions { limit: 10, mode, weights, labels: args.labels.clone(), ..SearchOptions::default() };
        let mut ranks = Vec::with_capacity(questions.len());
        let mut progress = Progress::new("asking", questions.len() as u64);
        for (n, question) in questions.iter().enumerate() {
            let found = retriever.search(&question.query, &options, cancel)?;
            let places: Vec<String> = found.iter().map(|ranked| ranked.passage.place.clone()).collect();
            let gold: Vec<String> = question.gold.iter().chain(&question.gold_alt).cloned().collect();
            let rank = first_gold_rank(&places, &gold);
            if mode == Mode::Hybrid {
                answerable_cosines.push(best_cosine(&found));
                details[n]["found"] = json!(places.iter().take(3).collect::<Vec<_>>());
            }
            details[n][name] = json!(rank);
            ranks.push(rank);
            progress.set(n as u64 + 1);
        }
        progress.finish();
        report.insert(name.into(), json!(by_source(&questions, &ranks)));
    }
    if !unanswerable.is_empty() {
        let options = SearchOptions { limit: 3, weights, labels: args.labels.clone(), ..SearchOptions::default() };
        let cosines = unanswerable
            .iter()
            .map(|question| Ok(best_cosine(&retriever.search(&question.query, &options, cancel)?)))
            .collect::<Result<Vec<f64>>>()?;
        let floors: Vec<_> = (20..=70)
            .step_by(5)
            .map(|f| operating_point(&answerable_cosines, &cosines, f64::from(f) / 100.0))
            .collect();
        report.insert("separation".into(), json!({ "auc": auc(&answerable_cosines, &cosines), "floors": floors }));
    }
    if let Some(path) = &args.details {
        let lines: String = details.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(path, lines).map_err(CliError::file(path))?;
    }
    if args.json {
        println!("{}", serde_json::Value::Object(report));
    } else {
        print_table(&report);
    }
    Ok(())
}

fn best_cosine(found: &[lorekit_retrieval::Ranked]) -> f64 {
    found.iter().filter_map(|ranked| ranked.dense).fold(f32::MIN, f32::max).into()
}

/// The measures of all questions, and of each source of questions apart.
fn by_source(questions: &[Question], ranks: &[Option<usize>]) -> serde_json::Map<String, serde_json::Value> {
    let mut sources: Vec<&str> = questions.iter().map(|q| q.source.as_str()).filter(|s| !s.is_empty()).collect();
    sources.sort_unstable();
    sources.dedup();
    let measure = |chosen: Vec<Option<usize>>| {
        let hits: Vec<f64> = chosen.iter().map(|r| if r.is_some_and(|r| r <= 3) { 1.0 } else { 0.0 }).collect();
        json!(Measured { summary: summarize(&chosen), hit_3_interval: bootstrap_mean(&hits, 1) })
    };
    let mut map = serde_json::Map::new();
    map.insert("all".into(), measure(ranks.to_vec()));
    for source in sources {
        let chosen = questions.iter().zip(ranks).filter(|(q, _)| q.source == source).map(|(_, r)| *r).collect();
        map.insert(source.into(), measure(chosen));
    }
    map
}

fn print_table(report: &serde_json::Map<String, serde_json::Value>) {
    println!(
        "{:<10} {:<14} {:>5} {:>7} {:>7} {:>7} {:>7}",
        "search", "questions", "n", "hit@1", "hit@3", "hit@10", "MRR@10"
    );
    for name in ["dense", "lexical", "hybrid"] {
        for (source, m) in report[name].as_object().into_iter().flatten() {
            let value = |key: &str| m[key].as_f64().unwrap_or_default();
            println!(
                "{name:<10} {source:<14} {:>5} {:>7.3} {:>7.3} {:>7.3} {:>7.3}",
                m["n"],
                value("hit_1"),
                value("hit_3"),
                value("hit_10"),
                value("mrr_10")
            );
        }
    }
    if let Some(separation) = report.get("separation") {
        println!(
            "\nbest cosine, answerable against unanswerable: AUC {:.3}",
            separation["auc"].as_f64().unwrap_or_default()
        );
        println!("{:>6} {:>24} {:>22}", "floor", "unanswerable declined", "answerable declined");
        for point in separation["floors"].as_array().into_iter().flatten() {
            let value = |key: &str| point[key].as_f64().unwrap_or_default();
            println!(
                "{:>6.2} {:>24.3} {:>22.3}",
                value("floor"),
                value("unanswerable_declined"),
                value("answerable_declined")
            );
        }
    }
}

fn read_questions(path: &Path) -> Result<Vec<Question>> {
    let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(n, line)| {
            let reason = |error: serde_json::Error| CliError::Input {
                path: path.to_path_buf(),
                reason: format!("line {}: column {}: not a question", n + 1, error.column()),
            };
            serde_json::from_str(line).map_err(reason)
        })
        .collect()
}
