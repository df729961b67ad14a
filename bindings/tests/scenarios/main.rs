//! The contract of the bridge. Swift and Kotlin repeat these scenarios under the same names, through their own skins.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it measured

mod library;
mod redactor;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use lorekit_ffi::{
    FfiAdapterFile, FfiAnswer, FfiAnswerEvent, FfiAnswerFormat, FfiAnswerOptions, FfiAnswerStream, FfiCancellation,
    FfiEngine, FfiEngineOptions, FfiError, FfiExchange, FfiLogLevel, FfiLogRecord, FfiLogSink, FfiOutcome,
    FfiSearchMode, FfiSearchOptions, FfiSinkError, FfiThermalState, set_log_sink,
};

/// A question whose words stand in the passage with the emoji, and in no other.
const GRACE: &str = "信用卡还款宽限期几天？";
/// A cancelled request must leave the worker within this time on any machine. One decode step of the tiny model takes
/// well under a millisecond and a prefill piece some milliseconds; the whole request would take seconds.
const BOUND: Duration = Duration::from_secs(2);

fn fixtures() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
        lorekit_fixtures::write(&folder).unwrap();
        folder
    })
}

fn file(name: &str) -> String {
    fixtures().join(name).to_str().unwrap().to_owned()
}

fn options() -> FfiEngineOptions {
    FfiEngineOptions {
        pack: file("base.lorepack"),
        embedder: file("embedder.gguf"),
        model: Some(file("model.gguf")),
        adapters: vec![],
        threads: 2,
        context_tokens: 0,
        cache_folder: None,
        gpu: None,
        library: None,
    }
}

fn engine() -> Arc<FfiEngine> {
    FfiEngine::open(options()).unwrap()
}

/// Searches by words for one passage, so that the tiny embedder's noise decides nothing.
fn by_words() -> FfiSearchOptions {
    FfiSearchOptions { limit: 1, mode: FfiSearchMode::Lexical, as_of: None, labels: vec![] }
}

fn answer_options() -> FfiAnswerOptions {
    FfiAnswerOptions {
        search: by_words(),
        format: FfiAnswerFormat::Basis,
        max_tokens: 320,
        temperature: 0.0,
        seed: 0,
        adapter: None,
        floor: None,
        history: vec![],
    }
}

/// Options with which the model would talk for long.
fn talkative() -> FfiAnswerOptions {
    FfiAnswerOptions { format: FfiAnswerFormat::Free, max_tokens: 3_000, ..answer_options() }
}

/// Options with a prompt of about twelve thousand tokens, so that the prefill takes long.
fn long_prompt() -> FfiAnswerOptions {
    let turn = FfiExchange { question: "z".repeat(6_000), answer: "y".repeat(6_000) };
    FfiAnswerOptions { history: vec![turn], max_tokens: 64, ..answer_options() }
}

/// Waits for a future on this thread, as a foreign executor would.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

fn next(stream: &FfiAnswerStream) -> Result<Vec<FfiAnswerEvent>, FfiError> {
    wait(stream.next_batch())
}

fn events(stream: &FfiAnswerStream) -> Vec<FfiAnswerEvent> {
    let mut events = Vec::new();
    loop {
        let batch = next(stream).unwrap();
        if batch.is_empty() {
            return events;
        }
        events.extend(batch);
    }
}

fn ask(engine: &FfiEngine, question: &str, options: FfiAnswerOptions) -> Result<FfiAnswer, FfiError> {
    wait(engine.answer(question.into(), options)?.final_answer())
}

fn search(engine: &FfiEngine) -> usize {
    engine.search(GRACE.into(), by_words(), FfiCancellation::new()).unwrap().len()
}

fn code<T>(result: Result<T, FfiError>) -> String {
    let error = result.err().expect("an error");
    let (code, text) = match &error {
        FfiError::NotFound { code, text, .. }
        | FfiError::Damaged { code, text, .. }
        | FfiError::Unsupported { code, text, .. }
        | FfiError::EmbedderMismatch { code, text, .. }
        | FfiError::AdapterMismatch { code, text, .. }
        | FfiError::KeyNeeded { code, text, .. }
        | FfiError::WrongKey { code, text, .. }
        | FfiError::InvalidKey { code, text, .. }
        | FfiError::Untrusted { code, text, .. }
        | FfiError::Expired { code, text, .. }
        | FfiError::ClockTurnedBack { code, text, .. }
        | FfiError::Replayed { code, text, .. }
        | FfiError::Fork { code, text, .. }
        | FfiError::OtherParent { code, text, .. }
        | FfiError::OtherPack { code, text, .. }
        | FfiError::Purged { code, text, .. }
        | FfiError::Locked { code, text, .. }
        | FfiError::ReadOnly { code, text }
        | FfiError::NothingToRollBackTo { code, text }
        | FfiError::UnusableDocument { code, text, .. }
        | FfiError::EmptyQuestion { code, text }
        | FfiError::QuestionTooLong { code, text, .. }
        | FfiError::NoModel { code, text }
        | FfiError::Storage { code, text, .. }
        | FfiError::Closed { code, text }
        | FfiError::Cancelled { code, text }
        | FfiError::Internal { code, text, .. } => (code, text),
    };
    assert!(!text.is_empty() && error.to_string() == *text, "{error:?}");
    code.clone()
}

#[test]
fn open() {
    let engine = engine();
    let pack = engine.pack_info();
    assert_eq!((pack.id.as_str(), pack.version, pack.title.as_str()), ("fixture", 3, "Fixture"));
    assert_eq!((pack.document_count, pack.passage_count, pack.licence.as_str()), (2, 4, "CC0-1.0"));
    assert_eq!((pack.languages, pack.state.len()), (vec!["zh".into(), "en".into()], 64));
    let model = engine.model_info().unwrap();
    assert_eq!((model.name.as_str(), model.architecture.as_str()), ("Tiny fixture", "qwen2"));
    assert_eq!(model.context_tokens, 4_096);
    assert_eq!(model.file_bytes, fixtures().join("model.gguf").metadata().unwrap().len());
    assert_eq!(FfiEngine::open(FfiEngineOptions { model: None, ..options() }).unwrap().model_info(), None);
}

#[test]
fn every_error_case() {
    let open = |options: FfiEngineOptions| code(FfiEngine::open(options));
    assert_eq!(open(FfiEngineOptions { pack: file("missing.lorepack"), ..options() }), "not_found");
    assert_eq!(open(FfiEngineOptions { pack: file("damaged.lorepack"), ..options() }), "damaged");
    let unsupported = FfiEngineOptions { model: Some(file("unsupported-model.gguf")), ..options() };
    assert_eq!(open(unsupported), "unsupported");
    assert_eq!(open(FfiEngineOptions { embedder: file("other-embedder.gguf"), ..options() }), "embedder_mismatch");
    let foreign = FfiAdapterFile { name: "foreign".into(), path: file("foreign-adapter.gguf") };
    assert_eq!(open(FfiEngineOptions { adapters: vec![foreign], ..options() }), "adapter_mismatch");
    // A file in a file: neither missing nor damaged, the system refuses the path.
    assert_eq!(open(FfiEngineOptions { pack: file("base.lorepack/inside"), ..options() }), "storage");

    let engine = engine();
    assert_eq!(code(ask(&engine, "  ", answer_options())), "empty_question");
    let unknown = FfiAnswerOptions { adapter: Some("unknown".into()), ..answer_options() };
    assert_eq!(code(ask(&engine, GRACE, unknown)), "adapter_mismatch");
    assert_eq!(code(ask(&engine, &format!("{GRACE}{}", "长".repeat(5_000)), answer_options())), "question_too_long");
    let wrong = FfiAnswerOptions { temperature: -1.0, ..answer_options() };
    assert_eq!(code(ask(&engine, GRACE, wrong)), "internal");
    let cancellation = FfiCancellation::new();
    cancellation.cancel();
    assert_eq!(code(engine.search(GRACE.into(), by_words(), cancellation)), "cancelled");
    engine.shut_down().unwrap();
    assert_eq!(code(ask(&engine, GRACE, answer_options())), "closed");
    let mute = FfiEngine::open(FfiEngineOptions { model: None, ..options() }).unwrap();
    assert_eq!(code(ask(&mute, GRACE, answer_options())), "no_model");
}

#[test]
fn search_by_words_and_by_meaning() {
    let engine = engine();
    let found = engine.search(GRACE.into(), by_words(), FfiCancellation::new()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "rules#第一条");
    assert_eq!((found[0].document_title.as_str(), found[0].article.as_deref()), ("银行卡规则", Some("第一条")));
    assert!(found[0].lexical.is_some() && found[0].dense.is_none());
    let hybrid = FfiSearchOptions { limit: 4, mode: FfiSearchMode::Hybrid, as_of: None, labels: vec![] };
    let found = engine.search("card fees".into(), hybrid, FfiCancellation::new()).unwrap();
    assert_eq!(found.len(), 4);
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert!(found.iter().all(|passage| passage.dense.is_some()));
}

#[test]
fn streamed_answer_in_chinese_with_an_emoji() {
    let engine = engine();
    let events = events(&engine.answer(GRACE.into(), answer_options()).unwrap());
    let FfiAnswerEvent::Retrieved { passages } = &events[0] else { panic!("{:?}", events[0]) };
    let Some(FfiAnswerEvent::Finished { answer }) = events.last() else { panic!("the last event is the end") };
    assert_eq!(&answer.passages, passages);
    let mut streamed = String::new();
    let mut cited = Vec::new();
    for event in &events[1..events.len() - 1] {
        match event {
            FfiAnswerEvent::Text { delta } => streamed.push_str(delta),
            FfiAnswerEvent::Citation { citation } => cited.push(citation.clone()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(streamed, answer.text);
    assert_eq!(cited, answer.citations);
    assert!(answer.text.starts_with("【政策依据】《银行卡规则》第一条：“信用卡还款宽限期为三天😀"), "{}", answer.text);
    let citation = &answer.citations[0];
    let text = &answer.passages[citation.passage as usize].text;
    let quote = &answer.text[citation.answer.utf8_start as usize..citation.answer.utf8_end as usize];
    assert_eq!(quote, "信用卡还款宽限期为三天😀，逾期按日计息。");
    assert_eq!(quote, &text[citation.quoted.utf8_start as usize..citation.quoted.utf8_end as usize]);
    let units: Vec<u16> = answer.text.encode_utf16().collect();
    let units = &units[citation.answer.utf16_start as usize..citation.answer.utf16_end as usize];
    assert_eq!(String::from_utf16(units).unwrap(), quote);
    assert_eq!((citation.source_start, citation.source_end), (0, text.len() as u64));
    assert!(answer.usage.completion_tokens > 0 && answer.usage.time_to_first_text <= answer.usage.total_time);
    let declined = FfiAnswerOptions {
        search: FfiSearchOptions { mode: FfiSearchMode::Hybrid, ..by_words() },
        floor: Some(2.0),
        ..answer_options()
    };
    assert_eq!(ask(&engine, GRACE, declined).unwrap().outcome, FfiOutcome::DeclinedNothingFound);
}

#[test]
fn break_out_of_the_loop() {
    let engine = engine();
    let stream = engine.answer(GRACE.into(), talkative()).unwrap();
    next(&stream).unwrap();
    let left = Instant::now();
    drop(stream);
    assert_eq!(search(&engine), 1);
    assert!(left.elapsed() < BOUND, "{:?}", left.elapsed());
}

#[test]
fn cancel_during_prefill() {
    let engine = FfiEngine::open(FfiEngineOptions { context_tokens: 16_000, ..options() }).unwrap();
    let whole = ask(&engine, GRACE, long_prompt()).unwrap();
    assert!(whole.usage.prompt_tokens > 12_000, "{:?}", whole.usage);
    // Another first turn, so that nothing of the prompt is in the cache.
    let mut options = long_prompt();
    options.history[0].question = "x".repeat(6_000);
    let stream = engine.answer(GRACE.into(), options).unwrap();
    let first = next(&stream).unwrap();
    assert!(matches!(first[..], [FfiAnswerEvent::Retrieved { .. }]), "{first:?}");
    thread::sleep(whole.usage.time_to_first_text / 4);
    let asked = Instant::now();
    stream.cancel();
    assert_eq!(code(next(&stream)), "cancelled");
    let woken = asked.elapsed();
    assert!(next(&stream).unwrap().is_empty());
    assert_eq!(search(&engine), 1);
    eprintln!(
        "cancel during prefill: reader woken after {woken:?}, engine free after {:?}; the whole request took {:?}",
        asked.elapsed(),
        whole.usage.total_time
    );
    assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
}

#[test]
fn cancel_during_decode() {
    let engine = engine();
    let stream = engine.answer(GRACE.into(), talkative()).unwrap();
    // The reader keeps reading, so that the model is decoding and not waiting for room when it is cancelled.
    let reader = thread::spawn({
        let stream = Arc::clone(&stream);
        move || {
            let mut seen = Vec::new();
            loop {
                match next(&stream) {
                    Ok(batch) => seen.extend(batch),
                    Err(error) => return (seen, error),
                }
            }
        }
    });
    thread::sleep(Duration::from_millis(60));
    let asked = Instant::now();
    stream.cancel();
    let (seen, error) = reader.join().unwrap();
    let woken = asked.elapsed();
    assert_eq!(code(Err::<(), _>(error)), "cancelled");
    assert!(seen.iter().any(|event| matches!(event, FfiAnswerEvent::Text { .. })), "it was decoding");
    assert!(!seen.iter().any(|event| matches!(event, FfiAnswerEvent::Finished { .. })));
    assert_eq!(search(&engine), 1);
    eprintln!("cancel during decode: reader woken after {woken:?}, engine free after {:?}", asked.elapsed());
    assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
    assert!(ask(&engine, GRACE, answer_options()).unwrap().text.contains('😀'));
}

#[test]
fn two_answers_queued() {
    let engine = engine();
    let first = engine.answer(GRACE.into(), answer_options()).unwrap();
    let second = engine.answer("card transaction disputed".into(), answer_options()).unwrap();
    // The second is read first: it waits behind the first, whose events fit into its channel or are read by another.
    let reader = thread::spawn(move || wait(first.final_answer()).unwrap());
    let second = wait(second.final_answer()).unwrap();
    let first = reader.join().unwrap();
    assert!(first.text.contains("信用卡"), "{}", first.text);
    assert!(second.text.contains("60 days"), "{}", second.text);
}

#[test]
fn close_while_answering() {
    let engine = engine();
    let running = engine.answer(GRACE.into(), talkative()).unwrap();
    let queued = engine.answer(GRACE.into(), talkative()).unwrap();
    next(&running).unwrap();
    let asked = Instant::now();
    engine.shut_down().unwrap();
    assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
    for stream in [running, queued] {
        let code = code(wait(stream.final_answer()));
        assert!(["cancelled", "closed"].contains(&code.as_str()), "{code}");
    }
}

#[test]
fn adapter_named_per_request() {
    let adapters = [("calm", "adapter.gguf"), ("brisk", "second-adapter.gguf")]
        .map(|(name, path)| FfiAdapterFile { name: name.into(), path: file(path) });
    let engine = FfiEngine::open(FfiEngineOptions { adapters: adapters.into(), ..options() }).unwrap();
    let say = |adapter: Option<&str>| {
        let options = FfiAnswerOptions { adapter: adapter.map(Into::into), max_tokens: 160, ..answer_options() };
        ask(&engine, GRACE, options).unwrap().text
    };
    let (plain, calm, brisk) = (say(None), say(Some("calm")), say(Some("brisk")));
    assert!(plain != calm && calm != brisk && brisk != plain, "an adapter changes how it is said");
    // What is copied from the passage is the same whoever says it.
    let proof = |text: &str| text.split("【简明解释】").next().unwrap().to_owned();
    assert_eq!((proof(&calm), proof(&brisk)), (proof(&plain), proof(&plain)));
    assert_eq!(say(Some("calm")), calm);
    assert_eq!(say(None), plain);
}

#[test]
fn a_thousand_open_and_close_cycles_with_flat_memory() {
    let cycle = || {
        let engine = FfiEngine::open(FfiEngineOptions { threads: 1, context_tokens: 512, ..options() }).unwrap();
        engine.shut_down().unwrap();
    };
    (0..100).for_each(|_| cycle());
    let (before, threads) = (resident(), n_threads());
    (0..1_000).for_each(|_| cycle());
    let after = resident();
    eprintln!("a thousand cycles: {before:?} kB resident before, {after:?} kB after");
    if let (Some(before), Some(after)) = (before, after) {
        // One engine of these takes some hundred kilobytes; a leak of one in ten would show.
        assert!(after < before + 32 * 1_024, "{before} kB before, {after} kB after");
    }
    assert!(n_threads() <= threads + 8, "{threads} threads before, {} after", n_threads());
}

/// Resident memory in kB, where the system says it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn n_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[test]
fn use_after_close() {
    let engine = engine();
    engine.shut_down().unwrap();
    engine.shut_down().unwrap();
    assert_eq!(code(engine.search(GRACE.into(), by_words(), FfiCancellation::new())), "closed");
    assert_eq!(code(ask(&engine, GRACE, answer_options())), "closed");
    assert_eq!(engine.pack_info().id, "fixture");
}

#[test]
fn lifecycle_calls() {
    let folder = tempfile::tempdir().unwrap();
    let cache_folder = Some(folder.path().to_str().unwrap().to_owned());
    let engine = FfiEngine::open(FfiEngineOptions { cache_folder, ..options() }).unwrap();
    let say = || ask(&engine, GRACE, answer_options()).unwrap();
    let before = say().text;
    engine.memory_warning().unwrap();
    assert_eq!(say().text, before);
    engine.enter_background().unwrap();
    engine.enter_foreground().unwrap();
    assert_eq!(say().text, before);
    engine.clear_caches().unwrap();
    engine.set_thermal_state(FfiThermalState::Critical).unwrap();
    let hot = say();
    assert!(hot.text.contains('😀') && hot.citations.len() == 1, "{}", hot.text);
    assert_eq!(hot.usage.completion_tokens, 0);
    engine.set_thermal_state(FfiThermalState::Nominal).unwrap();
    assert_eq!(say().text, before);
    engine.shut_down().unwrap();
    engine.memory_warning().unwrap();
    engine.enter_background().unwrap();
}

struct Collect(Mutex<Vec<FfiLogRecord>>);

impl FfiLogSink for Collect {
    fn record(&self, record: FfiLogRecord) -> Result<(), FfiSinkError> {
        self.0.lock().unwrap().push(record);
        Err(FfiSinkError::Failed) // a sink that fails disturbs nobody
    }
}

#[test]
fn log_sink() {
    let sink = Arc::new(Collect(Mutex::default()));
    set_log_sink(FfiLogLevel::Debug, Some(Arc::clone(&sink) as Arc<dyn FfiLogSink>)).unwrap();
    let engine = engine();
    ask(&engine, GRACE, answer_options()).unwrap();
    engine.shut_down().unwrap();
    set_log_sink(FfiLogLevel::Debug, None).unwrap();
    let n_records = sink.0.lock().unwrap().len();
    let opened = |records: &[FfiLogRecord]| records.iter().any(|record| record.text.contains("fixture version 3"));
    assert!(opened(&sink.0.lock().unwrap()));
    for record in sink.0.lock().unwrap().iter() {
        assert!(record.target.starts_with("lorekit"), "{record:?}");
        assert!(!record.text.contains("信用卡") && !record.text.contains("宽限"), "{record:?}");
    }
    drop(self::engine());
    assert_eq!(sink.0.lock().unwrap().len(), n_records, "nothing comes after the sink was taken away");
}
