//! The most that one thread does with 8-bit products, and loads that nothing but memory limits.

use std::arch::x86_64::*;
use std::hint::black_box;

/// Sums that do not depend on each other: more than the instruction's latency times its rate.
const SUMS: usize = 16;
/// How far ahead memory is asked for: about a page, which the hardware's own prefetching does not cross.
const AHEAD: usize = 4096;

#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn avx512_vnni(rounds: usize) -> u64 {
    let mut sums = [_mm512_setzero_si512(); SUMS];
    let (w, x) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, w, x);
        }
    }
    black_box(sums);
    (rounds * SUMS * 64 * 2) as u64
}

#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn avx_vnni(rounds: usize) -> u64 {
    let mut sums = [_mm256_setzero_si256(); 12];
    let (w, x) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(5)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_dpbusd_avx_epi32(*sum, w, x);
        }
    }
    black_box(sums);
    (rounds * 12 * 32 * 2) as u64
}

/// Without VNNI a product of bytes is three instructions.
#[target_feature(enable = "avx2")]
pub(super) fn avx2(rounds: usize) -> u64 {
    let mut sums = [_mm256_setzero_si256(); 8];
    let (w, x, ones) = (black_box(_mm256_set1_epi8(3)), _mm256_set1_epi8(5), _mm256_set1_epi16(1));
    for _ in 0..rounds {
        for sum in &mut sums {
            // An activation of its own for each product, or the compiler would compute one for all.
            let pairs = _mm256_maddubs_epi16(w, black_box(x));
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    black_box(sums);
    (rounds * 8 * 32 * 2) as u64
}

#[target_feature(enable = "avx512f")]
pub(super) fn xor(bytes: &[u8]) -> u64 {
    let mut sums = [_mm512_setzero_si512(); 8];
    let blocks = bytes.chunks_exact(8 * 64);
    let rest = blocks.remainder().iter().fold(0, |all, byte| all ^ u64::from(*byte));
    for block in blocks {
        for (i, sum) in sums.iter_mut().enumerate() {
            let line = block.as_ptr().wrapping_add(64 * i);
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(AHEAD).cast());
            // SAFETY: a block is eight lines of 64 bytes.
            *sum = _mm512_xor_si512(*sum, unsafe { _mm512_loadu_si512(line.cast()) });
        }
    }
    let sum = sums.into_iter().fold(_mm512_setzero_si512(), |all, sum| _mm512_xor_si512(all, sum));
    let mut words = [0u64; 8];
    // SAFETY: as long as a register.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), sum) };
    words.iter().fold(rest, |all, word| all ^ word)
}
