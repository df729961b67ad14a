//! The small operations between matrix products: norms, gates, softmax.
//!
//! Sums run over 16 accumulators as in `portable.rs`; exponentials are our own polynomial, so that every instruction
//! set gives the same bits.

use crate::ThreadPool;
use crate::portable::add_lanes;

/// Values one task of an elementwise operation takes.
const CHUNK: usize = 8192;

/// `e^x` within 2 units in the last place; 0 below -87.3, infinity above 88.7, NaN for NaN.
///
/// Cody and Waite's reduction to `2^n e^r`, `|r| <= ln 2 / 2`, and the Taylor polynomial of degree 7.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOW: f32 = -87.3;
    const HIGH: f32 = 88.7;
    /// Adding it rounds to an integer and leaves that integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let clamped = if x < LOW { LOW } else { x };
    let clamped = if clamped > HIGH { HIGH } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = r.mul_add(1.0 / 5040.0, 1.0 / 720.0);
    let p = p.mul_add(r, 1.0 / 120.0);
    let p = p.mul_add(r, 1.0 / 24.0);
    let p = p.mul_add(r, 1.0 / 6.0);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0);
    let p = p.mul_add(r, 1.0);
    // 2^n in two factors, because n = 128 is no exponent of its own.
    let bits = (shifted.to_bits() << 23).wrapping_add(126 << 23);
    let y = p * f32::from_bits(bits) * 2.0;
    let y = if x < LOW { 0.0 } else { y };
    if x > HIGH { f32::INFINITY } else { y }
}

/// The sum of `f(value)` over a row, in the fixed order.
#[inline(always)]
fn sum_of(x: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for x in whole {
        for i in 0..16 {
            lanes[i] = f(lanes[i], x[i]);
        }
    }
    for (i, x) in rest.iter().enumerate() {
        lanes[i] = f(lanes[i], *x);
    }
    add_lanes(lanes)
}

fn check_rows(x: &[f32], cols: usize, out: &[f32]) {
    assert!(
        cols > 0 && x.len().is_multiple_of(cols),
        "{} values in rows of {cols}",
        x.len()
    );
    assert_eq!(x.len(), out.len(), "input and output of one size");
}

/// Root mean square norm of each row: `x / sqrt(mean(x²) + eps) * weight`. A row has `weight.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows or `out` has another size.
pub fn rms_norm(pool: &ThreadPool, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let cols = weight.len();
    check_rows(x, cols, out);
    let rows_per_task = (CHUNK / cols).max(1);
    pool.for_each_chunk(out, rows_per_task * cols, &|i, out| {
        let x = &x[i * rows_per_task * cols..][..out.len()];
        for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
            let mean = sum_of(x, |acc, v| v.mul_add(v, acc)) / cols as f32;
            let inverse = 1.0 / (mean + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * w;
            }
        }
    });
}

/// Layer norm of each row: `(x - mean) / sqrt(variance + eps) * weight + bias`. A row has `weight.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows or `out` or `bias` has another size.
pub fn layer_norm(
    pool: &ThreadPool,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    let cols = weight.len();
    check_rows(x, cols, out);
    assert_eq!(bias.len(), cols, "weight and bias of one size");
    let rows_per_task = (CHUNK / cols).max(1);
    pool.for_each_chunk(out, rows_per_task * cols, &|i, out| {
        let x = &x[i * rows_per_task * cols..][..out.len()];
        for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
            let mean = sum_of(x, |acc, v| acc + v) / cols as f32;
            let variance = sum_of(x, |acc, v| (v - mean).mul_add(v - mean, acc)) / cols as f32;
            let inverse = 1.0 / (variance + eps).sqrt();
            for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = ((x - mean) * inverse).mul_add(*w, *b);
            }
        }
    });
}

/// `a += b`, value by value.
///
/// # Panics
/// If the sizes differ.
pub fn add_assign(a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "both of one size");
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// `x *= s`, value by value.
pub fn scale(x: &mut [f32], s: f32) {
    for x in x {
        *x *= s;
    }
}

fn gated(
    pool: &ThreadPool,
    gate: &[f32],
    up: &[f32],
    out: &mut [f32],
    f: impl Fn(f32) -> f32 + Sync,
) {
    assert!(
        gate.len() == up.len() && gate.len() == out.len(),
        "all three of one size"
    );
    pool.for_each_chunk(out, CHUNK, &|i, out| {
        let (gate, up) = (
            &gate[i * CHUNK..][..out.len()],
            &up[i * CHUNK..][..out.len()],
        );
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = f(*gate) * up;
        }
    });
}

/// SwiGLU: `out = silu(gate) * up`, with `silu(x) = x / (1 + e^-x)`.
///
/// # Panics
/// If the sizes differ.
pub fn silu_mul(pool: &ThreadPool, gate: &[f32], up: &[f32], out: &mut [f32]) {
    gated(pool, gate, up, out, |x| x / (1.0 + exp(-x)));
}

/// GeGLU: `out = gelu(gate) * up`, with the tanh form of GELU.
///
/// # Panics
/// If the sizes differ.
pub fn gelu_tanh_mul(pool: &ThreadPool, gate: &[f32], up: &[f32], out: &mut [f32]) {
    // 0.5 (1 + tanh u) is 1 / (1 + e^-2u).
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_1;
    gated(pool, gate, up, out, |x| {
        let inner = (x * x * x).mul_add(0.044_715, x);
        x / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * inner))
    });
}

/// GELU in place, `x Φ(x)` with the error function (Abramowitz and Stegun 7.1.26, absolute error 1.5e-7).
pub fn gelu_erf(pool: &ThreadPool, x: &mut [f32]) {
    pool.for_each_chunk(x, CHUNK, &|_, x| {
        for x in x {
            let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
            let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
            let p = t.mul_add(1.061_405_4, -1.453_152);
            let p = p.mul_add(t, 1.421_413_7);
            let p = p.mul_add(t, -0.284_496_74);
            let p = p.mul_add(t, 0.254_829_6);
            // erfc(z) / 2: the tail, without cancellation.
            let tail = 0.5 * p * t * exp(-z * z);
            *x *= if *x > 0.0 { 1.0 - tail } else { tail };
        }
    });
}

/// Softmax of one row, in place. An empty row stays empty.
pub fn softmax(x: &mut [f32]) {
    let largest = x.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
    for x in x.iter_mut() {
        *x = exp(*x - largest);
    }
    let sum = sum_of(x, |acc, v| acc + v);
    let inverse = 1.0 / sum;
    for x in x {
        *x *= inverse;
    }
}
