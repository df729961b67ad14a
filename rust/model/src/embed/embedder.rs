//! An opened embedder: tokenizing, batching, the forward pass, the vectors in input order.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use lorekit_cancel::CancelToken;
use lorekit_kernels::ThreadPool;

use crate::gguf::Gguf;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

use super::batch::{Packed, batches};
use super::bert::Bert;
use super::fingerprint::EmbedderFingerprint;
use super::gemma::Gemma;
use super::head::Head;
use super::prompt::DocumentPrefix;
use super::weights::{damaged, size};
use super::workspace::Workspace;
use super::{ARCHITECTURE_BERT, ARCHITECTURE_GEMMA, Pooling, key};

/// Tokens in one forward pass, unless a single text has more: enough to use each weight many times while it is in
/// the cache, few enough that the buffers stay at some tens of megabytes.
const BATCH_TOKENS: usize = 512;
/// Passages tokenized and sorted by length at a time; bounds the heap for inputs of any length.
const PASSAGES_AT_ONCE: usize = 1024;

/// Tables whose rows are looked up and never multiplied.
const LOOKED_UP: &[&str] = &["token_embd.weight", "position_embd.weight", "token_types.weight"];

/// How to open an embedder.
#[derive(Clone, Debug, Default)]
pub struct EmbedderOptions {
    /// Threads that compute; 0 counts as 1.
    pub threads: usize,
    /// Keep only this many leading values of each vector and scale the rest to length one. Only for models trained so
    /// (Matryoshka representation learning, arXiv 2205.13147); EmbeddingGemma is, for 512, 256 and 128.
    pub dims: Option<usize>,
    /// Cut texts to this many tokens instead of the model's own limit; at most what its positions allow.
    pub max_tokens: Option<usize>,
    /// A folder for the side file; see [`LoadOptions::side_folder`](crate::LoadOptions::side_folder).
    pub side_folder: Option<PathBuf>,
}

/// A text to be found later, with the title of its document where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// The title; models with a slot for it get it there, others on a line before the text.
    pub title: Option<&'a str>,
    /// The text.
    pub text: &'a str,
}

/// Vectors of passages, and what happened to the texts on the way.
#[derive(Clone, Debug, Default)]
pub struct PassageVectors {
    /// One vector for each passage, in input order.
    pub vectors: Vec<Vec<f32>>,
    /// Indices of passages that had more than [`Embedder::max_tokens`] tokens; their end does not count.
    pub truncated: Vec<usize>,
    /// Tokens that went through the model.
    pub tokens: u64,
}

enum Encoder {
    Bert(Bert),
    Gemma(Box<Gemma>),
}

/// A memory-mapped embedding model.
///
/// It is `Send` and `Sync`. Queries take turns with each other, passages batch by batch with other passages; a query
/// that comes while passages are embedded shares the threads with them kernel by kernel instead of waiting. Weights
/// stay in the map; the heap holds the vocabulary, norms and the buffers of one batch.
pub struct Embedder {
    gguf: Gguf,
    tokenizer: Tokenizer,
    encoder: Encoder,
    head: Head,
    pool: ThreadPool,
    for_queries: Mutex<Workspace>,
    for_passages: Mutex<Workspace>,
    start: u32,
    end: u32,
    query_prefix: String,
    document_prefix: String,
    document: DocumentPrefix,
    max_tokens: usize,
    fingerprint: OnceLock<EmbedderFingerprint>,
}

impl Embedder {
    /// Maps the file that [`convert`](super::convert) wrote and checks it.
    ///
    /// Cost: the header and the vocabulary, some tens of milliseconds for 262,144 tokens; weights are read when they
    /// are used first.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Damaged`]; [`Error::Unsupported`] for a model that is no embedder;
    /// [`Error::InvalidArgument`] for options the model cannot meet.
    pub fn open(path: &Path, options: &EmbedderOptions) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let version = gguf.u32(key::FORMAT);
        if version != Some(key::FORMAT_VERSION) {
            // A llama.cpp embedder does not say which prompts it wants; guessing would give wrong vectors silently.
            let missing = || "no lorekit.embed keys; convert it from its source folder".to_owned();
            return Err(Error::Unsupported {
                path: path.to_owned(),
                what: "embedder file".to_owned(),
                found: version.map_or_else(missing, |version| format!("{} {version}", key::FORMAT)),
            });
        }
        let architecture = gguf.architecture();
        if ![ARCHITECTURE_BERT, ARCHITECTURE_GEMMA].contains(&architecture) {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                what: "embedder architecture".to_owned(),
                found: architecture.to_owned(),
            });
        }
        let architecture = architecture.to_owned();
        let pool = ThreadPool::new(options.threads.max(1));
        let gguf = match &options.side_folder {
            Some(folder) => gguf.with_packed(folder, LOOKED_UP, &pool)?,
            None => gguf,
        };
        let positions = size(&gguf, &format!("{architecture}.context_length"))?;
        let own_limit = size(&gguf, key::MAX_TOKENS)?.min(positions);
        let max_tokens = options.max_tokens.unwrap_or(own_limit);
        if max_tokens < 4 || max_tokens > positions {
            return Err(Error::InvalidArgument(format!("max_tokens {max_tokens} outside 4..={positions}")));
        }
        let encoder = if architecture == ARCHITECTURE_BERT {
            Encoder::Bert(Bert::open(&gguf)?)
        } else {
            Encoder::Gemma(Box::new(Gemma::open(&gguf)?))
        };
        let (hidden, vocabulary) = match &encoder {
            Encoder::Bert(bert) => (bert.hidden, bert.vocabulary),
            Encoder::Gemma(gemma) => (gemma.hidden, gemma.vocabulary),
        };
        let pooling_name = gguf.require_str(key::POOLING)?;
        let pooling = Pooling::from_name(pooling_name)
            .ok_or_else(|| damaged(&gguf, format!("{} is {pooling_name}", key::POOLING)))?;
        let mut head = Head::open(&gguf, pooling, hidden, gguf.require_bool(key::NORMALIZE)?)?;
        if let Some(dims) = options.dims {
            if dims == 0 || dims > head.full_dims {
                return Err(Error::InvalidArgument(format!("dims {dims} outside 1..={}", head.full_dims)));
            }
            head.dims = dims;
            head.normalize = true;
        }
        let tokenizer = Tokenizer::from_gguf(&gguf)?;
        let entries = gguf.require_array("tokenizer.ggml.tokens")?.len();
        if entries > vocabulary {
            return Err(damaged(&gguf, format!("{entries} tokens for a table of {vocabulary} rows")));
        }
        let inside = |id: Option<u32>| id.filter(|&id| (id as usize) < vocabulary);
        let (Some(start), Some(end)) = (inside(tokenizer.bos()), inside(tokenizer.eos())) else {
            return Err(damaged(&gguf, "no start or end token".to_owned()));
        };
        let query_prefix = gguf.require_str(key::QUERY_PREFIX)?.to_owned();
        let document_prefix = gguf.require_str(key::DOCUMENT_PREFIX)?.to_owned();
        Ok(Self {
            document: DocumentPrefix::parse(&document_prefix),
            tokenizer,
            encoder,
            head,
            pool,
            for_queries: Mutex::default(),
            for_passages: Mutex::default(),
            start,
            end,
            query_prefix,
            document_prefix,
            max_tokens,
            fingerprint: OnceLock::new(),
            gguf,
        })
    }

    /// Length of the vectors.
    pub fn dims(&self) -> usize {
        self.head.dims
    }

    /// Tokens of a text that count: prefix, start and end token included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// What an index made with this embedder must record. The first call reads the whole file once, to hash it.
    pub fn fingerprint(&self) -> &EmbedderFingerprint {
        self.fingerprint.get_or_init(|| EmbedderFingerprint {
            weights: blake3::Hash::from_bytes(self.gguf.fingerprint()).to_hex().to_string(),
            architecture: self.gguf.architecture().to_owned(),
            dims: self.head.dims,
            pooling: self.head.pooling,
            normalized: self.head.normalize,
            query_prefix: self.query_prefix.clone(),
            document_prefix: self.document_prefix.clone(),
            max_tokens: self.max_tokens,
        })
    }

    /// The vector of a question, with the model's query prefix before it. What exceeds [`max_tokens`](Self::max_tokens)
    /// is cut at the end.
    ///
    /// # Errors
    /// [`Error::Cancelled`], within one layer's time.
    pub fn embed_query(&self, text: &str, cancel: &CancelToken) -> Result<Vec<f32>> {
        let (tokens, _) = self.sequence(&[self.query_prefix.as_str(), text].concat())?;
        let mut packed = Packed::default();
        packed.push(&tokens);
        let mut vectors = self.forward(&self.for_queries, &packed, cancel)?;
        vectors.pop().ok_or_else(|| Error::InvalidArgument("an empty batch".to_owned()))
    }

    /// The vectors of passages in input order, with the model's document prefix before each.
    ///
    /// `progress` hears how many passages are done. See [`embed_passages_reported`](Self::embed_passages_reported) for
    /// which passages were cut.
    ///
    /// # Errors
    /// [`Error::Cancelled`], within one layer's time.
    pub fn embed_passages(
        &self,
        passages: &[Passage<'_>],
        progress: &mut dyn FnMut(usize),
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>> {
        Ok(self.embed_passages_reported(passages, progress, cancel)?.vectors)
    }

    /// [`embed_passages`](Self::embed_passages), with the passages that were longer than
    /// [`max_tokens`](Self::max_tokens) named.
    ///
    /// Passages are tokenized in groups, sorted by length and packed into batches. A vector's bits do not depend on
    /// the other passages.
    ///
    /// # Errors
    /// [`Error::Cancelled`], within one layer's time.
    pub fn embed_passages_reported(
        &self,
        passages: &[Passage<'_>],
        progress: &mut dyn FnMut(usize),
        cancel: &CancelToken,
    ) -> Result<PassageVectors> {
        let mut out = PassageVectors { vectors: vec![Vec::new(); passages.len()], ..Default::default() };
        let mut done = 0;
        let mut packed = Packed::default();
        for (group_index, group) in passages.chunks(PASSAGES_AT_ONCE).enumerate() {
            let first = group_index * PASSAGES_AT_ONCE;
            let mut sequences = Vec::with_capacity(group.len());
            for (index, passage) in group.iter().enumerate() {
                cancel.check()?;
                let (tokens, cut) = self.sequence(&self.document.apply(passage.title, passage.text))?;
                if cut {
                    out.truncated.push(first + index);
                }
                out.tokens += tokens.len() as u64;
                sequences.push(tokens);
            }
            let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
            for batch in batches(&lengths, BATCH_TOKENS) {
                packed.clear();
                for &index in &batch {
                    packed.push(&sequences[index]);
                }
                for (&index, vector) in batch.iter().zip(self.forward(&self.for_passages, &packed, cancel)?) {
                    out.vectors[first + index] = vector;
                }
                done += batch.len();
                progress(done);
            }
        }
        if !out.truncated.is_empty() {
            log::debug!("{} of {} passages exceed {} tokens", out.truncated.len(), passages.len(), self.max_tokens);
        }
        Ok(out)
    }

    /// Tokens of `text` alone: without prefix, start and end token.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn count_tokens(&self, text: &str) -> Result<usize> {
        Ok(self.encode(text)?.len())
    }

    /// Tokens of a passage as the model would see it, uncut: prefix, title, start and end token included. Above
    /// [`max_tokens`](Self::max_tokens) the passage's end does not count.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn count_passage_tokens(&self, passage: &Passage<'_>) -> Result<usize> {
        Ok(self.encode(&self.document.apply(passage.title, passage.text))?.len() + 2)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    /// Start token, text, end token; and whether the text had to be cut.
    fn sequence(&self, text: &str) -> Result<(Vec<u32>, bool)> {
        let body = self.encode(text)?;
        let kept = body.len().min(self.max_tokens - 2);
        let mut tokens = Vec::with_capacity(kept + 2);
        tokens.push(self.start);
        tokens.extend_from_slice(&body[..kept]);
        tokens.push(self.end);
        Ok((tokens, kept < body.len()))
    }

    fn forward(&self, workspace: &Mutex<Workspace>, batch: &Packed, cancel: &CancelToken) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        let mut guard = workspace.lock().unwrap_or_else(PoisonError::into_inner);
        let ws = &mut *guard;
        match &self.encoder {
            Encoder::Bert(bert) => bert.forward(&self.gguf, &self.pool, batch, ws, cancel)?,
            Encoder::Gemma(gemma) => gemma.forward(&self.gguf, &self.pool, batch, ws, cancel)?,
        }
        let vectors = self.head.apply(&self.gguf, &self.pool, batch, &ws.hidden, &mut ws.acts)?;
        ws.shrink(BATCH_TOKENS, batch.tokens().len());
        Ok(vectors)
    }
}
