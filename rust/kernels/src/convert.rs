//! Runs of f32 to f16 and to 8 bits, and back.

use crate::dispatch::{Isa, Kernel};
use half::f16;

/// Widens f16 bits; exact.
pub(crate) fn widen_f16(isa: Isa, from: &[u16], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    match isa {
        Isa::Portable => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = f16::from_bits(*from).to_f32();
            }
        }
        #[cfg(target_arch = "x86_64")]
        _ => crate::x86::widen_f16(isa, from, to),
        #[cfg(target_arch = "aarch64")]
        _ => crate::arm::widen_f16(isa, from, to),
    }
}

/// Narrows to f16 bits, ties to even; values beyond its range become its largest.
pub(crate) fn narrow_f16(isa: Isa, from: &[f32], to: &mut [u16]) {
    assert_eq!(from.len(), to.len());
    match isa {
        Isa::Portable => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = f16::from_f32(from.clamp(-65504.0, 65504.0)).to_bits();
            }
        }
        #[cfg(target_arch = "x86_64")]
        _ => crate::x86::narrow_f16(isa, from, to),
        #[cfg(target_arch = "aarch64")]
        _ => crate::arm::narrow_f16(isa, from, to),
    }
}

/// Quantizes each `group` values (the last may have fewer) to integers within -127..=127 and an f16 scale.
///
/// The scale is the largest magnitude over 127, narrowed as [`narrow_f16`] does and then used as narrowed: a value is
/// off by at most half of it, but for what passes the range of f16 times 127. NaN makes the scale NaN.
pub(crate) fn quantize_groups(isa: Isa, from: &[f32], group: usize, to: &mut [i8], scales: &mut [u16]) {
    assert!(from.len() == to.len() && scales.len() == from.len().div_ceil(group));
    for ((from, to), bits) in from.chunks(group).zip(to.chunks_mut(group)).zip(scales) {
        let mut scale = [isa.compiled(Magnitude(from)) / 127.0];
        narrow_f16(isa, &scale, std::slice::from_mut(bits));
        widen_f16(isa, std::slice::from_ref(bits), &mut scale);
        isa.compiled(Quantize(from, if scale[0] > 0.0 { 1.0 / scale[0] } else { 0.0 }, to));
    }
}

/// The largest magnitude; NaN is above all.
struct Magnitude<'a>(&'a [f32]);

impl Kernel for Magnitude<'_> {
    type Output = f32;
    #[inline(always)]
    fn run(self) -> f32 {
        // Bits of magnitudes are ordered as the magnitudes are.
        f32::from_bits(self.0.iter().fold(0, |m, v| m.max(v.to_bits() & 0x7fff_ffff)))
    }
}

struct Quantize<'a>(&'a [f32], f32, &'a mut [i8]);

impl Kernel for Quantize<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        /// Adding it rounds to an integer, ties to even, and leaves that integer in the low bits.
        const MAGIC: f32 = 12_582_912.0;
        for (q, x) in self.2.iter_mut().zip(self.0) {
            *q = ((x * self.1).clamp(-127.0, 127.0) + MAGIC).to_bits() as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_converts_alike() {
        let all: Vec<u16> = (0..=u16::MAX).filter(|bits| !f16::from_bits(*bits).is_nan()).collect();
        let mut expected = vec![0.0; all.len()];
        widen_f16(Isa::Portable, &all, &mut expected);
        // Between two neighbours and beyond the ends.
        let mut values: Vec<f32> = expected.iter().flat_map(|&x| [x, x * 1.000_2, x * 1.000_488_3]).collect();
        values.extend([1e30, -1e30, 65520.0, 1e-9, -1e-9]);
        let mut narrow = vec![0; values.len()];
        narrow_f16(Isa::Portable, &values, &mut narrow);
        for isa in Isa::supported() {
            for skip in 0..17 {
                let mut found = vec![0.0; all.len() - skip];
                widen_f16(isa, &all[skip..], &mut found);
                assert!(found.iter().zip(&expected[skip..]).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
            let mut found = vec![0; values.len()];
            narrow_f16(isa, &values, &mut found);
            assert_eq!(found, narrow);
        }
    }
}
