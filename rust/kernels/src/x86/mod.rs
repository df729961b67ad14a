//! Kernels for x86-64.

mod avx512;
mod avx512_attention;
mod avx512_float;
mod avx512_formats;
mod f16c;

use crate::dispatch::{Isa, Kernel};
use crate::panel::Panel;
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use avx512_float::FloatRows;
use std::ops::Range;

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
            let rows = FloatRows { data: w.data(), rows: w.rows(), cols: w.cols() };
            avx512_float::float(w.format(), rows, &x.values, columns);
        } else {
            avx512::quantized(w, x, columns, scratch);
        }
    }
}

/// One task's columns of `x` times `w`, `(rows, cols)`, all f32.
pub(crate) fn columns_f32_avx512(isa: Isa, w: &[f32], cols: usize, x: &[f32], columns: Columns<'_>) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: the bytes of floats are bytes. The value `Avx512Vnni` is made only where the features were detected.
    unsafe {
        let data = std::slice::from_raw_parts(w.as_ptr().cast::<u8>(), size_of_val(w));
        avx512_float::float(Format::F32, FloatRows { data, rows: w.len() / cols, cols }, x, columns);
    }
}

/// Runs portable code with AVX-512 instructions.
#[inline]
pub(crate) fn compiled_avx512<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,f16c,avx2")]
    fn inner<K: Kernel>(kernel: K) -> K::Output {
        kernel.run()
    }
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: the value `Avx512Vnni` is made only where the features were detected.
    unsafe { inner(kernel) }
}

/// Widens f16 bits.
pub(crate) fn widen_f16(isa: Isa, from: &[u16], to: &mut [f32]) {
    assert_ne!(isa, Isa::Portable);
    // SAFETY: every value but `Portable` is made only where AVX2 and F16C were detected.
    unsafe { f16c::widen(from, to) }
}

/// Narrows to f16 bits, ties to even; values beyond its range become its largest.
pub(crate) fn narrow_f16(isa: Isa, from: &[f32], to: &mut [u16]) {
    assert_ne!(isa, Isa::Portable);
    // SAFETY: every value but `Portable` is made only where AVX2 and F16C were detected.
    unsafe { f16c::narrow(from, to) }
}

/// Unscaled scores of one to four queries against some tiles of keys; `scores` has `stride` for each query.
pub(crate) fn attention_scores(
    isa: Isa,
    q: &[&[f32]],
    k: &[f32],
    tiles: Range<usize>,
    scores: &mut [f32],
    stride: usize,
) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: the value `Avx512Vnni` is made only where the features were detected.
    unsafe {
        match *q {
            [a] => avx512_attention::scores::<1>([a], k, tiles, scores, stride),
            [a, b] => avx512_attention::scores::<2>([a, b], k, tiles, scores, stride),
            [a, b, c] => avx512_attention::scores::<3>([a, b, c], k, tiles, scores, stride),
            [a, b, c, d] => avx512_attention::scores::<4>([a, b, c, d], k, tiles, scores, stride),
            _ => unreachable!("one to four queries share a block"),
        }
    }
}

/// Sums of values weighted by `weights`, which has `stride` for each of one to four queries.
pub(crate) fn attention_weighted(
    isa: Isa,
    weights: &[f32],
    stride: usize,
    v: &[f32],
    positions: Range<usize>,
    head_dim: usize,
    out: &mut [f32],
) {
    assert_eq!(isa, Isa::Avx512Vnni);
    // SAFETY: the value `Avx512Vnni` is made only where the features were detected.
    unsafe {
        match weights.len() / stride {
            1 => avx512_attention::weighted::<1>(weights, stride, v, positions, head_dim, out),
            2 => avx512_attention::weighted::<2>(weights, stride, v, positions, head_dim, out),
            3 => avx512_attention::weighted::<3>(weights, stride, v, positions, head_dim, out),
            4 => avx512_attention::weighted::<4>(weights, stride, v, positions, head_dim, out),
            _ => unreachable!("one to four queries share a block"),
        }
    }
}
