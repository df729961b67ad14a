//! The packed layout against the file's own.

use super::*;
use crate::matmul::tests::{Random, Scales, weight};

/// A weight of each packable format and some shapes, its own bytes and packed.
fn each(mut f: impl FnMut(Matrix<'_>, &[u8])) {
    let pool = ThreadPool::new(2);
    let mut random = Random(11);
    for format in Format::ALL.into_iter().filter(|format| format.planes().is_some()) {
        for (rows, cols) in [(1, 256), (16, 512), (33, 768), (47, 256)] {
            for scales in [Scales::Usual, Scales::Denormal, Scales::Large] {
                let data = weight(format, rows, cols, scales, rows % 2 == 0, &mut random);
                let w = Matrix::new(format, rows, cols, &data).unwrap();
                let mut out = vec![0xa5; packed_bytes(format, rows, cols).unwrap()];
                pack(&pool, w, &mut out).unwrap();
                f(w, &out);
            }
        }
    }
}

#[test]
fn packed_rows_dequantize_to_the_same_bits() {
    each(|w, out| {
        let packed = Matrix::packed(w.format(), w.rows(), w.cols(), out).unwrap();
        let (mut a, mut b) = (vec![0.0; w.cols()], vec![0.0; w.cols()]);
        for row in 0..w.rows() {
            w.dequantize_row(row, &mut a);
            packed.dequantize_row(row, &mut b);
            let same = a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{:?} row {row} of {}", w.format(), w.rows());
        }
    });
}

#[test]
fn packing_costs_at_most_a_few_per_cent() {
    for format in Format::ALL.into_iter().filter(|format| format.planes().is_some()) {
        let (rows, cols) = (1024, 1024);
        let (own, packed) = (format.row_bytes(cols).unwrap() * rows, packed_bytes(format, rows, cols).unwrap());
        assert!(packed >= own && packed * 100 <= own * 104, "{format:?}: {own} and {packed}");
    }
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let pool = ThreadPool::new(1);
    assert_eq!(packed_bytes(Format::F16, 4, 32), None);
    assert_eq!(packed_bytes(Format::Q4K, 4, 32), None);
    assert_eq!(packed_bytes(Format::Q8_0, usize::MAX, 1 << 40), None);
    assert_eq!(packed_bytes(Format::Q8_0, 0, 32), Some(0));
    let data = vec![0; 34 * 3];
    let w = Matrix::new(Format::Q8_0, 3, 32, &data).unwrap();
    assert!(pack(&pool, w, &mut [0; 10]).is_err());
    assert!(Matrix::packed(Format::Q8_0, 3, 32, &data).is_err());
    let floats = Matrix::new(Format::F32, 1, 1, &[0; 4]).unwrap();
    assert!(pack(&pool, floats, &mut []).is_err());
}
