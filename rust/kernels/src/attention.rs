//! Attention: causal over a stored cache, and in both directions over one sequence.
//!
//! Positions are reduced in blocks of [`BLOCK`], aligned to absolute position. Each block stands alone: its largest
//! score, its sum of exponentials, its weighted sum of values; blocks are then merged in order (the online softmax of
//! Milakov and Gimelshein 2018, in blocks as in Dao et al. 2022, FlashAttention). A score is summed dimension after
//! dimension, a weighted value position after position. So a row has the same bits whether it came alone or in a
//! batch, and the full matrix of scores never exists.

use crate::ThreadPool;
use crate::convert::widen_f16;
use crate::dispatch::{Isa, Kernel};
use crate::kv::{KvLayer, TILE};
use crate::ops::{exp, largest};
use crate::portable::{self, add_lanes};
use std::cell::RefCell;
use std::ops::Range;

/// Positions in one block.
const BLOCK: usize = 128;
/// Queries that share the loads of keys and values.
pub(crate) const SHARE: usize = 4;
/// Queries for which one task widens keys and values once.
const QUERIES: usize = 128;
/// Up to this many rows, blocks rather than rows are what tasks divide.
const FEW_ROWS: usize = 4;

/// Causal attention of new rows over a cache that already holds them: row `i` stands at `first_position + i` and sees
/// the positions up to its own; with a window, only those greater than its own minus `window`.
///
/// `q` and `out` are `(rows, n_heads * head_dim)`. Heads `g * n_heads / n_kv_heads ..` share key head `g`.
///
/// # Panics
/// If the sizes do not fit or a position is beyond the cache.
#[allow(clippy::too_many_arguments)]
pub fn attend(
    pool: &ThreadPool,
    q: &[f32],
    n_heads: usize,
    kv: &KvLayer,
    first_position: usize,
    window: Option<usize>,
    scale: f32,
    out: &mut [f32],
) {
    let shape = Shape::new(q, n_heads, kv.n_kv_heads(), kv.head_dim(), out);
    causal(Isa::detected(), pool, q, shape, kv, first_position, window, scale, out);
}

/// [`attend`] on one instruction set.
#[allow(clippy::too_many_arguments)]
fn causal(
    isa: Isa,
    pool: &ThreadPool,
    q: &[f32],
    shape: Shape,
    kv: &KvLayer,
    first_position: usize,
    window: Option<usize>,
    scale: f32,
    out: &mut [f32],
) {
    let head_dim = shape.head_dim;
    assert!(first_position + shape.rows <= kv.capacity(), "positions beyond the cache's {}", kv.capacity());
    let seen = |row: usize| {
        let end = first_position + row + 1;
        window.map_or(0, |window| end.saturating_sub(window))..end
    };
    run(isa, pool, q, shape, scale, out, &seen, &|head, positions, k, v| {
        let first = positions.start / TILE;
        let tiles = k.chunks_exact_mut(head_dim * TILE).take(positions.len().div_ceil(TILE));
        for (tile, k) in tiles.enumerate() {
            widen_f16(isa, kv.k_tile(head, first + tile), k);
        }
        widen_f16(isa, kv.v_rows(head, positions.clone()), &mut v[..positions.len() * head_dim]);
    });
}

/// Attention in both directions over one sequence of `rows`; with a window, only between rows at most `window` apart.
///
/// `q` and `out` are `(rows, n_heads * head_dim)`, `k` and `v` `(rows, n_kv_heads * head_dim)`.
///
/// # Panics
/// If the sizes do not fit.
#[allow(clippy::too_many_arguments)]
pub fn attend_full(
    pool: &ThreadPool,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    rows: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    window: Option<usize>,
    scale: f32,
    out: &mut [f32],
) {
    let shape = Shape::new(q, n_heads, n_kv_heads, head_dim, out);
    assert_eq!(shape.rows, rows, "the rows of the queries");
    let width = n_kv_heads * head_dim;
    assert!(k.len() == rows * width && v.len() == rows * width, "the rows of keys and values");
    let seen = |row: usize| match window {
        Some(window) => row.saturating_sub(window)..rows.min(row.saturating_add(window).saturating_add(1)),
        None => 0..rows,
    };
    run(Isa::detected(), pool, q, shape, scale, out, &seen, &|head, positions, k_block, v_block| {
        for (j, position) in positions.enumerate() {
            let from = position * width + head * head_dim;
            v_block[j * head_dim..(j + 1) * head_dim].copy_from_slice(&v[from..from + head_dim]);
            let tile = &mut k_block[j / TILE * head_dim * TILE..];
            for (dim, k) in k[from..from + head_dim].iter().enumerate() {
                tile[dim * TILE + j % TILE] = *k;
            }
        }
    });
}

#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
}

impl Shape {
    fn new(q: &[f32], n_heads: usize, n_kv_heads: usize, head_dim: usize, out: &[f32]) -> Self {
        let width = n_heads * head_dim;
        assert!(width > 0 && q.len().is_multiple_of(width), "{} values in rows of {width}", q.len());
        assert!(n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads), "{n_heads} heads over {n_kv_heads}");
        assert_eq!(q.len(), out.len(), "queries and output of one size");
        Self { rows: q.len() / width, n_heads, n_kv_heads, head_dim }
    }

    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// The softmax of one query over some blocks: its largest score and the sum of exponentials relative to it.
#[derive(Clone, Copy)]
struct Running {
    largest: f32,
    sum: f32,
}

const NOTHING: Running = Running { largest: f32::NEG_INFINITY, sum: 0.0 };

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    k: Vec<f32>,
    v: Vec<f32>,
    scores: Vec<f32>,
    acc: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

type Seen<'a> = &'a (dyn Fn(usize) -> Range<usize> + Sync);
type Load<'a> = &'a (dyn Fn(usize, Range<usize>, &mut [f32], &mut [f32]) + Sync);

/// What a row sees of a block, counted from the block's start.
fn visible(seen: &Range<usize>, block: usize) -> Range<usize> {
    let from = block * BLOCK;
    seen.start.clamp(from, from + BLOCK) - from..seen.end.clamp(from, from + BLOCK) - from
}

/// Runs all rows. `load(head, positions, k, v)` widens some positions of a block to f32: keys in tiles as in the
/// cache, values row after row.
#[allow(clippy::too_many_arguments)]
fn run(
    isa: Isa,
    pool: &ThreadPool,
    q: &[f32],
    shape: Shape,
    scale: f32,
    out: &mut [f32],
    seen: Seen<'_>,
    load: Load<'_>,
) {
    out.fill(0.0);
    let first = (0..shape.rows).map(|row| seen(row).start).min().unwrap_or(0) / BLOCK;
    let last = (0..shape.rows).map(|row| seen(row).end).max().unwrap_or(0).div_ceil(BLOCK);
    if shape.rows <= FEW_ROWS && last > first + 1 {
        by_block(isa, pool, q, shape, scale, out, seen, load, first..last);
    } else {
        by_row(isa, pool, q, shape, scale, out, seen, load);
    }
}

/// Tasks are a key head and some rows; each goes through the blocks.
#[allow(clippy::too_many_arguments)]
fn by_row(
    isa: Isa,
    pool: &ThreadPool,
    q: &[f32],
    shape: Shape,
    scale: f32,
    out: &mut [f32],
    seen: Seen<'_>,
    load: Load<'_>,
) {
    let Shape { rows, n_heads, head_dim, .. } = shape;
    let (group, width) = (shape.group(), n_heads * head_dim);
    let rows_per_task = (QUERIES / group).clamp(8, QUERIES);
    // One output per block of rows; a panel is one key head's columns of it.
    let mut outs: Vec<(usize, &mut [f32])> = out.chunks_mut(rows_per_task * width).map(|part| (width, part)).collect();
    pool.for_each_panel(&mut outs, group * head_dim, &|part, mut columns| {
        let head = columns.range().start / (group * head_dim);
        let first_row = part * rows_per_task;
        let n_rows = rows_per_task.min(rows - first_row);
        let seen: Vec<Range<usize>> = (first_row..first_row + n_rows).map(seen).collect();
        let start = seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let mut running = vec![NOTHING; n_rows * group];
        SCRATCH.with_borrow_mut(|scratch| {
            for block in start / BLOCK..end.div_ceil(BLOCK) {
                let each = |query: usize, local: Running, acc: &[f32]| {
                    let out = &mut columns.row_mut(query / group)[query % group * head_dim..][..head_dim];
                    isa.compiled(Merge(&mut running[query], local, acc, out));
                };
                let positions = block * BLOCK..end.min((block + 1) * BLOCK);
                one_block(isa, q, shape, head, first_row, &seen, block, positions, scale, scratch, load, each);
            }
        });
        for (query, running) in running.iter().enumerate() {
            let inverse = 1.0 / running.sum;
            for out in &mut columns.row_mut(query / group)[query % group * head_dim..][..head_dim] {
                *out *= inverse;
            }
        }
    });
}

/// Tasks are a key head and a block, for all rows; the blocks are merged afterwards, in order.
#[allow(clippy::too_many_arguments)]
fn by_block(
    isa: Isa,
    pool: &ThreadPool,
    q: &[f32],
    shape: Shape,
    scale: f32,
    out: &mut [f32],
    seen: Seen<'_>,
    load: Load<'_>,
    blocks: Range<usize>,
) {
    let Shape { rows, n_heads, n_kv_heads, head_dim } = shape;
    let group = shape.group();
    let seen: Vec<Range<usize>> = (0..rows).map(seen).collect();
    let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
    // For each key head, block, query: largest, sum, weighted values.
    let one = head_dim + 2;
    let mut partial = vec![0.0f32; n_kv_heads * blocks.len() * rows * group * one];
    pool.for_each_chunk(&mut partial, rows * group * one, &|task, partial| {
        let (head, block) = (task / blocks.len(), blocks.start + task % blocks.len());
        let each = |query: usize, local: Running, acc: &[f32]| {
            let to = &mut partial[query * one..(query + 1) * one];
            (to[0], to[1]) = (local.largest, local.sum);
            to[2..].copy_from_slice(acc);
        };
        let positions = block * BLOCK..end.min((block + 1) * BLOCK);
        SCRATCH.with_borrow_mut(|scratch| {
            one_block(isa, q, shape, head, 0, &seen, block, positions, scale, scratch, load, each);
        });
    });
    for head in 0..n_kv_heads {
        for query in 0..rows * group {
            let at = query / group * n_heads * head_dim + (head * group + query % group) * head_dim;
            let out = &mut out[at..at + head_dim];
            let mut running = NOTHING;
            for (i, block) in blocks.clone().enumerate() {
                if visible(&seen[query / group], block).is_empty() {
                    continue;
                }
                let from = &partial[((head * blocks.len() + i) * rows * group + query) * one..][..one];
                let local = Running { largest: from[0], sum: from[1] };
                isa.compiled(Merge(&mut running, local, &from[2..], out));
            }
            let inverse = 1.0 / running.sum;
            for out in out {
                *out *= inverse;
            }
        }
    }
}

/// All queries of some rows that share a key head, against one block. Calls `each(query, local, acc)` for those that
/// see some of it, with the local softmax and the weighted sum of values.
#[allow(clippy::too_many_arguments)]
fn one_block(
    isa: Isa,
    q: &[f32],
    shape: Shape,
    head: usize,
    first_row: usize,
    seen: &[Range<usize>],
    block: usize,
    positions: Range<usize>,
    scale: f32,
    scratch: &mut Scratch,
    load: Load<'_>,
    mut each: impl FnMut(usize, Running, &[f32]),
) {
    let Shape { n_heads, head_dim, .. } = shape;
    let group = shape.group();
    let grow = |buffer: &mut Vec<f32>, len: usize| {
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
    };
    grow(&mut scratch.k, BLOCK * head_dim);
    grow(&mut scratch.v, BLOCK * head_dim);
    grow(&mut scratch.scores, BLOCK * SHARE);
    grow(&mut scratch.acc, head_dim * SHARE);
    load(head, positions, &mut scratch.k, &mut scratch.v);
    let query = |i: usize| {
        let at = (first_row + i / group) * n_heads * head_dim + (head * group + i % group) * head_dim;
        &q[at..at + head_dim]
    };
    let n_queries = seen.len() * group;
    let mut i = 0;
    while i < n_queries {
        let sight = visible(&seen[i / group], block);
        let mut n = 1;
        while n < SHARE && i + n < n_queries && visible(&seen[(i + n) / group], block) == sight {
            n += 1;
        }
        if !sight.is_empty() {
            let (k, v) = (&scratch.k[..BLOCK * head_dim], &scratch.v[..BLOCK * head_dim]);
            let mut queries = [query(i); SHARE];
            for (j, q) in queries.iter_mut().enumerate().take(n) {
                *q = query(i + j);
            }
            let tiles = sight.start / TILE..sight.end.div_ceil(TILE);
            isa.scores(&queries[..n], k, tiles.clone(), &mut scratch.scores, BLOCK);
            let mut local = [NOTHING; SHARE];
            for (scores, local) in scratch.scores.chunks_exact_mut(BLOCK).zip(&mut local).take(n) {
                *local = isa.compiled(Exponentials(scores, tiles.clone(), sight.clone(), scale));
            }
            isa.weighted(&scratch.scores[..n * BLOCK], BLOCK, v, sight, head_dim, &mut scratch.acc[..n * head_dim]);
            for (j, (local, acc)) in local.iter().zip(scratch.acc.chunks_exact(head_dim)).enumerate().take(n) {
                each(i + j, *local, acc);
            }
        }
        i += n;
    }
}

/// Scales the scores of some tiles and turns them into exponentials relative to the largest; those outside `sight`
/// into zeros.
struct Exponentials<'a>(&'a mut [f32], Range<usize>, Range<usize>, f32);

impl Kernel for Exponentials<'_> {
    type Output = Running;
    #[inline(always)]
    fn run(self) -> Running {
        let Self(scores, tiles, sight, scale) = self;
        let start = tiles.start * TILE;
        let scores = &mut scores[start..tiles.end * TILE];
        for score in scores.iter_mut() {
            *score *= scale;
        }
        scores[..sight.start - start].fill(f32::NEG_INFINITY);
        scores[sight.end - start..].fill(f32::NEG_INFINITY);
        let largest = largest(scores);
        let mut lanes = [0.0f32; TILE];
        for scores in scores.as_chunks_mut::<TILE>().0 {
            for lane in 0..TILE {
                scores[lane] = exp(scores[lane] - largest);
                lanes[lane] += scores[lane];
            }
        }
        Running { largest, sum: add_lanes(lanes) }
    }
}

/// Adds a block's local softmax and weighted values to those of the blocks before it.
struct Merge<'a>(&'a mut Running, Running, &'a [f32], &'a mut [f32]);

impl Kernel for Merge<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(running, local, acc, out) = self;
        let largest = running.largest.max(local.largest);
        let (before, now) = (exp(running.largest - largest), exp(local.largest - largest));
        running.largest = largest;
        running.sum = running.sum.mul_add(before, local.sum * now);
        for (out, acc) in out.iter_mut().zip(acc) {
            *out = out.mul_add(before, *acc * now);
        }
    }
}

impl Isa {
    /// Unscaled scores of up to [`SHARE`] queries against some tiles of keys; `scores` has `stride` for each query.
    fn scores(self, q: &[&[f32]], k: &[f32], tiles: Range<usize>, scores: &mut [f32], stride: usize) {
        match self {
            Self::Portable => {
                for (q, scores) in q.iter().zip(scores.chunks_exact_mut(stride)) {
                    portable::attention_scores(q, k, tiles.clone(), scores);
                }
            }
            #[cfg(target_arch = "x86_64")]
            _ => crate::x86::attention_scores(self, q, k, tiles, scores, stride),
        }
    }

    /// Sums of values weighted by `weights`, which has `stride` for each query; `out` has `head_dim` for each.
    fn weighted(
        self,
        weights: &[f32],
        stride: usize,
        v: &[f32],
        positions: Range<usize>,
        head_dim: usize,
        out: &mut [f32],
    ) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni if head_dim.is_multiple_of(16) => {
                crate::x86::attention_weighted(self, weights, stride, v, positions, head_dim, out);
            }
            _ => {
                for (weights, out) in weights.chunks_exact(stride).zip(out.chunks_exact_mut(head_dim)) {
                    portable::attention_weighted(weights, v, positions.clone(), out);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
