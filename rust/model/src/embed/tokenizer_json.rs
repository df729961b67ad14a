//! The parts of a Hugging Face `tokenizer.json` that the converter reads; all else is skipped while parsing.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct TokenizerJson {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) normalizer: Option<Value>,
    pub(super) pre_tokenizer: Option<Value>,
    pub(super) model: TokenizerModel,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
}

#[derive(Deserialize)]
pub(super) struct TokenizerModel {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) unk_id: Option<u32>,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) vocab: Vocab,
    #[serde(default)]
    pub(super) merges: Vec<Merge>,
}

/// `{"piece": id, …}` of WordPiece and BPE, or `[["piece", score], …]` of Unigram.
pub(super) enum Vocab {
    Ids(Vec<(String, u32)>),
    Scores(Vec<(String, f64)>),
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary as an object or a list of pairs")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut ids = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    ids.push(entry);
                }
                Ok(Vocab::Ids(ids))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vocab, A::Error> {
                let mut scores = Vec::new();
                while let Some(pair) = seq.next_element()? {
                    scores.push(pair);
                }
                Ok(Vocab::Scores(scores))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The token that one merge makes: `"a b"` in old files, `["a", "b"]` in new ones.
pub(super) struct Merge(pub(super) String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge as a string or a pair of strings")
            }

            fn visit_str<E: serde::de::Error>(self, pair: &str) -> Result<Merge, E> {
                let (left, right) = pair.split_once(' ').ok_or_else(|| E::custom("a merge without a space"))?;
                Ok(Merge([left, right].concat()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Merge, A::Error> {
                let mut joined = String::new();
                while let Some(part) = seq.next_element::<String>()? {
                    joined.push_str(&part);
                }
                Ok(Merge(joined))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl TokenizerJson {
    /// The normalizer steps, whether or not they stand in a `Sequence`.
    pub(super) fn normalizers(&self) -> Vec<&Value> {
        steps(self.normalizer.as_ref(), "normalizers")
    }

    /// The pre-tokenizer steps, whether or not they stand in a `Sequence`.
    pub(super) fn pre_tokenizers(&self) -> Vec<&Value> {
        steps(self.pre_tokenizer.as_ref(), "pretokenizers")
    }
}

/// The `type` of a step.
pub(super) fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn steps<'a>(value: Option<&'a Value>, list: &str) -> Vec<&'a Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => match value.get(list).and_then(Value::as_array) {
            Some(steps) => steps.iter().collect(),
            None => vec![value],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_vocabulary_and_merges_are_read() {
        let bpe: TokenizerJson = serde_json::from_str(
            r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b", ["a", "b"]]}}"#,
        )
        .unwrap();
        assert!(matches!(&bpe.model.vocab, Vocab::Ids(ids) if ids.len() == 3));
        assert!(bpe.model.merges.iter().all(|merge| merge.0 == "ab"));
        let unigram: TokenizerJson = serde_json::from_str(
            r#"{"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["x", -2.5]]}}"#,
        )
        .unwrap();
        assert!(matches!(&unigram.model.vocab, Vocab::Scores(scores) if scores[1].1 == -2.5));
    }
}
