//! The most that one thread does with 8-bit products.

use std::arch::aarch64::*;
use std::hint::black_box;

use super::dots::{sdot, smmla};

/// Sums that do not depend on each other: more than the instruction's latency times its rate.
const SUMS: usize = 16;

#[target_feature(enable = "neon,i8mm")]
pub(super) fn i8mm(rounds: usize) -> u64 {
    let mut sums = [vdupq_n_s32(0); SUMS];
    let (w, x) = (black_box(vdupq_n_s8(3)), black_box(vdupq_n_s8(5)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = smmla(*sum, w, x);
        }
    }
    black_box(sums);
    // Two rows by two rows of eight.
    (rounds * SUMS * 32 * 2) as u64
}

#[target_feature(enable = "neon,dotprod")]
pub(super) fn dotprod(rounds: usize) -> u64 {
    let mut sums = [vdupq_n_s32(0); SUMS];
    let (w, x) = (black_box(vdupq_n_s8(3)), black_box(vdupq_n_s8(5)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sdot::<0>(*sum, w, x);
        }
    }
    black_box(sums);
    (rounds * SUMS * 16 * 2) as u64
}

/// Without `sdot` eight products are one instruction and their sum another.
#[target_feature(enable = "neon")]
pub(super) fn neon(rounds: usize) -> u64 {
    let mut sums = [vdupq_n_s32(0); SUMS];
    let (w, x) = (black_box(vdup_n_s8(3)), vdup_n_s8(5));
    for _ in 0..rounds {
        for sum in &mut sums {
            // An activation of its own for each product, or the compiler would compute one for all.
            *sum = vpadalq_s16(*sum, vmull_s8(w, black_box(x)));
        }
    }
    black_box(sums);
    (rounds * SUMS * 8 * 2) as u64
}
