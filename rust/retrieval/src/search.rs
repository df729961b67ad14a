//! The search itself: two lists, one ranking, one result per place.

use std::collections::HashSet;

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{self, Embedder};
use lorekit_store::{Passage, Pooling, Scope, Snapshot};

use crate::{Error, Fused, Result, Weights, fuse};

/// Which lists take part in a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By meaning only: cosine similarity of embeddings.
    Dense,
    /// By words only: BM25 over Han bigrams and words. Needs no embedding of the question.
    Lexical,
    /// Both, fused.
    #[default]
    Hybrid,
}

/// How to search.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// How many places to return. The default is 3.
    pub limit: usize,
    /// Which lists take part. The default is [`Mode::Hybrid`].
    pub mode: Mode,
    /// How many passages each list contributes before fusion. The default is 100.
    pub candidates: usize,
    /// Weights of the two lists; `None`, the default, takes the pack's own.
    pub weights: Option<Weights>,
    /// The day for which the rules are asked, `YYYY-MM-DD`: passages that are not in force on it are left out, and
    /// superseded ones that were are found. `None`, the default, finds what is live, in force or not.
    pub as_of: Option<String>,
    /// The caller's access labels. What they do not allow does not exist for this search: it is neither found, nor does
    /// it move the score of anything that is. The default, none, finds what is public.
    pub labels: Vec<String>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { limit: 3, mode: Mode::Hybrid, candidates: 100, weights: None, as_of: None, labels: Vec::new() }
    }
}

impl SearchOptions {
    fn scope(&self) -> Scope<'_> {
        Scope { labels: &self.labels, as_of: self.as_of.as_deref() }
    }
}

/// One found passage.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The passage with its document and place.
    pub passage: Passage,
    /// Score that ordered this search, `0.0..=1.0`; larger is better; not comparable between searches.
    pub score: f32,
    /// Cosine similarity of question and passage in `-1.0..=1.0`; comparable between searches.
    pub dense: Option<f32>,
    /// BM25 score; larger is better.
    pub lexical: Option<f32>,
}

/// A library and the embedder its vectors were made with.
#[derive(Clone, Copy)]
pub struct Retriever<'a> {
    library: &'a Snapshot,
    embedder: &'a Embedder,
}

impl<'a> Retriever<'a> {
    /// Joins a library and an embedder.
    ///
    /// # Errors
    /// [`Error::EmbedderMismatch`] when the pack's vectors come from another embedder, naming both fingerprints.
    pub fn new(library: &'a Snapshot, embedder: &'a Embedder) -> Result<Self> {
        let (pack, device) = (&library.manifest().embedder, embedder.fingerprint());
        let same = pack.weights == device.weights
            && pack.dims as usize == device.dims
            && same_pooling(pack.pooling, device.pooling)
            && pack.query_prefix == device.query_prefix
            && pack.document_prefix == device.document_prefix;
        if !same {
            let weights = pack.weights.get(..8).unwrap_or(&pack.weights);
            let pooling = format!("{:?}", pack.pooling).to_lowercase();
            return Err(Error::EmbedderMismatch {
                pack: format!(
                    "{}-{}-{pooling} {weights} (prompt {:?})",
                    pack.architecture, pack.dims, pack.query_prefix
                ),
                device: format!("{device} (prompt {:?})", device.query_prefix),
            });
        }
        Ok(Self { library, embedder })
    }

    /// The best passages for a question, best first, at most one per place.
    ///
    /// Cost: one query embedding (not for [`Mode::Lexical`]), one walk of the vector index, one FTS5 query,
    /// and one row fetch per passage looked at.
    ///
    /// # Errors
    /// [`Error::EmptyQuestion`] for a question of white space; storage and model errors as they come.
    pub fn search(&self, question: &str, options: &SearchOptions, cancel: &CancelToken) -> Result<Vec<Ranked>> {
        let question = question.trim();
        if question.is_empty() {
            return Err(Error::EmptyQuestion);
        }
        cancel.check()?;
        let fused = match options.mode {
            Mode::Lexical => fuse(&[], &self.lexical(question, options)?, Weights { dense: 0.0, lexical: 1.0 }),
            Mode::Dense => {
                let query = self.embedder.embed_query(question, cancel)?;
                fuse(&self.dense(&query, options)?, &[], Weights { dense: 1.0, lexical: 0.0 })
            }
            Mode::Hybrid => self.hybrid(question, options, cancel)?,
        };
        self.one_per_place(fused, options)
    }

    fn hybrid(&self, question: &str, options: &SearchOptions, cancel: &CancelToken) -> Result<Vec<Fused>> {
        let lexical = self.lexical(question, options)?;
        let query = self.embedder.embed_query(question, cancel)?;
        cancel.check()?;
        let mut dense = self.dense(&query, options)?;
        // A passage found by its words alone still has a cosine; without it, it would rank as if unrelated.
        let known: HashSet<u64> = dense.iter().map(|hit| hit.0).collect();
        for &(key, _) in lexical.iter().filter(|hit| !known.contains(&hit.0)) {
            let vector = self.library.vector(key)?;
            dense.push((key, query.iter().zip(&vector).map(|(a, b)| a * b).sum()));
        }
        let weights = options.weights.unwrap_or_else(|| {
            let stored = &self.library.manifest().retrieval;
            Weights { dense: stored.dense_weight as f32, lexical: stored.lexical_weight as f32 }
        });
        Ok(fuse(&dense, &lexical, weights))
    }

    fn dense(&self, query: &[f32], options: &SearchOptions) -> Result<Vec<(u64, f32)>> {
        let hits = self.library.dense(query, options.candidates.max(options.limit), &options.scope())?;
        Ok(hits.into_iter().map(|hit| (hit.key, hit.score)).collect())
    }

    fn lexical(&self, question: &str, options: &SearchOptions) -> Result<Vec<(u64, f32)>> {
        let hits = self.library.lexical(question, options.candidates.max(options.limit), &options.scope())?;
        Ok(hits.into_iter().map(|hit| (hit.key, hit.score)).collect())
    }

    /// Keeps the best passage of each place, in order, up to the limit.
    fn one_per_place(&self, fused: Vec<Fused>, options: &SearchOptions) -> Result<Vec<Ranked>> {
        let mut places = HashSet::new();
        let mut ranked = Vec::with_capacity(options.limit);
        for f in fused {
            if ranked.len() == options.limit {
                break;
            }
            let passage = self.library.passage(f.key)?;
            // An app may name its documents as the publisher did.
            if places.insert((passage.origin, passage.place.clone())) {
                ranked.push(Ranked { passage, score: f.score, dense: f.dense, lexical: f.lexical });
            }
        }
        Ok(ranked)
    }
}

fn same_pooling(pack: Pooling, device: embed::Pooling) -> bool {
    match (pack, device) {
        (Pooling::Mean, embed::Pooling::Mean)
        | (Pooling::Cls, embed::Pooling::Cls)
        | (Pooling::Last, embed::Pooling::Last) => true,
        (Pooling::Mean | Pooling::Cls | Pooling::Last, _) => false,
    }
}
