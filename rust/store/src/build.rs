//! Building a pack: check the input, write the text, build the index, measure it, put it all into one file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_pack::{
    Counts, DocumentDigest, IndexInfo, IndexKind, LexicalInfo, Manifest, PassageDigest, PassageId, SectionKind,
    StateBuilder, is_date,
};

use crate::build_index::{VectorBuild, build_vectors};
use crate::build_text::{PreparedPassage, TextBuild};
use crate::error::{Error, Result};
use crate::labels::is_label;
use crate::matrix::{encode_row, normal};
use crate::output::Output;
use crate::terms::LEXICAL_VERSION;
use crate::types::{BuildInput, BuildProgress, BuildReport, BuildStage, NewDocument, NewPassage, PackFacts};

/// The longest text of a passage, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Builds one pack at `path` from documents, passages and vectors.
///
/// The same input gives the same bytes, on one kind of processor: usearch rounds distances in the instructions it
/// finds, so another kind may order a near tie in the graph differently. Ids and the state do not depend on it.
/// The file appears whole or not at all: an error, a cancelled token or a full disk leaves neither it nor a temporary
/// file behind.
///
/// Memory: the vectors as f16 once, and again in the graph while it is built and saved. Time is mostly the graph's:
/// some tenths of a millisecond a passage.
///
/// # Errors
/// [`Error::InvalidInput`] if the parts do not fit together, [`Error::Cancelled`], or what the disk, SQLite or usearch
/// refused.
pub fn write_pack(
    path: impl AsRef<Path>,
    input: &BuildInput<'_>,
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<BuildReport> {
    write_pack_to(path.as_ref(), input, Output::default(), progress, cancel)
}

/// [`write_pack`] into a file that may be sealed and signed.
pub(crate) fn write_pack_to(
    path: &Path,
    input: &BuildInput<'_>,
    output: Output<'_>,
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<BuildReport> {
    check_documents(input.documents)?;
    check_passages(input.documents, input.passages)?;
    let (n_passages, n_vectors) = (input.passages.len(), input.vectors.len());
    if n_passages != n_vectors {
        return Err(invalid("vector", n_vectors, format!("{n_vectors} vectors for {n_passages} passages")));
    }
    cancel.check()?;

    let dims = input.facts.embedder.dims as usize;
    let rows = encode_vectors(input.vectors, dims, cancel)?;
    let prepared = prepare(input, &rows, dims);
    let state = {
        let mut state = StateBuilder::new();
        // A document is live if it has a live passage; passages are in document order.
        let mut live: Vec<usize> = input.passages.iter().map(|passage| passage.document).collect();
        live.dedup();
        live.iter().for_each(|&document| state.document(document_digest(&input.documents[document])));
        prepared.iter().for_each(|passage| state.passage(passage.id, passage.digest));
        state.finish()
    };

    let mut writer = output.pack(path)?;
    let text = TextBuild { documents: input.documents, passages: input.passages, prepared: &prepared };
    text.run(output.text(path)?, progress, cancel)?.write(&mut writer)?;
    let vectors =
        VectorBuild { rows: &rows, dims, index: input.index, held_out_queries: input.held_out_queries, stages: None };
    let (index, section) = build_vectors(path, &vectors, progress, cancel)?;
    drop(rows);
    progress(BuildProgress { stage: BuildStage::Pack, done: 0, total: 1 });
    writer.section_from_bytes(SectionKind::Vectors, &section)?;
    let vector_bytes = section.len() as u64;
    drop(section);
    cancel.check()?;

    let manifest = manifest(input.facts, input.documents, input.passages, state, index);
    let manifest = writer.finish_signed(manifest, output.sign)?;
    progress(BuildProgress { stage: BuildStage::Pack, done: 1, total: 1 });
    let file_bytes = std::fs::metadata(path)
        .map_err(|source| Error::Io { path: path.into(), operation: "read the length of the pack", source })?
        .len();
    let text_bytes = manifest.section(SectionKind::Passages).map_or(0, |entry| entry.length);
    Ok(BuildReport { path: path.into(), file_bytes, manifest, text_bytes, vector_bytes })
}

fn invalid(what: &'static str, index: usize, reason: impl Into<String>) -> Error {
    Error::InvalidInput { what, index, reason: reason.into() }
}

fn check_labels(what: &'static str, index: usize, labels: &[String]) -> Result<()> {
    if labels.iter().all(|label| is_label(label)) {
        Ok(())
    } else {
        Err(invalid(
            what,
            index,
            "a label is empty, too long, or has spaces around it or a control character or comma in it",
        ))
    }
}

pub(crate) fn check_documents(documents: &[NewDocument]) -> Result<()> {
    let mut ids = HashSet::with_capacity(documents.len());
    for (index, document) in documents.iter().enumerate() {
        if document.id.is_empty() {
            return Err(invalid("document", index, "its id is empty"));
        }
        if !ids.insert(document.id.as_str()) {
            return Err(invalid("document", index, "its id is that of an earlier one"));
        }
        let mut dates = [&document.valid_from, &document.valid_to].into_iter().flatten();
        if dates.any(|date| !is_date(date)) {
            return Err(invalid("document", index, "a date is not YYYY-MM-DD"));
        }
        check_labels("document", index, &document.labels)?;
    }
    Ok(())
}

pub(crate) fn check_passages(documents: &[NewDocument], passages: &[NewPassage]) -> Result<()> {
    let mut last = 0;
    for (index, passage) in passages.iter().enumerate() {
        if passage.document >= documents.len() {
            return Err(invalid("passage", index, "its document does not exist"));
        }
        if passage.document < last {
            return Err(invalid("passage", index, "passages are not in document order"));
        }
        last = passage.document;
        if passage.text.len() > MAX_TEXT_BYTES {
            return Err(invalid("passage", index, format!("its text is longer than {MAX_TEXT_BYTES} bytes")));
        }
        if passage.source.start > passage.source.end || i64::try_from(passage.source.end).is_err() {
            return Err(invalid("passage", index, "its source range ends before it begins"));
        }
        check_labels("passage", index, &passage.labels)?;
    }
    Ok(())
}

/// All vectors as they are stored, in one block.
pub(crate) fn encode_vectors(vectors: &[Vec<f32>], dims: usize, cancel: &CancelToken) -> Result<Vec<u8>> {
    let mut rows = Vec::with_capacity(vectors.len() * dims * 2);
    for (index, vector) in vectors.iter().enumerate() {
        if index % 1024 == 0 {
            cancel.check()?;
        }
        if vector.len() != dims {
            return Err(invalid("vector", index, format!("{} dimensions, the embedder has {dims}", vector.len())));
        }
        let normal = normal(vector).ok_or_else(|| invalid("vector", index, "zero, or a value that is not finite"))?;
        encode_row(&normal, &mut rows);
    }
    Ok(rows)
}

/// Ids, digests and label groups of all passages.
fn prepare(input: &BuildInput<'_>, rows: &[u8], dims: usize) -> Vec<PreparedPassage> {
    let ids = passage_ids(input.documents, input.passages);
    let passages = input.passages.iter().zip(ids).zip(rows.chunks_exact(dims * 2));
    passages.map(|((passage, id), row)| prepare_one(&input.documents[passage.document], passage, id, row)).collect()
}

/// The id of each passage; equal passages of one document are counted in their order.
pub(crate) fn passage_ids(documents: &[NewDocument], passages: &[NewPassage]) -> Vec<PassageId> {
    let mut occurrences: HashMap<PassageId, u32> = HashMap::with_capacity(passages.len());
    let mut ids = Vec::with_capacity(passages.len());
    for passage in passages {
        let id = |occurrence| {
            let (document, article) = (&documents[passage.document].id, passage.article.as_deref());
            PassageId::derive(document, &passage.title_path, article, &passage.text, occurrence)
        };
        let occurrence = occurrences.entry(id(0)).or_default();
        ids.push(id(*occurrence));
        *occurrence += 1;
    }
    ids
}

/// The digest and the label groups of a passage with this stored vector.
pub(crate) fn prepare_one(
    document: &NewDocument,
    passage: &NewPassage,
    id: PassageId,
    vector: &[u8],
) -> PreparedPassage {
    let label_groups = label_groups(&[&document.labels, &passage.labels]);
    let NewPassage { title_path, article, place, text, .. } = passage;
    let digest = PassageDigest::of(&document.id, title_path, article.as_deref(), place, text, &label_groups, vector);
    PreparedPassage { id, digest, label_groups }
}

/// One group of each list that is not empty, with labels sorted and each once.
pub(crate) fn label_groups(lists: &[&[String]]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = lists.iter().filter(|list| !list.is_empty()).map(|list| list.to_vec()).collect();
    for group in &mut groups {
        group.sort();
        group.dedup();
    }
    groups.sort();
    groups.dedup();
    groups
}

pub(crate) fn document_digest(document: &NewDocument) -> DocumentDigest {
    DocumentDigest::of(
        &document.id,
        &document.path,
        &document.title,
        document.version.as_deref(),
        &document.language,
        document.valid_from.as_deref(),
        document.valid_to.as_deref(),
        &label_groups(&[&document.labels]),
        &document.format,
    )
}

/// The manifest of a pack that holds these documents and passages.
pub(crate) fn manifest<'p>(
    facts: &PackFacts,
    documents: &[NewDocument],
    passages: impl IntoIterator<Item = &'p NewPassage>,
    state: lorekit_pack::StateHash,
    index: IndexInfo,
) -> Manifest {
    let mut languages = facts.languages.clone();
    if languages.is_empty() {
        languages = documents.iter().map(|document| document.language.clone()).collect();
        languages.sort();
        languages.dedup();
    }
    let mut counts = Counts { documents: documents.len() as u64, ..Counts::default() };
    for passage in passages {
        counts.passages += 1;
        counts.tokens += u64::from(passage.tokens);
    }
    Manifest {
        format_version: lorekit_pack::FORMAT_VERSION,
        requires: Vec::new(),
        pack_id: facts.pack_id.clone(),
        version: facts.version,
        kind: facts.kind,
        parent: facts.parent,
        state,
        title: facts.title.clone(),
        languages,
        licence: facts.licence.clone(),
        counts,
        skipped_documents: facts.skipped_documents,
        build_tool: facts.build_tool.clone(),
        embedder: facts.embedder.clone(),
        splitter: facts.splitter.clone(),
        lexical: LexicalInfo { version: LEXICAL_VERSION },
        index,
        retrieval: facts.retrieval,
        calibration: facts.calibration.clone(),
        expires: facts.expires.clone(),
        sealing: None,
        sections: Vec::new(),
    }
}

/// An index that is a matrix alone.
pub(crate) fn exact_index() -> IndexInfo {
    IndexInfo {
        kind: IndexKind::Exact,
        connectivity: 0,
        expansion_add: 0,
        expansion_search: 0,
        recall_at_10: None,
        recall_sample: 0,
    }
}
