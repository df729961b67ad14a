//! A library of one pack, open for reading.

use std::path::Path;

use lorekit_pack::{Manifest, PassageId};

use crate::error::Result;
use crate::types::{Allow, Document, Hit, Neighbours, Passage};

/// How to open a library.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whether to hash each section first. Only a caller that did so before in this installation may leave it out.
    pub verify_hashes: bool,
    /// How many searches may use the graph at once; further ones wait.
    pub search_threads: usize,
}

impl Default for OpenOptions {
    /// Hashes are verified; eight searches at once.
    fn default() -> Self {
        Self { verify_hashes: true, search_threads: 8 }
    }
}

/// What a library is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Length of the file.
    pub file_bytes: u64,
    /// Length of the database.
    pub text_bytes: u64,
    /// Length of vectors and graph.
    pub vector_bytes: u64,
    /// Documents.
    pub documents: u64,
    /// Passages.
    pub passages: u64,
    /// Tokens of all passages.
    pub tokens: u64,
}

/// One pack, open for reading by any number of threads.
#[derive(Debug)]
pub struct Library {
    manifest: Manifest,
}

impl Library {
    /// Opens a pack.
    ///
    /// # Errors
    /// Whatever is wrong with it; hostile bytes never panic.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let _ = (path.as_ref(), options);
        unimplemented!("under construction")
    }

    /// The pack's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Number of passages; keys are `0..len`.
    pub fn len(&self) -> u64 {
        self.manifest.counts.passages
    }

    /// Whether there are no passages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `k` passages nearest to `query` by cosine, best first, through the index.
    ///
    /// # Errors
    /// A query of the wrong length, a zero one, or one with a value that is not finite.
    pub fn dense(&self, query: &[f32], k: usize, allow: Allow<'_>) -> Result<Vec<Hit>> {
        let _ = (query, k, allow);
        unimplemented!("under construction")
    }

    /// As [`dense`](Self::dense), by comparing the query with each vector.
    ///
    /// # Errors
    /// As [`dense`](Self::dense).
    pub fn exact(&self, query: &[f32], k: usize, allow: Allow<'_>) -> Result<Vec<Hit>> {
        let _ = (query, k, allow);
        unimplemented!("under construction")
    }

    /// The `k` passages that match any word of `text` best by BM25, best first.
    ///
    /// # Errors
    /// A damaged database. No text is an error: it is taken as words, never as a query language.
    pub fn lexical(&self, text: &str, k: usize) -> Result<Vec<Hit>> {
        self.lexical_allowed(text, k, None)
    }

    /// [`lexical`](Self::lexical) among the allowed keys.
    ///
    /// # Errors
    /// As [`lexical`](Self::lexical).
    pub fn lexical_allowed(&self, text: &str, k: usize, allow: Allow<'_>) -> Result<Vec<Hit>> {
        let _ = (text, k, allow);
        unimplemented!("under construction")
    }

    /// The passage with this key.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage), or a damaged database.
    pub fn passage(&self, key: u64) -> Result<Passage> {
        let _ = key;
        unimplemented!("under construction")
    }

    /// The key of the passage with this id, if it is in the library.
    ///
    /// # Errors
    /// A damaged database.
    pub fn by_id(&self, id: PassageId) -> Result<Option<u64>> {
        let _ = id;
        unimplemented!("under construction")
    }

    /// The stored vector of a passage, of length one up to the rounding of f16.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage).
    pub fn vector(&self, key: u64) -> Result<Vec<f32>> {
        let _ = key;
        unimplemented!("under construction")
    }

    /// The passages before and after this one in its document.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage), or a damaged database.
    pub fn neighbours(&self, key: u64) -> Result<Neighbours> {
        let _ = key;
        unimplemented!("under construction")
    }

    /// All documents, in the order of the build.
    ///
    /// # Errors
    /// A damaged database.
    pub fn documents(&self) -> Result<Vec<Document>> {
        unimplemented!("under construction")
    }

    /// What the library is made of.
    pub fn stats(&self) -> Stats {
        unimplemented!("under construction")
    }
}
