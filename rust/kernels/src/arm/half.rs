//! Conversion between f16 and f32, part of base NEON (`fcvtl`, `fcvtn`).

use std::arch::aarch64::*;

pub(super) fn widen(from: &[u16], to: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<4>();
    let (to, to_rest) = to.as_chunks_mut::<4>();
    for (from, to) in from.iter().zip(to) {
        widen_4(from, to);
    }
    let mut last = ([0; 4], [0.0; 4]);
    last.0[..from_rest.len()].copy_from_slice(from_rest);
    widen_4(&last.0, &mut last.1);
    to_rest.copy_from_slice(&last.1[..to_rest.len()]);
}

fn widen_4(from: &[u16; 4], to: &mut [f32; 4]) {
    // SAFETY: four values each.
    unsafe { vst1q_f32(to.as_mut_ptr(), vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from.as_ptr())))) }
}

pub(super) fn narrow(from: &[f32], to: &mut [u16]) {
    let (from, from_rest) = from.as_chunks::<4>();
    let (to, to_rest) = to.as_chunks_mut::<4>();
    for (from, to) in from.iter().zip(to) {
        narrow_4(from, to);
    }
    let mut last = ([0.0; 4], [0; 4]);
    last.0[..from_rest.len()].copy_from_slice(from_rest);
    narrow_4(&last.0, &mut last.1);
    to_rest.copy_from_slice(&last.1[..to_rest.len()]);
}

fn narrow_4(from: &[f32; 4], to: &mut [u16; 4]) {
    // SAFETY: four values each.
    unsafe {
        // NaN passes both limits.
        let value = vminq_f32(vld1q_f32(from.as_ptr()), vdupq_n_f32(65504.0));
        let value = vmaxq_f32(value, vdupq_n_f32(-65504.0));
        vst1_u16(to.as_mut_ptr(), vreinterpret_u16_f16(vcvt_f16_f32(value)));
    }
}
