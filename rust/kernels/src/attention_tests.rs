//! Attention against f64, and against itself in other batches, threads and instruction sets.

use super::*;
use crate::KvType;
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
            let scores: Vec<f64> = seen.clone().map(score).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // Once for all of a head's values, which the largest heads would feel under emulation.
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for d in 0..head_dim {
                let weighted = seen.clone().zip(&weights).map(|(j, weight)| weight * f64::from(v[at(j) + d]));
                out.push(weighted.sum::<f64>() / sum);
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
            let mut kv = KvLayer::new(n_kv_heads, head_dim, positions + 5, KvType::F16);
            kv.write(&pool, 0, &k, &v);
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

/// Keys and values as the cache holds them.
fn held(kv: &KvLayer, positions: usize) -> (Vec<f32>, Vec<f32>) {
    let (heads, head_dim) = (kv.n_kv_heads(), kv.head_dim());
    let (mut k, mut v) = (vec![0.0; positions * heads * head_dim], vec![0.0; positions * heads * head_dim]);
    let bytes = kv.export(0..positions);
    let mut vectors = bytes.chunks_exact(kv.bytes_per_position() / heads / 2);
    let half = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    for head in 0..heads {
        for position in 0..positions {
            for to in [&mut k, &mut v] {
                let bytes = vectors.next().unwrap();
                for (d, to) in to[(position * heads + head) * head_dim..][..head_dim].iter_mut().enumerate() {
                    *to = match kv.kv_type() {
                        KvType::F16 => half(&bytes[2 * d..]),
                        KvType::Q8 => f32::from(bytes[d].cast_signed()) * half(&bytes[head_dim + d / 32 * 2..]),
                    };
                }
            }
        }
    }
    (k, v)
}

#[test]
fn eight_bits_are_the_softmax_average_of_what_is_held_and_near_the_exact_one() {
    let mut random = Random(13);
    let pool = ThreadPool::new(2);
    for (n_heads, n_kv_heads, head_dim) in [(14, 2, 64), (9, 3, 64), (4, 1, 256), (2, 2, 80), (2, 1, 20)] {
        for (before, rows, window) in [(0, 30, None), (600, 1, None), (250, 20, Some(150))] {
            let positions = before + rows;
            let width = n_kv_heads * head_dim;
            let (k, v) = (random.floats(positions * width), random.floats(positions * width));
            let q = random.floats(rows * n_heads * head_dim);
            let mut kv = KvLayer::new(n_kv_heads, head_dim, positions, KvType::Q8);
            kv.write(&pool, 0, &k, &v);
            let scale = 1.0 / (head_dim as f32).sqrt();
            let mut out = vec![f32::NAN; q.len()];
            attend(&pool, &q, n_heads, &kv, before, window, scale, &mut out);
            let seen = |row: usize| (before + row + 1).saturating_sub(window.unwrap_or(usize::MAX))..before + row + 1;
            let shape = Shape { rows, n_heads, n_kv_heads, head_dim };
            let (k_held, v_held) = held(&kv, positions);
            near(&naive(&q, &k_held, &v_held, shape, scale, &seen), &out);
            let exact = naive(&q, &k, &v, shape, scale, &seen);
            let error = exact.iter().zip(&out).map(|(a, b)| (a - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
            let norm = exact.iter().map(|a| a * a).sum::<f64>().sqrt();
            // Half a step of 1/127 of the largest of 32 is 0.2 % to 0.4 % of a value's usual size, in keys and values.
            assert!(error / norm < 0.015, "relative error {}", error / norm);
            assert!(error > 0.0);
        }
    }
}

#[test]
fn eight_bits_take_little_more_than_half_the_memory() {
    let bytes = |kv_type| KvLayer::new(2, 64, 1024, kv_type).bytes_per_position();
    assert_eq!((bytes(KvType::F16), bytes(KvType::Q8)), (512, 272));
}

#[test]
fn powers_of_two_are_within_three_units_in_the_last_place() {
    for i in 0..=200_000 {
        let x = -125.9 * (i as f32 / 200_000.0);
        let exact = f64::from(x).exp2();
        let unit = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
        assert!((f64::from(power_of_two(x)) - exact).abs() <= 3.0 * unit, "{x}");
    }
    assert_eq!(power_of_two(0.0), 1.0);
    assert_eq!(power_of_two(-3.0), 0.125);
    assert_eq!((power_of_two(-127.5), power_of_two(f32::NEG_INFINITY)), (0.0, 0.0));
    assert!(power_of_two(f32::NAN).is_nan());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_row_has_the_same_bits_in_any_pieces_on_any_threads_and_instruction_sets(
        seed: u64,
        heads in prop::sample::select(vec![
            (14, 2, 64), (9, 3, 64), (4, 2, 32), (4, 1, 256), (2, 2, 80), (2, 1, 24), (13, 1, 16), (3, 3, 48),
        ]),
        kv_type in prop::sample::select(vec![KvType::F16, KvType::Q8]),
        before in 0..400usize,
        rows in 1..70usize,
        split in 0..70usize,
        window in prop::option::of(1..200usize),
        threads in 2..4usize,
    ) {
        let (n_heads, n_kv_heads, head_dim) = heads;
        let mut random = Random(seed);
        let width = n_kv_heads * head_dim;
        let positions = before + rows;
        let (k, v) = (random.floats(positions * width), random.floats(positions * width));
        let q = random.floats(rows * n_heads * head_dim);
        let (one, several) = (ThreadPool::new(1), ThreadPool::new(threads));
        let mut kv = KvLayer::new(n_kv_heads, head_dim, positions, kv_type);
        kv.write(&several, 0, &k, &v);
        // Written in pieces into a cache that held something else, behind and before.
        let mut again = KvLayer::new(n_kv_heads, head_dim, positions + 40, kv_type);
        again.write(&one, 0, &random.floats((positions + 40) * width), &random.floats((positions + 40) * width));
        for (k, (i, v)) in k.chunks(7 * width).zip(v.chunks(7 * width).enumerate()) {
            again.write(&one, i * 7, k, v);
        }
        prop_assert_eq!(kv.export(0..positions), again.export(0..positions));
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let expected = bits(&attend_on(Isa::Portable, &one, &q, n_heads, &kv, before, window));
        for isa in Isa::supported() {
            prop_assert_eq!(&expected, &bits(&attend_on(isa, &several, &q, n_heads, &kv, before, window)));
            let split = split.min(rows);
            let (a, b) = q.split_at(split * n_heads * head_dim);
            let mut pieces = bits(&attend_on(isa, &several, a, n_heads, &kv, before, window));
            pieces.extend(bits(&attend_on(isa, &one, b, n_heads, &kv, before + split, window)));
            prop_assert_eq!(&expected, &pieces);
            prop_assert_eq!(&expected, &bits(&attend_on(isa, &one, &q, n_heads, &again, before, window)));
        }
    }

    #[test]
    fn a_cache_exports_and_imports_its_bits(
        seed: u64,
        heads in 1..4usize,
        head_dim in 1..40usize,
        rows in 1..50usize,
        at in 0..20usize,
        kv_type in prop::sample::select(vec![KvType::F16, KvType::Q8]),
    ) {
        let pool = ThreadPool::new(2);
        let mut random = Random(seed);
        let width = heads * head_dim;
        let mut kv = KvLayer::new(heads, head_dim, 80, kv_type);
        kv.write(&pool, at, &random.floats(rows * width), &random.floats(rows * width));
        let bytes = kv.export(at..at + rows);
        prop_assert_eq!(bytes.len(), rows * kv.bytes_per_position());
        let mut other = KvLayer::new(heads, head_dim, 131, kv_type);
        other.import(5..5 + rows, &bytes).unwrap();
        prop_assert_eq!(&other.export(5..5 + rows), &bytes);
        prop_assert!(other.export(0..5).iter().all(|&byte| byte == 0));
        prop_assert!(other.import(0..rows, &bytes[1..]).is_err());
        prop_assert!(other.import(131..131 + rows, &bytes).is_err());
    }
}

#[test]
fn values_beyond_f16_are_stored_as_its_largest() {
    let mut kv = KvLayer::new(1, 1, 2, KvType::F16);
    kv.write(&ThreadPool::new(1), 0, &[1e9], &[f32::NEG_INFINITY]);
    assert_eq!(kv.export(0..1), [0xff, 0x7b, 0xff, 0xfb]);
}
