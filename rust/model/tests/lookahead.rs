//! Drafted decoding gives the tokens of plain decoding: greedy and sampled, whatever the drafts say.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod logits_support;

use std::sync::Arc;

use logits_support::*;
use lorekit_cancel::CancelToken;
use lorekit_model::{
    DraftSource, GenerateOptions, Generator, Habits, LanguageModel, Lookahead, LookaheadCounts, PromptLookup, Sampler,
    SamplingOptions, Verdict,
};
use lorekit_testkit::{SplitMix64, TinyArchitecture, TinyModel};

/// Drafts that are the truth, with a share of wrong ones: `wrong` of 8.
struct Spoiled {
    truth: Vec<u32>,
    said: usize,
    wrong: u64,
    random: SplitMix64,
    vocab: u64,
}

impl DraftSource for Spoiled {
    fn propose(&mut self, limit: usize) -> Vec<u32> {
        let n = self.random.next_below(limit as u64 + 1) as usize;
        (0..n)
            .map(|i| match self.truth.get(self.said + i) {
                Some(token) if self.random.next_below(8) >= self.wrong => *token,
                _ => self.random.next_below(self.vocab) as u32,
            })
            .collect()
    }

    fn observe(&mut self, _: u32, _: Verdict) {
        self.said += 1;
    }
}

fn plain(model: &Arc<LanguageModel>, prompt: &[u32], sampling: &SamplingOptions, n: usize) -> Vec<u32> {
    let mut session = model.new_session(prompt.len() + n).unwrap();
    session.prefill(prompt, None, &CancelToken::new()).unwrap();
    let mut sampler = Sampler::new(sampling.clone()).unwrap();
    let options = GenerateOptions { max_tokens: n, stop_tokens: vec![] };
    Generator::new(&mut session, &mut sampler, None, options, CancelToken::new()).map(|t| t.unwrap().id).collect()
}

fn drafted(
    model: &Arc<LanguageModel>,
    prompt: &[u32],
    sampling: &SamplingOptions,
    n: usize,
    source: &mut dyn DraftSource,
) -> (Vec<u32>, LookaheadCounts) {
    let cancel = CancelToken::new();
    let mut session = model.new_session(prompt.len() + n).unwrap();
    let mut sampler = Sampler::new(sampling.clone()).unwrap();
    let (mut said, mut history) = (vec![], prompt.to_vec());
    let counts = {
        let mut ahead = Lookahead::new(&mut session, None, &cancel);
        for token in prompt {
            ahead.accept(*token);
        }
        for _ in 0..n {
            let draft = if ahead.is_due() { source.propose(8) } else { vec![] };
            let token = sampler.sample(ahead.logits(&draft).unwrap(), &history).unwrap().id;
            let verdict = ahead.accept(token);
            source.observe(token, verdict);
            said.push(token);
            history.push(token);
        }
        ahead.counts()
    };
    // What is left in the session is text, not a draft.
    assert_eq!(session.tokens(), &history[..session.position()]);
    (said, counts)
}

fn sampled(seed: u64) -> SamplingOptions {
    SamplingOptions { temperature: 0.8, top_p: 0.95, repetition_penalty: 1.1, seed, ..SamplingOptions::default() }
}

#[test]
fn any_draft_leaves_the_tokens_as_they_are() {
    for architecture in TinyArchitecture::ALL {
        let model = from_bytes(&TinyModel::mixed(architecture, 5).to_gguf(), &cpu());
        let vocab = model.description().vocab;
        let prompt = random_tokens(1, 20, vocab);
        for sampling in [SamplingOptions::default(), sampled(3), sampled(4)] {
            let truth = plain(&model, &prompt, &sampling, 40);
            for wrong in [0, 1, 4, 8] {
                let (truth, random) = (truth.clone(), SplitMix64::new(wrong));
                let mut source = Spoiled { truth: truth.clone(), said: 0, wrong, random, vocab: vocab as u64 };
                let (said, counts) = drafted(&model, &prompt, &sampling, 40, &mut source);
                assert_eq!(said, truth, "{architecture:?}, {wrong} of 8 drafts wrong");
                assert!(wrong > 0 || counts.passes < 20, "right drafts save passes: {counts:?}");
                assert!(counts.confirmed <= counts.drafted);
            }
            let mut lookup = PromptLookup::new([&prompt[..]], Habits::default());
            assert_eq!(drafted(&model, &prompt, &sampling, 40, &mut lookup).0, truth);
        }
    }
}

#[test]
fn tokens_without_a_choice_wait_for_the_next_pass() {
    let model = from_bytes(&TinyModel::mixed(TinyArchitecture::Qwen2, 6).to_gguf(), &cpu());
    let (cancel, tokens) = (CancelToken::new(), random_tokens(2, 12, model.description().vocab));
    let mut session = model.new_session(16).unwrap();
    session.prefill(&tokens[..4], None, &cancel).unwrap();
    let mut ahead = Lookahead::new(&mut session, None, &cancel);
    assert!(!ahead.is_due(), "the logits of the prefill are there");
    for token in &tokens[4..12] {
        assert_eq!(ahead.accept(*token), Verdict::Undrafted);
    }
    assert_eq!((ahead.n_pending(), ahead.room()), (8, 4));
    let all = all_logits(&model, &tokens, None);
    let vocab = model.description().vocab;
    // More drafts than fit are cut.
    assert_eq!(bits(ahead.logits(&[1; 9]).unwrap()), bits(&all[11 * vocab..]));
    assert_eq!(ahead.counts(), LookaheadCounts { passes: 1, drafted: 4, confirmed: 0 });
    assert_eq!(ahead.accept(1), Verdict::Hit);
    assert_eq!(ahead.accept(2), Verdict::Miss);
    assert!(ahead.is_due());
    drop(ahead);
    assert_eq!(session.tokens(), [&tokens[..], &[1]].concat());
}

#[test]
fn after_a_cancellation_decoding_goes_on_with_the_same_tokens() {
    let model = from_bytes(&TinyModel::mixed(TinyArchitecture::Llama, 7).to_gguf(), &pieces(cpu(), 3));
    let tokens = random_tokens(4, 11, model.description().vocab);
    let mut session = model.new_session(16).unwrap();
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let mut ahead = Lookahead::new(&mut session, None, &cancelled);
    tokens.iter().for_each(|token| {
        ahead.accept(*token);
    });
    assert!(ahead.logits(&[1, 2, 3]).is_err());
    assert_eq!(ahead.position(), 11, "nothing accepted is lost");
    drop(ahead);
    let cancel = CancelToken::new();
    let mut ahead = Lookahead::new(&mut session, None, &cancel);
    tokens.iter().for_each(|token| {
        ahead.accept(*token);
    });
    let all = all_logits(&model, &tokens, None);
    assert_eq!(bits(ahead.logits(&[1, 2, 3]).unwrap()), bits(&all[10 * model.description().vocab..]));
}

#[test]
fn real_models_say_the_same_with_drafts() {
    let options = lorekit_model::LoadOptions { threads: 2, ..cpu() };
    for name in ["smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"] {
        let Some(model) = real_model(name, &options) else { continue };
        let tokenizer = lorekit_model::Tokenizer::from_gguf(model.gguf()).unwrap();
        let text = "A card transaction can be disputed within 60 days of the statement date. Repeat: A card";
        let prompt = tokenizer.encode(text).unwrap();
        for sampling in [SamplingOptions::default(), sampled(9)] {
            let truth = plain(&model, &prompt, &sampling, 32);
            let mut lookup = PromptLookup::new([&prompt[..]], Habits::default());
            for token in &prompt {
                lookup.observe(*token, Verdict::Undrafted);
            }
            let (said, counts) = drafted(&model, &prompt, &sampling, 32, &mut lookup);
            assert_eq!(said, truth, "{name}");
            eprintln!("{name}: {counts:?}");
        }
    }
}
