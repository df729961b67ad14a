//! Kernels for Arm: NEON, NEON with the dot product (`sdot`), and with the 8-bit matrix product (`smmla`).
//!
//! The functions here are safe: NEON is part of every AArch64 target of Rust, and the further families are values of
//! [`Isa`], which are made only where the processor was found to have the features. NaN, and with it everything a NaN
//! touches, keeps the bits of the processor's own rules in portable and NEON code alike.

// One index names a register in several arrays of a tile.
#![allow(clippy::needless_range_loop)]

mod attention;
mod dots;
mod float;
mod half;
mod packed;
mod panel;
mod quantize;
mod roofline;
mod tile;

use crate::activations::Part;
use crate::dispatch::Isa;
use crate::kv::Stored;
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use float::FloatRows;
use panel::Panel;
use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    /// Unpacked weights of the task at hand.
    static SCRATCH: RefCell<Panel> = RefCell::default();
}

/// Up to this many activation rows read packed bits directly; more unpack a panel of them first.
const FEW: usize = 8;

/// Products of bytes in registers, and how many operations they were; see `roofline.rs`.
pub(crate) fn dots(isa: Isa, rounds: usize) -> u64 {
    // SAFETY: each value of `Isa` is made only where its features were detected.
    unsafe {
        match isa {
            Isa::NeonI8mm => roofline::i8mm(rounds),
            Isa::NeonDotprod => roofline::dotprod(rounds),
            Isa::Neon => roofline::neon(rounds),
            Isa::Portable => unreachable!("portable code has its own"),
        }
    }
}

/// One task's columns of a product.
pub(crate) fn columns(isa: Isa, w: Matrix<'_>, x: &Activations, columns: Columns<'_>) {
    if w.format().is_float() {
        let rows = FloatRows { data: w.data(), rows: w.rows(), cols: w.cols() };
        return float::float(w.format(), rows, &x.values, columns);
    }
    let range = columns.range();
    if range.is_empty() || w.cols() == 0 || x.rows() == 0 {
        return;
    }
    if w.is_packed() && x.rows() <= FEW {
        packed::few(isa, w, x, columns);
    } else {
        SCRATCH.with_borrow_mut(|panel| tile::many(isa, w, x, columns, panel));
    }
}

/// Quantizes activations.
pub(crate) fn quantize(_: Isa, part: &mut Part<'_>) {
    quantize::quantize(part);
}

/// Widens f16 bits.
pub(crate) fn widen_f16(_: Isa, from: &[u16], to: &mut [f32]) {
    half::widen(from, to);
}

/// Narrows to f16 bits, ties to even; values beyond its range become its largest.
pub(crate) fn narrow_f16(_: Isa, from: &[f32], to: &mut [u16]) {
    half::narrow(from, to);
}

/// How many of `n` queries the kernels of attention take at once.
pub(crate) fn attention_share(_: Isa, n: usize) -> usize {
    attention::share(n)
}

/// Scores of `n` packed queries against some tiles of a block's keys; see `Isa::scores_stored`.
pub(crate) fn attention_scores(
    _: Isa,
    q: &[f32],
    n: usize,
    head_dim: usize,
    k: Stored<'_>,
    tiles: Range<usize>,
    scores: &mut [f32],
) {
    attention::scores(q, n, head_dim, k, tiles, scores);
}

/// Adds a block's weighted values; see `Isa::weighted_stored`.
pub(crate) fn attention_weighted(
    _: Isa,
    weights: &[f32],
    n: usize,
    v: Stored<'_>,
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    attention::weighted(weights, n, v, positions, head_dim, out);
}
