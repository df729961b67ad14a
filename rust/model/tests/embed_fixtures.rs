//! The committed tiny models (`reference/make_embeddings.py --tiny`): every architecture, tokenizer, pooling and element
//! type that the converter takes, against sentence-transformers, on every machine.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{
    ConvertOptions, Embedder, EmbedderFingerprint, EmbedderOptions, Passage, Pooling, Precision, convert, convert_with,
};
use tempfile::TempDir;

#[path = "common/embedding.rs"]
mod embedding;
use embedding::{cosine, reference, reference_folder, vectors};

const TINY: [&str; 3] = ["tiny_bert", "tiny_xlmr", "tiny_gemma"];

struct Converted {
    folder: TempDir,
}

impl Converted {
    fn new(source: &Path, precision: Precision) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model.gguf");
        convert(source, &out, precision, &mut |_, _| {}, &CancelToken::new()).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.gguf")
    }

    fn open(&self) -> Embedder {
        Embedder::open(&self.path(), &EmbedderOptions { threads: 2, ..Default::default() }).unwrap()
    }
}

fn tiny(name: &str, precision: Precision) -> Converted {
    Converted::new(&reference_folder().join(name), precision)
}

/// A copy of a fixture's folder without some of its files.
fn without(name: &str, files: &[&str]) -> TempDir {
    fn copy(from: &Path, to: &Path, without: &[&str]) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target, without);
            } else if !without.iter().any(|name| entry.file_name() == *name) {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&reference_folder().join(name), folder.path(), files);
    folder
}

fn lowest_cosine(name: &str, precision: Precision) -> f64 {
    let embedder = tiny(name, precision).open();
    let reference = reference(name, embedder.dims());
    let found = vectors(&embedder);
    let lowest = found.iter().zip(&reference).map(|(a, b)| cosine(a, b)).fold(1.0, f64::min);
    println!("{name} {precision:?}: lowest cosine {lowest:.6}");
    lowest
}

#[test]
fn float_weights_give_the_reference_vectors() {
    for name in TINY {
        // The stored reference is float16: about 1e-6 of cosine.
        assert!(lowest_cosine(name, Precision::F32) > 0.99999, "{name}");
        assert!(lowest_cosine(name, Precision::F16) > 0.9999, "{name}");
    }
}

#[test]
fn the_fixtures_see_one_position_more_in_the_window() {
    let folder = without("tiny_gemma", &[]);
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"sliding_window\": 8", "\"sliding_window\": 10")).unwrap();
    let wider = vectors(&Converted::new(folder.path(), Precision::F32).open());
    let lowest = wider.iter().zip(&reference("tiny_gemma", 32)).map(|(a, b)| cosine(a, b)).fold(1.0, f64::min);
    assert!(lowest < 0.999, "a wrong window gives {lowest}");
}

#[test]
fn eight_bit_weights_stay_close_to_the_reference() {
    for name in TINY {
        // Random weights of width 32 have nothing to average over; real models are held to 0.99 as well.
        assert!(lowest_cosine(name, Precision::Q8_0) > 0.99, "{name}");
    }
}

#[test]
fn a_passage_has_the_same_bits_alone_and_in_any_batch() {
    for name in TINY {
        for precision in [Precision::F32, Precision::F16, Precision::Q8_0] {
            embedding::assert_batching_changes_nothing(&tiny(name, precision).open());
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for name in TINY {
        let converted = tiny(name, Precision::Q8_0);
        let with = |threads| {
            Embedder::open(&converted.path(), &EmbedderOptions { threads, ..Default::default() })
                .map(|embedder| vectors(&embedder))
                .unwrap()
        };
        assert!(with(1) == with(3), "{name}");
    }
}

#[test]
fn a_vocabulary_without_its_sentencepiece_file_tokenizes_alike() {
    let from_json = Converted::new(without("tiny_gemma", &["tokenizer.model"]).path(), Precision::F32).open();
    assert!(vectors(&from_json) == vectors(&tiny("tiny_gemma", Precision::F32).open()));
}

#[test]
fn a_vocabulary_in_plain_text_tokenizes_alike() {
    let from_text = Converted::new(without("tiny_bert", &["tokenizer.json"]).path(), Precision::F32).open();
    assert!(vectors(&from_text) == vectors(&tiny("tiny_bert", Precision::F32).open()));
}

#[test]
fn folders_as_newer_sentence_transformers_write_them_mean_the_same() {
    let folder = without("tiny_bert", &["sentence_bert_config.json"]);
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    write("1_Pooling/config.json", r#"{"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": true}"#);
    write("sentence_bert_config.json", r#"{"transformer_task": "feature-extraction"}"#);
    let modules = std::fs::read_to_string(folder.path().join("modules.json")).unwrap();
    let newer = modules
        .replace("models.Transformer", "base.modules.transformer.Transformer")
        .replace("models.Pooling", "sentence_transformer.modules.pooling.Pooling");
    write("modules.json", &newer);
    let older = Converted::new(&reference_folder().join("tiny_bert"), Precision::F32);
    let newer = Converted::new(folder.path(), Precision::F32);
    assert!(std::fs::read(older.path()).unwrap() == std::fs::read(newer.path()).unwrap());
}

#[test]
fn a_file_without_our_keys_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut writer = lorekit_model::GgufWriter::new();
    writer.put("general.architecture", "bert").unwrap();
    writer.write(&path, []).unwrap();
    match Embedder::open(&path, &EmbedderOptions::default()) {
        Err(lorekit_model::Error::Unsupported { what, .. }) => assert_eq!(what, "embedder file"),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn long_texts_are_cut_at_the_limit_and_named() {
    let embedder = tiny("tiny_xlmr", Precision::F32).open();
    assert_eq!(embedder.max_tokens(), 128);
    let long = "水 ".repeat(500);
    let passages = [
        Passage { title: None, text: "门" },
        Passage { title: None, text: &long },
        Passage { title: None, text: "水" },
    ];
    assert!(embedder.count_passage_tokens(&passages[1]).unwrap() > 128);
    let out = embedder.embed_passages_reported(&passages, &mut |_| {}, &CancelToken::new()).unwrap();
    assert_eq!(out.truncated, [1]);
    let short: usize = [0, 2].map(|index| embedder.count_passage_tokens(&passages[index]).unwrap()).iter().sum();
    assert_eq!(out.tokens as usize, short + 128);
}

#[test]
fn an_empty_text_and_no_text_at_all_are_fine() {
    for name in TINY {
        let embedder = tiny(name, Precision::Q8_0).open();
        let cancel = CancelToken::new();
        assert!(embedder.embed_passages(&[], &mut |_| {}, &cancel).unwrap().is_empty());
        let vector = embedder.embed_query("", &cancel).unwrap();
        assert!(vector.iter().all(|value| value.is_finite()) && vector.len() == embedder.dims());
    }
}

#[test]
fn words_of_control_in_a_text_are_only_words() {
    for (name, control) in [("tiny_bert", "[SEP]"), ("tiny_xlmr", "</s>"), ("tiny_gemma", "<eos>")] {
        let embedder = tiny(name, Precision::F32).open();
        assert!(embedder.count_tokens(control).unwrap() > 1, "{name}: {control} is one token");
    }
}

#[test]
fn the_fingerprint_names_what_decides_the_vectors() {
    let converted = tiny("tiny_gemma", Precision::Q8_0);
    let embedder = converted.open();
    let fingerprint = embedder.fingerprint();
    let hash = blake3::hash(&std::fs::read(converted.path()).unwrap()).to_hex().to_string();
    assert_eq!(
        *fingerprint,
        EmbedderFingerprint {
            weights: hash,
            architecture: "gemma-embedding".to_owned(),
            dims: 32,
            pooling: Pooling::Mean,
            normalized: true,
            query_prefix: "task: search result | query: ".to_owned(),
            document_prefix: "title: {title|none} | text: ".to_owned(),
            max_tokens: 200,
        }
    );
    let json = serde_json::to_string(fingerprint).unwrap();
    assert_eq!(serde_json::from_str::<EmbedderFingerprint>(&json).unwrap(), *fingerprint);
    assert!(fingerprint.to_string().starts_with("gemma-embedding-32-mean "));
    let options = EmbedderOptions { threads: 1, dims: Some(16), max_tokens: Some(64), ..EmbedderOptions::default() };
    let other = Embedder::open(&converted.path(), &options).unwrap();
    assert_ne!(other.fingerprint(), fingerprint);
}

#[test]
fn options_beyond_the_model_are_refused() {
    let converted = tiny("tiny_bert", Precision::F32);
    for options in [
        EmbedderOptions { dims: Some(0), ..Default::default() },
        EmbedderOptions { dims: Some(33), ..Default::default() },
        EmbedderOptions { max_tokens: Some(129), ..Default::default() },
        EmbedderOptions { max_tokens: Some(2), ..Default::default() },
    ] {
        let result = Embedder::open(&converted.path(), &options);
        assert!(matches!(result, Err(lorekit_model::Error::InvalidArgument(_))), "{options:?}");
    }
}

#[test]
fn an_embedder_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let embedder = tiny("tiny_bert", Precision::Q8_0).open();
    shared(&embedder);
    let cancel = CancelToken::new();
    let expected = embedder.embed_query("门", &cancel).unwrap();
    let passages = vec![Passage { title: None, text: "水 abc" }; 500];
    let first = embedder.embed_passages(&passages[..1], &mut |_| {}, &cancel).unwrap().remove(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let vectors = embedder.embed_passages(&passages, &mut |_| {}, &cancel).unwrap();
            assert!(vectors.iter().all(|vector| *vector == first));
        });
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(embedder.embed_query("门", &cancel).unwrap() == expected);
                }
            });
        }
    });
}

#[test]
fn prefixes_of_the_publisher_replace_those_of_the_folder() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("m.gguf");
    let options = ConvertOptions {
        query_prefix: Some("为这个句子生成表示以用于检索相关文章：".to_owned()),
        ..Default::default()
    };
    let source = reference_folder().join("tiny_bert");
    convert_with(&source, &path, Precision::F32, &options, &mut |_, _| {}, &CancelToken::new()).unwrap();
    let embedder = Embedder::open(&path, &EmbedderOptions::default()).unwrap();
    assert_eq!(embedder.fingerprint().query_prefix, options.query_prefix.unwrap());
    assert_eq!(embedder.fingerprint().pooling, Pooling::Cls);
}
