//! At each single file operation of each change: the power goes, a write tears, the disk fills, the device fails. After
//! each the library opens as the generation before or the one after, whole.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/faulty.rs"]
mod faulty;

use std::path::Path;
use std::sync::Arc;

use common::shelf::{Shelf, add, apply, content};
use faulty::{Fault, FaultyFiles, Left, copy};
use lorekit_cancel::CancelToken;
use lorekit_pack::ContentHash;
use lorekit_seal::SealKey;
use lorekit_store::{Error, Library, LibraryOptions, Purge, Result};

/// Which generation a folder opens as: what is in it, or that it was purged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Purged,
    Holds(u64, ContentHash),
}

fn look(opened: Result<Library>) -> Found {
    match opened {
        Ok(library) => {
            library.verify().unwrap();
            let state = library.state().unwrap();
            Found::Holds(state.generation, content(&library.snapshot()))
        }
        Err(Error::Purged { .. }) => Found::Purged,
        Err(error) => panic!("the library does not open: {error}"),
    }
}

type Change = fn(&Library, &Shelf) -> Result<()>;

/// A change, what the library is before it, and its name.
fn changes() -> Vec<(&'static str, Vec<Change>, Change)> {
    let first: Change = |library, shelf| apply(library, &shelf.deltas[0]).map(drop);
    let second: Change = |library, shelf| apply(library, &shelf.deltas[1]).map(drop);
    let note: Change = |library, _| add(library, "n1").map(drop);
    let other: Change = |library, _| add(library, "n2").map(drop);
    let remove: Change = |library, _| library.remove("n1", &CancelToken::new()).map(drop);
    let compact: Change = |library, _| library.compact(&mut |_| {}, &CancelToken::new()).map(drop);
    let rollback: Change = |library, _| library.rollback().map(drop);
    let purge_revoked: Change = |library, _| library.purge(Purge::Revoked, &mut |_| {}, &CancelToken::new()).map(drop);
    let purge: Change = |library, _| library.purge(Purge::Everything, &mut |_| {}, &CancelToken::new()).map(drop);
    vec![
        ("apply to a new library", vec![], first),
        ("apply", vec![note, first], second),
        ("rollback", vec![note, first, second], rollback),
        ("add to a new library", vec![], note),
        ("add", vec![first, note], other),
        ("add again", vec![first, note, other], note),
        ("remove", vec![note, other], remove),
        ("remove from a compacted chain", vec![note, other, compact], remove),
        ("compact", vec![first, note, other], compact),
        ("compact with revoked passages", vec![first, compact, second], compact),
        ("purge of revoked passages", vec![first, compact, second], purge_revoked),
        ("purge of everything", vec![first, note], purge),
    ]
}

const FAULTS: [Fault; 5] = [Fault::Stop, Fault::Tear, Fault::Full, Fault::Device, Fault::Late];

/// What of the things that nobody synced is left. `LOREKIT_ALL_FAULTS` asks for each way at each point; without it every
/// point is tried with nothing left and with one chance of its own.
fn left(point: usize) -> Vec<Left> {
    match std::env::var_os("LOREKIT_ALL_FAULTS") {
        Some(_) => vec![Left::Nothing, Left::All, Left::Some(point as u64), Left::Some(point as u64 + 1_000_000)],
        None => vec![Left::Nothing, Left::Some(point as u64)],
    }
}

#[test]
fn after_a_fault_at_each_operation_the_library_is_the_old_or_the_new_generation() {
    let shelf = Shelf::new();
    let (mut points, mut ends) = (0, 0);
    let (open, sealed) = (None, Some(SealKey::new([7; 32])));
    let open = changes().into_iter().map(|change| (&open, change));
    let few = ["apply", "add", "compact"];
    let sealed = changes().into_iter().filter(|(name, ..)| few.contains(name)).map(|change| (&sealed, change));
    for (at, (key, (name, before, change))) in open.chain(sealed).enumerate() {
        let options = |place: &Path| LibraryOptions { key: key.clone(), ..shelf.options(place) };
        let open = |place: &Path| Library::open(options(place));
        let start = shelf.place(&format!("{at}-start"));
        std::fs::create_dir_all(&start).unwrap();
        if !before.is_empty() {
            let library = open(&start).unwrap();
            before.iter().for_each(|step| step(&library, &shelf).unwrap());
        }
        let run = |fault: Option<(usize, Fault)>, place: &Path| {
            copy(&start, place);
            let files = FaultyFiles::new(place, fault);
            let mut options = options(place);
            options.files = Arc::new(files.clone());
            let done = Library::open(options).and_then(|library| change(&library, &shelf));
            (files, done)
        };
        let scratch = tempfile::tempdir().unwrap();
        let place = |name: String| scratch.path().join(name);
        // Looking at a library must not change the folder that the runs start from.
        let old = look(open(&copy(&start, &place("old".into()))));
        let (files, done) = run(None, &place("new".into()));
        done.unwrap();
        let operations = files.operations();
        let new = look(open(&place("new".into())));
        assert_ne!(old, new, "{name} changes nothing");
        for operation in 0..operations {
            for fault in FAULTS {
                points += 1;
                let live = place(format!("{operation}-{fault:?}"));
                let (files, done) = run(Some((operation, fault)), &live);
                let mut check = |folder: &Path, what: &dyn std::fmt::Debug| {
                    ends += 1;
                    let found = look(open(folder));
                    let allowed = found == new || (found == old && done.is_err());
                    assert!(allowed, "{name}: {fault:?} at operation {operation}, {what:?} left, {done:?}: {found:?}");
                };
                for (number, left) in left(points).into_iter().enumerate() {
                    let folder = place(format!("{operation}-{fault:?}-{number}"));
                    files.after_power_loss(&folder, left);
                    check(&folder, &left);
                    std::fs::remove_dir_all(&folder).unwrap();
                }
                // And without a power loss: the process goes on, or ends, on the files as they are.
                check(&live, &"everything");
                std::fs::remove_dir_all(&live).unwrap();
            }
        }
        eprintln!("{name}{}: {operations} operations", if key.is_some() { ", sealed" } else { "" });
    }
    eprintln!("{points} fault points, {ends} ways the disk could look afterwards");
    assert!(points > 400, "{points}");
}

/// Which of two keys opens a folder: exactly one does, the other is refused as the wrong one, and all is there.
fn look_with(options: &LibraryOptions, keys: [&SealKey; 2]) -> (usize, Found) {
    let opened = keys.map(|key| {
        let options = LibraryOptions { key: Some(key.clone()), ..options.clone() };
        match Library::open(options) {
            Err(Error::WrongKey { .. }) => None,
            opened => Some(look(opened)),
        }
    });
    match opened {
        [Some(found), None] => (0, found),
        [None, Some(found)] => (1, found),
        both => panic!("not exactly one of the keys opens the library: {both:?}"),
    }
}

/// Each sealed file of a folder opens with one key and not with the other.
fn assert_sealed_with(folder: &Path, key: &SealKey, not: &SealKey) {
    let mut n_sealed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let open = |key| lorekit_seal::SealedFile::open(&path, key, &lorekit_seal::ChunkCache::new(0));
        match open(key) {
            Ok(_) => n_sealed += 1,
            Err(lorekit_seal::Error::NotSealed) => continue,
            Err(error) => panic!("{}: {error}", path.display()),
        }
        assert!(matches!(open(not), Err(lorekit_seal::Error::WrongKey)), "{}", path.display());
    }
    assert!(n_sealed >= 3, "{n_sealed}");
}

#[test]
fn after_a_fault_at_each_operation_of_a_change_of_key_exactly_one_key_opens_the_library() {
    let shelf = Shelf::new();
    let [old, new] = [[7; 32], [8; 32]].map(SealKey::new);
    let start = shelf.place("start");
    let with = |place: &Path, key: &SealKey| LibraryOptions { key: Some(key.clone()), ..shelf.options(place) };
    let library = Library::open(with(&start, &old)).unwrap();
    apply(&library, &shelf.deltas[0]).unwrap();
    add(&library, "n1").unwrap();
    library.compact(&mut |_| {}, &CancelToken::new()).unwrap();
    apply(&library, &shelf.deltas[1]).unwrap();
    add(&library, "n2").unwrap();
    let kept = library.state().unwrap().kept.len();
    assert!(kept > 0, "states that only a rollback reads change their key as well");
    drop(library);
    let run = |fault: Option<(usize, Fault)>, place: &Path| {
        copy(&start, place);
        let files = FaultyFiles::new(place, fault);
        let options = LibraryOptions { files: Arc::new(files.clone()), ..with(place, &old) };
        (files, Library::open(options).and_then(|library| library.rotate_key(new.clone()).map(drop)))
    };
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: String| scratch.path().join(name);
    let (_, whole) = look_with(&shelf.options(&copy(&start, &place("old".into()))), [&old, &new]);
    let (files, done) = run(None, &place("new".into()));
    done.unwrap();
    assert_sealed_with(&place("new".into()), &new, &old);
    assert_eq!(look_with(&shelf.options(&place("new".into())), [&old, &new]), (1, whole.clone()));
    let (operations, mut ends, mut by_key) = (files.operations(), 0, [0, 0]);
    for operation in 0..operations {
        for fault in FAULTS {
            let live = place(format!("{operation}-{fault:?}"));
            let (files, done) = run(Some((operation, fault)), &live);
            let mut check = |folder: &Path, what: &dyn std::fmt::Debug| {
                ends += 1;
                let (key, found) = look_with(&shelf.options(folder), [&old, &new]);
                let at = format!("{fault:?} at operation {operation}, {what:?} left");
                assert_eq!(found, whole, "{at}");
                assert!(key == 1 || done.is_err(), "{at}: the key is the old one");
                by_key[key] += 1;
                // Whichever key opens it, doing it again ends it: nothing opens with the old key any more.
                let library = Library::open(with(folder, [&old, &new][key])).unwrap();
                library.rotate_key(new.clone()).unwrap();
                library.rollback().unwrap();
                drop(library);
                assert_sealed_with(folder, &new, &old);
            };
            for (number, left) in left(operation).into_iter().enumerate() {
                let folder = place(format!("{operation}-{fault:?}-{number}"));
                files.after_power_loss(&folder, left);
                check(&folder, &left);
                std::fs::remove_dir_all(&folder).unwrap();
            }
            check(&live, &"everything");
            std::fs::remove_dir_all(&live).unwrap();
        }
    }
    eprintln!("change of key: {operations} operations, {ends} ways the disk could look, {by_key:?} by key");
    assert!(by_key.iter().all(|&n| n > 20), "{by_key:?}");
}
