//! The other operand of a matrix product: rows of f32, quantized once and used against many weights.

use crate::ThreadPool;
use crate::dispatch::{Isa, Kernel};
use std::sync::{Mutex, PoisonError};

/// Values one task quantizes.
const TASK: usize = 16 * 1024;

/// Rows of activations: the f32 values, and for each 32 of them 8-bit integers with one f32 scale.
///
/// Quantizing costs about as much as one output column, so it is done once for all weights that read the same input.
/// The buffers are kept from one [`set`](Self::set) to the next.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    rows: usize,
    cols: usize,
    pub(crate) values: Vec<f32>,
    /// `(rows, cols)`: `round_ties_even(x / d)`, within -127..=127. Empty if `cols` is no multiple of 32.
    pub(crate) q: Vec<i8>,
    /// `q + 128`, for dot products of unsigned by signed bytes.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) biased: Vec<u8>,
    /// `(rows, cols / 32)`: the scale `d`, the largest magnitude over 127.
    pub(crate) d: Vec<f32>,
    /// `(rows, cols / 16)`: the sum of `q` over each 16.
    #[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
    pub(crate) sums: Vec<i32>,
    /// `(rows, cols / 16)`: `d` times that sum, what a minimum is multiplied with.
    pub(crate) dsums: Vec<f32>,
    /// `(rows, cols / 32)`: `d` times the sum over each 32.
    pub(crate) dsums32: Vec<f32>,
}

/// The parts of all buffers that belong to some rows.
pub(crate) struct Part<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) values: &'a mut [f32],
    pub(crate) q: &'a mut [i8],
    pub(crate) biased: &'a mut [u8],
    pub(crate) d: &'a mut [f32],
    pub(crate) sums: &'a mut [i32],
    pub(crate) dsums: &'a mut [f32],
    pub(crate) dsums32: &'a mut [f32],
}

impl Activations {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of rows set last.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns set last.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Takes the `(rows, cols)` values of `x`, row-major.
    ///
    /// # Panics
    /// If `x` is no whole number of rows of `cols` values.
    pub fn set(&mut self, pool: &ThreadPool, x: &[f32], cols: usize) {
        self.set_on(Isa::detected(), pool, x, cols);
    }

    pub(crate) fn set_on(&mut self, isa: Isa, pool: &ThreadPool, x: &[f32], cols: usize) {
        assert!(cols > 0 && x.len().is_multiple_of(cols), "{} values in rows of {cols}", x.len());
        self.rows = x.len() / cols;
        self.cols = cols;
        self.values.resize(x.len(), 0.0);
        if !cols.is_multiple_of(32) {
            self.q.clear();
            self.values.copy_from_slice(x);
            return;
        }
        self.q.resize(x.len(), 0);
        self.biased.resize(x.len(), 0);
        self.d.resize(x.len() / 32, 0.0);
        self.sums.resize(x.len() / 16, 0);
        self.dsums.resize(x.len() / 16, 0.0);
        self.dsums32.resize(x.len() / 32, 0.0);
        let task = if x.len() < 2 * TASK { x.len().max(1) } else { TASK };
        let parts = x
            .chunks(task)
            .zip(self.values.chunks_mut(task))
            .zip(self.q.chunks_mut(task).zip(self.biased.chunks_mut(task)))
            .zip(self.d.chunks_mut(task.div_ceil(32)).zip(self.sums.chunks_mut(task.div_ceil(16))))
            .zip(self.dsums.chunks_mut(task.div_ceil(16)).zip(self.dsums32.chunks_mut(task.div_ceil(32))))
            .map(|((((x, values), (q, biased)), (d, sums)), (dsums, dsums32))| {
                Mutex::new(Part { x, values, q, biased, d, sums, dsums, dsums32 })
            });
        if task == x.len().max(1) {
            for part in parts {
                let mut part = part.into_inner().unwrap_or_else(PoisonError::into_inner);
                part.quantize(isa);
            }
        } else {
            let parts: Vec<_> = parts.collect();
            pool.run(parts.len(), &|i| {
                let mut part = parts[i].lock().unwrap_or_else(PoisonError::into_inner);
                part.quantize(isa);
            });
        }
    }
}

impl Part<'_> {
    fn quantize(&mut self, isa: Isa) {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => crate::x86::quantize(isa, self),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => crate::arm::quantize(isa, self),
            _ => isa.compiled(Quantize(self)),
        }
    }
}

struct Quantize<'a, 'b>(&'a mut Part<'b>);

impl Kernel for Quantize<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        quantize(self.0);
    }
}

#[inline(always)]
fn quantize(part: &mut Part<'_>) {
    part.values.copy_from_slice(part.x);
    let q = part.q.as_chunks_mut::<32>().0.iter_mut().zip(part.biased.as_chunks_mut::<32>().0);
    for (i, (x, (q, biased))) in part.x.as_chunks::<32>().0.iter().zip(q).enumerate() {
        let d = quantize_32(x, q);
        let mut halves = [0i32; 2];
        for (half, q) in halves.iter_mut().zip(q.as_chunks::<16>().0) {
            *half = q.iter().map(|&q| i32::from(q)).sum();
        }
        for (biased, q) in biased.iter_mut().zip(q) {
            *biased = q.cast_unsigned() ^ 128;
        }
        part.d[i] = d;
        part.dsums32[i] = d * (halves[0] + halves[1]) as f32;
        for (half, sum) in halves.into_iter().enumerate() {
            part.sums[2 * i + half] = sum;
            part.dsums[2 * i + half] = d * sum as f32;
        }
    }
}

/// Quantizes 32 values and returns their scale.
///
/// Values all below 1e-30 in magnitude become zero. An infinite or NaN value makes the scale infinite or NaN, which
/// spreads to every output of the row.
#[inline(always)]
fn quantize_32(x: &[f32; 32], q: &mut [i8; 32]) -> f32 {
    /// Adding it rounds to an integer, ties to even, and leaves that integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    // Bits of magnitudes are ordered as the magnitudes are, with NaN above all.
    let largest = f32::from_bits(x.iter().fold(0, |m, v| m.max(v.to_bits() & 0x7fff_ffff)));
    let (d, inverse) = scale_and_inverse(largest);
    for (q, x) in q.iter_mut().zip(x) {
        *q = ((x * inverse) + MAGIC).to_bits() as i8;
    }
    d
}

/// The scale of a group whose largest magnitude is `largest`, and what its values are multiplied with.
#[inline(always)]
pub(crate) fn scale_and_inverse(largest: f32) -> (f32, f32) {
    if largest < 1e-30 {
        (0.0, 0.0)
    } else if largest < f32::INFINITY {
        (largest / 127.0, 127.0 / largest)
    } else {
        (largest, 0.0)
    }
}
