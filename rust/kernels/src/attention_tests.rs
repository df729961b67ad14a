//! Attention against f64, and against itself in other batches, threads and instruction sets.

use super::*;
use crate::matmul::tests::Random;
use half::f16;
use proptest::prelude::*;

/// What attention is, in f64: `k` and `v` are `(positions, n_kv_heads * head_dim)`.
fn naive(q: &[f32], k: &[f32], v: &[f32], shape: Shape, scale: f32, seen: Seen<'_>) -> Vec<f64> {
    let Shape { rows, n_heads, n_kv_heads, head_dim } = shape;
    let mut out = Vec::new();
    for row in 0..rows {
        for head in 0..n_heads {
            let q = &q[(row * n_heads + head) * head_dim..][..head_dim];
            let at = |position: usize| (position * n_kv_heads + head / shape.group()) * head_dim;
            let score = |position: usize| {
                let k = &k[at(position)..][..head_dim];
                q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>() * f64::from(scale)
            };
            let seen = seen(row);
            let largest = seen.clone().map(score).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = seen.clone().map(|j| (score(j) - largest).exp()).sum();
            for d in 0..head_dim {
                let weighted = |j: usize| (score(j) - largest).exp() * f64::from(v[at(j) + d]);
                out.push(seen.clone().map(weighted).sum::<f64>() / sum);
            }
        }
    }
    out
}

/// Values that f16 holds exactly.
fn halves(random: &mut Random, len: usize) -> Vec<f32> {
    (0..len).map(|_| f16::from_f32(random.float() * 2.0).to_f32()).collect()
}

fn near(expected: &[f64], found: &[f32]) {
    for (expected, found) in expected.iter().zip(found) {
        // Averages of values below 2, from f32 scores of some units.
        assert!((expected - f64::from(*found)).abs() < 2e-5, "{expected} {found}");
    }
}

#[test]
fn causal_attention_is_the_softmax_average_of_what_a_row_sees() {
    let mut random = Random(11);
    let pool = ThreadPool::new(2);
    for (n_heads, n_kv_heads, head_dim) in [(7, 1, 64), (4, 2, 32), (3, 3, 20), (4, 1, 256), (6, 2, 48)] {
        for (before, rows, window) in
            [(0, 1, None), (0, 40, None), (300, 3, None), (250, 20, Some(150)), (127, 2, Some(1))]
        {
            let positions = before + rows;
            let width = n_kv_heads * head_dim;
            let (k, v) = (halves(&mut random, positions * width), halves(&mut random, positions * width));
            let q = random.floats(rows * n_heads * head_dim);
            let mut kv = KvLayer::new(n_kv_heads, head_dim, positions + 5);
            kv.write(0, &k, &v);
            let mut out = vec![f32::NAN; q.len()];
            attend(&pool, &q, n_heads, &kv, before, window, 0.3, &mut out);
            let seen = |row: usize| (before + row + 1).saturating_sub(window.unwrap_or(usize::MAX))..before + row + 1;
            let shape = Shape { rows, n_heads, n_kv_heads, head_dim };
            near(&naive(&q, &k, &v, shape, 0.3, &seen), &out);
        }
    }
}

#[test]
fn full_attention_looks_both_ways_within_its_window() {
    let mut random = Random(12);
    let pool = ThreadPool::new(2);
    for (n_heads, n_kv_heads, head_dim, rows, window) in [
        (12, 12, 32, 70, None),
        (3, 1, 256, 140, None),
        (3, 1, 64, 300, Some(100)),
        (2, 2, 16, 1, Some(0)),
        (2, 1, 24, 9, Some(3)),
    ] {
        let width = n_kv_heads * head_dim;
        let (k, v) = (random.floats(rows * width), random.floats(rows * width));
        let q = random.floats(rows * n_heads * head_dim);
        let mut out = vec![f32::NAN; q.len()];
        attend_full(&pool, &q, &k, &v, rows, n_heads, n_kv_heads, head_dim, window, 0.2, &mut out);
        let seen = |row: usize| match window {
            Some(window) => row.saturating_sub(window)..rows.min(row + window + 1),
            None => 0..rows,
        };
        near(&naive(&q, &k, &v, Shape { rows, n_heads, n_kv_heads, head_dim }, 0.2, &seen), &out);
    }
}

/// Attention over a cache on one instruction set.
fn attend_on(
    isa: Isa,
    pool: &ThreadPool,
    q: &[f32],
    n_heads: usize,
    kv: &KvLayer,
    first: usize,
    window: Option<usize>,
) -> Vec<f32> {
    let (n_kv_heads, head_dim) = (kv.n_kv_heads(), kv.head_dim());
    let mut out = vec![f32::NAN; q.len()];
    let shape = Shape::new(q, n_heads, n_kv_heads, head_dim, &out);
    causal(isa, pool, q, shape, kv, first, window, 0.25, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_row_has_the_same_bits_in_any_pieces_on_any_threads_and_instruction_sets(
        seed: u64,
        heads in prop::sample::select(vec![(7, 1, 64), (3, 1, 64), (4, 2, 32), (4, 1, 256), (2, 2, 80), (2, 1, 24)]),
        before in 0..300usize,
        rows in 1..40usize,
        split in 0..40usize,
        window in prop::option::of(1..200usize),
        threads in 2..4usize,
    ) {
        let (n_heads, n_kv_heads, head_dim) = heads;
        let mut random = Random(seed);
        let width = n_kv_heads * head_dim;
        let (k, v) = (random.floats((before + rows) * width), random.floats((before + rows) * width));
        let q = random.floats(rows * n_heads * head_dim);
        let mut kv = KvLayer::new(n_kv_heads, head_dim, before + rows);
        kv.write(0, &k, &v);
        let (one, several) = (ThreadPool::new(1), ThreadPool::new(threads));
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let expected = bits(&attend_on(Isa::Portable, &one, &q, n_heads, &kv, before, window));
        for isa in Isa::supported() {
            prop_assert_eq!(&expected, &bits(&attend_on(isa, &several, &q, n_heads, &kv, before, window)));
            let split = split.min(rows);
            let (a, b) = q.split_at(split * n_heads * head_dim);
            let mut pieces = bits(&attend_on(isa, &several, a, n_heads, &kv, before, window));
            pieces.extend(bits(&attend_on(isa, &one, b, n_heads, &kv, before + split, window)));
            prop_assert_eq!(&expected, &pieces);
        }
    }

    #[test]
    fn a_cache_exports_and_imports_its_bits(
        seed: u64,
        heads in 1..4usize,
        head_dim in 1..40usize,
        rows in 1..50usize,
        at in 0..20usize,
    ) {
        let mut random = Random(seed);
        let width = heads * head_dim;
        let mut kv = KvLayer::new(heads, head_dim, 80);
        kv.write(at, &random.floats(rows * width), &random.floats(rows * width));
        let bytes = kv.export(at..at + rows);
        prop_assert_eq!(bytes.len(), rows * kv.bytes_per_position());
        let mut other = KvLayer::new(heads, head_dim, 131);
        other.import(5..5 + rows, &bytes).unwrap();
        prop_assert_eq!(&other.export(5..5 + rows), &bytes);
        prop_assert!(other.export(0..5).iter().all(|&byte| byte == 0));
        prop_assert!(other.import(0..rows, &bytes[1..]).is_err());
        prop_assert!(other.import(131..131 + rows, &bytes).is_err());
    }
}

#[test]
fn values_beyond_f16_are_stored_as_its_largest() {
    let mut kv = KvLayer::new(1, 1, 2);
    kv.write(0, &[1e9], &[f32::NEG_INFINITY]);
    assert_eq!(kv.export(0..1), [0xff, 0x7b, 0xff, 0xfb]);
}
