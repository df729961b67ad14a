//! Several packs of one chain written as one.
//!
//! Live passages are copied with their vectors as stored, with the newest description of their document; superseded
//! ones with their own, and with the last day on which they held. Removed and revoked ones are left out, and so are their
//! bytes. Texts go through one at a time. What is held in memory: the vectors as stored (two bytes a dimension) and, while
//! an index is built, its graph; the descriptions of the documents; about 60 bytes a passage for the order and the state.

use std::collections::HashMap;
use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_pack::{
    Counts, DocumentDigest, Manifest, PackKind, PassageDigest, PassageId, SectionKind, StateBuilder, StateHash,
};

use crate::build_index::{VectorBuild, build_vectors};
use crate::error::{Error, Result};
use crate::matrix::encode_row;
use crate::output::Output;
use crate::snapshot::{Snapshot, digest_of};
use crate::stages::Stages;
use crate::text_writer::{Database, DocumentRow, PassageRow};
use crate::types::{BuildProgress, BuildStage, Document, IndexChoice, Origin, Passage};

/// What to merge, and into what.
pub(super) struct Merge<'a> {
    pub snapshot: &'a Snapshot,
    pub origin: Origin,
    /// The manifest to be: counts, state, index and sections are filled in.
    pub manifest: Manifest,
    pub output: Output<'a>,
    /// A document to leave out.
    pub without: Option<&'a str>,
    /// What an attempt that was cut short left, and where this one leaves it.
    pub stages: Option<Stages<'a>>,
}

/// A passage on its way.
struct Place {
    /// Position of its document.
    document: usize,
    /// First byte in the source: the order within a document.
    start: u64,
    key: u64,
    digest: Option<PassageDigest>,
    last_day: Option<String>,
}

/// Documents in the order in which they are first met, each description once.
#[derive(Default)]
struct Documents {
    list: Vec<Document>,
    positions: HashMap<(DocumentDigest, [u8; 32]), usize>,
    /// Whether a live passage has it.
    live: Vec<bool>,
}

impl Documents {
    fn position(&mut self, document: &Document, live: bool) -> usize {
        let position = *self.positions.entry((digest_of(document), document.source_hash)).or_insert_with(|| {
            self.list.push(document.clone());
            self.live.push(false);
            self.list.len() - 1
        });
        self.live[position] |= live;
        position
    }
}

impl Merge<'_> {
    /// Writes the pack and gives the state of its live passages, computed from their content.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] if the content of a passage is not that of its digest; what the disk refused;
    /// [`Error::Cancelled`]. Nothing is left behind then.
    pub fn write(
        mut self,
        path: &Path,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<StateHash> {
        let (documents, places) = self.order(cancel)?;
        let dims = self.manifest.embedder.dims as usize;
        let mut rows = Vec::with_capacity(places.len() * dims * 2);
        let mut state = StateBuilder::new();
        let live = documents.list.iter().zip(&documents.live).filter(|(_, live)| **live);
        live.for_each(|(document, _)| state.document(digest_of(document)));
        let mut writer = self.output.pack(path)?;
        let kept = self.stages.as_ref().and_then(kept_text);
        let mut text = match kept {
            None => Some(self.output.text(path)?),
            Some(_) => None,
        };
        if let Some(text) = &mut text {
            documents.list.iter().try_for_each(|document| text.document(&DocumentRow::from(document)))?;
        }
        let (total, mut tokens) = (places.len() as u64, 0);
        for (done, place) in (0..).zip(&places) {
            if done % 256 == 0 {
                cancel.check()?;
                progress(BuildProgress { stage: BuildStage::Text, done, total });
            }
            let passage = self.snapshot.passage(place.key)?;
            let vector = rows.len();
            encode_row(&self.snapshot.vector(place.key)?, &mut rows);
            let digest = self.digest(&passage, &rows[vector..], place.digest)?;
            if place.last_day.is_none() {
                state.passage(passage.id, digest);
            }
            tokens += u64::from(passage.tokens);
            if let Some(text) = &mut text {
                text.passage(&passage_row(&passage, place, &documents.list[place.document], digest))?;
            }
        }
        progress(BuildProgress { stage: BuildStage::Text, done: total, total });
        match (kept, text) {
            (Some(kept), _) => kept.write(&mut writer)?,
            (None, Some(text)) => keep_text(self.stages.as_ref(), text.finish()?).write(&mut writer)?,
            (None, None) => {}
        }
        let stages = self.stages.as_ref();
        let vectors = VectorBuild { rows: &rows, dims, index: IndexChoice::Auto, held_out_queries: &[], stages };
        let (index, section) = build_vectors(path, &vectors, progress, cancel)?;
        drop(rows);
        writer.section_from_bytes(SectionKind::Vectors, &section)?;
        drop(section);
        cancel.check()?;
        let state = state.finish();
        if self.manifest.kind != PackKind::Delta {
            self.manifest.parent = None;
        }
        self.manifest.counts = Counts { documents: documents.list.len() as u64, passages: total, tokens };
        self.manifest.state = state;
        self.manifest.index = index;
        writer.finish_signed(self.manifest, self.output.sign)?;
        Ok(state)
    }

    /// All passages to be written, in document order.
    fn order(&self, cancel: &CancelToken) -> Result<(Documents, Vec<Place>)> {
        let mut wanted: Vec<(u64, Option<PassageDigest>, Option<String>)> = Vec::new();
        self.snapshot.entries(self.origin, &mut |entry| {
            wanted.push((entry.key, Some(entry.digest), None));
            Ok(())
        })?;
        self.snapshot.superseded(self.origin, &mut |entry| {
            if !self.snapshot.is_revoked(entry.id) {
                wanted.push((entry.key, None, Some(entry.last_day)));
            }
            Ok(())
        })?;
        let mut documents = Documents::default();
        let mut places = Vec::with_capacity(wanted.len());
        for (key, digest, last_day) in wanted {
            if places.len() % 256 == 0 {
                cancel.check()?;
            }
            let passage = self.snapshot.passage(key)?;
            if self.without != Some(passage.document.id.as_str()) {
                let document = documents.position(&passage.document, last_day.is_none());
                places.push(Place { document, start: passage.source.start, key, digest, last_day });
            }
        }
        places.sort_by_key(|place| (place.document, place.start, place.key));
        Ok((documents, places))
    }

    /// The digest of a passage's content, which must be the one it was applied with.
    fn digest(&self, passage: &Passage, vector: &[u8], expected: Option<PassageDigest>) -> Result<PassageDigest> {
        let digest = PassageDigest::of(
            &passage.document.id,
            &passage.title_path,
            passage.article.as_deref(),
            &passage.place,
            &passage.text,
            &passage.label_groups,
            vector,
        );
        if expected.is_some_and(|expected| expected != digest) {
            let member = self.snapshot.members().nth((passage.key >> 32) as usize);
            let id: PassageId = passage.id;
            return Err(Error::Inconsistent {
                path: member.map(|segment| segment.path().to_path_buf()).unwrap_or_default(),
                what: "the content of a passage",
                expected: format!("that of the digest of {id}"),
                found: "another".into(),
            });
        }
        Ok(digest)
    }
}

const TEXT: &str = "text";

/// The passages database of an earlier attempt.
fn kept_text(stages: &Stages<'_>) -> Option<Database> {
    match stages.seal {
        None => stages.file(TEXT, 0).map(Database::Kept),
        Some(_) => stages.bytes(TEXT, 0).map(Database::Memory),
    }
}

/// Keeps the passages database for another attempt.
fn keep_text(stages: Option<&Stages<'_>>, database: Database) -> Database {
    match (stages, database) {
        (Some(stages), Database::File(file)) => match stages.keep_file(TEXT, 0, file.path()) {
            Some(path) => Database::Kept(path),
            None => Database::File(file),
        },
        (Some(stages), Database::Memory(bytes)) => {
            stages.keep(TEXT, 0, &bytes);
            Database::Memory(bytes)
        }
        (_, database) => database,
    }
}

fn passage_row<'a>(
    passage: &'a Passage,
    place: &'a Place,
    document: &'a Document,
    digest: PassageDigest,
) -> PassageRow<'a> {
    PassageRow {
        id: passage.id,
        digest,
        document: place.document,
        document_title: &document.title,
        text: &passage.text,
        title_path: &passage.title_path,
        article: passage.article.as_deref(),
        place: &passage.place,
        source: &passage.source,
        page: passage.page,
        tokens: passage.tokens,
        valid_from: place.last_day.as_ref().and(passage.valid_from.as_deref()),
        valid_to: place.last_day.as_deref(),
        label_groups: &passage.label_groups,
    }
}
