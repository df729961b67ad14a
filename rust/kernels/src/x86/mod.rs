//! Kernels for x86-64: AVX2, AVX2 with AVX-VNNI, AVX-512 with VNNI.
//!
//! The functions here are safe: each takes the [`Isa`] it runs on, and values of it are made only where the processor
//! was found to have the features.

// One index names a register in several arrays of a tile.
#![allow(clippy::needless_range_loop)]

mod avx2;
mod avx2_attention;
mod avx2_float;
mod avx512;
mod avx512_attention;
mod avx512_float;
mod avx512_formats;
mod avx512_low_rank;
mod avx512_packed;
mod avx512_quantize;
mod f16c;
mod roofline;

use crate::activations::Part;
use crate::attention::{BLOCK, STRIDE};
use crate::dispatch::{Isa, Kernel};
use crate::kv::{GROUP, Stored, TILE};
use crate::low_rank::{DownRows, LANES, PARTS, UpColumns};
use crate::panel::Panel;
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use avx512_float::FloatRows;
use std::ops::Range;

/// Products of bytes in registers, and how many operations they were; see `roofline.rs`.
pub(crate) fn dots(isa: Isa, rounds: usize) -> u64 {
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        match isa {
            Isa::Avx512Vnni => roofline::avx512_vnni(rounds),
            Isa::AvxVnni => roofline::avx_vnni(rounds),
            Isa::Avx2 => roofline::avx2(rounds),
            Isa::Portable => unreachable!("portable code has its own"),
        }
    }
}

/// The exclusive or of all bytes' words, read as fast as they come.
pub(crate) fn xor(isa: Isa, bytes: &[u8]) -> u64 {
    assert_eq!(isa, Isa::Avx512Vnni, "the others are compiled from portable code");
    // SAFETY: the value of `Isa` is made only where its features were detected.
    unsafe { roofline::xor(bytes) }
}

/// One task's columns of a product.
pub(crate) fn columns(isa: Isa, w: Matrix<'_>, x: &Activations, columns: Columns<'_>, scratch: &mut Panel) {
    if w.format().is_float() {
        let rows = FloatRows { data: w.data(), rows: w.rows(), cols: w.cols() };
        return float(isa, w.format(), rows, &x.values, columns);
    }
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        match isa {
            Isa::Avx512Vnni if w.is_packed() => avx512_packed::quantized(w, x, columns, scratch),
            Isa::Avx512Vnni => avx512::quantized(w, x, columns, scratch),
            Isa::Avx2 | Isa::AvxVnni => avx2::quantized(isa == Isa::AvxVnni, w, x, columns, scratch),
            Isa::Portable => unreachable!("portable code has its own kernels"),
        }
    }
}

/// Part of the first product of a low-rank addition.
pub(crate) fn low_rank_down(isa: Isa, rows: DownRows<'_>) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe { avx512_low_rank::down(rows) }
}

/// The second product of a low-rank addition, for the columns of one task.
pub(crate) fn low_rank_up(isa: Isa, columns: UpColumns<'_, '_>) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe { avx512_low_rank::up(columns) }
}

/// The first product for one row of `x`, from the f16 bits of a lane group of A.
pub(crate) fn low_rank_down_one(isa: Isa, x: &[f32], bits: &[u16]) -> [[f32; LANES]; PARTS] {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe { avx512_low_rank::down_one(x, bits) }
}

/// The second product for one row, from the f16 bits of a panel of B.
pub(crate) fn low_rank_up_one(isa: Isa, low: &[f32], bits: &[u16], columns: &mut Columns<'_>) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe { avx512_low_rank::up_one(low, bits, columns) }
}

/// Asks for values that will be read soon.
pub(crate) fn prefetch(values: &[u16]) {
    for line in values.chunks(32) {
        // SAFETY: a prefetch reads nothing, wherever it points; every x86-64 processor has it.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
}

fn float(isa: Isa, format: Format, w: FloatRows<'_>, x: &[f32], columns: Columns<'_>) {
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        match isa {
            Isa::Avx512Vnni => avx512_float::float(format, w, x, columns),
            Isa::Avx2 | Isa::AvxVnni => avx2_float::float(format, w, x, columns),
            Isa::Portable => unreachable!("portable code has its own kernels"),
        }
    }
}

/// Runs portable code with the instructions of `isa`.
#[inline]
pub(crate) fn compiled<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,f16c,avx2")]
    fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run()
    }
    #[target_feature(enable = "fma,f16c,avx2")]
    fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run()
    }
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        match isa {
            Isa::Avx512Vnni => with_avx512(kernel),
            Isa::Avx2 | Isa::AvxVnni => with_avx2(kernel),
            Isa::Portable => kernel.run(),
        }
    }
}

/// Quantizes activations.
pub(crate) fn quantize(isa: Isa, part: &mut Part<'_>) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe { avx512_quantize::quantize(part) }
}

/// Widens f16 bits.
pub(crate) fn widen_f16(isa: Isa, from: &[u16], to: &mut [f32]) {
    assert_ne!(isa, Isa::Portable);
    // SAFETY: every value but `Portable` is made only where AVX2 and F16C were detected.
    unsafe { f16c::widen(from, to) }
}

/// Narrows to f16 bits, ties to even; values beyond its range become its largest.
pub(crate) fn narrow_f16(isa: Isa, from: &[f32], to: &mut [u16]) {
    assert_ne!(isa, Isa::Portable);
    // SAFETY: every value but `Portable` is made only where AVX2 and F16C were detected.
    unsafe { f16c::narrow(from, to) }
}

/// How many of `n` queries the kernels of attention take at once.
pub(crate) fn attention_share(isa: Isa, n: usize) -> usize {
    if isa == Isa::Avx512Vnni { avx512_attention::share(n) } else { avx2_attention::share(n) }
}

/// Scores of `n` packed queries against some tiles of a block's keys; see `Isa::scores_stored`.
pub(crate) fn attention_scores(
    isa: Isa,
    q: &[f32],
    n: usize,
    head_dim: usize,
    k: Stored<'_>,
    tiles: Range<usize>,
    scores: &mut [f32],
) {
    assert_ne!(isa, Isa::Portable);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        if isa == Isa::Avx512Vnni {
            avx512_attention::scores(q, n, head_dim, k, tiles, scores);
        } else {
            avx2_attention::scores(q, n, head_dim, k, tiles, scores);
        }
    }
}

/// Adds a block's weighted values; see `Isa::weighted_stored`.
pub(crate) fn attention_weighted(
    isa: Isa,
    weights: &[f32],
    n: usize,
    v: Stored<'_>,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    assert_ne!(isa, Isa::Portable);
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        if isa == Isa::Avx512Vnni {
            avx512_attention::weighted(weights, n, v, positions, head_dim, out);
        } else {
            avx2_attention::weighted(weights, n, v, positions, head_dim, out);
        }
    }
}

/// That everything the kernels of scores read and write is there.
fn check_scores(q: &[f32], n: usize, head_dim: usize, k: Stored<'_>, tiles: &Range<usize>, scores: &[f32]) {
    assert!(n > 0 && head_dim <= STRIDE && q.len() >= (n - 1) * STRIDE + head_dim, "all queries");
    assert!(tiles.end * TILE <= BLOCK && scores.len() >= n * BLOCK, "room for all scores");
    check_stored(k, tiles.end * TILE, head_dim);
}

/// That everything the kernels of weighted values read and write is there.
fn check_weighted(weights: &[f32], n: usize, v: Stored<'_>, positions: &Range<usize>, head_dim: usize, out: &[f32]) {
    assert!(head_dim.is_multiple_of(16) && out.len() == n * head_dim, "whole registers of output");
    assert!(positions.end <= BLOCK && weights.len() >= n * BLOCK, "all weights");
    check_stored(v, positions.end, head_dim);
}

fn check_stored(stored: Stored<'_>, positions: usize, head_dim: usize) {
    let (values, scales) = match stored {
        Stored::F32(values) => (values.len(), usize::MAX),
        Stored::F16(values) => (values.len(), usize::MAX),
        Stored::Q8(values, scales) => (values.len(), scales.len()),
    };
    assert!(values >= positions * head_dim && scales >= positions * head_dim.div_ceil(GROUP), "all positions");
}
