//! What an engine needs to change its library: the library itself, the embedder, and the changes under way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
    pub embedder: Arc<Embedder>,
    cache_folder: Option<PathBuf>,
    /// Whether the library's key seals the cache folder, and not a cipher of the app.
    pub seals_cache: bool,
    held: Mutex<Held>,
    /// Told when a use of the library ends.
    ended: Condvar,
}

/// The library, and who uses it.
struct Held {
    /// None from the beginning without a library, and after the end.
    library: Option<Arc<Library>>,
    next: u64,
    uses: Vec<(u64, CancelToken)>,
}

/// A use of the library that is under way, until it is dropped.
pub(crate) struct Use<'a> {
    changes: &'a Changes,
    number: u64,
}

impl Changes {
    pub fn new(library: Option<Library>, embedder: Arc<Embedder>, options: &EngineOptions) -> Self {
        let held = Mutex::new(Held { library: library.map(Arc::new), next: 0, uses: Vec::new() });
        let (cache_folder, seals_cache) = (options.cache_folder.clone(), options.cache_cipher.is_none());
        Self { embedder, cache_folder, seals_cache, held, ended: Condvar::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every critical section leaves the state whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library, if there is one and it was not given free. [`cancel`](Self::cancel) and [`end`](Self::end) reach
    /// who uses it by the token. The library is to be dropped before the use.
    pub fn begin(&self, cancel: &CancelToken) -> Option<(Use<'_>, Arc<Library>)> {
        let mut held = self.held();
        let library = Arc::clone(held.library.as_ref()?);
        let number = held.next;
        held.next += 1;
        held.uses.push((number, cancel.clone()));
        Some((Use { changes: self, number }, library))
    }

    /// Cancels all that is under way.
    pub fn cancel(&self) {
        self.held().uses.iter().for_each(|(_, token)| token.cancel());
    }

    /// Cancels all that is under way, waits for it, and gives the library's folder free.
    pub fn end(&self) {
        let mut held = self.held();
        let library = held.library.take();
        held.uses.iter().for_each(|(_, token)| token.cancel());
        while !held.uses.is_empty() {
            held = self.ended.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        drop(held);
        drop(library);
    }

    /// Removes what was computed for prompts from the disk.
    pub fn remove_cache(&self) -> Result<()> {
        remove_cache(self.cache_folder.as_deref())
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.changes.held().uses.retain(|(number, _)| *number != self.number);
        self.changes.ended.notify_all();
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
