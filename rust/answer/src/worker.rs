//! What the worker thread owns and does: search, prompt, decode, verify.

use std::sync::Arc;
use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{Embedder, EmbedderOptions};
use lorekit_model::{
    Adapter, AdapterSet, BackendChoice, ChatTemplate, LanguageModel, LoadOptions, Sampler, SamplingOptions, Session,
    Tokenizer,
};
use lorekit_retrieval::{Mode, Retriever, SearchOptions};
use lorekit_store::{Library, OpenOptions, Passage};

use crate::copying::Copying;
use crate::decode::{Decoder, FreeEnd, Surroundings};
use crate::engine::{ModelInfo, PackInfo, threads};
use crate::format::{Language, label};
use crate::prompt::{Parts, fit};
use crate::stream::EventSender;
use crate::today::today;
use crate::token_index::TokenIndex;
use crate::{
    Answer, AnswerEvent, AnswerFormat, AnswerOptions, Citation, DeclineReason, EngineOptions, Error, Outcome, Result,
    RetrievedPassage, Usage, citation, convert,
};

/// Window of prompt and answer unless the app asks for another: three passages, a conversation and an answer fit well.
const DEFAULT_CONTEXT: usize = 4_096;
/// A passage can be cited as the basis when its fused score is at least this share of the best one's.
/// Chosen so that near ties are left to the model and clear results are not, after a model of 135M parameters took the
/// third passage over a first one far ahead of it; not tuned.
const BASIS_SHARE: f32 = 0.95;
/// Penalty on repeating what the free part has said already: small models loop without one. A usual value, not tuned.
const REPETITION_PENALTY: f32 = 1.1;
/// Sentences of a quote at most.
const MAX_QUOTED_SENTENCES: usize = 2;

pub(crate) struct Worker {
    library: Library,
    embedder: Embedder,
    generator: Option<Generator>,
}

/// The language model with what is made from it once.
struct Generator {
    model: Arc<LanguageModel>,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    session: Session,
    /// Which adapter the session's cache was computed with.
    cached_adapter: Option<String>,
    index: TokenIndex,
    adapters: Vec<(String, AdapterSet)>,
}

impl Worker {
    pub(crate) fn open(options: &EngineOptions) -> Result<Self> {
        let threads = threads(options.threads);
        let library = Library::open(&options.pack, &OpenOptions::default()).map_err(convert::store)?;
        let embedder_options = EmbedderOptions { threads, ..EmbedderOptions::default() };
        let embedder = Embedder::open(&options.embedder, &embedder_options).map_err(convert::model)?;
        Retriever::new(&library, &embedder).map_err(convert::retrieval)?;
        let generator = match &options.model {
            Some(_) => Some(Generator::open(options, threads)?),
            None => None,
        };
        Ok(Self { library, embedder, generator })
    }

    pub(crate) fn pack_info(&self) -> PackInfo {
        let manifest = self.library.manifest();
        PackInfo {
            id: manifest.pack_id.clone(),
            version: manifest.version,
            title: manifest.title.clone(),
            languages: manifest.languages.clone(),
            document_count: manifest.counts.documents,
            passage_count: manifest.counts.passages,
            licence: manifest.licence.clone(),
            state: manifest.state.to_string(),
        }
    }

    pub(crate) fn model_info(&self) -> Option<ModelInfo> {
        let generator = self.generator.as_ref()?;
        let info = generator.model.info();
        Some(ModelInfo {
            name: info.name.clone(),
            architecture: info.architecture.clone(),
            file_bytes: info.file_bytes,
            context_tokens: generator.session.capacity(),
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
        let generator = self.generator.as_mut().ok_or(Error::NoModel)?;
        generator.answer(question.trim(), language, found, options, &mut usage, started, events)
    }
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

impl Generator {
    fn open(options: &EngineOptions, threads: usize) -> Result<Self> {
        let path = options.model.as_deref().ok_or(Error::NoModel)?;
        let load = LoadOptions { threads, backend: BackendChoice::Cpu, ..LoadOptions::default() };
        let model = LanguageModel::open(path, &load).map_err(convert::model)?;
        let own = model.info().context_length;
        let asked = if options.context_tokens == 0 { DEFAULT_CONTEXT } else { options.context_tokens };
        let session = model.new_session(asked.min(own)).map_err(convert::model)?;
        let tokenizer = Tokenizer::from_gguf(model.gguf()).map_err(convert::model)?;
        let template = ChatTemplate::from_gguf(model.gguf()).map_err(convert::model)?;
        let ordinary = (0..tokenizer.vocab_size() as u32).filter(|id| !tokenizer.is_control(*id));
        let index = TokenIndex::new(ordinary.map(|id| (id, tokenizer.token_bytes(id))));
        let adapters = options
            .adapters
            .iter()
            .map(|(name, path)| {
                let adapter = Adapter::open(path, &model).map_err(convert::model)?;
                Ok((name.clone(), AdapterSet::single(adapter)))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { model, tokenizer, template, session, cached_adapter: None, index, adapters })
    }

    #[allow(clippy::too_many_arguments)]
    fn answer(
        &mut self,
        question: &str,
        language: Language,
        found: Vec<RetrievedPassage>,
        options: &AnswerOptions,
        usage: &mut Usage,
        started: Instant,
        events: &EventSender,
    ) -> Result<Answer> {
        let cancel = events.cancel_token().clone();
        let wording = options.format.wording(language);
        let tokenizer = &self.tokenizer;
        let budget = self.session.capacity().saturating_sub(options.max_tokens);
        let parts = Parts { wording, language, passages: &found, history: &options.history, question };
        let prompt = fit(&parts, &self.template, tokenizer, budget)?;
        let adapter = match &options.adapter {
            None => None,
            Some(name) => {
                Some(self.adapters.iter().find(|(known, _)| known == name).map(|(_, set)| set).ok_or_else(|| {
                    Error::AdapterMismatch {
                        adapter: name.clone(),
                        reason: "no adapter of this name was opened".into(),
                    }
                })?)
            }
        };
        let reused = if self.cached_adapter == options.adapter {
            shared_prefix(self.session.tokens(), &prompt.tokens)
        } else {
            0
        };
        self.cached_adapter.clone_from(&options.adapter);
        self.session.truncate(reused);
        usage.prompt_tokens = prompt.tokens.len();
        usage.reused_tokens = reused;

        let sampling = SamplingOptions {
            temperature: options.temperature,
            seed: options.seed,
            repetition_penalty: REPETITION_PENALTY,
            ..SamplingOptions::default()
        };
        let around = Surroundings { tokenizer, index: &self.index, adapter, cancel: &cancel };
        let mut first_text = None;
        let mut emit = |text: &str| -> Result<()> {
            first_text.get_or_insert_with(|| started.elapsed());
            Ok(events.send(AnswerEvent::Text(text.to_owned()))?)
        };
        let prefill_from = Instant::now();
        let sampler = Sampler::new(sampling).map_err(convert::model)?;
        let mut decoder = Decoder::start(
            &mut self.session,
            around,
            &prompt.tokens[reused..],
            sampler,
            options.max_tokens,
            &mut emit,
        )?;
        let prefill = prefill_from.elapsed();
        let decode_from = Instant::now();
        let shown: Vec<&str> = prompt.shown.iter().map(String::as_str).collect();
        let best = found.iter().map(|p| p.score).fold(0.0, f32::max);
        let citable = found[..prompt.n_passages].iter().take_while(|p| p.score >= best * BASIS_SHARE);
        let labels: Vec<String> = citable.map(|p| label(&p.passage, language)).collect();
        let (end, quote) = match options.format {
            AnswerFormat::Basis => basis(&mut decoder, wording, &labels, &shown, tokenizer)?,
            AnswerFormat::Free => (decoder.free(&[])?, None),
        };
        usage.completion_tokens = decoder.n_tokens;
        let text = decoder.into_text();
        usage.time_to_first_text = first_text.unwrap_or_default();
        usage.prefill_tokens_per_second = rate(prompt.tokens.len() - reused, prefill);
        usage.decode_tokens_per_second = rate(usage.completion_tokens, decode_from.elapsed());

        let passages: Vec<&Passage> = found[..prompt.n_passages].iter().map(|p| &p.passage).collect();
        let said_no = text.contains(wording.decline);
        let citations = if said_no { Vec::new() } else { cite(&text, quote, &passages) };
        for citation in &citations {
            events.send(AnswerEvent::Citation(citation.clone()))?;
        }
        let outcome = match end {
            _ if said_no => Outcome::Declined(DeclineReason::NotInPassages),
            FreeEnd::Limit => Outcome::Truncated,
            FreeEnd::Complete => Outcome::Answered,
        };
        usage.total_time = started.elapsed();
        let mut passages = found;
        if !said_no {
            passages.truncate(prompt.n_passages);
        }
        Ok(Answer { text, citations, passages, outcome, usage: *usage })
    }
}

/// A quote by construction: where it stands in the answer, in which passage, and where there.
struct Quote {
    answer: std::ops::Range<usize>,
    passage: usize,
    quoted: std::ops::Range<usize>,
}

/// Decodes an answer in the basis format.
///
/// Declining is not among the choices: a model of half a billion parameters takes it far too often.
/// Whether the passages are near enough to answer from is decided before, by their scores.
fn basis(
    decoder: &mut Decoder<'_, '_>,
    wording: &crate::format::Wording,
    labels: &[String],
    shown: &[&str],
    tokenizer: &Tokenizer,
) -> Result<(FreeEnd, Option<Quote>)> {
    let openings: Vec<String> =
        labels.iter().map(|label| format!("{}{label}{}", wording.basis, wording.open_quote)).collect();
    let options: Vec<&str> = openings.iter().map(String::as_str).collect();
    let nothing = || Error::Internal { reason: "a prompt without passages".into() };
    let chosen = decoder.copy(Copying::one_of(&options), &[])?.ok_or_else(nothing)?.text;
    let from = decoder.len();
    let closing = closing_tokens(tokenizer, wording.close_quote)?;
    let copied = decoder.copy(Copying::sentences_of(shown[chosen], MAX_QUOTED_SENTENCES), &closing)?;
    let quote = copied.map(|copied| Quote { answer: from..decoder.len(), passage: chosen, quoted: copied.range });
    decoder.force(wording.close_quote)?;
    decoder.force(wording.explanation)?;
    let end = decoder.free(&["\n\n", wording.basis.trim(), wording.explanation.trim()])?;
    Ok((end, quote))
}

/// The tokens by which a model would end a quote.
fn closing_tokens(tokenizer: &Tokenizer, close: &str) -> Result<Vec<u32>> {
    let mut closing = vec![];
    for text in [close, "\"", "\n"] {
        closing.extend(tokenizer.encode(text).map_err(convert::model)?.first().copied());
    }
    closing.extend(tokenizer.eos());
    Ok(closing)
}

/// The quote, checked against the stored bytes, and every other span that stands in a passage.
fn cite(text: &str, quote: Option<Quote>, passages: &[&Passage]) -> Vec<Citation> {
    let mut citations = Vec::new();
    let mut from = 0;
    if let Some(quote) = quote {
        from = quote.answer.end;
        citations.extend(citation::checked(text, quote.answer, passages, quote.passage, quote.quoted));
    }
    for found in citation::verbatim(text, from, passages) {
        // An explanation that repeats part of the quote adds no proof.
        let known = |citation: &Citation| {
            citation.passage == found.passage
                && citation.quoted.start <= found.quoted.start
                && found.quoted.end <= citation.quoted.end
        };
        if !citations.iter().any(known) {
            citations.push(found);
        }
    }
    citations
}

/// Tokens at the start of the prompt that the cache holds already; at least one is left to compute, for its logits.
fn shared_prefix(cached: &[u32], prompt: &[u32]) -> usize {
    let same = cached.iter().zip(prompt).take_while(|(a, b)| a == b).count();
    same.min(prompt.len().saturating_sub(1))
}

fn rate(tokens: usize, time: std::time::Duration) -> f64 {
    if tokens == 0 || time.is_zero() { 0.0 } else { tokens as f64 / time.as_secs_f64() }
}
