//! usearch alone, through its crate: the vectors as f16, the graph saved and viewed, nothing else.

use std::path::Path;

use serde_json::{Value, json};

use crate::data::{NEAREST, Vectors, truth};
use crate::measure::{Timer, memory, progress, searches};

/// As a pack's graph has it.
const CONNECTIVITY: usize = 16;
const EXPANSION_ADD: usize = 128;

fn index(dims: usize, expansion_search: usize) -> usearch::Index {
    let options = usearch::IndexOptions {
        dimensions: dims,
        metric: usearch::MetricKind::Cos,
        quantization: usearch::ScalarKind::F16,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search,
        multi: false,
    };
    usearch::Index::new(&options).unwrap()
}

fn file(folder: &Path) -> String {
    folder.join("bare.usearch").display().to_string()
}

/// The saved graph, mapped.
pub fn view(folder: &Path, dims: usize, expansion_search: usize) -> usearch::Index {
    let index = index(dims, expansion_search);
    index.view(&file(folder)).unwrap();
    index
}

pub fn build(folder: &Path, expansion_search: usize) -> Value {
    let vectors = Vectors::read(folder, "vectors.f32");
    let timer = Timer::start();
    let index = index(vectors.dims, expansion_search);
    let total = vectors.rows().len();
    index.reserve_capacity_and_threads(total, 1).unwrap();
    for (row, vector) in vectors.rows().enumerate() {
        progress("usearch alone", row, total);
        index.add(row as u64, vector).unwrap();
    }
    index.save(&file(folder)).unwrap();
    let bytes = std::fs::metadata(file(folder)).unwrap().len();
    json!({ "seconds": timer.seconds(), "file_bytes": bytes, "memory": memory() })
}

pub fn search(folder: &Path, expansion_search: usize) -> Value {
    let queries = Vectors::read(folder, "queries.f32");
    let timer = Timer::start();
    let index = view(folder, queries.dims, expansion_search);
    let opened = timer.seconds();
    let after_open = memory();
    let found = searches(&queries, &truth(folder), &|query| {
        index.search(query, NEAREST).unwrap().keys.into_iter().map(|key| key as u32).collect()
    });
    json!({ "open_seconds": opened, "memory_open": after_open, "memory_searched": memory(), "search": found })
}
