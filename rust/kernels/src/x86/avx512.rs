//! Quantized products with AVX-512 VNNI.
//!
//! A lane is a weight row, 16 to a register. Few activation rows read the compact bits directly: 16 rows of 32 columns
//! are multiplied along the columns and the partial sums transposed into lanes. Many activation rows unpack a panel of
//! 32 weight rows once and run a register tile of 2 x 16 weight rows by up to 6 activation rows over it.

use super::avx512_formats::*;
use crate::panel::{self, Panel};
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use std::arch::x86_64::*;
use std::ops::Range;

/// Up to this many activation rows read the compact bits; more unpack a panel.
const FEW: usize = 3;

/// Computes the columns of one task for a quantized weight.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL, DQ and VNNI.
pub(crate) unsafe fn quantized(w: Matrix<'_>, x: &Activations, columns: Columns<'_>, scratch: &mut Panel) {
    assert!(w.cols() == x.cols() && w.cols().is_multiple_of(32) && x.q.len() == x.rows() * x.cols());
    // SAFETY: the caller's promise of features.
    unsafe {
        match w.format() {
            Format::Q4_0 => few_or_many::<Q4_0>(w, x, columns, scratch),
            Format::Q4_1 => few_or_many::<Q4_1>(w, x, columns, scratch),
            Format::Q5_0 => few_or_many::<Q5_0>(w, x, columns, scratch),
            Format::Q5_1 => few_or_many::<Q5_1>(w, x, columns, scratch),
            Format::Q8_0 => few_or_many::<Q8_0>(w, x, columns, scratch),
            Format::Q2K => few_or_many::<Q2K>(w, x, columns, scratch),
            Format::Q3K => few_or_many::<Q3K>(w, x, columns, scratch),
            Format::Q4K => few_or_many::<Q4K>(w, x, columns, scratch),
            Format::Q5K => few_or_many::<Q5K>(w, x, columns, scratch),
            Format::Q6K => few_or_many::<Q6K>(w, x, columns, scratch),
            Format::F32 | Format::F16 | Format::BF16 => {
                unreachable!("float weights have their own kernels")
            }
        }
    }
}

/// 16 rows of a weight: where each begins, the last one again for rows beyond the end.
struct Rows16<'a> {
    data: &'a [u8],
    offsets: [usize; 16],
}

impl<'a> Rows16<'a> {
    fn new(w: Matrix<'a>, rows: Range<usize>) -> Self {
        let bytes = w.data().len() / w.rows();
        let offsets = std::array::from_fn(|i| i.min(rows.len() - 1) * bytes);
        Self { data: &w.data()[rows.start * bytes..], offsets }
    }

    fn narrow(&self) -> [i32; 16] {
        self.offsets.map(|offset| i32::try_from(offset).expect("16 rows are below 2 GiB"))
    }

    #[target_feature(enable = "avx512f")]
    fn vector(&self) -> __m512i {
        let narrow: [i32; 16] = self.narrow();
        // SAFETY: 64 bytes of a local array.
        unsafe { _mm512_loadu_si512(narrow.as_ptr().cast()) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn few_or_many<D: Decode>(w: Matrix<'_>, x: &Activations, mut columns: Columns<'_>, scratch: &mut Panel) {
    let range = columns.range();
    if range.is_empty() || w.cols() == 0 {
        return;
    }
    if x.rows() <= FEW {
        for start in range.clone().step_by(16) {
            let rows = start..range.end.min(start + 16);
            let source = Rows16::new(w, rows.clone());
            let at = start - range.start..rows.end - range.start;
            match x.rows() {
                1 => few::<D, 1>(&source, x, at, &mut columns),
                2 => few::<D, 2>(&source, x, at, &mut columns),
                3 => few::<D, 3>(&source, x, at, &mut columns),
                _ => {}
            }
        }
        return;
    }
    unpack::<D>(w, range, scratch);
    match (D::FORMAT.has_groups_of_16(), D::FORMAT.has_min()) {
        (false, false) => many::<1, false>(scratch, x, columns),
        (false, true) => many::<1, true>(scratch, x, columns),
        (true, false) => many::<2, false>(scratch, x, columns),
        (true, true) => many::<2, true>(scratch, x, columns),
    }
}

/// All activation rows times a panel whose columns have `GROUPS` scales in each 32, and minima or none.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) fn many<const GROUPS: usize, const MIN: bool>(panel: &Panel, x: &Activations, mut columns: Columns<'_>) {
    // Two groups hold the sums of the first while they make those of the second.
    let most = if GROUPS == 2 { 4 } else { 6 };
    let mut m = 0;
    while m < x.rows() {
        let rows = most.min(x.rows() - m);
        match rows {
            1 => tile::<GROUPS, MIN, 1>(panel, x, m, &mut columns),
            2 => tile::<GROUPS, MIN, 2>(panel, x, m, &mut columns),
            3 => tile::<GROUPS, MIN, 3>(panel, x, m, &mut columns),
            4 => tile::<GROUPS, MIN, 4>(panel, x, m, &mut columns),
            5 => tile::<GROUPS, MIN, 5>(panel, x, m, &mut columns),
            _ => tile::<GROUPS, MIN, 6>(panel, x, m, &mut columns),
        }
        m += rows;
    }
}

/// The lanes of the first `n` rows.
pub(super) fn mask(n: usize) -> __mmask16 {
    if n >= 16 { !0 } else { (1 << n) - 1 }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add32(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add64(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}

/// Sums of the eight partial sums of each half of each input, as lanes: the low half of input `i` goes to lane `i` or
/// `i + 4`, its high half to four lanes after that. Returns the sums over the first and the second 16 columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_sums(p: [__m512i; 8]) -> (__m512i, __m512i) {
    let low = add64(add32(p[0], p[1]), add32(p[2], p[3]));
    let high = add64(add32(p[4], p[5]), add32(p[6], p[7]));
    (_mm512_shuffle_i32x4::<0b10_00_10_00>(low, high), _mm512_shuffle_i32x4::<0b11_01_11_01>(low, high))
}

/// `M` activation rows times 16 weight rows, from the compact bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn few<D: Decode, const M: usize>(rows: &Rows16<'_>, x: &Activations, at: Range<usize>, columns: &mut Columns<'_>) {
    let format = D::FORMAT;
    let (bytes, per_block) = (format.block_bytes(), format.block_len() / 32);
    let chunks = x.cols() / 32;
    let blocks = chunks / per_block;
    let vector = rows.vector();
    let base = rows.data.as_ptr();
    let ahead = rows.offsets[15] + blocks * bytes;
    let mut acc = [_mm512_setzero_ps(); M];
    for b in 0..blocks {
        // SAFETY: each row has `blocks` whole blocks from its offset; a prefetch may point anywhere.
        let head = unsafe {
            for line in 0..(16 * bytes).div_ceil(64) {
                _mm_prefetch::<_MM_HINT_T0>(base.wrapping_add(ahead + b * 16 * bytes + line * 64).cast());
            }
            D::head(base.add(b * bytes), vector)
        };
        for c in 0..per_block {
            let chunk = b * per_block + c;
            let mut q = [_mm512_setzero_si512(); 8];
            // SAFETY: as above, and `c` is below the chunks of a block.
            let scales = unsafe {
                for (i, q) in q.iter_mut().enumerate() {
                    let first = i / 4 * 8 + i % 4;
                    let (low, high) = (rows.offsets[first] + b * bytes, rows.offsets[first + 4] + b * bytes);
                    *q = D::quants(base.add(low), base.add(high), c);
                }
                D::scales(&head, c)
            };
            for m in 0..M {
                // SAFETY: row `m` of the 8-bit activations has columns `32 * chunk ..`.
                let values = unsafe { _mm256_loadu_si256(x.q.as_ptr().add(m * x.cols() + chunk * 32).cast()) };
                let values = _mm512_broadcast_i64x4(values);
                let mut partial = q;
                for partial in &mut partial {
                    *partial = _mm512_dpbusd_epi32(_mm512_setzero_si512(), *partial, values);
                }
                let (mut dot0, mut dot1) = transpose_sums(partial);
                let side = m * chunks + chunk;
                let d = _mm512_set1_ps(x.d[side]);
                let sums = [x.sums[2 * side], x.sums[2 * side + 1]];
                if format.has_groups_of_16() {
                    dot0 = _mm512_sub_epi32(dot0, _mm512_set1_epi32(sums[0] * D::OFFSET));
                    dot1 = _mm512_sub_epi32(dot1, _mm512_set1_epi32(sums[1] * D::OFFSET));
                    let t = _mm512_mul_ps(_mm512_cvtepi32_ps(dot0), scales.s[0]);
                    let t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot1), scales.s[1], t);
                    acc[m] = _mm512_fmadd_ps(t, d, acc[m]);
                    if format.has_min() {
                        acc[m] = _mm512_fmadd_ps(scales.m[0], _mm512_set1_ps(x.dsums[2 * side]), acc[m]);
                        acc[m] = _mm512_fmadd_ps(scales.m[1], _mm512_set1_ps(x.dsums[2 * side + 1]), acc[m]);
                    }
                } else {
                    let mut dot = _mm512_add_epi32(dot0, dot1);
                    if D::OFFSET != 0 {
                        dot = _mm512_sub_epi32(dot, _mm512_set1_epi32((sums[0] + sums[1]) * D::OFFSET));
                    }
                    let t = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), scales.s[0]);
                    acc[m] = _mm512_fmadd_ps(t, d, acc[m]);
                    if format.has_min() {
                        acc[m] = _mm512_fmadd_ps(scales.m[0], _mm512_set1_ps(x.dsums32[side]), acc[m]);
                    }
                }
            }
        }
    }
    for (m, acc) in acc.into_iter().enumerate() {
        let out = &mut columns.row_mut(m)[at.clone()];
        // SAFETY: the mask keeps the store within `out`.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask(out.len()), acc) };
    }
}

/// Unpacks the rows of a panel; see [`Panel`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn unpack<D: Decode>(w: Matrix<'_>, range: Range<usize>, panel: &mut Panel) {
    let format = D::FORMAT;
    let (bytes, per_block) = (format.block_bytes(), format.block_len() / 32);
    let chunks = w.cols() / 32;
    let groups = if format.has_groups_of_16() { 2 } else { 1 };
    panel.resize(chunks, groups);
    for tile in 0..2 {
        let start = range.start + tile * 16;
        if start >= range.end {
            break;
        }
        let rows = Rows16::new(w, start..range.end.min(start + 16));
        let (vector, base) = (rows.vector(), rows.data.as_ptr());
        for b in 0..chunks / per_block {
            // SAFETY: each row has this block.
            let head = unsafe { D::head(base.add(b * bytes), vector) };
            for c in 0..per_block {
                let chunk = b * per_block + c;
                let offset = _mm512_set1_epi8(D::OFFSET as i8);
                let mut q = [_mm512_setzero_si512(); 8];
                // SAFETY: each row has this block, and `c` is below its chunks.
                let scales = unsafe {
                    for (i, q) in q.iter_mut().enumerate() {
                        let (low, high) = (rows.offsets[i] + b * bytes, rows.offsets[i + 8] + b * bytes);
                        *q = _mm512_sub_epi8(D::quants(base.add(low), base.add(high), c), offset);
                    }
                    D::scales(&head, c)
                };
                let q = transpose(q);
                let lines = &mut panel.q[(chunk * 2 + tile) * 8..][..8];
                let mut sums = [_mm512_setzero_si512(); 2];
                for (i, (q, line)) in q.into_iter().zip(lines).enumerate() {
                    // SAFETY: a line has 64 bytes.
                    unsafe { _mm512_storeu_si512(line.0.as_mut_ptr().cast(), q) };
                    sums[i / (8 / groups)] = _mm512_dpbusd_epi32(sums[i / (8 / groups)], _mm512_set1_epi8(-128), q);
                }
                for g in 0..groups {
                    let at = (chunk * 2 + tile) * groups + g;
                    let bias = _mm512_sub_epi32(_mm512_setzero_si512(), sums[g]);
                    // SAFETY: a line has 64 bytes.
                    unsafe {
                        _mm512_storeu_si512(panel.bias[at].0.as_mut_ptr().cast(), bias);
                        _mm512_storeu_ps(panel.scale[at].0.as_mut_ptr().cast(), scales.s[g]);
                        if format.has_min() {
                            _mm512_storeu_ps(panel.min[at].0.as_mut_ptr().cast(), scales.m[g]);
                        }
                    }
                }
            }
        }
    }
}

/// From rows to columns: input `i` holds 8 words of row `i` and of row `i + 8`; output `j` holds word `j` of all 16.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(q: [__m512i; 8]) -> [__m512i; 8] {
    let mut pairs = q;
    for i in 0..4 {
        pairs[2 * i] = _mm512_unpacklo_epi32(q[2 * i], q[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(q[2 * i], q[2 * i + 1]);
    }
    // quads[j] and quads[4 + j]: word j (low 128 bits of a half) and word 4 + j (high) of rows 0-3 and of rows 4-7.
    let mut quads = q;
    for i in 0..2 {
        quads[4 * i] = _mm512_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
        quads[4 * i + 1] = _mm512_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
        quads[4 * i + 2] = _mm512_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
        quads[4 * i + 3] = _mm512_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
    }
    let low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    let mut out = q;
    for j in 0..4 {
        out[j] = _mm512_permutex2var_epi64(quads[j], low, quads[4 + j]);
        out[4 + j] = _mm512_permutex2var_epi64(quads[j], high, quads[4 + j]);
    }
    out
}

/// The integer sums of one group of columns: `M` activation rows, `stride` bytes apart, by two tiles of weight rows.
///
/// # Safety
/// As [`tile`] says for its pointers, and the processor has AVX-512 VNNI.
#[inline(always)]
unsafe fn group_dots<const M: usize>(
    q: *const __m512i,
    bias: *const __m512i,
    values: *const u8,
    stride: usize,
    groups: usize,
    g: usize,
) -> [[__m512i; 2]; M] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut dots = [[*bias.add(g), *bias.add(groups + g)]; M];
        for i in g * 8 / groups..(g + 1) * 8 / groups {
            let (low, high) = (*q.add(i), *q.add(8 + i));
            for (r, dots) in dots.iter_mut().enumerate() {
                let four = _mm512_set1_epi32(values.add(r * stride + i * 4).cast::<i32>().read_unaligned());
                dots[0] = _mm512_dpbusd_epi32(dots[0], four, low);
                dots[1] = _mm512_dpbusd_epi32(dots[1], four, high);
            }
        }
        dots
    }
}

/// `M` activation rows from `m` times a panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn tile<const GROUPS: usize, const MIN: bool, const M: usize>(
    panel: &Panel,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    let chunks = x.cols() / 32;
    let groups = GROUPS;
    assert!(m + M <= x.rows() && x.biased.len() >= x.rows() * x.cols() && x.d.len() >= x.rows() * chunks);
    assert!(x.dsums.len() >= x.rows() * chunks * 2 && x.dsums32.len() >= x.rows() * chunks);
    assert!(panel.q.len() >= chunks * 16 && panel.scale.len() >= chunks * 2 * groups);
    assert!(panel.min.len() >= panel.scale.len() && panel.bias.len() >= chunks * 2 * groups);
    let mut acc = [[_mm512_setzero_ps(); 2]; M];
    // SAFETY: all reads are within what the lines above checked: activation rows `m .. m + M` and `chunks` of each
    // side of the panel.
    unsafe {
        let values = x.biased.as_ptr().add(m * x.cols());
        let d = x.d.as_ptr().add(m * chunks);
        let (dsums, dsums32) = (x.dsums.as_ptr().add(m * chunks * 2), x.dsums32.as_ptr().add(m * chunks));
        for chunk in 0..chunks {
            let q = panel.q.as_ptr().add(chunk * 16).cast::<__m512i>();
            let side = chunk * 2 * groups;
            let bias = panel.bias.as_ptr().add(side).cast::<__m512i>();
            let scale = panel.scale.as_ptr().add(side).cast::<__m512>();
            let min = panel.min.as_ptr().add(side).cast::<__m512>();
            let values = values.add(chunk * 32);
            if groups == 1 {
                let dots = group_dots::<M>(q, bias, values, x.cols(), groups, 0);
                for r in 0..M {
                    let d = _mm512_set1_ps(*d.add(r * chunks + chunk));
                    for t in 0..2 {
                        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[r][t]), *scale.add(t));
                        acc[r][t] = _mm512_fmadd_ps(scaled, d, acc[r][t]);
                        if MIN {
                            let dsum = _mm512_set1_ps(*dsums32.add(r * chunks + chunk));
                            acc[r][t] = _mm512_fmadd_ps(*min.add(t), dsum, acc[r][t]);
                        }
                    }
                }
            } else {
                let dots = group_dots::<M>(q, bias, values, x.cols(), groups, 0);
                let mut scaled = [[_mm512_setzero_ps(); 2]; M];
                for r in 0..M {
                    for t in 0..2 {
                        scaled[r][t] = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[r][t]), *scale.add(2 * t));
                    }
                }
                let dots = group_dots::<M>(q, bias, values, x.cols(), groups, 1);
                for r in 0..M {
                    let at = r * chunks + chunk;
                    for t in 0..2 {
                        let both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][t]), *scale.add(2 * t + 1), scaled[r][t]);
                        acc[r][t] = _mm512_fmadd_ps(both, _mm512_set1_ps(*d.add(at)), acc[r][t]);
                        if MIN {
                            let dsum = _mm512_set1_ps(*dsums.add(2 * at));
                            acc[r][t] = _mm512_fmadd_ps(*min.add(2 * t), dsum, acc[r][t]);
                            let dsum = _mm512_set1_ps(*dsums.add(2 * at + 1));
                            acc[r][t] = _mm512_fmadd_ps(*min.add(2 * t + 1), dsum, acc[r][t]);
                        }
                    }
                }
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        let out = columns.row_mut(m + r);
        debug_assert!(out.len() <= panel::ROWS);
        let (first, second) = out.split_at_mut(out.len().min(16));
        // SAFETY: the masks keep the stores within the two parts.
        unsafe {
            _mm512_mask_storeu_ps(first.as_mut_ptr(), mask(first.len()), acc[0]);
            _mm512_mask_storeu_ps(second.as_mut_ptr(), mask(second.len()), acc[1]);
        }
    }
}
