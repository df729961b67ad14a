//! Quantizing activations with AVX-512.

use crate::activations::{Part, scale_and_inverse};
use std::arch::x86_64::*;

/// Quantizes groups of 32 values, with the bits of the portable form.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) fn quantize(part: &mut Part<'_>) {
    let groups = part.x.len() / 32;
    assert!(part.values.len() == groups * 32 && part.q.len() == groups * 32 && part.biased.len() == groups * 32);
    assert!(part.d.len() == groups && part.dsums32.len() == groups);
    assert!(part.sums.len() == groups * 2 && part.dsums.len() == groups * 2);
    let magnitude = _mm512_set1_epi32(0x7fff_ffff);
    for i in 0..groups {
        // SAFETY: every buffer has its part of `groups` groups, as checked above.
        unsafe {
            let x = part.x.as_ptr().add(i * 32);
            let (low, high) = (_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(16)));
            let values = part.values.as_mut_ptr().add(i * 32);
            _mm512_storeu_ps(values, low);
            _mm512_storeu_ps(values.add(16), high);
            // Bits of magnitudes are ordered as the magnitudes are, with NaN above all.
            let both = _mm512_max_epu32(
                _mm512_and_si512(_mm512_castps_si512(low), magnitude),
                _mm512_and_si512(_mm512_castps_si512(high), magnitude),
            );
            let (d, inverse) = scale_and_inverse(f32::from_bits(_mm512_reduce_max_epu32(both)));
            let inverse = _mm512_set1_ps(inverse);
            // The default rounding is to nearest, ties to even.
            let low = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(low, inverse)));
            let high = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(high, inverse)));
            let q = _mm256_set_m128i(high, low);
            let biased = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
            _mm256_storeu_si256(part.q.as_mut_ptr().add(i * 32).cast(), q);
            _mm256_storeu_si256(part.biased.as_mut_ptr().add(i * 32).cast(), biased);
            // Sums over 8 bytes each, of q + 128.
            let eights = _mm256_sad_epu8(biased, _mm256_setzero_si256());
            let pairs = _mm256_add_epi64(eights, _mm256_unpackhi_epi64(eights, eights));
            let first = _mm_cvtsi128_si32(_mm256_castsi256_si128(pairs)) - 16 * 128;
            let second = _mm_cvtsi128_si32(_mm256_extracti128_si256::<1>(pairs)) - 16 * 128;
            *part.d.as_mut_ptr().add(i) = d;
            *part.dsums32.as_mut_ptr().add(i) = d * (first + second) as f32;
            let (sums, dsums) = (part.sums.as_mut_ptr().add(2 * i), part.dsums.as_mut_ptr().add(2 * i));
            (*sums, *sums.add(1)) = (first, second);
            (*dsums, *dsums.add(1)) = (d * first as f32, d * second as f32);
        }
    }
}
