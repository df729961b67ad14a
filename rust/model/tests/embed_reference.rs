//! Vectors of real models against sentence-transformers (float32, CPU), see `reference/make_embeddings.py`.
//!
//! Needs the models' folders; a test whose model is absent says so and passes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage, Precision, convert};

#[path = "common/embedding.rs"]
mod embedding;
use embedding::{cosine, reference, texts, vectors};

/// Folder of a model in the cache of downloaded models, if it is there.
fn model_folder(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("LOREKIT_CACHE").map(PathBuf::from)?;
    let folder = cache.join("models").join(name);
    folder.join("source").is_dir().then_some(folder)
}

fn open(path: &Path) -> Embedder {
    Embedder::open(path, &EmbedderOptions { threads: 2, ..Default::default() }).unwrap()
}

/// Converts, embeds all texts, and compares with the reference.
fn check(name: &str, precision: Precision, at_least: f64) {
    let Some(folder) = model_folder(name) else {
        println!("skipped: no {name} under $LOREKIT_CACHE/models");
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("model.gguf");
    convert(&folder.join("source"), &path, precision, &mut |_, _| {}, &CancelToken::new()).unwrap();
    let embedder = open(&path);
    let reference = reference(name, embedder.dims());
    let mut worst = (1.0, 0);
    for (index, (found, wanted)) in vectors(&embedder).iter().zip(&reference).enumerate() {
        let cosine = cosine(found, wanted);
        if cosine < worst.0 {
            worst = (cosine, index);
        }
    }
    println!("{name} {precision:?}: lowest cosine {:.6} (text {})", worst.0, worst.1);
    assert!(worst.0 >= at_least, "text {} has cosine {}", worst.1, worst.0);
}

#[test]
fn minilm_f32_has_the_reference_vectors() {
    check("minilm-l6-v2", Precision::F32, 0.9999);
}

#[test]
fn minilm_f16_has_the_reference_vectors() {
    check("minilm-l6-v2", Precision::F16, 0.9999);
}

#[test]
fn minilm_q8_is_within_a_hundredth_of_the_reference() {
    check("minilm-l6-v2", Precision::Q8_0, 0.99);
}

#[test]
fn embeddinggemma_f16_has_the_reference_vectors() {
    check("embeddinggemma-300m", Precision::F16, 0.999);
}

#[test]
fn embeddinggemma_q8_is_within_a_hundredth_of_the_reference() {
    check("embeddinggemma-300m", Precision::Q8_0, 0.99);
}

#[test]
fn rankings_of_the_reference_survive_quantization() {
    for name in ["minilm-l6-v2", "embeddinggemma-300m"] {
        let Some(folder) = model_folder(name).filter(|folder| folder.join("model.gguf").exists()) else {
            println!("skipped: no converted {name} under $LOREKIT_CACHE/models");
            continue;
        };
        let embedder = open(&folder.join("model.gguf"));
        let reference = reference(name, embedder.dims());
        let found = vectors(&embedder);
        let (queries, passages): (Vec<usize>, Vec<usize>) =
            (0..found.len()).partition(|&index| texts()[index].kind == "query");
        for &query in &queries {
            let best = |vectors: &[Vec<f32>]| {
                let score = |&passage: &usize| cosine(&vectors[query], &vectors[passage]);
                let mut scores: Vec<(f64, usize)> = passages.iter().map(|p| (score(p), *p)).collect();
                scores.sort_by(|a, b| b.0.total_cmp(&a.0));
                (scores[0], scores[1])
            };
            let (first, second) = best(&reference);
            // Two passages as good as tied may change places.
            if first.0 - second.0 > 0.02 {
                assert_eq!(best(&found).0.1, first.1, "{name}: best passage of query {query}");
            }
        }
    }
}

#[test]
fn leading_values_of_a_matryoshka_model_are_the_truncated_vector() {
    let Some(path) = model_folder("embeddinggemma-300m").map(|folder| folder.join("model.gguf")) else {
        println!("skipped: no embeddinggemma-300m under $LOREKIT_CACHE/models");
        return;
    };
    if !path.exists() {
        println!("skipped: embeddinggemma-300m is not converted");
        return;
    }
    let cancel = CancelToken::new();
    let whole = open(&path).embed_query("滤芯多久换一次", &cancel).unwrap();
    let options = EmbedderOptions { threads: 2, dims: Some(256), ..Default::default() };
    let short = Embedder::open(&path, &options).unwrap();
    assert_eq!(short.fingerprint().dims, 256);
    let vector = short.embed_query("滤芯多久换一次", &cancel).unwrap();
    assert_eq!(vector.len(), 256);
    let norm: f64 = vector.iter().map(|&value| f64::from(value).powi(2)).sum();
    assert!((norm - 1.0).abs() < 1e-5);
    assert!(cosine(&vector, &whole[..256]) > 1.0 - 1e-6);
}

#[test]
fn a_passage_has_the_same_bits_alone_and_in_any_batch() {
    let Some(path) = model_folder("minilm-l6-v2").map(|folder| folder.join("model.gguf")).filter(|p| p.exists()) else {
        println!("skipped: no converted minilm-l6-v2 under $LOREKIT_CACHE/models");
        return;
    };
    embedding::assert_batching_changes_nothing(&open(&path));
}

#[test]
fn a_cancelled_build_ends_with_an_error() {
    let Some(path) = model_folder("minilm-l6-v2").map(|folder| folder.join("model.gguf")).filter(|p| p.exists()) else {
        println!("skipped: no converted minilm-l6-v2 under $LOREKIT_CACHE/models");
        return;
    };
    let cancel = CancelToken::new();
    let passages = vec![Passage { title: None, text: "x y z" }; 2000];
    let mut calls = 0;
    let result = open(&path).embed_passages(
        &passages,
        &mut |_| {
            calls += 1;
            cancel.cancel();
        },
        &cancel,
    );
    assert!(matches!(result, Err(lorekit_model::Error::Cancelled(_))));
    assert_eq!(calls, 1);
}
