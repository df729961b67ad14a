//! What the worker thread owns and does: it searches, decides whether there is something to answer from, and hands on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage};
use lorekit_retrieval::{Mode, Retriever, SearchOptions};
use lorekit_store::{OpenOptions, PassageId, Snapshot};

use crate::changes::{Changes, open_library};
use crate::cores::threads;
use crate::engine::{ModelInfo, PackInfo};
use crate::format::Language;
use crate::generator::{Generator, extract};
use crate::stream::EventSender;
use crate::today::today;
use crate::{
    Answer, AnswerEvent, AnswerOptions, DeclineReason, EngineOptions, Error, Outcome, Result, RetrievedPassage,
    SnapshotCipher, ThermalState, Usage, convert,
};

pub(crate) struct Worker {
    library: Snapshot,
    embedder: Arc<Embedder>,
    generator: Option<Generator>,
    thermal: ThermalState,
}

/// What the engine keeps of an opening.
pub(crate) struct Opened {
    pub pack: PackInfo,
    pub model: Option<ModelInfo>,
    pub changes: Changes,
}

impl Worker {
    pub(crate) fn open(options: &EngineOptions) -> Result<(Self, Opened)> {
        let threads = threads(options.threads);
        let store = options.library.as_ref().map(|place| open_library(place, options)).transpose()?;
        let library = match &store {
            Some(store) => store.snapshot(),
            None => Snapshot::open_pack(&options.pack, &OpenOptions::default()).map_err(convert::store)?,
        };
        let embedder_options =
            EmbedderOptions { threads, side_folder: side_folder(options), ..EmbedderOptions::default() };
        let embedder = Embedder::open(&options.embedder, &embedder_options).map_err(convert::model)?;
        Retriever::new(&library, &embedder).map_err(convert::retrieval)?;
        let generator = match &options.model {
            Some(_) => Some(Generator::open(&sealed(options), threads, &library)?),
            None => None,
        };
        let embedder = Arc::new(embedder);
        let changes = Changes::new(store, Arc::clone(&embedder), options);
        let pack = PackInfo::of(&library);
        let this = Self { library, embedder, generator, thermal: ThermalState::default() };
        let model = this.model_info();
        Ok((this, Opened { pack, model, changes }))
    }

    fn model_info(&self) -> Option<ModelInfo> {
        let generator = self.generator.as_ref()?;
        let info = generator.model().info();
        Some(ModelInfo {
            name: info.name.clone(),
            architecture: info.architecture.clone(),
            file_bytes: info.file_bytes,
            context_tokens: generator.context_tokens(),
        })
    }

    pub(crate) fn search(
        &self,
        question: &str,
        options: &SearchOptions,
        cancel: &CancelToken,
    ) -> Result<Vec<RetrievedPassage>> {
        let retriever = Retriever::new(&self.library, &self.embedder).map_err(convert::retrieval)?;
        let as_of = Some(options.as_of.clone().unwrap_or_else(today));
        let options = SearchOptions { as_of, ..options.clone() };
        let ranked = retriever.search(question, &options, cancel).map_err(convert::retrieval)?;
        Ok(ranked
            .into_iter()
            .map(|r| RetrievedPassage { passage: r.passage, score: r.score, dense: r.dense, lexical: r.lexical })
            .collect())
    }

    pub(crate) fn answer(&mut self, question: &str, options: &AnswerOptions, events: &EventSender) -> Result<Answer> {
        let started = Instant::now();
        let cancel = events.cancel_token().clone();
        cancel.check()?;
        let found = self.search(question, &options.search, &cancel)?;
        let mut usage = Usage { time_to_passages: started.elapsed(), ..Usage::default() };
        events.send(AnswerEvent::Retrieved(found.clone()))?;
        let language = Language::of(question);
        let floor =
            options.floor.unwrap_or(self.library.manifest().retrieval.floor.map_or(f32::MIN, |floor| floor as f32));
        if found.is_empty() || (options.search.mode != Mode::Lexical && !above_floor(&found, floor)) {
            return declined(found, DeclineReason::NothingFound, options, language, usage, started, events);
        }
        if self.thermal == ThermalState::Critical {
            return extract(language, found, options, &mut usage, started, events);
        }
        let thermal = self.thermal;
        let generator = self.generator.as_mut().ok_or(Error::NoModel)?;
        generator.answer(question.trim(), language, found, options, thermal, &mut usage, started, events)
    }

    /// Goes on with another generation of the library; what runs in between has ended, since requests run in order.
    pub(crate) fn update(&mut self, library: Snapshot) -> Result<()> {
        if library.same(&self.library) {
            return Ok(());
        }
        Retriever::new(&library, &self.embedder).map_err(convert::retrieval)?;
        if let Some(generator) = &mut self.generator {
            generator.update(&self.library, &library);
        }
        self.library = library;
        Ok(())
    }

    /// Vectors of titles and texts, as the pack's were made.
    pub(crate) fn embed(&self, passages: &[(String, String)], cancel: &CancelToken) -> Result<Vec<Vec<f32>>> {
        let inputs: Vec<Passage<'_>> =
            passages.iter().map(|(title, text)| Passage { title: Some(title), text }).collect();
        self.embedder.embed_passages(&inputs, &mut |_| {}, cancel).map_err(convert::model)
    }

    pub(crate) fn set_thermal_state(&mut self, state: ThermalState) {
        self.thermal = state;
    }

    /// Gives memory back; what was kept is written to the cache folder first if `keep`.
    pub(crate) fn drop_memory(&mut self, keep: bool) {
        if let Some(generator) = &mut self.generator {
            if keep {
                generator.flush();
            }
            generator.drop_memory();
        }
    }

    /// Another key for the cache folder; what is there was sealed with the one before, and goes.
    pub(crate) fn seal_with(&mut self, cipher: Arc<dyn SnapshotCipher>) {
        if let Some(generator) = &mut self.generator {
            generator.seal_with(cipher);
        }
    }

    /// Forgets cached computations that show these passages, or all of them.
    pub(crate) fn forget(&mut self, passages: Option<&[PassageId]>) {
        match (&mut self.generator, passages) {
            (Some(generator), Some(passages)) => generator.invalidate(passages),
            (Some(generator), None) => generator.clear(),
            (None, _) => {}
        }
    }
}

/// With the library's key for what is kept in the cache folder, unless the app has a cipher of its own.
fn sealed(options: &EngineOptions) -> EngineOptions {
    let mut options = options.clone();
    let key = options.library.as_ref().and_then(|library| library.key.clone());
    options.cache_cipher = options.cache_cipher.or_else(|| Some(Arc::new(key?) as Arc<dyn SnapshotCipher>));
    options
}

/// Where the models' side files lie.
pub(crate) fn side_folder(options: &EngineOptions) -> Option<PathBuf> {
    options.cache_folder.as_deref().map(|folder| folder.join("side"))
}

/// Whether any of the found passages is near enough to the question to count as found.
fn above_floor(found: &[RetrievedPassage], floor: f32) -> bool {
    found.iter().any(|passage| passage.dense.is_some_and(|dense| dense >= floor))
}

fn declined(
    passages: Vec<RetrievedPassage>,
    reason: DeclineReason,
    options: &AnswerOptions,
    language: Language,
    mut usage: Usage,
    started: Instant,
    events: &EventSender,
) -> Result<Answer> {
    let text = options.format.wording(language).decline.to_owned();
    events.send(AnswerEvent::Text(text.clone()))?;
    usage.time_to_first_text = started.elapsed();
    usage.total_time = started.elapsed();
    Ok(Answer { text, citations: Vec::new(), passages, outcome: Outcome::Declined(reason), usage })
}
