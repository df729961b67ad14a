//! What tests of the decoder share: tiny models, real models, reference arrays, and distances between logits.

#![allow(dead_code)] // each test file uses a part

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorekit_cancel::CancelToken;
use lorekit_model::{AdapterSet, BackendChoice, Gguf, LanguageModel, LoadOptions};
use lorekit_testkit::SplitMix64;

pub fn cpu() -> LoadOptions {
    LoadOptions::default()
}

pub fn portable() -> LoadOptions {
    LoadOptions { backend: BackendChoice::Portable(candle_core::Device::Cpu), ..LoadOptions::default() }
}

pub fn pieces(options: LoadOptions, prefill_piece: usize) -> LoadOptions {
    LoadOptions { prefill_piece, ..options }
}

pub fn from_bytes(bytes: &[u8], options: &LoadOptions) -> Arc<LanguageModel> {
    let gguf = Gguf::from_bytes(Path::new("tiny.gguf"), bytes).unwrap();
    LanguageModel::from_gguf(Arc::new(gguf), options).unwrap()
}

/// A file of the folder of references.
pub fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

pub fn reference_json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(reference(name)).unwrap()).unwrap()
}

/// A two-dimensional array of f32 in NumPy's file format, version 1: the numbers and the row length.
pub fn npy(name: &str) -> (Vec<f32>, usize) {
    let bytes = std::fs::read(reference(name)).unwrap();
    assert_eq!(&bytes[..7], b"\x93NUMPY\x01");
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..header_end]).unwrap();
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    let columns = shape.split(',').nth(1).unwrap().trim().parse().unwrap();
    let values = bytes[header_end..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    (values, columns)
}

/// The token lists of a reference file's prompts.
pub fn prompts(json: &serde_json::Value) -> Vec<Vec<u32>> {
    let list = |v: &serde_json::Value| v.as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
    json["prompts"].as_array().unwrap().iter().map(|prompt| list(&prompt["tokens"])).collect()
}

/// A real model from the cache folder, or `None` with a word about it.
pub fn real_model(name: &str, options: &LoadOptions) -> Option<Arc<LanguageModel>> {
    let path =
        std::env::var_os("LOREKIT_CACHE").map(|cache| Path::new(&cache).join("models").join(name).join("model.gguf"));
    match path.filter(|path| path.exists()) {
        Some(path) => Some(LanguageModel::open(&path, options).unwrap()),
        None => {
            eprintln!("skipped: model {name} is not in LOREKIT_CACHE");
            None
        }
    }
}

/// Logits after each token, from an empty session.
pub fn all_logits(model: &Arc<LanguageModel>, tokens: &[u32], adapters: Option<&AdapterSet>) -> Vec<f32> {
    let mut session = model.new_session(tokens.len()).unwrap();
    session.forward_all(tokens, adapters, &CancelToken::new()).unwrap()
}

/// Seeded tokens below `vocab`.
pub fn random_tokens(seed: u64, n: usize, vocab: usize) -> Vec<u32> {
    let mut random = SplitMix64::new(seed);
    (0..n).map(|_| random.next_below(vocab as u64) as u32).collect()
}

pub fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(top) + logits.iter().map(|l| f64::from(l - top).exp()).sum::<f64>().ln()
}

/// The mean over rows of the Kullback-Leibler divergence of `other`'s softmax from `truth`'s, in nats.
pub fn mean_divergence(truth: &[f32], other: &[f32], columns: usize) -> f64 {
    let rows = truth.chunks_exact(columns).zip(other.chunks_exact(columns));
    let each = rows.map(|(p, q)| {
        let (of_p, of_q) = (log_sum_exp(p), log_sum_exp(q));
        let terms = p.iter().zip(q).map(|(p, q)| {
            let (p, q) = (f64::from(*p) - of_p, f64::from(*q) - of_q);
            p.exp() * (p - q)
        });
        terms.sum::<f64>()
    });
    each.sum::<f64>() / (truth.len() / columns) as f64
}
