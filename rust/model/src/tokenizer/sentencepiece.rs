//! SentencePiece vocabularies: merging by score (`tokenizer.ggml.model = llama`: Llama 2, Gemma) and the Unigram
//! model (`t5`: XLM-R, multilingual E5).
//!
//! Kudo and Richardson, "SentencePiece" (2018); Kudo, "Subword Regularization" (2018). Their visible space `▁`
//! (U+2581) is a plain space here, in tokens and text alike.

use super::charsmap::Charsmap;
use super::merge::{Merger, Symbol};
use super::vocabulary::{Kind, NONE, Vocabulary};
use crate::Result;
use crate::gguf::Gguf;

/// Reads tokens with `▁` turned into the space it stands for.
fn read_vocabulary(gguf: &Gguf) -> Result<Vocabulary> {
    Vocabulary::read(gguf, |token, arena| {
        with_spaces(token, arena);
        true
    })
}

fn with_spaces(text: &str, out: &mut Vec<u8>) {
    for (i, part) in text.split('▁').enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend(part.as_bytes());
    }
}

/// What both models do with text that no piece covers.
struct Fallback {
    bytes: [u32; 256],
    unknown: Option<u32>,
}

impl Fallback {
    fn new(gguf: &Gguf, vocabulary: &Vocabulary) -> Result<Self> {
        let named = vocabulary.id_key(gguf, "tokenizer.ggml.unknown_token_id")?;
        let unknown = named.or_else(|| (0..vocabulary.len() as u32).find(|&id| vocabulary.kind(id) == Kind::Unknown));
        Ok(Fallback { bytes: vocabulary.byte_tokens(), unknown })
    }

    /// Byte tokens where the vocabulary has them, else one unknown token; a run of unknown text gives one.
    fn encode(&self, text: &[u8], out: &mut Vec<u32>) {
        let ids = text.iter().map(|&byte| self.bytes[usize::from(byte)]);
        if ids.clone().all(|id| id != NONE) {
            out.extend(ids);
        } else if self.unknown.is_some() && out.last().copied() != self.unknown {
            out.extend(self.unknown);
        }
    }
}

/// Merging by score.
pub(super) struct SentencePiece {
    /// Smaller is merged sooner: the score's bits, ordered as numbers and turned round.
    ranks: Vec<u32>,
    fallback: Fallback,
    add_space_prefix: bool,
}

impl SentencePiece {
    pub(super) fn read(gguf: &Gguf) -> Result<(Vocabulary, SentencePiece)> {
        let vocabulary = read_vocabulary(gguf)?;
        let ranks = vocabulary.scores(gguf)?.into_iter().map(rank).collect();
        let fallback = Fallback::new(gguf, &vocabulary)?;
        let add_space_prefix = gguf.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        Ok((vocabulary, SentencePiece { ranks, fallback, add_space_prefix }))
    }

    /// Appends the tokens of a stretch of plain text: one that begins the text or follows a special token.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, merger: &mut Merger, out: &mut Vec<u32>) {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        if self.add_space_prefix {
            bytes.push(b' ');
        }
        with_spaces(text, &mut bytes);
        let mut at = 0;
        while at < bytes.len() {
            let len = char_len(bytes[at]);
            merger.push(len, vocabulary.find(&bytes[at..at + len]));
            at += len;
        }
        let pair = |l: Symbol, r: Symbol| {
            let id = vocabulary.find(&bytes[l.start as usize..(r.start + r.len) as usize]);
            if id == NONE { None } else { Some((self.ranks[id as usize], id)) }
        };
        merger.finish(pair, |symbol| match symbol.id {
            NONE => self.fallback.encode(&bytes[symbol.start as usize..(symbol.start + symbol.len) as usize], out),
            id => out.push(id),
        });
    }
}

/// Orders scores as integers, the highest first.
fn rank(score: f32) -> u32 {
    let bits = score.to_bits();
    if bits >> 31 == 1 { bits } else { !(bits | 0x8000_0000) }
}

/// Bytes of the character that begins with `byte`, in valid UTF-8.
fn char_len(byte: u8) -> usize {
    match byte {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// The most probable segmentation.
pub(super) struct Unigram {
    scores: Vec<f32>,
    longest: usize,
    unknown_score: f64,
    fallback: Fallback,
    charsmap: Charsmap,
    add_space_prefix: bool,
    remove_extra_whitespaces: bool,
}

/// SentencePiece's `kUnkPenalty`: an unknown character costs this much more than the worst piece.
const UNKNOWN_PENALTY: f64 = 10.0;

impl Unigram {
    pub(super) fn read(gguf: &Gguf) -> Result<(Vocabulary, Unigram)> {
        let vocabulary = read_vocabulary(gguf)?;
        let scores = vocabulary.scores(gguf)?;
        let normal = || (0..vocabulary.len() as u32).filter(|&id| vocabulary.kind(id) == Kind::Normal);
        let longest = normal().map(|id| vocabulary.bytes(id).len()).max().unwrap_or(0);
        let worst = normal().map(|id| f64::from(scores[id as usize])).fold(0.0, f64::min);
        let charsmap = match gguf.array("tokenizer.ggml.precompiled_charsmap") {
            None => Charsmap::none(),
            Some(bytes) => Charsmap::new(&bytes.to_i32().iter().map(|&b| b as u8).collect::<Vec<u8>>())
                .ok_or_else(|| gguf.damaged("tokenizer.ggml.precompiled_charsmap is malformed"))?,
        };
        let unigram = Unigram {
            longest,
            unknown_score: worst - UNKNOWN_PENALTY,
            fallback: Fallback::new(gguf, &vocabulary)?,
            scores,
            charsmap,
            add_space_prefix: gguf.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true),
            remove_extra_whitespaces: gguf.bool("tokenizer.ggml.remove_extra_whitespaces").unwrap_or(true),
        };
        Ok((vocabulary, unigram))
    }

    /// Appends the tokens of a stretch of plain text: one that begins the text or follows a special token.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<u32>) {
        let mut normal = Vec::with_capacity(text.len() + 1);
        with_spaces(&self.charsmap.normalize(text), &mut normal);
        if self.remove_extra_whitespaces {
            let words: Vec<&[u8]> = normal.split(|&b| b == b' ').filter(|word| !word.is_empty()).collect();
            normal = words.join(&b' ');
        }
        if normal.is_empty() {
            return;
        }
        if self.add_space_prefix {
            normal.insert(0, b' ');
        }
        // No piece has a space but at its start, so each stretch that begins with one stands alone.
        let mut start = 0;
        for at in 1..=normal.len() {
            if at == normal.len() || normal[at] == b' ' {
                self.segment(vocabulary, &normal[start..at], out);
                start = at;
            }
        }
    }

    /// Viterbi over the pieces: `best[i]` is the best way to reach byte `i`.
    fn segment(&self, vocabulary: &Vocabulary, text: &[u8], out: &mut Vec<u32>) {
        #[derive(Clone, Copy)]
        struct Step {
            score: f64,
            from: usize,
            id: u32,
        }
        let unreached = Step { score: f64::NEG_INFINITY, from: 0, id: NONE };
        let mut best = vec![unreached; text.len() + 1];
        best[0].score = 0.0;
        let mut at = 0;
        while at < text.len() {
            let char = char_len(text[at]);
            let here = best[at].score;
            let mut alone = false;
            for end in at + 1..=text.len().min(at + self.longest) {
                let id = vocabulary.find(&text[at..end]);
                if id != NONE {
                    let score = here + f64::from(self.scores[id as usize]);
                    if score > best[end].score {
                        best[end] = Step { score, from: at, id };
                    }
                    alone |= end == at + char;
                }
            }
            let score = here + self.unknown_score;
            if !alone && score > best[at + char].score {
                best[at + char] = Step { score, from: at, id: NONE };
            }
            at += char;
        }
        let mut path = Vec::new();
        let mut end = text.len();
        while end > 0 {
            path.push((best[end].from, end, best[end].id));
            end = best[end].from;
        }
        for &(start, end, id) in path.iter().rev() {
            match id {
                NONE => self.fallback.encode(&text[start..end], out),
                id => out.push(id),
            }
        }
    }
}
