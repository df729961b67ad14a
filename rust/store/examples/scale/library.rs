//! LoreKit: a pack, a library on it, a delta, a compaction.

use std::path::Path;
use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_pack::signing::Trust;
use lorekit_store::{
    BuildInput, BuildProgress, DeltaInput, IndexChoice, Library, LibraryOptions, NewDocument, NewPassage, PackFacts,
    Scope, Snapshot, plan_delta, write_delta, write_pack,
};
use serde_json::{Value, json};

use crate::data::{NEAREST, Random, Vectors, truth};
use crate::measure::{Timer, memory, progress, round, searches};
use crate::{bare, common};

/// Passages of one document.
const DOCUMENT: usize = 50;
/// One passage in as many is amended.
const AMENDED: usize = 100;

/// Documents and passages for some rows; an amended passage has another text.
fn sources(n_rows: usize, characters: usize, amended: bool) -> (Vec<NewDocument>, Vec<NewPassage>) {
    let documents = (0..n_rows.div_ceil(DOCUMENT)).map(|i| common::document(&format!("d{i}"), &format!("文件{i}")));
    let mut random = Random(7);
    let mut character = || {
        // The n-th character about 1/n as often as the first, as in text.
        let unit = (random.next() >> 40) as f32 / (1u64 << 24) as f32;
        char::from_u32(0x4e00 + 3000f32.powf(unit) as u32).unwrap()
    };
    let passages = (0..n_rows).map(|i| {
        let mut text: String = (0..characters).map(|_| character()).collect();
        text.push_str(&format!(" n{i}"));
        if amended && i.is_multiple_of(AMENDED) {
            text.push_str(" 修订");
        }
        let within = i % DOCUMENT;
        common::passage(
            i / DOCUMENT,
            &format!("d{}", i / DOCUMENT),
            &format!("第{}条", within + 1),
            &text,
            within as u64 * 1000,
        )
    });
    (documents.collect(), passages.collect())
}

fn stages(progress_of: &str) -> impl FnMut(BuildProgress) {
    move |at| progress(&format!("{progress_of}, {:?}", at.stage), at.done as usize, at.total as usize)
}

pub fn build(folder: &Path, characters: usize) -> Value {
    let (vectors, dims) = {
        let read = Vectors::read(folder, "vectors.f32");
        (read.rows().map(<[f32]>::to_vec).collect::<Vec<_>>(), read.dims)
    };
    let (documents, passages) = sources(vectors.len(), characters, false);
    let facts = common::facts(dims);
    let input = BuildInput {
        documents: &documents,
        passages: &passages,
        vectors: &vectors,
        held_out_queries: &[],
        facts: &facts,
        index: IndexChoice::Auto,
    };
    let timer = Timer::start();
    let mut begins = serde_json::Map::new();
    let mut tell = stages("pack");
    let path = folder.join("base.lorepack");
    let report = write_pack(
        path,
        &input,
        &mut |at| {
            begins.entry(format!("{:?}", at.stage).to_lowercase()).or_insert_with(|| timer.seconds());
            tell(at);
        },
        &CancelToken::new(),
    )
    .unwrap();
    json!({
        "seconds": timer.seconds(),
        "stages_begin": begins,
        "file_bytes": report.file_bytes,
        "text_bytes": report.text_bytes,
        "vector_bytes": report.vector_bytes,
        "characters": characters,
        "index": report.manifest.index,
        "memory": memory(),
    })
}

fn options(folder: &Path) -> LibraryOptions {
    LibraryOptions::new(folder.join("base.lorepack"), Some(folder.join("library")), Trust::only_unsigned())
}

/// The first opening hashes the base; the one after it is what an app pays at each start.
pub fn search(folder: &Path) -> Value {
    let queries = Vectors::read(folder, "queries.f32");
    let timer = Timer::start();
    drop(Library::open(options(folder)).unwrap());
    let first = timer.seconds();
    let timer = Timer::start();
    let library = Library::open(options(folder)).unwrap();
    let snapshot = library.snapshot();
    let opened = timer.seconds();
    let after_open = memory();
    let timer = Timer::start();
    snapshot.dense(queries.rows().next().unwrap(), NEAREST, &Scope::default()).unwrap();
    let first_search = timer.seconds();
    let rows = rows(&snapshot);
    let found = searches(&queries, &truth(folder), &|query| {
        let hits = snapshot.dense(query, NEAREST, &Scope::default()).unwrap();
        hits.iter().map(|hit| rows(hit.key)).collect()
    });
    let searched = memory();
    json!({
        "packs": snapshot.members().len(),
        "first_open_seconds": first,
        "open_seconds": opened,
        "first_search_seconds": first_search,
        "memory_open": after_open,
        "memory_searched": searched,
        "search": found,
    })
}

/// The library and usearch alone, in turns on each query, so that whatever else the machine does is done to both.
pub fn race(folder: &Path, expansion_search: usize) -> Value {
    let queries = Vectors::read(folder, "queries.f32");
    let library = Library::open(options(folder)).unwrap();
    let snapshot = library.snapshot();
    let bare = bare::view(folder, queries.dims, expansion_search);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..10 {
        for query in queries.rows() {
            // Each goes first as often as the other.
            for turn in [round % 2, 1 - round % 2] {
                let start = Instant::now();
                match turn {
                    0 => drop(std::hint::black_box(snapshot.dense(query, NEAREST, &Scope::default()).unwrap())),
                    _ => drop(std::hint::black_box(bare.search(query, NEAREST).unwrap())),
                }
                times[turn].push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    json!({ "library_ms": round(ours, 4), "usearch_ms": round(theirs, 4), "ratio": round(ours / theirs, 3) })
}

/// From keys of a snapshot to rows of the vectors: a delta's rows are the amended ones, in their order.
fn rows(snapshot: &Snapshot) -> impl Fn(u64) -> u32 + Sync + use<> {
    let packs = snapshot.members().len();
    move |key| {
        let row = key as u32;
        if packs > 1 && key >> 32 > 0 { row * AMENDED as u32 } else { row }
    }
}

pub fn delta(folder: &Path, characters: usize) -> Value {
    let vectors = Vectors::read(folder, "vectors.f32");
    let (documents, passages) = sources(vectors.rows().len(), characters, true);
    let facts = PackFacts { version: 2, ..common::facts(vectors.dims) };
    let library = Library::open(options(folder)).unwrap();
    let parent = library.snapshot();
    let timer = Timer::start();
    let plan = plan_delta(&parent, &documents, &passages, &[]).unwrap();
    let embedded: Vec<Vec<f32>> =
        plan.to_embed().into_iter().map(|row| vectors.rows().nth(row).unwrap().to_vec()).collect();
    let input = DeltaInput {
        parent: &parent,
        plan: &plan,
        documents: &documents,
        passages: &passages,
        vectors: &embedded,
        facts: &facts,
        index: IndexChoice::Auto,
    };
    let report = write_delta(folder.join("delta.lorepack"), &input, &mut stages("delta"), &CancelToken::new()).unwrap();
    json!({
        "seconds": timer.seconds(),
        "passages": report.manifest.counts.passages,
        "withdrawn": plan.withdrawals.len(),
        "file_bytes": report.file_bytes,
        "index": report.manifest.index.kind,
        "memory": memory(),
    })
}

pub fn apply(folder: &Path) -> Value {
    let library = Library::open(options(folder)).unwrap();
    let before = memory();
    let timer = Timer::start();
    library.apply(folder.join("delta.lorepack"), &mut |_| {}, &CancelToken::new()).unwrap();
    json!({ "seconds": timer.seconds(), "memory_before": before, "memory_after": memory() })
}

pub fn compact(folder: &Path) -> Value {
    let library = Library::open(options(folder)).unwrap();
    let timer = Timer::start();
    library.compact(&mut stages("compaction"), &CancelToken::new()).unwrap();
    json!({ "seconds": timer.seconds(), "memory": memory() })
}
