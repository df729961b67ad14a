//! The small operations between matrix products: norms, gates, softmax.
//!
//! Sums run over 16 accumulators as in `portable.rs`; exponentials are our own polynomial, so that every instruction
//! set gives the same bits.

use crate::ThreadPool;
use crate::dispatch::{Isa, Kernel};
use crate::portable::add_lanes;

/// Values one task of an elementwise operation takes.
const CHUNK: usize = 8192;

/// `e^x` within 2 units in the last place; 0 below -86.9, infinity above 88.7, NaN for NaN.
///
/// Cody and Waite's reduction to `2^n e^r`, `|r| <= ln 2 / 2`, and the Taylor polynomial of degree 7.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOW: f32 = -86.9;
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
    // 2^n in two factors, because n = 128 is no exponent of its own; n is at least -125.
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
    assert!(cols > 0 && x.len().is_multiple_of(cols), "{} values in rows of {cols}", x.len());
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
    let isa = Isa::detected();
    pool.for_each_chunk(out, rows_per_task * cols, &|i, out| {
        let x = &x[i * rows_per_task * cols..][..out.len()];
        isa.compiled(RmsNormRows(x, weight, eps, out));
    });
}

struct RmsNormRows<'a>(&'a [f32], &'a [f32], f32, &'a mut [f32]);

impl Kernel for RmsNormRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(x, weight, eps, out) = self;
        let cols = weight.len();
        for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
            let mean = sum_of(x, |acc, v| v.mul_add(v, acc)) / cols as f32;
            let inverse = 1.0 / (mean + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * w;
            }
        }
    }
}

/// Layer norm of each row: `(x - mean) / sqrt(variance + eps) * weight + bias`. A row has `weight.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows or `out` or `bias` has another size.
pub fn layer_norm(pool: &ThreadPool, x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let cols = weight.len();
    check_rows(x, cols, out);
    assert_eq!(bias.len(), cols, "weight and bias of one size");
    let rows_per_task = (CHUNK / cols).max(1);
    let isa = Isa::detected();
    pool.for_each_chunk(out, rows_per_task * cols, &|i, out| {
        let x = &x[i * rows_per_task * cols..][..out.len()];
        isa.compiled(LayerNormRows(x, weight, bias, eps, out));
    });
}

struct LayerNormRows<'a>(&'a [f32], &'a [f32], &'a [f32], f32, &'a mut [f32]);

impl Kernel for LayerNormRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(x, weight, bias, eps, out) = self;
        let cols = weight.len();
        for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
            let mean = sum_of(x, |acc, v| acc + v) / cols as f32;
            let variance = sum_of(x, |acc, v| (v - mean).mul_add(v - mean, acc)) / cols as f32;
            let inverse = 1.0 / (variance + eps).sqrt();
            for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = ((x - mean) * inverse).mul_add(*w, *b);
            }
        }
    }
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

/// A gate on one chunk: gate, up, out.
type Gate<'a> = &'a (dyn Fn(&[f32], &[f32], &mut [f32]) + Sync);

/// Splits `out` over the pool, with the same chunk of two inputs beside each of its chunks.
fn by_chunks(pool: &ThreadPool, gate: &[f32], up: &[f32], out: &mut [f32], f: Gate<'_>) {
    assert!(gate.len() == up.len() && gate.len() == out.len(), "all three of one size");
    pool.for_each_chunk(out, CHUNK, &|i, out| {
        f(&gate[i * CHUNK..][..out.len()], &up[i * CHUNK..][..out.len()], out);
    });
}

/// SwiGLU: `out = silu(gate) * up`, with `silu(x) = x / (1 + e^-x)`.
///
/// # Panics
/// If the sizes differ.
pub fn silu_mul(pool: &ThreadPool, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let isa = Isa::detected();
    by_chunks(pool, gate, up, out, &|gate, up, out| isa.compiled(SiluMulChunk(gate, up, out)));
}

struct SiluMulChunk<'a>(&'a [f32], &'a [f32], &'a mut [f32]);

impl Kernel for SiluMulChunk<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(gate, up, out) = self;
        for ((out, &x), up) in out.iter_mut().zip(gate).zip(up) {
            *out = x / (1.0 + exp(-x)) * up;
        }
    }
}

/// GeGLU: `out = gelu(gate) * up`, with the tanh form of GELU.
///
/// # Panics
/// If the sizes differ.
pub fn gelu_tanh_mul(pool: &ThreadPool, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let isa = Isa::detected();
    by_chunks(pool, gate, up, out, &|gate, up, out| isa.compiled(GeluTanhMulChunk(gate, up, out)));
}

/// `x (1 + tanh u) / 2` is `x / (1 + e^-2u)`.
struct GeluTanhMulChunk<'a>(&'a [f32], &'a [f32], &'a mut [f32]);

impl Kernel for GeluTanhMulChunk<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(gate, up, out) = self;
        const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_2;
        for ((out, &x), up) in out.iter_mut().zip(gate).zip(up) {
            let inner = (x * x * x).mul_add(0.044_715, x);
            *out = x / (1.0 + exp(-TWICE_SQRT_2_OVER_PI * inner)) * up;
        }
    }
}

/// GELU in place, `x Φ(x)` with the error function (Abramowitz and Stegun 7.1.26, absolute error 1.5e-7).
pub fn gelu_erf(pool: &ThreadPool, x: &mut [f32]) {
    let isa = Isa::detected();
    pool.for_each_chunk(x, CHUNK, &|_, x| isa.compiled(GeluErfChunk(x)));
}

struct GeluErfChunk<'a>(&'a mut [f32]);

impl Kernel for GeluErfChunk<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(x) = self;
        for x in x {
            *x = gelu_exact(*x);
        }
    }
}

#[inline(always)]
fn gelu_exact(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152);
    let p = p.mul_add(t, 1.421_413_7);
    let p = p.mul_add(t, -0.284_496_74);
    let p = p.mul_add(t, 0.254_829_6);
    // The upper tail of the normal distribution, without cancellation.
    let tail = 0.5 * p * t * exp(-z * z);
    x * if x > 0.0 { 1.0 - tail } else { tail }
}

/// Softmax of one row, in place. An empty row stays empty.
pub fn softmax(x: &mut [f32]) {
    Isa::detected().compiled(SoftmaxRow(x));
}

struct SoftmaxRow<'a>(&'a mut [f32]);

impl Kernel for SoftmaxRow<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self(x) = self;
        let largest = largest(x);
        for x in x.iter_mut() {
            *x = exp(*x - largest);
        }
        let inverse = 1.0 / sum_of(x, |acc, v| acc + v);
        for x in x {
            *x *= inverse;
        }
    }
}

/// The largest value; NaN counts as below all.
#[inline(always)]
pub(crate) fn largest(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for x in whole {
        for i in 0..16 {
            lanes[i] = if x[i] > lanes[i] { x[i] } else { lanes[i] };
        }
    }
    let mut largest = f32::NEG_INFINITY;
    for &x in lanes.iter().chain(rest) {
        largest = if x > largest { x } else { largest };
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(low: f32, high: f32) -> impl Iterator<Item = f32> {
        (0..=100_000).map(move |i| low + (high - low) * (i as f32 / 100_000.0))
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for x in span(-86.8, 88.6) {
            let exact = f64::from(x).exp();
            let unit = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
            assert!((f64::from(exp(x)) - exact).abs() <= 2.0 * unit, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn gates_are_what_they_are_called() {
        let pool = ThreadPool::new(2);
        let gate: Vec<f32> = span(-12.0, 12.0).collect();
        let up = vec![2.0; gate.len()];
        let (mut silu, mut tanh) = (vec![0.0; gate.len()], vec![0.0; gate.len()]);
        silu_mul(&pool, &gate, &up, &mut silu);
        gelu_tanh_mul(&pool, &gate, &up, &mut tanh);
        for ((&x, &silu), &tanh) in gate.iter().zip(&silu).zip(&tanh) {
            let x = f64::from(x);
            // A few roundings of f32, relative to the argument.
            let limit = 1e-6 * (1.0 + x.abs());
            assert!((f64::from(silu) - 2.0 * x / (1.0 + (-x).exp())).abs() < limit, "silu {x}");
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            assert!((f64::from(tanh) - x * (1.0 + inner.tanh())).abs() < limit, "gelu {x}");
        }
    }

    #[test]
    fn the_exact_gelu_is_the_integral_of_the_normal_density() {
        let pool = ThreadPool::new(1);
        // Values of x Φ(x) from tables of the normal distribution, 10 digits.
        let known = [(0.0, 0.0), (1.0, 0.841_344_746_1), (-1.0, -0.158_655_253_9), (2.0, 1.954_499_736_1)];
        let known = known.into_iter().chain([(-3.0, -0.004_049_694_1), (0.5, 0.345_731_230_6)]);
        for (x, expected) in known {
            let mut value = [x];
            gelu_erf(&pool, &mut value);
            // The formula's 1.5e-7, times the argument, and roundings.
            assert!((f64::from(value[0]) - expected).abs() < 5e-7, "{x}: {}", value[0]);
        }
    }

    #[test]
    fn norms_center_and_scale() {
        let pool = ThreadPool::new(2);
        for cols in [3, 16, 96, 576] {
            let rows = 70;
            let x: Vec<f32> = (0..rows * cols).map(|i| ((i * 37) % 101) as f32 / 10.0 - 3.0).collect();
            let weight: Vec<f32> = (0..cols).map(|i| 1.0 + i as f32 / cols as f32).collect();
            let bias: Vec<f32> = (0..cols).map(|i| i as f32 / 7.0).collect();
            let (mut rms, mut layer) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            rms_norm(&pool, &x, &weight, 1e-6, &mut rms);
            layer_norm(&pool, &x, &weight, &bias, 1e-6, &mut layer);
            for row in 0..rows {
                let x: Vec<f64> = x[row * cols..(row + 1) * cols].iter().map(|&x| f64::from(x)).collect();
                let n = cols as f64;
                let mean = x.iter().sum::<f64>() / n;
                let square = x.iter().map(|x| x * x).sum::<f64>() / n;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                for i in 0..cols {
                    let (w, b) = (f64::from(weight[i]), f64::from(bias[i]));
                    let expected = x[i] / (square + 1e-6).sqrt() * w;
                    assert!((f64::from(rms[row * cols + i]) - expected).abs() < 1e-5);
                    let expected = (x[i] - mean) / (variance + 1e-6).sqrt() * w + b;
                    assert!((f64::from(layer[row * cols + i]) - expected).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn softmax_sums_to_one_and_hides_infinities() {
        let mut x = vec![1.0, 3.0, f32::NEG_INFINITY, 3.0, -200.0];
        softmax(&mut x);
        assert_eq!(x[1], x[3]);
        assert_eq!((x[2], x[4]), (0.0, 0.0));
        assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        softmax(&mut []);
    }
}
