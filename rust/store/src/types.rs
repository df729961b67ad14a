//! What goes into a pack and what comes out of a library.

use std::ops::Range;
use std::path::PathBuf;

use crate::build::label_groups;
use lorekit_pack::{Calibration, EmbedderInfo, Manifest, PackKind, PassageId, RetrievalInfo, SplitterInfo, StateHash};

/// A document on its way into a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDocument {
    /// Stable name of the document, unique in the pack; it outlives amendments.
    pub id: String,
    /// Where the source file lies, relative to the root of the sources, with `/` between parts.
    pub path: String,
    /// What people call it.
    pub title: String,
    /// Its edition, as people write it.
    pub version: Option<String>,
    /// Language, BCP 47.
    pub language: String,
    /// First day it holds, `YYYY-MM-DD`.
    pub valid_from: Option<String>,
    /// Last day it holds, `YYYY-MM-DD`.
    pub valid_to: Option<String>,
    /// Access labels: one group, of which a caller needs any. Empty means public.
    pub labels: Vec<String>,
    /// BLAKE3 of the source file.
    pub source_hash: [u8; 32],
    /// Format of the source, such as `markdown`.
    pub format: String,
}

/// A passage on its way into a pack. Passages of one document stand together, in the order of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassage {
    /// Position of its document in [`BuildInput::documents`].
    pub document: usize,
    /// The text that is shown, searched and embedded.
    pub text: String,
    /// Headings above it, outermost first.
    pub title_path: Vec<String>,
    /// Label of its article, such as 第八十五条.
    pub article: Option<String>,
    /// Document id, `#`, and article number or heading; passages of one article share it.
    pub place: String,
    /// Bytes of the source file it was taken from.
    pub source: Range<u64>,
    /// Page in the source, from 1.
    pub page: Option<u32>,
    /// Length in tokens of the embedder.
    pub tokens: u32,
    /// Access labels: one more group besides the document's, of which a caller needs any. Empty adds no group.
    pub labels: Vec<String>,
}

/// What the manifest says that cannot be counted or measured.
#[derive(Clone, Debug, PartialEq)]
pub struct PackFacts {
    /// Name of the pack, the same for each of its versions.
    pub pack_id: String,
    /// Grows with each release.
    pub version: u64,
    /// Role of the pack.
    pub kind: PackKind,
    /// State a delta builds on.
    pub parent: Option<StateHash>,
    /// What people call the pack.
    pub title: String,
    /// Languages, BCP 47; empty: those of the documents.
    pub languages: Vec<String>,
    /// Licence of the content.
    pub licence: String,
    /// Who made the vectors.
    pub embedder: EmbedderInfo,
    /// How documents were cut.
    pub splitter: SplitterInfo,
    /// Documents that could not be read.
    pub skipped_documents: u64,
    /// Name and version of the building tool.
    pub build_tool: String,
    /// How rankings are weighed.
    pub retrieval: RetrievalInfo,
    /// The gate, when it was fitted.
    pub calibration: Option<Calibration>,
    /// Last day of use, `YYYY-MM-DD`.
    pub expires: Option<String>,
}

/// Which vector index to build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexChoice {
    /// Exact for up to 1,000 passages; above, a graph if its measured recall is at least 0.98, else exact.
    #[default]
    Auto,
    /// No graph: each search scans all vectors.
    Exact,
    /// A graph whatever the number of passages, still subject to the recall gate.
    Graph,
}

/// All that a pack is built from.
#[derive(Clone, Debug)]
pub struct BuildInput<'a> {
    /// The documents.
    pub documents: &'a [NewDocument],
    /// The passages, in document order.
    pub passages: &'a [NewPassage],
    /// One vector of `facts.embedder.dims` finite numbers for each passage; they are scaled to length one and stored
    /// as f16.
    pub vectors: &'a [Vec<f32>],
    /// Vectors of real questions for measuring recall, of which the first 200 are asked; when empty, vectors of passages are,
    /// each moved away by noise of half its length.
    pub held_out_queries: &'a [Vec<f32>],
    /// The rest of the manifest.
    pub facts: &'a PackFacts,
    /// Which index.
    pub index: IndexChoice,
}

/// A step of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStage {
    /// Passages are written and their terms indexed; counted in passages.
    Text,
    /// Vectors are put into the graph; counted in passages.
    Index,
    /// Recall is measured; counted in queries.
    Recall,
    /// Sections are copied into the pack; one step.
    Pack,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// The step.
    pub stage: BuildStage,
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// What a build made.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildReport {
    /// The pack.
    pub path: PathBuf,
    /// Its length.
    pub file_bytes: u64,
    /// Its manifest, with counts, state, index and measured recall.
    pub manifest: Manifest,
    /// Length of the database section.
    pub text_bytes: u64,
    /// Length of the vector section.
    pub vector_bytes: u64,
}

/// A document as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Stable name.
    pub id: String,
    /// Path of the source.
    pub path: String,
    /// Title.
    pub title: String,
    /// Edition.
    pub version: Option<String>,
    /// Language, BCP 47.
    pub language: String,
    /// First day it holds.
    pub valid_from: Option<String>,
    /// Last day it holds.
    pub valid_to: Option<String>,
    /// Groups of access labels; a caller needs one label of each group.
    pub label_groups: Vec<Vec<String>>,
    /// BLAKE3 of the source file.
    pub source_hash: [u8; 32],
    /// Format of the source.
    pub format: String,
}

impl From<&NewDocument> for Document {
    fn from(new: &NewDocument) -> Self {
        Self {
            id: new.id.clone(),
            path: new.path.clone(),
            title: new.title.clone(),
            version: new.version.clone(),
            language: new.language.clone(),
            valid_from: new.valid_from.clone(),
            valid_to: new.valid_to.clone(),
            label_groups: label_groups(&[&new.labels]),
            source_hash: new.source_hash,
            format: new.format.clone(),
        }
    }
}

/// A passage as stored, with its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its number in this segment or snapshot. Another generation may number it differently.
    pub key: u64,
    /// Whether the publisher or this device brought it.
    pub origin: Origin,
    /// Its name across builds.
    pub id: PassageId,
    /// Where it is from.
    pub document: Document,
    /// Its text.
    pub text: String,
    /// Headings above it, outermost first.
    pub title_path: Vec<String>,
    /// Label of its article.
    pub article: Option<String>,
    /// Document id, `#`, and article number or heading.
    pub place: String,
    /// Bytes of the source file.
    pub source: Range<u64>,
    /// Page in the source.
    pub page: Option<u32>,
    /// Length in tokens of the embedder.
    pub tokens: u32,
    /// First day it holds: its own, else its document's.
    pub valid_from: Option<String>,
    /// Last day it holds: its own, else its document's.
    pub valid_to: Option<String>,
    /// Groups of access labels, its document's included; a caller needs one label of each group.
    pub label_groups: Vec<Vec<String>>,
}

/// Who brought a passage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The publisher of the pack.
    #[default]
    Publisher,
    /// The app, as a document of its own on this device.
    Local,
}

/// The passages before and after one, within its document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The one before.
    pub previous: Option<u64>,
    /// The one after.
    pub next: Option<u64>,
}

/// A passage found, with its score; the larger the better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The passage's key.
    pub key: u64,
    /// Dense: cosine in -1..=1. Lexical: BM25, at least 0. Never NaN.
    pub score: f32,
}

/// Which keys may be found: `None` means all. It is asked once for each key before a search begins.
pub type Allow<'a> = Option<&'a dyn Fn(u64) -> bool>;
