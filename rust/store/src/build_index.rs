//! The vectors section: the matrix alone, or the matrix and a graph whose recall was measured.

use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_pack::{IndexInfo, IndexKind};

use crate::build::exact_index;
use crate::error::{Error, Result};
use crate::graph::check_graph;
use crate::matrix::{Matrix, unit};
use crate::stages::Stages;
use crate::types::{BuildProgress, BuildStage, IndexChoice};

/// Below this many passages an exact scan takes about as long as the graph, and is exact.
const EXACT_UP_TO: usize = 1_000;
/// A graph that finds less than this share of the true ten nearest is not shipped.
const RECALL_GATE: f64 = 0.98;
/// A graph that is kept while it grows is written at most so many times, and not before it has so many rows.
const MOST_SLICES: usize = 8;
const LEAST_SLICE: usize = 1_024;
const RECALL_K: usize = 10;
const RECALL_SAMPLE: usize = 200;

/// Parameters of a graph, from cheap to thorough: connectivity, expansion while adding, expansions while searching.
///
/// Real questions are harder than the perturbed passages that recall is measured on. Over 9,347 articles of law and
/// their 208 questions (768 dimensions), searching with an expansion of 64 finds 98.6 % of the true ten nearest and with
/// 128 99.6 %, while both find all of them for the perturbed passages.
const ATTEMPTS: [(usize, usize, &[usize]); 2] = [(16, 128, &[128, 256]), (32, 256, &[128, 256])];

/// The vectors of a pack, and what index they shall have.
pub(crate) struct VectorBuild<'a> {
    /// Rows as stored, `dims` times two bytes each.
    pub rows: &'a [u8],
    pub dims: usize,
    pub index: IndexChoice,
    /// Real questions for measuring recall, if there are any.
    pub held_out_queries: &'a [Vec<f32>],
    /// Where the graph is kept while it grows, for a build that may be cut short.
    pub stages: Option<&'a Stages<'a>>,
}

/// Builds the section and says what it is.
pub(crate) fn build_vectors(
    path: &Path,
    input: &VectorBuild<'_>,
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<(IndexInfo, Vec<u8>)> {
    let (rows, dims) = (input.rows, input.dims);
    let n_rows = rows.len() / (dims * 2);
    let graph_wanted = match input.index {
        IndexChoice::Auto => n_rows > EXACT_UP_TO,
        IndexChoice::Exact => false,
        IndexChoice::Graph => n_rows > 0,
    };
    if !graph_wanted {
        return Ok((exact_index(), matrix_section(rows, n_rows, dims)));
    }
    let matrix = Matrix::of_rows(rows, dims);
    let queries = recall_queries(input, &matrix)?;
    let truth: Vec<Vec<f32>> = queries
        .iter()
        .map(|query| matrix.nearest(query, RECALL_K, 0..n_rows as u64).iter().map(|hit| hit.score).collect())
        .collect();
    for (connectivity, expansion_add, searches) in ATTEMPTS {
        let options = usearch::IndexOptions {
            dimensions: dims,
            metric: usearch::MetricKind::Cos,
            quantization: usearch::ScalarKind::F16,
            connectivity,
            expansion_add,
            expansion_search: searches[0],
            multi: false,
        };
        let index = build_graph(path, &options, input, progress, cancel)?;
        for &expansion_search in searches {
            index.change_expansion_search(expansion_search);
            let recall = measure(path, &index, &matrix, &queries, &truth, progress, cancel)?;
            log::info!(
                "vector index: connectivity {connectivity}, expansion {expansion_search}, recall@10 {recall:.4}"
            );
            if recall >= RECALL_GATE {
                let info = IndexInfo {
                    kind: IndexKind::Hnsw,
                    connectivity: connectivity as u32,
                    expansion_add: expansion_add as u32,
                    expansion_search: expansion_search as u32,
                    recall_at_10: Some(recall),
                    recall_sample: queries.len() as u32,
                };
                return Ok((info, serialized(path, &index)?));
            }
        }
    }
    log::warn!("vector index: no graph reached a recall@10 of {RECALL_GATE}, searches will be exact");
    Ok((exact_index(), matrix_section(rows, n_rows, dims)))
}

fn serialized(path: &Path, index: &usearch::Index) -> Result<Vec<u8>> {
    let mut section = vec![0; index.serialized_length()];
    index.save_to_buffer(&mut section).map_err(index_error(path, "saving the graph"))?;
    Ok(section)
}

/// The section of an exact index: the same two numbers and rows that usearch's own file begins with.
fn matrix_section(rows: &[u8], n_rows: usize, dims: usize) -> Vec<u8> {
    let mut section = Vec::with_capacity(rows.len() + 8);
    section.extend((n_rows as u32).to_le_bytes());
    section.extend(((dims * 2) as u32).to_le_bytes());
    section.extend(rows);
    section
}

/// Adds all rows in order on one thread, which makes the graph a function of its input.
///
/// With stages it is put down and taken up again after each slice, also when nothing cuts it short: usearch draws the
/// levels of nodes from numbers that begin anew then, and so the graph is a function of its input whether or not a slice was
/// built by an earlier attempt.
fn build_graph(
    path: &Path,
    options: &usearch::IndexOptions,
    input: &VectorBuild<'_>,
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<usearch::Index> {
    let dims = options.dimensions;
    let n_rows = input.rows.len() / (dims * 2);
    let total = n_rows as u64;
    let part = format!("graph{}", options.connectivity);
    let open = |saved: Option<&[u8]>| -> Result<usearch::Index> {
        let index = usearch::Index::new(options).map_err(index_error(path, "creating the graph"))?;
        if let Some(saved) = saved {
            index.load_from_buffer(saved).map_err(index_error(path, "taking up the graph"))?;
        }
        index.reserve_capacity_and_threads(n_rows, 1).map_err(index_error(path, "reserving memory"))?;
        Ok(index)
    };
    let slice = (n_rows / MOST_SLICES).max(LEAST_SLICE) as u64;
    let kept = input.stages.and_then(|stages| {
        let key = stages.newest(&part).filter(|key| key % slice == 0 && (1..total).contains(key))?;
        let saved = stages.bytes(&part, key)?;
        // usearch follows every number in it.
        let (matrix, rest) = Matrix::split(path, &saved, key as usize, dims).ok()?;
        check_graph(path, rest, key as usize, dims, options.connectivity as u32).ok()?;
        (matrix.is_of(&input.rows[..key as usize * dims * 2])).then_some((key, saved))
    });
    let first = kept.as_ref().map_or(0, |(key, _)| *key);
    let mut index = open(kept.map(|(_, saved)| saved).as_deref())?;
    let mut bits = vec![0i16; dims];
    for (key, row) in (0..).zip(input.rows.chunks_exact(dims * 2)).skip(first as usize) {
        if let Some(stages) = input.stages.filter(|_| key > first && key % slice == 0) {
            let saved = serialized(path, &index)?;
            drop(index);
            stages.keep(&part, key, &saved);
            index = open(Some(&saved))?;
        }
        if key % 256 == 0 {
            cancel.check()?;
            progress(BuildProgress { stage: BuildStage::Index, done: key, total });
        }
        for (bits, bytes) in bits.iter_mut().zip(row.chunks_exact(2)) {
            *bits = i16::from_le_bytes([bytes[0], bytes[1]]);
        }
        index.add(key, usearch::f16::from_i16s(&bits)).map_err(index_error(path, "adding a vector"))?;
    }
    progress(BuildProgress { stage: BuildStage::Index, done: total, total });
    Ok(index)
}

/// The share of the true ten nearest that the graph finds. Equal scores count as found, whichever of them it was.
fn measure(
    path: &Path,
    index: &usearch::Index,
    matrix: &Matrix<'_>,
    queries: &[Vec<f32>],
    truth: &[Vec<f32>],
    progress: &mut dyn FnMut(BuildProgress),
    cancel: &CancelToken,
) -> Result<f64> {
    let (mut found, mut wanted) = (0, 0);
    let total = queries.len() as u64;
    for (done, (query, truth)) in (0..).zip(queries.iter().zip(truth)) {
        cancel.check()?;
        progress(BuildProgress { stage: BuildStage::Recall, done, total });
        let Some(&last) = truth.last() else { continue };
        let matches = index.search(query.as_slice(), RECALL_K).map_err(index_error(path, "measuring recall"))?;
        let hits = matrix.nearest(query, RECALL_K, matches.keys.into_iter());
        found += hits.iter().filter(|hit| hit.score >= last).count();
        wanted += truth.len();
    }
    progress(BuildProgress { stage: BuildStage::Recall, done: total, total });
    Ok(if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 })
}

/// Real questions where there are any; else passages, each moved away by noise of half its length, since a passage's
/// own vector is the easiest query there is.
fn recall_queries(input: &VectorBuild<'_>, matrix: &Matrix<'_>) -> Result<Vec<Vec<f32>>> {
    let dims = input.dims;
    let invalid = |index, reason: &str| Error::InvalidInput { what: "query", index, reason: reason.into() };
    if !input.held_out_queries.is_empty() {
        let sample = input.held_out_queries.iter().take(RECALL_SAMPLE).enumerate();
        return sample
            .map(|(index, query)| match unit(query) {
                _ if query.len() != dims => Err(invalid(index, "another number of dimensions than the embedder's")),
                None => Err(invalid(index, "zero, or a value that is not finite")),
                Some(query) => Ok(query),
            })
            .collect();
    }
    let n_rows = input.rows.len() / (dims * 2);
    let step = n_rows.div_ceil(RECALL_SAMPLE).max(1);
    let mut noise = Noise(0x6c6f_7265);
    Ok((0..n_rows)
        .step_by(step)
        .filter_map(|row| {
            let mut query = matrix.widened(row)?;
            // Uniform noise of variance 1/3 a component: this scale makes its expected length one half.
            let scale = 0.5 * (3.0 / dims as f32).sqrt();
            query.iter_mut().for_each(|x| *x += scale * noise.next());
            unit(&query)
        })
        .collect())
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers in each build.
struct Noise(u64);

impl Noise {
    /// The next number, uniform in -1..1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn index_error<E: std::fmt::Display>(path: &Path, operation: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::Index { path: path.into(), operation, reason: error.to_string() }
}
