//! The findings of every row of a labelled set, for the comparison with other tools, and the time it took.
//!
//! `cargo run --release -p lorekit-redact --example spans -- ROWS.jsonl ROUNDS`
//!
//! Reads rows with a `text`; prints one JSON list a row of `[start, end, kind, score]` in characters, then one line
//! with the bytes read in a round and the seconds of each round, on one thread.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use lorekit_redact::{Detector, DetectorOptions};
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, rounds] = &arguments[..] else { panic!("spans ROWS.jsonl ROUNDS") };
    let rows = std::fs::read_to_string(path).unwrap();
    let texts: Vec<String> =
        rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()["text"].as_str().unwrap().into()).collect();
    let started = Instant::now();
    let detector = Detector::new(DetectorOptions::default());
    let load = started.elapsed().as_secs_f64();
    for text in &texts {
        let characters = |byte: usize| text[..byte].chars().count();
        let spans: Vec<Value> = detector
            .find(text)
            .into_iter()
            .map(|f| json!([characters(f.range.start), characters(f.range.end), f.kind.name(), f.score]))
            .collect();
        println!("{}", json!(spans));
    }
    let seconds: Vec<f64> = (0..rounds.parse().unwrap())
        .map(|_| {
            let started = Instant::now();
            texts.iter().for_each(|text| drop(detector.find(text)));
            started.elapsed().as_secs_f64()
        })
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{}", json!({ "bytes": bytes, "seconds": seconds, "load_seconds": load }));
}
