//! Token ids equal those of the reference tokenizers; plain text never becomes a control token; text comes back.
//!
//! The references are made by `reference/make_tokens.py`. A model that is not on the machine is skipped.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Instant;

use lorekit_model::{Detokenizer, Gguf, Tokenizer};
use serde_json::Value;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference");

fn model_file(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("LOREKIT_CACHE").map(PathBuf::from);
    let path = cache.map(|cache| cache.join("models").join(name).join("model.gguf")).filter(|path| path.exists());
    if path.is_none() {
        println!("skipped: no {name}/model.gguf in LOREKIT_CACHE");
    }
    path
}

fn json(file: &str) -> Value {
    let path = format!("{REFERENCE}/{file}");
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

fn strings() -> Vec<String> {
    let strings: Vec<String> = serde_json::from_value(json("token-strings.json")).unwrap();
    assert!(strings.len() >= 200);
    strings
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn decode(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut detokenizer = Detokenizer::new(tokenizer);
    let mut text = String::new();
    for &id in ids {
        text.push_str(detokenizer.push(id));
    }
    text + detokenizer.finish()
}

/// Whether text comes back from its tokens.
#[derive(PartialEq)]
enum Back {
    /// Byte for byte.
    Exactly,
    /// In Unicode's composed form.
    Composed,
    /// After the space that begins every text.
    AfterSpace,
    /// Normalisation loses some of it.
    No,
}

/// Compares with the reference on every string; returns the tokenizer for further questions.
fn equals_reference(name: &str, back: Back) -> Option<Tokenizer> {
    let path = model_file(name)?;
    let gguf = Gguf::open(&path).unwrap();
    let start = Instant::now();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    println!("{name}: {} tokens, built in {:?}", tokenizer.vocab_size(), start.elapsed());

    let reference = json(&format!("tokens-{name}.json"));
    let mut wrong = Vec::new();
    for (i, text) in strings().iter().enumerate() {
        let plain = ids(&reference["plain"][i]);
        let special = reference["special"].get(i.to_string()).map_or_else(|| plain.clone(), ids);
        let got = tokenizer.encode(text).unwrap();
        assert!(
            got.iter().all(|&id| !tokenizer.is_control(id) || tokenizer.token_text(id).to_lowercase().contains("unk")),
            "{text:?} became a control token: {got:?}"
        );
        if got != plain {
            wrong.push(format!("plain {text:?}: {got:?}, not {plain:?}"));
        }
        let got = tokenizer.encode_special(text).unwrap();
        if got != special {
            wrong.push(format!("special {text:?}: {got:?}, not {special:?}"));
        }
        let expected = match back {
            Back::Exactly => text.replace('▁', if name.contains("gemma") { " " } else { "▁" }),
            Back::Composed => unicode_normalization::UnicodeNormalization::nfc(text.as_str()).collect(),
            Back::AfterSpace if text.is_empty() => String::new(),
            Back::AfterSpace => format!(" {}", text.replace('▁', " ")),
            Back::No => continue,
        };
        assert_eq!(decode(&tokenizer, &plain), expected);
    }
    assert!(wrong.is_empty(), "{name}: {} differ\n{}", wrong.len(), wrong.join("\n"));
    Some(tokenizer)
}

#[test]
fn qwen2_ids_equal_the_reference() {
    let Some(t) = equals_reference("qwen2.5-coder-0.5b-instruct", Back::Composed) else {
        return;
    };
    assert_eq!((t.vocab_size(), t.add_bos()), (151_936, false));
    assert_eq!((t.eos(), t.eot()), (Some(151_645), Some(151_645)));
    assert!(t.is_end_of_generation(151_643) && t.is_end_of_generation(151_645) && !t.is_end_of_generation(151_644));
    assert_eq!(
        (t.token_id("<|im_start|>"), t.token_id(" world"), t.token_id("<|im_")),
        (Some(151_644), Some(1879), None)
    );
    assert!(t.is_control(151_644) && t.is_control(151_665) && !t.is_control(151_657) && t.is_control(u32::MAX));
    assert_eq!((t.token_bytes(151_644), t.token_bytes(1879)), (&b""[..], &b" world"[..]));
}

#[test]
fn smollm2_ids_equal_the_reference() {
    let Some(t) = equals_reference("smollm2-135m-instruct", Back::Exactly) else {
        return;
    };
    assert_eq!((t.bos(), t.eos(), t.eot(), t.add_bos()), (Some(1), Some(2), Some(2), false));
    assert!(t.is_end_of_generation(0) && t.is_end_of_generation(2) && !t.is_end_of_generation(1));
}

#[test]
fn gpt2_ids_equal_the_reference() {
    equals_reference("vocab-gpt-2", Back::Exactly);
}

#[test]
fn llama3_ids_equal_the_reference() {
    let Some(t) = equals_reference("vocab-llama-bpe", Back::Exactly) else {
        return;
    };
    assert_eq!((t.bos(), t.eot(), t.add_bos()), (Some(128_000), Some(128_009), true));
}

#[test]
fn gemma3_ids_equal_the_reference() {
    let Some(t) = equals_reference("gemma3-270m", Back::Exactly) else {
        return;
    };
    assert_eq!((t.bos(), t.eos(), t.eot(), t.add_bos()), (Some(2), Some(1), Some(106), true));
}

#[test]
fn llama2_ids_equal_the_reference() {
    equals_reference("vocab-llama-spm", Back::AfterSpace);
}

#[test]
fn embeddinggemma_ids_equal_the_reference() {
    let Some(t) = equals_reference("embeddinggemma-300m", Back::Exactly) else {
        return;
    };
    assert_eq!((t.bos(), t.eos(), t.add_bos(), t.add_eos()), (Some(2), Some(1), true, true));
}

#[test]
fn minilm_ids_equal_the_reference() {
    let Some(t) = equals_reference("minilm-l6-v2", Back::No) else {
        return;
    };
    assert_eq!((t.bos(), t.eos(), t.add_bos(), t.add_eos()), (Some(101), Some(102), true, true));
}

#[test]
fn bge_ids_equal_the_reference() {
    equals_reference("vocab-bert-bge", Back::No);
}

#[test]
fn unigram_ids_equal_the_reference() {
    equals_reference("vocab-nomic-bert-moe", Back::No);
}
