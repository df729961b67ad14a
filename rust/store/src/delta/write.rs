//! Writing a planned delta: the rows that changed, their vectors, what is withdrawn, and the state that comes of it.

use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_pack::{PackKind, PackWriter, SectionKind, StateBuilder, encode_withdrawals};

use crate::build::{document_digest, encode_vectors, manifest, prepare_one};
use crate::build_index::{VectorBuild, build_vectors};
use crate::delta::{DeltaPlan, Parent};
use crate::error::{Error, Result};
use crate::matrix::stored_row;
use crate::text_writer::{DocumentRow, PassageRow, TextWriter};
use crate::types::{BuildProgress, BuildReport, BuildStage, Document, IndexChoice, NewDocument, NewPassage, PackFacts};

/// All that a delta is written from.
#[derive(Clone, Copy)]
pub struct DeltaInput<'a> {
    /// What it builds on.
    pub parent: &'a dyn Parent,
    /// The plan for these documents and passages over this parent.
    pub plan: &'a DeltaPlan,
    /// All documents of the new edition.
    pub documents: &'a [NewDocument],
    /// All passages of the new edition.
    pub passages: &'a [NewPassage],
    /// One vector for each of [`DeltaPlan::to_embed`], in its order.
    pub vectors: &'a [Vec<f32>],
    /// The rest of the manifest; role and parent are set here.
    pub facts: &'a PackFacts,
    /// Which index.
    pub index: IndexChoice,
}

/// Writes a delta at `path`, byte for byte the same for the same input on one kind of processor.
///
/// Its `parent` is the state of the parent, and its `state` that of a library which has the delta applied: the digests
/// of all passages of the new edition, those that stay with the parent's vectors. The file appears whole or not at all.
/// Memory and time grow with what changed, except for one digest a passage.
///
/// # Errors
/// [`Error::InvalidInput`] if plan, passages and vectors do not fit together or the manifest names another pack or
/// embedder than the parent's; [`Error::Cancelled`]; or what the disk, SQLite or usearch refused.
pub fn write_delta(
    path: impl AsRef<Path>,
    input: &DeltaInput<'_>,
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<BuildReport> {
    let path = path.as_ref();
    check(input)?;
    cancel.check()?;
    let DeltaInput { parent, plan, documents, passages, .. } = *input;
    let dims = input.facts.embedder.dims as usize;
    let row_bytes = dims * 2;
    let embedded = encode_vectors(input.vectors, dims, cancel)?;
    let mut embedded = embedded.chunks_exact(row_bytes);
    let mut state = StateBuilder::new();
    let mut writer = PackWriter::create(path)?;
    let mut text = TextWriter::create(path)?;

    let mut numbers = vec![0; documents.len()];
    let mut changed_documents = Vec::new();
    for (index, document) in documents.iter().enumerate().filter(|(index, _)| plan.documents[*index]) {
        numbers[index] = changed_documents.len();
        changed_documents.push(document.clone());
        text.document(&DocumentRow::from(&Document::from(document)))?;
    }
    let mut last_document = None;
    let mut matrix = Vec::new();
    let total = plan.passages.iter().filter(|passage| passage.is_written()).count() as u64;
    let mut done = 0;
    for (passage, planned) in passages.iter().zip(&plan.passages) {
        let document = &documents[passage.document];
        if last_document.replace(passage.document) != Some(passage.document) {
            state.document(document_digest(document));
        }
        if let Some(digest) = planned.digest {
            state.passage(planned.id, digest);
            continue;
        }
        if done % 256 == 0 {
            cancel.check()?;
            progress(BuildProgress { stage: BuildStage::Text, done, total });
        }
        done += 1;
        let copied = planned.vector_from.map(|key| parent.vector(key)).transpose()?;
        let vector = match &copied {
            Some(vector) => stored_row(vector),
            None => embedded.next().map(<[u8]>::to_vec).unwrap_or_default(),
        };
        if vector.len() != row_bytes {
            return Err(invalid("vector", 0, "its length is not the embedder's"));
        }
        let prepared = prepare_one(document, passage, planned.id, &vector);
        state.passage(planned.id, prepared.digest);
        matrix.extend_from_slice(&vector);
        text.passage(&PassageRow {
            id: planned.id,
            digest: prepared.digest,
            document: numbers[passage.document],
            document_title: &document.title,
            text: &passage.text,
            title_path: &passage.title_path,
            article: passage.article.as_deref(),
            place: &passage.place,
            source: &passage.source,
            page: passage.page,
            tokens: passage.tokens,
            valid_from: None,
            valid_to: None,
            label_groups: &prepared.label_groups,
        })?;
    }
    progress(BuildProgress { stage: BuildStage::Text, done: total, total });
    let database = text.finish()?;
    database.write(&mut writer)?;
    let vectors = VectorBuild { rows: &matrix, dims, index: input.index, held_out_queries: &[], stages: None };
    let (index, section) = build_vectors(path, &vectors, progress, cancel)?;
    progress(BuildProgress { stage: BuildStage::Pack, done: 0, total: 1 });
    writer.section_from_bytes(SectionKind::Vectors, &section)?;
    let vector_bytes = section.len() as u64;
    writer.section_from_bytes(SectionKind::Withdrawals, &encode_withdrawals(path, &plan.withdrawals)?)?;
    cancel.check()?;

    let facts = PackFacts { kind: PackKind::Delta, parent: Some(parent.state()?), ..input.facts.clone() };
    let written = passages.iter().zip(&plan.passages).filter(|(_, planned)| planned.is_written());
    let manifest = manifest(&facts, &changed_documents, written.map(|(passage, _)| passage), state.finish(), index);
    let manifest = writer.finish(manifest)?;
    progress(BuildProgress { stage: BuildStage::Pack, done: 1, total: 1 });
    let file_bytes = std::fs::metadata(path)
        .map_err(|source| Error::Io { path: path.into(), operation: "read the length of the pack", source })?
        .len();
    let text_bytes = manifest.section(SectionKind::Passages).map_or(0, |entry| entry.length);
    Ok(BuildReport { path: path.into(), file_bytes, manifest, text_bytes, vector_bytes })
}

fn invalid(what: &'static str, index: usize, reason: &str) -> Error {
    Error::InvalidInput { what, index, reason: reason.into() }
}

fn check(input: &DeltaInput<'_>) -> Result<()> {
    let DeltaInput { parent, plan, documents, passages, vectors, facts, .. } = *input;
    let fits = plan.passages.len() == passages.len() && plan.documents.len() == documents.len();
    if !fits || passages.iter().any(|passage| passage.document >= documents.len()) {
        return Err(invalid("passage", passages.len(), "the plan is for other documents or passages"));
    }
    if plan.passages.iter().filter(|passage| passage.needs_embedding()).count() != vectors.len() {
        return Err(invalid("vector", vectors.len(), "not one for each passage to embed"));
    }
    let of_parent = parent.manifest();
    if facts.pack_id != of_parent.pack_id {
        return Err(invalid("manifest", 0, "another pack id than the parent's"));
    }
    if facts.version <= of_parent.version {
        return Err(invalid("manifest", 0, "its version is not greater than the parent's"));
    }
    if facts.embedder != of_parent.embedder || facts.splitter != of_parent.splitter {
        return Err(invalid("manifest", 0, "another embedder or splitter than the parent's"));
    }
    Ok(())
}
