//! Every kernel against the portable one, bit by bit, and both against f64.

use super::*;
use crate::Format;
use proptest::prelude::*;

/// A small generator, so that a failing case is named by its seed.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }
}

/// What the scales of a weight look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales {
    /// Like those of a trained model.
    Usual,
    /// f16 denormals and zeros.
    Denormal,
    /// Near the largest f16, of both signs.
    Large,
}

/// Where a block has f16 numbers: scales, minima, or the value itself.
fn f16_places(format: Format) -> &'static [usize] {
    match format {
        Format::F16 | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
        Format::F32 | Format::BF16 => &[],
    }
}

/// Random quants under chosen scales; `extreme` makes each byte 0x00, 0x7f, 0x80 or 0xff.
pub(crate) fn weight(
    format: Format,
    rows: usize,
    cols: usize,
    scales: Scales,
    extreme: bool,
    random: &mut Random,
) -> Vec<u8> {
    let bytes = format.block_bytes();
    let mut data: Vec<u8> = (0..rows * format.row_bytes(cols).unwrap())
        .map(|_| {
            let r = random.next() >> 13;
            if extreme { [0x00, 0x7f, 0x80, 0xff][(r % 4) as usize] } else { r as u8 }
        })
        .collect();
    if let Format::F32 | Format::BF16 = format {
        for value in data.chunks_exact_mut(bytes) {
            let small = random.float() * 0.1;
            let raw = small.to_le_bytes();
            value.copy_from_slice(&raw[4 - bytes..]);
        }
        return data;
    }
    for block in data.chunks_exact_mut(bytes) {
        for &at in f16_places(format) {
            let bits = random.next() as u16;
            let scale = match scales {
                Scales::Usual => half::f16::from_f32(random.float() * 0.02).to_bits(),
                Scales::Denormal => bits & 0x83ff & if bits & 0x4000 == 0 { 0x8000 } else { 0xffff },
                Scales::Large => (bits & 0x83ff) | 0x7800,
            };
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    data
}

fn product(isa: Isa, pool: &ThreadPool, w: Matrix<'_>, x: &[f32]) -> Vec<f32> {
    let mut activations = Activations::new();
    activations.set_on(isa, pool, x, w.cols());
    let mut out = vec![f32::NAN; activations.rows() * w.rows()];
    matmul_on(isa, pool, &mut [(w, &mut out)], &activations);
    out
}

/// The packed form of a weight, if its format has one.
fn packed(w: Matrix<'_>) -> Option<Vec<u8>> {
    let mut out = vec![0; crate::packed_bytes(w.format(), w.rows(), w.cols())?];
    crate::pack(&ThreadPool::new(1), w, &mut out).unwrap();
    Some(out)
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

const COLS: [usize; 7] = [32, 96, 256, 576, 640, 896, 4864];

#[test]
fn every_instruction_set_gives_the_portable_bits() {
    let pool = ThreadPool::new(1);
    let mut random = Random(1);
    for format in Format::ALL {
        for cols in COLS.into_iter().chain([5]).filter(|cols| cols % format.block_len() == 0) {
            for (rows, m) in [(1, 1), (15, 2), (17, 3), (33, 4), (64, 7), (70, 12), (5, 13), (48, 9), (20, 17)] {
                if cols > 1000 && rows * m > 200 {
                    continue;
                }
                let scales = [Scales::Usual, Scales::Denormal, Scales::Large][(random.next() % 3) as usize];
                let data = weight(format, rows, cols, scales, random.next().is_multiple_of(2), &mut random);
                let w = Matrix::new(format, rows, cols, &data).unwrap();
                let mut x = random.floats(m * cols);
                // A group of zeros, one huge value, some tiny ones.
                x[..cols.min(32)].fill(0.0);
                x[(m - 1) * cols] = 1e30;
                for x in &mut x[(m - 1) * cols + cols / 2..] {
                    *x *= 1e-37;
                }
                let expected = product(Isa::Portable, &pool, w, &x);
                let packed = packed(w);
                let packed = packed.as_ref().map(|data| Matrix::packed(format, rows, cols, data).unwrap());
                for (w, isa) in [Some(w), packed]
                    .into_iter()
                    .flatten()
                    .flat_map(|w| Isa::supported().into_iter().map(move |isa| (w, isa)))
                {
                    let found = product(isa, &pool, w, &x);
                    assert_eq!(
                        bits(&expected),
                        bits(&found),
                        "{isa:?} {format:?} {rows} x {cols}, {m} rows, {scales:?}, packed: {}",
                        w.is_packed()
                    );
                }
            }
        }
    }
}

#[test]
fn sums_at_their_limits_are_exact_on_every_instruction_set() {
    let pool = ThreadPool::new(1);
    let (rows, cols) = (33, 256);
    for format in Format::ALL.into_iter().filter(|format| !format.is_float()) {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            // Every quant is the same, so that all products of a sum are the largest and of one sign.
            let mut data = vec![byte; rows * format.row_bytes(cols).unwrap()];
            for block in data.chunks_exact_mut(format.block_bytes()) {
                for &at in f16_places(format) {
                    block[at..at + 2].copy_from_slice(&half::f16::ONE.to_le_bytes());
                }
            }
            let w = Matrix::new(format, rows, cols, &data).unwrap();
            let packed = packed(w).unwrap();
            let packed = Matrix::packed(format, rows, cols, &packed).unwrap();
            for m in [1, 2, 3, 9] {
                let x: Vec<f32> = (0..m * cols).map(|i| if i / cols % 2 == 0 { 1.0 } else { -1.0 }).collect();
                let expected = product(Isa::Portable, &pool, w, &x);
                for isa in Isa::supported() {
                    for w in [w, packed] {
                        let found = product(isa, &pool, w, &x);
                        assert_eq!(bits(&expected), bits(&found), "{isa:?} {format:?} {byte:#x}, {m} rows");
                    }
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_quantizes_alike() {
    let pool = ThreadPool::new(2);
    let mut random = Random(5);
    let (rows, cols) = (600, 96);
    let mut x = random.floats(rows * cols);
    for (i, x) in x.iter_mut().enumerate() {
        // Rows of all magnitudes, ties at half, zeros.
        *x *= 10f32.powi((i / cols % 76) as i32 - 38);
        if i / cols % 5 == 0 {
            *x = [0.5, -1.5, 2.5, 127.0, -126.5, 0.0, -0.0][i % 7];
        }
        if i / cols % 7 == 0 {
            *x = 0.0;
        }
    }
    let mut expected = Activations::new();
    expected.set_on(Isa::Portable, &pool, &x, cols);
    for (q, x) in expected.q.iter().zip(&x) {
        assert!(*q >= -127 && (*q == 0 || (*q > 0) == (*x > 0.0)));
    }
    for isa in Isa::supported() {
        let mut found = Activations::new();
        found.set_on(isa, &pool, &x, cols);
        assert_eq!(found.values, expected.values);
        assert_eq!((&found.q, &found.biased, &found.sums), (&expected.q, &expected.biased, &expected.sums));
        assert_eq!(bits(&found.d), bits(&expected.d));
        assert_eq!(bits(&found.dsums), bits(&expected.dsums));
        assert_eq!(bits(&found.dsums32), bits(&expected.dsums32));
    }
}

#[test]
fn quantized_products_are_near_those_of_the_dequantized_weights() {
    let pool = ThreadPool::new(2);
    let mut random = Random(2);
    for format in Format::ALL {
        let (rows, cols, m) = (40, 1024, 5);
        let data = weight(format, rows, cols, Scales::Usual, false, &mut random);
        let w = Matrix::new(format, rows, cols, &data).unwrap();
        let x = random.floats(m * cols);
        let mut expected = vec![0.0; m * rows];
        matmul_reference(w, &x, &mut expected);
        let found = product(Isa::detected(), &pool, w, &x);
        let norm = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        let difference: Vec<f32> = expected.iter().zip(&found).map(|(a, b)| a - b).collect();
        // Rounding activations to 8 bits of their largest in 32 leaves about 1/127/sqrt(12) of uniform values: 0.4 %.
        let limit = if format.is_float() { 1e-6 } else { 0.01 };
        let relative = norm(&difference) / norm(&expected);
        assert!(relative < limit, "{format:?}: {relative}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_row_has_the_same_bits_in_any_batch_and_on_any_threads(
        seed: u64,
        format in 0..13usize,
        cols in 0..COLS.len(),
        rows in 1..80usize,
        m in 1..20usize,
        threads in 2..5usize,
        split in 0..20usize,
    ) {
        let format = Format::ALL[format];
        let cols = COLS[cols].next_multiple_of(format.block_len()).min(1024);
        let mut random = Random(seed);
        let data = weight(format, rows, cols, Scales::Usual, false, &mut random);
        let w = Matrix::new(format, rows, cols, &data).unwrap();
        let x = random.floats(m * cols);
        let (one, several) = (ThreadPool::new(1), ThreadPool::new(threads));
        let packed = packed(w);
        let packed = packed.as_ref().map(|data| Matrix::packed(format, rows, cols, data).unwrap());
        for (isa, w) in Isa::supported().into_iter().flat_map(|isa| [Some((isa, w)), packed.map(|w| (isa, w))]).flatten() {
            let whole = product(isa, &one, w, &x);
            prop_assert_eq!(bits(&whole), bits(&product(isa, &several, w, &x)));
            let at = split.min(m);
            let mut pieces = product(isa, &several, w, &x[..at * cols]);
            pieces.extend(product(isa, &one, w, &x[at * cols..]));
            prop_assert_eq!(bits(&whole), bits(&pieces));
            let last = product(isa, &one, w, &x[(m - 1) * cols..]);
            prop_assert_eq!(bits(&whole[(m - 1) * rows..]), bits(&last));
        }
    }
}

#[test]
fn a_group_gives_the_bits_of_single_products() {
    let pool = ThreadPool::new(2);
    let mut random = Random(3);
    let cols = 256;
    let x = random.floats(5 * cols);
    let mut activations = Activations::new();
    activations.set(&pool, &x, cols);
    let shapes = [(Format::Q5_0, 64), (Format::Q6K, 7), (Format::F16, 33), (Format::Q8_0, 0)];
    let data: Vec<_> =
        shapes.iter().map(|&(format, rows)| weight(format, rows, cols, Scales::Usual, false, &mut random)).collect();
    let weights: Vec<_> = shapes
        .iter()
        .zip(&data)
        .map(|(&(format, rows), data)| Matrix::new(format, rows, cols, data).unwrap())
        .collect();
    let mut outs: Vec<_> = shapes.iter().map(|&(_, rows)| vec![f32::NAN; 5 * rows]).collect();
    let mut jobs: Vec<_> = weights.iter().copied().zip(outs.iter_mut().map(Vec::as_mut_slice)).collect();
    matmul_group(&pool, &mut jobs, &activations);
    for (w, out) in weights.iter().zip(&outs) {
        assert_eq!(bits(out), bits(&product(Isa::detected(), &pool, *w, &x)), "{:?}", w.format());
    }
}

#[test]
fn a_first_product_that_fails_ends_the_wait_for_it() {
    let low = super::Low::default();
    let waiting = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| low.wait().len());
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| low.compute(|| panic!("bad factors"))));
        assert!(failed.is_err());
        waiter.join()
    });
    assert!(waiting.is_err(), "a wait for what will never come");
    let low = super::Low::default();
    low.compute(|| vec![1.0, 2.0]);
    assert_eq!(low.wait(), [1.0, 2.0]);
}
