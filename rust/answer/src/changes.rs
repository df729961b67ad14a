//! What an engine needs to change its library: the library itself, the embedder, and the changes under way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lorekit_cancel::CancelToken;
use lorekit_model::embed::Embedder;
use lorekit_store::{ApplyProgress, BuildProgress, BuildStage, Library, LibraryOptions};

use crate::today::today;
use crate::{EngineOptions, Error, Result, convert, snapshot_folder};

/// A step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeStage {
    /// A pack is copied into the library's folder; counted in bytes.
    Copy,
    /// A document's passages are embedded; counted in passages.
    Embed,
    /// Passages are written; counted in passages.
    Text,
    /// Vectors are put into an index; counted in passages.
    Index,
    /// The index is measured; counted in queries.
    Recall,
    /// The file is put together; one step.
    Pack,
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeProgress {
    /// The step.
    pub stage: ChangeStage,
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

impl From<ApplyProgress> for ChangeProgress {
    fn from(progress: ApplyProgress) -> Self {
        Self { stage: ChangeStage::Copy, done: progress.done, total: progress.total }
    }
}

impl From<BuildProgress> for ChangeProgress {
    fn from(progress: BuildProgress) -> Self {
        let stage = match progress.stage {
            BuildStage::Text => ChangeStage::Text,
            BuildStage::Index => ChangeStage::Index,
            BuildStage::Recall => ChangeStage::Recall,
            BuildStage::Pack => ChangeStage::Pack,
        };
        Self { stage, done: progress.done, total: progress.total }
    }
}

/// What adding a document did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddReport {
    /// The generation that is current now.
    pub generation: u64,
    /// Passages of the document.
    pub passages: u64,
}

/// The changing side of an engine.
pub(crate) struct Changes {
    /// None from the beginning without a library, and after the end. Held for reading while a change runs.
    pub library: RwLock<Option<Library>>,
    pub embedder: Arc<Embedder>,
    cache_folder: Option<PathBuf>,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    tokens: Vec<(u64, CancelToken)>,
}

/// A change that is under way, until it is dropped.
pub(crate) struct Registered<'a> {
    changes: &'a Changes,
    number: u64,
}

impl Changes {
    pub fn new(library: Option<Library>, embedder: Arc<Embedder>, cache_folder: Option<PathBuf>) -> Self {
        Self { library: RwLock::new(library), embedder, cache_folder, under_way: Mutex::default() }
    }

    /// Makes a change known, so that [`cancel`](Self::cancel) reaches it.
    pub fn register(&self, cancel: &CancelToken) -> Registered<'_> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let number = under_way.next;
        under_way.next += 1;
        under_way.tokens.push((number, cancel.clone()));
        Registered { changes: self, number }
    }

    /// Cancels all changes under way.
    pub fn cancel(&self) {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.tokens.iter().for_each(|(_, token)| token.cancel());
    }

    /// Cancels all changes, waits for them, and gives the library's folder free.
    pub fn end(&self) {
        self.cancel();
        drop(self.library.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Removes what was computed for prompts from the disk.
    pub fn remove_cache(&self) -> Result<()> {
        remove_cache(self.cache_folder.as_deref())
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut under_way = self.changes.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.tokens.retain(|(number, _)| *number != self.number);
    }
}

fn remove_cache(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    snapshot_folder::remove_all(folder).map_err(|error| Error::io(folder, &error))
}

/// Opens a library; where its options name no day, today counts.
pub(crate) fn open_library(place: &LibraryOptions, options: &EngineOptions) -> Result<Library> {
    let day = place.today.clone().or_else(|| Some(today()));
    let opened = Library::open(LibraryOptions { today: day, ..place.clone() }).map_err(convert::store);
    if let Err(Error::Purged { .. }) = &opened {
        // A purge that was cut short may have left these.
        remove_cache(options.cache_folder.as_deref())?;
    }
    opened
}
