//! The library on the device: what it takes, what it refuses, and what survives what.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::Path;

use common::chain::vector;
use common::shelf::{CANARY, OWN_CANARY, Shelf, add, apply, content, edit, own};
use lorekit_cancel::CancelToken;
use lorekit_pack::signing::{PackState, RollbackStatement, SigningKey, Trust, attach_rollback, sign_pack};
use lorekit_seal::SealKey;
use lorekit_store::{Error, Library, LibraryOptions, Origin, Purge, Refusal, Scope};

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Refused { refusal, .. } => refusal,
        other => panic!("{other}"),
    }
}

fn compact(library: &Library) {
    library.compact(&mut |_| {}, &CancelToken::new()).unwrap();
}

/// Whether the bytes of a text stand anywhere in the folder's files.
fn in_folder(folder: &Path, text: &str) -> bool {
    let found = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    fs::read_dir(folder).unwrap().any(|entry| found(fs::read(entry.unwrap().path()).unwrap()))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn local_ids(library: &Library) -> Vec<String> {
    let mut ids: Vec<_> = library.state().unwrap().local_documents.into_iter().map(|document| document.id).collect();
    ids.sort();
    ids
}

#[test]
fn deltas_apply_one_by_one_and_the_state_is_that_of_a_fresh_build() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    assert_eq!(library.state().unwrap().state, shelf.states[0]);
    for (i, delta) in shelf.deltas.iter().enumerate() {
        let report = apply(&library, delta).unwrap();
        assert!(report.applied);
        assert_eq!((report.version, report.state), (i as u64 + 2, shelf.states[i + 1]));
        assert_eq!(library.snapshot().state().unwrap(), shelf.states[i + 1]);
    }
    let again = apply(&library, &shelf.deltas[1]).unwrap();
    assert!(!again.applied, "the same delta changes nothing");
    let before = content(&library.snapshot());
    let state = library.state().unwrap();
    assert_eq!((state.version, state.deltas.len(), state.revoked, state.revoked_in_read_only_base), (3, 2, 4, 4));
    assert_eq!(state.base.signer.as_deref(), Some(shelf.publisher.verifying_key().to_string().as_str()));
    drop(library);
    let library = shelf.open(&folder).unwrap();
    assert_eq!(content(&library.snapshot()), before, "a library opens as it was left");
    library.verify().unwrap();
}

#[test]
fn a_replay_of_an_older_version_is_refused() {
    let shelf = Shelf::new();
    let library = shelf.open(&shelf.place("a")).unwrap();
    shelf.deltas.iter().for_each(|delta| {
        apply(&library, delta).unwrap();
    });
    let error = refusal(apply(&library, &shelf.deltas[0]).unwrap_err());
    assert_eq!(error, Refusal::Replayed { floor: 3, found: 2 });
    // Nor after a rollback, which keeps the floor.
    library.rollback().unwrap();
    library.rollback().unwrap();
    assert_eq!(library.state().unwrap().state, shelf.states[0]);
    let error = refusal(apply(&library, &shelf.deltas[0]).unwrap_err());
    assert_eq!(error, Refusal::Replayed { floor: 3, found: 2 });
}

#[test]
fn a_fork_of_a_known_version_is_refused() {
    let shelf = Shelf::new();
    let library = shelf.open(&shelf.place("a")).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    edit(&shelf.deltas[1], |manifest| manifest.version = 2);
    sign_pack(&shelf.deltas[1], &shelf.publisher, None).unwrap();
    let error = refusal(apply(&library, &shelf.deltas[1]).unwrap_err());
    assert_eq!(error, Refusal::Fork { version: 2, expected: shelf.states[1], found: shelf.states[2] });
}

#[test]
fn a_delta_for_another_parent_is_refused() {
    let shelf = Shelf::new();
    let library = shelf.open(&shelf.place("a")).unwrap();
    let error = refusal(apply(&library, &shelf.deltas[1]).unwrap_err());
    assert_eq!(error, Refusal::OtherParent { expected: shelf.states[0], found: shelf.states[1] });
}

#[test]
fn a_delta_of_another_pack_and_a_base_are_refused() {
    let shelf = Shelf::new();
    let library = shelf.open(&shelf.place("a")).unwrap();
    edit(&shelf.deltas[0], |manifest| manifest.pack_id = "another".into());
    sign_pack(&shelf.deltas[0], &shelf.publisher, None).unwrap();
    assert!(matches!(refusal(apply(&library, &shelf.deltas[0]).unwrap_err()), Refusal::OtherPack { .. }));
    let newer = shelf.folder.path().join("v2");
    edit(&newer, |manifest| manifest.version = 2);
    sign_pack(&newer, &shelf.publisher, None).unwrap();
    assert_eq!(refusal(apply(&library, &newer).unwrap_err()), Refusal::NotADelta);
}

#[test]
fn a_delta_that_does_not_give_the_state_it_promises_is_refused() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    edit(&shelf.deltas[0], |manifest| manifest.state = shelf.states[2]);
    sign_pack(&shelf.deltas[0], &shelf.publisher, None).unwrap();
    let before = names(&folder);
    assert!(matches!(refusal(apply(&library, &shelf.deltas[0]).unwrap_err()), Refusal::OtherState { .. }));
    assert_eq!(names(&folder), before, "nothing is left of a refused delta");
}

#[test]
fn an_unsigned_delta_and_one_of_an_unknown_signer_are_refused() {
    let shelf = Shelf::new();
    let library = shelf.open(&shelf.place("a")).unwrap();
    edit(&shelf.deltas[0], |_| {});
    let error = apply(&library, &shelf.deltas[0]).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::Unsigned { .. })), "{error}");
    sign_pack(&shelf.deltas[0], &SigningKey::from_seed(&[6; 32]), None).unwrap();
    let error = apply(&library, &shelf.deltas[0]).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::UnknownSigner { .. })), "{error}");
}

#[test]
fn an_unsigned_base_opens_only_with_the_developer_switch() {
    let shelf = Shelf::new();
    edit(&shelf.base, |_| {});
    let error = shelf.open(&shelf.place("a")).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::Unsigned { .. })), "{error}");
    let options = lorekit_store::LibraryOptions::new(&shelf.base, Some(shelf.place("a")), Trust::only_unsigned());
    Library::open(options).unwrap();
}

#[test]
fn a_swapped_section_is_refused_and_leaves_nothing() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    let mut bytes = fs::read(&shelf.deltas[0]).unwrap();
    let at = 16384 + 200;
    bytes[at] ^= 1;
    fs::write(&shelf.deltas[0], bytes).unwrap();
    let before = names(&folder);
    let error = apply(&library, &shelf.deltas[0]).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::HashMismatch { .. })), "{error}");
    assert_eq!(names(&folder), before);
}

#[test]
fn an_expired_delta_is_refused_and_a_clock_that_was_turned_back_is_noticed() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    edit(&shelf.deltas[0], |manifest| manifest.expires = Some("2026-06-30".into()));
    sign_pack(&shelf.deltas[0], &shelf.publisher, None).unwrap();
    let on = |day: &str| {
        let mut options = shelf.options(&folder);
        options.today = Some(day.into());
        Library::open(options).unwrap()
    };
    let error = apply(&on("2026-07-01"), &shelf.deltas[0]).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::PackExpired { .. })), "{error}");
    let library = on("2026-05-01");
    assert!(library.state().unwrap().clock_turned_back);
    let error = refusal(apply(&library, &shelf.deltas[0]).unwrap_err());
    let (expires, today, seen) = ("2026-06-30".into(), "2026-05-01".into(), "2026-07-01".into());
    assert_eq!(error, Refusal::ClockTurnedBack { expires, today, seen });
}

#[test]
fn an_older_version_arrives_only_with_the_owners_word() {
    let shelf = Shelf::new();
    let library = shelf.open(&shelf.place("a")).unwrap();
    shelf.deltas.iter().for_each(|delta| {
        apply(&library, delta).unwrap();
    });
    // What turns version 3 into version 2 again, less the revoked passage.
    let parent = library.snapshot();
    let nothing =
        common::Corpus { documents: vec![], passages: vec![], vectors: vec![], ..common::laws(common::chain::DIMS) };
    let path = shelf.folder.path().join("back");
    common::chain::wrap(&path, &nothing, lorekit_store::PackKind::Delta, &parent, &[]);
    edit(&path, |manifest| {
        manifest.version = 2;
        manifest.state = shelf.states[2];
    });
    sign_pack(&path, &shelf.publisher, None).unwrap();
    assert!(matches!(refusal(apply(&library, &path).unwrap_err()), Refusal::Replayed { floor: 3, found: 2 }));
    let statement = |from: u64| RollbackStatement {
        pack_id: "test.pack".into(),
        from: PackState { version: from, state: shelf.states[2] },
        to: PackState { version: 2, state: shelf.states[2] },
    };
    attach_rollback(&path, &statement(9).sign(&shelf.publisher)).unwrap();
    assert!(
        matches!(refusal(apply(&library, &path).unwrap_err()), Refusal::Replayed { .. }),
        "a word about another state"
    );
    attach_rollback(&path, &statement(3).sign(&shelf.publisher)).unwrap();
    let report = apply(&library, &path).unwrap();
    assert!(report.applied && report.owner_rollback);
    assert_eq!(library.state().unwrap().version_floor, 2);
}

#[test]
fn a_rollback_brings_removed_passages_back_and_revoked_ones_never() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    let find = |library: &Library| library.snapshot().lexical("canary 4c1d", 5, &Scope::default()).unwrap().len();
    assert_eq!(find(&library), 1);
    let reader = library.snapshot();
    apply(&library, &shelf.deltas[0]).unwrap();
    let second = content(&library.snapshot());
    apply(&library, &shelf.deltas[1]).unwrap();
    assert_eq!(find(&library), 0);
    library.rollback().unwrap();
    let state = library.state().unwrap();
    assert_eq!((state.version, state.version_floor, state.state), (2, 3, shelf.states[1]));
    assert_eq!(find(&library), 0, "revoked passages survive no rollback");
    assert_ne!(content(&library.snapshot()), second);
    assert_eq!(reader.lexical("canary 4c1d", 5, &Scope::default()).unwrap().len(), 1, "a reader keeps its generation");
    // The delta that was left applies again.
    assert!(apply(&library, &shelf.deltas[1]).unwrap().applied);
    library.rollback().unwrap();
    library.rollback().unwrap();
    assert!(matches!(library.rollback(), Err(Error::NothingToRollBackTo)));
    drop(library);
    assert_eq!(find(&shelf.open(&folder).unwrap()), 0);
}

#[test]
fn a_compacted_library_has_the_same_state_and_takes_the_next_delta() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    let before = content(&library.snapshot());
    let reader = library.snapshot();
    compact(&library);
    let state = library.state().unwrap();
    assert!(state.compacted && state.deltas.is_empty());
    assert_eq!((state.state, library.snapshot().state().unwrap()), (shelf.states[1], shelf.states[1]));
    assert_eq!(content(&library.snapshot()), before, "superseded passages are kept with their dates");
    assert_eq!(content(&reader), before, "a reader keeps files that are gone");
    apply(&library, &shelf.deltas[1]).unwrap();
    assert_eq!(library.snapshot().state().unwrap(), shelf.states[2]);
    compact(&library);
    let after = content(&library.snapshot());
    drop(library);
    let library = shelf.open(&folder).unwrap();
    assert_eq!(content(&library.snapshot()), after);
    assert!(!in_folder(&folder, CANARY), "bytes of revoked passages are not in a compacted library");
    assert_eq!(library.state().unwrap().revoked_in_read_only_base, 4);
}

#[test]
fn a_cancelled_compaction_and_update_leave_the_library_as_it_was() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let before = names(&folder);
    assert!(matches!(library.apply(&shelf.deltas[0], &mut |_| {}, &cancelled), Err(Error::Cancelled)));
    assert_eq!(names(&folder), before);
    apply(&library, &shelf.deltas[0]).unwrap();
    add(&library, "n1").unwrap();
    let (before, content_before) = (names(&folder), content(&library.snapshot()));
    assert!(matches!(library.compact(&mut |_| {}, &cancelled), Err(Error::Cancelled)));
    assert_eq!((names(&folder), content(&library.snapshot())), (before, content_before));
    compact(&library);
}

#[test]
fn local_documents_survive_update_rollback_and_compaction_and_go_when_removed() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    add(&library, "n1").unwrap();
    add(&library, "n2").unwrap();
    let ids = ["n1".to_owned(), "n2".to_owned()];
    shelf.deltas.iter().for_each(|delta| {
        apply(&library, delta).unwrap();
    });
    assert_eq!(local_ids(&library), ids);
    library.rollback().unwrap();
    assert_eq!(local_ids(&library), ids);
    compact(&library);
    assert_eq!(local_ids(&library), ids);
    apply(&library, &shelf.deltas[1]).unwrap();
    drop(library);
    let library = shelf.open(&folder).unwrap();
    assert_eq!(local_ids(&library), ids);
    let snapshot = library.snapshot();
    let hit = snapshot.exact(&vector("第二段 n2"), 1, &Scope::default()).unwrap()[0];
    assert_eq!(snapshot.origin(hit.key), Origin::Local);
    // Adding one again replaces it, out of the pack that the compaction made of both.
    add(&library, "n1").unwrap();
    assert_eq!(local_ids(&library), ids);
    assert!(library.remove("n2", &CancelToken::new()).unwrap());
    assert!(!library.remove("n2", &CancelToken::new()).unwrap());
    assert!(library.remove("n1", &CancelToken::new()).unwrap());
    drop(snapshot);
    assert!(local_ids(&library).is_empty());
    assert!(!in_folder(&folder, OWN_CANARY), "a removed document's bytes are gone");
}

#[test]
fn a_purge_of_revoked_passages_leaves_none_of_their_bytes_in_the_folder() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    compact(&library);
    assert!(in_folder(&folder, CANARY), "the copy of the chain holds it as yet");
    apply(&library, &shelf.deltas[1]).unwrap();
    assert!(in_folder(&folder, CANARY));
    let report = library.purge(Purge::Revoked, &mut |_| {}, &CancelToken::new()).unwrap();
    assert!(report.base_still_holds && !report.refusal_recorded);
    assert!(!in_folder(&folder, CANARY));
    assert_eq!(library.snapshot().state().unwrap(), shelf.states[2]);
}

#[test]
fn a_rollback_before_a_purge_does_not_save_revoked_bytes() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    compact(&library);
    apply(&library, &shelf.deltas[1]).unwrap();
    library.rollback().unwrap();
    library.purge(Purge::Revoked, &mut |_| {}, &CancelToken::new()).unwrap();
    assert!(!in_folder(&folder, CANARY));
    // The state that was signed is still what the next delta builds on.
    assert_eq!(library.state().unwrap().state, shelf.states[1]);
    apply(&library, &shelf.deltas[1]).unwrap();
    assert_eq!(library.snapshot().state().unwrap(), shelf.states[2]);
}

#[test]
fn a_purge_of_everything_leaves_a_lasting_refusal_and_nothing_else() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    compact(&library);
    add(&library, "n1").unwrap();
    assert!(in_folder(&folder, CANARY) && in_folder(&folder, OWN_CANARY));
    let report = library.purge(Purge::Everything, &mut |_| {}, &CancelToken::new()).unwrap();
    assert!(report.refusal_recorded && report.base_still_holds && report.files_removed > 0);
    assert_eq!(names(&folder), ["CURRENT", "LOCK"]);
    assert!(!in_folder(&folder, CANARY) && !in_folder(&folder, OWN_CANARY));
    assert!(matches!(add(&library, "n2"), Err(Error::Purged { .. })));
    drop(library);
    assert!(matches!(shelf.open(&folder), Err(Error::Purged { .. })));
}

#[test]
fn a_newer_base_replaces_the_part_of_the_chain_that_it_covers() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    shelf.deltas.iter().for_each(|delta| {
        apply(&library, delta).unwrap();
    });
    add(&library, "n1").unwrap();
    let before = content(&library.snapshot());
    drop(library);
    // The app's update brings version 2: the second delta stays on it.
    let base = shelf.folder.path().join("v2");
    edit(&base, |manifest| manifest.version = 2);
    sign_pack(&base, &shelf.publisher, None).unwrap();
    let mut options = shelf.options(&folder);
    options.base.clone_from(&base);
    let library = Library::open(options.clone()).unwrap();
    let state = library.state().unwrap();
    assert_eq!((state.version, state.state, state.deltas.len()), (3, shelf.states[2], 1));
    assert_eq!(local_ids(&library), ["n1"]);
    assert_ne!(content(&library.snapshot()), before, "a fresh base has no superseded passages");
    drop(library);
    // Version 3 as a base: no delta is needed any more.
    let base = shelf.folder.path().join("v3");
    edit(&base, |manifest| manifest.version = 4);
    sign_pack(&base, &shelf.publisher, None).unwrap();
    options.base = base;
    let library = Library::open(options).unwrap();
    let state = library.state().unwrap();
    assert_eq!((state.version, state.state, state.deltas.len(), state.version_floor), (4, shelf.states[2], 0, 4));
    assert_eq!((state.revoked, local_ids(&library)), (4, vec!["n1".to_owned()]));
}

#[test]
fn a_second_opener_is_refused_until_the_first_has_left() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let first = shelf.open(&folder).unwrap();
    let reader = first.snapshot();
    assert!(matches!(shelf.open(&folder), Err(Error::Locked { .. })));
    drop(first);
    shelf.open(&folder).unwrap();
    content(&reader);
}

#[test]
fn a_library_without_a_folder_reads_and_cannot_be_changed() {
    let shelf = Shelf::new();
    let mut options = shelf.options(Path::new("x"));
    options.folder = None;
    let library = Library::open(options).unwrap();
    content(&library.snapshot());
    assert!(matches!(apply(&library, &shelf.deltas[0]), Err(Error::ReadOnlyLibrary)));
    assert!(!library.state().unwrap().writable);
}

#[test]
fn a_damaged_record_and_a_lost_one_are_named() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    apply(&shelf.open(&folder).unwrap(), &shelf.deltas[0]).unwrap();
    let path = folder.join("CURRENT");
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    let last = flipped.len() - 3;
    flipped[last] ^= 4;
    fs::write(&path, &flipped).unwrap();
    match shelf.open(&folder) {
        Err(Error::DamagedRecord { path: named, .. }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(shelf.open(&folder), Err(Error::DamagedRecord { .. })));
    fs::write(&path, &bytes).unwrap();
    assert_eq!(shelf.open(&folder).unwrap().state().unwrap().version, 2);
}

#[test]
fn a_file_that_was_changed_in_the_folder_is_noticed_when_the_library_opens() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    apply(&shelf.open(&folder).unwrap(), &shelf.deltas[0]).unwrap();
    let path = folder.join(names(&folder).into_iter().find(|name| name.starts_with('p')).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[16384 + 300] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = shelf.open(&folder).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::HashMismatch { .. })), "{error}");
}

#[test]
fn documents_that_do_not_fit_together_are_refused_and_leave_nothing() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    add(&library, "n1").unwrap();
    let before = names(&folder);
    let (document, passages, mut vectors) = own("n2");
    vectors.pop();
    let error = library.add(document, &passages, &vectors, &mut |_| {}, &CancelToken::new()).unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    assert_eq!(names(&folder), before);
}

fn sealed_options(shelf: &Shelf, folder: &Path, key: [u8; 32]) -> LibraryOptions {
    LibraryOptions { key: Some(SealKey::new(key)), ..shelf.options(folder) }
}

#[test]
fn a_sealed_library_has_nothing_in_clear_at_any_time_and_answers_as_an_open_one() {
    let shelf = Shelf::new();
    let (folder, clear) = (shelf.place("a"), shelf.place("b"));
    let options = sealed_options(&shelf, &folder, [7; 32]);
    let (library, open) = (Library::open(options.clone()).unwrap(), shelf.open(&clear).unwrap());
    // Titles, places and words of all that is written: the delta's, the compacted base's, the app's own.
    let marks = [OWN_CANARY, CANARY, "canary", "版本2", "第一章", "文件d1", "笔记", "SQLite format 3", "lexical"];
    let check = || {
        for mark in marks {
            assert!(!in_folder(&folder, mark), "{mark} lies in clear");
        }
    };
    let both = |change: &dyn Fn(&Library)| {
        change(&library);
        change(&open);
        check();
        assert_eq!(content(&library.snapshot()), content(&open.snapshot()));
    };
    both(&|library| assert!(apply(library, &shelf.deltas[0]).unwrap().applied));
    both(&|library| assert!(add(library, "n1").is_ok()));
    both(&compact);
    both(&|library| assert!(add(library, "n2").is_ok()));
    assert!(in_folder(&clear, CANARY) && in_folder(&clear, OWN_CANARY), "the open one shows what is looked for");
    let hits = |library: &Library| {
        let snapshot = library.snapshot();
        let hits = snapshot.lexical("canary 版本", 9, &Scope::default()).unwrap();
        hits.iter().map(|hit| snapshot.passage(hit.key).unwrap().text).collect::<Vec<_>>()
    };
    assert_eq!(hits(&library), hits(&open));
    both(&|library| assert!(apply(library, &shelf.deltas[1]).unwrap().applied));
    both(&|library| assert!(library.rollback().unwrap().applied));
    both(&compact);
    let state = library.state().unwrap();
    assert!(state.sealed && !state.base_sealed && !open.state().unwrap().sealed);
    let before = content(&library.snapshot());
    drop(library);
    let library = Library::open(options).unwrap();
    library.verify().unwrap();
    assert_eq!(content(&library.snapshot()), before);
}

#[test]
fn a_wrong_key_and_no_key_are_named_and_change_nothing() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let options = sealed_options(&shelf, &folder, [7; 32]);
    let library = Library::open(options.clone()).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    add(&library, "n1").unwrap();
    drop(library);
    let before = names(&folder);
    let error = Library::open(sealed_options(&shelf, &folder, [8; 32])).unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    let error = shelf.open(&folder).unwrap_err();
    assert!(matches!(error, Error::Pack(lorekit_pack::Error::KeyNeeded { .. })), "{error}");
    assert_eq!(names(&folder), before);
    assert_eq!(local_ids(&Library::open(options).unwrap()), ["n1"]);
}

/// Nothing of what is searched is sealed yet then; the library must not begin to mix two keys.
#[test]
fn a_wrong_key_is_noticed_when_only_the_key_of_the_installation_is_sealed() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = Library::open(sealed_options(&shelf, &folder, [7; 32])).unwrap();
    add(&library, "n1").unwrap();
    library.remove("n1", &CancelToken::new()).unwrap();
    drop(library);
    let error = Library::open(sealed_options(&shelf, &folder, [8; 32])).unwrap_err();
    assert!(matches!(&error, Error::WrongKey { path } if path.ends_with("installation.key")), "{error}");
    assert_eq!(local_ids(&Library::open(sealed_options(&shelf, &folder, [7; 32])).unwrap()), [""; 0]);
}

#[test]
fn a_library_whose_key_was_changed_goes_on_and_its_readers_as_well() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = Library::open(sealed_options(&shelf, &folder, [7; 32])).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    add(&library, "n1").unwrap();
    let reader = library.snapshot();
    let before = content(&reader);
    assert_eq!(library.rotate_key(SealKey::new([8; 32])).unwrap(), 2);
    assert_eq!(content(&reader), before, "a snapshot from before reads on");
    assert_eq!(content(&library.snapshot()), before);
    apply(&library, &shelf.deltas[1]).unwrap();
    add(&library, "n2").unwrap();
    compact(&library);
    library.rollback().unwrap();
    library.verify().unwrap();
    let after = content(&library.snapshot());
    drop(library);
    let error = Library::open(sealed_options(&shelf, &folder, [7; 32])).unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    let library = Library::open(sealed_options(&shelf, &folder, [8; 32])).unwrap();
    assert_eq!(content(&library.snapshot()), after);
    assert!(library.state().unwrap().sealed);
}

#[test]
fn a_library_without_a_key_takes_one_for_what_it_writes_from_then_on() {
    let shelf = Shelf::new();
    let folder = shelf.place("a");
    let library = shelf.open(&folder).unwrap();
    add(&library, "n1").unwrap();
    assert_eq!(library.rotate_key(SealKey::new([8; 32])).unwrap(), 0);
    add(&library, "n2").unwrap();
    assert!(!library.state().unwrap().sealed);
    compact(&library);
    assert!(library.state().unwrap().sealed);
    drop(library);
    let error = Library::open(sealed_options(&shelf, &folder, [7; 32])).unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    assert_eq!(local_ids(&Library::open(sealed_options(&shelf, &folder, [8; 32])).unwrap()), ["n1", "n2"]);
}

/// Eight readers, and a writer that applies, compacts and rolls back all the time.
#[test]
fn readers_find_whole_generations_while_the_library_changes() {
    let shelf = Shelf::new();
    let rounds = std::env::var("LOREKIT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let library = shelf.open(&shelf.place("a")).unwrap();
    let done = CancelToken::new();
    let searches = std::sync::atomic::AtomicU64::new(0);
    /// Lets the readers end, also when the writer fails.
    struct Ends<'a>(&'a CancelToken);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    std::thread::scope(|scope| {
        let _ends = Ends(&done);
        for thread in 0..8u64 {
            let (library, done, searches) = (&library, &done, &searches);
            scope.spawn(move || {
                let mut query = vector(&format!("{thread}"));
                while !done.is_cancelled() {
                    let snapshot = library.snapshot();
                    let hits = snapshot.dense(&query, 8, &Scope::default()).unwrap();
                    assert_eq!(hits.len(), 8);
                    for hit in hits.iter().chain(&snapshot.lexical("文件1 版本", 4, &Scope::default()).unwrap()) {
                        let passage = snapshot.passage(hit.key).unwrap();
                        assert!(
                            passage.text.contains("版本")
                                || passage.text.contains("canary")
                                || passage.text.contains("第二段")
                        );
                        query = snapshot.vector(hit.key).unwrap();
                    }
                    searches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        apply(&library, &shelf.deltas[0]).unwrap();
        for round in 0..rounds {
            apply(&library, &shelf.deltas[1]).unwrap();
            add(&library, &format!("n{}", round % 3)).unwrap();
            if round % 2 == 0 {
                compact(&library);
            }
            library.remove("n0", &CancelToken::new()).unwrap();
            library.rollback().unwrap();
            if round % 3 == 0 {
                compact(&library);
            }
        }
    });
    eprintln!("{} searches by eight readers", searches.into_inner());
}
