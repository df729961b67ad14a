use std::path::Path;
use std::sync::Arc;

use lorekit_model::{Gguf, Habits, LanguageModel, LoadOptions, PromptLookup, SamplingOptions, Verdict};
use lorekit_testkit::{SplitMix64, TinyArchitecture, TinyModel};

use super::*;

#[test]
fn the_earliest_stop_wins() {
    assert_eq!(earliest("abc\n\nd【".as_bytes(), &["【", "\n\n"]), Some(3));
    assert_eq!(earliest(b"abc", &["x"]), None);
}

struct Set {
    model: Arc<LanguageModel>,
    tokenizer: Tokenizer,
    index: TokenIndex,
}

fn set(architecture: TinyArchitecture, seed: u64) -> Set {
    let bytes = TinyModel::mixed(architecture, seed).to_gguf();
    let gguf = Gguf::from_bytes(Path::new("tiny.gguf"), &bytes).unwrap();
    let model = LanguageModel::from_gguf(Arc::new(gguf), &LoadOptions::default()).unwrap();
    let tokenizer = Tokenizer::from_gguf(model.gguf()).unwrap();
    let ordinary = (0..tokenizer.vocab_size() as u32).filter(|id| !tokenizer.is_control(*id));
    let index = TokenIndex::new(ordinary.map(|id| (id, tokenizer.token_bytes(id))));
    Set { model, tokenizer, index }
}

/// Drafts at random, mostly wrong.
struct Noise(SplitMix64);

impl DraftSource for Noise {
    fn propose(&mut self, limit: usize) -> Vec<u32> {
        (0..self.0.next_below(limit as u64 + 1)).map(|_| self.0.next_below(304) as u32).collect()
    }

    fn observe(&mut self, _: u32, _: Verdict) {}
}

/// Drafts from a given text whatever was said, so that long runs are right and others wrong.
struct Recited(Vec<u32>, usize);

impl DraftSource for Recited {
    fn propose(&mut self, limit: usize) -> Vec<u32> {
        self.0.iter().skip(self.1).take(limit).copied().collect()
    }

    fn observe(&mut self, _: u32, _: Verdict) {
        self.1 += 1;
    }
}

const PASSAGE: &str = "The fee is 10 and the limit is 20. The term is in the statement. To end it, answer the user. \
                       甲方应当付款。甲方应当交货。";

/// An answer with everything in it: fixed text, a choice, a quote, free text up to a stop. Text, tokens in the
/// session, and passes.
fn answer(set: &Set, ahead: Ahead<'_>, sampling: &SamplingOptions) -> (String, Vec<u32>, usize, usize) {
    let cancel = CancelToken::new();
    let prompt = set.tokenizer.encode(PASSAGE).unwrap();
    let mut session = set.model.new_session(500).unwrap();
    let around = Surroundings { tokenizer: &set.tokenizer, index: &set.index, adapter: None, cancel: &cancel };
    let mut streamed = String::new();
    let mut emit = |text: &str| -> Result<()> {
        streamed.push_str(text);
        Ok(())
    };
    let sampler = Sampler::new(sampling.clone()).unwrap();
    // Borrowed anew, for no longer than what is borrowed here.
    let ahead = match ahead {
        Ahead::Guesses(source, most) => Ahead::Guesses(&mut *source, most),
        Ahead::Nothing => Ahead::Nothing,
        Ahead::Fixed => Ahead::Fixed,
    };
    let mut decoder = Decoder::start(&mut session, around, &prompt, ahead, sampler, 120, &mut emit).unwrap();
    decoder.force("[Basis] ").unwrap();
    let chosen = decoder.copy(Copying::one_of(&["Terms, 1: ", "Terms, 2: "]), &[]).unwrap().unwrap();
    assert!(chosen.text < 2);
    let from = decoder.len();
    let copied = decoder.copy(Copying::sentences_of(PASSAGE, 2), &[65, 295]).unwrap().unwrap();
    decoder.force("\n[Explanation] ").unwrap();
    decoder.free(&["\n\n"]).unwrap();
    let (tokens, passes) = (decoder.n_tokens, decoder.counts().passes);
    let text = decoder.into_text();
    assert_eq!(text[from..].get(..copied.range.len()), PASSAGE.get(copied.range));
    assert_eq!(streamed, text, "what was streamed is the text");
    let computed = session.tokens().to_vec();
    assert!(computed.starts_with(&prompt));
    (text, computed, tokens, passes)
}

#[test]
fn drafted_answers_are_those_of_plain_decoding() {
    for (architecture, seed) in TinyArchitecture::ALL.into_iter().zip(40..) {
        let set = set(architecture, seed);
        let passage = set.tokenizer.encode(PASSAGE).unwrap();
        for temperature in [0.0, 0.7, 1.5] {
            let sampling = SamplingOptions { temperature, repetition_penalty: 1.1, seed, ..SamplingOptions::default() };
            let (text, computed, tokens, passes) = answer(&set, Ahead::Nothing, &sampling);
            assert!(passes >= tokens - 1, "plain decoding takes a pass for each token");
            let said = computed[passage.len()..].to_vec();
            let mut habits = Habits::default();
            for round in 0..3 {
                let mut lookup = PromptLookup::new([&passage[..]], habits);
                let drafted = answer(&set, Ahead::Guesses(&mut lookup, 8), &sampling);
                assert_eq!((&drafted.0, drafted.2), (&text, tokens), "{architecture:?}, round {round}");
                assert!(drafted.3 < passes, "fixed parts go together");
                habits = lookup.habits();
            }
            let fixed = answer(&set, Ahead::Fixed, &sampling);
            assert_eq!((&fixed.0, fixed.2), (&text, tokens));
            let mut noise = Noise(SplitMix64::new(seed));
            assert_eq!(answer(&set, Ahead::Guesses(&mut noise, 8), &sampling).0, text);
            for shift in [0, 1] {
                let mut recited = Recited(said.clone(), shift);
                let drafted = answer(&set, Ahead::Guesses(&mut recited, 8), &sampling);
                assert_eq!((&drafted.0, drafted.2), (&text, tokens));
                // Of the plain session only the last token may be missing in the drafted one.
                assert!(computed.starts_with(&drafted.1) || drafted.1.starts_with(&computed));
            }
        }
    }
}
