//! A compaction that is cut short goes on where it was, and comes to the same bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::shelf::{add, apply, content};
use common::synthetic;
use lorekit_cancel::CancelToken;
use lorekit_pack::signing::{SigningKey, Trust, sign_pack};
use lorekit_seal::SealKey;
use lorekit_store::{
    BuildProgress, BuildStage, DeltaInput, Error, IndexChoice, Library, LibraryOptions, OpenOptions, Result, Snapshot,
    plan_delta, write_delta,
};

const DIMS: usize = 24;
/// Enough for a graph that is kept twice while it grows.
const PASSAGES: usize = 2_300;

/// A publisher's base and a delta, and a folder in which both are applied.
struct Place {
    folder: tempfile::TempDir,
    options: LibraryOptions,
}

impl Place {
    fn new(key: Option<SealKey>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (base, delta) = (folder.path().join("base"), folder.path().join("delta"));
        let publisher = SigningKey::from_seed(&[5; 32]);
        let mut corpus = synthetic(PASSAGES, DIMS, IndexChoice::Exact);
        corpus.write(&base).unwrap();
        sign_pack(&base, &publisher, None).unwrap();
        let parent = Snapshot::open_pack(&base, &OpenOptions::default()).unwrap();
        corpus.facts.version = 2;
        for n in (0..PASSAGES).step_by(100) {
            corpus.passages[n].text.push_str("，已修改");
        }
        let plan = plan_delta(&parent, &corpus.documents, &corpus.passages, &[]).unwrap();
        let vectors: Vec<_> = plan.to_embed().into_iter().map(|n| corpus.vectors[n].clone()).collect();
        let input = DeltaInput {
            parent: &parent,
            plan: &plan,
            documents: &corpus.documents,
            passages: &corpus.passages,
            vectors: &vectors,
            facts: &corpus.facts,
            index: IndexChoice::Auto,
        };
        write_delta(&delta, &input, &mut |_| {}, &CancelToken::new()).unwrap();
        sign_pack(&delta, &publisher, None).unwrap();
        let start = folder.path().join("start");
        let trust = Trust::pinned(vec![publisher.verifying_key()]);
        let options = LibraryOptions { key, ..LibraryOptions::new(base, Some(start), trust) };
        let library = Library::open(options.clone()).unwrap();
        // Makes the key of the installation, so that all copies of the folder sign alike.
        add(&library, "n1").unwrap();
        apply(&library, &delta).unwrap();
        Self { folder, options }
    }

    /// A library in a copy of the folder.
    fn copy(&self, name: &str) -> (PathBuf, LibraryOptions) {
        let to = self.folder.path().join(name);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(self.options.folder.as_ref().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
        (to.clone(), LibraryOptions { folder: Some(to), ..self.options.clone() })
    }
}

/// Compacts, and is cancelled at the report of this number. Gives the reports.
fn compact(library: &Library, cancel_at: Option<usize>) -> (Result<()>, Vec<BuildProgress>) {
    let (token, mut reports) = (CancelToken::new(), Vec::new());
    let done = library.compact(
        &mut |report| {
            if Some(reports.len()) == cancel_at {
                token.cancel();
            }
            reports.push(report);
        },
        &token,
    );
    (done.map(drop), reports)
}

/// The newest pack of the publisher in a folder.
fn compacted(folder: &Path) -> Vec<u8> {
    let mut names = names(folder);
    names.retain(|name| name.starts_with('p'));
    fs::read(folder.join(names.last().unwrap())).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn stages(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.ends_with(".part")).collect()
}

fn first(reports: &[BuildProgress], stage: BuildStage) -> u64 {
    reports.iter().find(|report| report.stage == stage).unwrap().done
}

#[test]
fn cancelled_at_any_report_it_goes_on_and_comes_to_the_same_bytes() {
    let place = Place::new(None);
    let (whole, options) = place.copy("whole");
    let library = Library::open(options).unwrap();
    let before = content(&library.snapshot());
    let (done, reports) = compact(&library, None);
    done.unwrap();
    let (expected, after) = (compacted(&whole), content(&library.snapshot()));
    assert!(stages(&whole).is_empty());
    assert!(library.snapshot().base_manifest().index.recall_at_10.is_some(), "there is a graph");
    let (mut resumed_text, mut resumed_graph) = (0, 0);
    // Each report of text and graph, and some of the two hundred that measure the recall.
    let points = (0..reports.len()).filter(|&n| reports[n].stage != BuildStage::Recall || reports[n].done % 64 == 0);
    for at in points.step_by(2) {
        let (folder, options) = place.copy(&format!("{at}"));
        let library = Library::open(options.clone()).unwrap();
        let (done, _) = compact(&library, Some(at));
        if done.is_ok() {
            // The last reports come after the last look at the token.
            assert_eq!(compacted(&folder), expected);
            continue;
        }
        assert!(matches!(done, Err(Error::Cancelled)), "{done:?}");
        assert_eq!(content(&library.snapshot()), before);
        drop(library);
        let library = Library::open(options).unwrap();
        assert_eq!(content(&library.snapshot()), before);
        let kept = stages(&folder);
        resumed_text += usize::from(kept.iter().any(|name| name.contains("-text-")));
        let (done, reports) = compact(&library, None);
        done.unwrap();
        if let Some(graph) = kept.iter().find(|name| name.contains("-graph")) {
            let rows: u64 = graph.split('-').nth(3).unwrap().parse().unwrap();
            assert!(rows >= 1_024 && first(&reports, BuildStage::Index) == rows, "{graph}: {reports:?}");
            resumed_graph += 1;
        } else {
            assert_eq!(first(&reports, BuildStage::Index), 0);
        }
        assert!(compacted(&folder) == expected, "cancelled at {at}, {kept:?}");
        assert_eq!(content(&library.snapshot()), after);
        assert!(stages(&folder).is_empty());
        drop(library);
        fs::remove_dir_all(&folder).unwrap();
    }
    assert!(resumed_text > resumed_graph && resumed_graph > 2, "{resumed_text} {resumed_graph}");
}

/// A folder in which a compaction was cancelled while it measured the recall: all stages are there.
fn cut_short(place: &Place, name: &str) -> (PathBuf, LibraryOptions) {
    let (folder, options) = place.copy(name);
    let library = Library::open(options.clone()).unwrap();
    let token = CancelToken::new();
    let cancel = &mut |report: BuildProgress| {
        if report.stage == BuildStage::Recall {
            token.cancel();
        }
    };
    assert!(matches!(library.compact(cancel, &token), Err(Error::Cancelled)));
    assert_eq!(stages(&folder).len(), 2);
    (folder, options)
}

#[test]
fn what_is_damaged_is_made_anew_and_what_no_longer_fits_is_swept() {
    let place = Place::new(None);
    let (whole, options) = place.copy("whole");
    compact(&Library::open(options).unwrap(), None).0.unwrap();
    let expected = compacted(&whole);
    for damaged in ["-text-", "-graph"] {
        let (folder, options) = cut_short(&place, damaged);
        let name = stages(&folder).into_iter().find(|name| name.contains(damaged)).unwrap();
        let mut bytes = fs::read(folder.join(&name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(folder.join(&name), bytes).unwrap();
        compact(&Library::open(options).unwrap(), None).0.unwrap();
        assert!(compacted(&folder) == expected, "{damaged}");
    }
    let (folder, options) = cut_short(&place, "rollback");
    let library = Library::open(options).unwrap();
    assert_eq!(stages(&folder).len(), 2, "opening keeps them");
    library.rollback().unwrap();
    assert!(stages(&folder).is_empty());
}

#[test]
fn with_a_key_the_stages_are_sealed_and_a_change_of_key_takes_them_away() {
    let place = Place::new(Some(SealKey::new([7; 32])));
    let (folder, options) = cut_short(&place, "sealed");
    for name in stages(&folder) {
        assert!(lorekit_seal::is_sealed(&fs::read(folder.join(&name)).unwrap()), "{name}");
    }
    let library = Library::open(options).unwrap();
    let (done, reports) = compact(&library, None);
    done.unwrap();
    assert_eq!(first(&reports, BuildStage::Index), 2_048);
    library.verify().unwrap();
    assert!(library.state().unwrap().sealed);

    let (folder, options) = cut_short(&place, "rotated");
    let library = Library::open(options).unwrap();
    library.rotate_key(SealKey::new([8; 32])).unwrap();
    assert!(stages(&folder).is_empty());
    compact(&library, None).0.unwrap();
}
