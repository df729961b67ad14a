//! A process that changes the library is killed at random moments. By itself in a file: between its fork and its exec a
//! child holds all locks of its parent, and tests beside this one would find their libraries open elsewhere.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::Noise;
use common::shelf::{Shelf, add, apply, content};
use lorekit_cancel::CancelToken;
use lorekit_store::Library;

/// The process that is killed: changes the library for as long as it lives.
fn victim(folder: &Path, packs: &Path) {
    let key = lorekit_pack::signing::SigningKey::from_seed(&[5; 32]).verifying_key();
    let trust = lorekit_pack::signing::Trust::pinned(vec![key]);
    let options = lorekit_store::LibraryOptions::new(packs.join("v1"), Some(folder.to_path_buf()), trust);
    let library = Library::open(options).unwrap();
    // Refused as a replay from the second time on.
    let _ = apply(&library, &packs.join("delta1"));
    for round in 0.. {
        apply(&library, &packs.join("delta2")).unwrap();
        add(&library, &format!("n{}", round % 3)).unwrap();
        library.compact(&mut |_| {}, &CancelToken::new()).unwrap();
        library.remove("n1", &CancelToken::new()).unwrap();
        if library.rollback().is_ok() && library.state().unwrap().version == 1 {
            return;
        }
    }
}

/// A process that changes the library all the time is killed at random moments; `LOREKIT_KILLS` says how often.
#[test]
fn a_process_killed_at_any_moment_leaves_a_library_that_opens() {
    // The process that is killed is this very test, started again.
    let place = |name| std::env::var_os(name).map(PathBuf::from);
    if let (Some(folder), Some(packs)) = (place("LOREKIT_VICTIM"), place("LOREKIT_VICTIM_PACKS")) {
        return victim(&folder, &packs);
    }
    // Under an emulator of another processor the system cannot start the program that the emulator runs.
    let program = std::env::current_exe().unwrap();
    let listed = Command::new(&program).arg("--list").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !listed.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: this program cannot start itself here");
    }
    let kills: usize = std::env::var("LOREKIT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(15);
    let shelf = Shelf::new();
    let folder = shelf.place("killed");
    let mut noise = Noise(99);
    let (mut generation, mut moved) = (0, 0);
    for kill in 0..kills {
        let mut child = Command::new(&program)
            .args(["a_process_killed_at_any_moment_leaves_a_library_that_opens", "--exact", "--nocapture"])
            .env("LOREKIT_VICTIM", &folder)
            .env("LOREKIT_VICTIM_PACKS", shelf.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + noise.below(380) as u64));
        assert!(child.try_wait().unwrap().is_none(), "kill {kill}: the process ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let library = shelf.open(&folder).unwrap();
        let state = library.state().unwrap();
        assert!(state.generation >= generation, "a generation that was there is gone");
        moved += usize::from(state.generation > generation);
        generation = state.generation;
        assert!(shelf.states.contains(&state.state));
        library.verify().unwrap();
        content(&library.snapshot());
    }
    eprintln!("{kills} kills, {moved} of them after at least one change, {generation} generations");
    assert!(moved > 0, "no process lived long enough to change anything");
}
