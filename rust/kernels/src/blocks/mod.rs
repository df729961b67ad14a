//! What the bytes of each block mean, in portable Rust.
//!
//! Every quantized block expands to the same picture, [`Expanded`]: small integers, and for each 16 of them a scale
//! and a minimum. Dequantizing, the portable dot product and the panels of the fast kernels all start from it.
//! Layouts: the block structs of ggml's `ggml-common.h`, as documented for the GGUF format.

mod k;
mod simple;

use crate::Format;
use crate::error::{ShapeError, check_length};
use half::{bf16, f16};

/// One block as integers with scales: value `i` is `q[i] * scale[i / 16] + min[i / 16]`.
pub(crate) struct Expanded {
    /// The integers; only the first `block_len` are meaningful.
    pub q: [i8; 256],
    /// Their scales and minima.
    pub scales: Scales,
}

/// The scales and minima of one block, for each 16 values; pairs are equal where the format has one for 32.
pub(crate) struct Scales {
    /// What integers are multiplied with.
    pub scale: [f32; 16],
    /// What is then added; zero where the format has none.
    pub min: [f32; 16],
}

impl Expanded {
    pub(crate) fn new() -> Self {
        Self { q: [0; 256], scales: Scales::new() }
    }

    /// Writes the values of the block.
    pub(crate) fn write(&self, format: Format, out: &mut [f32]) {
        for (i, value) in out.iter_mut().enumerate() {
            let scaled = self.scales.scale[i / 16] * f32::from(self.q[i]);
            *value = if format.has_min() { scaled + self.scales.min[i / 16] } else { scaled };
        }
    }
}

impl Scales {
    pub(crate) fn new() -> Self {
        Self { scale: [0.0; 16], min: [0.0; 16] }
    }
}

/// Reads a little-endian f16 at byte `at`.
fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Expands one block of a quantized format. `bytes` has exactly `format.block_bytes()` bytes.
#[inline]
pub(crate) fn expand(format: Format, bytes: &[u8], out: &mut Expanded) {
    scales(format, bytes, &mut out.scales);
    match format {
        Format::Q4_0 => simple::q4_0(bytes, &mut out.q),
        Format::Q4_1 => simple::q4_1(bytes, &mut out.q),
        Format::Q5_0 => simple::q5_0(bytes, &mut out.q),
        Format::Q5_1 => simple::q5_1(bytes, &mut out.q),
        Format::Q8_0 => simple::q8_0(bytes, &mut out.q),
        Format::Q2K => k::q2_k(bytes, &mut out.q),
        Format::Q3K => k::q3_k(bytes, &mut out.q),
        Format::Q4K => k::q4_k(bytes, &mut out.q),
        Format::Q5K => k::q5_k(bytes, &mut out.q),
        Format::Q6K => k::q6_k(bytes, &mut out.q),
        Format::F32 | Format::F16 | Format::BF16 => unreachable!("float formats have no blocks to expand"),
    }
}

/// The scales of one block of a quantized format, as [`expand`] gives them.
#[inline]
pub(crate) fn scales(format: Format, bytes: &[u8], out: &mut Scales) {
    debug_assert_eq!(bytes.len(), format.block_bytes());
    match format {
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => simple::scales(false, bytes, out),
        Format::Q4_1 | Format::Q5_1 => simple::scales(true, bytes, out),
        Format::Q2K => k::q2_k_scales(bytes, out),
        Format::Q3K => k::q3_k_scales(bytes, out),
        Format::Q4K | Format::Q5K => k::scales_and_minima(bytes, out),
        Format::Q6K => k::q6_k_scales(bytes, out),
        Format::F32 | Format::F16 | Format::BF16 => unreachable!("float formats have no scales"),
    }
}

/// The two bytes from which the scales of columns `32 c ..` of a superblock are made: of each 16 its scale (with its
/// minimum, in Q2_K), or the scale and the minimum of all 32.
pub(crate) fn raw_scales(format: Format, bytes: &[u8], c: usize) -> [u8; 2] {
    match format {
        Format::Q2K => [k::q2_k_raw(bytes, 2 * c), k::q2_k_raw(bytes, 2 * c + 1)],
        Format::Q3K => [k::q3_k_raw(bytes, 2 * c).cast_unsigned(), k::q3_k_raw(bytes, 2 * c + 1).cast_unsigned()],
        Format::Q4K | Format::Q5K => k::scale_and_min(&bytes[4..16], c).into(),
        Format::Q6K => [bytes[192 + 2 * c], bytes[192 + 2 * c + 1]],
        _ => unreachable!("only superblocks have scales under scales"),
    }
}

/// The bytes of a block's f16 scale and, where the format has one, of its f16 minimum.
pub(crate) fn heads(format: Format, bytes: &[u8]) -> ([u8; 2], Option<[u8; 2]>) {
    let at = |i: usize| [bytes[i], bytes[i + 1]];
    match format {
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => (at(0), None),
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => (at(0), Some(at(2))),
        Format::Q2K => (at(80), Some(at(82))),
        Format::Q3K => (at(108), None),
        Format::Q6K => (at(208), None),
        Format::F32 | Format::F16 | Format::BF16 => unreachable!("float formats have no scales"),
    }
}

/// Writes the values of a whole number of blocks as f32, with the same bits as ggml's reference.
///
/// # Errors
/// [`ShapeError`] if `out.len()` values of `format` do not take exactly `bytes.len()` bytes.
pub fn dequantize(format: Format, bytes: &[u8], out: &mut [f32]) -> Result<(), ShapeError> {
    let needed = format.row_bytes(out.len()).ok_or(ShapeError::Columns { format, cols: out.len() })?;
    check_length(needed, bytes.len())?;
    match format {
        Format::F32 => {
            for (value, raw) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*raw);
            }
        }
        Format::F16 => {
            for (value, raw) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*raw).to_f32();
            }
        }
        Format::BF16 => {
            for (value, raw) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = bf16::from_le_bytes(*raw).to_f32();
            }
        }
        _ => {
            let mut block = Expanded::new();
            let blocks = bytes.chunks_exact(format.block_bytes());
            for (values, raw) in out.chunks_exact_mut(format.block_len()).zip(blocks) {
                expand(format, raw, &mut block);
                block.write(format, values);
            }
        }
    }
    Ok(())
}

/// Quantizes to Q8_0 with the rounding of ggml's reference: half away from zero, by the scale before it becomes f16.
///
/// # Errors
/// [`ShapeError`] if `x` is no whole number of 32 values or `out` is not 34 bytes for each 32.
pub fn quantize_q8_0(x: &[f32], out: &mut [u8]) -> Result<(), ShapeError> {
    let format = Format::Q8_0;
    let needed = format.row_bytes(x.len()).ok_or(ShapeError::Columns { format, cols: x.len() })?;
    check_length(needed, out.len())?;
    for (values, block) in x.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<34>().0) {
        let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let d = largest / 127.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        let (head, quants) = block.split_at_mut(2);
        head.copy_from_slice(&f16::from_f32(d).to_le_bytes());
        for (q, v) in quants.iter_mut().zip(values) {
            *q = ((v * inverse).round() as i8).cast_unsigned();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
