//! Both compute paths on tiny models of every family: they agree with each other, results do not depend on how the
//! work was cut, caches can be reused, kept and put back, and hostile files end in an error.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod logits_support;

use std::path::Path;
use std::sync::Arc;

use logits_support::*;
use lorekit_cancel::CancelToken;
use lorekit_model::{Architecture, Error, Gguf, KvSnapshot, KvType, LanguageModel, LoadOptions, Session, Tokenizer};
use lorekit_testkit::{GgufEmitter, TensorFormat, TinyArchitecture, TinyModel, VOCABULARY_SIZE, Weights};

fn both() -> [LoadOptions; 2] {
    [cpu(), portable()]
}

fn tiny(architecture: TinyArchitecture, options: &LoadOptions) -> Arc<LanguageModel> {
    from_bytes(&TinyModel::mixed(architecture, 5).to_gguf(), options)
}

fn prefill(session: &mut Session, tokens: &[u32]) -> Vec<f32> {
    session.prefill(tokens, None, &CancelToken::new()).unwrap().to_vec()
}

#[test]
fn sessions_and_models_can_move_between_threads() {
    fn sendable<T: Send>() {}
    fn shareable<T: Send + Sync>() {}
    shareable::<LanguageModel>();
    sendable::<Session>();
}

#[test]
fn the_two_paths_agree_on_every_family() {
    let tokens = random_tokens(1, 60, VOCABULARY_SIZE);
    for architecture in TinyArchitecture::ALL {
        for weights in [Weights::F32, Weights::Mixed] {
            let bytes = TinyModel { architecture, weights, seed: 11 }.to_gguf();
            let [ours, theirs] = both().map(|options| all_logits(&from_bytes(&bytes, &options), &tokens, None));
            let spread = (theirs.iter().map(|l| l * l).sum::<f32>() / theirs.len() as f32).sqrt();
            let (greatest, divergence) =
                (max_difference(&ours, &theirs) / spread, mean_divergence(&theirs, &ours, VOCABULARY_SIZE));
            eprintln!("{architecture:?} {weights:?}: {greatest} of a spread of {spread}, KL {divergence}");
            // f32 weights: our cache holds f16 (a relative 5e-4), candle's f32. Quantized weights: both round
            // activations to 8 bits, 32 at a time, but where and how they sum differs.
            let (most, kl) = if weights == Weights::F32 { (0.02, 2e-5) } else { (0.2, 2e-3) };
            assert!(greatest < most, "{architecture:?} {weights:?}: {greatest}");
            assert!(divergence < kl, "{architecture:?} {weights:?}: {divergence}");
        }
    }
}

#[test]
fn pieces_and_threads_do_not_change_a_bit() {
    let tokens = random_tokens(2, 75, VOCABULARY_SIZE);
    for (architecture, kv_type) in TinyArchitecture::ALL.into_iter().flat_map(|a| [(a, KvType::F16), (a, KvType::Q8)]) {
        let cpu = || LoadOptions { kv_type, ..cpu() };
        let whole = all_logits(&tiny(architecture, &cpu()), &tokens, None);
        for (piece, threads) in [(1, 1), (3, 2), (16, 1), (74, 3), (256, 2)] {
            let model = tiny(architecture, &pieces(LoadOptions { threads, ..cpu() }, piece));
            assert_eq!(bits(&all_logits(&model, &tokens, None)), bits(&whole), "{architecture:?}, pieces of {piece}");
            let mut session = model.new_session(100).unwrap();
            let last = prefill(&mut session, &tokens);
            assert_eq!(bits(&last), bits(&whole[74 * VOCABULARY_SIZE..]), "{architecture:?}, pieces of {piece}");
        }
    }
}

#[test]
fn pieces_change_the_portable_path_by_no_more_than_rounding() {
    let tokens = random_tokens(2, 40, VOCABULARY_SIZE);
    for architecture in TinyArchitecture::ALL {
        let bytes = TinyModel::f32(architecture, 5).to_gguf();
        let whole = all_logits(&from_bytes(&bytes, &portable()), &tokens, None);
        for piece in [1, 7] {
            let model = from_bytes(&bytes, &pieces(portable(), piece));
            // Sums of at most 96 f32 products in another order, logits up to 5.
            assert!(max_difference(&all_logits(&model, &tokens, None), &whole) < 1e-4, "{architecture:?}");
            let last = prefill(&mut model.new_session(40).unwrap(), &tokens);
            assert!(max_difference(&last, &whole[39 * VOCABULARY_SIZE..]) < 1e-4, "{architecture:?}");
        }
    }
}

#[test]
fn a_reused_prefix_equals_a_fresh_one() {
    let cancel = CancelToken::new();
    let (shared, first, second) = (
        random_tokens(3, 21, VOCABULARY_SIZE),
        random_tokens(4, 9, VOCABULARY_SIZE),
        random_tokens(5, 13, VOCABULARY_SIZE),
    );
    for architecture in TinyArchitecture::ALL {
        let model = tiny(architecture, &cpu());
        let mut session = model.new_session(64).unwrap();
        prefill(&mut session, &[&shared[..], &first].concat());
        session.truncate(21);
        assert!(session.logits().is_none(), "the logits were those of a forgotten token");
        let reused = prefill(&mut session, &second);
        assert_eq!(session.tokens(), [&shared[..], &second].concat());
        let fresh = prefill(&mut model.new_session(40).unwrap(), &[&shared[..], &second].concat());
        assert_eq!(bits(&reused), bits(&fresh), "{architecture:?}");
        // Drafts: all logits of a wrong guess, then back to the right one.
        session.truncate(21);
        session.forward_all(&first, None, &cancel).unwrap();
        session.truncate(21);
        let again = session.forward_all(&second, None, &cancel).unwrap();
        assert_eq!(bits(&again[12 * VOCABULARY_SIZE..]), bits(&fresh), "{architecture:?}");
        assert_eq!(session.logits().map(bits), Some(bits(&fresh)));
    }
}

#[test]
fn a_snapshot_put_back_continues_with_the_same_bits() {
    let (head, tail) = (random_tokens(6, 30, VOCABULARY_SIZE), random_tokens(7, 5, VOCABULARY_SIZE));
    for architecture in TinyArchitecture::ALL {
        for options in both() {
            let model = tiny(architecture, &options);
            let mut session = model.new_session(50).unwrap();
            prefill(&mut session, &head);
            let snapshot = session.snapshot(0..30).unwrap();
            let straight = prefill(&mut session, &tail);

            let snapshot = KvSnapshot::from_bytes(&snapshot.to_bytes()).unwrap();
            assert_eq!((snapshot.range(), snapshot.tokens()), (0..30, &head[..]));
            let mut other = model.new_session(37).unwrap();
            prefill(&mut other, &tail);
            other.restore(&snapshot).unwrap();
            assert_eq!((other.position(), other.tokens(), other.logits()), (30, &head[..], None));
            assert_eq!(bits(&prefill(&mut other, &tail)), bits(&straight), "{architecture:?}");

            // A part in the middle goes behind the same beginning only.
            let middle = session.snapshot(10..30).unwrap();
            assert!(middle.data_bytes() < snapshot.data_bytes());
            let mut other = model.new_session(40).unwrap();
            prefill(&mut other, &tail);
            assert!(matches!(other.restore(&middle), Err(Error::InvalidArgument(_))));
            assert_eq!(other.tokens(), tail, "a refused snapshot changes nothing");
            other.truncate(0);
            prefill(&mut other, &head[..10]);
            other.restore(&middle).unwrap();
            if matches!(options.backend, lorekit_model::BackendChoice::Cpu) {
                assert_eq!(bits(&prefill(&mut other, &tail)), bits(&straight), "{architecture:?}");
            }
        }
    }
}

#[test]
fn snapshots_of_other_models_and_damaged_ones_are_refused() {
    let model = tiny(TinyArchitecture::Qwen2, &cpu());
    let tokens = random_tokens(8, 12, VOCABULARY_SIZE);
    let mut session = model.new_session(20).unwrap();
    prefill(&mut session, &tokens);
    let snapshot = session.snapshot(0..12).unwrap();
    for range in [0..13, 5..5, 12..12] {
        assert!(matches!(session.snapshot(range), Err(Error::InvalidArgument(_))));
    }
    let other_weights = from_bytes(&TinyModel::mixed(TinyArchitecture::Qwen2, 6).to_gguf(), &cpu());
    let other_path = tiny(TinyArchitecture::Qwen2, &portable());
    for other in [other_weights, other_path] {
        assert_ne!(model.prefix_key(&tokens, None), other.prefix_key(&tokens, None));
        assert!(matches!(other.new_session(20).unwrap().restore(&snapshot), Err(Error::InvalidArgument(_))));
    }
    assert!(matches!(
        model.new_session(11).unwrap().restore(&snapshot),
        Err(Error::ContextFull { tokens: 12, limit: 11 })
    ));
    let bytes = snapshot.to_bytes();
    for end in [0, 1, 40, 100, bytes.len() - 1] {
        assert!(KvSnapshot::from_bytes(&bytes[..end]).is_err());
    }
    for flip in (0..bytes.len()).step_by(97) {
        let mut wrong = bytes.clone();
        wrong[flip] ^= 4;
        assert!(KvSnapshot::from_bytes(&wrong).is_err(), "byte {flip}");
    }
}

#[test]
fn a_cancelled_prefill_stops_at_a_piece_and_can_go_on() {
    let tokens = random_tokens(9, 50, VOCABULARY_SIZE);
    for options in both() {
        let model = tiny(TinyArchitecture::Gemma3, &pieces(options, 8));
        let straight = prefill(&mut model.new_session(50).unwrap(), &tokens);
        let mut session = model.new_session(50).unwrap();
        let cancel = CancelToken::new();
        let mut reports = Vec::new();
        let mut progress = |done, all| {
            reports.push((done, all));
            if done >= 24 {
                cancel.cancel();
            }
        };
        let result = session.prefill_with_progress(&tokens, None, &cancel, &mut progress).map(<[f32]>::len);
        assert!(matches!(result, Err(Error::Cancelled(_))));
        assert_eq!(reports, [(8, 50), (16, 50), (24, 50)]);
        assert_eq!((session.position(), session.logits()), (24, None));
        assert!(session.forward_all(&tokens[24..], None, &cancel).is_err());
        assert_eq!(session.position(), 24);
        assert_eq!(bits(&prefill(&mut session, &tokens[24..])), bits(&straight));
    }
}

#[test]
fn calls_that_cannot_work_change_nothing() {
    let model = tiny(TinyArchitecture::Qwen3, &cpu());
    assert!(matches!(model.new_session(513), Err(Error::ContextFull { tokens: 513, limit: 512 })));
    assert!(matches!(model.new_session(0), Err(Error::InvalidArgument(_))));
    let mut session = model.new_session(10).unwrap();
    prefill(&mut session, &[1, 2, 3]);
    let cancel = CancelToken::new();
    assert!(matches!(session.prefill(&[], None, &cancel), Err(Error::InvalidArgument(_))));
    assert!(matches!(session.prefill(&[4, 304], None, &cancel), Err(Error::InvalidArgument(_))));
    assert!(matches!(session.prefill(&[0; 8], None, &cancel), Err(Error::ContextFull { tokens: 11, limit: 10 })));
    assert_eq!(session.tokens(), [1, 2, 3]);
    assert!(session.logits().is_some());
    assert!(prefill(&mut session, &[0; 7]).iter().all(|l| l.is_finite()));
}

#[test]
fn descriptions_follow_the_file() {
    for (architecture, wanted) in TinyArchitecture::ALL.into_iter().zip(Architecture::ALL) {
        let model = tiny(architecture, &cpu());
        let (d, shape) = (model.description(), architecture.shape());
        assert_eq!(d.architecture, wanted);
        assert_eq!((d.n_layers, d.hidden, d.ffn, d.vocab), (2, 64, 96, VOCABULARY_SIZE));
        assert_eq!((d.n_heads, d.n_kv_heads, d.head_dim), (4, 2, shape.head_dim));
        assert_eq!(d.rotary_dim, if architecture == TinyArchitecture::Glm4 { 8 } else { shape.head_dim });
        let info = model.info();
        assert_eq!((info.architecture.as_str(), info.name.as_str()), (architecture.name(), "Tiny"));
        assert_eq!(info.formats.iter().map(|(_, n)| n).sum::<usize>(), model.gguf().tensors().len());
    }
    let gemma = tiny(TinyArchitecture::Gemma3, &cpu());
    let d = gemma.description();
    assert_eq!((d.window, &d.local_layers[..]), (8, &[true, false][..]));
    assert_eq!((d.rope.theta, d.rope.position_scale), (1e6, 0.125));
    assert_eq!((d.local_rope.theta, d.local_rope.position_scale), (1e4, 1.0));
    assert_eq!(d.embedding_scale, 8.0);
}

fn open(bytes: &[u8]) -> Error {
    let gguf = Arc::new(Gguf::from_bytes(Path::new("wrong.gguf"), bytes).unwrap());
    LanguageModel::from_gguf(gguf, &cpu()).unwrap_err()
}

#[test]
fn what_this_version_does_not_do_is_named() {
    let change = |architecture, change: fn(&mut GgufEmitter) -> &mut GgufEmitter| {
        let mut file = TinyModel::f32(architecture, 1).to_emitter();
        change(&mut file);
        match open(&file.to_bytes()) {
            Error::Unsupported { what, found, .. } => format!("{what}: {found}"),
            other => panic!("{other}"),
        }
    };
    use TinyArchitecture::{Gemma3, Glm4, Llama, Qwen2, Qwen3};
    let has = |text: String, part: &str| assert!(text.contains(part), "{text}");
    has(change(Qwen2, |f| f.str("general.architecture", "mamba")), "architecture: mamba");
    has(change(Qwen2, |f| f.str("general.type", "adapter")), "adapter");
    has(change(Llama, |f| f.u32("llama.expert_count", 8)), "llama.expert_count");
    has(change(Llama, |f| f.u32("llama.attention.sliding_window", 4096)), "sliding_window");
    has(change(Llama, |f| f.f32("llama.attention.scale", 0.5)), "attention.scale");
    has(change(Qwen3, |f| f.str("qwen3.rope.scaling.type", "yarn")), "yarn");
    has(change(Qwen3, |f| f.u32("qwen3.attention.value_length", 16)), "value_length");
    has(change(Glm4, |f| f.i32s("glm4.rope.dimension_sections", &[8, 12, 12, 0])), "dimension_sections");
    has(change(Gemma3, |f| f.bool("gemma3.attention.causal", false)), "causal");
    has(change(Gemma3, |f| f.f32("gemma3.attn_logit_softcapping", 50.0)), "attn_logit_softcapping");
    for extra in ["blk.1.attn_sinks.weight", "blk.2.attn_norm.weight", "output.scale"] {
        let mut file = TinyModel::f32(Qwen2, 1).to_emitter();
        file.tensor(extra, &[4], TensorFormat::F32, &[0.0; 4]);
        assert!(matches!(open(&file.to_bytes()), Error::Unsupported { found, .. } if found == extra));
    }
}

#[test]
fn missing_and_misshapen_parts_are_named() {
    let damaged = |bytes: &[u8]| match open(bytes) {
        Error::Damaged { reason, .. } => reason,
        other => panic!("{other}"),
    };
    for architecture in TinyArchitecture::ALL {
        let model = TinyModel::f32(architecture, 1);
        for (wrong, _) in model.tensors() {
            let without = model.to_emitter_with(|name, _, _| name != wrong).to_bytes();
            let optional = wrong.ends_with(".bias") || wrong == "output.weight" || wrong == "rope_freqs.weight";
            if !optional {
                assert!(damaged(&without).contains(&wrong), "{wrong}");
            }
            let wider = model.to_emitter_with(|name, shape, values| {
                if name == wrong {
                    shape[0] *= 2;
                    values.resize(values.len() * 2, 1.0);
                }
                true
            });
            assert!(damaged(&wider.to_bytes()).contains(&wrong), "{wrong}");
        }
    }
}

#[test]
fn senseless_numbers_are_refused_without_a_panic() {
    for architecture in TinyArchitecture::ALL {
        let name = architecture.name();
        for suffix in [
            "block_count",
            "embedding_length",
            "feed_forward_length",
            "attention.head_count",
            "attention.head_count_kv",
            "attention.key_length",
            "attention.value_length",
            "rope.dimension_count",
        ] {
            for value in [0, 1, 3, 5, 63, 1 << 20, u32::MAX] {
                let mut file = TinyModel::f32(architecture, 1).to_emitter();
                file.u32(&format!("{name}.{suffix}"), value);
                let gguf = Arc::new(Gguf::from_bytes(Path::new("wrong.gguf"), &file.to_bytes()).unwrap());
                let error = LanguageModel::from_gguf(gguf, &cpu());
                assert!(matches!(error, Err(Error::Damaged { .. } | Error::Unsupported { .. })), "{suffix} {value}");
            }
        }
        for suffix in ["rope.freq_base", "attention.layer_norm_rms_epsilon", "rope.scaling.factor"] {
            for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
                let mut file = TinyModel::f32(architecture, 1).to_emitter();
                file.f32(&format!("{name}.{suffix}"), value);
                assert!(matches!(open(&file.to_bytes()), Error::Damaged { .. }), "{suffix} {value}");
            }
        }
    }
}

#[test]
fn a_side_file_changes_no_bit_of_a_real_model() {
    let folder = tempfile::tempdir().unwrap();
    let with_side = LoadOptions { side_folder: Some(folder.path().to_owned()), threads: 2, ..cpu() };
    let name = "smollm2-135m-instruct";
    let (Some(own), Some(packed)) = (real_model(name, &cpu()), real_model(name, &with_side)) else { return };
    assert!(own.info().side_file_bytes.is_none() && packed.info().side_file_bytes.is_some());
    // A prompt for the panels, and drafts of all small sizes for the stored bits.
    let tokens = random_tokens(8, 90, 40_000);
    let cancel = CancelToken::new();
    let mut sessions = [own.new_session(90).unwrap(), packed.new_session(90).unwrap()];
    let mut from = 0;
    for n in [40, 1, 2, 3, 4, 5, 8, 9, 16] {
        let part = &tokens[from..from + n];
        let [a, b] = sessions.each_mut().map(|session| session.forward_all(part, None, &cancel).unwrap());
        assert_eq!(bits(&a), bits(&b), "{n} tokens from {from}");
        from += n;
    }
}

#[test]
fn keys_and_values_in_8_bits_stay_near_those_in_16() {
    let name = "smollm2-135m-instruct";
    let q8 = LoadOptions { kv_type: KvType::Q8, threads: 2, ..cpu() };
    let (Some(f16), Some(q8)) = (real_model(name, &cpu()), real_model(name, &q8)) else { return };
    let text = "The insurer shall pay the sum insured within ten days after the agreement. If the insured event occurs \
                within the waiting period, the premium is returned and the contract ends. A policyholder who conceals \
                facts on purpose loses the claim; one who forgets them in good faith does not.";
    let tokens = Tokenizer::from_gguf(f16.gguf()).unwrap().encode(text).unwrap();
    let vocab = f16.description().vocab;
    let [truth, ours] = [&f16, &q8].map(|model| all_logits(model, &tokens, None));
    let divergence = mean_divergence(&truth, &ours, vocab);
    eprintln!("KL of an 8-bit cache from one of f16 over {} tokens: {divergence:e}", tokens.len());
    // llama.cpp (llama-cpp-python 0.3.36, caches q8_0 against f16, flash attention) is 5.5e-3 apart on these tokens.
    assert!(divergence < 1.5 * 5.5e-3 && divergence > 0.0, "{divergence}");
}
