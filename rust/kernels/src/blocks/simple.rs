//! Blocks of 32 values with one scale.
//!
//! The nibble formats store value `j` in the low half of byte `j` and value `j + 16` in its high half;
//! the fifth bit of value `j` is bit `j` of a 32-bit word.

use super::{Scales, f16_at};

/// The scale, and the minimum where there is one.
pub(super) fn scales(has_min: bool, bytes: &[u8], out: &mut Scales) {
    out.scale[..2].fill(f16_at(bytes, 0));
    if has_min {
        out.min[..2].fill(f16_at(bytes, 2));
    }
}

fn nibbles(bytes: &[u8], offset: i8, q: &mut [i8; 256]) {
    for (j, byte) in bytes.iter().enumerate() {
        q[j] = (byte & 15).cast_signed() - offset;
        q[j + 16] = (byte >> 4).cast_signed() - offset;
    }
}

fn nibbles_and_bit(high: &[u8], bytes: &[u8], offset: i8, q: &mut [i8; 256]) {
    let bits = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    for (j, byte) in bytes.iter().enumerate() {
        let low_bit = ((bits >> j) & 1) as u8;
        let high_bit = ((bits >> (j + 16)) & 1) as u8;
        q[j] = ((byte & 15) | (low_bit << 4)).cast_signed() - offset;
        q[j + 16] = ((byte >> 4) | (high_bit << 4)).cast_signed() - offset;
    }
}

pub(super) fn q4_0(bytes: &[u8], q: &mut [i8; 256]) {
    nibbles(&bytes[2..18], 8, q);
}

pub(super) fn q4_1(bytes: &[u8], q: &mut [i8; 256]) {
    nibbles(&bytes[4..20], 0, q);
}

pub(super) fn q5_0(bytes: &[u8], q: &mut [i8; 256]) {
    nibbles_and_bit(&bytes[2..6], &bytes[6..22], 16, q);
}

pub(super) fn q5_1(bytes: &[u8], q: &mut [i8; 256]) {
    nibbles_and_bit(&bytes[4..8], &bytes[8..24], 0, q);
}

pub(super) fn q8_0(bytes: &[u8], q: &mut [i8; 256]) {
    for (q, byte) in q.iter_mut().zip(&bytes[2..34]) {
        *q = byte.cast_signed();
    }
}
