//! The engine: open, search, answer, shut down.

use std::sync::Arc;

use lorekit_answer::{Engine, seal_key};

use crate::error::Result;
use crate::{
    FfiAnswerOptions, FfiAnswerStream, FfiApplyReport, FfiCancellation, FfiChange, FfiChangeEvent, FfiEngineOptions,
    FfiLibraryState, FfiModelInfo, FfiOwnDocument, FfiPackInfo, FfiPassage, FfiPurge, FfiSearchOptions,
    FfiThermalState,
};

/// A knowledge pack or a library, with its models. Every method may be called from any thread.
#[derive(uniffi::Object)]
pub struct FfiEngine {
    inner: Arc<Engine>,
}

#[uniffi::export]
impl FfiEngine {
    /// Opens pack, embedder, model and adapters. Blocks: reading a model takes from milliseconds to seconds.
    ///
    /// # Errors
    /// Any variant that names a file; `EmbedderMismatch` when the pack's vectors come from another embedder.
    #[uniffi::constructor]
    pub fn open(options: FfiEngineOptions) -> Result<Arc<Self>> {
        let inner = Arc::new(Engine::open(options.try_into()?)?);
        let pack = inner.pack_info();
        log::info!("opened pack {} version {}", pack.id, pack.version);
        Ok(Arc::new(Self { inner }))
    }

    /// What the pack says of itself, as of the last change.
    pub fn pack_info(&self) -> FfiPackInfo {
        (&self.inner.pack_info()).into()
    }

    /// What the language model says of itself, if there is one.
    pub fn model_info(&self) -> Option<FfiModelInfo> {
        self.inner.model_info().map(Into::into)
    }

    /// The best passages for a question, best first. Blocks, and waits behind a running answer.
    ///
    /// # Errors
    /// `EmptyQuestion`, `Cancelled`, `Closed`, or a storage error.
    pub fn search(
        &self,
        question: String,
        options: FfiSearchOptions,
        cancellation: Arc<FfiCancellation>,
    ) -> Result<Vec<FfiPassage>> {
        let found = self.inner.search(&question, options.into(), &cancellation.token)?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// Starts an answer and returns its stream at once.
    ///
    /// # Errors
    /// `EmptyQuestion`, `NoModel` and `Closed` at once; everything else comes through the stream.
    pub fn answer(&self, question: String, options: FfiAnswerOptions) -> Result<Arc<FfiAnswerStream>> {
        Ok(FfiAnswerStream::new(self.inner.answer(&question, options.into())?))
    }

    /// What the library is. Blocks for a moment.
    ///
    /// # Errors
    /// `ReadOnly` when the engine was opened on a pack alone; `Closed`; a damaged pack.
    pub fn library_state(&self) -> Result<FfiLibraryState> {
        Ok(self.inner.library_state()?.into())
    }

    /// Hashes all files of the library and compares them with what was signed; gives the number of bytes. Blocks.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file; `ReadOnly`; `Closed`.
    pub fn verify(&self) -> Result<u64> {
        Ok(self.inner.verify()?)
    }

    /// Starts to apply a delta and returns at once. Running answers go on with what they began with.
    ///
    /// # Errors
    /// None but a thread that cannot be started; everything else comes through the change.
    pub fn apply(&self, delta: String) -> Result<Arc<FfiChange>> {
        FfiChange::start(&self.inner, move |engine, progress, cancel| {
            Ok(FfiChangeEvent::Applied { report: engine.apply(delta, progress, cancel)?.into() })
        })
    }

    /// Goes back to the state before the last update. Blocks for a moment.
    ///
    /// # Errors
    /// `NothingToRollBackTo`, `ReadOnly`, `Closed`, or a storage error.
    pub fn rollback(&self) -> Result<FfiApplyReport> {
        Ok(self.inner.rollback()?.into())
    }

    /// Starts to add a document of the app, or to replace the one of the same id, and returns at once.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn add(&self, document: FfiOwnDocument) -> Result<Arc<FfiChange>> {
        FfiChange::start(&self.inner, move |engine, progress, cancel| {
            Ok(FfiChangeEvent::Added { report: engine.add(document.into(), progress, cancel)?.into() })
        })
    }

    /// Removes a document of the app; false if there is none of this id. Blocks, for longer after a compaction.
    ///
    /// # Errors
    /// `Cancelled`, `ReadOnly`, `Closed`, or a storage error.
    pub fn remove(&self, document: String, cancellation: Arc<FfiCancellation>) -> Result<bool> {
        Ok(self.inner.remove(&document, &cancellation.token)?)
    }

    /// Starts to merge the library's files and returns at once.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn compact(&self) -> Result<Arc<FfiChange>> {
        FfiChange::start(&self.inner, |engine, progress, cancel| {
            Ok(FfiChangeEvent::Compacted { report: engine.compact(progress, cancel)?.into() })
        })
    }

    /// Seals the library and the cache folder with another key of 32 bytes; gives the number of packs that changed
    /// theirs. Blocks for a moment.
    ///
    /// # Errors
    /// `InvalidKey`, `ReadOnly`, `Closed`, or a storage error.
    pub fn rotate_key(&self, key: Vec<u8>) -> Result<u64> {
        Ok(self.inner.rotate_key(seal_key(&key)?)?)
    }

    /// Starts to destroy content and returns at once. `Everything` ends all requests and closes the engine.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn purge(&self, what: FfiPurge) -> Result<Arc<FfiChange>> {
        FfiChange::start(&self.inner, move |engine, progress, cancel| {
            Ok(FfiChangeEvent::Purged { report: engine.purge(what.into(), progress, cancel)?.into() })
        })
    }

    /// Gives back the memory of caches, as soon as a running answer is done. Returns at once.
    ///
    /// # Errors
    /// None today; a caught panic would be one. The same holds for the calls below.
    pub fn memory_warning(&self) -> Result<()> {
        self.inner.memory_warning();
        Ok(())
    }

    /// Says how hot the device is; it holds from the next question on.
    ///
    /// # Errors
    /// As [`memory_warning`](Self::memory_warning).
    pub fn set_thermal_state(&self, state: FfiThermalState) -> Result<()> {
        self.inner.set_thermal_state(state.into());
        Ok(())
    }

    /// The app leaves the foreground: what was computed goes to the cache folder, and its memory is given back.
    /// Returns at once.
    ///
    /// # Errors
    /// As [`memory_warning`](Self::memory_warning).
    pub fn enter_background(&self) -> Result<()> {
        self.inner.enter_background();
        Ok(())
    }

    /// The app comes back.
    ///
    /// # Errors
    /// As [`memory_warning`](Self::memory_warning).
    pub fn enter_foreground(&self) -> Result<()> {
        self.inner.enter_foreground();
        Ok(())
    }

    /// Forgets everything that was computed for prompts, in memory and on disk.
    ///
    /// # Errors
    /// As [`memory_warning`](Self::memory_warning).
    pub fn clear_caches(&self) -> Result<()> {
        self.inner.clear_caches();
        Ok(())
    }

    /// Cancels everything, waits for the worker, at most one step of the model, and for a change of the library to
    /// stop, and gives the library's folder free. Later calls give `Closed`.
    ///
    /// # Errors
    /// None today; a caught panic would be one.
    pub fn shut_down(&self) -> Result<()> {
        self.inner.close();
        log::info!("closed pack {}", self.inner.pack_info().id);
        Ok(())
    }
}
