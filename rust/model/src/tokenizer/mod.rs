//! Tokenizers built from a GGUF file alone.
//!
//! | `tokenizer.ggml.model` | algorithm | models |
//! |---|---|---|
//! | `gpt2` | byte-level BPE, words cut as `tokenizer.ggml.pre` says | Qwen, SmolLM, Llama 3, GLM-4, GPT-2 |
//! | `llama` | SentencePiece, merged by score, with byte tokens | Gemma, Llama 2 |
//! | `t5` | SentencePiece Unigram | XLM-R, multilingual E5 |
//! | `bert` | WordPiece | BERT, MiniLM, BGE |
//!
//! Plain text never becomes a control token: [`Tokenizer::encode`] does not look for them, whatever the text says.
//! Only the parts of a prompt that a chat template wrote are searched.

mod bpe;
mod byte_level;
mod charsmap;
mod merge;
mod sentencepiece;
mod special;
mod split;
mod vocabulary;
mod wordpiece;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bpe::Bpe;
use merge::Merger;
use sentencepiece::{SentencePiece, Unigram};
use special::Specials;
use vocabulary::{Kind, NONE, Vocabulary, looks_like_control};
use wordpiece::WordPiece;

use crate::gguf::Gguf;
use crate::{Error, Result};

/// The longest text that is encoded in one call, in bytes. A text without a single word break may take forty times
/// its size in memory.
const LONGEST_TEXT: usize = 1 << 24;

/// Turns text into the token ids of one model, and back. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    vocabulary: Vocabulary,
    algorithm: Algorithm,
    specials: Specials,
    bos: Option<u32>,
    eos: Option<u32>,
    eot: Option<u32>,
    padding: Option<u32>,
    add_bos: bool,
    add_eos: bool,
    /// Sorted.
    ends: Vec<u32>,
}

enum Algorithm {
    Bpe(Bpe),
    SentencePiece(SentencePiece),
    Unigram(Unigram),
    WordPiece(WordPiece),
}

/// Tokens that end a turn, by their text, as the models' own generation configurations name them; the last is GLM's.
const END_OF_TURN: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|user|>"];
/// Further tokens after which nothing more is to be generated.
const END_OF_GENERATION: [&str; 6] =
    ["<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<|observation|>", "<|endofprompt|>", "</s>"];

impl Tokenizer {
    /// Builds the tokenizer that the file describes.
    ///
    /// Errors: [`Error::Unsupported`] for another algorithm or an unknown `tokenizer.ggml.pre`, [`Error::Damaged`]
    /// if vocabulary, merges or ids do not agree.
    pub fn from_gguf(gguf: &Gguf) -> Result<Tokenizer> {
        let model = gguf.require_str("tokenizer.ggml.model")?;
        let (vocabulary, algorithm) = match model {
            "gpt2" => Bpe::read(gguf).map(|(v, a)| (v, Algorithm::Bpe(a)))?,
            "llama" => SentencePiece::read(gguf).map(|(v, a)| (v, Algorithm::SentencePiece(a)))?,
            "t5" => Unigram::read(gguf).map(|(v, a)| (v, Algorithm::Unigram(a)))?,
            "bert" => WordPiece::read(gguf).map(|(v, a)| (v, Algorithm::WordPiece(a)))?,
            other => return Err(gguf.unsupported("tokenizer (tokenizer.ggml.model)", other)),
        };
        let id = |names: &[&str]| -> Result<Option<u32>> {
            for name in names {
                if let Some(id) = vocabulary.id_key(gguf, &format!("tokenizer.ggml.{name}_token_id"))? {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        };
        let specials = Specials::new(&vocabulary);
        // BERT's and XLM-R's start token is `cls`, their end token `sep` (which llama.cpp's key misspells).
        let bos = id(&["bos", "cls"])?;
        let eos = id(&["eos", "seperator", "separator"])?;
        let turns = if gguf.architecture().contains("glm") { &END_OF_TURN[..] } else { &END_OF_TURN[..4] };
        let eot = id(&["eot"])?.or_else(|| turns.iter().find_map(|text| specials.id(text)));
        let mut ends: Vec<u32> = [eos, eot, id(&["eom"])?].into_iter().flatten().collect();
        ends.extend(END_OF_GENERATION.iter().filter_map(|text| specials.id(text)));
        ends.sort_unstable();
        ends.dedup();
        let implied = match &algorithm {
            Algorithm::Bpe(_) => matches!(gguf.str("tokenizer.ggml.pre"), Some("llama-bpe" | "llama3" | "llama-v3")),
            Algorithm::SentencePiece(_) | Algorithm::WordPiece(_) => true,
            Algorithm::Unigram(_) => false,
        };
        let add_bos = gguf.bool("tokenizer.ggml.add_bos_token").unwrap_or(implied) && bos.is_some();
        let add_eos = ["eos", "sep"]
            .iter()
            .any(|end| gguf.bool(&format!("tokenizer.ggml.add_{end}_token")) == Some(true))
            || (matches!(algorithm, Algorithm::WordPiece(_)) && gguf.bool("tokenizer.ggml.add_sep_token").is_none());
        let padding = id(&["padding"])?;
        let add_eos = add_eos && eos.is_some();
        let inner = Inner { vocabulary, algorithm, specials, bos, eos, eot, padding, add_bos, add_eos, ends };
        Ok(Tokenizer { inner: Arc::new(inner) })
    }

    /// The tokens of plain text, without start and end tokens. Never a control token, whatever the text says.
    ///
    /// Cost: linear in the text but for a logarithm. Errors: [`Error::InvalidArgument`] for more than 16 MiB.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_spans(&[(text, false)])
    }

    /// The tokens of text that a chat template wrote: control tokens are recognised.
    pub fn encode_special(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_spans(&[(text, true)])
    }

    /// The tokens of a text that consists of spans; control tokens are recognised where they lie wholly within one
    /// span whose flag is set. Apart from that the tokens are those of the whole text: where spans meet makes no
    /// difference.
    pub fn encode_spans(&self, spans: &[(&str, bool)]) -> Result<Vec<u32>> {
        let len: usize = spans.iter().map(|(text, _)| text.len()).sum();
        if len > LONGEST_TEXT {
            return Err(Error::InvalidArgument(format!("a text of {len} bytes")));
        }
        let text: Cow<'_, str> = match spans {
            [(text, _)] => Cow::Borrowed(text),
            _ => spans.iter().map(|(text, _)| *text).collect(),
        };
        let mut scan =
            Scan { tokenizer: &self.inner, text: &text, done: 0, merger: Merger::default(), out: Vec::new() };
        let mut start = 0;
        for &(span, control) in spans {
            let end = start + span.len();
            scan.span(start, end, control)?;
            start = end;
        }
        scan.plain_until(text.len())?;
        Ok(scan.out)
    }

    /// The bytes that a token adds to a text; none for tokens that stand for no text ([`Tokenizer::is_control`]).
    /// A token may end within a character.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        if self.is_control(id) { &[] } else { self.inner.vocabulary.bytes(id) }
    }

    /// A token as a person may read it, control tokens too.
    pub fn token_text(&self, id: u32) -> Cow<'_, str> {
        String::from_utf8_lossy(self.inner.vocabulary.bytes(id))
    }

    /// Whether a token stands for no text: control, unused and unknown tokens, and ids outside the vocabulary.
    pub fn is_control(&self, id: u32) -> bool {
        match self.inner.vocabulary.kind(id) {
            Kind::Control | Kind::Unused | Kind::Unknown => true,
            Kind::UserDefined => looks_like_control(self.inner.vocabulary.bytes(id)),
            Kind::Normal | Kind::Byte => false,
        }
    }

    /// The id of the token with exactly this text: special ones first, then pieces of text.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        let piece = || Some(self.inner.vocabulary.find(text.as_bytes())).filter(|&id| id != NONE);
        self.inner.specials.id(text).or_else(piece)
    }

    /// Number of ids, special and unused ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.vocabulary.len()
    }

    /// The token that begins a text (for BERT, `[CLS]`).
    pub fn bos(&self) -> Option<u32> {
        self.inner.bos
    }

    /// The token that ends a text (for BERT, `[SEP]`).
    pub fn eos(&self) -> Option<u32> {
        self.inner.eos
    }

    /// The token that ends a turn of a chat, where it is known.
    pub fn eot(&self) -> Option<u32> {
        self.inner.eot
    }

    /// The token that fills a batch.
    pub fn padding(&self) -> Option<u32> {
        self.inner.padding
    }

    /// Whether the model expects [`Tokenizer::bos`] before a text.
    pub fn add_bos(&self) -> bool {
        self.inner.add_bos
    }

    /// Whether the model expects [`Tokenizer::eos`] after a text, as embedders do.
    pub fn add_eos(&self) -> bool {
        self.inner.add_eos
    }

    /// Whether generation ends with this token: end of text, of turn or of message.
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.inner.ends.binary_search(&id).is_ok()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.vocab_size())
    }
}

/// One pass over a text: special tokens are found, what lies between them is encoded as a whole.
struct Scan<'a> {
    tokenizer: &'a Inner,
    text: &'a str,
    /// Encoded up to here.
    done: usize,
    merger: Merger,
    out: Vec<u32>,
}

impl Scan<'_> {
    /// Looks for special tokens that begin in the span.
    fn span(&mut self, start: usize, end: usize, control: bool) -> Result<()> {
        let specials = &self.tokenizer.specials;
        if !control && !specials.any_user_defined {
            return Ok(());
        }
        let mut at = start.max(self.done);
        while at < end {
            match specials.find(self.text.as_bytes(), at, if control { end } else { 0 }) {
                Some((len, id)) => {
                    self.plain_until(at)?;
                    self.out.push(id);
                    at += len;
                    self.done = at;
                }
                None => at += 1,
            }
        }
        Ok(())
    }

    /// Encodes what lies before `end` and is not encoded yet.
    fn plain_until(&mut self, end: usize) -> Result<()> {
        if end <= self.done {
            return Ok(());
        }
        let text = &self.text[self.done..end];
        self.done = end;
        let vocabulary = &self.tokenizer.vocabulary;
        match &self.tokenizer.algorithm {
            Algorithm::Bpe(bpe) => bpe.encode(vocabulary, text, &mut self.merger, &mut self.out),
            Algorithm::SentencePiece(spm) => spm.encode(vocabulary, text, &mut self.merger, &mut self.out),
            Algorithm::Unigram(unigram) => unigram.encode(vocabulary, text, &mut self.out),
            Algorithm::WordPiece(pieces) => pieces.encode(vocabulary, text, &mut self.out)?,
        }
        Ok(())
    }
}
