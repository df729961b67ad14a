//! The app's own documents: read and cut as the base's documents were.

use lorekit_ingest::{Document, PassageDraft, ReadOptions, SPLITTER_VERSION, SplitOptions, read_bytes, split};
use lorekit_model::embed::Embedder;
use lorekit_store::{NewDocument, NewPassage, Snapshot, is_label};

use crate::{Error, Result};

/// A document of the app, on its way into the library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnDocument {
    /// Stable name, by which it is replaced and removed.
    pub id: String,
    /// Name of the file, whose ending says what it is: `md`, `txt`, `html`. Citations show it.
    pub path: String,
    /// Its bytes, UTF-8.
    pub content: Vec<u8>,
    /// What people call it. None: what it says itself (front matter, first heading), else its path.
    pub title: Option<String>,
    /// Access labels, of which a caller needs any; none adds nothing to those that the document names itself.
    pub labels: Vec<String>,
}

/// Cuts a document along its structure; `at` is its position among the documents of a build, and tokens are those of
/// the embedder. The same for what a publisher builds and for what an app adds.
///
/// Costs about two counts of tokens for each sentence of long articles.
pub fn cut_document(
    at: usize,
    document: &Document,
    source_hash: [u8; 32],
    options: &SplitOptions,
    embedder: &Embedder,
) -> (NewDocument, Vec<NewPassage>) {
    let count = |text: &str| embedder.count_tokens(text).unwrap_or(usize::MAX);
    let new = NewDocument {
        id: document.id.clone(),
        path: document.path.clone(),
        title: document.title.clone(),
        version: document.version.clone(),
        language: document.language.code().to_owned(),
        valid_from: document.effective.clone(),
        valid_to: document.valid_to.clone(),
        labels: document.labels.clone(),
        source_hash,
        format: document.format.name().to_owned(),
    };
    (new, split(document, options, &count).into_iter().map(|draft| passage(at, draft)).collect())
}

fn passage(document: usize, draft: PassageDraft) -> NewPassage {
    NewPassage {
        document,
        text: draft.text,
        title_path: draft.title_path,
        article: draft.article,
        place: draft.place,
        source: draft.source.start as u64..draft.source.end as u64,
        page: draft.page,
        tokens: u32::try_from(draft.tokens).unwrap_or(u32::MAX),
        labels: Vec::new(),
    }
}

/// Reads a document of the app and cuts it as the base of `library` was cut.
pub(crate) fn cut_own(
    own: OwnDocument,
    library: &Snapshot,
    embedder: &Embedder,
) -> Result<(NewDocument, Vec<NewPassage>)> {
    let unusable = |reason: String| Error::UnusableDocument { reason };
    if own.id.is_empty() {
        return Err(unusable("its id is empty".into()));
    }
    let options = split_options(library, embedder)?;
    let mut reading = read_bytes(&own.path, &own.content, &ReadOptions::default());
    let n_documents = reading.documents.len();
    let Some(mut document) = reading.documents.pop().filter(|_| n_documents == 1) else {
        let reason = reading.skipped.first().map_or(format!("it holds {n_documents} documents"), ToString::to_string);
        return Err(unusable(reason));
    };
    document.id = own.id;
    if let Some(title) = own.title {
        document.title = title;
    }
    let labels = own.labels.iter().chain(&document.labels);
    if let Some(at) = labels.clone().position(|label| !is_label(label)) {
        return Err(unusable(format!("label {} is too long or has a control character or comma", at + 1)));
    }
    let hash = *blake3::hash(&own.content).as_bytes();
    let (mut new, mut passages) = cut_document(0, &document, hash, &options, embedder);
    if new.labels.is_empty() {
        new.labels = own.labels;
    } else {
        passages.iter_mut().for_each(|passage| passage.labels.clone_from(&own.labels));
    }
    if passages.is_empty() {
        return Err(unusable("no text in it".into()));
    }
    Ok((new, passages))
}

/// The base's rules of cutting.
fn split_options(library: &Snapshot, embedder: &Embedder) -> Result<SplitOptions> {
    let splitter = &library.base_manifest().splitter;
    if splitter.version != SPLITTER_VERSION {
        let found = splitter.version;
        return Err(Error::Unsupported {
            path: library.members().next().map(|base| base.path().to_path_buf()).unwrap_or_default(),
            reason: format!("its splitter has version {found}, this build has {SPLITTER_VERSION}"),
        });
    }
    Ok(SplitOptions {
        max_tokens: (splitter.max_tokens as usize).min(embedder.max_tokens()),
        overlap_tokens: splitter.overlap_tokens as usize,
        ..SplitOptions::default()
    })
}
