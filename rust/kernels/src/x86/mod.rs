//! Kernels for x86-64.

mod avx512;
mod avx512_float;
mod avx512_formats;

use crate::dispatch::Isa;
use crate::panel::Panel;
use crate::pool::Columns;
use crate::{Activations, Matrix};

/// One task's columns by AVX-512 kernels.
pub(crate) fn columns_avx512(
    isa: Isa,
    w: Matrix<'_>,
    x: &Activations,
    columns: Columns<'_>,
    scratch: &mut Panel,
) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: the value `Avx512Vnni` is made only where the features were detected.
    unsafe {
        if w.format().is_float() {
            avx512_float::float(w, x, columns);
        } else {
            avx512::quantized(w, x, columns, scratch);
        }
    }
}

/// Runs `f`, and what the compiler inlines into it, with AVX-512 instructions.
#[inline]
pub(crate) fn compiled_avx512<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,f16c,avx2")]
    fn inner<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: the value `Avx512Vnni` is made only where the features were detected.
    unsafe { inner(f) }
}
