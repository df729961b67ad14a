//! What a caller may not see does not exist: not in results, answers, citations, cache files or the log.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skipped

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lorekit_answer::{AnswerOptions, CancelToken, Engine, EngineOptions, PassageId, SearchOptions, Snapshot};
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage};
use lorekit_store::{
    BuildInput, EmbedderInfo, IndexChoice, Metric, NewDocument, NewPassage, OpenOptions, Origin, PackFacts, PackKind,
    Pooling, RetrievalInfo, Scalar, SplitterInfo, write_pack,
};

/// Texts that one question finds together; each has a word that no other text has.
const TEXTS: [&str; 6] = [
    "The daily limit for cash withdrawals is 500 crowns. Marker zyxqua.",
    "Branch staff may raise the daily limit for cash to 900 crowns. Marker kwopfel.",
    "The fraud desk freezes cash withdrawals above 300 crowns. Marker brumtig.",
    "The daily limit for cash abroad is 200 crowns. Marker vexlund.",
    "Managers see cash withdrawals without any limit. Marker jorpask.",
    "Limits for cash are reviewed each June. Marker quindop.",
];
const MARKERS: [&str; 6] = ["zyxqua", "kwopfel", "brumtig", "vexlund", "jorpask", "quindop"];
const QUESTION: &str = "What is the daily limit for cash withdrawals?";

/// Everything that is logged by any thread.
struct Captured(Mutex<String>);

static LOG: Captured = Captured(Mutex::new(String::new()));

impl log::Log for Captured {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&format!("{} {}\n", record.target(), record.args()));
    }

    fn flush(&self) {}
}

struct Models {
    embedder: PathBuf,
    model: PathBuf,
}

fn models(test: &str) -> Option<Models> {
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
    Some(Models { embedder, model })
}

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.into()).collect()
}

/// A pack of one document for each text, with these labels of document and passage.
fn write(pack: &Path, embedder: &Path, access: &[(Vec<String>, Vec<String>)]) {
    let embedder = Embedder::open(embedder, &EmbedderOptions { threads: 2, ..EmbedderOptions::default() }).unwrap();
    let inputs: Vec<Passage<'_>> = TEXTS.iter().map(|text| Passage { title: Some("Cash"), text }).collect();
    let vectors = embedder.embed_passages(&inputs, &mut |_| {}, &CancelToken::new()).unwrap();
    let documents: Vec<NewDocument> = access
        .iter()
        .enumerate()
        .map(|(n, (document, _))| NewDocument {
            id: format!("d{n}"),
            path: format!("d{n}.md"),
            title: "Cash".into(),
            version: None,
            language: "en".into(),
            valid_from: None,
            valid_to: None,
            labels: document.clone(),
            source_hash: [7; 32],
            format: "markdown".into(),
        })
        .collect();
    let passages: Vec<NewPassage> = TEXTS
        .iter()
        .zip(access)
        .enumerate()
        .map(|(n, (text, (_, own)))| NewPassage {
            document: n,
            text: (*text).into(),
            title_path: vec!["Cash".into()],
            article: None,
            place: format!("d{n}#1"),
            source: 0..text.len() as u64,
            page: None,
            tokens: 20,
            labels: own.clone(),
        })
        .collect();
    let fingerprint = embedder.fingerprint();
    let facts = PackFacts {
        pack_id: "cash".into(),
        version: 1,
        kind: PackKind::Base,
        parent: None,
        title: "Cash".into(),
        languages: vec!["en".into()],
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
        retrieval: RetrievalInfo { dense_weight: 0.85, lexical_weight: 0.15, floor: None },
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

fn ids(pack: &Path) -> Vec<PassageId> {
    let mut ids = Vec::new();
    let snapshot = Snapshot::open_pack(pack, &OpenOptions::default()).unwrap();
    let mut each = |entry: lorekit_store::Entry| {
        ids.push(entry.id);
        Ok(())
    };
    snapshot.entries(Origin::Publisher, &mut each).unwrap();
    ids
}

/// All bytes of all files below a folder, side files of the models aside: they hold weights.
fn bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("side") {
            all.extend(bytes(&path));
        } else if path.is_file() {
            all.extend(path.to_string_lossy().as_bytes());
            all.extend(std::fs::read(&path).unwrap());
        }
    }
    all
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Asks as a caller with these labels and gives all that came out: results, events, the answer.
fn ask(engine: &Engine, caller: &[String]) -> String {
    let search = SearchOptions { limit: 10, labels: caller.to_vec(), ..SearchOptions::default() };
    let found = engine.search(QUESTION, search.clone(), &CancelToken::new()).unwrap();
    let options = AnswerOptions { search, max_tokens: 40, ..AnswerOptions::default() };
    let stream = engine.answer(QUESTION, options).unwrap();
    let mut out = format!("{found:?}");
    loop {
        let batch = stream.next_batch().unwrap();
        if batch.is_empty() {
            return out;
        }
        out.push_str(&format!("{batch:?}"));
    }
}

#[test]
fn a_forbidden_passage_is_in_no_output_cache_file_or_log() {
    let Some(models) = models("a_forbidden_passage_is_in_no_output_cache_file_or_log") else { return };
    // The only test that logs; a second logger would be an error.
    let _ = log::set_logger(&LOG).map(|()| log::set_max_level(log::LevelFilter::Trace));
    let mut seed = 0x9e37_79b9_u64;
    let mut random = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let mut forbidden_in_all = 0;
    for round in 0..4 {
        let mut group = || [&[][..], &["staff"], &["fraud"], &["staff", "manager"], &["manager"]][random(5)];
        let access: Vec<(Vec<String>, Vec<String>)> =
            TEXTS.iter().map(|_| (labels(group()), labels(group()))).collect();
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("x.lorepack");
        write(&pack, &models.embedder, &access);
        let ids = ids(&pack);
        for caller in [labels(&[]), labels(&["staff"]), labels(&["fraud", "manager"])] {
            let cache = tempfile::tempdir().unwrap();
            LOG.0.lock().unwrap().clear();
            let out = {
                let engine = Engine::open(EngineOptions {
                    pack: pack.clone(),
                    embedder: models.embedder.clone(),
                    model: Some(models.model.clone()),
                    threads: 2,
                    cache_folder: Some(cache.path().into()),
                    ..EngineOptions::default()
                })
                .unwrap();
                let out = ask(&engine, &caller);
                engine.enter_background();
                out
            };
            let (files, log) = (bytes(cache.path()), LOG.0.lock().unwrap().clone());
            let mut seen = BTreeSet::new();
            for (n, (document, own)) in access.iter().enumerate() {
                let any = |group: &Vec<String>| group.is_empty() || group.iter().any(|label| caller.contains(label));
                if any(document) && any(own) {
                    seen.insert(n);
                    assert!(out.contains(MARKERS[n]), "round {round}: {caller:?} may see {n}");
                    continue;
                }
                forbidden_in_all += 1;
                for place in [out.as_bytes(), log.as_bytes(), &files] {
                    assert!(!holds(place, MARKERS[n].as_bytes()), "round {round}: text {n} for {caller:?}");
                    assert!(!holds(place, ids[n].to_string().as_bytes()), "round {round}: id {n} for {caller:?}");
                    assert!(!holds(place, &ids[n].0), "round {round}: id {n} for {caller:?}");
                }
            }
            // The check can find what is there: what was shown and kept is named in the files.
            if !seen.is_empty() {
                assert!(seen.iter().any(|&n| holds(&files, &ids[n].0)), "round {round}: {caller:?}");
            }
        }
    }
    assert!(forbidden_in_all > 20, "{forbidden_in_all}");
}

#[test]
fn a_new_generation_is_searched_at_once_and_what_it_closes_leaves_the_caches() {
    let Some(models) = models("a_new_generation_is_searched_at_once_and_what_it_closes_leaves_the_caches") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (open, closed) = (folder.path().join("open.lorepack"), folder.path().join("closed.lorepack"));
    let public = (Vec::new(), Vec::new());
    let mut access = vec![public; TEXTS.len()];
    write(&open, &models.embedder, &access);
    access[0].1 = labels(&["staff"]);
    write(&closed, &models.embedder, &access);
    let ids = ids(&open);
    let cache = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        pack: open.clone(),
        embedder: models.embedder,
        model: Some(models.model),
        threads: 2,
        cache_folder: Some(cache.path().into()),
        ..EngineOptions::default()
    };
    let engine = Engine::open(options.clone()).unwrap();
    let state = engine.pack_info().state;
    assert!(ask(&engine, &[]).contains(MARKERS[0]));
    engine.enter_background();
    engine.search(QUESTION, SearchOptions::default(), &CancelToken::new()).unwrap();
    assert!(holds(&bytes(cache.path()), &ids[0].0));

    engine.update(Snapshot::open_pack(&closed, &OpenOptions::default()).unwrap()).unwrap();
    assert_ne!(engine.pack_info().state, state);
    assert!(!holds(&bytes(cache.path()), &ids[0].0), "an open passage that was closed is still in the folder");
    assert!(!ask(&engine, &[]).contains(MARKERS[0]));
    assert!(ask(&engine, &labels(&["staff"])).contains(MARKERS[0]));
    engine.enter_background();
    drop(engine);

    // A restart on another generation cannot tell who saw what: only what everyone may see stays.
    assert!(holds(&bytes(cache.path()), &ids[0].0));
    let engine = Engine::open(options).unwrap();
    engine.update(Snapshot::open_pack(&closed, &OpenOptions::default()).unwrap()).unwrap();
    assert!(!holds(&bytes(cache.path()), &ids[0].0));
}
