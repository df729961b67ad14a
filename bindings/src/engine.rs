//! The engine: open, search, answer, shut down.

use std::sync::Arc;

use lorekit_answer::Engine;

use crate::error::Result;
use crate::{
    FfiAnswerOptions, FfiAnswerStream, FfiCancellation, FfiEngineOptions, FfiModelInfo, FfiPackInfo, FfiPassage,
    FfiSearchOptions, FfiThermalState,
};

/// A knowledge pack with its models. Every method may be called from any thread.
#[derive(uniffi::Object)]
pub struct FfiEngine {
    inner: Engine,
}

#[uniffi::export]
impl FfiEngine {
    /// Opens pack, embedder, model and adapters. Blocks: reading a model takes from milliseconds to seconds.
    ///
    /// # Errors
    /// Any variant that names a file; `EmbedderMismatch` when the pack's vectors come from another embedder.
    #[uniffi::constructor]
    pub fn open(options: FfiEngineOptions) -> Result<Arc<Self>> {
        let inner = Engine::open(options.into())?;
        let pack = inner.pack_info();
        log::info!("opened pack {} version {}", pack.id, pack.version);
        Ok(Arc::new(Self { inner }))
    }

    /// What the pack says of itself.
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

    /// Cancels everything and waits for the worker, at most one step of the model. Later calls give `Closed`.
    ///
    /// # Errors
    /// None today; a caught panic would be one.
    pub fn shut_down(&self) -> Result<()> {
        self.inner.close();
        log::info!("closed pack {}", self.inner.pack_info().id);
        Ok(())
    }
}
