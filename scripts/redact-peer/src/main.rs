//! The findings of the Rust port of Presidio for every row of a labelled set, in the form of LoreKit's example `spans`.

use std::time::Instant;

use presidio_analyzer::AnalyzerEngine;
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, rounds] = &arguments[..] else { panic!("redact-peer ROWS.jsonl ROUNDS") };
    let rows = std::fs::read_to_string(path).expect("the rows");
    let row = |line| serde_json::from_str::<Value>(line).expect("a row")["text"].as_str().expect("a text").to_owned();
    let texts: Vec<String> = rows.lines().map(row).collect();
    let started = Instant::now();
    // It has recognizers for English only; the one for Chinese resident numbers is among them.
    let engine = AnalyzerEngine::new();
    let load = started.elapsed().as_secs_f64();
    for text in &texts {
        let characters = |byte: usize| text.char_indices().take_while(|(at, _)| *at < byte).count();
        let found = engine.analyze(text, "en", None, None);
        let spans: Vec<Value> =
            found.iter().map(|f| json!([characters(f.start), characters(f.end), f.entity_type, f.score])).collect();
        println!("{}", json!(spans));
    }
    let seconds: Vec<f64> = (0..rounds.parse().expect("rounds"))
        .map(|_| {
            let started = Instant::now();
            for text in &texts {
                drop(engine.analyze(text, "en", None, None));
            }
            started.elapsed().as_secs_f64()
        })
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{}", json!({ "bytes": bytes, "seconds": seconds, "load_seconds": load }));
}
