//! An engine changes its library while it is asked. What every language sees is in the scenarios of the bindings.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::path::{Path, PathBuf};
use std::sync::{OnceLock, mpsc};

use lorekit_answer::{
    CancelToken, ChangeProgress, ChangeStage, Engine, EngineOptions, Error, LibraryOptions, Mode, Origin, OwnDocument,
    Purge, SearchOptions, Trust, verifying_key,
};

/// More passages than are embedded at once.
const SECTIONS: usize = 40;

fn fixtures() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library-fixtures");
        lorekit_fixtures::write(&folder).unwrap();
        folder
    })
}

fn options(folder: &Path) -> EngineOptions {
    let file = |name: &str| fixtures().join(name);
    let key = verifying_key(&std::fs::read_to_string(file("publisher.pub")).unwrap()).unwrap();
    let base = file("library.lorepack");
    EngineOptions {
        library: Some(LibraryOptions::new(base, Some(folder.join("library")), Trust::pinned(vec![key]))),
        embedder: file("embedder.gguf"),
        cache_folder: Some(folder.join("cache")),
        threads: 1,
        ..EngineOptions::default()
    }
}

fn long_document() -> OwnDocument {
    let sections: Vec<String> =
        (0..SECTIONS).map(|n| format!("## Rule {n}\n\nSection number {n} is zyxqua.\n")).collect();
    OwnDocument {
        id: "long".into(),
        path: "long.md".into(),
        content: format!("# Long\n\n{}", sections.join("\n")).into_bytes(),
        ..OwnDocument::default()
    }
}

fn search(engine: &Engine, question: &str) -> Result<Vec<Origin>, Error> {
    let options = SearchOptions { mode: Mode::Lexical, ..SearchOptions::default() };
    let found = engine.search(question, options, &CancelToken::new())?;
    Ok(found.into_iter().map(|found| found.passage.origin).collect())
}

#[test]
fn questions_are_answered_between_the_passages_of_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(folder.path())).unwrap();
    let mut between = 0;
    let mut ask = |step: ChangeProgress| {
        // This thread is the import: the answer came while the rest was not embedded yet.
        if step.stage == ChangeStage::Embed && step.done > 0 && step.done < step.total {
            assert_eq!(search(&engine, "replacement card").unwrap()[0], Origin::Publisher);
            assert_eq!(search(&engine, "zyxqua").unwrap(), [], "nothing of a document is found before all of it is");
            between += 1;
        }
    };
    let report = engine.add(long_document(), &mut ask, &CancelToken::new()).unwrap();
    assert!(report.passages >= SECTIONS as u64 / 2 && between > 1, "{report:?}, asked {between} times");
    assert_eq!(search(&engine, "zyxqua").unwrap()[0], Origin::Local);
}

#[test]
fn an_import_cancelled_between_two_passages_leaves_the_library_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(folder.path())).unwrap();
    let before = engine.library_state().unwrap();
    let cancel = CancelToken::new();
    let mut stop = |step: ChangeProgress| {
        if step.done > 0 {
            cancel.cancel();
        }
    };
    assert!(matches!(engine.add(long_document(), &mut stop, &cancel), Err(Error::Cancelled)));
    assert_eq!(engine.library_state().unwrap(), before);
}

#[test]
fn closing_ends_an_import_and_gives_the_folder_free() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(folder.path())).unwrap();
    let (told, started) = mpsc::channel();
    let (allow, allowed) = mpsc::channel();
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| {
            let mut once = Some(allowed);
            let mut hold = |_: ChangeProgress| {
                let _ = told.send(());
                // Held at its first step until the engine is being closed.
                if let Some(allowed) = once.take() {
                    let _ = allowed.recv();
                }
            };
            engine.add(long_document(), &mut hold, &CancelToken::new())
        });
        started.recv().unwrap();
        let closing = scope.spawn(|| engine.close());
        // Only now may it go on: the engine takes no more, or is about to; the import ends in both cases.
        while search(&engine, "card").is_ok() {}
        allow.send(()).unwrap();
        closing.join().unwrap();
        assert!(matches!(importing.join().unwrap(), Err(Error::Closed | Error::Cancelled)));
    });
    assert!(matches!(engine.library_state(), Err(Error::Closed)));
    let again = Engine::open(options(folder.path())).unwrap();
    assert!(again.library_state().unwrap().local_documents.is_empty());
}

#[test]
fn what_a_purge_left_of_cached_prompts_goes_when_the_purged_library_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(folder.path())).unwrap();
    let prefixes = folder.path().join("cache/prefixes");
    let leave = || {
        std::fs::create_dir_all(&prefixes).unwrap();
        std::fs::write(prefixes.join("left"), "a passage").unwrap();
    };
    leave();
    assert!(engine.purge(Purge::Everything, &mut |_| {}, &CancelToken::new()).unwrap().refusal_recorded);
    assert!(!prefixes.exists());
    leave();
    assert!(matches!(Engine::open(options(folder.path())), Err(Error::Purged { .. })));
    assert!(!prefixes.exists());
}

#[test]
fn a_day_that_nobody_names_is_today() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(folder.path())).unwrap();
    assert!(!engine.library_state().unwrap().clock_turned_back);
    engine.close();
    let mut earlier = options(folder.path());
    earlier.library = earlier.library.map(|library| LibraryOptions { today: Some("2001-01-01".into()), ..library });
    assert!(Engine::open(earlier).unwrap().library_state().unwrap().clock_turned_back);
}
