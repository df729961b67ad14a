//! The engine with real small models: streams end once, cancellation is prompt, the engine survives it.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it measured

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lorekit_answer::{
    AnswerEvent, AnswerFormat, AnswerOptions, CancelToken, DeclineReason, Drafting, Engine, EngineOptions, Error,
    Exchange, GpuRequest, Outcome, PassageId, SearchOptions, ThermalState,
};
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage};
use lorekit_store::{
    BuildInput, EmbedderInfo, IndexChoice, Metric, NewDocument, NewPassage, PackFacts, PackKind, Pooling,
    RetrievalInfo, Scalar, SplitterInfo, write_pack,
};

const TEXTS: &[(&str, &str)] = &[
    ("Fees", "A replacement card costs 12 crowns. It arrives within five working days."),
    (
        "Disputes",
        "A card transaction can be disputed within 60 days of the statement date. Call the hotline to begin. 😀",
    ),
    ("Limits", "The daily limit for cash is 500 crowns. The limit can be raised in a branch."),
    ("住房贷款", "借款人提前还款应当提前十五日申请。浮动利率贷款满十二个月后提前还款的，不收取违约金。"),
];

struct Set {
    _folder: tempfile::TempDir,
    options: EngineOptions,
}

/// A pack of four passages with the small models, or `None` with a line that says what is skipped.
fn set(test: &str) -> Option<Set> {
    let cache = std::env::var_os("LOREKIT_CACHE").map(PathBuf::from).or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).map(|base| base.join("lorekit"))
    })?;
    let embedder = cache.join("models/minilm-l6-v2/model.gguf");
    let model = cache.join("models/smollm2-135m-instruct/model.gguf");
    if !embedder.is_file() || !model.is_file() {
        eprintln!("skipped: {test}: smollm2-135m-instruct and minilm-l6-v2 are not in the cache");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("cards.lorepack");
    write(&pack, &embedder);
    let options = EngineOptions { pack, embedder, model: Some(model), threads: 2, ..EngineOptions::default() };
    Some(Set { _folder: folder, options })
}

fn write(pack: &Path, embedder: &Path) {
    let embedder = Embedder::open(embedder, &EmbedderOptions { threads: 2, ..EmbedderOptions::default() }).unwrap();
    let inputs: Vec<Passage<'_>> = TEXTS.iter().map(|(title, text)| Passage { title: Some(title), text }).collect();
    let vectors = embedder.embed_passages(&inputs, &mut |_| {}, &CancelToken::new()).unwrap();
    let documents = [NewDocument {
        id: "cards".into(),
        path: "cards.md".into(),
        title: "Card Terms".into(),
        version: Some("1".into()),
        language: "mixed".into(),
        valid_from: None,
        valid_to: None,
        labels: vec![],
        source_hash: [7; 32],
        format: "markdown".into(),
    }];
    let passages: Vec<NewPassage> = TEXTS
        .iter()
        .enumerate()
        .map(|(n, (title, text))| NewPassage {
            document: 0,
            text: (*text).into(),
            title_path: vec!["Card Terms".into(), (*title).into()],
            article: None,
            place: format!("cards#{n}"),
            source: (n * 1_000) as u64..(n * 1_000 + text.len()) as u64,
            page: None,
            tokens: 20,
            labels: vec![],
        })
        .collect();
    let fingerprint = embedder.fingerprint();
    let facts = PackFacts {
        pack_id: "cards".into(),
        version: 3,
        kind: PackKind::Base,
        parent: None,
        title: "Cards".into(),
        languages: vec!["mixed".into()],
        licence: "CC0-1.0".into(),
        embedder: EmbedderInfo {
            weights: fingerprint.weights.clone(),
            architecture: fingerprint.architecture.clone(),
            dims: fingerprint.dims as u32,
            pooling: Pooling::Mean,
            normalized: fingerprint.normalized,
            query_prefix: fingerprint.query_prefix.clone(),
            document_prefix: fingerprint.document_prefix.clone(),
            max_tokens: fingerprint.max_tokens as u32,
            metric: Metric::Cosine,
            scalar: Scalar::F16,
        },
        splitter: SplitterInfo { max_tokens: 256, overlap_tokens: 0, version: 1 },
        skipped_documents: 0,
        build_tool: "test".into(),
        retrieval: RetrievalInfo { dense_weight: 0.85, lexical_weight: 0.15, floor: Some(0.2) },
        calibration: None,
        expires: None,
    };
    let input = BuildInput {
        documents: &documents,
        passages: &passages,
        vectors: &vectors,
        held_out_queries: &[],
        facts: &facts,
        index: IndexChoice::Auto,
    };
    write_pack(pack, &input, &mut |_| {}, &CancelToken::new()).unwrap();
}

const QUESTION: &str = "Within how many days can a card transaction be disputed?";

/// Options with which the model talks for long: free text, no floor, many tokens.
fn talkative() -> AnswerOptions {
    AnswerOptions { format: AnswerFormat::Free, floor: Some(-1.0), max_tokens: 600, ..AnswerOptions::default() }
}

#[test]
fn events_come_in_order_and_citations_are_byte_exact() {
    let Some(set) = set("events_come_in_order_and_citations_are_byte_exact") else { return };
    let engine = Engine::open(set.options).unwrap();
    assert_eq!((engine.pack_info().version, engine.pack_info().passage_count), (3, 4));
    let stream = engine.answer(QUESTION, AnswerOptions::default()).unwrap();
    let mut events = Vec::new();
    loop {
        let batch = stream.next_batch().unwrap();
        if batch.is_empty() {
            break;
        }
        events.extend(batch);
    }
    assert!(matches!(&events[0], AnswerEvent::Retrieved(found) if found[0].passage.place == "cards#1"));
    let Some(AnswerEvent::Finished(answer)) = events.last() else { panic!("the last event is the end") };
    let streamed: String =
        events.iter().filter_map(|e| if let AnswerEvent::Text(t) = e { Some(t.as_str()) } else { None }).collect();
    assert_eq!(streamed, answer.text);
    assert_eq!(answer.outcome, Outcome::Answered);
    assert!(!answer.citations.is_empty());
    for citation in &answer.citations {
        let passage = &answer.passages[citation.passage].passage;
        assert_eq!(answer.text[citation.answer.clone()], passage.text[citation.quoted.clone()]);
        assert_eq!(citation.source.start - passage.source.start, citation.quoted.start as u64);
    }
    assert!(answer.usage.prompt_tokens > 0 && answer.usage.time_to_first_text <= answer.usage.total_time);
}

#[test]
fn an_answer_in_chinese_holds_whole_characters_in_every_delta() {
    let Some(set) = set("an_answer_in_chinese_holds_whole_characters_in_every_delta") else { return };
    let engine = Engine::open(set.options).unwrap();
    // The small embedder knows no Chinese; the words find the passage.
    let options = AnswerOptions { floor: Some(-1.0), max_tokens: 80, ..AnswerOptions::default() };
    let stream = engine.answer("提前还款收取违约金吗", options).unwrap();
    let mut text = String::new();
    loop {
        let batch = stream.next_batch().unwrap();
        if batch.is_empty() {
            break;
        }
        for event in batch {
            match event {
                AnswerEvent::Text(delta) => text.push_str(&delta),
                AnswerEvent::Finished(answer) => assert_eq!(text, answer.text),
                AnswerEvent::Retrieved(_) | AnswerEvent::Citation(_) => {}
            }
        }
    }
    assert!(!text.contains('\u{FFFD}'), "{text}");
    assert!(text.starts_with("【政策依据】《Card Terms》"), "{text}");
}

#[test]
fn the_same_request_gives_the_same_answer_whatever_the_cache_holds() {
    let Some(set) = set("the_same_request_gives_the_same_answer_whatever_the_cache_holds") else { return };
    let engine = Engine::open(set.options).unwrap();
    let ask = |question: &str| engine.answer(question, AnswerOptions::default()).unwrap().final_answer().unwrap();
    let first = ask(QUESTION);
    let again = ask(QUESTION);
    assert!(again.usage.reused_tokens > 0);
    assert_eq!(first.text, again.text);
    ask("What does a replacement card cost?");
    assert_eq!(first.text, ask(QUESTION).text);
}

#[test]
fn drafting_changes_the_time_and_never_the_text() {
    let Some(set) = set("drafting_changes_the_time_and_never_the_text") else { return };
    let engine = Engine::open(set.options).unwrap();
    for (question, temperature) in [(QUESTION, 0.0), ("What does a replacement card cost?", 0.8)] {
        let ask = |drafting| {
            let options = AnswerOptions { drafting, temperature, seed: 4, max_tokens: 120, ..AnswerOptions::default() };
            engine.answer(question, options).unwrap().final_answer().unwrap()
        };
        let plain = ask(Drafting::Off);
        assert!(plain.usage.decode_passes + 1 >= plain.usage.completion_tokens);
        assert_eq!(plain.usage.drafted_tokens, 0);
        for drafting in [Drafting::FixedParts, Drafting::Passages, Drafting::Passages] {
            let drafted = ask(drafting);
            assert_eq!((&drafted.text, drafted.citations), (&plain.text, plain.citations.clone()));
            assert!(drafted.usage.decode_passes < plain.usage.decode_passes);
        }
    }
}

/// The answer's text and how many tokens of its prompt were not computed, and read from files.
fn reused(engine: &Engine, question: &str, scope: &[u8]) -> (String, usize, usize) {
    let options = AnswerOptions { scope: scope.to_vec(), max_tokens: 60, ..AnswerOptions::default() };
    let answer = engine.answer(question, options).unwrap().final_answer().unwrap();
    assert!(answer.usage.reused_tokens + answer.usage.computed_tokens() == answer.usage.prompt_tokens);
    (answer.text, answer.usage.reused_tokens, answer.usage.loaded_tokens)
}

#[test]
fn passages_are_reused_by_another_question_after_a_restart_and_never_after_their_withdrawal() {
    let Some(set) = set("passages_are_reused_by_another_question_after_a_restart_and_never_after_their_withdrawal")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { cache_folder: Some(folder.path().into()), ..set.options };
    // One pack of four passages: three of them are found by each of these, the same three.
    let other = "By which day can a card transaction be disputed?";
    let engine = Engine::open(options.clone()).unwrap();
    let (text, none, _) = reused(&engine, QUESTION, b"");
    assert_eq!(none, 0);
    let (expected, with_passages, from_files) = reused(&engine, other, b"");
    assert_eq!(from_files, 0);
    let (_, fixed, _) = reused(&engine, other, b"another scope");
    assert!(0 < fixed && fixed < with_passages, "{fixed} of {with_passages}");
    engine.enter_background();
    engine.enter_foreground();
    let (again, _, loaded) = reused(&engine, other, b"");
    assert_eq!(again, expected);
    assert!(fixed < loaded && loaded <= with_passages, "what was written when the app went is read again: {loaded}");
    drop(engine);

    let engine = Engine::open(options.clone()).unwrap();
    assert_eq!(reused(&engine, other, b""), (expected.clone(), loaded, loaded));
    engine.memory_warning();
    assert_eq!(reused(&engine, QUESTION, b"").0, text);
    let found = engine.search(other, SearchOptions::default(), &CancelToken::new()).unwrap();
    let ids: Vec<PassageId> = found.iter().map(|found| found.passage.id).collect();
    engine.invalidate(&ids);
    assert_eq!(reused(&engine, other, b""), (expected.clone(), fixed, 0));
    engine.clear_caches();
    assert_eq!(reused(&engine, other, b"").1, 0);
    engine.invalidate(&ids);
    drop(engine);
    let engine = Engine::open(options).unwrap();
    assert_eq!(reused(&engine, other, b""), (expected, fixed, fixed), "of the passages nothing is left on disk");
}

#[test]
fn a_hot_device_gets_the_same_answer_and_a_device_too_hot_the_passage_alone() {
    let Some(set) = set("a_hot_device_gets_the_same_answer_and_a_device_too_hot_the_passage_alone") else { return };
    let engine = Engine::open(set.options).unwrap();
    let ask = || engine.answer(QUESTION, AnswerOptions::default()).unwrap().final_answer().unwrap();
    let cool = ask();
    engine.set_thermal_state(ThermalState::Serious);
    assert_eq!(ask().text, cool.text);
    engine.set_thermal_state(ThermalState::Critical);
    let extract = ask();
    assert!(extract.usage.extractive && extract.usage.completion_tokens == 0 && extract.usage.prompt_tokens == 0);
    assert_eq!(extract.outcome, Outcome::Answered);
    let [citation] = &extract.citations[..] else { panic!("one citation") };
    assert_eq!(extract.text[citation.answer.clone()], extract.passages[0].passage.text[citation.quoted.clone()]);
    engine.set_thermal_state(ThermalState::Nominal);
    assert_eq!(ask().text, cool.text);
}

#[test]
fn cancelling_stops_within_a_step_and_the_engine_goes_on() {
    let Some(set) = set("cancelling_stops_within_a_step_and_the_engine_goes_on") else { return };
    let engine = Engine::open(set.options).unwrap();
    for after_batches in [0, 1, 2, 4] {
        let stream = engine.answer(QUESTION, talkative()).unwrap();
        for _ in 0..after_batches {
            stream.next_batch().unwrap();
        }
        let asked = Instant::now();
        stream.cancel();
        assert!(matches!(stream.next_batch(), Err(Error::Cancelled)));
        // The next request is served, so the worker has left the cancelled one.
        let found = engine.search(QUESTION, SearchOptions::default(), &CancelToken::new()).unwrap();
        assert!(!found.is_empty());
        eprintln!("cancelled after {after_batches} batches, free again after {:?}", asked.elapsed());
        assert!(asked.elapsed() < Duration::from_secs(20), "the rest of the answer was not decoded");
    }
    assert_eq!(
        engine.answer(QUESTION, AnswerOptions::default()).unwrap().final_answer().unwrap().outcome,
        Outcome::Answered
    );
}

#[test]
fn dropping_a_stream_frees_the_worker_for_the_next_question() {
    let Some(set) = set("dropping_a_stream_frees_the_worker_for_the_next_question") else { return };
    let engine = Engine::open(set.options).unwrap();
    drop(engine.answer(QUESTION, talkative()).unwrap());
    let (first, second) = (
        engine.answer(QUESTION, AnswerOptions::default()).unwrap(),
        engine.answer(QUESTION, AnswerOptions::default()).unwrap(),
    );
    assert_eq!(first.final_answer().unwrap().text, second.final_answer().unwrap().text);
}

#[test]
fn closing_ends_what_runs_and_refuses_what_comes() {
    let Some(set) = set("closing_ends_what_runs_and_refuses_what_comes") else { return };
    let engine = Engine::open(set.options).unwrap();
    let running = engine.answer(QUESTION, talkative()).unwrap();
    let queued = engine.answer(QUESTION, talkative()).unwrap();
    running.next_batch().unwrap();
    engine.close();
    assert!(matches!(running.final_answer(), Err(Error::Cancelled | Error::Closed)));
    assert!(matches!(queued.final_answer(), Err(Error::Cancelled | Error::Closed)));
    assert!(matches!(engine.answer(QUESTION, AnswerOptions::default()), Err(Error::Closed)));
    assert!(matches!(engine.search(QUESTION, SearchOptions::default(), &CancelToken::new()), Err(Error::Closed)));
    engine.close();
}

#[test]
fn what_is_far_from_every_passage_is_declined_without_asking_the_model() {
    let Some(set) = set("what_is_far_from_every_passage_is_declined_without_asking_the_model") else { return };
    let engine = Engine::open(set.options).unwrap();
    let answer = engine.answer("Who painted the ceiling?", AnswerOptions::default()).unwrap().final_answer().unwrap();
    assert_eq!(answer.outcome, Outcome::Declined(DeclineReason::NothingFound));
    assert_eq!(answer.usage.prompt_tokens, 0);
    assert!(!answer.passages.is_empty() && answer.citations.is_empty());
}

#[test]
fn a_small_window_drops_history_then_passages_and_never_overflows() {
    let Some(set) = set("a_small_window_drops_history_then_passages_and_never_overflows") else { return };
    let engine = Engine::open(EngineOptions { context_tokens: 320, ..set.options }).unwrap();
    let history = vec![Exchange { question: "a ".repeat(300), answer: "b ".repeat(300) }];
    let options = AnswerOptions { history, max_tokens: 96, ..AnswerOptions::default() };
    let answer = engine.answer(QUESTION, options.clone()).unwrap().final_answer().unwrap();
    assert!(answer.usage.prompt_tokens <= 320 - 96, "{:?}", answer.usage);
    assert!(!answer.citations.is_empty());
    let long = "why ".repeat(2_000);
    let asked = engine.answer(&long, AnswerOptions { floor: Some(-1.0), ..options }).unwrap().final_answer();
    assert!(matches!(asked, Err(Error::QuestionTooLong { limit: 224, .. })), "{asked:?}");
}

#[test]
fn a_request_for_a_graphics_processor_that_is_not_there_is_answered_by_the_cpu() {
    let Some(set) = set("a_request_for_a_graphics_processor_that_is_not_there_is_answered_by_the_cpu") else { return };
    let ask = |options: EngineOptions| {
        let engine = Engine::open(options).unwrap();
        engine.answer(QUESTION, AnswerOptions::default()).unwrap().final_answer().unwrap().text
    };
    let folder = tempfile::tempdir().unwrap();
    let gpu = Some(GpuRequest { system_supported: true, system_version: "1".into() });
    let without_memory = EngineOptions { gpu: gpu.clone(), ..set.options.clone() };
    let asked = EngineOptions { gpu, cache_folder: Some(folder.path().into()), ..set.options.clone() };
    let expected = ask(set.options.clone());
    assert!(!expected.is_empty());
    assert_eq!(ask(asked), expected);
    assert_eq!(ask(without_memory), expected);
}

#[test]
fn what_cannot_be_asked_is_an_error_at_once() {
    let Some(set) = set("what_cannot_be_asked_is_an_error_at_once") else { return };
    let engine = Engine::open(EngineOptions { model: None, ..set.options }).unwrap();
    assert!(matches!(engine.answer("  ", AnswerOptions::default()), Err(Error::EmptyQuestion)));
    assert!(matches!(engine.answer(QUESTION, AnswerOptions::default()), Err(Error::NoModel)));
    let cancelled = CancelToken::new();
    cancelled.cancel();
    assert!(matches!(engine.search(QUESTION, SearchOptions::default(), &cancelled), Err(Error::Cancelled)));
}
