//! From passages to an answer: prompt, decode, verify; and what is kept for the next question.

use std::sync::Arc;
use std::time::Instant;

use lorekit_model::{
    Adapter, AdapterSet, BackendChoice, ChatTemplate, DeviceRequest, Habits, LanguageModel, LoadOptions, PromptLookup,
    Sampler, SamplingOptions, Session, Tokenizer, choose_backend,
};
use lorekit_store::{Passage, PassageId, Scope, Snapshot};

use crate::copying::Copying;
use crate::decode::{Ahead, Decoder, FreeEnd, Surroundings};
use crate::format::{Language, Wording, label};
use crate::prefix_cache::{Owner, Part, PrefixCache, common};
use crate::prompt::{Parts, Prompt, fit};
use crate::snapshot_folder::SnapshotFolder;
use crate::stream::EventSender;
use crate::token_index::TokenIndex;
use crate::{
    Answer, AnswerEvent, AnswerFormat, AnswerOptions, Citation, DeclineReason, Drafting, EngineOptions, Error, Outcome,
    Result, RetrievedPassage, SnapshotCipher, ThermalState, Usage, citation, convert,
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

/// The language model with what is made from it once, and what is kept from question to question.
pub(crate) struct Generator {
    model: Arc<LanguageModel>,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    context_tokens: usize,
    /// Made when a question needs it; given back in the background and under memory pressure.
    session: Option<Session>,
    in_session: InSession,
    kept: PrefixCache,
    kept_budget: usize,
    folder: Option<SnapshotFolder>,
    /// Fingerprint of the generation of the library whose passages the snapshots show.
    state: [u8; 32],
    index: TokenIndex,
    adapters: Vec<(String, AdapterSet)>,
    habits: Habits,
}

/// Whose text the session holds.
#[derive(Default)]
struct InSession {
    owner: Owner,
    passages: Vec<PassageId>,
    /// Tokens at its beginning that show no passage.
    fixed: usize,
}

/// The compute path: our kernels, unless the app asked for another that proved itself.
fn backend(options: &EngineOptions) -> BackendChoice {
    let Some(gpu) = &options.gpu else { return BackendChoice::Cpu };
    let Some(folder) = &options.cache_folder else {
        log::warn!("no graphics processor without a cache folder: its failures could not be remembered");
        return BackendChoice::Cpu;
    };
    let request = DeviceRequest {
        asked: true,
        system_supported: gpu.system_supported,
        system_version: &gpu.system_version,
        folder,
    };
    let (choice, verdict) = choose_backend(&request);
    log::info!("graphics processor: {verdict:?}");
    choice
}

impl Generator {
    pub(crate) fn open(options: &EngineOptions, threads: usize, library: &Snapshot) -> Result<Self> {
        let path = options.model.as_deref().ok_or(Error::NoModel)?;
        let side_folder = crate::worker::side_folder(options);
        let load = LoadOptions { threads, backend: backend(options), side_folder, ..LoadOptions::default() };
        let model = LanguageModel::open(path, &load).map_err(convert::model)?;
        let asked = if options.context_tokens == 0 { DEFAULT_CONTEXT } else { options.context_tokens };
        let context_tokens = asked.min(model.info().context_length);
        let session = model.new_session(context_tokens).map_err(convert::model)?;
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
        let state = library.fingerprint();
        let is_live = |id: &PassageId| is_public(library, *id);
        let folder = options.cache_folder.as_deref().and_then(|folder| {
            SnapshotFolder::open(folder, options.cache_disk_bytes, options.cache_cipher.clone(), state, &is_live)
                .inspect_err(|error| log::warn!("the cache folder cannot be used: {error}"))
                .ok()
        });
        Ok(Self {
            model,
            tokenizer,
            template,
            context_tokens,
            session: Some(session),
            in_session: InSession::default(),
            kept: PrefixCache::new(options.cache_memory_bytes),
            kept_budget: options.cache_memory_bytes,
            folder,
            state,
            index,
            adapters,
            habits: Habits::default(),
        })
    }

    pub(crate) fn model(&self) -> &LanguageModel {
        &self.model
    }

    pub(crate) fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn answer(
        &mut self,
        question: &str,
        language: Language,
        found: Vec<RetrievedPassage>,
        options: &AnswerOptions,
        thermal: ThermalState,
        usage: &mut Usage,
        started: Instant,
        events: &EventSender,
    ) -> Result<Answer> {
        let wording = options.format.wording(language);
        let budget = self.context_tokens.saturating_sub(options.max_tokens);
        let parts = Parts { wording, language, passages: &found, history: &options.history, question };
        let prompt = fit(&parts, &self.template, &self.tokenizer, budget)?;
        let adapter = match &options.adapter {
            None => None,
            Some(name) => Some(self.adapter(name)?),
        };
        let owner = Owner::new(adapter.as_ref(), &options.cache_scope());
        let cuts: Vec<Part> = prompt
            .cuts
            .iter()
            .map(|(end, rank)| Part { end: *end, passage: rank.map(|rank| found[rank].passage.id) })
            .collect();
        self.reuse(&owner, adapter.as_ref(), &prompt, &cuts, usage)?;
        let done = self.generate(&prompt, language, &found, options, adapter.as_ref(), thermal, usage, started, events);
        // Also after an error: what was computed is computed.
        self.keep(&owner, adapter.as_ref(), &prompt, &cuts);
        let (text, end, quote) = done?;

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

    fn adapter(&self, name: &str) -> Result<AdapterSet> {
        let known = self.adapters.iter().find(|(known, _)| known == name).map(|(_, set)| set.clone());
        known.ok_or_else(|| Error::AdapterMismatch {
            adapter: name.to_owned(),
            reason: "no adapter of this name was opened".into(),
        })
    }

    /// Decodes the answer behind a prompt of which the session holds the beginning.
    #[allow(clippy::too_many_arguments)]
    fn generate(
        &mut self,
        prompt: &Prompt,
        language: Language,
        found: &[RetrievedPassage],
        options: &AnswerOptions,
        adapter: Option<&AdapterSet>,
        thermal: ThermalState,
        usage: &mut Usage,
        started: Instant,
        events: &EventSender,
    ) -> Result<(String, FreeEnd, Option<Quote>)> {
        let cancel = events.cancel_token().clone();
        let (wording, tokenizer) = (options.format.wording(language), &self.tokenizer);
        let Some(session) = &mut self.session else { return Err(Error::Internal { reason: "no session".into() }) };
        let sampling = SamplingOptions {
            temperature: options.temperature,
            seed: options.seed,
            repetition_penalty: REPETITION_PENALTY,
            ..SamplingOptions::default()
        };
        let sampler = Sampler::new(sampling).map_err(convert::model)?;
        let around = Surroundings { tokenizer, index: &self.index, adapter, cancel: &cancel };
        let mut first_text = None;
        let mut emit = |text: &str| -> Result<()> {
            first_text.get_or_insert_with(|| started.elapsed());
            Ok(events.send(AnswerEvent::Text(text.to_owned()))?)
        };
        let mut lookup = PromptLookup::new([prompt.evidence()], self.habits);
        let ahead = match options.drafting {
            Drafting::Off => Ahead::Nothing,
            Drafting::FixedParts => Ahead::Fixed,
            Drafting::Passages => Ahead::Guesses(&mut lookup, thermal.guesses()),
        };
        let reused = session.position();
        let prefill_from = Instant::now();
        let mut decoder =
            Decoder::start(session, around, &prompt.tokens[reused..], ahead, sampler, options.max_tokens, &mut emit)?;
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
        usage.decode_time = decode_from.elapsed();
        usage.completion_tokens = decoder.n_tokens;
        let counts = decoder.counts();
        usage.decode_passes = counts.passes;
        usage.drafted_tokens = counts.drafted;
        usage.confirmed_tokens = counts.confirmed;
        let text = decoder.into_text();
        self.habits = lookup.habits();
        usage.time_to_first_text = first_text.unwrap_or_default();
        usage.prefill_tokens_per_second = rate(prompt.tokens.len() - reused, prefill);
        usage.decode_tokens_per_second = rate(usage.completion_tokens, usage.decode_time);
        Ok((text, end, quote))
    }

    /// Brings the session to the longest beginning of the prompt that is known: in the session itself, kept in memory,
    /// or in the cache folder. At least one token is left to compute, for its logits.
    fn reuse(
        &mut self,
        owner: &Owner,
        adapter: Option<&AdapterSet>,
        prompt: &Prompt,
        cuts: &[Part],
        usage: &mut Usage,
    ) -> Result<()> {
        if self.session.is_none() {
            self.session = Some(self.model.new_session(self.context_tokens).map_err(convert::model)?);
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        if self.in_session.owner.adapters != owner.adapters {
            session.truncate(0);
        } else if self.in_session.owner.scope != owner.scope {
            session.truncate(self.in_session.fixed);
        }
        let tokens = &prompt.tokens[..prompt.tokens.len().saturating_sub(1)];
        let mut known = common(session.tokens(), tokens).max(self.kept.covered(owner, tokens));
        usage.prompt_tokens = prompt.tokens.len();
        // Parts that are only in files come into memory, one behind the other.
        if let Some(folder) = &mut self.folder {
            let mut shown = 0;
            for cut in cuts {
                shown += usize::from(cut.passage.is_some());
                if cut.end <= known || cut.end > tokens.len() {
                    continue;
                }
                let prefix = self.model.prefix_key(&tokens[..cut.end], adapter);
                let Some((snapshot, passages)) =
                    folder.load(&SnapshotFolder::key(prefix, &owner.scope, shown), &owner.scope)
                else {
                    break;
                };
                if snapshot.tokens() != &tokens[..cut.end] || !self.kept.insert(snapshot, owner, passages) {
                    break;
                }
                usage.loaded_tokens += cut.end - known;
                known = cut.end;
            }
        }
        usage.reused_tokens = match self.kept.restore(session, owner, tokens) {
            Ok(reused) => reused,
            Err(error) => {
                // A snapshot that does not fit is as good as none.
                log::warn!("a kept prefix could not be restored: {error}");
                self.kept.remove(&|_| true);
                session.truncate(0);
                0
            }
        };
        self.kept.shrink(self.kept_budget);
        let fixed = cuts.first().map_or(0, |cut| cut.end);
        let passages = cuts.iter().filter_map(|cut| cut.passage).collect();
        self.in_session = InSession { owner: owner.clone(), passages, fixed };
        Ok(())
    }

    /// Keeps the parts of the prompt, and writes those that were found again, and the fixed prefix, to the folder.
    fn keep(&mut self, owner: &Owner, adapter: Option<&AdapterSet>, prompt: &Prompt, cuts: &[Part]) {
        let Some(session) = &self.session else { return };
        if let Err(error) = self.kept.keep(session, owner, &prompt.tokens, cuts) {
            log::warn!("a prefix could not be kept: {error}");
        }
        self.save(adapter, &|is_fixed, is_hot| is_fixed || is_hot);
    }

    /// Writes the unsaved snapshots of one adapter set that `wanted(is the fixed prefix, was found again)` names.
    fn save(&mut self, adapter: Option<&AdapterSet>, wanted: &dyn Fn(bool, bool) -> bool) {
        let Some(folder) = &mut self.folder else { return };
        let adapters = adapter.map(AdapterSet::id).unwrap_or_default();
        for node in self.kept.unsaved().filter(|node| node.owner().adapters == adapters) {
            if !wanted(node.passages.is_empty(), node.is_hot) {
                continue;
            }
            let prefix = self.model.prefix_key(node.snapshot.tokens(), adapter);
            let scope = &node.owner().scope;
            let key = SnapshotFolder::key(prefix, scope, node.passages.len());
            match folder.save(key, scope, self.state, &node.passages, &node.snapshot) {
                Ok(()) => node.is_saved = true,
                Err(error) => {
                    log::warn!("a snapshot could not be written: {error}");
                    return;
                }
            }
        }
    }

    /// Writes everything that is kept to the folder.
    pub(crate) fn flush(&mut self) {
        self.save(None, &|_, _| true);
        for n in 0..self.adapters.len() {
            let set = self.adapters[n].1.clone();
            self.save(Some(&set), &|_, _| true);
        }
    }

    /// Gives back the memory of session and kept prefixes; the files stay.
    pub(crate) fn drop_memory(&mut self) {
        self.session = None;
        self.in_session = InSession::default();
        self.kept.remove(&|_| true);
        self.kept.shrink(0);
    }

    /// Forgets what shows any of these passages, in memory and on disk.
    pub(crate) fn invalidate(&mut self, passages: &[PassageId]) {
        let gone = |id: &PassageId| passages.contains(id);
        if self.in_session.passages.iter().any(gone)
            && let Some(session) = &mut self.session
        {
            session.truncate(self.in_session.fixed);
        }
        self.kept.remove(&gone);
        if let Some(folder) = &mut self.folder {
            folder.remove(&gone);
        }
    }

    /// Goes on with another generation: forgets what shows passages that are gone or that other callers may see now, in
    /// memory and on disk.
    pub(crate) fn update(&mut self, before: &Snapshot, now: &Snapshot) {
        let gone = |id: &PassageId| !is_public(now, *id) && !same_access(before, now, *id);
        if self.in_session.passages.iter().any(gone)
            && let Some(session) = &mut self.session
        {
            session.truncate(self.in_session.fixed);
        }
        self.kept.remove(&gone);
        if let Some(folder) = &mut self.folder {
            folder.remove(&gone);
        }
        self.state = now.fingerprint();
    }

    /// Forgets what is on disk, and seals with `cipher` from now on.
    pub(crate) fn seal_with(&mut self, cipher: Arc<dyn SnapshotCipher>) {
        if let Some(folder) = &mut self.folder {
            folder.seal_with(cipher);
        }
    }

    /// Forgets everything, in memory and on disk.
    pub(crate) fn clear(&mut self) {
        self.drop_memory();
        if let Some(folder) = &mut self.folder {
            folder.clear();
        }
    }
}

/// Whether everyone may see a passage of this generation. What cannot be looked up is not shown again.
fn is_public(library: &Snapshot, id: PassageId) -> bool {
    match library.by_id(id) {
        // A superseded passage is found for an earlier day only; it is asked for too rarely to be kept.
        Ok(Some(key)) => library.allows(key, &Scope::default()),
        Ok(None) | Err(_) => false,
    }
}

/// Whether a passage is in both generations and asks for the same labels.
fn same_access(before: &Snapshot, now: &Snapshot, id: PassageId) -> bool {
    let groups = |library: &Snapshot| {
        let passage = library.passage(library.by_id(id).ok()??).ok()?;
        Some((passage.label_groups, passage.document.label_groups))
    };
    groups(now).is_some_and(|now| groups(before) == Some(now))
}

/// The answer without the model: the best passage, quoted whole.
pub(crate) fn extract(
    language: Language,
    found: Vec<RetrievedPassage>,
    options: &AnswerOptions,
    usage: &mut Usage,
    started: Instant,
    events: &EventSender,
) -> Result<Answer> {
    let nothing = || Error::Internal { reason: "an answer without passages".into() };
    let best = &found.first().ok_or_else(nothing)?.passage;
    let wording = options.format.wording(language);
    let mut text = format!("{}{}{}", wording.basis, label(best, language), wording.open_quote);
    let quoted = best.text.trim_end();
    let quote = Quote { answer: text.len()..text.len() + quoted.len(), passage: 0, quoted: 0..quoted.len() };
    text.push_str(quoted);
    text.push_str(wording.close_quote);
    events.send(AnswerEvent::Text(text.clone()))?;
    (usage.extractive, usage.time_to_first_text) = (true, started.elapsed());
    let citations: Vec<Citation> =
        citation::checked(&text, quote.answer, &[best], quote.passage, quote.quoted).into_iter().collect();
    for citation in &citations {
        events.send(AnswerEvent::Citation(citation.clone()))?;
    }
    usage.total_time = started.elapsed();
    Ok(Answer { text, citations, passages: found, outcome: Outcome::Answered, usage: *usage })
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
    wording: &Wording,
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

fn rate(tokens: usize, time: std::time::Duration) -> f64 {
    if tokens == 0 || time.is_zero() { 0.0 } else { tokens as f64 / time.as_secs_f64() }
}
