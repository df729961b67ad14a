//! Converting is a function of the source's bytes; sources and model files that are wrong give typed errors.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_model::Error;
use lorekit_model::embed::{Embedder, EmbedderOptions, Precision, convert};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn copy_of(name: &str) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(name), folder.path());
    folder
}

/// The result of converting a folder; on an error nothing may be left behind.
fn converted(source: &Path, precision: Precision) -> Result<Vec<u8>, Error> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("model.gguf");
    let result = convert(source, &path, precision, &mut |_, _| {}, &CancelToken::new());
    if result.is_err() {
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "a file is left after an error");
    }
    result.map(|_| fs::read(path).unwrap())
}

/// Replaces a piece of a text file in a copy of a fixture and converts it.
fn with_edit(name: &str, file: &str, from: &str, to: &str) -> Result<Vec<u8>, Error> {
    let folder = copy_of(name);
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(&path, text.replace(from, to)).unwrap();
    converted(folder.path(), Precision::Q8_0)
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    for name in ["tiny_bert", "tiny_xlmr", "tiny_gemma"] {
        for precision in [Precision::F32, Precision::F16, Precision::Q8_0] {
            let again = converted(copy_of(name).path(), precision).unwrap();
            assert!(converted(&fixture(name), precision).unwrap() == again, "{name} {precision:?}");
        }
    }
}

#[test]
fn progress_ends_at_the_total_and_a_cancelled_conversion_leaves_nothing() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("model.gguf");
    let mut last = (0, 1);
    let mut steps = 0;
    let mut progress = |done, total| {
        assert!(done > last.0 && done <= total);
        last = (done, total);
        steps += 1;
    };
    convert(&fixture("tiny_bert"), &path, Precision::F32, &mut progress, &CancelToken::new()).unwrap();
    assert!(steps > 10 && last.0 == last.1);

    let cancel = CancelToken::new();
    let path = out.path().join("other.gguf");
    let result = convert(&fixture("tiny_bert"), &path, Precision::F32, &mut |_, _| cancel.cancel(), &cancel);
    assert!(matches!(result, Err(Error::Cancelled(_))));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn configurations_that_make_no_sense_are_damaged() {
    for (file, from, to) in [
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 0"),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 48"),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 18446744073709551615"),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": \"32\""),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000"),
        ("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5"),
        ("config.json", "{", "["),
        ("modules.json", "\"1_Pooling\"", "\"../1_Pooling\""),
        ("modules.json", "\"1_Pooling\"", "\"/etc\""),
        ("sentence_bert_config.json", "128", "1"),
        ("tokenizer.json", "\"[CLS]\": 2", "\"[CLS]\": 4294967295"),
    ] {
        let result = with_edit("tiny_bert", file, from, to);
        assert!(matches!(result, Err(Error::Damaged { .. })), "{file}: {to}: {:?}", result.err());
    }
}

#[test]
fn a_gemma_configuration_with_zeros_is_an_error() {
    for key in ["num_key_value_heads", "head_dim", "num_attention_heads", "sliding_window", "vocab_size"] {
        let folder = copy_of("tiny_gemma");
        let path = folder.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[key] = 0.into();
        fs::write(&path, config.to_string()).unwrap();
        let error = converted(folder.path(), Precision::F32).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. } | Error::Unsupported { .. }), "{key}: {error}");
    }
}

#[test]
fn what_the_embedder_does_not_run_is_named() {
    for (name, file, from, to) in [
        ("tiny_bert", "config.json", "\"model_type\": \"bert\"", "\"model_type\": \"deberta\""),
        ("tiny_bert", "config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\""),
        ("tiny_bert", "modules.json", ".Normalize", ".LayerNorm"),
        (
            "tiny_bert",
            "1_Pooling/config.json",
            "\"pooling_mode_mean_tokens\": false",
            "\"pooling_mode_mean_tokens\": true",
        ),
        ("tiny_bert", "tokenizer.json", "\"BertPreTokenizer\"", "\"Whitespace\""),
        ("tiny_xlmr", "tokenizer.json", "\"Unigram\"", "\"WordLevel\""),
        (
            "tiny_gemma",
            "config.json",
            "\"use_bidirectional_attention\": true",
            "\"use_bidirectional_attention\": false",
        ),
        ("tiny_gemma", "2_Dense/config.json", "linear.Identity", "activation.Tanh"),
    ] {
        let result = with_edit(name, file, from, to);
        assert!(matches!(result, Err(Error::Unsupported { .. })), "{file}: {to}: {:?}", result.err());
    }
}

#[test]
fn every_missing_file_is_an_error_with_its_name() {
    for file in ["config.json", "model.safetensors", "1_Pooling/config.json"] {
        let folder = copy_of("tiny_bert");
        fs::remove_file(folder.path().join(file)).unwrap();
        match converted(folder.path(), Precision::F32) {
            Err(Error::Io { path, .. }) => assert!(path.ends_with(file), "{}", path.display()),
            other => panic!("{file}: {:?}", other.err()),
        }
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let folder = copy_of("tiny_gemma");
    let path = folder.path().join("2_Dense/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(converted(folder.path(), Precision::Q8_0), Err(Error::Damaged { .. })));
    bytes[end - 4..].copy_from_slice(&1e30f32.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(converted(folder.path(), Precision::F16), Err(Error::Damaged { .. })));
    assert!(converted(folder.path(), Precision::F32).is_ok());
}

#[test]
fn a_cut_or_altered_weights_file_never_panics() {
    let folder = copy_of("tiny_bert");
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for cut in [0, 4, 8, 9, 1000, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(matches!(converted(folder.path(), Precision::F32), Err(Error::Damaged { .. })), "cut at {cut}");
    }
    let mut seed = 1u64;
    for _ in 0..150 {
        let mut altered = bytes.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            altered[(seed >> 33) as usize % 6000] = (seed >> 20) as u8;
        }
        fs::write(&path, &altered).unwrap();
        let _ = converted(folder.path(), Precision::Q8_0); // any result, no panic
    }
}

#[test]
fn an_altered_model_file_is_an_error_or_a_model_but_never_a_panic() {
    for name in ["tiny_bert", "tiny_gemma"] {
        let bytes = converted(&fixture(name), Precision::Q8_0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let mut seed = 7u64;
        let mut refused = 0;
        for _ in 0..150 {
            let mut altered = bytes.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // The keys that describe the model stand in the first two kilobytes; the vocabulary follows.
                altered[(seed >> 33) as usize % 2500] = (seed >> 20) as u8;
            }
            fs::write(&path, &altered).unwrap();
            match Embedder::open(&path, &EmbedderOptions::default()) {
                Ok(embedder) => drop(embedder.embed_query("门 a", &CancelToken::new())),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 50, "{name}: only {refused} of 150 refused");
    }
}
