//! Runs of f16 to f32 and back.

use crate::dispatch::Isa;
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
