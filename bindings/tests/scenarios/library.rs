//! The contract of the library: updates, the app's own documents, labels, seals.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lorekit_ffi::{
    FfiAnswerOptions, FfiApplyReport, FfiCancellation, FfiChange, FfiChangeEvent, FfiChangeProgress, FfiChangeStage,
    FfiEngine, FfiEngineOptions, FfiError, FfiLibraryOptions, FfiOrigin, FfiOwnDocument, FfiPassage, FfiPurge,
    FfiSearchMode, FfiSearchOptions,
};
use tempfile::TempDir;

use crate::{GRACE, answer_options, ask, by_words, code, events, file, fixtures, next, options, talkative, wait};

/// Words of the first and of the second version, of what only staff sees, and of a document of the app.
const FEE: &str = "replacement card costs crowns";
const TRAVEL: &str = "travel notice foreign countries";
const WAIVER: &str = "staff waive replacement fee twice";
const NOTE: &str = "locker combination gymnasium";
const NOTE_TEXT: &str = "# Notes\n\nThe locker combination of the gymnasium is kept in the drawer.\n";

/// A library on the fixture base, in a folder of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn library(&self) -> FfiLibraryOptions {
        FfiLibraryOptions {
            folder: self.path().join("library").to_str().unwrap().to_owned(),
            trusted_keys: vec![fs::read_to_string(file("publisher.pub")).unwrap()],
            allow_unsigned: false,
            key: None,
            content_key: None,
            today: Some("2026-01-01".into()),
            kept_states: 2,
        }
    }

    fn open_with(&self, library: FfiLibraryOptions) -> Result<Arc<FfiEngine>, FfiError> {
        FfiEngine::open(FfiEngineOptions { pack: file("library.lorepack"), library: Some(library), ..options() })
    }

    fn open(&self) -> Arc<FfiEngine> {
        self.open_with(self.library()).unwrap()
    }
}

/// All progress of a change, and its end.
fn finish(change: &FfiChange) -> Result<(Vec<FfiChangeProgress>, FfiChangeEvent), FfiError> {
    let mut steps = Vec::new();
    loop {
        match wait(change.next_event())? {
            FfiChangeEvent::Progress { progress } => steps.push(progress),
            end => return Ok((steps, end)),
        }
    }
}

fn apply(engine: &FfiEngine, name: &str) -> Result<FfiApplyReport, FfiError> {
    match finish(&engine.apply(file(name)).unwrap())?.1 {
        FfiChangeEvent::Applied { report } => Ok(report),
        other => panic!("an apply ended with {other:?}"),
    }
}

fn note(id: &str) -> FfiOwnDocument {
    FfiOwnDocument { id: id.into(), path: "notes.md".into(), content: NOTE_TEXT.into(), title: None, labels: vec![] }
}

fn add(engine: &FfiEngine, document: FfiOwnDocument) -> Result<u64, FfiError> {
    match finish(&engine.add(document).unwrap())?.1 {
        FfiChangeEvent::Added { report } => Ok(report.passages),
        other => panic!("an add ended with {other:?}"),
    }
}

fn purge(engine: &FfiEngine, what: FfiPurge) -> Result<FfiChangeEvent, FfiError> {
    Ok(finish(&engine.purge(what).unwrap())?.1)
}

fn found_for(engine: &FfiEngine, question: &str, labels: &[&str]) -> Vec<FfiPassage> {
    let labels = labels.iter().map(|&label| label.into()).collect();
    let options = FfiSearchOptions { limit: 5, mode: FfiSearchMode::Lexical, as_of: None, labels };
    engine.search(question.into(), options, FfiCancellation::new()).unwrap()
}

fn holds(found: &[FfiPassage], text: &str) -> bool {
    found.iter().any(|passage| passage.text.contains(text))
}

/// Every byte of all files below a folder.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => bytes.extend(bytes_below(&path)),
            path => bytes.extend(fs::read(path).unwrap()),
        }
    }
    bytes
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn open_a_library() {
    let place = Place::new();
    let engine = place.open();
    let pack = engine.pack_info();
    assert_eq!((pack.id.as_str(), pack.version, pack.passage_count), ("library", 1, 5));
    let state = engine.library_state().unwrap();
    assert_eq!((state.pack_id.as_str(), state.version, state.version_floor), ("library", 1, 1));
    assert_eq!((state.state, state.base.passages, state.passages), (pack.state, 5, 5));
    let key = state.base.signer.unwrap();
    assert_eq!(key.len(), 64);
    assert!(state.deltas.is_empty() && state.local_documents.is_empty() && state.kept.is_empty());
    assert!(!state.sealed || state.bytes > 0);
    assert!(!state.base_sealed && !state.compacted && !state.expired && !state.clock_turned_back);
    assert_eq!(engine.verify().unwrap(), engine.verify().unwrap());
    assert_eq!(code(place.open_with(place.library())), "locked");
    let digits = FfiLibraryOptions { trusted_keys: vec![key], ..place.library() };
    engine.shut_down().unwrap();
    place.open_with(digits).unwrap();
}

#[test]
fn apply_a_delta_with_progress() {
    let place = Place::new();
    let engine = place.open();
    assert!(holds(&found_for(&engine, FEE, &[]), "12 crowns"));
    let (steps, end) = finish(&engine.apply(file("update-2.lorepack")).unwrap()).unwrap();
    let FfiChangeEvent::Applied { report } = end else { panic!("{end:?}") };
    assert!(report.applied && !report.owner_rollback);
    assert_eq!((report.version, report.generation), (2, 2));
    let last = *steps.last().expect("at least one step is told");
    let total = fs::metadata(file("update-2.lorepack")).unwrap().len();
    assert_eq!((last.stage, last.total), (FfiChangeStage::Copy, total));
    assert!(steps.iter().all(|step| step.done <= step.total));
    let found = found_for(&engine, FEE, &[]);
    assert!(holds(&found, "15 crowns") && !holds(&found, "12 crowns"));
    assert!(found.iter().all(|passage| passage.origin == FfiOrigin::Publisher));
    assert_eq!((engine.pack_info().version, engine.pack_info().state), (2, report.state.clone()));
    let state = engine.library_state().unwrap();
    assert_eq!((state.version, state.state, state.deltas.len()), (2, report.state.clone(), 1));
    assert_eq!(state.kept.iter().map(|kept| kept.version).collect::<Vec<_>>(), [1]);
    let again = apply(&engine, "update-2.lorepack").unwrap();
    assert!(!again.applied && again.state == report.state);
    // It is all there after the app was ended.
    engine.shut_down().unwrap();
    assert_eq!(place.open().library_state().unwrap().version, 2);
}

#[test]
fn apply_while_answering() {
    let place = Place::new();
    let engine = place.open();
    let stream = engine.answer(GRACE.into(), talkative()).unwrap();
    // The answer is under way and cannot end: nobody reads on.
    let first = next(&stream).unwrap();
    assert_eq!(apply(&engine, "update-2.lorepack").unwrap().version, 2);
    assert_eq!(engine.pack_info().version, 2);
    let rest = events(&stream);
    assert!(!first.is_empty() && !rest.is_empty(), "the running answer goes on to its end");
    assert!(holds(&found_for(&engine, TRAVEL, &[]), "travel notice"), "and what is asked now sees the new version");
}

#[test]
fn rollback() {
    let place = Place::new();
    let engine = place.open();
    assert_eq!(code(engine.rollback()), "nothing_to_roll_back_to");
    let before = engine.library_state().unwrap().state;
    apply(&engine, "update-2.lorepack").unwrap();
    let report = engine.rollback().unwrap();
    assert_eq!((report.version, report.state), (1, before));
    let found = found_for(&engine, FEE, &[]);
    assert!(holds(&found, "12 crowns") && !holds(&found, "15 crowns"));
    assert_eq!((engine.pack_info().version, engine.library_state().unwrap().version_floor), (1, 2));
    assert!(apply(&engine, "update-2.lorepack").unwrap().applied, "what was left can be applied again");
}

#[test]
fn what_does_not_belong_is_refused() {
    let place = Place::new();
    let engine = place.open();
    let refused = |name: &str| code(apply(&engine, name));
    assert_eq!(refused("unsigned-2.lorepack"), "untrusted");
    assert_eq!(refused("untrusted-2.lorepack"), "untrusted");
    assert_eq!(refused("other-pack-2.lorepack"), "other_pack");
    assert_eq!(refused("update-3.lorepack"), "other_parent");
    assert_eq!(refused("other-parent-3.lorepack"), "other_parent");
    assert_eq!(refused("missing.lorepack"), "not_found");
    assert_eq!(engine.library_state().unwrap().generation, 1, "nothing of it left a trace");
    apply(&engine, "update-2.lorepack").unwrap();
    assert_eq!(refused("library.lorepack"), "unsupported", "a base is not applied");
    assert_eq!(refused("fork-2.lorepack"), "fork");
    assert_eq!(refused("other-parent-3.lorepack"), "other_parent");
    apply(&engine, "update-3.lorepack").unwrap();
    assert_eq!(refused("update-2.lorepack"), "replayed");
    let error = apply(&engine, "update-2.lorepack").unwrap_err();
    assert!(error.to_string().contains("update-2.lorepack"), "{error} names the file");
    engine.shut_down().unwrap();
    let nobody = FfiLibraryOptions { trusted_keys: vec![], ..place.library() };
    assert_eq!(code(place.open_with(nobody)), "untrusted");
    let no_key = FfiLibraryOptions { trusted_keys: vec!["no key".into()], ..place.library() };
    assert_eq!(code(place.open_with(no_key)), "invalid_key");
}

#[test]
fn an_expired_delta_and_a_clock_turned_back() {
    let place = Place::new();
    let at = |day: &str| FfiLibraryOptions { today: Some(day.into()), ..place.library() };
    let engine = place.open_with(at("2030-01-01")).unwrap();
    assert_eq!(code(apply(&engine, "expiring-2.lorepack")), "expired");
    engine.shut_down().unwrap();
    let engine = place.open_with(at("2026-01-01")).unwrap();
    assert!(engine.library_state().unwrap().clock_turned_back);
    assert_eq!(code(apply(&engine, "expiring-2.lorepack")), "clock_turned_back");
    assert!(Place::new().open().library_state().is_ok_and(|state| !state.clock_turned_back));
}

#[test]
fn a_local_document_is_found_cited_and_removed() {
    let place = Place::new();
    let engine = place.open();
    let change = engine.add(note("note")).unwrap();
    let (steps, end) = finish(&change).unwrap();
    assert!(matches!(&end, FfiChangeEvent::Added { report } if report.passages == 1), "{end:?}");
    assert!(!steps.is_empty());
    let found = found_for(&engine, NOTE, &[]);
    assert_eq!((found[0].origin, found[0].document_id.as_str()), (FfiOrigin::Local, "note"));
    assert_eq!((found[0].document_title.as_str(), found[0].document_path.as_str()), ("Notes", "notes.md"));
    let answer = ask(&engine, NOTE, answer_options()).unwrap();
    let local: Vec<_> = answer.citations.iter().map(|citation| citation.origin).collect();
    assert!(!local.is_empty() && local.iter().all(|origin| *origin == FfiOrigin::Local), "{local:?}");
    // The publisher's updates leave it alone, and so does the way back.
    apply(&engine, "update-2.lorepack").unwrap();
    engine.rollback().unwrap();
    assert!(holds(&found_for(&engine, NOTE, &[]), "gymnasium"));
    let listed = engine.library_state().unwrap().local_documents;
    assert_eq!((listed.len(), listed[0].id.as_str(), listed[0].title.as_str()), (1, "note", "Notes"));
    assert!(engine.remove("note".into(), FfiCancellation::new()).unwrap());
    assert!(!holds(&found_for(&engine, NOTE, &[]), "gymnasium"));
    assert!(!engine.remove("note".into(), FfiCancellation::new()).unwrap());
    let empty = FfiOwnDocument { content: vec![], ..note("empty") };
    assert_eq!(code(add(&engine, empty)), "unusable_document");
    let unknown = FfiOwnDocument { path: "notes.xyz".into(), ..note("unknown") };
    assert_eq!(code(add(&engine, unknown)), "unusable_document");
}

#[test]
fn labels_hide_passages() {
    let place = Place::new();
    let engine = place.open();
    assert!(!holds(&found_for(&engine, WAIVER, &[]), "waive"));
    assert!(!holds(&found_for(&engine, WAIVER, &["public"]), "waive"));
    assert!(holds(&found_for(&engine, WAIVER, &["public", "staff"]), "waive"));
    let as_staff = FfiSearchOptions { labels: vec!["staff".into()], ..by_words() };
    let answer = ask(&engine, WAIVER, FfiAnswerOptions { search: as_staff, ..answer_options() }).unwrap();
    assert!(holds(&answer.passages, "waive"));
    let answer = ask(&engine, WAIVER, answer_options()).unwrap();
    assert!(!holds(&answer.passages, "waive") && !answer.text.contains("waive"));
    add(&engine, FfiOwnDocument { labels: vec!["staff".into()], ..note("note") }).unwrap();
    assert!(found_for(&engine, NOTE, &[]).is_empty());
    assert!(holds(&found_for(&engine, NOTE, &["staff"]), "gymnasium"));
}

#[test]
fn a_wrong_key() {
    let place = Place::new();
    let key = |name: &str| Some(fs::read(file(name)).unwrap());
    let sealed = FfiLibraryOptions { key: key("seal.key"), ..place.library() };
    let engine = place.open_with(sealed.clone()).unwrap();
    apply(&engine, "update-2.lorepack").unwrap();
    engine.shut_down().unwrap();
    assert_eq!(code(place.open_with(FfiLibraryOptions { key: key("other-seal.key"), ..place.library() })), "wrong_key");
    assert_eq!(code(place.open_with(place.library())), "key_needed");
    let short = FfiLibraryOptions { key: Some(vec![1; 31]), ..place.library() };
    assert_eq!(code(place.open_with(short)), "invalid_key");
    assert_eq!(place.open_with(sealed).unwrap().library_state().unwrap().version, 2);
}

#[test]
fn another_key_for_the_library() {
    let place = Place::new();
    let sealed = |name: &str| FfiLibraryOptions { key: Some(fs::read(file(name)).unwrap()), ..place.library() };
    let engine = place.open_with(sealed("seal.key")).unwrap();
    apply(&engine, "update-2.lorepack").unwrap();
    add(&engine, note("note")).unwrap();
    assert_eq!(code(engine.rotate_key(vec![1; 33])), "invalid_key");
    assert_eq!(engine.rotate_key(fs::read(file("other-seal.key")).unwrap()).unwrap(), 2);
    assert!(holds(&found_for(&engine, NOTE, &[]), "gymnasium"), "whoever asks goes on");
    apply(&engine, "update-3.lorepack").unwrap();
    engine.shut_down().unwrap();
    assert_eq!(code(place.open_with(sealed("seal.key"))), "wrong_key");
    let engine = place.open_with(sealed("other-seal.key")).unwrap();
    assert_eq!(engine.library_state().unwrap().version, 3);
    assert!(engine.library_state().unwrap().sealed && holds(&found_for(&engine, NOTE, &[]), "gymnasium"));
}

#[test]
fn a_base_that_its_publisher_sealed() {
    let place = Place::new();
    let open = |content_key: Option<&str>| {
        let content_key = content_key.map(|name| fs::read(file(name)).unwrap());
        let library = Some(FfiLibraryOptions { content_key, ..place.library() });
        FfiEngine::open(FfiEngineOptions { pack: file("content-sealed.lorepack"), library, ..options() })
    };
    assert_eq!(code(open(None)), "key_needed");
    assert_eq!(code(open(Some("other-seal.key"))), "wrong_key");
    let engine = open(Some("content.key")).unwrap();
    assert!(engine.library_state().unwrap().base_sealed);
    assert!(holds(&found_for(&engine, FEE, &[]), "12 crowns"));
    apply(&engine, "update-2.lorepack").unwrap();
    assert!(holds(&found_for(&engine, FEE, &[]), "15 crowns"));
    assert!(!contains(&fs::read(file("content-sealed.lorepack")).unwrap(), "crowns"));
}

#[test]
fn a_sealed_folder_holds_no_plain_text() {
    let texts = ["travel notice", "15 crowns", "locker combination", "gymnasium", "Card Terms"];
    for key in [None, Some(fs::read(file("seal.key")).unwrap())] {
        let (place, sealed) = (Place::new(), key.is_some());
        let cache_folder = Some(place.path().join("cache").to_str().unwrap().to_owned());
        let library = Some(FfiLibraryOptions { key, ..place.library() });
        let pack = file("library.lorepack");
        let engine = FfiEngine::open(FfiEngineOptions { pack, library, cache_folder, ..options() }).unwrap();
        apply(&engine, "update-2.lorepack").unwrap();
        add(&engine, note("note")).unwrap();
        // Asked twice, a passage is worth keeping, and going to the background writes it.
        for _ in 0..2 {
            ask(&engine, NOTE, answer_options()).unwrap();
        }
        engine.enter_background().unwrap();
        engine.shut_down().unwrap();
        assert!(place.path().join("cache/prefixes").read_dir().unwrap().next().is_some(), "something is cached");
        let bytes = [bytes_below(&place.path().join("library")), bytes_below(&place.path().join("cache/prefixes"))];
        let shown: Vec<_> = texts.iter().filter(|text| contains(&bytes.concat(), text)).collect();
        assert_eq!(shown.is_empty(), sealed, "{shown:?}");
    }
}

#[test]
fn compact_and_purge() {
    let place = Place::new();
    let engine = place.open();
    for name in ["update-2.lorepack", "update-3.lorepack"] {
        apply(&engine, name).unwrap();
    }
    add(&engine, note("note")).unwrap();
    let before = engine.library_state().unwrap();
    assert_eq!((before.version, before.revoked, before.deltas.len()), (3, 1, 2));
    let end = finish(&engine.compact().unwrap()).unwrap().1;
    assert!(matches!(&end, FfiChangeEvent::Compacted { report } if report.publisher_packs == 3), "{end:?}");
    let state = engine.library_state().unwrap();
    assert!(state.compacted && state.deltas.is_empty() && state.state == before.state);
    assert!(holds(&found_for(&engine, NOTE, &[]), "gymnasium"));
    let end = purge(&engine, FfiPurge::Revoked).unwrap();
    assert!(matches!(&end, FfiChangeEvent::Purged { report } if report.base_still_holds && !report.refusal_recorded));
    assert!(holds(&found_for(&engine, NOTE, &[]), "gymnasium"), "a purge of what is revoked leaves the rest");
    let end = purge(&engine, FfiPurge::Everything).unwrap();
    assert!(matches!(&end, FfiChangeEvent::Purged { report } if report.refusal_recorded && report.files_removed > 0));
    let bytes = bytes_below(&place.path().join("library"));
    assert!(!contains(&bytes, "gymnasium") && !contains(&bytes, "crowns"));
    assert_eq!(code(ask(&engine, NOTE, answer_options())), "closed");
    assert_eq!(code(engine.library_state()), "closed");
    assert_eq!(code(place.open_with(place.library())), "purged");
}

#[test]
fn cancel_an_apply() {
    let place = Place::new();
    let engine = place.open();
    let mut cancelled = 0;
    // A machine may be so slow that a cancel comes too late; not twenty times.
    for _ in 0..20 {
        let before = engine.library_state().unwrap();
        let change = engine.apply(file("update-2.lorepack")).unwrap();
        change.cancel();
        match finish(&change) {
            Ok((_, FfiChangeEvent::Applied { .. })) => drop(engine.rollback().unwrap()),
            Ok((_, other)) => panic!("an apply ended with {other:?}"),
            Err(error) => {
                assert_eq!(code::<()>(Err(error)), "cancelled");
                assert_eq!(engine.library_state().unwrap(), before);
                cancelled += 1;
            }
        }
    }
    assert!(cancelled > 0);
    assert!(apply(&engine, "update-2.lorepack").unwrap().applied, "the library stays usable");
    let names = fs::read_dir(place.path().join("library")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn cancel_an_add() {
    let place = Place::new();
    let engine = place.open();
    let before = engine.library_state().unwrap();
    let stream = engine.answer(GRACE.into(), talkative()).unwrap();
    // Nobody reads on, so the answer holds the engine's thread and embedding waits behind it.
    next(&stream).unwrap();
    let change = engine.add(note("note")).unwrap();
    change.cancel();
    stream.cancel();
    assert_eq!(code(finish(&change)), "cancelled");
    assert_eq!(engine.library_state().unwrap(), before);
    assert_eq!(add(&engine, note("note")).unwrap(), 1);
}

#[test]
fn a_pack_alone_does_not_change() {
    let engine = FfiEngine::open(options()).unwrap();
    assert_eq!(code(engine.library_state()), "read_only");
    assert_eq!(code(apply(&engine, "update-2.lorepack")), "read_only");
    assert_eq!(code(add(&engine, note("note"))), "read_only");
    assert_eq!(code(engine.rollback()), "read_only");
    assert_eq!(code(purge(&engine, FfiPurge::Everything)), "read_only");
    assert_eq!(engine.search(GRACE.into(), by_words(), FfiCancellation::new()).unwrap().len(), 1);
    assert!(fixtures().join("base.lorepack").is_file());
}
