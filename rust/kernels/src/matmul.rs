//! Matrix products: `y = x Wᵀ`, several at once over one input, and the low-rank part of an adapter.

use crate::dispatch::Isa;
use crate::panel;
use crate::pool::Columns;
use crate::portable;
use crate::{Activations, Matrix, ThreadPool};

#[cfg(target_arch = "x86_64")]
thread_local! {
    /// Unpacked weights of the task at hand.
    static SCRATCH: std::cell::RefCell<panel::Panel> = std::cell::RefCell::default();
}

/// Writes `x Wᵀ` into `out`, `(x.rows(), w.rows())` row-major.
///
/// Quantized weights are multiplied with the 8-bit form of `x`, float weights with its f32 values.
///
/// # Panics
/// If the columns of `w` and `x` differ or `out` has another size.
pub fn matmul(pool: &ThreadPool, w: Matrix<'_>, x: &Activations, out: &mut [f32]) {
    matmul_group(pool, &mut [(w, out)], x);
}

/// Several products over one input, in one round of the pool: query, key and value, or gate and up.
///
/// Each output has the bits [`matmul`] would give it.
///
/// # Panics
/// As [`matmul`].
pub fn matmul_group(pool: &ThreadPool, jobs: &mut [(Matrix<'_>, &mut [f32])], x: &Activations) {
    matmul_on(Isa::detected(), pool, jobs, x);
}

/// [`matmul_group`] by the kernels of one instruction set, which the processor must have.
pub(crate) fn matmul_on(isa: Isa, pool: &ThreadPool, jobs: &mut [(Matrix<'_>, &mut [f32])], x: &Activations) {
    for (w, out) in jobs.iter() {
        assert_eq!(w.cols(), x.cols(), "the columns of weight and activations");
        assert_eq!(Some(out.len()), x.rows().checked_mul(w.rows()), "the size of the output");
    }
    let weights: Vec<Matrix<'_>> = jobs.iter().map(|(w, _)| *w).collect();
    let mut outs: Vec<(usize, &mut [f32])> = jobs.iter_mut().map(|(w, out)| (w.rows(), &mut **out)).collect();
    pool.for_each_panel(&mut outs, panel::ROWS, &|job, columns| {
        let w = weights[job];
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni if w.is_packed() || fits(w) => {
                SCRATCH.with_borrow_mut(|scratch| crate::x86::columns(isa, w, x, columns, scratch));
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => crate::arm::columns(isa, w, x, columns),
            _ => portable_columns(w, x, columns),
        }
    });
}

/// Whether 16 rows can be addressed by 32-bit offsets, as the kernels do.
#[cfg(target_arch = "x86_64")]
fn fits(w: Matrix<'_>) -> bool {
    w.data().len().div_ceil(w.rows().max(1)) < (i32::MAX / 16) as usize
}

/// One task's columns by the portable kernels.
fn portable_columns(w: Matrix<'_>, x: &Activations, mut columns: Columns<'_>) {
    let range = columns.range();
    if w.format().is_float() {
        let mut row = vec![0.0f32; w.cols()];
        for n in range.clone() {
            portable::widen(w, n, &mut row);
            for m in 0..x.rows() {
                columns.row_mut(m)[n - range.start] =
                    portable::dot_f32(&row, &x.values[m * w.cols()..(m + 1) * w.cols()]);
            }
        }
        return;
    }
    let mut row = portable::Row::default();
    for n in range.clone() {
        row.expand(w, n);
        for m in 0..x.rows() {
            columns.row_mut(m)[n - range.start] = row.dot(w.format(), x, m);
        }
    }
}

/// The product of dequantized weights and unquantized activations, in f64 and on one thread: what is right.
///
/// `x` is `(rows, w.cols())`, `out` `(rows, w.rows())`. For tests.
///
/// # Panics
/// If the sizes do not fit.
pub fn matmul_reference(w: Matrix<'_>, x: &[f32], out: &mut [f32]) {
    let (n_out, cols) = (w.rows(), w.cols());
    assert!(cols > 0 && x.len().is_multiple_of(cols), "{} values in rows of {cols}", x.len());
    assert_eq!(out.len(), x.len() / cols * n_out, "the size of the output");
    let mut row = vec![0.0f32; cols];
    for n in 0..n_out {
        w.dequantize_row(n, &mut row);
        for (m, x) in x.chunks_exact(cols).enumerate() {
            let dot: f64 = row.iter().zip(x).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            out[m * n_out + n] = dot as f32;
        }
    }
}

/// Adds the low-rank part of an adapter: `out += scale * (x Aᵀ) Bᵀ`.
///
/// `x` is `(rows, in)`, `a` `(r, in)`, `b` `(out, r)`, `out` `(rows, out)`, all f32 and row-major. Rows are independent:
/// each has the same bits in any batch.
///
/// # Panics
/// If the sizes do not fit `rows`.
pub fn low_rank_add(pool: &ThreadPool, x: &[f32], rows: usize, a: &[f32], b: &[f32], scale: f32, out: &mut [f32]) {
    if rows == 0 || a.is_empty() || b.is_empty() {
        return;
    }
    assert!(x.len().is_multiple_of(rows) && out.len().is_multiple_of(rows), "a whole number of rows");
    let (n_in, n_out) = (x.len() / rows, out.len() / rows);
    assert!(n_in > 0 && a.len().is_multiple_of(n_in), "the low-rank A has whole rows");
    let rank = a.len() / n_in;
    assert_eq!(b.len(), n_out * rank, "the size of the low-rank B");
    let isa = Isa::detected();
    let mut low = vec![0.0f32; rows * rank];
    pool.for_each_panel(&mut [(rank, &mut low)], panel::ROWS, &|_, mut columns| match isa {
        Isa::Portable => {
            let range = columns.range();
            for (m, x) in x.chunks_exact(n_in).enumerate() {
                let rows = a[range.start * n_in..range.end * n_in].chunks_exact(n_in);
                for (low, a) in columns.row_mut(m).iter_mut().zip(rows) {
                    *low = portable::dot_f32(a, x);
                }
            }
        }
        #[cfg(target_arch = "x86_64")]
        _ => crate::x86::columns_f32(isa, a, n_in, x, columns),
        #[cfg(target_arch = "aarch64")]
        _ => crate::arm::columns_f32(isa, a, n_in, x, columns),
    });
    crate::ops::scale(&mut low, scale);
    pool.for_each_panel(&mut [(n_out, out)], panel::ROWS, &|_, columns| {
        isa.compiled(portable::LowRankColumns(&low, b, rank, columns));
    });
}

#[cfg(test)]
#[path = "matmul_tests.rs"]
pub(crate) mod tests;
