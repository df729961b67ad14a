//! Which instruction set the kernels use, found once at run time.

use std::sync::OnceLock;

/// A family of kernels. All of them give the same bits.
///
/// The values beyond `Portable` are promises that the processor has the features; only [`Isa::supported`] makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Plain Rust; the oracle.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same with AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// The same with AVX-512 F, BW, VL, DQ and VNNI; AVX-VNNI is not needed.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// NEON, which every AArch64 target has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// The same with the dot product of bytes (`sdot`).
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
    /// The same with the matrix product of bytes (`smmla`).
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
}

impl Isa {
    /// The families this processor runs, slowest first.
    pub(crate) fn supported() -> Vec<Self> {
        #[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(unused_mut))]
        let mut supported = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") && has!("f16c") {
                supported.push(Self::Avx2);
                if has!("avxvnni") {
                    supported.push(Self::AvxVnni);
                }
                let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
                if avx512 && has!("avx512vnni") {
                    supported.push(Self::Avx512Vnni);
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            supported.push(Self::Neon);
            if has!("dotprod") {
                supported.push(Self::NeonDotprod);
                if has!("i8mm") {
                    supported.push(Self::NeonI8mm);
                }
            }
        }
        supported
    }

    /// The best family this processor runs.
    pub(crate) fn detected() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| Self::supported().pop().unwrap_or(Self::Portable))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => "neon-i8mm",
        }
    }

    /// Runs portable code compiled for this family.
    #[inline]
    pub(crate) fn compiled<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable => kernel.run(),
            #[cfg(target_arch = "x86_64")]
            _ => crate::x86::compiled(self, kernel),
            // All code for AArch64 is compiled with NEON and fused multiply-adds.
            #[cfg(target_arch = "aarch64")]
            _ => kernel.run(),
        }
    }
}

/// Portable code that [`Isa::compiled`] compiles once for each family.
///
/// `run` and what it calls in its loops must be `#[inline(always)]`: only code inlined into the family's own function
/// uses its instructions, and without them each fused multiply-add is a call.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;
    /// Runs it.
    fn run(self) -> Self::Output;
}

/// The instruction set that was detected and is used, such as `avx512-vnni`, `neon-dotprod` or `portable`.
pub fn instruction_set() -> &'static str {
    Isa::detected().name()
}
