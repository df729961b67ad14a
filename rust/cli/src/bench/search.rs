//! Search in a pack, with and without the embedding of the question.

use std::path::Path;
use std::time::{Duration, Instant};

use lorekit_answer::CancelToken;
use lorekit_retrieval::{Retriever, SearchOptions};
use lorekit_store::{OpenOptions, Scope, Snapshot};
use serde_json::{Value, json};

use super::{BenchArgs, embedder};
use crate::error::Result;

pub(super) fn measure(args: &BenchArgs, pack: &Path, cancel: &CancelToken) -> Result<Value> {
    let embedder = embedder::open(args, cancel)?;
    let started = Instant::now();
    let library = Snapshot::open_pack(pack, &OpenOptions::default())?;
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
        library.dense(&vector, 100, &Scope::default())?;
        library.lexical(question, 100, &Scope::default())?;
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

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
