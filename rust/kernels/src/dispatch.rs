//! Which instruction set the kernels use, found once at run time.

use std::sync::OnceLock;

/// A family of kernels. All of them give the same bits.
///
/// The values beyond `Portable` are promises that the processor has the features; only [`Isa::supported`] makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Plain Rust; the oracle.
    Portable,
    /// AVX-512 F, BW, VL, DQ and VNNI, with F16C, FMA and AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Isa {
    /// The families this processor runs, slowest first.
    pub(crate) fn supported() -> Vec<Self> {
        let mut supported = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c");
            let avx512 =
                has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
            if avx2 && avx512 && has!("avx512vnni") {
                supported.push(Self::Avx512Vnni);
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
            Self::Avx512Vnni => "avx512-vnni",
        }
    }

    /// Calls `f` compiled for this family. `f` is the name of an `#[inline(always)]` function, which takes its arguments
    /// as one tuple; only such a function is sure to be compiled with the family's instructions.
    #[inline]
    pub(crate) fn compiled<A, R>(self, f: impl FnOnce(A) -> R, arguments: A) -> R {
        match self {
            Self::Portable => f(arguments),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => crate::x86::compiled_avx512(self, f, arguments),
        }
    }
}

/// The instruction set that was detected and is used, such as `avx512-vnni` or `portable`.
pub fn instruction_set() -> &'static str {
    Isa::detected().name()
}
