//! Generation: where it ends, that it repeats, that it can be steered and cancelled.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod logits_support;

use std::sync::Arc;

use logits_support::*;
use lorekit_cancel::CancelToken;
use lorekit_model::{Error, FinishReason, GenerateOptions, Generator, LanguageModel, Sampler, SamplingOptions};
use lorekit_testkit::{TinyArchitecture, TinyModel};

const PROMPT: [u32; 5] = [9, 8, 7, 6, 5];

fn model() -> Arc<LanguageModel> {
    from_bytes(&TinyModel::mixed(TinyArchitecture::Qwen2, 21).to_gguf(), &cpu())
}

fn options(max_tokens: usize, stop_tokens: &[u32]) -> GenerateOptions {
    GenerateOptions { max_tokens, stop_tokens: stop_tokens.to_vec() }
}

/// The tokens a fresh session generates behind the prompt, and why it ended.
fn run(
    model: &Arc<LanguageModel>,
    capacity: usize,
    sampling: &SamplingOptions,
    options: GenerateOptions,
) -> (Vec<u32>, Option<FinishReason>) {
    let mut session = model.new_session(capacity).unwrap();
    session.prefill(&PROMPT, None, &CancelToken::new()).unwrap();
    let mut sampler = Sampler::new(sampling.clone()).unwrap();
    let mut generator = Generator::new(&mut session, &mut sampler, None, options, CancelToken::new());
    let tokens = generator.by_ref().map(|token| token.unwrap().id).collect();
    (tokens, generator.finish_reason())
}

#[test]
fn greedy_generation_takes_the_best_token_of_a_fresh_computation_each_time() {
    let model = model();
    let (tokens, reason) = run(&model, 64, &SamplingOptions::default(), options(20, &[]));
    assert_eq!(reason, Some(FinishReason::MaxTokens));
    let mut text = PROMPT.to_vec();
    for token in tokens {
        let logits = all_logits(&model, &text, None);
        let last = &logits[logits.len() - model.description().vocab..];
        let best = (0..last.len()).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
        assert_eq!(token as usize, best);
        text.push(token);
    }
}

#[test]
fn generation_ends_where_it_should() {
    let model = model();
    let greedy = SamplingOptions::default();
    let (all, _) = run(&model, 64, &greedy, options(12, &[]));
    let stop = *all.iter().enumerate().find(|(i, token)| *i > 2 && !all[..*i].contains(token)).unwrap().1;
    let end = all.iter().position(|token| *token == stop).unwrap();
    assert_eq!(run(&model, 64, &greedy, options(12, &[stop])), (all[..end].to_vec(), Some(FinishReason::Stop(stop))));
    assert_eq!(run(&model, 64, &greedy, options(0, &[])), (vec![], Some(FinishReason::MaxTokens)));
    // 7 places are left beside the prompt; the eighth token needs none, for it is not computed with any more.
    assert_eq!(run(&model, 12, &greedy, options(20, &[])), (all[..8].to_vec(), Some(FinishReason::ContextFull)));
}

#[test]
fn a_seed_names_the_text() {
    let model = model();
    let drawn = |seed| SamplingOptions { temperature: 1.0, top_p: 0.95, seed, ..SamplingOptions::default() };
    let text = |seed| run(&model, 64, &drawn(seed), options(30, &[])).0;
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn logits_can_be_changed_before_the_choice() {
    let model = model();
    let mut session = model.new_session(40).unwrap();
    session.prefill(&PROMPT, None, &CancelToken::new()).unwrap();
    let mut sampler = Sampler::new(SamplingOptions::default()).unwrap();
    let mut generator = Generator::new(&mut session, &mut sampler, None, options(10, &[]), CancelToken::new());
    let allowed = [3u32, 50, 77];
    while let Some(token) = generator.next_with(|logits| {
        for (id, logit) in (0u32..).zip(logits) {
            if !allowed.contains(&id) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }) {
        assert!(allowed.contains(&token.unwrap().id));
    }
    assert_eq!(generator.n_generated(), 10);
    assert_eq!(session.position(), PROMPT.len() + 9);
}

#[test]
fn cancellation_ends_generation_within_one_token_and_the_session_goes_on() {
    let model = model();
    let (all, _) = run(&model, 64, &SamplingOptions::default(), options(10, &[]));
    let mut session = model.new_session(64).unwrap();
    session.prefill(&PROMPT, None, &CancelToken::new()).unwrap();
    let mut sampler = Sampler::new(SamplingOptions::default()).unwrap();
    let cancel = CancelToken::new();
    let mut generator = Generator::new(&mut session, &mut sampler, None, options(10, &[]), cancel.clone());
    let taken: Vec<u32> = generator.by_ref().take(4).map(|token| token.unwrap().id).collect();
    cancel.cancel();
    assert!(matches!(generator.next(), Some(Err(Error::Cancelled(_)))));
    assert!(generator.next().is_none());
    assert_eq!(generator.finish_reason(), None);
    assert_eq!(taken, all[..4]);
    // The last token given out is not yet in the session.
    assert_eq!(session.tokens(), [&PROMPT[..], &all[..3]].concat());
    session.prefill(&all[3..4], None, &CancelToken::new()).unwrap();
    let rest: Vec<u32> = Generator::new(&mut session, &mut sampler, None, options(6, &[]), CancelToken::new())
        .map(|token| token.unwrap().id)
        .collect();
    assert_eq!(rest, all[4..]);
}

#[test]
fn generation_needs_logits() {
    let mut session = model().new_session(8).unwrap();
    let mut sampler = Sampler::new(SamplingOptions::default()).unwrap();
    let mut generator = Generator::new(&mut session, &mut sampler, None, options(1, &[]), CancelToken::new());
    assert!(matches!(generator.next(), Some(Err(Error::InvalidArgument(_)))));
}
