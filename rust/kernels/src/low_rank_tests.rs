//! Low-rank additions against f64, on every instruction set and in any batch.

use super::*;
use crate::matmul::matmul_adapted_on;
use crate::matmul::tests::{Random, Scales, weight};
use crate::{Adapted, Format, Matrix, Product};

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

struct Case {
    weight: Vec<u8>,
    format: Format,
    a: Vec<f32>,
    b: Vec<f32>,
    x: Vec<f32>,
    rank: usize,
    inputs: usize,
    outputs: usize,
}

fn case(seed: u64, rank: usize, outputs: usize) -> Case {
    let mut random = Random(seed);
    let (inputs, rows, format) = (96, 9, Format::Q5_0);
    Case {
        weight: weight(format, outputs, inputs, Scales::Usual, false, &mut random),
        format,
        a: random.floats(rank * inputs),
        b: random.floats(rank * outputs),
        x: random.floats(rows * inputs),
        rank,
        inputs,
        outputs,
    }
}

impl Case {
    fn kinds(&self) -> [LowRank; 2] {
        let Self { rank, inputs, outputs, a, b, .. } = self;
        [LowRank::exact(*rank, a, b, *inputs, *outputs), LowRank::compact(*rank, a, b, *inputs, *outputs).unwrap()]
    }

    fn run(&self, isa: Isa, pool: &ThreadPool, x: &[f32], adapters: &[Adapted<'_>]) -> Vec<f32> {
        let mut activations = Activations::new();
        activations.set_on(isa, pool, x, self.inputs);
        let w = Matrix::new(self.format, self.outputs, self.inputs, &self.weight).unwrap();
        let mut out = vec![f32::NAN; activations.rows() * self.outputs];
        matmul_adapted_on(isa, pool, &mut [Product { weight: w, out: &mut out, adapters }], &activations);
        out
    }
}

#[test]
fn the_addition_is_the_product_of_the_factors() {
    let pool = ThreadPool::new(2);
    for (rank, outputs) in [(1, 5), (8, 40), (16, 64), (20, 33)] {
        let case = case(4, rank, outputs);
        let base = case.run(Isa::detected(), &pool, &case.x, &[]);
        for (kind, limit) in case.kinds().iter().zip([1e-5, 1e-3]) {
            let with =
                case.run(Isa::detected(), &pool, &case.x, &[Adapted { factors: kind, first_row: 0, scale: 0.5 }]);
            let (mut error, mut size) = (0.0f64, 0.0f64);
            for m in 0..case.x.len() / case.inputs {
                let x = &case.x[m * case.inputs..(m + 1) * case.inputs];
                for n in 0..outputs {
                    let mut sum = 0.0f64;
                    for r in 0..rank {
                        let a = &case.a[r * case.inputs..(r + 1) * case.inputs];
                        let low: f64 = x.iter().zip(a).map(|(x, a)| f64::from(*x) * f64::from(*a)).sum();
                        sum += 0.5 * low * f64::from(case.b[n * rank + r]);
                    }
                    let at = m * outputs + n;
                    error += (f64::from(with[at]) - f64::from(base[at]) - sum).powi(2);
                    size += sum.powi(2);
                }
            }
            // Sums in f32; and factors in f16, each off by at most 0.05 %.
            let relative = (error / size).sqrt();
            assert!(relative < limit, "rank {rank}: {relative}");
        }
    }
}

#[test]
fn a_row_has_the_same_bits_on_any_instructions_threads_and_in_any_batch() {
    let (one, several) = (ThreadPool::new(1), ThreadPool::new(3));
    let case = case(7, 16, 70);
    for kind in case.kinds() {
        let adapters = [
            Adapted { factors: &kind, first_row: 0, scale: 1.25 },
            Adapted { factors: &kind, first_row: 0, scale: -0.5 },
        ];
        let expected = case.run(Isa::Portable, &one, &case.x, &adapters);
        for isa in Isa::supported() {
            assert_eq!(bits(&expected), bits(&case.run(isa, &several, &case.x, &adapters)), "{isa:?}");
            let mut pieces = Vec::new();
            for x in [&case.x[..case.inputs], &case.x[case.inputs..4 * case.inputs], &case.x[4 * case.inputs..]] {
                pieces.extend(case.run(isa, &several, x, &adapters));
            }
            assert_eq!(bits(&expected), bits(&pieces), "{isa:?} in pieces");
        }
    }
}

#[test]
fn a_part_of_the_outputs_takes_its_own_rows_of_b() {
    let pool = ThreadPool::new(1);
    let case = case(9, 4, 70);
    let w = Matrix::new(case.format, case.outputs, case.inputs, &case.weight).unwrap();
    let mut activations = Activations::new();
    activations.set(&pool, &case.x, case.inputs);
    for kind in case.kinds() {
        let whole = case.run(Isa::detected(), &pool, &case.x, &[Adapted { factors: &kind, first_row: 0, scale: 1.0 }]);
        for first in [32, 35] {
            let rows = activations.rows();
            let mut out = vec![0.0; rows * (case.outputs - first)];
            let adapters = [Adapted { factors: &kind, first_row: first, scale: 1.0 }];
            let weight = w.rows_range(first..case.outputs);
            let product = Product { weight, out: &mut out, adapters: &adapters };
            matmul_adapted_on(Isa::detected(), &pool, &mut [product], &activations);
            for (whole, part) in whole.chunks(case.outputs).zip(out.chunks(case.outputs - first)) {
                assert_eq!(bits(&whole[first..]), bits(part));
            }
        }
    }
}

#[test]
fn what_the_compact_form_cannot_hold_is_left_to_the_exact_one() {
    assert!(LowRank::compact(1, &[1.0; 32], &[70_000.0], 32, 1).is_none());
    assert!(LowRank::compact(1, &[f32::INFINITY; 32], &[1.0], 32, 1).is_none());
    let small = LowRank::compact(16, &[0.5; 16 * 64], &[0.5; 16 * 64], 64, 64).unwrap();
    let large = LowRank::exact(16, &[0.5; 16 * 64], &[0.5; 16 * 64], 64, 64);
    assert_eq!(small.bytes() * 2, large.bytes());
}
