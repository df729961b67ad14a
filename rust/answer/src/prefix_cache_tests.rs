use std::path::Path;
use std::sync::Arc;

use lorekit_cancel::CancelToken;
use lorekit_model::{Gguf, LanguageModel, LoadOptions};
use lorekit_testkit::{TinyArchitecture, TinyModel};

use super::*;

fn model() -> Arc<LanguageModel> {
    let bytes = TinyModel::mixed(TinyArchitecture::Qwen2, 31).to_gguf();
    let gguf = Gguf::from_bytes(Path::new("tiny.gguf"), &bytes).unwrap();
    LanguageModel::from_gguf(Arc::new(gguf), &LoadOptions::default()).unwrap()
}

fn id(n: u8) -> PassageId {
    PassageId([n; 16])
}

/// Ten tokens for the fixed prefix and for each passage, told apart by their number; five for the question.
fn prompt(passages: &[u8], question: u32) -> (Vec<u32>, Vec<Part>) {
    let mut tokens: Vec<u32> = (0..10).collect();
    let mut parts = vec![Part { end: 10, passage: None }];
    for n in passages {
        tokens.extend((0..10).map(|i| u32::from(*n) * 10 + i));
        parts.push(Part { end: tokens.len(), passage: Some(id(*n)) });
    }
    tokens.extend((0..5).map(|i| question + i));
    (tokens, parts)
}

fn owner(scope: &[u8]) -> Owner {
    Owner::new(None, scope)
}

/// What a fresh session computes and what one computes behind a restored beginning; the number of tokens restored.
fn ask(model: &Arc<LanguageModel>, kept: &mut PrefixCache, scope: &[u8], passages: &[u8], question: u32) -> usize {
    let (cancel, (tokens, parts)) = (CancelToken::new(), prompt(passages, question));
    let mut session = model.new_session(128).unwrap();
    let reused = kept.restore(&mut session, &owner(scope), &tokens[..tokens.len() - 1]).unwrap();
    assert_eq!(session.tokens(), &tokens[..reused]);
    let logits = session.prefill(&tokens[reused..], None, &cancel).unwrap().to_vec();
    let mut fresh = model.new_session(128).unwrap();
    let expected = fresh.prefill(&tokens, None, &cancel).unwrap();
    assert!(logits.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "restored and computed differ");
    kept.keep(&session, &owner(scope), &tokens, &parts).unwrap();
    reused
}

#[test]
fn a_prompt_reuses_the_longest_beginning_that_was_computed_with_the_same_bits() {
    let (model, mut kept) = (model(), PrefixCache::new(usize::MAX));
    assert_eq!(ask(&model, &mut kept, b"", &[2, 3], 250), 0);
    assert_eq!(ask(&model, &mut kept, b"", &[2, 3], 260), 30, "the same passages, another question");
    assert_eq!(ask(&model, &mut kept, b"", &[2, 4], 260), 20, "the first passage");
    assert_eq!(ask(&model, &mut kept, b"", &[3, 2], 260), 10, "the fixed prefix");
    assert_eq!(ask(&model, &mut kept, b"", &[2, 4, 5], 270), 30);
    assert_eq!(ask(&model, &mut kept, b"", &[2, 3], 280), 30, "still there");
}

#[test]
fn a_prompt_that_leaves_a_part_in_its_middle_reuses_it_up_to_there() {
    let (model, mut kept) = (model(), PrefixCache::new(usize::MAX));
    ask(&model, &mut kept, b"", &[2], 250);
    let (mut tokens, _) = prompt(&[2], 250);
    tokens[16] = 200;
    let mut session = model.new_session(64).unwrap();
    assert_eq!(kept.restore(&mut session, &owner(b""), &tokens).unwrap(), 16);
    assert_eq!(session.tokens(), &tokens[..16]);
}

#[test]
fn passages_are_found_in_their_scope_only_and_never_with_other_adapters() {
    let (model, mut kept) = (model(), PrefixCache::new(usize::MAX));
    ask(&model, &mut kept, b"staff", &[2], 250);
    assert_eq!(ask(&model, &mut kept, b"public", &[2], 250), 10, "the fixed prefix is everyone's");
    assert_eq!(ask(&model, &mut kept, b"staff", &[2], 260), 20);
    let other = Owner { adapters: [1; 32], scope: b"staff".to_vec() };
    assert_eq!(kept.covered(&other, &prompt(&[2], 250).0), 0);
}

#[test]
fn a_withdrawn_passage_takes_with_it_all_that_was_computed_behind_it() {
    let (model, mut kept) = (model(), PrefixCache::new(usize::MAX));
    ask(&model, &mut kept, b"", &[2, 3, 4], 250);
    kept.remove(&|passage| *passage == id(3));
    assert_eq!(kept.covered(&owner(b""), &prompt(&[2, 3, 4], 250).0), 20);
}

#[test]
fn the_budget_holds_and_what_was_used_last_stays() {
    let (model, mut kept) = (model(), PrefixCache::new(usize::MAX));
    ask(&model, &mut kept, b"", &[2], 250);
    let one = kept.bytes();
    ask(&model, &mut kept, b"", &[3], 250);
    ask(&model, &mut kept, b"", &[2], 260);
    kept.shrink(one);
    assert!(kept.bytes() <= one);
    assert_eq!(kept.covered(&owner(b""), &prompt(&[2], 250).0), 20);
    assert_eq!(kept.covered(&owner(b""), &prompt(&[3], 250).0), 10);
    kept.shrink(0);
    assert_eq!(kept.bytes(), 0);
    let mut none = PrefixCache::new(0);
    assert_eq!((ask(&model, &mut none, b"", &[2], 250), none.bytes()), (0, 0));
}
