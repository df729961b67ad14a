//! A damaged vocabulary is an error that names what is wrong, never a panic; what is generated comes out as whole
//! characters.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use lorekit_model::{Detokenizer, Error, Gguf, GgufWriter, Meta, Tokenizer};
use proptest::prelude::*;

const NAME: &str = "vocabulary.gguf";

/// A vocabulary in the making: metadata that a test can change before it is written.
#[derive(Clone)]
struct Parts {
    model: &'static str,
    pre: Option<&'static str>,
    tokens: Vec<String>,
    types: Vec<i32>,
    scores: Option<Vec<f32>>,
    merges: Option<Vec<String>>,
    charsmap: Option<Vec<u32>>,
    eos: u64,
}

impl Parts {
    fn write(&self) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let mut w = GgufWriter::new();
        w.put("general.architecture", "llama").unwrap();
        w.put("tokenizer.ggml.model", self.model).unwrap();
        if let Some(pre) = self.pre {
            w.put("tokenizer.ggml.pre", pre).unwrap();
        }
        w.put("tokenizer.ggml.tokens", self.tokens.as_slice()).unwrap();
        w.put("tokenizer.ggml.token_type", self.types.as_slice()).unwrap();
        if let Some(scores) = &self.scores {
            w.put("tokenizer.ggml.scores", scores.as_slice()).unwrap();
        }
        if let Some(merges) = &self.merges {
            w.put("tokenizer.ggml.merges", merges.as_slice()).unwrap();
        }
        if let Some(charsmap) = &self.charsmap {
            w.put("tokenizer.ggml.precompiled_charsmap", Meta::U32s(charsmap)).unwrap();
        }
        w.put("tokenizer.ggml.eos_token_id", self.eos).unwrap();
        w.write(&path, []).unwrap();
        std::fs::read(&path).unwrap()
    }

    fn build(&self) -> Result<Tokenizer, Error> {
        tokenizer(&self.write())
    }
}

fn tokenizer(bytes: &[u8]) -> Result<Tokenizer, Error> {
    Tokenizer::from_gguf(&Gguf::from_bytes(Path::new(NAME), bytes)?)
}

/// GPT-2's printable form of a byte.
fn printable(byte: u8) -> char {
    let prints = |b: u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let before = (0..byte).filter(|&b| !prints(b)).count() as u32;
    if prints(byte) { char::from(byte) } else { char::from_u32(256 + before).unwrap() }
}

fn byte_level() -> Parts {
    let mut tokens: Vec<String> = (0..=255).map(|b| printable(b).to_string()).collect();
    tokens.extend(["ab", "abc", "Ġa", "<|end|>", "<tool>"].map(String::from));
    let mut types = vec![1; 259];
    types.extend([3, 4]);
    let merges = ["a b", "ab c", "Ġ a"].map(String::from).to_vec();
    Parts {
        model: "gpt2",
        pre: Some("qwen2"),
        tokens,
        types,
        scores: None,
        merges: Some(merges),
        charsmap: None,
        eos: 259,
    }
}

fn sentence_piece(model: &'static str) -> Parts {
    let mut tokens: Vec<String> = ["<unk>", "</s>", "▁", "a", "b", "ab", "▁ab", "法"].map(String::from).to_vec();
    let mut types = vec![2, 3, 1, 1, 1, 1, 1, 1];
    tokens.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    types.extend([6; 256]);
    let scores = (0..tokens.len()).map(|i| -(i as f32)).collect();
    Parts { model, pre: None, tokens, types, scores: Some(scores), merges: None, charsmap: None, eos: 1 }
}

fn word_piece() -> Parts {
    let tokens = ["[UNK]", "[CLS]", "[SEP]", "▁ab", "c", "▁c"].map(String::from).to_vec();
    Parts {
        model: "bert",
        pre: None,
        tokens,
        types: vec![3, 3, 3, 1, 1, 1],
        scores: None,
        merges: None,
        charsmap: None,
        eos: 2,
    }
}

#[test]
fn small_vocabularies_encode_by_their_rules() {
    let bpe = byte_level().build().unwrap();
    assert_eq!(bpe.encode("abc abx").unwrap(), [257, 32, 256, 120]);
    assert_eq!(bpe.encode("<|end|><tool>").unwrap().last(), Some(&260));
    assert!(!bpe.encode("<|end|>").unwrap().contains(&259));
    assert_eq!(bpe.encode_special("ab<|end|>ab").unwrap(), [256, 259, 256]);
    assert_eq!(bpe.encode_spans(&[("a", true), ("b<|end|>", false), ("c<|end|>", true)]).unwrap().last(), Some(&259));
    assert_eq!(bpe.encode_spans(&[("<|", true), ("end", false), ("|>", true)]).unwrap().len(), 7);
    let spm = sentence_piece("llama").build().unwrap();
    assert_eq!(spm.encode("ab法é").unwrap(), [6, 7, 8 + 0xc3, 8 + 0xa9]);
    let unigram = sentence_piece("t5").build().unwrap();
    assert_eq!(unigram.encode(" ab  ab ").unwrap(), [6, 6]);
    assert_eq!(word_piece().build().unwrap().encode("ABC c, </s>").unwrap(), [3, 4, 5, 0, 0, 0, 0, 0]);
}

#[test]
fn each_kind_of_damage_is_named() {
    type Change = fn(&mut Parts);
    let cases: &[(Parts, Change, &str)] = &[
        (byte_level(), |p| p.model = "rwkv", "unsupported tokenizer (tokenizer.ggml.model): rwkv"),
        (byte_level(), |p| p.pre = Some("qwen35"), "tokenizer.ggml.pre): qwen35"),
        (byte_level(), |p| p.pre = None, "tokenizer.ggml.pre): none"),
        (byte_level(), |p| p.merges = None, "tokenizer.ggml.merges is missing"),
        (byte_level(), |p| p.merges.as_mut().unwrap().push("ab".into()), "merge 3 is malformed"),
        (byte_level(), |p| p.merges.as_mut().unwrap().push("a x".into()), "merge 3 names a token that is missing"),
        (byte_level(), |p| p.types.truncate(9), "tokenizer.ggml.token_type has not 261 entries"),
        (byte_level(), |p| p.types[3] = 7, "token_type of token 3 is 7"),
        (byte_level(), |p| p.eos = 261, "eos_token_id is 261, of 261 tokens"),
        (byte_level(), |p| p.tokens.clear(), "tokenizer.ggml.tokens has 0 entries"),
        (sentence_piece("llama"), |p| p.scores = None, "tokenizer.ggml.scores is missing"),
        (sentence_piece("llama"), |p| p.scores.as_mut().unwrap()[0] = f32::NAN, "tokenizer.ggml.scores"),
        (sentence_piece("llama"), |p| p.tokens[9] = "<0xZZ>".into(), "token 9 is malformed"),
        (sentence_piece("t5"), |p| p.charsmap = Some(vec![255; 40]), "precompiled_charsmap is malformed"),
        (word_piece(), |p| p.tokens[0] = "[OOV]".into(), "no unknown token"),
    ];
    for (parts, change, expected) in cases {
        let mut parts = parts.clone();
        change(&mut parts);
        let error = parts.build().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(NAME), "{error}, not {expected}");
    }
}

#[test]
fn every_name_of_a_pre_tokenizer_builds() {
    for pre in ["gpt-2", "default", "smollm", "qwen2", "llama-bpe", "llama3", "llama-v3", "glm4", "chatglm-bpe"] {
        let parts = Parts { pre: Some(pre), ..byte_level() };
        assert_eq!(parts.build().unwrap().encode("ab").unwrap(), [256], "{pre}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_panics(
        which in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let parts = [byte_level(), sentence_piece("llama"), sentence_piece("t5"), word_piece()][which].clone();
        let mut bytes = parts.write();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(tokenizer) = tokenizer(&bytes) {
            for text in ["ab abc 法律 é<|end|>\n\n", "</s>▁ 12"] {
                for id in tokenizer.encode(text).unwrap().into_iter().chain(tokenizer.encode_special(text).unwrap()) {
                    prop_assert!((id as usize) < tokenizer.vocab_size());
                }
            }
        }
    }

    #[test]
    fn no_charsmap_panics(mut charsmap in prop::collection::vec(0u32..256, 4..300), units in 0u32..70) {
        charsmap[..4].copy_from_slice(&[units * 4 % 256, units * 4 / 256, 0, 0]);
        if let Ok(tokenizer) = (Parts { charsmap: Some(charsmap), ..sentence_piece("t5") }).build() {
            tokenizer.encode("ab 法律 ﬁ é\u{0}").unwrap();
        }
    }

    #[test]
    fn plain_text_comes_back_and_has_no_control_token(text in "\\PC{0,40}", space in "[ \n\t\r]{0,4}") {
        let text = format!("{text}{space}<|end|>{text}");
        let tokenizer = Parts { pre: Some("llama-bpe"), ..byte_level() }.build().unwrap();
        let ids = tokenizer.encode(&text).unwrap();
        prop_assert!(ids.iter().all(|&id| !tokenizer.is_control(id)));
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.token_bytes(id)).copied().collect();
        prop_assert_eq!(bytes, text.as_bytes());
    }

    #[test]
    fn any_bytes_come_out_as_whole_characters(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let tokenizer = byte_level().build().unwrap();
        let mut detokenizer = Detokenizer::new(&tokenizer);
        let mut text: String = bytes.iter().map(|&b| detokenizer.push(b.into()).to_owned()).collect();
        text.push_str(detokenizer.finish());
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn characters_come_out_as_soon_as_they_are_whole() {
    let tokenizer = byte_level().build().unwrap();
    let mut detokenizer = Detokenizer::new(&tokenizer);
    let out: Vec<String> = "法a".bytes().map(|b| detokenizer.push(b.into()).to_owned()).collect();
    assert_eq!(out, ["", "", "法", "a"]);
    assert_eq!(detokenizer.push(259), "", "a control token");
    assert_eq!(detokenizer.push(u32::MAX), "", "no token at all");
    assert_eq!(detokenizer.finish(), "");
    detokenizer.push(0xe6);
    assert_eq!(detokenizer.finish(), "\u{fffd}");
}
