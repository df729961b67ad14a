//! Attention: causal over a stored cache, and in both directions over one sequence.
//!
//! Positions are reduced in blocks of [`BLOCK`], aligned to absolute position. Each block stands alone: its largest
//! score, its sum of exponentials, its weighted sum of values; blocks are then merged in order (the online softmax of
//! Milakov and Gimelshein 2018, in blocks as in Dao et al. 2022, FlashAttention). So a row has the same bits whether
//! it came alone or in a batch, and the full matrix of scores never exists. The order of floats:
//!
//! - a query is multiplied by `scale * log2(e)`, so that powers of two take the place of those of e;
//! - a score is summed dimension after dimension by fma, from zero; the cache's values are read as the f32 they are;
//! - the powers `2^(score - largest)` of a block go into 16 sums, position `p` into number `p % 16`, then added as a
//!   tree; a position that the row does not see counts as the power 0;
//! - weighted values are summed position after position by fma, from zero, over the positions the row sees;
//! - blocks are merged by [`Factors`]: `sum = fma(sum, before, local_sum * now)`, each output alike; at the end each
//!   output is multiplied by `1 / sum`.
//!
//! Kernels that read the stored form ([`Isa::reads_stored`]) share its loads among up to 12 queries, whose last
//! positions may differ; from [`MANY_QUERIES`] on they too get blocks widened to f32, which are the same values. The
//! others always get widened blocks, and up to [`SHARE`] queries that see the same.

use crate::ThreadPool;
#[cfg(target_arch = "aarch64")]
use crate::arm as simd;
use crate::dispatch::{Isa, Kernel};
use crate::kv::{GROUP, KvLayer, Stored, TILE};
use crate::ops::largest;
use crate::pool::alone;
use crate::portable::{self, add_lanes};
#[cfg(target_arch = "x86_64")]
use crate::x86 as simd;
use std::cell::RefCell;
use std::ops::Range;

/// Positions in one block.
pub(crate) const BLOCK: usize = 128;
/// Queries that share the loads of widened keys and values.
pub(crate) const SHARE: usize = 4;
/// The most queries any kernel takes at once.
const MOST: usize = 16;
/// Queries of one task, for which each block is loaded once.
const QUERIES: usize = 128;
/// Up to this many rows, blocks rather than rows are what tasks divide.
const FEW_ROWS: usize = 8;
/// From so many queries on, widening a block once is cheaper than at each load.
const MANY_QUERIES: usize = 24;
/// From one packed query to the next, for heads of up to [`LARGEST_HEAD`]: known to the compiler, so that one register
/// addresses all queries, and no multiple of a large power of two, so that they do not compete for places in cache.
pub(crate) const STRIDE: usize = LARGEST_HEAD + 16;
/// The largest head of kernels that read the stored form.
const LARGEST_HEAD: usize = 256;
/// Multiplications below which waking other threads costs more than it gives.
const FEW_PRODUCTS: usize = 200_000;

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
    assert!(first_position + shape.rows <= kv.capacity(), "positions beyond the cache's {}", kv.capacity());
    let seen = |row: usize| {
        let end = first_position + row + 1;
        window.map_or(0, |window| end.saturating_sub(window))..end
    };
    run(&Call { isa, pool, q, shape, scale, seen: &seen, source: kv }, out);
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
    let source = Sequence { k, v, width, head_dim };
    run(&Call { isa: Isa::detected(), pool, q, shape, scale, seen: &seen, source: &source }, out);
}

/// Where keys and values come from.
trait Source: Sync {
    /// Those of some positions of a head, which start at a block; as they are stored, or widened to f32.
    fn load<'a>(
        &'a self,
        isa: Isa,
        head: usize,
        positions: Range<usize>,
        as_stored: bool,
        room: &'a mut Room,
    ) -> [Stored<'a>; 2];
}

/// Room for what a block is widened into: values, or the scales of values in 8 bits.
#[derive(Default)]
struct Room {
    k: Vec<f32>,
    v: Vec<f32>,
    k_scales: Vec<f32>,
    v_scales: Vec<f32>,
}

impl Source for KvLayer {
    fn load<'a>(
        &'a self,
        isa: Isa,
        head: usize,
        positions: Range<usize>,
        as_stored: bool,
        room: &'a mut Room,
    ) -> [Stored<'a>; 2] {
        let head_dim = self.head_dim();
        let (k, v) = self.stored(isa, head, positions, &mut room.k_scales, &mut room.v_scales);
        if as_stored {
            return [k, v];
        }
        // The scales of keys lie as the keys do, 16 positions side by side.
        [widened(isa, k, head_dim, TILE, &mut room.k), widened(isa, v, head_dim, 1, &mut room.v)]
    }
}

/// Widens to f32. `side_by_side` positions lie beside each other in each dimension, and in each group of scales.
fn widened<'a>(isa: Isa, from: Stored<'_>, head_dim: usize, side_by_side: usize, to: &'a mut Vec<f32>) -> Stored<'a> {
    match from {
        Stored::F32(from) => {
            to.clear();
            to.extend_from_slice(from);
        }
        Stored::F16(from) => {
            to.resize(from.len(), 0.0);
            crate::convert::widen_f16(isa, from, to);
        }
        Stored::Q8(q, scales) => {
            to.resize(q.len(), 0.0);
            isa.compiled(Widen8 { q, scales, head_dim, side_by_side, to });
        }
    }
    Stored::F32(to)
}

/// Multiplies integers with their scales.
struct Widen8<'a> {
    q: &'a [i8],
    scales: &'a [f32],
    head_dim: usize,
    side_by_side: usize,
    to: &'a mut [f32],
}

impl Kernel for Widen8<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { q, scales, head_dim, side_by_side, to } = self;
        let (one, groups) = (head_dim * side_by_side, head_dim.div_ceil(GROUP) * side_by_side);
        for ((to, q), scales) in to.chunks_exact_mut(one).zip(q.chunks_exact(one)).zip(scales.chunks_exact(groups)) {
            let parts = to.chunks_mut(GROUP * side_by_side).zip(q.chunks(GROUP * side_by_side));
            for ((to, q), scales) in parts.zip(scales.chunks_exact(side_by_side)) {
                if let [scale] = scales {
                    for (to, q) in to.iter_mut().zip(q) {
                        *to = f32::from(*q) * scale;
                    }
                } else {
                    for (to, q) in to.chunks_exact_mut(side_by_side).zip(q.chunks_exact(side_by_side)) {
                        for ((to, q), scale) in to.iter_mut().zip(q).zip(scales) {
                            *to = f32::from(*q) * scale;
                        }
                    }
                }
            }
        }
    }
}

/// Keys and values of one sequence, row after row.
struct Sequence<'a> {
    k: &'a [f32],
    v: &'a [f32],
    width: usize,
    head_dim: usize,
}

impl Source for Sequence<'_> {
    fn load<'a>(
        &'a self,
        _isa: Isa,
        head: usize,
        positions: Range<usize>,
        _as_stored: bool,
        room: &'a mut Room,
    ) -> [Stored<'a>; 2] {
        let Self { k, v, width, head_dim } = *self;
        room.k.resize(BLOCK * head_dim, 0.0);
        room.v.resize(BLOCK * head_dim, 0.0);
        for (j, position) in positions.enumerate() {
            let from = position * width + head * head_dim;
            room.v[j * head_dim..(j + 1) * head_dim].copy_from_slice(&v[from..from + head_dim]);
            let tile = &mut room.k[j / TILE * head_dim * TILE..];
            for (dim, k) in k[from..from + head_dim].iter().enumerate() {
                tile[dim * TILE + j % TILE] = *k;
            }
        }
        [Stored::F32(&room.k), Stored::F32(&room.v)]
    }
}

/// What all tasks of a call share.
struct Call<'a, S> {
    isa: Isa,
    pool: &'a ThreadPool,
    q: &'a [f32],
    shape: Shape,
    scale: f32,
    seen: Seen<'a>,
    source: &'a S,
}

type Seen<'a> = &'a (dyn Fn(usize) -> Range<usize> + Sync);

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

    /// Where the values of a query begin: query `i` of a key head's, counted from row `first_row`.
    fn query_at(&self, head: usize, first_row: usize, i: usize) -> usize {
        let group = self.group();
        ((first_row + i / group) * self.n_heads + head * group + i % group) * self.head_dim
    }
}

/// The softmax of up to [`MOST`] queries over some positions: the largest score, and the sum of powers relative to it.
#[derive(Clone, Copy)]
struct Running {
    largest: [f32; MOST],
    sum: [f32; MOST],
}

const NOTHING: Running = Running { largest: [f32::NEG_INFINITY; MOST], sum: [0.0; MOST] };

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    room: Room,
    /// Packed queries.
    q: Vec<f32>,
    scores: Vec<f32>,
    acc: Vec<f32>,
    largest: Vec<f32>,
    sum: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    /// Blocks' results before they are merged.
    static PARTIAL: RefCell<Vec<f32>> = RefCell::default();
}

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// What a row sees of a block, counted from the block's start.
fn visible(seen: &Range<usize>, block: usize) -> Range<usize> {
    let from = block * BLOCK;
    seen.start.clamp(from, from + BLOCK) - from..seen.end.clamp(from, from + BLOCK) - from
}

/// Runs all rows.
fn run<S: Source>(call: &Call<'_, S>, out: &mut [f32]) {
    out.fill(0.0);
    let Shape { rows, n_heads, head_dim, .. } = call.shape;
    let start = (0..rows).map(|row| (call.seen)(row).start).min().unwrap_or(0);
    let end = (0..rows).map(|row| (call.seen)(row).end).max().unwrap_or(0);
    let blocks = start / BLOCK..end.div_ceil(BLOCK);
    if rows * n_heads * head_dim * (end - start) < FEW_PRODUCTS {
        alone(|| by_row(call, out));
    } else if rows <= FEW_ROWS && blocks.len() > 1 {
        by_block(call, out, blocks);
    } else {
        by_row(call, out);
    }
}

/// Tasks are a key head and some rows; each goes through the blocks.
fn by_row<S: Source>(call: &Call<'_, S>, out: &mut [f32]) {
    let Shape { rows, n_heads, head_dim, .. } = call.shape;
    let (group, width) = (call.shape.group(), n_heads * head_dim);
    let rows_per_task = (QUERIES / group).clamp(8, QUERIES);
    // One output per block of rows; a panel is one key head's columns of it. The last rows see most and come first.
    let mut outs: Vec<(usize, &mut [f32])> = out.chunks_mut(rows_per_task * width).map(|part| (width, part)).collect();
    outs.reverse();
    let n_parts = outs.len();
    call.pool.for_each_panel(&mut outs, group * head_dim, (0, &|_| {}), &|part, mut columns| {
        let head = columns.range().start / (group * head_dim);
        let first_row = (n_parts - 1 - part) * rows_per_task;
        let n_rows = rows_per_task.min(rows - first_row);
        let seen: Vec<Range<usize>> = (first_row..first_row + n_rows).map(call.seen).collect();
        let start = seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let n_queries = n_rows * group;
        SCRATCH.with_borrow_mut(|scratch| {
            let mut running = (std::mem::take(&mut scratch.largest), std::mem::take(&mut scratch.sum));
            running.0.clear();
            running.0.resize(n_queries + MOST, f32::NEG_INFINITY);
            running.1.clear();
            running.1.resize(n_queries + MOST, 0.0);
            pack(call, head, first_row, n_queries, &mut scratch.q);
            for block in start / BLOCK..end.div_ceil(BLOCK) {
                let each = |first: usize, n: usize, local: &Running, acc: &[f32]| {
                    let all = first..first + MOST;
                    let (largest, sum) = (&mut running.0[all.clone()], &mut running.1[all]);
                    let factors = call.isa.compiled(Factors(n, largest, sum, local));
                    for (i, acc) in acc.chunks_exact(head_dim).enumerate() {
                        let query = first + i;
                        let out = &mut columns.row_mut(query / group)[query % group * head_dim..][..head_dim];
                        call.isa.compiled(Merge(factors.before[i], factors.now[i], acc, out));
                    }
                };
                let positions = block * BLOCK..end.min((block + 1) * BLOCK);
                one_block(call, head, &seen, block, positions, scratch, each);
            }
            for (query, sum) in running.1.iter().enumerate().take(n_queries) {
                let inverse = 1.0 / sum;
                for out in &mut columns.row_mut(query / group)[query % group * head_dim..][..head_dim] {
                    *out *= inverse;
                }
            }
            (scratch.largest, scratch.sum) = running;
        });
    });
}

/// Tasks are a key head and a block, for all rows; the blocks are merged afterwards, in order.
fn by_block<S: Source>(call: &Call<'_, S>, out: &mut [f32], blocks: Range<usize>) {
    let Shape { rows, n_kv_heads, head_dim, .. } = call.shape;
    let group = call.shape.group();
    let n_queries = rows * group;
    let seen: Vec<Range<usize>> = (0..rows).map(call.seen).collect();
    let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
    // For each key head, block, query: weighted values, largest, sum.
    let one = head_dim + 2;
    let mut partial = PARTIAL.take();
    grow(&mut partial, n_kv_heads * blocks.len() * n_queries * one);
    let used = &mut partial[..n_kv_heads * blocks.len() * n_queries * one];
    call.pool.for_each_chunk(used, n_queries * one, &|task, partial| {
        let (head, block) = (task / blocks.len(), blocks.start + task % blocks.len());
        let each = |first: usize, n: usize, local: &Running, acc: &[f32]| {
            let to = partial[first * one..].chunks_exact_mut(one).zip(acc.chunks_exact(head_dim)).take(n);
            for (i, (to, acc)) in to.enumerate() {
                to[..head_dim].copy_from_slice(acc);
                (to[head_dim], to[head_dim + 1]) = (local.largest[i], local.sum[i]);
            }
        };
        let positions = block * BLOCK..end.min((block + 1) * BLOCK);
        SCRATCH.with_borrow_mut(|scratch| {
            pack(call, head, 0, n_queries, &mut scratch.q);
            one_block(call, head, &seen, block, positions, scratch, each);
        });
    });
    let partial_of = |head: usize, block: usize, query: usize| {
        &used[((head * blocks.len() + block - blocks.start) * n_queries + query) * one..][..one]
    };
    for (head, first) in (0..n_kv_heads).flat_map(|head| (0..n_queries).step_by(MOST).map(move |first| (head, first))) {
        let n = MOST.min(n_queries - first);
        let mut running = NOTHING;
        for block in blocks.clone() {
            let sees = |i: usize| !visible(&seen[(first + i) / group], block).is_empty();
            let mut local = NOTHING;
            for i in (0..n).filter(|i| sees(*i)) {
                let partial = partial_of(head, block, first + i);
                (local.largest[i], local.sum[i]) = (partial[head_dim], partial[head_dim + 1]);
            }
            let before = running;
            let factors = call.isa.compiled(Factors(n, &mut running.largest, &mut running.sum, &local));
            for i in 0..n {
                if sees(i) {
                    let at = call.shape.query_at(head, 0, first + i);
                    let acc = &partial_of(head, block, first + i)[..head_dim];
                    call.isa.compiled(Merge(factors.before[i], factors.now[i], acc, &mut out[at..at + head_dim]));
                } else {
                    (running.largest[i], running.sum[i]) = (before.largest[i], before.sum[i]);
                }
            }
        }
        for i in 0..n {
            let inverse = 1.0 / running.sum[i];
            for out in &mut out[call.shape.query_at(head, 0, first + i)..][..head_dim] {
                *out *= inverse;
            }
        }
    }
    PARTIAL.set(partial);
}

/// From one packed query to the next.
fn stride(head_dim: usize) -> usize {
    if head_dim <= LARGEST_HEAD { STRIDE } else { head_dim }
}

/// Packs the queries of some rows that share a key head, multiplied for powers of two.
fn pack<S>(call: &Call<'_, S>, head: usize, first_row: usize, n_queries: usize, to: &mut Vec<f32>) {
    let head_dim = call.shape.head_dim;
    let stride = stride(head_dim);
    let factor = call.scale * std::f32::consts::LOG2_E;
    grow(to, n_queries * stride);
    for (i, to) in to.chunks_exact_mut(stride).enumerate().take(n_queries) {
        let at = call.shape.query_at(head, first_row, i);
        for (to, q) in to.iter_mut().zip(&call.q[at..at + head_dim]) {
            *to = q * factor;
        }
    }
}

/// All packed queries, of the rows that see `seen`, against one block. Calls `each(first, n, local, acc)` for those
/// that see some of it, `n` at a time, with the local softmax and the weighted sums of values.
fn one_block<S: Source>(
    call: &Call<'_, S>,
    head: usize,
    seen: &[Range<usize>],
    block: usize,
    positions: Range<usize>,
    scratch: &mut Scratch,
    mut each: impl FnMut(usize, usize, &Running, &[f32]),
) {
    let (isa, head_dim, group) = (call.isa, call.shape.head_dim, call.shape.group());
    let stored = isa.reads_stored(head_dim);
    let Scratch { room, q, scores, acc, .. } = scratch;
    grow(scores, BLOCK * MOST);
    grow(acc, head_dim * MOST);
    let n_queries = seen.len() * group;
    let [k, v] = call.source.load(isa, head, positions, stored && n_queries < MANY_QUERIES, room);
    let sight = |i: usize| visible(&seen[i / group], block);
    let mut i = 0;
    while i < n_queries {
        let first = sight(i);
        if first.is_empty() {
            i += 1;
            continue;
        }
        let most = if stored { MOST } else { SHARE };
        let mut n = 1;
        while n < most && i + n < n_queries {
            let other = sight(i + n);
            let fits = if stored { other.start == first.start && other.end >= first.end } else { other == first };
            if !fits || other.is_empty() {
                break;
            }
            n += 1;
        }
        if stored {
            n = isa.share(n);
        }
        let tiles = first.start / TILE..sight(i + n - 1).end.div_ceil(TILE);
        if stored {
            isa.scores_stored(&q[i * STRIDE..], n, head_dim, k, tiles.clone(), scores);
        } else {
            let mut queries = [&q[..0]; SHARE];
            for (j, query) in queries.iter_mut().enumerate().take(n) {
                *query = &q[(i + j) * stride(head_dim)..][..head_dim];
            }
            isa.scores(&queries[..n], k.f32(), tiles.clone(), scores, BLOCK);
        }
        let mut local = NOTHING;
        for (j, scores) in scores.chunks_exact_mut(BLOCK).enumerate().take(n) {
            (local.largest[j], local.sum[j]) = isa.compiled(Powers(scores, tiles.clone(), sight(i + j)));
        }
        let acc = &mut acc[..n * head_dim];
        if stored {
            acc.fill(0.0);
            // All together as far as the first of them sees, then those that see farther.
            let (mut from, mut done) = (first.start, 0);
            while done < n {
                let end = sight(i + done).end;
                let together = isa.share(n - done);
                let mut part = done;
                let mut left = n - done;
                let mut size = together;
                while left > 0 {
                    let acc = &mut acc[part * head_dim..(part + size) * head_dim];
                    isa.weighted_stored(&scores[part * BLOCK..], size, v, from..end, head_dim, acc);
                    (part, left) = (part + size, left - size);
                    size = isa.share(left);
                }
                from = end;
                while done < n && sight(i + done).end == end {
                    done += 1;
                }
            }
        } else {
            isa.weighted(&scores[..n * BLOCK], BLOCK, v.f32(), first, head_dim, acc);
        }
        each(i, n, &local, acc);
        i += n;
    }
}

/// `2^x` for `x <= 0`, within 3 units in the last place; 0 below -126.5, NaN for NaN.
///
/// The nearest integer apart, a polynomial of degree 5 (fitted for the least relative error, 9e-8; exact at 0).
#[inline(always)]
#[allow(clippy::approx_constant)] // one of the fitted coefficients is near ln 2, as it has to be
fn power_of_two(x: f32) -> f32 {
    /// Adding it rounds to an integer and leaves that integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let x = if x < -127.0 { -127.0 } else { x };
    let shifted = x + MAGIC;
    let r = x - (shifted - MAGIC);
    let p = r.mul_add(0.001_326_472_7, 0.009_671_513);
    let p = p.mul_add(r, 0.055_507_336);
    let p = p.mul_add(r, 0.240_222_42);
    let p = p.mul_add(r, 0.693_147);
    let p = p.mul_add(r, 1.0);
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// Turns the scores of some tiles into powers of two relative to the largest; those outside of what is seen into
/// zeros. Gives the largest and the sum.
struct Powers<'a>(&'a mut [f32], Range<usize>, Range<usize>);

impl Kernel for Powers<'_> {
    type Output = (f32, f32);
    #[inline(always)]
    fn run(self) -> (f32, f32) {
        let Self(scores, tiles, sight) = self;
        let start = tiles.start * TILE;
        let scores = &mut scores[start..tiles.end * TILE];
        scores[..sight.start - start].fill(f32::NEG_INFINITY);
        scores[sight.end - start..].fill(f32::NEG_INFINITY);
        let largest = largest(scores);
        let mut lanes = [0.0f32; TILE];
        for scores in scores.as_chunks_mut::<TILE>().0 {
            for lane in 0..TILE {
                scores[lane] = power_of_two(scores[lane] - largest);
                lanes[lane] += scores[lane];
            }
        }
        (largest, add_lanes(lanes))
    }
}

/// What sums and values before a block, and those of the block, are multiplied with.
struct Scales {
    before: [f32; MOST],
    now: [f32; MOST],
}

/// Adds a block's local softmax to that of the blocks before it, for the first `n` queries.
struct Factors<'a>(usize, &'a mut [f32], &'a mut [f32], &'a Running);

impl Kernel for Factors<'_> {
    type Output = Scales;
    #[inline(always)]
    fn run(self) -> Scales {
        let Self(n, running_largest, running_sum, local) = self;
        let mut scales = Scales { before: [0.0; MOST], now: [0.0; MOST] };
        let (mut largest, mut sum) = ([0.0f32; MOST], [0.0f32; MOST]);
        largest.copy_from_slice(&running_largest[..MOST]);
        sum.copy_from_slice(&running_sum[..MOST]);
        for i in 0..MOST {
            let both = if local.largest[i] > largest[i] { local.largest[i] } else { largest[i] };
            scales.before[i] = power_of_two(largest[i] - both);
            scales.now[i] = power_of_two(local.largest[i] - both);
            sum[i] = sum[i].mul_add(scales.before[i], local.sum[i] * scales.now[i]);
            largest[i] = both;
        }
        running_largest[..n].copy_from_slice(&largest[..n]);
        running_sum[..n].copy_from_slice(&sum[..n]);
        scales
    }
}

/// Adds a block's weighted values to those of the blocks before it.
struct Merge<'a>(f32, f32, &'a [f32], &'a mut [f32]);

impl Kernel for Merge<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(before, now, acc, out) = self;
        for (out, acc) in out.iter_mut().zip(acc) {
            *out = out.mul_add(before, *acc * now);
        }
    }
}

impl<'a> Stored<'a> {
    /// What was widened.
    fn f32(self) -> &'a [f32] {
        match self {
            Self::F32(values) => values,
            _ => unreachable!("blocks are widened for kernels that do not read the stored form"),
        }
    }
}

impl Isa {
    /// Whether there are kernels that read keys and values as they are stored.
    fn reads_stored(self, head_dim: usize) -> bool {
        cfg!(any(target_arch = "x86_64", target_arch = "aarch64"))
            && self != Self::Portable
            && head_dim.is_multiple_of(16)
            && head_dim <= LARGEST_HEAD
    }

    /// How many of `n` queries those kernels take at once.
    fn share(self, n: usize) -> usize {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let n = simd::attention_share(self, n);
        n
    }

    /// Scores of the first `n` packed queries, [`STRIDE`] apart, against some tiles of a block's keys; `scores` has
    /// [`BLOCK`] for each query.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(unused_variables, clippy::needless_pass_by_value)
    )]
    fn scores_stored(
        self,
        q: &[f32],
        n: usize,
        head_dim: usize,
        k: Stored<'_>,
        tiles: Range<usize>,
        scores: &mut [f32],
    ) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        simd::attention_scores(self, q, n, head_dim, k, tiles, scores);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        unreachable!("only where reads_stored");
    }

    /// Adds to the `n` rows of `out`, `head_dim` each, a block's values at some positions times `weights`, which has
    /// [`BLOCK`] for each query.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(unused_variables, clippy::needless_pass_by_value)
    )]
    fn weighted_stored(
        self,
        weights: &[f32],
        n: usize,
        v: Stored<'_>,
        positions: Range<usize>,
        head_dim: usize,
        out: &mut [f32],
    ) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        simd::attention_weighted(self, weights, n, v, positions, head_dim, out);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        unreachable!("only where reads_stored");
    }

    /// Scores of up to [`SHARE`] queries against some tiles of widened keys; `scores` has `stride` for each query.
    fn scores(self, q: &[&[f32]], k: &[f32], tiles: Range<usize>, scores: &mut [f32], stride: usize) {
        for (q, scores) in q.iter().zip(scores.chunks_exact_mut(stride)) {
            self.compiled(portable::AttentionScores(q, k, tiles.clone(), scores));
        }
    }

    /// Sums of widened values weighted by `weights`, which has `stride` for each query; `out` has `head_dim` for each.
    fn weighted(
        self,
        weights: &[f32],
        stride: usize,
        v: &[f32],
        positions: Range<usize>,
        head_dim: usize,
        out: &mut [f32],
    ) {
        for (weights, out) in weights.chunks_exact(stride).zip(out.chunks_exact_mut(head_dim)) {
            self.compiled(portable::AttentionWeighted(weights, v, positions.clone(), out));
        }
    }
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
