//! A change of the library under way: it runs on a thread of its own, is pulled, and cancelled explicitly.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use lorekit_answer::{CancelToken, ChangeProgress, ChangeStage, Engine, Error};

use crate::error::Result;
use crate::{FfiAddReport, FfiApplyReport, FfiCompactReport, FfiPurgeReport};

/// A step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiChangeStage {
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

impl From<ChangeStage> for FfiChangeStage {
    fn from(stage: ChangeStage) -> Self {
        match stage {
            ChangeStage::Copy => Self::Copy,
            ChangeStage::Embed => Self::Embed,
            ChangeStage::Text => Self::Text,
            ChangeStage::Index => Self::Index,
            ChangeStage::Recall => Self::Recall,
            ChangeStage::Pack => Self::Pack,
        }
    }
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiChangeProgress {
    /// The step.
    pub stage: FfiChangeStage,
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

impl From<ChangeProgress> for FfiChangeProgress {
    fn from(progress: ChangeProgress) -> Self {
        Self { stage: progress.stage.into(), done: progress.done, total: progress.total }
    }
}

/// What comes of a change: any number of `Progress`, then one of the others, by what was asked.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiChangeEvent {
    /// How far it is. Who pulls slowly gets the latest only.
    Progress {
        /// The step.
        progress: FfiChangeProgress,
    },
    /// A delta was applied.
    Applied {
        /// What it did.
        report: FfiApplyReport,
    },
    /// A document was added.
    Added {
        /// What it did.
        report: FfiAddReport,
    },
    /// The library was compacted.
    Compacted {
        /// What it did.
        report: FfiCompactReport,
    },
    /// Content was destroyed.
    Purged {
        /// What it did.
        report: FfiPurgeReport,
    },
}

/// A change under way. Freeing it cancels it; a foreign cancellation must call [`cancel`](Self::cancel).
#[derive(uniffi::Object)]
pub struct FfiChange {
    cancel: CancelToken,
    state: Arc<Mutex<State>>,
}

/// What has come and was not pulled yet.
#[derive(Default)]
struct State {
    progress: Option<FfiChangeProgress>,
    end: Option<Result<FfiChangeEvent>>,
    waiting: Option<Waker>,
}

impl FfiChange {
    /// Starts `work` on a thread of its own.
    pub(crate) fn start(
        engine: &Arc<Engine>,
        work: impl FnOnce(
            &Engine,
            &mut dyn FnMut(ChangeProgress),
            &CancelToken,
        ) -> std::result::Result<FfiChangeEvent, Error>
        + Send
        + 'static,
    ) -> Result<Arc<Self>> {
        let this = Self { cancel: CancelToken::new(), state: Arc::default() };
        let (engine, cancel, state) = (Arc::clone(engine), this.cancel.clone(), Arc::clone(&this.state));
        std::thread::Builder::new()
            .name("lorekit-change".into())
            .spawn(move || {
                let mut report = |progress: ChangeProgress| {
                    tell(&state, |state| state.progress = Some(progress.into()));
                };
                let done = catch_unwind(AssertUnwindSafe(|| work(&engine, &mut report, &cancel)));
                let end = done.unwrap_or_else(|_| Err(Error::Internal { reason: "a change panicked".into() }));
                tell(&state, |state| state.end = Some(end.map_err(Into::into)));
            })
            .map_err(|error| Error::Internal { reason: format!("cannot start a thread: {error}") })?;
        Ok(Arc::new(this))
    }
}

/// Changes the state and wakes who waits for it.
fn tell(state: &Mutex<State>, change: impl FnOnce(&mut State)) {
    let waiting = {
        // Every critical section leaves the state whole.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.waiting.take()
    };
    if let Some(waker) = waiting {
        waker.wake();
    }
}

#[uniffi::export]
impl FfiChange {
    /// Waits for the next event; after the end it waits for ever, so who reads stops there. One reader at a time.
    ///
    /// # Errors
    /// The change's error, once; `Cancelled` after [`cancel`](Self::cancel), unless it was too late. The library is then
    /// as it was.
    pub async fn next_event(&self) -> Result<FfiChangeEvent> {
        poll_fn(|context| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(progress) = state.progress.take() {
                return Poll::Ready(Ok(FfiChangeEvent::Progress { progress }));
            }
            if let Some(end) = state.end.take() {
                return Poll::Ready(end);
            }
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Asks the change to stop. The engine stays usable.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Drop for FfiChange {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
