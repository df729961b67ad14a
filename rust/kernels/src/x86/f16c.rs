//! Conversion between f16 and f32 in 256-bit registers.

use std::arch::x86_64::*;

#[target_feature(enable = "avx2,f16c")]
pub(super) fn widen(from: &[u16], to: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<8>();
    let (to, to_rest) = to.as_chunks_mut::<8>();
    for (from, to) in from.iter().zip(to) {
        // SAFETY: eight values each.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()))) };
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        *to = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(*from))));
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn narrow(from: &[f32], to: &mut [u16]) {
    let (from, from_rest) = from.as_chunks::<8>();
    let (to, to_rest) = to.as_chunks_mut::<8>();
    let largest = _mm256_set1_ps(65504.0);
    let smallest = _mm256_set1_ps(-65504.0);
    for (from, to) in from.iter().zip(to) {
        // SAFETY: eight values each.
        unsafe {
            // The value is the second operand: a NaN in it is what min and max give.
            let value = _mm256_max_ps(smallest, _mm256_min_ps(largest, _mm256_loadu_ps(from.as_ptr())));
            let bits = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value);
            _mm_storeu_si128(to.as_mut_ptr().cast(), bits);
        }
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        let value = _mm_set_ss(from.clamp(-65504.0, 65504.0));
        let bits = _mm_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value);
        *to = _mm_cvtsi128_si32(bits) as u16;
    }
}
