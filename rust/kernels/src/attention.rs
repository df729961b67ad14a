//! Attention: causal over a stored cache, and in both directions over one sequence.
//!
//! Positions are reduced in blocks of [`BLOCK`], aligned to absolute position. Each block stands alone: its largest
//! score, its sum of exponentials, its weighted sum of values; blocks are then merged in order (the online softmax of
//! Milakov and Gimelshein 2018, in blocks as in Dao et al. 2022, FlashAttention). A score is summed dimension after
//! dimension, a weighted value position after position. So a row has the same bits whether it came alone or in a
//! batch, and the full matrix of scores never exists.

use crate::ThreadPool;
use crate::kv::{KvLayer, TILE};
use crate::ops::exp;
use crate::portable::add_lanes;
use half::f16;
use std::ops::Range;

/// Positions in one block.
const BLOCK: usize = 128;
/// Query rows one task takes.
const ROWS: usize = 16;

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
    let (n_kv_heads, head_dim) = (kv.n_kv_heads(), kv.head_dim());
    let shape = Shape::new(q, n_heads, n_kv_heads, head_dim, out);
    assert!(
        first_position + shape.rows <= kv.capacity(),
        "positions beyond the cache's {}",
        kv.capacity()
    );
    let seen = |row: usize| {
        let end = first_position + row + 1;
        window.map_or(0, |window| end.saturating_sub(window))..end
    };
    run(
        pool,
        q,
        shape,
        scale,
        out,
        &seen,
        &|head, positions, k, v| {
            for (tile, k) in k
                .chunks_exact_mut(head_dim * TILE)
                .enumerate()
                .take(positions.len().div_ceil(TILE))
            {
                for (to, from) in k
                    .iter_mut()
                    .zip(kv.k_tile(head, positions.start / TILE + tile))
                {
                    *to = f16::from_bits(*from).to_f32();
                }
            }
            for (to, from) in v.iter_mut().zip(kv.v_rows(head, positions)) {
                *to = f16::from_bits(*from).to_f32();
            }
        },
    );
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
    assert!(
        k.len() == rows * width && v.len() == rows * width,
        "the rows of keys and values"
    );
    let seen = |row: usize| match window {
        Some(window) => {
            row.saturating_sub(window)..rows.min(row.saturating_add(window).saturating_add(1))
        }
        None => 0..rows,
    };
    run(
        pool,
        q,
        shape,
        scale,
        out,
        &seen,
        &|head, positions, k_block, v_block| {
            for (j, position) in positions.enumerate() {
                let from = position * width + head * head_dim;
                v_block[j * head_dim..(j + 1) * head_dim]
                    .copy_from_slice(&v[from..from + head_dim]);
                let tile = &mut k_block[j / TILE * head_dim * TILE..];
                for (dim, k) in k[from..from + head_dim].iter().enumerate() {
                    tile[dim * TILE + j % TILE] = *k;
                }
            }
        },
    );
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
        assert!(
            width > 0 && q.len().is_multiple_of(width),
            "{} values in rows of {width}",
            q.len()
        );
        assert!(
            n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads),
            "{n_heads} heads over {n_kv_heads}"
        );
        assert_eq!(q.len(), out.len(), "queries and output of one size");
        Self {
            rows: q.len() / width,
            n_heads,
            n_kv_heads,
            head_dim,
        }
    }
}

/// The running softmax of one query: what its blocks so far come to.
struct Running {
    largest: f32,
    sum: f32,
}

/// Runs all rows. `load(head, positions, k, v)` widens some positions of a block to f32: keys in tiles as in the
/// cache, values row after row.
fn run(
    pool: &ThreadPool,
    q: &[f32],
    shape: Shape,
    scale: f32,
    out: &mut [f32],
    seen: &(dyn Fn(usize) -> Range<usize> + Sync),
    load: &(dyn Fn(usize, Range<usize>, &mut [f32], &mut [f32]) + Sync),
) {
    let Shape {
        rows,
        n_heads,
        n_kv_heads,
        head_dim,
    } = shape;
    let group = n_heads / n_kv_heads;
    out.fill(0.0);
    let row_blocks = rows.div_ceil(ROWS);
    // One output per block of rows, split by head group: a panel is one group's columns.
    let mut outs: Vec<(usize, &mut [f32])> = Vec::with_capacity(row_blocks);
    for part in out.chunks_mut(ROWS * n_heads * head_dim) {
        outs.push((n_heads * head_dim, part));
    }
    pool.for_each_panel(&mut outs, group * head_dim, &|row_block, mut columns| {
        let head = columns.range().start / (group * head_dim);
        let first_row = row_block * ROWS;
        let n_rows = ROWS.min(rows - first_row);
        let mut running: Vec<Running> = (0..n_rows * group)
            .map(|_| Running {
                largest: f32::NEG_INFINITY,
                sum: 0.0,
            })
            .collect();
        let mut k = vec![0.0f32; BLOCK * head_dim];
        let mut v = vec![0.0f32; BLOCK * head_dim];
        let mut acc = vec![0.0f32; head_dim];
        let start = (0..n_rows)
            .map(|i| seen(first_row + i).start)
            .min()
            .unwrap_or(0);
        let end = (0..n_rows)
            .map(|i| seen(first_row + i).end)
            .max()
            .unwrap_or(0);
        for block in start / BLOCK..end.div_ceil(BLOCK) {
            let from = block * BLOCK;
            load(head, from..end.min(from + BLOCK), &mut k, &mut v);
            for i in 0..n_rows {
                let seen = seen(first_row + i);
                let visible = seen.start.clamp(from, from + BLOCK) - from
                    ..seen.end.clamp(from, from + BLOCK) - from;
                if visible.is_empty() {
                    continue;
                }
                for h in 0..group {
                    let at = (first_row + i) * n_heads * head_dim + (head * group + h) * head_dim;
                    let query = &q[at..at + head_dim];
                    let out = &mut columns.row_mut(i)[h * head_dim..(h + 1) * head_dim];
                    one_block(
                        query,
                        &k,
                        &v,
                        visible.clone(),
                        scale,
                        &mut acc,
                        &mut running[i * group + h],
                        out,
                    );
                }
            }
        }
        for i in 0..n_rows {
            for h in 0..group {
                let inverse = 1.0 / running[i * group + h].sum;
                for out in &mut columns.row_mut(i)[h * head_dim..(h + 1) * head_dim] {
                    *out *= inverse;
                }
            }
        }
    });
}

/// One query against one block: local softmax over the visible positions, then the merge into what came before.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn one_block(
    query: &[f32],
    k: &[f32],
    v: &[f32],
    visible: Range<usize>,
    scale: f32,
    acc: &mut [f32],
    running: &mut Running,
    out: &mut [f32],
) {
    let head_dim = query.len();
    let mut scores = [f32::NEG_INFINITY; BLOCK];
    for (tile, scores) in scores.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
        if tile * TILE >= visible.end || (tile + 1) * TILE <= visible.start {
            continue;
        }
        let mut sums = [0.0f32; TILE];
        for (q, k) in query
            .iter()
            .zip(k[tile * head_dim * TILE..].as_chunks::<TILE>().0)
        {
            for lane in 0..TILE {
                sums[lane] = q.mul_add(k[lane], sums[lane]);
            }
        }
        for lane in 0..TILE {
            if visible.contains(&(tile * TILE + lane)) {
                scores[lane] = sums[lane] * scale;
            }
        }
    }
    let largest = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
    let mut lanes = [0.0f32; TILE];
    for scores in scores.as_chunks_mut::<TILE>().0 {
        for lane in 0..TILE {
            scores[lane] = exp(scores[lane] - largest);
            lanes[lane] += scores[lane];
        }
    }
    let sum = add_lanes(lanes);
    acc.fill(0.0);
    for j in visible {
        for (acc, v) in acc.iter_mut().zip(&v[j * head_dim..(j + 1) * head_dim]) {
            *acc = scores[j].mul_add(*v, *acc);
        }
    }
    let merged = running.largest.max(largest);
    let (before, now) = (exp(running.largest - merged), exp(largest - merged));
    running.largest = merged;
    running.sum = running.sum.mul_add(before, sum * now);
    for (out, acc) in out.iter_mut().zip(acc) {
        *out = out.mul_add(before, *acc * now);
    }
}
