//! What drafting and kept prefixes save, on a pack and a list of questions:
//! `drafting PACK EMBEDDER MODEL QUESTIONS.jsonl [COUNT] [THREADS] [SHARE_COUNT] [CACHE]`.
//!
//! Takes the first `COUNT` questions by id (fields `qid` and `query`), asks each with every way of drafting, interleaved,
//! and prints one JSON object: rates, whether the texts are the same, the share of drafts that were right; the time from
//! the passages to the first text with nothing kept, with the fixed prefix kept, and with the passages kept (by a
//! question before it that found the same ones); and the share of prompt tokens that needed no computing when the first
//! `SHARE_COUNT` questions are asked one after the other.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;

use lorekit_answer::{Answer, AnswerOptions, Drafting, Engine, EngineOptions, Usage};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WAYS: [Drafting; 3] = [Drafting::Off, Drafting::FixedParts, Drafting::Passages];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("{what}, please"));
    let (pack, embedder, model) = (next("a pack")?, next("an embedder")?, next("a model")?);
    let questions = questions(&next("questions")?)?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |n| n.parse());
    let (count, threads, share_count) = (number(50)?, number(2)?, number(0)?);
    // For side files; prefixes are kept in memory only.
    let cache_folder = arguments.next().map(Into::into);
    let engine = Engine::open(EngineOptions {
        pack: pack.into(),
        embedder: embedder.into(),
        model: Some(model.into()),
        threads,
        cache_folder,
        cache_disk_bytes: 0,
        ..EngineOptions::default()
    })?;
    let chosen = &questions[..count.min(questions.len())];
    let report = json!({
        "questions": chosen.len(),
        "threads": threads,
        "decode": decode(&engine, chosen)?,
        "first_text_ms": first_text(&engine, chosen)?,
        "reuse": reuse(&engine, &questions[..share_count.min(questions.len())])?,
    });
    println!("{report:#}");
    Ok(())
}

fn questions(path: &str) -> Result<Vec<String>> {
    let mut list = Vec::new();
    for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.trim().is_empty()) {
        let row: Value = serde_json::from_str(line)?;
        let field = |name: &str| row[name].as_str().map(str::to_owned).ok_or(format!("a line without {name}"));
        list.push((field("qid")?, field("query")?));
    }
    list.sort();
    Ok(list.into_iter().map(|(_, question)| question).collect())
}

fn ask(engine: &Engine, question: &str, drafting: Drafting) -> Result<Answer> {
    let options = AnswerOptions { floor: Some(-1.0), drafting, ..AnswerOptions::default() };
    Ok(engine.answer(question, options)?.final_answer()?)
}

fn decode(engine: &Engine, questions: &[String]) -> Result<Value> {
    let mut all: [Vec<Usage>; 3] = Default::default();
    let mut different = 0;
    for (n, question) in questions.iter().enumerate() {
        let mut texts = Vec::new();
        for way in 0..WAYS.len() {
            // Each goes first as often as the others.
            let way = (way + n) % WAYS.len();
            let answer = ask(engine, question, WAYS[way])?;
            all[way].push(answer.usage);
            texts.push((answer.text, answer.usage.completion_tokens));
        }
        different += usize::from(texts.iter().any(|text| *text != texts[0]));
        eprintln!("{} of {}", n + 1, questions.len());
    }
    let rates: Vec<f64> = all.iter().map(|usages| rate(usages)).collect();
    let ratios = |to: usize| {
        let each = all[2].iter().zip(&all[to]).map(|(a, b)| b.decode_time.as_secs_f64() / a.decode_time.as_secs_f64());
        let mut each: Vec<f64> = each.collect();
        each.sort_by(f64::total_cmp);
        json!({
            "of_totals": rates[2] / rates[to],
            "median": each.get(each.len() / 2),
            "worst": each.first(),
        })
    };
    let sum = |count: fn(&Usage) -> usize| all[2].iter().map(count).sum::<usize>();
    Ok(json!({
        "different_answers": different,
        "tokens": sum(|u| u.completion_tokens),
        "passes": sum(|u| u.decode_passes),
        "drafted": sum(|u| u.drafted_tokens),
        "confirmed": sum(|u| u.confirmed_tokens),
        "tokens_per_second": {"plain": rates[0], "fixed_parts": rates[1], "drafted": rates[2]},
        "speedup_over_plain": ratios(0),
        "speedup_over_fixed_parts": ratios(1),
    }))
}

fn rate(usages: &[Usage]) -> f64 {
    let tokens: usize = usages.iter().map(|usage| usage.completion_tokens).sum();
    tokens as f64 / usages.iter().map(|usage| usage.decode_time.as_secs_f64()).sum::<f64>()
}

/// Milliseconds from the passages to the first text, medians, with what was reused of the prompt.
fn first_text(engine: &Engine, questions: &[String]) -> Result<Value> {
    let mut found: [Vec<(Duration, Usage)>; 3] = Default::default();
    let mut keep = |n: usize, usage: Usage| found[n].push((usage.time_to_first_text - usage.time_to_passages, usage));
    for pair in questions.chunks(2).take(10) {
        let [first, other] = pair else { continue };
        engine.clear_caches();
        keep(0, ask(engine, first, Drafting::Passages)?.usage);
        // Other passages, as a rule: what is shared is the fixed prefix.
        let next = ask(engine, other, Drafting::Passages)?;
        keep(1, next.usage);
        let again = ask(engine, &format!("请问，{other}"), Drafting::Passages)?;
        let places = |answer: &Answer| {
            let mut keys: Vec<u64> = answer.passages.iter().map(|found| found.passage.key).collect();
            keys.sort_unstable();
            keys
        };
        if places(&again) == places(&next) {
            keep(2, again.usage);
        }
    }
    let median = |list: &[(Duration, Usage)]| {
        let mut times: Vec<f64> = list.iter().map(|(time, _)| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        json!({
            "ms": times.get(times.len() / 2),
            "questions": list.len(),
            "prompt_tokens": list.iter().map(|(_, usage)| usage.prompt_tokens).sum::<usize>() / list.len().max(1),
            "reused_share": Usage::reused_share(list.iter().map(|(_, usage)| usage)),
        })
    };
    Ok(json!({"cold": median(&found[0]), "prefix": median(&found[1]), "passages": median(&found[2])}))
}

fn reuse(engine: &Engine, questions: &[String]) -> Result<Value> {
    engine.clear_caches();
    let options = AnswerOptions { floor: Some(-1.0), max_tokens: 1, ..AnswerOptions::default() };
    let mut usages = Vec::new();
    for question in questions {
        usages.push(engine.answer(question, options.clone())?.final_answer()?.usage);
    }
    Ok(json!({"questions": usages.len(), "share_of_prompt_tokens": Usage::reused_share(&usages)}))
}
