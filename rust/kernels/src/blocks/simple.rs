//! Blocks of 32 values with one scale.
//!
//! The nibble formats store value `j` in the low half of byte `j` and value `j + 16` in its high half;
//! the fifth bit of value `j` is bit `j` of a 32-bit word.

use super::{Expanded, f16_at};

fn set(out: &mut Expanded, scale: f32, min: f32) {
    out.scale[..2].fill(scale);
    out.min[..2].fill(min);
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

pub(super) fn q4_0(bytes: &[u8], out: &mut Expanded) {
    set(out, f16_at(bytes, 0), 0.0);
    nibbles(&bytes[2..18], 8, &mut out.q);
}

pub(super) fn q4_1(bytes: &[u8], out: &mut Expanded) {
    set(out, f16_at(bytes, 0), f16_at(bytes, 2));
    nibbles(&bytes[4..20], 0, &mut out.q);
}

pub(super) fn q5_0(bytes: &[u8], out: &mut Expanded) {
    set(out, f16_at(bytes, 0), 0.0);
    nibbles_and_bit(&bytes[2..6], &bytes[6..22], 16, &mut out.q);
}

pub(super) fn q5_1(bytes: &[u8], out: &mut Expanded) {
    set(out, f16_at(bytes, 0), f16_at(bytes, 2));
    nibbles_and_bit(&bytes[4..8], &bytes[8..24], 0, &mut out.q);
}

pub(super) fn q8_0(bytes: &[u8], out: &mut Expanded) {
    set(out, f16_at(bytes, 0), 0.0);
    for (q, byte) in out.q.iter_mut().zip(&bytes[2..34]) {
        *q = byte.cast_signed();
    }
}
