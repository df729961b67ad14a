//! The first word of an answer, by what was computed before it.

use std::path::Path;
use std::time::Instant;

use lorekit_answer::{Answer, AnswerOptions, CancelToken, Engine, EngineOptions, Usage};
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::median;
use crate::error::Result;

/// A question about something else, which finds other passages as a rule.
const OTHER: &str = "住房公积金的缴存比例是多少？";

/// Cold: nothing was asked before. Prefix: another question was. Passages: the same passages were found by another
/// question. The times are from the passages to the first text, without searching, which `search` measures.
pub(super) fn measure(args: &BenchArgs, pack: &Path, cancel: &CancelToken) -> Result<Value> {
    let started = Instant::now();
    let engine = Engine::open(EngineOptions {
        pack: pack.to_path_buf(),
        embedder: args.embedder_path(cancel)?,
        model: Some(args.model_path(cancel)?),
        threads: args.threads,
        // The engine looks for side files in `side` of this folder; beginnings of prompts are kept in memory alone.
        cache_folder: args.side_folder().filter(|f| f.ends_with("side")).and_then(|f| Some(f.parent()?.to_path_buf())),
        cache_disk_bytes: 0,
        ..EngineOptions::default()
    })?;
    let open = started.elapsed();
    let mut found: [Vec<Usage>; 3] = Default::default();
    let mut whole = Vec::new();
    let mut decode = Vec::new();
    for _ in 0..args.repeats.max(1) {
        engine.clear_caches();
        let cold = ask(&engine, &args.question, 8)?;
        engine.clear_caches();
        ask(&engine, OTHER, 8)?;
        let prefix = ask(&engine, &args.question, 8)?;
        let again = ask(&engine, &format!("请问，{}", args.question), 8)?;
        whole.push(1e3 * cold.usage.time_to_first_text.as_secs_f64());
        decode.push(cold.usage.decode_tokens_per_second);
        found[0].push(cold.usage);
        found[1].push(prefix.usage);
        if places(&again) == places(&prefix) {
            found[2].push(again.usage);
        }
    }
    let [cold, prefix, passages] = found.map(|usages| figures(&usages));
    Ok(json!({
        "open_ms": 1e3 * open.as_secs_f64(),
        "first_text_with_search_ms": median(whole),
        "cold": cold,
        "prefix_warm": prefix,
        "passages_warm": passages,
        "decode_tok_s": median(decode),
    }))
}

fn ask(engine: &Engine, question: &str, max_tokens: usize) -> Result<Answer> {
    let options = AnswerOptions { floor: Some(-1.0), max_tokens, ..AnswerOptions::default() };
    Ok(engine.answer(question, options)?.final_answer()?)
}

/// The passages of an answer, whatever their order by score.
fn places(answer: &Answer) -> Vec<u64> {
    let mut keys: Vec<u64> = answer.passages.iter().map(|found| found.passage.key).collect();
    keys.sort_unstable();
    keys
}

/// Medians of times, and the tokens of the last; null where another question did not find the same passages.
fn figures(usages: &[Usage]) -> Value {
    let Some(last) = usages.last() else { return Value::Null };
    let times = usages.iter().map(|u| 1e3 * u.time_to_first_text.saturating_sub(u.time_to_passages).as_secs_f64());
    json!({
        "first_text_ms": median(times),
        "prompt_tokens": last.prompt_tokens,
        "reused_tokens": last.reused_tokens,
        "loaded_tokens": last.loaded_tokens,
    })
}
