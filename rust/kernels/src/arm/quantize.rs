//! Quantizing activations with NEON; the order of operations is that of `activations.rs`.

use crate::activations::{Part, scale_and_inverse};
use std::arch::aarch64::*;

pub(super) fn quantize(part: &mut Part<'_>) {
    let groups = part.x.len() / 32;
    assert!(part.values.len() == part.x.len() && part.q.len() >= groups * 32 && part.biased.len() >= groups * 32);
    assert!(part.d.len() >= groups && part.sums.len() >= groups * 2 && part.dsums.len() >= groups * 2);
    part.values.copy_from_slice(part.x);
    for (i, x) in part.x.as_chunks::<32>().0.iter().enumerate() {
        // SAFETY: 32 values are read, and group `i` of `q` and `biased` has 32.
        let (d, halves) = unsafe { group(x, part.q.as_mut_ptr().add(i * 32), part.biased.as_mut_ptr().add(i * 32)) };
        part.d[i] = d;
        part.dsums32[i] = d * (halves[0] + halves[1]) as f32;
        for (half, sum) in halves.into_iter().enumerate() {
            part.sums[2 * i + half] = sum;
            part.dsums[2 * i + half] = d * sum as f32;
        }
    }
}

/// Quantizes 32 values; returns their scale and the sums of the first and the last 16 integers.
///
/// # Safety
/// `q` and `biased` have room for 32 values.
#[inline(always)]
unsafe fn group(x: &[f32; 32], q: *mut i8, biased: *mut u8) -> (f32, [i32; 2]) {
    // SAFETY: the caller's promise; vector `i` of the 8 lies within the 32 values.
    unsafe {
        let mut values = [vdupq_n_f32(0.0); 8];
        let mut largest = vdupq_n_u32(0);
        for i in 0..8 {
            values[i] = vld1q_f32(x.as_ptr().add(4 * i));
            // Bits of magnitudes are ordered as the magnitudes are, with NaN above all.
            let magnitude = vandq_u32(vreinterpretq_u32_f32(values[i]), vdupq_n_u32(0x7fff_ffff));
            largest = vmaxq_u32(largest, magnitude);
        }
        let (d, inverse) = scale_and_inverse(f32::from_bits(vmaxvq_u32(largest)));
        let mut sums = [0i32; 2];
        for half in 0..2 {
            let mut words = [vdupq_n_u32(0); 4];
            for i in 0..4 {
                // Adding this rounds to an integer, ties to even, and leaves it in the low bits.
                let rounded = vaddq_f32(vmulq_n_f32(values[half * 4 + i], inverse), vdupq_n_f32(12_582_912.0));
                words[i] = vreinterpretq_u32_f32(rounded);
            }
            let low_16 = |a, b| vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
            let (a, b) = (low_16(words[0], words[1]), low_16(words[2], words[3]));
            let bytes = vuzp1q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
            vst1q_s8(q.add(half * 16), vreinterpretq_s8_u8(bytes));
            vst1q_u8(biased.add(half * 16), veorq_u8(bytes, vdupq_n_u8(128)));
            sums[half] = i32::from(vaddlvq_s8(vreinterpretq_s8_u8(bytes)));
        }
        (d, sums)
    }
}
