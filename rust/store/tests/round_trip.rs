//! What goes into a pack comes out of the library.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::fs;
use std::path::Path;

use common::{Corpus, clustered_vectors, laws, noise_vectors, synthetic};
use lorekit_cancel::CancelToken;
use lorekit_store::{BuildInput, Error, IndexChoice, IndexKind, OpenOptions, PassageId, Segment, write_pack};

fn open(path: &Path) -> Segment {
    Segment::open(path, &OpenOptions::default()).unwrap()
}

fn built(corpus: &Corpus) -> (tempfile::TempDir, Segment) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    corpus.write(&path).unwrap();
    let library = open(&path);
    (folder, library)
}

#[test]
fn each_passage_comes_back_with_its_document_and_place() {
    let corpus = laws(16);
    let (_folder, library) = built(&corpus);
    assert_eq!(library.len(), corpus.passages.len() as u64);
    for (key, (new, vector)) in (0..).zip(corpus.passages.iter().zip(&corpus.vectors)) {
        let passage = library.passage(key).unwrap();
        assert_eq!(passage.text, new.text);
        assert_eq!(passage.title_path, new.title_path);
        assert_eq!(passage.article, new.article);
        assert_eq!(passage.place, new.place);
        assert_eq!(passage.source, new.source);
        assert_eq!(passage.page, new.page);
        assert_eq!(passage.tokens, new.tokens);
        assert_eq!(passage.document.id, corpus.documents[new.document].id);
        assert_eq!(passage.document.valid_from.as_deref(), Some("2024-01-01"));
        assert_eq!(passage.document.source_hash, [7; 32]);
        assert_eq!((passage.valid_from.as_deref(), passage.valid_to), (Some("2024-01-01"), None));
        assert_eq!(library.by_id(passage.id).unwrap(), Some(key));
        let stored = library.vector(key).unwrap();
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        for (stored, original) in stored.iter().zip(vector) {
            // f16 keeps 11 bits: half a unit of the last place of a number below one.
            assert!((stored - original / norm).abs() <= 2f32.powi(-11), "{stored} {original}");
        }
    }
    assert_eq!(library.by_id(PassageId([1; 16])).unwrap(), None);
    let documents = library.documents().unwrap();
    assert_eq!(documents.iter().map(|d| d.title.as_str()).collect::<Vec<_>>(), ["商业银行法", "保险法"]);
    assert!(matches!(library.passage(5), Err(Error::NoSuchPassage { key: 5, passages: 5 })));
    assert!(matches!(library.vector(u64::MAX), Err(Error::NoSuchPassage { .. })));
}

#[test]
fn neighbours_end_at_the_borders_of_a_document() {
    let (_folder, library) = built(&laws(8));
    let keys: Vec<_> = (0..5).map(|key| library.neighbours(key).unwrap()).map(|n| (n.previous, n.next)).collect();
    assert_eq!(keys, [(None, Some(1)), (Some(0), Some(2)), (Some(1), None), (None, Some(4)), (Some(3), None)]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for corpus in [laws(16), synthetic(1200, 32, IndexChoice::Graph)] {
        let (one, two) = (folder.path().join("1.lorepack"), folder.path().join("2.lorepack"));
        corpus.write(&one).unwrap();
        corpus.write(&two).unwrap();
        assert!(fs::read(one).unwrap() == fs::read(two).unwrap(), "the files differ");
    }
}

#[test]
fn nothing_but_the_pack_is_left_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    laws(8).write(&folder.path().join("x.lorepack")).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["x.lorepack"]);
}

#[test]
fn ids_survive_an_amended_neighbour_and_the_state_does_not() {
    let corpus = laws(8);
    let mut amended = corpus.clone();
    amended.passages[0].text.push_str("（修正）");
    amended.passages[1].source = 500..600;
    let ((_f1, old), (_f2, new)) = (built(&corpus), built(&amended));
    assert_ne!(old.passage(0).unwrap().id, new.passage(0).unwrap().id);
    for key in 1..5 {
        assert_eq!(old.passage(key).unwrap().id, new.passage(key).unwrap().id);
    }
    assert_ne!(old.manifest().state, new.manifest().state);
}

#[test]
fn the_state_ignores_the_place_in_the_file_and_notices_a_label() {
    let corpus = laws(8);
    let (_f1, original) = built(&corpus);
    let mut moved = corpus.clone();
    moved.passages[1].source = 5..9;
    moved.passages[1].page = Some(3);
    moved.documents[0].source_hash = [8; 32];
    let (_f2, moved) = built(&moved);
    assert_eq!(original.manifest().state, moved.manifest().state);
    let mut labelled = corpus.clone();
    labelled.passages[1].labels = vec!["internal".into()];
    let (_f3, labelled) = built(&labelled);
    assert_ne!(original.manifest().state, labelled.manifest().state);
    assert_eq!(labelled.passage(1).unwrap().label_groups, [["internal"]]);
}

#[test]
fn a_document_without_passages_is_not_part_of_the_state() {
    let corpus = laws(8);
    let mut more = corpus.clone();
    more.documents.push(common::document("empty", "空"));
    let ((_f1, one), (_f2, other)) = (built(&corpus), built(&more));
    assert_eq!(one.manifest().state, other.manifest().state);
    assert_eq!(other.documents().unwrap().len(), 3);
}

#[test]
fn equal_passages_of_one_document_have_ids_of_their_own() {
    let mut corpus = laws(8);
    corpus.passages[1] = corpus.passages[0].clone();
    let (_folder, library) = built(&corpus);
    assert_ne!(library.passage(0).unwrap().id, library.passage(1).unwrap().id);
}

#[test]
fn recall_is_measured_on_held_out_questions_where_there_are_some() {
    let corpus = synthetic(300, 16, IndexChoice::Graph);
    let folder = tempfile::tempdir().unwrap();
    let build = |questions: &[Vec<f32>]| {
        let input = BuildInput { held_out_queries: questions, ..corpus.input() };
        write_pack(folder.path().join("pack"), &input, &mut |_| {}, &CancelToken::new())
    };
    let moved = build(&[]).unwrap().manifest.index;
    assert_eq!(moved.recall_sample, 150);
    let asked = build(&clustered_vectors(7, 16, 40, 12)).unwrap().manifest.index;
    assert_eq!(asked.recall_sample, 7);
    let other_space = build(&[vec![1.0; 15]]);
    assert!(matches!(other_space, Err(Error::InvalidInput { what: "query", index: 0, .. })), "{other_space:?}");
}

#[test]
fn the_graph_finds_what_the_scan_finds_with_the_same_scores() {
    let corpus = synthetic(2000, 48, IndexChoice::Graph);
    let (_folder, library) = built(&corpus);
    let index = &library.manifest().index;
    assert_eq!(index.kind, IndexKind::Hnsw);
    assert!(index.recall_at_10.unwrap() >= 0.98);
    assert!(index.recall_sample > 100);
    let (mut found, mut wanted) = (0, 0);
    for query in clustered_vectors(50, 48, 40, 11) {
        let dense = library.dense(&query, 10, None).unwrap();
        let exact = library.exact(&query, 10, None).unwrap();
        assert_eq!(dense.len(), 10);
        assert!(dense.windows(2).all(|pair| pair[0].score >= pair[1].score));
        for hit in &dense {
            if let Some(same) = exact.iter().find(|other| other.key == hit.key) {
                assert_eq!(same.score, hit.score);
                found += 1;
            }
        }
        wanted += 10;
    }
    assert!(f64::from(found) / f64::from(wanted) >= 0.98, "{found} of {wanted}");
}

#[test]
fn a_filter_is_never_broken_however_few_it_leaves() {
    let corpus = synthetic(3000, 32, IndexChoice::Graph);
    let (_folder, library) = built(&corpus);
    for query in noise_vectors(5, 32, 77) {
        for step in [1, 2, 10, 50, 999] {
            let allow = move |key: u64| key.is_multiple_of(step);
            let exact = library.exact(&query, 10, Some(&allow)).unwrap();
            let dense = library.dense(&query, 10, Some(&allow)).unwrap();
            let expected = 10.min(3000usize.div_ceil(step as usize));
            assert_eq!((exact.len(), dense.len()), (expected, expected), "every {step}");
            assert!(exact.iter().chain(&dense).all(|hit| hit.key % step == 0));
            let lexical = library.lexical_allowed("编号 内容", 10, Some(&allow)).unwrap();
            assert!(lexical.iter().all(|hit| hit.key % step == 0));
            assert_eq!(lexical.len(), expected);
        }
        assert!(library.dense(&query, 10, Some(&|_| false)).unwrap().is_empty());
    }
}

#[test]
fn queries_without_a_direction_are_refused() {
    for index in [IndexChoice::Exact, IndexChoice::Graph] {
        let (_folder, library) = built(&synthetic(50, 8, index));
        let wrong = library.dense(&[1.0; 7], 3, None).unwrap_err();
        assert!(matches!(wrong, Error::QueryDimensions { expected: 8, found: 7 }));
        for value in [0.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(library.dense(&[value; 8], 3, None), Err(Error::QueryNotFinite)));
            assert!(matches!(library.exact(&[value; 8], 3, None), Err(Error::QueryNotFinite)));
        }
        assert!(library.dense(&[1.0; 8], 0, None).unwrap().is_empty());
        assert_eq!(library.dense(&[1.0; 8], usize::MAX, None).unwrap().len(), 50);
    }
}

#[test]
fn words_of_one_two_and_three_characters_match() {
    let (_folder, library) = built(&laws(8));
    let keys = |text: &str| {
        let mut keys: Vec<_> = library.lexical(text, 10).unwrap().iter().map(|hit| hit.key).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys("贪"), [2]);
    assert_eq!(keys("挪用"), [2]);
    assert_eq!(keys("存款人"), [0, 1]);
    assert_eq!(keys("投保人"), [4]);
    assert_eq!(keys("ｂａｓｅｌ"), [4]);
    assert_eq!(keys("BASEL iii"), [4]);
    assert_eq!(keys("第85条"), [2]);
    assert_eq!(keys("保险法 第二条")[..], [1, 3, 4]);
    assert_eq!(library.lexical("商业银行法第八十五条", 1).unwrap()[0].key, 2);
    assert!(keys("没有这样的词汇龘").len() <= 5);
    assert_eq!(keys("龘"), [0u64; 0]);
}

#[test]
fn lexical_scores_fall_and_are_finite() {
    let (_folder, library) = built(&laws(8));
    let hits = library.lexical("商业银行的合法权益", 10).unwrap();
    assert!(hits.len() >= 3);
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.score >= 0.0));
}

#[test]
fn no_text_is_taken_as_a_query_language() {
    let (_folder, library) = built(&laws(8));
    let hostile = [
        "",
        " ",
        "\"",
        "\"\"\"",
        "*",
        "银行*",
        "NEAR(银行 存款, 2)",
        "OR",
        "AND OR NOT",
        "heading:银行",
        "-银行",
        "^银行",
        "{heading body}:x",
        "'; DROP TABLE passages; --",
        "\0",
        "银行\0存款",
        "(((((",
        "a\" OR \"b",
        "🦀",
        "+",
        "银行 NOT 银行",
    ];
    for text in hostile {
        library.lexical(text, 10).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    let near = library.lexical("NEAR 银行", 10).unwrap();
    assert_eq!(near, library.lexical("银行", 10).unwrap(), "NEAR is a word that no passage has");
    let long: String = (0..20_000).map(|i| char::from_u32(0x4e00 + i % 5000).unwrap()).collect();
    library.lexical(&long, 10).unwrap();
}

#[test]
fn empty_packs_open_and_find_nothing() {
    let mut corpus = laws(8);
    corpus.passages.clear();
    corpus.vectors.clear();
    for index in [IndexChoice::Auto, IndexChoice::Graph, IndexChoice::Exact] {
        corpus.index = index;
        let (_folder, library) = built(&corpus);
        assert!(library.is_empty());
        assert!(library.dense(&[1.0; 8], 5, None).unwrap().is_empty());
        assert!(library.lexical("银行", 5).unwrap().is_empty());
    }
}

#[test]
fn input_that_contradicts_itself_is_refused_and_leaves_nothing() {
    type Case = (&'static str, fn(&mut Corpus));
    let cases: [Case; 10] = [
        ("one vector too few", |c| c.vectors.truncate(4)),
        ("a vector too short", |c| c.vectors[2].truncate(7)),
        ("a NaN", |c| c.vectors[2][1] = f32::NAN),
        ("a zero vector", |c| c.vectors[2].fill(0.0)),
        ("a missing document", |c| c.passages[4].document = 9),
        ("documents out of order", |c| c.passages[4].document = 0),
        ("a doubled document", |c| c.documents[1].id = c.documents[0].id.clone()),
        ("a bad date", |c| c.documents[0].valid_to = Some("soon".into())),
        ("an empty label", |c| c.documents[0].labels = vec![String::new()]),
        ("a reversed range", |c| {
            #[allow(clippy::reversed_empty_ranges)]
            let reversed = 9..3;
            c.passages[0].source = reversed;
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (case, change) in cases {
        let mut corpus = laws(8);
        change(&mut corpus);
        let error = corpus.write(&folder.path().join("x.lorepack")).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{case}: {error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{case}");
    }
}

#[test]
fn a_build_cancelled_at_any_step_leaves_nothing_and_keeps_what_was_there() {
    let corpus = synthetic(600, 16, IndexChoice::Graph);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    fs::write(&path, b"the old pack").unwrap();
    let mut steps = 0;
    write_pack(folder.path().join("y"), &corpus.input(), &mut |_| steps += 1, &CancelToken::new()).unwrap();
    fs::remove_file(folder.path().join("y")).unwrap();
    assert!(steps > 10);
    // The last report comes after the rename; cancelling there is too late by intent.
    for stop in (0..steps - 1).step_by(7) {
        let cancel = CancelToken::new();
        let mut step = 0;
        let mut progress = |_| {
            if step == stop {
                cancel.cancel();
            }
            step += 1;
        };
        let result = write_pack(&path, &corpus.input(), &mut progress, &cancel);
        assert!(matches!(result, Err(Error::Cancelled)), "step {stop}: {result:?}");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["x.lorepack"], "step {stop}");
        assert_eq!(fs::read(&path).unwrap(), b"the old pack");
    }
}

#[test]
fn sixteen_threads_search_at_once_and_agree() {
    let corpus = synthetic(1500, 24, IndexChoice::Graph);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    corpus.write(&path).unwrap();
    let library = Segment::open(&path, &OpenOptions { search_threads: 3, ..OpenOptions::default() }).unwrap();
    let queries = noise_vectors(20, 24, 5);
    let answer = |index: usize| {
        let query = &queries[index % queries.len()];
        let allow = |key: u64| !key.is_multiple_of(3);
        let dense = library.dense(query, 10, None).unwrap();
        let filtered = library.dense(query, 10, Some(&allow)).unwrap();
        let words = library.lexical(&format!("编号 n{index} 内容"), 5).unwrap();
        let text = library.passage(words[0].key).unwrap().text;
        (dense, filtered, words, text)
    };
    let expected: Vec<_> = (0..20).map(answer).collect();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (answer, expected) = (&answer, &expected);
            scope.spawn(move || {
                for round in 0..40 {
                    let index = (thread * 7 + round) % 20;
                    assert_eq!(answer(index), expected[index], "thread {thread}, round {round}");
                }
            });
        }
    });
}

#[test]
fn replacing_the_file_by_a_rename_leaves_an_open_library_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    laws(8).write(&path).unwrap();
    let library = open(&path);
    let before = library.passage(0).unwrap();
    let mut other = laws(8);
    other.passages[0].text = "别的文字".into();
    other.write(&path).unwrap();
    assert_eq!(library.passage(0).unwrap(), before);
    assert_eq!(open(&path).passage(0).unwrap().text, "别的文字");
}

#[test]
fn a_full_disk_is_an_error_that_leaves_nothing() {
    // A full file system of 256 KiB needs the right to mount; where there is none, this says so.
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    let result = synthetic(3000, 16, IndexChoice::Exact).write(&folder.path().join("x.lorepack"));
    let left = fs::read_dir(folder.path()).unwrap().count();
    let unmounted = std::process::Command::new("umount").arg(folder.path()).status().unwrap();
    assert!(unmounted.success());
    let error = result.unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. } | Error::Pack(lorekit_pack::Error::Io { .. })), "{error}");
    assert_eq!(left, 0);
}
