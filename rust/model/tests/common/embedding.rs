//! Texts, reference vectors and comparisons that the embedder's tests share.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{Embedder, Passage};

pub struct Text {
    pub kind: String,
    pub title: Option<String>,
    pub text: String,
}

pub fn reference_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

/// The texts of `embedding_texts.json`, in its order.
pub fn texts() -> Vec<Text> {
    let json = std::fs::read_to_string(reference_folder().join("embedding_texts.json")).unwrap();
    let entries: serde_json::Value = serde_json::from_str(&json).unwrap();
    let text = |entry: &serde_json::Value, key: &str| entry[key].as_str().map(str::to_owned);
    entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| Text {
            kind: text(entry, "kind").unwrap(),
            title: text(entry, "title"),
            text: text(entry, "text").unwrap().repeat(entry["repeat"].as_u64().unwrap_or(1) as usize),
        })
        .collect()
}

/// The float16 rows of `<name>.f16`.
pub fn reference(name: &str, dims: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(reference_folder().join(format!("{name}.f16"))).unwrap();
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect();
    assert_eq!(values.len(), texts().len() * dims, "rows of {name}.f16");
    values.chunks_exact(dims).map(<[f32]>::to_vec).collect()
}

/// The embedder's vectors of all texts, in order: passages in batches, queries one by one.
pub fn vectors(embedder: &Embedder) -> Vec<Vec<f32>> {
    let cancel = CancelToken::new();
    let texts = texts();
    let of = |kind: &'static str| texts.iter().filter(move |text| text.kind == kind);
    let passages: Vec<Passage<'_>> =
        of("passage").map(|text| Passage { title: text.title.as_deref(), text: &text.text }).collect();
    let mut passages = embedder.embed_passages(&passages, &mut |_| {}, &cancel).unwrap().into_iter();
    let next = |text: &Text| match text.kind.as_str() {
        "query" => embedder.embed_query(&text.text, &cancel).unwrap(),
        _ => passages.next().unwrap(),
    };
    texts.iter().map(next).collect()
}

pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// Embeds all passages together, one by one and in reverse, and compares bits.
pub fn assert_batching_changes_nothing(embedder: &Embedder) {
    let cancel = CancelToken::new();
    let texts = texts();
    let passages: Vec<Passage<'_>> =
        texts.iter().map(|text| Passage { title: text.title.as_deref(), text: &text.text }).collect();
    let together = embedder.embed_passages(&passages, &mut |_| {}, &cancel).unwrap();
    let reversed: Vec<Passage<'_>> = passages.iter().rev().copied().collect();
    let mut backwards = embedder.embed_passages(&reversed, &mut |_| {}, &cancel).unwrap();
    backwards.reverse();
    for (index, passage) in passages.iter().enumerate() {
        let alone = embedder.embed_passages(&[*passage], &mut |_| {}, &cancel).unwrap().remove(0);
        let bits = |vector: &[f32]| vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(&alone) == bits(&together[index]), "passage {index} alone and in a batch");
        assert!(bits(&alone) == bits(&backwards[index]), "passage {index} in another order");
    }
}
