//! `lore search`: the passages for a question.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use lorekit_answer::{CancelToken, Engine, EngineOptions, Mode, Origin, RetrievedPassage, SearchOptions};
use lorekit_pack::Pack;
use serde_json::json;

use crate::error::Result;
use crate::place::Source;
use crate::resolve;
use crate::ui::{Style, excerpt};

/// Which lists take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SearchMode {
    /// By meaning and by words.
    Hybrid,
    /// By meaning only.
    Dense,
    /// By words only.
    Lexical,
}

impl From<SearchMode> for Mode {
    fn from(mode: SearchMode) -> Self {
        match mode {
            SearchMode::Hybrid => Self::Hybrid,
            SearchMode::Dense => Self::Dense,
            SearchMode::Lexical => Self::Lexical,
        }
    }
}

/// Arguments of `lore search`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "lore search <QUESTION> <--pack <PACK>|--base <PACK> --library <DIR>> [OPTIONS]")]
pub struct SearchArgs {
    /// The question.
    question: String,
    #[command(flatten)]
    source: Source,
    /// The embedder, a name of the catalogue or a GGUF file; the pack's own unless given.
    #[arg(long)]
    embedder: Option<String>,
    /// Which lists take part.
    #[arg(long, value_enum, default_value_t = SearchMode::Hybrid)]
    mode: SearchMode,
    /// How many places to show.
    #[arg(long, default_value_t = 3)]
    top_k: usize,
    /// The day whose rules are asked, YYYY-MM-DD; today unless given.
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// The caller's access labels, separated by commas; what is public is found without any.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// Threads; 0 takes all processors, at most four.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Never touch the network.
    #[arg(long)]
    offline: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &SearchArgs, cancel: &CancelToken) -> Result<()> {
    let embedder = embedder(args.source.base()?, args.embedder.as_deref(), args.offline, cancel)?;
    let engine = Engine::open(EngineOptions { embedder, threads: args.threads, ..args.source.engine()? })?;
    let started = Instant::now();
    let search = SearchOptions {
        limit: args.top_k,
        mode: args.mode.into(),
        as_of: args.as_of.clone(),
        labels: args.labels.clone(),
        ..SearchOptions::default()
    };
    let found = engine.search(&args.question, search, cancel)?;
    let elapsed = started.elapsed();
    if args.json {
        let passages: Vec<_> = found.iter().map(passage_json).collect();
        println!("{}", json!({ "passages": passages, "ms": elapsed.as_secs_f64() * 1e3 }));
    } else {
        show(&found);
        println!("{}", Style::stdout().dim(&format!("{:.0} ms", elapsed.as_secs_f64() * 1e3)));
    }
    Ok(())
}

/// The embedder's file for a pack.
pub(crate) fn embedder(pack: &Path, named: Option<&str>, offline: bool, cancel: &CancelToken) -> Result<PathBuf> {
    let name = match named {
        Some(name) => name,
        None => resolve::embedder_for(&Pack::open(pack)?.manifest().embedder)?,
    };
    resolve::model(name, offline, cancel)
}

/// Prints found passages, numbered as a prompt numbers them.
pub(crate) fn show(found: &[RetrievedPassage]) {
    let style = Style::stdout();
    if found.is_empty() {
        println!("nothing found");
    }
    for (n, retrieved) in found.iter().enumerate() {
        let passage = &retrieved.passage;
        let scores = format!(
            "{:.2} (dense {}, lexical {})",
            retrieved.score,
            retrieved.dense.map_or("–".into(), |score| format!("{score:.2}")),
            retrieved.lexical.map_or("–".into(), |score| format!("{score:.1}")),
        );
        println!("[{}] {}  {}", n + 1, style.bold(&place(retrieved)), style.dim(&scores));
        println!("    {}", excerpt(&passage.text, 110));
        println!("    {}", style.dim(&format!("{} · {}", passage.id, source(retrieved))));
    }
}

/// Title and place of a passage, for people.
pub(crate) fn place(retrieved: &RetrievedPassage) -> String {
    let passage = &retrieved.passage;
    let place = passage.article.clone().or_else(|| passage.title_path.last().cloned()).unwrap_or_default();
    if place.is_empty() || place == passage.document.title {
        passage.document.title.clone()
    } else {
        format!("{} {place}", passage.document.title)
    }
}

/// Who brought a passage, as JSON names it.
pub(crate) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Publisher => "publisher",
        Origin::Local => "local",
    }
}

/// File, version and bytes of a passage.
pub(crate) fn source(retrieved: &RetrievedPassage) -> String {
    let passage = &retrieved.passage;
    let page = passage.page.map_or_else(String::new, |page| format!(", page {page}"));
    let version = passage.document.version.as_ref().map_or_else(String::new, |version| format!(", version {version}"));
    let local = if passage.origin == Origin::Local { "own document, " } else { "" };
    format!("{local}{}{version}{page}, bytes {}–{}", passage.document.path, passage.source.start, passage.source.end)
}

/// A found passage as JSON.
pub(crate) fn passage_json(retrieved: &RetrievedPassage) -> serde_json::Value {
    let passage = &retrieved.passage;
    json!({
        "id": passage.id.to_string(),
        "origin": origin(passage.origin),
        "place": passage.place,
        "title": passage.document.title,
        "title_path": passage.title_path,
        "article": passage.article,
        "document": passage.document.id,
        "version": passage.document.version,
        "path": passage.document.path,
        "source": [passage.source.start, passage.source.end],
        "page": passage.page,
        "text": passage.text,
        "score": retrieved.score,
        "dense": retrieved.dense,
        "lexical": retrieved.lexical,
    })
}
