//! The engine: a handle to one named worker thread that owns models, library and cache.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use lorekit_cancel::CancelToken;
use lorekit_store::Snapshot;

use crate::changes::Changes;
use crate::stream::{EventSender, channel};
use crate::worker::{Opened, Worker};
use crate::{
    AnswerOptions, AnswerStream, EngineOptions, Error, PassageId, Result, RetrievedPassage, SearchOptions,
    SnapshotCipher, ThermalState,
};

/// A knowledge pack with its models, ready to search and to answer.
///
/// Requests run one after another on the engine's own thread; every method may be called from any thread.
/// Dropping the engine cancels what runs and waits for the worker to end, at most one step of the model.
///
/// An engine that was opened on a library also changes it: [`apply`](Self::apply), [`add`](Self::add) and the like work on
/// the caller's thread, one change at a time, while questions are asked and answered. A running request ends on the
/// generation that it began with; what is asked after a change returned sees the new one.
pub struct Engine {
    jobs: Mutex<Option<Sender<Job>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
    running: Arc<Mutex<Vec<CancelToken>>>,
    pack: Mutex<PackInfo>,
    model: Option<ModelInfo>,
    pub(crate) changes: Changes,
}

/// What a pack says of itself.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PackInfo {
    /// The pack's id.
    pub id: String,
    /// Its version, which grows with every release.
    pub version: u64,
    /// Its title.
    pub title: String,
    /// The languages of its documents.
    pub languages: Vec<String>,
    /// How many documents it holds.
    pub document_count: u64,
    /// How many passages it holds.
    pub passage_count: u64,
    /// The licence of its contents, as its publisher stated it.
    pub licence: String,
    /// Hash of its logical state, in hexadecimal.
    pub state: String,
}

impl PackInfo {
    /// What a generation says: the newest manifest, and counts of all that is live.
    pub(crate) fn of(library: &Snapshot) -> Self {
        let manifest = library.manifest();
        Self {
            id: manifest.pack_id.clone(),
            version: manifest.version,
            title: manifest.title.clone(),
            languages: manifest.languages.clone(),
            document_count: library.document_count(),
            passage_count: library.len(),
            licence: manifest.licence.clone(),
            state: manifest.state.to_string(),
        }
    }
}

/// What a language model says of itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ModelInfo {
    /// The name in the file.
    pub name: String,
    /// The architecture, for example `qwen2`.
    pub architecture: String,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Tokens that prompt and answer may take together.
    pub context_tokens: usize,
}

pub(crate) enum Job {
    Search {
        question: String,
        options: SearchOptions,
        cancel: CancelToken,
        reply: Sender<Result<Vec<RetrievedPassage>>>,
    },
    Answer {
        question: String,
        options: Box<AnswerOptions>,
        events: EventSender,
    },
    Update {
        library: Snapshot,
        /// None when nobody waits.
        reply: Option<Sender<Result<()>>>,
    },
    Embed {
        /// Titles and texts.
        passages: Vec<(String, String)>,
        cancel: CancelToken,
        reply: Sender<Result<Vec<Vec<f32>>>>,
    },
    Care(Care),
}

/// What an app tells the engine between questions.
pub(crate) enum Care {
    MemoryWarning,
    Background,
    Thermal(ThermalState),
    Invalidate(Vec<PassageId>),
    Clear,
    Seal(Arc<dyn SnapshotCipher>),
}

impl Engine {
    /// Opens pack or library, embedder and, if one is named, model and adapters, on a new worker thread.
    ///
    /// # Errors
    /// Any variant that names a file; [`Error::EmbedderMismatch`] when the pack's vectors come from another embedder.
    pub fn open(options: EngineOptions) -> Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let (opened, opening) = mpsc::channel();
        let running = Arc::new(Mutex::new(Vec::new()));
        let worker = std::thread::Builder::new()
            .name("lorekit-engine".into())
            .spawn({
                let running = Arc::clone(&running);
                move || run(&options, &opened, &inbox, &running)
            })
            .map_err(|error| Error::Internal { reason: format!("cannot start a thread: {error}") })?;
        let Opened { pack, model, changes } = opening.recv().map_err(|_| died())??;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            worker: Mutex::new(Some(worker)),
            running,
            pack: Mutex::new(pack),
            model,
            changes,
        })
    }

    /// What the pack says of itself, as of the last change.
    pub fn pack_info(&self) -> PackInfo {
        self.pack.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with another generation of the library. Waits behind running requests, which end on the generation they
    /// began with; requests made after this call returned see the new one. What was computed for passages that are
    /// gone, or that ask for other labels now, is forgotten, in memory and on disk.
    ///
    /// # Errors
    /// [`Error::EmbedderMismatch`], and then the engine goes on as it was; [`Error::Closed`].
    pub fn update(&self, library: Snapshot) -> Result<()> {
        let (reply, result) = mpsc::channel();
        let pack = PackInfo::of(&library);
        self.submit(CancelToken::new(), Job::Update { library, reply: Some(reply) })?;
        result.recv().map_err(|_| Error::Closed)??;
        *self.pack.lock().unwrap_or_else(PoisonError::into_inner) = pack;
        Ok(())
    }

    /// Hands the worker the generation that `current` gives, without waiting for it. What is asked from now on comes
    /// behind it in the queue, so running requests keep theirs.
    pub(crate) fn go_on_with(&self, current: impl FnOnce() -> Snapshot) {
        // Under the lock, so that of two changes that end at once the newer generation is handed over last.
        let mut pack = self.pack.lock().unwrap_or_else(PoisonError::into_inner);
        let library = current();
        *pack = PackInfo::of(&library);
        // A closed engine asks nothing any more.
        let _ = self.submit(CancelToken::new(), Job::Update { library, reply: None });
    }

    /// What the language model says of itself, if there is one.
    pub fn model_info(&self) -> Option<&ModelInfo> {
        self.model.as_ref()
    }

    /// The best passages for a question, at most one per place, best first. Waits behind a running answer.
    ///
    /// # Errors
    /// [`Error::EmptyQuestion`], [`Error::Cancelled`], [`Error::Closed`], or a storage error.
    pub fn search(
        &self,
        question: &str,
        options: SearchOptions,
        cancel: &CancelToken,
    ) -> Result<Vec<RetrievedPassage>> {
        let (reply, result) = mpsc::channel();
        self.submit(
            cancel.clone(),
            Job::Search { question: question.to_owned(), options, cancel: cancel.clone(), reply },
        )?;
        result.recv().map_err(|_| Error::Closed)?
    }

    /// Starts an answer and returns its stream at once.
    ///
    /// # Errors
    /// [`Error::EmptyQuestion`] and [`Error::NoModel`] at once; everything else comes through the stream.
    pub fn answer(&self, question: &str, options: AnswerOptions) -> Result<AnswerStream> {
        if question.trim().is_empty() {
            return Err(Error::EmptyQuestion);
        }
        if self.model.is_none() {
            return Err(Error::NoModel);
        }
        let cancel = CancelToken::new();
        let (events, stream) = channel(cancel.clone());
        self.submit(cancel, Job::Answer { question: question.to_owned(), options: Box::new(options), events })?;
        Ok(stream)
    }

    /// Gives back the memory of caches, as soon as a running answer is done. Later questions are answered as before,
    /// the next one slower; what was in the cache folder stays there.
    pub fn memory_warning(&self) {
        self.care(Care::MemoryWarning);
    }

    /// Says how hot the device is; it holds from the next question on. See [`ThermalState`] for what follows.
    pub fn set_thermal_state(&self, state: ThermalState) {
        self.care(Care::Thermal(state));
    }

    /// Call it when the app leaves the foreground: what was computed is written to the cache folder, if there is one,
    /// and its memory is given back. A running answer goes on; cancel its stream if it shall not.
    /// Costs a few milliseconds for each megabyte, on the engine's thread; this call returns at once.
    pub fn enter_background(&self) {
        self.care(Care::Background);
    }

    /// Call it when the app comes back. Nothing is done ahead: the next question finds what was written.
    pub fn enter_foreground(&self) {}

    /// Forgets what was computed for these passages, in memory and on disk: they were withdrawn, or the caller may no
    /// longer see them. Questions asked after this call do not use it.
    pub fn invalidate(&self, passages: &[PassageId]) {
        self.care(Care::Invalidate(passages.to_vec()));
    }

    /// Forgets everything that was computed for prompts, in memory and on disk.
    pub fn clear_caches(&self) {
        self.care(Care::Clear);
    }

    /// Cancels everything, changes of the library included, ends the worker, and gives the library's folder free; later
    /// calls give [`Error::Closed`]. Calling it again changes nothing. Not to be called from a progress callback.
    pub fn close(&self) {
        self.end_worker();
        self.changes.end();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes no more requests, cancels the running ones, and waits for the worker.
    pub(crate) fn end_worker(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        for token in self.running.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            token.cancel();
        }
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && worker.thread().id() != std::thread::current().id()
        {
            // A panic of the worker was caught and reported to its request already.
            let _ = worker.join();
        }
    }

    pub(crate) fn care(&self, care: Care) {
        // A closed engine has nothing left to care for.
        let _ = self.submit(CancelToken::new(), Job::Care(care));
    }

    pub(crate) fn submit(&self, cancel: CancelToken, job: Job) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or(Error::Closed)?;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(cancel);
        jobs.send(job).map_err(|_| Error::Closed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(
    options: &EngineOptions,
    opened: &Sender<Result<Opened>>,
    inbox: &Receiver<Job>,
    running: &Mutex<Vec<CancelToken>>,
) {
    let opening = guarded(|| Worker::open(options));
    let mut worker = match opening {
        Ok((worker, what)) => {
            // A caller that has gone away needs no reply.
            let _ = opened.send(Ok(what));
            worker
        }
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    for job in inbox {
        match job {
            Job::Search { question, options, cancel, reply } => {
                let _ = reply.send(guarded(|| worker.search(&question, &options, &cancel)));
            }
            Job::Answer { question, options, events } => {
                let end = guarded(|| worker.answer(&question, &options, &events));
                events.finish(end);
            }
            Job::Update { library, reply } => match (guarded(|| worker.update(library)), reply) {
                (done, Some(reply)) => drop(reply.send(done)),
                (Err(error), None) => log::error!("the engine goes on without the library's change: {error}"),
                (Ok(()), None) => {}
            },
            Job::Embed { passages, cancel, reply } => {
                let _ = reply.send(guarded(|| worker.embed(&passages, &cancel)));
            }
            Job::Care(care) => {
                let done = guarded(|| {
                    match care {
                        Care::MemoryWarning => worker.drop_memory(false),
                        Care::Background => worker.drop_memory(true),
                        Care::Thermal(state) => worker.set_thermal_state(state),
                        Care::Invalidate(passages) => worker.forget(Some(&passages)),
                        Care::Clear => worker.forget(None),
                        Care::Seal(cipher) => worker.seal_with(cipher),
                    }
                    Ok(())
                });
                if let Err(error) = done {
                    log::error!("{error}");
                }
            }
        }
        // Jobs run in order, so the first token is that of the job that just ended.
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.is_empty() {
            running.remove(0);
        }
    }
}

/// Runs a request so that a defect ends the request, not the app.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // The worker's state stays usable: every request begins by setting the session to a known position.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Internal { reason: "a request panicked".into() }))
}

fn died() -> Error {
    Error::Internal { reason: "the worker ended while opening".into() }
}
