//! The tokenizer of a source folder, as the arrays that GGUF files carry (key names are llama.cpp's).
//!
//! | source | `tokenizer.ggml.model` |
//! |---|---|
//! | WordPiece (`tokenizer.json` or `vocab.txt`) | `bert`: word starts written with `▁`, continuations without `##` |
//! | Unigram (`tokenizer.json`) | `t5`: log probabilities, normalization map, whitespace rules |
//! | SentencePiece BPE (`tokenizer.model`, or `tokenizer.json` with byte fallback) | `llama`: merge scores |

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Result;
use crate::gguf::GgufWriter;

use super::base64;
use super::sentencepiece::{Piece, PieceModel, SentencePieceModel};
use super::source::{Fields, Source, damaged, first_existing, read_bounded, read_json, unsupported};
use super::tokenizer_json::{TokenizerJson, TokenizerModel, Vocab, kind};

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The score llama.cpp's converter gives to rows of the table that no token has.
const UNUSED_SCORE: f32 = -10_000.0;
/// Limits of what is read: a vocabulary in plain text and a SentencePiece model.
const MAX_VOCAB_FILE: u64 = 64 << 20;

#[derive(Clone, Debug)]
enum Kind {
    WordPiece { lowercase: bool, strip_accents: bool },
    Unigram { charsmap: Vec<u8>, add_space_prefix: bool, remove_extra_whitespaces: bool },
    SentencePieceBpe { add_space_prefix: bool },
}

/// A vocabulary with as many entries as the token table has rows.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    kind: Kind,
    tokens: Vec<String>,
    scores: Vec<f32>,
    types: Vec<i32>,
    /// Key suffix (`bos`, `cls`, …) and id.
    special: Vec<(&'static str, u32)>,
}

impl Vocabulary {
    /// Reads the tokenizer files of a source folder.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Damaged`], [`crate::Error::Unsupported`] for tokenizers of another kind.
    pub(super) fn read(source: &Source) -> Result<Self> {
        let dir = &source.transformer_dir;
        let spm_path = dir.join("tokenizer.model");
        let json_path = dir.join("tokenizer.json");
        let vocab_path = dir.join("vocab.txt");
        let mut vocabulary = if spm_path.exists() {
            Self::from_sentencepiece(&spm_path, source)?
        } else if json_path.exists() {
            Self::from_tokenizer_json(&json_path, source)?
        } else if vocab_path.exists() {
            Self::from_vocab_txt(&vocab_path, source)?
        } else {
            return Err(damaged(dir, "no tokenizer.json, tokenizer.model or vocab.txt"));
        };
        vocabulary.find_special(dir)?;
        Ok(vocabulary)
    }

    fn from_sentencepiece(path: &Path, source: &Source) -> Result<Self> {
        let model = SentencePieceModel::parse(path, &read_bounded(path, MAX_VOCAB_FILE)?)?;
        if model.model != PieceModel::Bpe {
            return Err(unsupported(path, "SentencePiece model type", "unigram"));
        }
        if !model.charsmap.is_empty() || model.remove_extra_whitespaces {
            return Err(unsupported(path, "normalization of a SentencePiece BPE model", "not identity"));
        }
        let mut builder = Builder::new(path, source.vocabulary());
        for (id, Piece { text, score, kind }) in model.pieces.into_iter().enumerate() {
            builder.set(id, text, score, kind)?;
        }
        for token in added_tokens(&source.transformer_dir)? {
            // Tokens for other modalities may stand behind the last row of the table; text never makes them.
            if (token.id as usize) < builder.tokens.len() {
                let kind = if token.special { CONTROL } else { USER_DEFINED };
                let text = if token.special { token.content } else { token.content.replace('▁', " ") };
                builder.add(token.id as usize, text, kind)?;
            }
        }
        Ok(builder.build(Kind::SentencePieceBpe { add_space_prefix: model.add_dummy_prefix }))
    }

    fn from_tokenizer_json(path: &Path, source: &Source) -> Result<Self> {
        let json: TokenizerJson = read_json(path)?;
        let kind = match (&json.model.kind, &json.model.vocab) {
            (Some(kind), _) => kind.as_str(),
            // Old files do not name the model.
            (None, Vocab::Scores(_)) => "Unigram",
            (None, Vocab::Ids(_)) if json.model.merges.is_empty() => "WordPiece",
            (None, Vocab::Ids(_)) => "BPE",
        };
        match kind {
            "WordPiece" => word_piece(path, &json, source),
            "Unigram" => unigram(path, &json, source),
            "BPE" if json.model.byte_fallback => byte_fallback_bpe(path, &json, source),
            other => Err(unsupported(path, "tokenizer", other)),
        }
    }

    fn from_vocab_txt(path: &Path, source: &Source) -> Result<Self> {
        let text = String::from_utf8(read_bounded(path, MAX_VOCAB_FILE)?).map_err(|_| damaged(path, "not UTF-8"))?;
        let config_path = source.transformer_dir.join("tokenizer_config.json");
        let (lowercase, strip_accents) = if config_path.exists() {
            let config = Fields::read(&config_path)?;
            let lowercase = config.flag("do_lower_case", true)?;
            (lowercase, config.flag("strip_accents", lowercase)?)
        } else {
            (true, true)
        };
        let mut builder = Builder::new(path, source.vocabulary());
        for (id, token) in text.lines().enumerate() {
            // The special tokens of BERT; `[unused…]` are ordinary entries.
            let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].contains(&token);
            let kind = if special { CONTROL } else { NORMAL };
            builder.set(id, phantom_space(token, "##", special), 0.0, kind)?;
        }
        let lowercase = lowercase || source.lower_case_first;
        Ok(builder.build(Kind::WordPiece { lowercase, strip_accents }))
    }

    /// Looks the special tokens up by the names that the folder or convention gives them.
    fn find_special(&mut self, dir: &Path) -> Result<()> {
        let names: [(&str, &str, &[&str]); 7] = [
            ("bos_token", "bos", &["<s>", "<bos>"]),
            ("eos_token", "eos", &["</s>", "<eos>"]),
            ("unk_token", "unknown", &["[UNK]", "<unk>"]),
            ("sep_token", "seperator", &["[SEP]"]),
            ("pad_token", "padding", &["[PAD]", "<pad>"]),
            ("cls_token", "cls", &["[CLS]"]),
            ("mask_token", "mask", &["[MASK]"]),
        ];
        let mut maps = Vec::new();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = dir.join(name);
            if path.exists() {
                maps.push(Fields::read(&path)?);
            }
        }
        let ids: HashMap<&str, u32> = (0..).zip(&self.tokens).map(|(id, token)| (token.as_str(), id)).collect();
        for (config_name, key, usual) in names {
            let configured = maps.iter().find_map(|map| match map.value.get(config_name) {
                Some(Value::String(name)) => Some(name.as_str()),
                Some(token) => token.get("content").and_then(Value::as_str),
                None => None,
            });
            let id = match configured {
                Some(name) => ids.get(name),
                None => usual.iter().find_map(|name| ids.get(name)),
            };
            if let Some(&id) = id {
                self.special.push((key, id));
            }
        }
        let find = |special: &[(&'static str, u32)], key: &str| {
            special.iter().find(|(found, _)| *found == key).map(|(_, id)| *id)
        };
        if matches!(self.kind, Kind::WordPiece { .. }) {
            // llama.cpp has BERT's start and end under the general names.
            for (general, bert) in [("bos", "cls"), ("eos", "seperator")] {
                if find(&self.special, general).is_none()
                    && let Some(id) = find(&self.special, bert)
                {
                    self.special.push((general, id));
                }
            }
        }
        if ["bos", "eos", "unknown"].iter().any(|key| find(&self.special, key).is_none()) {
            return Err(damaged(dir, "the vocabulary lacks its start, end or unknown token"));
        }
        Ok(())
    }

    /// Writes the arrays under llama.cpp's keys.
    pub(super) fn write(&self, out: &mut GgufWriter, token_type_count: Option<usize>) -> Result<()> {
        let model = match &self.kind {
            Kind::WordPiece { .. } => "bert",
            Kind::Unigram { .. } => "t5",
            Kind::SentencePieceBpe { .. } => "llama",
        };
        out.put("tokenizer.ggml.model", model)?;
        out.put("tokenizer.ggml.pre", "default")?;
        out.put("tokenizer.ggml.tokens", self.tokens.as_slice())?;
        if !matches!(self.kind, Kind::WordPiece { .. }) {
            out.put("tokenizer.ggml.scores", self.scores.as_slice())?;
        }
        out.put("tokenizer.ggml.token_type", self.types.as_slice())?;
        if let Some(count) = token_type_count {
            out.put("tokenizer.ggml.token_type_count", count as u32)?;
        }
        for (key, id) in &self.special {
            out.put(&format!("tokenizer.ggml.{key}_token_id"), *id)?;
        }
        match &self.kind {
            Kind::WordPiece { lowercase, strip_accents } => {
                out.put("tokenizer.ggml.normalizer.lowercase", *lowercase)?;
                out.put("tokenizer.ggml.normalizer.strip_accents", *strip_accents)?;
            }
            Kind::Unigram { charsmap, add_space_prefix, remove_extra_whitespaces } => {
                out.put("tokenizer.ggml.add_space_prefix", *add_space_prefix)?;
                out.put("tokenizer.ggml.remove_extra_whitespaces", *remove_extra_whitespaces)?;
                if !charsmap.is_empty() {
                    out.put("tokenizer.ggml.precompiled_charsmap", charsmap.as_slice())?;
                }
            }
            Kind::SentencePieceBpe { add_space_prefix } => {
                out.put("tokenizer.ggml.add_space_prefix", *add_space_prefix)?;
            }
        }
        // All these embedders put a start and an end token around a text.
        out.put("tokenizer.ggml.add_bos_token", true)?;
        out.put("tokenizer.ggml.add_eos_token", true)?;
        Ok(())
    }
}

/// llama.cpp's form of WordPiece: `word` becomes `▁word`, `##ing` becomes `ing`.
fn phantom_space(token: &str, continuation: &str, special: bool) -> String {
    if special {
        return token.to_owned();
    }
    match token.strip_prefix(continuation) {
        Some(rest) if !continuation.is_empty() => rest.to_owned(),
        _ => format!("▁{token}"),
    }
}

fn word_piece(path: &Path, json: &TokenizerJson, source: &Source) -> Result<Vocabulary> {
    let flag = |step: &Value, key: &str, default: bool| step.get(key).and_then(Value::as_bool).unwrap_or(default);
    let (mut lowercase, mut strip_accents) = (false, false);
    for step in json.normalizers() {
        match kind(step) {
            "BertNormalizer" => {
                lowercase = flag(step, "lowercase", true);
                strip_accents = flag(step, "strip_accents", lowercase);
                if !flag(step, "clean_text", true) || !flag(step, "handle_chinese_chars", true) {
                    return Err(unsupported(path, "normalizer", "BertNormalizer without its usual steps"));
                }
            }
            other => return Err(unsupported(path, "normalizer", other)),
        }
    }
    if let Some(other) = json.pre_tokenizers().into_iter().map(kind).find(|kind| *kind != "BertPreTokenizer") {
        return Err(unsupported(path, "pre-tokenizer", other));
    }
    let continuation = json.model.continuing_subword_prefix.as_deref().unwrap_or("##");
    let special: HashMap<u32, bool> = json.added_tokens.iter().map(|token| (token.id, token.special)).collect();
    let mut builder = Builder::new(path, source.vocabulary());
    for (token, id) in ids(path, &json.model)? {
        let kind = match special.get(id) {
            Some(true) => CONTROL,
            Some(false) => USER_DEFINED,
            None => NORMAL,
        };
        builder.set(*id as usize, phantom_space(token, continuation, kind != NORMAL), 0.0, kind)?;
    }
    let lowercase = lowercase || source.lower_case_first;
    Ok(builder.build(Kind::WordPiece { lowercase, strip_accents }))
}

fn unigram(path: &Path, json: &TokenizerJson, source: &Source) -> Result<Vocabulary> {
    let Vocab::Scores(pieces) = &json.model.vocab else {
        return Err(damaged(path, "a Unigram model without scores"));
    };
    let mut charsmap = Vec::new();
    let mut remove_extra_whitespaces = false;
    for step in json.normalizers() {
        match kind(step) {
            "Precompiled" => {
                let text = step.get("precompiled_charsmap").and_then(Value::as_str).unwrap_or_default();
                charsmap = base64::decode(text).ok_or_else(|| damaged(path, "precompiled_charsmap is not base64"))?;
            }
            // Runs of spaces become one; what else `Replace` could do is not supported.
            "Replace" if is_space_run(step) => remove_extra_whitespaces = true,
            "Strip" => {}
            other => return Err(unsupported(path, "normalizer", other)),
        }
    }
    let mut add_space_prefix = false;
    for step in json.pre_tokenizers() {
        match kind(step) {
            "WhitespaceSplit" => remove_extra_whitespaces = true,
            "Metaspace" => {
                let scheme = step.get("prepend_scheme").and_then(Value::as_str);
                add_space_prefix = match scheme {
                    Some(scheme) => scheme != "never",
                    None => step.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true),
                };
            }
            other => return Err(unsupported(path, "pre-tokenizer", other)),
        }
    }
    let mut builder = Builder::new(path, source.vocabulary());
    for (id, (piece, score)) in pieces.iter().enumerate() {
        let kind = if json.model.unk_id == u32::try_from(id).ok() { UNKNOWN } else { NORMAL };
        builder.set(id, piece.clone(), *score as f32, kind)?;
    }
    for token in &json.added_tokens {
        let unknown = json.model.unk_id == Some(token.id);
        if (token.id as usize) < builder.tokens.len() && !unknown {
            let kind = if token.special { CONTROL } else { USER_DEFINED };
            builder.add(token.id as usize, token.content.clone(), kind)?;
        }
    }
    Ok(builder.build(Kind::Unigram { charsmap, add_space_prefix, remove_extra_whitespaces }))
}

/// Whether a `Replace` step turns two or more spaces (or their visible form) into one.
fn is_space_run(step: &Value) -> bool {
    let pattern = step.get("pattern").and_then(|pattern| pattern.get("Regex")).and_then(Value::as_str);
    let content = step.get("content").and_then(Value::as_str);
    matches!(pattern, Some(" {2,}" | "\\s{2,}")) && matches!(content, Some(" " | "▁"))
}

/// A SentencePiece BPE vocabulary in its `tokenizer.json` form. Scores are lost there; what matters is their order,
/// which is the order of the merges: a piece that an earlier merge makes has the higher score.
fn byte_fallback_bpe(path: &Path, json: &TokenizerJson, source: &Source) -> Result<Vocabulary> {
    let mut add_space_prefix = false;
    for step in json.normalizers() {
        match kind(step) {
            "Prepend" => add_space_prefix = true,
            "Replace" if step.get("content").and_then(Value::as_str) == Some("▁") => {}
            other => return Err(unsupported(path, "normalizer", other)),
        }
    }
    let mut ranks: HashMap<&str, usize> = HashMap::with_capacity(json.model.merges.len());
    for (rank, merge) in json.model.merges.iter().enumerate() {
        ranks.entry(merge.0.as_str()).or_insert(rank);
    }
    let mut builder = Builder::new(path, source.vocabulary());
    for (token, id) in ids(path, &json.model)? {
        let byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
        let kind = match token.as_str() {
            "<unk>" => UNKNOWN,
            _ if byte => BYTE,
            _ => NORMAL,
        };
        let score = ranks.get(token.as_str()).map_or(UNUSED_SCORE, |&rank| -(rank as f32));
        // Vision tokens behind the last row have no embedding.
        if (*id as usize) < builder.tokens.len() {
            builder.set(*id as usize, token.clone(), score, kind)?;
        }
    }
    for token in &json.added_tokens {
        let id = token.id as usize;
        if id < builder.tokens.len() && builder.types[id] != UNKNOWN {
            let kind = if token.special { CONTROL } else { USER_DEFINED };
            let text = if token.special { token.content.clone() } else { token.content.replace('▁', " ") };
            builder.add(id, text, kind)?;
        }
    }
    Ok(builder.build(Kind::SentencePieceBpe { add_space_prefix }))
}

fn ids<'a>(path: &Path, model: &'a TokenizerModel) -> Result<&'a [(String, u32)]> {
    match &model.vocab {
        Vocab::Ids(ids) => Ok(ids),
        Vocab::Scores(_) => Err(damaged(path, "a vocabulary of scores where ids are due")),
    }
}

/// The added tokens that `tokenizer_config.json` lists, by id.
fn added_tokens(dir: &Path) -> Result<Vec<super::tokenizer_json::AddedToken>> {
    let Some(path) = first_existing(dir, &["tokenizer_config.json"]) else {
        return Ok(Vec::new());
    };
    let config = Fields::read(&path)?;
    let Some(tokens) = config.value.get("added_tokens_decoder").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let mut added = Vec::with_capacity(tokens.len());
    for (id, token) in tokens {
        let id = id.parse().map_err(|_| damaged(&path, "an added token whose id is no number"))?;
        let content = token.get("content").and_then(Value::as_str);
        let content = content.ok_or_else(|| damaged(&path, "an added token without content"))?.to_owned();
        let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
        added.push(super::tokenizer_json::AddedToken { id, content, special });
    }
    added.sort_by_key(|token| token.id);
    Ok(added)
}

/// Fills a vocabulary of a fixed size; ids that nobody fills stay unused entries `[PAD<id>]`.
struct Builder {
    path: PathBuf,
    tokens: Vec<String>,
    scores: Vec<f32>,
    types: Vec<i32>,
}

impl Builder {
    fn new(path: &Path, size: usize) -> Self {
        Self {
            path: path.to_owned(),
            tokens: (0..size).map(|id| format!("[PAD{id}]")).collect(),
            scores: vec![UNUSED_SCORE; size],
            types: vec![UNUSED; size],
        }
    }

    fn set(&mut self, id: usize, token: String, score: f32, kind: i32) -> Result<()> {
        if id >= self.tokens.len() {
            let reason = format!("token {id} in a vocabulary of {}", self.tokens.len());
            return Err(damaged(&self.path, reason));
        }
        if !score.is_finite() {
            return Err(damaged(&self.path, format!("the score of token {id} is no number")));
        }
        self.tokens[id] = token;
        self.scores[id] = score;
        self.types[id] = kind;
        Ok(())
    }

    /// Renames a token or makes it special, keeping the score.
    fn add(&mut self, id: usize, token: String, kind: i32) -> Result<()> {
        let score = self.scores[id];
        self.set(id, token, score, kind)
    }

    fn build(self, kind: Kind) -> Vocabulary {
        Vocabulary { kind, tokens: self.tokens, scores: self.scores, types: self.types, special: Vec::new() }
    }
}
