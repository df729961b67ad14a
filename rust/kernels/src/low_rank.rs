//! The low-rank part of an adapter: `y += scale * (x Aᵀ) Bᵀ`, added in the same pass that writes `y = x Wᵀ`.
//!
//! The first factor is small: its product is taken before the pass, once for each layer. The second is as tall as the
//! weight, and each task of the pass adds it to the columns it has just written, while they are in the cache.

use crate::convert::widen_f16;
use crate::dispatch::{Isa, Kernel};
use crate::panel::ROWS;
use crate::pool::Columns;
use crate::{Activations, ThreadPool};
use half::f16;
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

/// Ranks that are computed side by side.
pub(crate) const LANES: usize = 16;
/// Sums that run side by side over the inputs: input `k` goes into sum `k % PARTS`.
pub(crate) const PARTS: usize = 4;
/// Inputs whose factors are widened at a time.
const STEP: usize = 128;
/// Rows of one task of the first product, and rows that share the loads of its factors.
const TASK_ROWS: usize = 32;
const SHARE: usize = 4;
/// Up to this many rows are a step of decoding rather than a prompt.
const FEW_ROWS: usize = 8;

/// The factors of a low-rank addition to a linear layer: A, `(rank, inputs)`, and B, `(outputs, rank)`.
#[derive(Clone, Debug)]
pub struct LowRank {
    rank: usize,
    inputs: usize,
    outputs: usize,
    /// A, `(ceil(rank / LANES), inputs, LANES)`: the ranks of a lane group side by side, those beyond the last zeros.
    down: Numbers,
    /// B, `(ceil(outputs / ROWS), rank, ROWS)`: a panel of outputs side by side, those beyond the last zeros.
    up: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    Exact(Vec<f32>),
    /// f16 bits.
    Compact(Vec<u16>),
}

impl Numbers {
    /// Widens `out.len()` numbers from number `at` on.
    fn widen(&self, isa: Isa, at: usize, out: &mut [f32]) {
        match self {
            Self::Exact(values) => out.copy_from_slice(&values[at..at + out.len()]),
            Self::Compact(bits) => widen_f16(isa, &bits[at..at + out.len()], out),
        }
    }

    fn get(&self, at: usize) -> f32 {
        match self {
            Self::Exact(values) => values[at],
            Self::Compact(bits) => f16::from_bits(bits[at]).to_f32(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Exact(values) => size_of_val(&values[..]),
            Self::Compact(bits) => size_of_val(&bits[..]),
        }
    }
}

impl LowRank {
    /// Factors in f32.
    ///
    /// # Panics
    /// If `a` is not `(rank, inputs)` or `b` not `(outputs, rank)`, or the rank is 0.
    pub fn exact(rank: usize, a: &[f32], b: &[f32], inputs: usize, outputs: usize) -> Self {
        check(rank, a, b, inputs, outputs);
        let down = Numbers::Exact(lanes(a, inputs, 0.0, |v| v));
        Self { rank, inputs, outputs, down, up: Numbers::Exact(panels(b, rank, 0.0, |v| v)) }
    }

    /// Factors in f16, half the size; `None` if a value is beyond its range.
    ///
    /// # Panics
    /// As [`exact`](Self::exact).
    pub fn compact(rank: usize, a: &[f32], b: &[f32], inputs: usize, outputs: usize) -> Option<Self> {
        check(rank, a, b, inputs, outputs);
        let fits = |v: &f32| v.abs() <= f32::from(f16::MAX);
        if !a.iter().chain(b).all(fits) {
            return None;
        }
        let narrow = |v: f32| f16::from_f32(v).to_bits();
        let down = Numbers::Compact(lanes(a, inputs, 0, narrow));
        Some(Self { rank, inputs, outputs, down, up: Numbers::Compact(panels(b, rank, 0, narrow)) })
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.down.bytes() + self.up.bytes()
    }

    /// Whether [`down`](Self::down) for this many rows is too little work to share among threads.
    pub(crate) fn is_small(rows: usize) -> bool {
        rows <= FEW_ROWS
    }

    /// `scale * x Aᵀ`, `(x.rows(), rank)`, from the f32 activations. Uses the pool only if the work is not small.
    ///
    /// Each sum goes over the inputs in [`PARTS`] interleaved parts, by fma, which are added as `(0 + 1) + (2 + 3)`.
    pub(crate) fn down(&self, isa: Isa, pool: &ThreadPool, x: &Activations, scale: f32) -> Vec<f32> {
        assert_eq!(x.cols(), self.inputs, "the inputs of the adapter and of the layer");
        let mut low = vec![0.0f32; x.rows() * self.rank];
        #[cfg(target_arch = "x86_64")]
        if let (1, Isa::Avx512Vnni, Numbers::Compact(bits)) = (x.rows(), isa, &self.down) {
            let groups = bits.chunks_exact(self.inputs * LANES);
            for (low, bits) in low.chunks_mut(LANES).zip(groups) {
                add_parts(&crate::x86::low_rank_down_one(isa, &x.values, bits), scale, low);
            }
            return low;
        }
        if Self::is_small(x.rows()) {
            self.down_rows(isa, &x.values, scale, &mut low);
            return low;
        }
        let tasks: Vec<Mutex<(&[f32], &mut [f32])>> = x
            .values
            .chunks(TASK_ROWS * self.inputs)
            .zip(low.chunks_mut(TASK_ROWS * self.rank))
            .map(Mutex::new)
            .collect();
        pool.run(tasks.len(), &|task| {
            let mut task = tasks[task].lock().unwrap_or_else(PoisonError::into_inner);
            let (x, low) = &mut *task;
            self.down_rows(isa, x, scale, low);
        });
        low
    }

    /// [`down`](Self::down) for the rows of one task.
    fn down_rows(&self, isa: Isa, x: &[f32], scale: f32, low: &mut [f32]) {
        let rows = x.len() / self.inputs;
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { sums, factors, .. } = scratch;
            sums.resize(rows, [[0.0; LANES]; PARTS]);
            factors.resize(STEP, [0.0; LANES]);
            for group in 0..self.rank.div_ceil(LANES) {
                sums.fill([[0.0; LANES]; PARTS]);
                for first in (0..self.inputs).step_by(STEP) {
                    let n = STEP.min(self.inputs - first);
                    self.down.widen(isa, (group * self.inputs + first) * LANES, factors[..n].as_flattened_mut());
                    down_rows(isa, DownRows { x, cols: self.inputs, first, factors: &factors[..n], sums });
                }
                let from = group * LANES;
                let n = LANES.min(self.rank - from);
                for (sums, low) in sums.iter().zip(low.chunks_exact_mut(self.rank)) {
                    add_parts(sums, scale, &mut low[from..from + n]);
                }
            }
        });
    }

    /// Asks for the rows of B that [`up`](Self::up) will read for these columns, before the product that comes first:
    /// a panel is short, and a stream of its own begins with every one.
    pub(crate) fn prefetch_up(&self, first: usize, columns: &Columns<'_>) {
        #[cfg(target_arch = "x86_64")]
        if let Numbers::Compact(bits) = &self.up {
            let at = (first + columns.range().start) / ROWS * self.rank * ROWS;
            if let Some(panel) = bits.get(at..at + self.rank * ROWS) {
                crate::x86::prefetch(panel);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (first, columns);
    }

    /// Adds `low Bᵀ` to some columns; their first is row `first` of B.
    pub(crate) fn up(&self, isa: Isa, low: &[f32], first: usize, columns: &mut Columns<'_>) {
        let first = first + columns.range().start;
        let n = columns.range().len();
        assert!(first + n <= self.outputs && n <= ROWS, "columns {n} from {first} of {}", self.outputs);
        #[cfg(target_arch = "x86_64")]
        if let (true, true, Isa::Avx512Vnni, Numbers::Compact(bits)) =
            (low.len() == self.rank, first.is_multiple_of(ROWS), isa, &self.up)
        {
            let size = self.rank * ROWS;
            return crate::x86::low_rank_up_one(isa, low, &bits[first / ROWS * size..][..size], columns);
        }
        SCRATCH.with_borrow_mut(|Scratch { panel, .. }| {
            let size = self.rank * ROWS;
            panel.resize(size, 0.0);
            if first.is_multiple_of(ROWS) {
                self.up.widen(isa, first / ROWS * size, panel);
            } else {
                // Part of a fused matrix that does not begin with a panel.
                for r in 0..self.rank {
                    for lane in 0..n {
                        let row = first + lane;
                        panel[r * ROWS + lane] = self.up.get(row / ROWS * size + r * ROWS + row % ROWS);
                    }
                }
            }
            up_columns(isa, UpColumns { low, panel, rank: self.rank, columns });
        });
    }
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    sums: Vec<[[f32; LANES]; PARTS]>,
    factors: Vec<[f32; LANES]>,
    panel: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn check(rank: usize, a: &[f32], b: &[f32], inputs: usize, outputs: usize) {
    assert!(rank > 0 && inputs > 0, "a rank and inputs above zero");
    assert_eq!(Some(a.len()), rank.checked_mul(inputs), "the size of A");
    assert_eq!(Some(b.len()), rank.checked_mul(outputs), "the size of B");
}

/// A in lane groups.
fn lanes<T: Copy>(a: &[f32], inputs: usize, zero: T, narrow: impl Fn(f32) -> T) -> Vec<T> {
    let rank = a.len() / inputs;
    let mut lanes = vec![zero; rank.div_ceil(LANES) * inputs * LANES];
    for (r, a) in a.chunks_exact(inputs).enumerate() {
        for (k, a) in a.iter().enumerate() {
            lanes[(r / LANES * inputs + k) * LANES + r % LANES] = narrow(*a);
        }
    }
    lanes
}

/// B in panels.
fn panels<T: Copy>(b: &[f32], rank: usize, zero: T, narrow: impl Fn(f32) -> T) -> Vec<T> {
    let outputs = b.len() / rank;
    let mut panels = vec![zero; outputs.div_ceil(ROWS) * rank * ROWS];
    for (row, b) in b.chunks_exact(rank).enumerate() {
        for (r, b) in b.iter().enumerate() {
            panels[(row / ROWS * rank + r) * ROWS + row % ROWS] = narrow(*b);
        }
    }
    panels
}

/// The sums of a lane group from their parts.
fn add_parts(sums: &[[f32; LANES]; PARTS], scale: f32, low: &mut [f32]) {
    for (lane, low) in low.iter_mut().enumerate() {
        *low = ((sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane])) * scale;
    }
}

fn down_rows(isa: Isa, rows: DownRows<'_>) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86::low_rank_down(isa, rows),
        _ => isa.compiled(rows),
    }
}

fn up_columns(isa: Isa, columns: UpColumns<'_, '_>) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86::low_rank_up(isa, columns),
        _ => isa.compiled(columns),
    }
}

/// Adds inputs `first ..` of some rows of `x`, `(rows, cols)`, times the factors of each input to the rows' sums.
pub(crate) struct DownRows<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) cols: usize,
    pub(crate) first: usize,
    pub(crate) factors: &'a [[f32; LANES]],
    pub(crate) sums: &'a mut [[[f32; LANES]; PARTS]],
}

impl Kernel for DownRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { x, cols, first, factors, sums } = self;
        let n = factors.len();
        let row = |m: usize| &x[m * cols + first..m * cols + first + n];
        let (blocks, rest) = sums.as_chunks_mut::<SHARE>();
        let done = blocks.len() * SHARE;
        for (block, sums) in blocks.iter_mut().enumerate() {
            let m = block * SHARE;
            accumulate::<SHARE>([row(m), row(m + 1), row(m + 2), row(m + 3)], factors, sums);
        }
        for (m, sums) in rest.iter_mut().enumerate() {
            accumulate::<1>([row(done + m)], factors, std::array::from_mut(sums));
        }
    }
}

#[inline(always)]
fn accumulate<const M: usize>(x: [&[f32]; M], factors: &[[f32; LANES]], sums: &mut [[[f32; LANES]; PARTS]; M]) {
    let mut local = *sums;
    let (fours, rest) = factors.as_chunks::<PARTS>();
    let x_fours: [&[[f32; PARTS]]; M] = std::array::from_fn(|m| x[m].as_chunks::<PARTS>().0);
    for (k, factors) in fours.iter().enumerate() {
        for part in 0..PARTS {
            for m in 0..M {
                let x = x_fours[m][k][part];
                for lane in 0..LANES {
                    local[m][part][lane] = x.mul_add(factors[part][lane], local[m][part][lane]);
                }
            }
        }
    }
    let done = fours.len() * PARTS;
    for (part, factors) in rest.iter().enumerate() {
        for m in 0..M {
            let x = x[m][done + part];
            for lane in 0..LANES {
                local[m][part][lane] = x.mul_add(factors[lane], local[m][part][lane]);
            }
        }
    }
    *sums = local;
}

/// Adds each row of `low`, `(rows, rank)`, times a panel, `(rank, ROWS)`: the sum goes along the rank, then is added.
pub(crate) struct UpColumns<'a, 'b> {
    pub(crate) low: &'a [f32],
    pub(crate) panel: &'a [f32],
    pub(crate) rank: usize,
    pub(crate) columns: &'a mut Columns<'b>,
}

impl Kernel for UpColumns<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { low, panel, rank, columns } = self;
        let panel = panel.as_chunks::<ROWS>().0;
        let rows = low.len() / rank;
        let mut m = 0;
        while m + SHARE <= rows {
            let mut sums = [[0.0f32; ROWS]; SHARE];
            for (r, b) in panel.iter().enumerate() {
                for (i, sums) in sums.iter_mut().enumerate() {
                    let low = low[(m + i) * rank + r];
                    for lane in 0..ROWS {
                        sums[lane] = low.mul_add(b[lane], sums[lane]);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                add(columns.row_mut(m + i), sums);
            }
            m += SHARE;
        }
        for m in m..rows {
            let mut sums = [0.0f32; ROWS];
            for (low, b) in low[m * rank..(m + 1) * rank].iter().zip(panel) {
                for lane in 0..ROWS {
                    sums[lane] = low.mul_add(b[lane], sums[lane]);
                }
            }
            add(columns.row_mut(m), &sums);
        }
    }
}

#[inline(always)]
fn add(out: &mut [f32], sums: &[f32; ROWS]) {
    if let Ok(out) = <&mut [f32; ROWS]>::try_from(&mut *out) {
        for lane in 0..ROWS {
            out[lane] += sums[lane];
        }
    } else {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out += sum;
        }
    }
}

#[cfg(test)]
#[path = "low_rank_tests.rs"]
mod tests;
