//! Superblocks of 256 values: small integer scales for each 16 or 32 values under one or two f16 scales.

use super::{Scales, f16_at};

/// 84 bytes: 16 of (minimum << 4 | scale), 64 of quants, f16 scale, f16 scale of the minima.
/// Each half of 128 values shares 32 bytes: 32 values in each pair of bits.
pub(super) fn q2_k_scales(bytes: &[u8], out: &mut Scales) {
    let (d, dmin) = (f16_at(bytes, 80), f16_at(bytes, 82));
    for (g, packed) in bytes[..16].iter().enumerate() {
        out.scale[g] = d * f32::from(packed & 15);
        out.min[g] = -(dmin * f32::from(packed >> 4));
    }
}

/// The scale and minimum of a group of [`q2_k_scales`] in one byte, as the file has them.
pub(super) fn q2_k_raw(bytes: &[u8], g: usize) -> u8 {
    bytes[g]
}

pub(super) fn q2_k(bytes: &[u8], q: &mut [i8; 256]) {
    for (i, q) in q.iter_mut().enumerate() {
        let byte = bytes[16 + i / 128 * 32 + i % 32];
        *q = ((byte >> (i % 128 / 32 * 2)) & 3).cast_signed();
    }
}

/// 110 bytes: 32 of high bits, 64 of low pairs of bits (as in [`q2_k`]), 12 of 6-bit scales, f16 scale.
pub(super) fn q3_k_scales(bytes: &[u8], out: &mut Scales) {
    let d = f16_at(bytes, 108);
    for g in 0..16 {
        out.scale[g] = d * f32::from(q3_k_raw(bytes, g));
    }
}

/// The signed scale of group `g`.
pub(super) fn q3_k_raw(bytes: &[u8], g: usize) -> i8 {
    let packed = &bytes[96..108];
    let low = if g < 8 { packed[g] & 15 } else { packed[g - 8] >> 4 };
    let high = (packed[8 + g % 4] >> (g / 4 * 2)) & 3;
    (low | (high << 4)).cast_signed() - 32
}

pub(super) fn q3_k(bytes: &[u8], q: &mut [i8; 256]) {
    for (i, q) in q.iter_mut().enumerate() {
        let low = (bytes[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
        let high = (bytes[i % 32] >> (i / 32)) & 1;
        *q = (low | (high << 2)).cast_signed() - 4;
    }
}

/// The 6-bit scale and minimum of group `j` of 8, from 12 packed bytes.
pub(super) fn scale_and_min(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        let scale = (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4);
        let min = (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4);
        (scale, min)
    }
}

pub(super) fn scales_and_minima(bytes: &[u8], out: &mut Scales) {
    let (d, dmin) = (f16_at(bytes, 0), f16_at(bytes, 2));
    for j in 0..8 {
        let (scale, min) = scale_and_min(&bytes[4..16], j);
        out.scale[2 * j..2 * j + 2].fill(d * f32::from(scale));
        out.min[2 * j..2 * j + 2].fill(-(dmin * f32::from(min)));
    }
}

/// 144 bytes: f16 scale, f16 scale of the minima, 12 of 6-bit scales and minima, 128 of quants.
/// Each 32 bytes hold 32 values in their low and the next 32 in their high halves.
pub(super) fn q4_k(bytes: &[u8], q: &mut [i8; 256]) {
    for (i, q) in q.iter_mut().enumerate() {
        let byte = bytes[16 + i / 64 * 32 + i % 32];
        *q = ((byte >> (i / 32 % 2 * 4)) & 15).cast_signed();
    }
}

/// 176 bytes: as [`q4_k`] with 32 bytes of fifth bits before the quants; bit `j` of byte `i` belongs to value `32 j + i`.
pub(super) fn q5_k(bytes: &[u8], q: &mut [i8; 256]) {
    for (i, q) in q.iter_mut().enumerate() {
        let byte = bytes[48 + i / 64 * 32 + i % 32];
        let high = (bytes[16 + i % 32] >> (i / 32)) & 1;
        *q = (((byte >> (i / 32 % 2 * 4)) & 15) | (high << 4)).cast_signed();
    }
}

/// 210 bytes: 128 of low nibbles, 64 of high pairs of bits, 16 signed scales, f16 scale.
/// Of each 128 values, 64 bytes hold the first 64 in their low and the next 64 in their high halves.
pub(super) fn q6_k_scales(bytes: &[u8], out: &mut Scales) {
    let d = f16_at(bytes, 208);
    for g in 0..16 {
        out.scale[g] = d * f32::from(bytes[192 + g].cast_signed());
    }
}

pub(super) fn q6_k(bytes: &[u8], q: &mut [i8; 256]) {
    for (i, q) in q.iter_mut().enumerate() {
        let (half, r) = (i / 128, i % 128);
        let low = (bytes[half * 64 + r % 64] >> (r / 64 * 4)) & 15;
        let high = (bytes[128 + half * 32 + r % 32] >> (r / 32 * 2)) & 3;
        *q = (low | (high << 4)).cast_signed() - 32;
    }
}
