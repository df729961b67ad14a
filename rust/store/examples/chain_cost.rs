//! What searching a base with deltas costs beside one pack of the same passages and beside usearch and FTS5 alone, and what
//! filters cost.
//!
//! `cargo run -p lorekit-store --example chain_cost -- PACK 30 20 --json`: the passages of a pack, thirty deltas of twenty
//! changed passages each. One thread; contestants take turns question by question, so that what else the machine does
//! falls on all of them; medians in microseconds, ratios to the first.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorekit_cancel::CancelToken;
use lorekit_pack::{Pack, PackWriter, SectionKind, Withdrawal, WithdrawalKind, encode_withdrawals};
use lorekit_store::{
    BuildInput, Document, IndexChoice, IndexKind, NewDocument, NewPassage, OpenOptions, Origin, PackFacts, PackKind,
    Passage, Scope, Segment, Snapshot, write_pack,
};

fn main() {
    let (flags, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|text| text.starts_with("--"));
    let as_json = flags.iter().any(|flag| flag == "--json");
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().unwrap());
    let (n_deltas, changed) = (number(1, 30), number(2, 20));
    let source = Snapshot::open_pack(&arguments[0], &OpenOptions::default()).unwrap();
    let mut keys = Vec::new();
    source
        .entries(Origin::Publisher, &mut |entry| {
            keys.push(entry.key);
            Ok(())
        })
        .unwrap();
    let all: Vec<(Passage, Vec<f32>)> =
        keys.iter().map(|&key| (source.passage(key).unwrap(), source.vector(key).unwrap())).collect();
    let folder = std::env::temp_dir().join(format!("lorekit-chain-cost-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Spread over the pack: passage n is changed by delta n / step modulo the number of deltas.
    let step = (all.len() / (n_deltas * changed)).max(1);
    let delta_of =
        |n: usize| n.is_multiple_of(step).then_some(n / step % n_deltas).filter(|_| n / step < n_deltas * changed);
    let old: Vec<(Passage, Vec<f32>)> = all
        .iter()
        .enumerate()
        .map(|(n, (passage, vector))| {
            let mut passage = passage.clone();
            if delta_of(n).is_some() {
                passage.text.push_str("（旧文）");
            }
            (passage, vector.clone())
        })
        .collect();
    let base = folder.join("base");
    write(&base, &source, &old.iter().collect::<Vec<_>>(), IndexChoice::Auto);
    let compacted = folder.join("compacted");
    write(&compacted, &source, &all.iter().collect::<Vec<_>>(), IndexChoice::Auto);
    let old_ids: Vec<_> = {
        let base = Segment::open(&base, &OpenOptions::default()).unwrap();
        (0..base.len()).map(|key| base.passage(key).unwrap().id).collect()
    };
    let mut deltas = Vec::new();
    for delta in 0..n_deltas {
        let rows: Vec<usize> = (0..all.len()).filter(|&n| delta_of(n) == Some(delta)).collect();
        let part: Vec<_> = rows.iter().map(|&n| &all[n]).collect();
        let gone: Vec<_> = rows.iter().map(|&n| old_ids[n]).collect();
        let path = folder.join(format!("delta-{delta}"));
        write(&path.with_extension("part"), &source, &part, IndexChoice::Exact);
        wrap(&path, &gone, source.state().unwrap());
        deltas.push(path);
    }

    let open = |path: &PathBuf| Arc::new(Segment::open(path, &OpenOptions::default()).unwrap());
    let start = Instant::now();
    let chain: Vec<_> = std::iter::once(&base).chain(&deltas).map(open).collect();
    let opened = start.elapsed();
    let start = Instant::now();
    let chain = Snapshot::assemble(chain, vec![], &BTreeSet::new()).unwrap();
    eprintln!("{} packs: opened in {opened:.2?}, assembled in {:.2?}", deltas.len() + 1, start.elapsed());
    let start = Instant::now();
    let whole = open(&compacted);
    let opened = start.elapsed();
    let start = Instant::now();
    let one = Snapshot::assemble(vec![Arc::clone(&whole)], vec![], &BTreeSet::new()).unwrap();
    eprintln!("one pack: opened in {opened:.2?}, assembled in {:.2?}; {} passages", start.elapsed(), one.len());
    assert_eq!(chain.len(), one.len());
    let start = Instant::now();
    let state = one.state().unwrap();
    eprintln!("state of one pack: {:.2?}", start.elapsed());
    assert_eq!(chain.state().unwrap(), state);

    let none = Scope::default();
    let day = Scope { labels: &[], as_of: Some("2026-01-01") };
    let questions: Vec<String> = (0..100).map(|n| all[n * all.len() / 100].0.text.chars().take(24).collect()).collect();
    let queries: Vec<&Vec<f32>> = (0..100).map(|n| &all[n * all.len() / 100].1).collect();
    // Each contestant has a file or memory of its own, or what one has just read would be warm for another.
    let bare = bare_index(&whole, &folder);
    std::fs::copy(&compacted, folder.join("copy")).unwrap();
    let copy = open(&folder.join("copy"));
    let mut races = Vec::new();
    for k in [10, 100] {
        races.push(race(
            format!("dense, k = {k}"),
            &[
                ("usearch", &|n| bare.iter().for_each(|bare| drop(bare.search(queries[n], k).unwrap()))),
                ("one pack", &|n| drop(one.dense(queries[n], k, &none).unwrap())),
                ("chain", &|n| drop(chain.dense(queries[n], k, &none).unwrap())),
            ],
        ));
        races.push(race(
            format!("words, k = {k}"),
            &[
                ("FTS5 with bm25()", &|n| drop(copy.lexical(&questions[n], k).unwrap())),
                ("one pack", &|n| drop(one.lexical(&questions[n], k, &none).unwrap())),
                ("chain", &|n| drop(chain.lexical(&questions[n], k, &none).unwrap())),
            ],
        ));
        races.push(race(
            format!("both, k = {k}"),
            &[
                ("one pack", &|n| {
                    drop(one.dense(queries[n], k, &none).unwrap());
                    drop(one.lexical(&questions[n], k, &none).unwrap());
                }),
                ("chain", &|n| {
                    drop(chain.dense(queries[n], k, &none).unwrap());
                    drop(chain.lexical(&questions[n], k, &none).unwrap());
                }),
            ],
        ));
    }
    for (name, scope) in [("no day", none), ("a day", day)] {
        races.push(race(
            format!("exact scan, {name}"),
            &[
                ("one pack", &|n| drop(one.exact(queries[n], 100, &scope).unwrap())),
                ("chain", &|n| drop(chain.exact(queries[n], 100, &scope).unwrap())),
            ],
        ));
    }
    let fresh: Vec<Vec<String>> = (0..100).map(|n| vec![format!("label {n}")]).collect();
    let new_labels = |n: usize| Scope { labels: &fresh[n], as_of: Some("2026-01-01") };
    races.push(race(
        "dense on a day, chain".into(),
        &[
            ("filter kept", &|n| drop(chain.dense(queries[n], 100, &day).unwrap())),
            ("filter never asked for", &|n| drop(chain.dense(queries[n], 100, &new_labels(n)).unwrap())),
        ],
    ));
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(&races).unwrap()),
        false => races.iter().for_each(|race| println!("{race}")),
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// The graph of a pack in usearch's own hands, with the same reach; none if the pack has no graph.
fn bare_index(pack: &Segment, folder: &Path) -> Option<usearch::Index> {
    let info = &pack.manifest().index;
    if info.kind != IndexKind::Hnsw {
        return None;
    }
    let file = folder.join("bare");
    std::fs::write(&file, pack.pack().section(SectionKind::Vectors).unwrap()).unwrap();
    let index = usearch::Index::new(&usearch::IndexOptions {
        dimensions: pack.manifest().embedder.dims as usize,
        metric: usearch::MetricKind::Cos,
        quantization: usearch::ScalarKind::F16,
        connectivity: info.connectivity as usize,
        expansion_add: 1,
        expansion_search: info.expansion_search as usize,
        multi: false,
    });
    let index = index.unwrap();
    index.load(file.to_str().unwrap()).unwrap();
    Some(index)
}

/// What came out of one race: contestants and their medians, in microseconds.
#[derive(serde::Serialize)]
struct Race {
    name: String,
    medians: Vec<(&'static str, f64)>,
    /// Of each median to the first.
    ratios: Vec<f64>,
}

impl std::fmt::Display for Race {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.name)?;
        for ((name, median), ratio) in self.medians.iter().zip(&self.ratios) {
            write!(f, " {name} {median:.0} us ({ratio:.2})")?;
        }
        Ok(())
    }
}

/// Times all contestants on each of a hundred questions, in turns, five times over.
fn race(name: String, contestants: &[(&'static str, &dyn Fn(usize))]) -> Race {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contestants.len()];
    contestants.iter().for_each(|(_, run)| run(0));
    for n in (0..5).flat_map(|_| 0..100) {
        for ((_, run), times) in contestants.iter().zip(&mut times) {
            let start = Instant::now();
            run(n);
            times.push(start.elapsed());
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    let ratios = medians.iter().map(|time| time / medians[0]).collect();
    Race { name, medians: contestants.iter().map(|(name, _)| *name).zip(medians).collect(), ratios }
}

fn document(document: &Document) -> NewDocument {
    NewDocument {
        id: document.id.clone(),
        path: document.path.clone(),
        title: document.title.clone(),
        version: document.version.clone(),
        language: document.language.clone(),
        valid_from: document.valid_from.clone(),
        valid_to: document.valid_to.clone(),
        labels: document.label_groups.concat(),
        source_hash: document.source_hash,
        format: document.format.clone(),
    }
}

fn write(path: &Path, source: &Snapshot, part: &[&(Passage, Vec<f32>)], index: IndexChoice) {
    let manifest = source.manifest();
    let mut documents: Vec<NewDocument> = Vec::new();
    let mut passages = Vec::new();
    for (passage, _) in part {
        if documents.last().is_none_or(|last| last.id != passage.document.id) {
            documents.push(document(&passage.document));
        }
        passages.push(NewPassage {
            document: documents.len() - 1,
            text: passage.text.clone(),
            title_path: passage.title_path.clone(),
            article: passage.article.clone(),
            place: passage.place.clone(),
            source: passage.source.clone(),
            page: passage.page,
            tokens: passage.tokens,
            labels: Vec::new(),
        });
    }
    let vectors: Vec<Vec<f32>> = part.iter().map(|(_, vector)| vector.clone()).collect();
    let facts = PackFacts {
        pack_id: manifest.pack_id.clone(),
        version: 1,
        kind: PackKind::Base,
        parent: None,
        title: manifest.title.clone(),
        languages: manifest.languages.clone(),
        licence: manifest.licence.clone(),
        embedder: manifest.embedder.clone(),
        splitter: manifest.splitter.clone(),
        skipped_documents: 0,
        build_tool: "chain_cost".into(),
        retrieval: manifest.retrieval,
        calibration: None,
        expires: None,
    };
    let input = BuildInput {
        documents: &documents,
        passages: &passages,
        vectors: &vectors,
        held_out_queries: &[],
        facts: &facts,
        index,
    };
    write_pack(path, &input, &mut |_| {}, &CancelToken::new()).unwrap();
}

/// Makes a delta of a base.
fn wrap(path: &Path, gone: &[lorekit_store::PassageId], parent: lorekit_store::StateHash) {
    let pack = Pack::open(path.with_extension("part")).unwrap();
    let mut manifest = pack.manifest().clone();
    manifest.kind = PackKind::Delta;
    manifest.parent = Some(parent);
    let mut writer = PackWriter::create(path).unwrap();
    for kind in [SectionKind::Passages, SectionKind::Vectors] {
        writer.section_from_bytes(kind, pack.section(kind).unwrap()).unwrap();
    }
    let withdrawals: Vec<Withdrawal> =
        gone.iter().map(|&passage| Withdrawal { passage, kind: WithdrawalKind::Removed }).collect();
    writer.section_from_bytes(SectionKind::Withdrawals, &encode_withdrawals(path, &withdrawals).unwrap()).unwrap();
    writer.finish(manifest).unwrap();
}
