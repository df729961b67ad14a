//! Deltas: what a new edition of the sources changes, written as one small pack.
//!
//! [`plan_delta`] compares the passages of a new build, before any is embedded, with what a [`Parent`] holds live, and
//! says for each whether it is written and where its vector comes from. [`write_delta`] writes the plan. [`diff`]
//! compares two parents and groups the difference by document, for people.

mod difference;
mod plan;
mod write;

pub use difference::{ArticleChange, Change, DocumentDiff, diff};
pub use plan::{DeltaPlan, Fate, PlannedPassage, plan_delta};
pub use write::{DeltaInput, write_delta};

use lorekit_pack::{Manifest, StateHash};

use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::types::{Document, Origin, Passage};

/// A body of passages that a delta can build on.
pub trait Parent {
    /// The manifest of its newest pack: embedder, splitter, name and version.
    fn manifest(&self) -> &Manifest;

    /// Its logical state.
    ///
    /// # Errors
    /// A damaged pack.
    fn state(&self) -> Result<StateHash>;

    /// The keys of all live passages of the publisher, in the order of their packs.
    ///
    /// # Errors
    /// A damaged pack.
    fn live_keys(&self) -> Result<Vec<u64>>;

    /// The keys of all superseded passages of the publisher; asked only when something is to be revoked.
    ///
    /// # Errors
    /// A damaged pack.
    fn superseded_keys(&self) -> Result<Vec<u64>>;

    /// The passage with this key.
    ///
    /// # Errors
    /// A damaged pack, or a key that is none.
    fn passage(&self, key: u64) -> Result<Passage>;

    /// The stored vector of this passage.
    ///
    /// # Errors
    /// As [`passage`](Self::passage).
    fn vector(&self, key: u64) -> Result<Vec<f32>>;
}

impl Parent for Snapshot {
    fn manifest(&self) -> &Manifest {
        Self::manifest(self)
    }

    fn state(&self) -> Result<StateHash> {
        Self::state(self)
    }

    fn live_keys(&self) -> Result<Vec<u64>> {
        let mut keys = Vec::new();
        self.entries(Origin::Publisher, &mut |entry| {
            keys.push(entry.key);
            Ok(())
        })?;
        Ok(keys)
    }

    fn superseded_keys(&self) -> Result<Vec<u64>> {
        let mut keys = Vec::new();
        self.superseded(Origin::Publisher, &mut |entry| {
            keys.push(entry.key);
            Ok(())
        })?;
        Ok(keys)
    }

    fn passage(&self, key: u64) -> Result<Passage> {
        Self::passage(self, key)
    }

    fn vector(&self, key: u64) -> Result<Vec<f32>> {
        Self::vector(self, key)
    }
}

/// The title that an embedder reads beside a passage: the document's, then the headings, each that only repeats the
/// document's title left out.
pub fn embedded_title(document_title: &str, title_path: &[String]) -> String {
    let mut parts = vec![document_title];
    parts.extend(title_path.iter().map(String::as_str).filter(|part| *part != document_title));
    parts.join(" ")
}

/// The whole embedding input of a passage: two passages with the same one have the same vector under one embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmbeddingKey(pub [u8; 32]);

impl EmbeddingKey {
    /// BLAKE3 over the title, preceded by its length, and the text.
    pub fn of(title: &str, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(title.len() as u64).to_le_bytes()).update(title.as_bytes()).update(text.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

/// Whether a new document says the same of itself as a stored one, its source file's hash included.
fn same_document(stored: &Document, new: &Document) -> bool {
    stored == new
}
