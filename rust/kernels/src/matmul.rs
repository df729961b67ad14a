//! Matrix products: `y = x Wᵀ`, several at once over one input, and the low-rank part of an adapter.

use crate::dispatch::Isa;
use crate::panel;
use crate::pool::Columns;
use crate::portable;
use crate::{Activations, LowRank, Matrix, ThreadPool};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// One of the products of [`matmul_adapted`].
pub struct Product<'a> {
    /// The weight.
    pub weight: Matrix<'a>,
    /// `(rows, weight.rows())`.
    pub out: &'a mut [f32],
    /// What adapters add.
    pub adapters: &'a [Adapted<'a>],
}

/// What one adapter adds to a product: `scale * (x Aᵀ) Bᵀ`.
#[derive(Clone, Copy, Debug)]
pub struct Adapted<'a> {
    /// A and B.
    pub factors: &'a LowRank,
    /// The row of B that belongs to the first row of the weight.
    pub first_row: usize,
    /// What the addition is multiplied with.
    pub scale: f32,
}

/// [`matmul_group`] with the low-rank parts of adapters, which are added in order.
///
/// # Panics
/// As [`matmul`], or if an adapter's factors do not fit its weight.
pub fn matmul_adapted(pool: &ThreadPool, products: &mut [Product<'_>], x: &Activations) {
    matmul_adapted_on(Isa::detected(), pool, products, x);
}

/// [`matmul_adapted`] on one instruction set, which the processor must have.
pub(crate) fn matmul_adapted_on(isa: Isa, pool: &ThreadPool, products: &mut [Product<'_>], x: &Activations) {
    let down = |adapted: &Adapted<'_>| adapted.factors.down(isa, pool, x, adapted.scale);
    let small = LowRank::is_small(x.rows());
    let adapters: Vec<Vec<(Adapted<'_>, Low)>> = products
        .iter()
        .map(|product| {
            let low = |adapted: &Adapted<'_>| if small { Low::default() } else { Low::from(down(adapted)) };
            product.adapters.iter().map(|adapted| (*adapted, low(adapted))).collect()
        })
        .collect();
    // The first factors of a step of decoding are computed by one thread each, while the others multiply with the
    // weights: only what is added at the end needs them.
    let beside: Vec<&(Adapted<'_>, Low)> = if small { adapters.iter().flatten().collect() } else { Vec::new() };
    let first = |i: usize| beside[i].1.compute(|| down(&beside[i].0));
    let mut jobs: Vec<(Matrix<'_>, &mut [f32])> =
        products.iter_mut().map(|product| (product.weight, &mut *product.out)).collect();
    let before = |job: usize, columns: &Columns<'_>| {
        for (adapted, _) in &adapters[job] {
            adapted.factors.prefetch_up(adapted.first_row, columns);
        }
    };
    run(isa, pool, &mut jobs, x, (beside.len(), &first), &before, &|job, columns| {
        for (adapted, low) in &adapters[job] {
            adapted.factors.up(isa, low.wait(), adapted.first_row, columns);
        }
    });
}

/// An adapter's first product, computed by one task and awaited by others of the same round.
#[derive(Default)]
struct Low {
    product: OnceLock<Vec<f32>>,
    failed: AtomicBool,
}

impl From<Vec<f32>> for Low {
    fn from(product: Vec<f32>) -> Self {
        Self { product: product.into(), failed: AtomicBool::new(false) }
    }
}

impl Low {
    fn compute(&self, product: impl FnOnce() -> Vec<f32>) {
        struct Failing<'a>(&'a AtomicBool);
        impl Drop for Failing<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        // Left in place by a panic, which must not leave others waiting.
        let failing = Failing(&self.failed);
        self.product.get_or_init(product);
        std::mem::forget(failing);
    }

    /// The product. It is on its way: tasks are claimed in order, and it comes before all that wait for it.
    fn wait(&self) -> &[f32] {
        let mut rounds = 0u32;
        loop {
            if let Some(product) = self.product.get() {
                return product;
            }
            assert!(!self.failed.load(Ordering::Acquire), "the first product of an adapter failed");
            rounds += 1;
            // Microseconds, unless the system took the other thread's processor away.
            if rounds < 1000 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// [`matmul_group`] by the kernels of one instruction set, which the processor must have.
pub(crate) fn matmul_on(isa: Isa, pool: &ThreadPool, jobs: &mut [(Matrix<'_>, &mut [f32])], x: &Activations) {
    run(isa, pool, jobs, x, (0, &|_| {}), &|_, _| {}, &|_, _| {});
}

/// Runs the products, and beside them the tasks of `first`; `before(job, columns)` may ask for what `after(job, columns)` will read, which works on columns
/// that have just been written.
fn run(
    isa: Isa,
    pool: &ThreadPool,
    jobs: &mut [(Matrix<'_>, &mut [f32])],
    x: &Activations,
    first: (usize, &(dyn Fn(usize) + Sync)),
    before: &(dyn Fn(usize, &Columns<'_>) + Sync),
    after: &(dyn Fn(usize, &mut Columns<'_>) + Sync),
) {
    for (w, out) in jobs.iter() {
        assert_eq!(w.cols(), x.cols(), "the columns of weight and activations");
        assert_eq!(Some(out.len()), x.rows().checked_mul(w.rows()), "the size of the output");
    }
    let weights: Vec<Matrix<'_>> = jobs.iter().map(|(w, _)| *w).collect();
    let mut outs: Vec<(usize, &mut [f32])> = jobs.iter_mut().map(|(w, out)| (w.rows(), &mut **out)).collect();
    pool.for_each_panel(&mut outs, panel::ROWS, first, &|job, mut columns| {
        let w = weights[job];
        before(job, &columns);
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni if w.is_packed() || fits(w) => {
                SCRATCH.with_borrow_mut(|scratch| crate::x86::columns(isa, w, x, columns.again(), scratch));
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => crate::arm::columns(isa, w, x, columns.again()),
            _ => portable_columns(w, x, &mut columns),
        }
        after(job, &mut columns);
    });
}

/// Whether 16 rows can be addressed by 32-bit offsets, as the kernels do.
#[cfg(target_arch = "x86_64")]
fn fits(w: Matrix<'_>) -> bool {
    w.data().len().div_ceil(w.rows().max(1)) < (i32::MAX / 16) as usize
}

/// One task's columns by the portable kernels.
fn portable_columns(w: Matrix<'_>, x: &Activations, columns: &mut Columns<'_>) {
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

#[cfg(test)]
#[path = "matmul_tests.rs"]
pub(crate) mod tests;
