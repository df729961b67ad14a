//! Which instruction set the kernels use, found once at run time.

use std::sync::OnceLock;

/// A family of kernels. All of them give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Plain Rust; the oracle.
    Portable,
}

impl Isa {
    /// The best family this processor runs.
    pub(crate) fn detected() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| Isa::Portable)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
        }
    }
}

/// The instruction set that was detected and is used, such as `avx512-vnni` or `portable`.
pub fn instruction_set() -> &'static str {
    Isa::detected().name()
}
