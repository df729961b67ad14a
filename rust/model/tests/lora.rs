//! LoRA: against PEFT and llama.cpp, against merged weights, and files that do not fit.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod logits_support;

use std::path::Path;
use std::sync::Arc;

use logits_support::*;
use lorekit_cancel::CancelToken;
use lorekit_model::{Adapter, AdapterPart, AdapterSet, Error, LanguageModel, LoadOptions};
use lorekit_testkit::{GgufEmitter, TensorFormat, TinyAdapter, TinyArchitecture, TinyModel, VOCABULARY_SIZE};

fn both() -> [LoadOptions; 2] {
    [cpu(), portable()]
}

fn adapter(tiny: &TinyAdapter, model: &LanguageModel) -> Arc<Adapter> {
    Adapter::from_bytes(Path::new("adapter.gguf"), &tiny.to_gguf(), model).unwrap()
}

/// `W + s B A` for every adapted tensor, in f64, then rounded to f32.
fn merged(base: TinyModel, parts: &[(TinyAdapter, f32)]) -> Vec<u8> {
    let file = base.to_emitter_with(|name, shape, values| {
        for (adapter, strength) in parts {
            if adapter.targets().iter().any(|(target, _)| target == name) {
                let (columns, rows, rank) = (shape[0], shape[1], adapter.rank);
                let (a, b) = (adapter.a(name, columns), adapter.b(name, rows));
                let scale = if adapter.alpha == 0.0 { 1.0 } else { adapter.alpha / rank as f32 } * strength;
                for (i, value) in values.iter_mut().enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    let sum: f64 =
                        (0..rank).map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * columns + column])).sum();
                    *value = (f64::from(*value) + f64::from(scale) * sum) as f32;
                }
            }
        }
        true
    });
    file.to_bytes()
}

#[test]
fn an_adapter_whose_b_is_zero_changes_no_bit() {
    let tokens = random_tokens(1, 30, VOCABULARY_SIZE);
    for architecture in TinyArchitecture::ALL {
        for options in both() {
            let model = from_bytes(&TinyModel::mixed(architecture, 2).to_gguf(), &options);
            let zero = TinyAdapter { zero_b: true, ..TinyAdapter::new(architecture, 3) };
            let set = AdapterSet::single(adapter(&zero, &model));
            let with = all_logits(&model, &tokens, Some(&set));
            assert_eq!(bits(&with), bits(&all_logits(&model, &tokens, None)), "{architecture:?}");
        }
    }
}

#[test]
fn an_adapter_equals_weights_it_was_merged_into() {
    let tokens = random_tokens(2, 30, VOCABULARY_SIZE);
    for architecture in TinyArchitecture::ALL {
        let base = TinyModel::f32(architecture, 4);
        let tiny = TinyAdapter::new(architecture, 5);
        for options in both() {
            let model = from_bytes(&base.to_gguf(), &options);
            let set = AdapterSet::single(adapter(&tiny, &model));
            let with = all_logits(&model, &tokens, Some(&set));
            let truth = all_logits(&from_bytes(&merged(base, &[(tiny, 1.0)]), &options), &tokens, None);
            let changed = max_difference(&all_logits(&model, &tokens, None), &truth);
            let error = max_difference(&with, &truth);
            eprintln!("{architecture:?}: changed by {changed}, error {error}");
            // Rounding of f32 sums, and of keys and values to f16 on our path, where the two may fall to different sides.
            assert!(error < 0.005 && error < 0.01 * changed, "{architecture:?}: {error} of {changed}");
        }
    }
}

#[test]
fn adapters_add_up_with_their_strengths() {
    let tokens = random_tokens(3, 20, VOCABULARY_SIZE);
    let architecture = TinyArchitecture::Qwen2;
    let base = TinyModel::f32(architecture, 4);
    let first = TinyAdapter { rank: 2, alpha: 0.0, ..TinyAdapter::new(architecture, 6) };
    let second = TinyAdapter { rank: 8, format: TensorFormat::F32, ..TinyAdapter::new(architecture, 7) };
    for options in both() {
        let model = from_bytes(&base.to_gguf(), &options);
        let set = AdapterSet::new(vec![(adapter(&first, &model), 0.5), (adapter(&second, &model), -1.5)]).unwrap();
        let with = all_logits(&model, &tokens, Some(&set));
        let truth = all_logits(&from_bytes(&merged(base, &[(first, 0.5), (second, -1.5)]), &options), &tokens, None);
        assert!(max_difference(&with, &truth) < 0.02);
        assert!(AdapterSet::new(vec![(adapter(&first, &model), f32::NAN)]).is_err());
    }
}

/// Files made by PEFT and llama.cpp's converter. With f32 weights PEFT is the truth; with Q8_0 weights llama.cpp's own
/// distance from it is the bar.
#[test]
fn adapters_do_what_peft_and_llama_cpp_make_of_them() {
    for family in ["llama", "qwen2"] {
        let json = reference_json(&format!("lora/{family}.json"));
        for kind in ["f32", "q8_0"] {
            for options in both() {
                let model =
                    LanguageModel::open(&reference(&format!("lora/tiny-{family}.{kind}.gguf")), &options).unwrap();
                for name in ["base", "all", "qv"] {
                    let set = (name != "base").then(|| {
                        let path = reference(&format!("lora/{family}-{name}.gguf"));
                        AdapterSet::single(Adapter::open(&path, &model).unwrap())
                    });
                    let ours: Vec<f32> =
                        prompts(&json).iter().flat_map(|tokens| all_logits(&model, tokens, set.as_ref())).collect();
                    let (truth, columns) = npy(&format!("lora/{family}.{kind}.{name}.f32.npy"));
                    let (theirs, _) = npy(&format!("lora/{family}.{kind}.{name}.llama_cpp.npy"));
                    let divergence = mean_divergence(&truth, &ours, columns);
                    let bar = if kind == "f32" { 1e-5 } else { 1.5 * mean_divergence(&truth, &theirs, columns) };
                    let greatest = max_difference(&truth, &ours);
                    eprintln!("{family} {kind} {name}: KL {divergence:e} of {bar:e}, greatest {greatest}");
                    assert!(divergence <= bar, "{family} {kind} {name}: {divergence} of {bar}");
                }
            }
        }
    }
}

#[test]
fn adapters_with_f16_numbers_are_read() {
    let architecture = TinyArchitecture::Glm4;
    let model = from_bytes(&TinyModel::f32(architecture, 4).to_gguf(), &cpu());
    let tokens = random_tokens(4, 20, VOCABULARY_SIZE);
    let full = TinyAdapter::new(architecture, 8);
    let half = TinyAdapter { format: TensorFormat::F16, ..full };
    let [full, half] = [full, half].map(|tiny| AdapterSet::single(adapter(&tiny, &model)));
    assert_ne!(full.id(), half.id());
    let difference =
        max_difference(&all_logits(&model, &tokens, Some(&full)), &all_logits(&model, &tokens, Some(&half)));
    // A and B rounded to 11 bits.
    assert!(difference > 0.0 && difference < 0.05, "{difference}");
}

#[test]
fn a_cache_belongs_to_the_adapters_it_was_computed_with() {
    let architecture = TinyArchitecture::Qwen3;
    let model = from_bytes(&TinyModel::mixed(architecture, 4).to_gguf(), &cpu());
    let set = AdapterSet::single(adapter(&TinyAdapter::new(architecture, 9), &model));
    let cancel = CancelToken::new();
    let mut session = model.new_session(20).unwrap();
    session.prefill(&[1, 2, 3], Some(&set), &cancel).unwrap();
    assert!(matches!(session.prefill(&[4], None, &cancel), Err(Error::InvalidArgument(_))));
    let adapted = session.prefill(&[4], Some(&set), &cancel).unwrap().to_vec();
    let snapshot = session.snapshot(0..4).unwrap();
    assert_ne!(model.prefix_key(&[1, 2, 3], Some(&set)), model.prefix_key(&[1, 2, 3], None));

    session.truncate(0);
    let plain = session.prefill(&[1, 2, 3, 4], None, &cancel).unwrap().to_vec();
    assert!(max_difference(&plain, &adapted) > 0.1, "the adapter does something");
    session.restore(&snapshot).unwrap();
    assert!(matches!(session.prefill(&[5], None, &cancel), Err(Error::InvalidArgument(_))));
    session.prefill(&[5], Some(&set), &cancel).unwrap();
    let none = AdapterSet::default();
    session.truncate(0);
    assert_eq!(
        bits(session.prefill(&[1, 2, 3, 4], Some(&none), &cancel).unwrap()),
        bits(&plain),
        "no adapters is none"
    );
}

#[test]
fn adapters_that_do_not_fit_say_where() {
    let architecture = TinyArchitecture::Qwen2;
    let model = from_bytes(&TinyModel::f32(architecture, 4).to_gguf(), &cpu());
    let tiny = TinyAdapter::new(architecture, 1);
    let mismatch = |bytes: Vec<u8>| match Adapter::from_bytes(Path::new("wrong.gguf"), &bytes, &model) {
        Err(Error::AdapterMismatch { reason, .. }) => reason,
        Err(Error::Unsupported { what, found, .. }) => format!("{what} {found}"),
        other => panic!("{other:?}"),
    };
    let has = |text: String, part: &str| assert!(text.contains(part), "{text}");
    let with = |change: &dyn Fn(&mut GgufEmitter) -> &mut GgufEmitter| {
        let mut file = tiny.to_emitter();
        change(&mut file);
        file.to_bytes()
    };
    let f32 = TensorFormat::F32;
    has(mismatch(TinyAdapter::new(TinyArchitecture::Llama, 1).to_gguf()), "llama");
    has(mismatch(with(&|f| f.str("general.type", "model"))), "general.type");
    has(mismatch(with(&|f| f.remove("adapter.type"))), "adapter.type");
    has(mismatch(with(&|f| f.str("adapter.type", "control_vector"))), "control_vector");
    has(mismatch(with(&|f| f.f32("adapter.lora.alpha", f32::NAN))), "alpha");
    let pair = |base: &str, columns: usize, rank_a: usize, rank_b: usize, rows: usize| {
        with(&|f| {
            f.tensor(&format!("{base}.lora_a"), &[columns, rank_a], f32, &vec![0.5; columns * rank_a]);
            f.tensor(&format!("{base}.lora_b"), &[rank_b, rows], f32, &vec![0.5; rank_b * rows])
        })
    };
    has(mismatch(pair("blk.7.attn_q.weight", 64, 2, 2, 64)), "blk.7.attn_q.weight");
    has(mismatch(pair("blk.0.attn_norm.weight", 64, 2, 2, 64)), "blk.0.attn_norm.weight");
    has(mismatch(pair("token_embd.weight", 64, 2, 2, VOCABULARY_SIZE)), "token_embd.weight");
    has(mismatch(pair("output.weight", 64, 2, 3, VOCABULARY_SIZE)), "rank 2 in A and 3 in B");
    has(mismatch(pair("output.weight", 32, 2, 2, VOCABULARY_SIZE)), "output.weight");
    has(mismatch(pair("output.weight", 64, 2, 2, 64)), "output.weight");
    has(mismatch(with(&|f| f.tensor("output.weight.lora_a", &[64, 2], f32, &[0.5; 128]))), "only one of A and B");
    has(mismatch(with(&|f| f.tensor("output.weight", &[64], f32, &[0.5; 64]))), "no part of a low-rank pair");
    let wild =
        AdapterPart { base: "output.weight".to_owned(), rank: 1, a: vec![f32::NAN; 64], b: vec![0.0; VOCABULARY_SIZE] };
    assert!(matches!(Adapter::from_parts("wild", 1.0, vec![wild], &model), Err(Error::AdapterMismatch { .. })));

    let other = from_bytes(&TinyModel::f32(architecture, 5).to_gguf(), &cpu());
    let set = AdapterSet::single(adapter(&tiny, &other));
    let refused = model.new_session(4).unwrap().prefill(&[1], Some(&set), &CancelToken::new()).map(<[f32]>::len);
    assert!(matches!(refused, Err(Error::AdapterMismatch { .. })));
}
