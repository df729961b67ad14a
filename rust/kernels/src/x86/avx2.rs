//! Quantized products with AVX2, and with AVX-VNNI where it is there.
//!
//! A lane is a weight row, 8 to a register; otherwise as in `avx512.rs`. Without VNNI, products of bytes are summed in
//! 16 bits first: weights are unsigned and below 64 so that the sums cannot saturate; Q8_0 instead multiplies its
//! magnitudes with activations that carry its signs, and `128 * 127 * 2` fits.

use crate::blocks::{self, Scales};
use crate::packed::{LINE, Planes, TILE_ROWS};
use crate::panel::Panel;
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use std::arch::x86_64::*;
use std::ops::Range;

/// Up to this many activation rows read the compact bits; more unpack a panel.
const FEW: usize = 3;
/// The same for packed weights, which need no transposing.
const FEW_PACKED: usize = 8;
/// Activation rows of a register tile.
const MOST: usize = 4;

/// Computes the columns of one task for a quantized weight.
///
/// # Safety
/// The processor has AVX2, FMA and F16C; with `vnni` also AVX-VNNI.
pub(super) unsafe fn quantized(vnni: bool, w: Matrix<'_>, x: &Activations, columns: Columns<'_>, scratch: &mut Panel) {
    assert!(w.cols() == x.cols() && w.cols().is_multiple_of(32) && x.q.len() == x.rows() * x.cols());
    // SAFETY: the caller's promise of features.
    unsafe {
        if vnni {
            by_format::<true>(w, x, columns, scratch);
        } else {
            by_format::<false>(w, x, columns, scratch);
        }
    }
}

unsafe fn by_format<const VNNI: bool>(w: Matrix<'_>, x: &Activations, columns: Columns<'_>, scratch: &mut Panel) {
    // SAFETY: the caller's promise of features.
    unsafe {
        match w.format() {
            Format::Q4_0 => few_or_many::<Q4_0, VNNI>(w, x, columns, scratch),
            Format::Q4_1 => few_or_many::<Q4_1, VNNI>(w, x, columns, scratch),
            Format::Q5_0 => few_or_many::<Q5_0, VNNI>(w, x, columns, scratch),
            Format::Q5_1 => few_or_many::<Q5_1, VNNI>(w, x, columns, scratch),
            Format::Q8_0 => few_or_many::<Q8_0, VNNI>(w, x, columns, scratch),
            Format::Q2K => few_or_many::<Q2K, VNNI>(w, x, columns, scratch),
            Format::Q3K => few_or_many::<Q3K, VNNI>(w, x, columns, scratch),
            Format::Q4K => few_or_many::<Q4K, VNNI>(w, x, columns, scratch),
            Format::Q5K => few_or_many::<Q5K, VNNI>(w, x, columns, scratch),
            Format::Q6K => few_or_many::<Q6K, VNNI>(w, x, columns, scratch),
            Format::F32 | Format::F16 | Format::BF16 => unreachable!("float weights have their own kernels"),
        }
    }
}

/// One format, in 256-bit registers.
///
/// # Safety
/// Callers have AVX2 and pass pointers to whole blocks.
trait Decode {
    const FORMAT: Format;
    /// What is added to a value to make it unsigned; zero where bytes stay signed.
    const OFFSET: i32;
    /// Bytes stay signed.
    const SIGNED: bool = false;
    /// Sums of two products that fit into 16 bits together.
    const PAIRS: usize;
    /// How packed values are stored.
    const PLANES: Planes = match Self::FORMAT.planes() {
        Some(planes) => planes,
        None => panic!("float formats are not packed"),
    };
    /// Lines of 32 packed columns.
    const LINES: usize = (Self::PLANES.low + Self::PLANES.high) as usize;
    /// Columns `32 c ..` of a block as bytes.
    unsafe fn quants(block: *const u8, c: usize) -> __m256i;
}

/// Low nibbles of 16 bytes as values 0 to 15, high nibbles as 16 to 31.
#[inline(always)]
unsafe fn nibbles(at: *const u8) -> __m256i {
    // SAFETY: 16 bytes.
    unsafe {
        let bytes = _mm_loadu_si128(at.cast());
        let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(bytes), _mm_srli_epi16::<4>(bytes));
        _mm256_and_si256(both, _mm256_set1_epi8(15))
    }
}

/// Bit `i` of 32 bits as 16 in byte `i`.
#[inline(always)]
unsafe fn fifth_bits(at: *const u8) -> __m256i {
    // SAFETY: 4 bytes.
    unsafe {
        let all = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
        let spread = _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0);
        let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
        let chosen = _mm256_and_si256(_mm256_shuffle_epi8(all, spread), bit);
        _mm256_and_si256(_mm256_cmpeq_epi8(chosen, bit), _mm256_set1_epi8(16))
    }
}

/// `(bytes >> shift) & mask` of 32 bytes.
#[inline(always)]
unsafe fn byte_field(at: *const u8, shift: usize, mask: i8) -> __m256i {
    // SAFETY: 32 bytes.
    unsafe {
        let bytes = _mm256_loadu_si256(at.cast());
        _mm256_and_si256(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32)), _mm256_set1_epi8(mask))
    }
}

macro_rules! decode {
    ($name:ident, $offset:expr, $pairs:expr, $signed:expr, |$block:ident, $c:ident| $quants:expr) => {
        struct $name;
        impl Decode for $name {
            const FORMAT: Format = Format::$name;
            const OFFSET: i32 = $offset;
            const PAIRS: usize = $pairs;
            const SIGNED: bool = $signed;
            #[inline(always)]
            unsafe fn quants($block: *const u8, $c: usize) -> __m256i {
                // SAFETY: the offsets lie within the block, see the layouts in `blocks`.
                unsafe { $quants }
            }
        }
    };
}

decode!(Q4_0, 8, 4, false, |block, _c| nibbles(block.add(2)));
decode!(Q4_1, 0, 4, false, |block, _c| nibbles(block.add(4)));
decode!(Q5_0, 16, 4, false, |block, _c| _mm256_or_si256(nibbles(block.add(6)), fifth_bits(block.add(2))));
decode!(Q5_1, 0, 4, false, |block, _c| _mm256_or_si256(nibbles(block.add(8)), fifth_bits(block.add(4))));
decode!(Q8_0, 0, 1, true, |block, _c| _mm256_loadu_si256(block.add(2).cast()));
decode!(Q2K, 0, 4, false, |block, c| byte_field(block.add(16 + c / 4 * 32), c % 4 * 2, 3));
decode!(Q3K, 4, 4, false, |block, c| {
    let high = _mm256_slli_epi16::<2>(byte_field(block, c, 1));
    _mm256_or_si256(byte_field(block.add(32 + c / 4 * 32), c % 4 * 2, 3), high)
});
decode!(Q4K, 0, 4, false, |block, c| byte_field(block.add(16 + c / 2 * 32), c % 2 * 4, 15));
decode!(Q5K, 0, 4, false, |block, c| {
    let high = _mm256_slli_epi16::<4>(byte_field(block.add(16), c, 1));
    _mm256_or_si256(byte_field(block.add(48 + c / 2 * 32), c % 2 * 4, 15), high)
});
decode!(Q6K, 32, 2, false, |block, c| {
    let high = _mm256_slli_epi16::<4>(byte_field(block.add(128 + c / 4 * 32), c % 4 * 2, 3));
    _mm256_or_si256(byte_field(block.add(c / 4 * 64 + c % 2 * 32), c % 4 / 2 * 4, 15), high)
});

/// The scales of one block of 8 rows: for each 16 or 32 columns those of the rows side by side.
struct Heads {
    scale: [[f32; 8]; 16],
    min: [[f32; 8]; 16],
}

impl Heads {
    /// Reads the block at `at` of each row.
    #[inline(always)]
    unsafe fn read<D: Decode>(&mut self, base: *const u8, offsets: &[usize; 8], at: usize) {
        let format = D::FORMAT;
        if format.block_len() == 32 {
            let mut bits = [[0u16; 8]; 2];
            for (lane, offset) in offsets.iter().enumerate() {
                // SAFETY: a block of these formats begins with an f16, or two.
                unsafe {
                    let head = base.add(offset + at);
                    bits[0][lane] = head.cast::<u16>().read_unaligned();
                    if format.has_min() {
                        bits[1][lane] = head.add(2).cast::<u16>().read_unaligned();
                    }
                }
            }
            // SAFETY: 16 bytes in, 32 out.
            unsafe {
                let scale = _mm256_cvtph_ps(_mm_loadu_si128(bits[0].as_ptr().cast()));
                _mm256_storeu_ps(self.scale[0].as_mut_ptr(), scale);
                if format.has_min() {
                    let min = _mm256_cvtph_ps(_mm_loadu_si128(bits[1].as_ptr().cast()));
                    _mm256_storeu_ps(self.min[0].as_mut_ptr(), min);
                }
            }
            return;
        }
        let mut scales = Scales::new();
        let (groups, step) = if format.has_groups_of_16() { (16, 1) } else { (8, 2) };
        for (lane, offset) in offsets.iter().enumerate() {
            // SAFETY: each row has this block.
            let block = unsafe { std::slice::from_raw_parts(base.add(offset + at), format.block_bytes()) };
            blocks::scales(format, block, &mut scales);
            for g in 0..groups {
                self.scale[g][lane] = scales.scale[g * step];
                if format.has_min() {
                    self.min[g][lane] = scales.min[g * step];
                }
            }
        }
    }
}

/// 8 rows of a weight: where each begins, the last one again for rows beyond the end.
fn offsets(w: Matrix<'_>, rows: &Range<usize>) -> [usize; 8] {
    let bytes = w.data().len() / w.rows();
    std::array::from_fn(|i| (rows.start + i.min(rows.len() - 1)) * bytes)
}

unsafe fn few_or_many<D: Decode, const VNNI: bool>(
    w: Matrix<'_>,
    x: &Activations,
    mut columns: Columns<'_>,
    scratch: &mut Panel,
) {
    let range = columns.range();
    if range.is_empty() || w.cols() == 0 {
        return;
    }
    // SAFETY: the caller's promise of features.
    unsafe {
        if w.is_packed() && x.rows() <= FEW_PACKED {
            assert!(range.start.is_multiple_of(TILE_ROWS), "a task begins with a tile");
            for half in range.start / 8..range.end.div_ceil(8) {
                let mut m = 0;
                while m < x.rows() {
                    let rows = if m + MOST <= x.rows() { MOST } else { 1 };
                    match (VNNI, rows) {
                        (true, 1) => packed_vnni::<D, 1>(w, half, x, m, &mut columns),
                        (true, _) => packed_vnni::<D, MOST>(w, half, x, m, &mut columns),
                        (false, 1) => packed_plain::<D, 1>(w, half, x, m, &mut columns),
                        (false, _) => packed_plain::<D, MOST>(w, half, x, m, &mut columns),
                    }
                    m += rows;
                }
            }
            return;
        }
        if !w.is_packed() && x.rows() <= FEW {
            for start in range.clone().step_by(8) {
                let rows = start..range.end.min(start + 8);
                for m in 0..x.rows() {
                    if VNNI {
                        few_vnni::<D>(w, rows.clone(), x, m, &mut columns);
                    } else {
                        few_plain::<D>(w, rows.clone(), x, m, &mut columns);
                    }
                }
            }
            return;
        }
        if w.is_packed() {
            unpack_packed::<D>(w, range.clone(), scratch);
        } else {
            unpack::<D>(w, range.clone(), scratch);
        }
        let mut m = 0;
        while m < x.rows() {
            let rows = if m + MOST <= x.rows() { MOST } else { 1 };
            for t in 0..range.len().div_ceil(8) {
                match (VNNI, rows) {
                    (true, 1) => tile_vnni::<D, 1>(scratch, t, x, m, &mut columns),
                    (true, _) => tile_vnni::<D, MOST>(scratch, t, x, m, &mut columns),
                    (false, 1) => tile_plain::<D, 1>(scratch, t, x, m, &mut columns),
                    (false, _) => tile_plain::<D, MOST>(scratch, t, x, m, &mut columns),
                }
            }
            m += rows;
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn few_vnni<D: Decode>(w: Matrix<'_>, rows: Range<usize>, x: &Activations, m: usize, columns: &mut Columns<'_>) {
    // SAFETY: this function has the features.
    unsafe { few::<D, true>(w, rows, x, m, columns) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn few_plain<D: Decode>(w: Matrix<'_>, rows: Range<usize>, x: &Activations, m: usize, columns: &mut Columns<'_>) {
    // SAFETY: this function has the features.
    unsafe { few::<D, false>(w, rows, x, m, columns) }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn packed_vnni<D: Decode, const M: usize>(
    w: Matrix<'_>,
    half: usize,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    // SAFETY: this function has the features.
    unsafe { packed::<D, true, M>(w, half, x, m, columns) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn packed_plain<D: Decode, const M: usize>(
    w: Matrix<'_>,
    half: usize,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    // SAFETY: this function has the features.
    unsafe { packed::<D, false, M>(w, half, x, m, columns) }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn tile_vnni<D: Decode, const M: usize>(panel: &Panel, t: usize, x: &Activations, m: usize, columns: &mut Columns<'_>) {
    // SAFETY: this function has the features.
    unsafe { tile::<D, true, M>(panel, t, x, m, columns) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn tile_plain<D: Decode, const M: usize>(
    panel: &Panel,
    t: usize,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    // SAFETY: this function has the features.
    unsafe { tile::<D, false, M>(panel, t, x, m, columns) }
}

/// Adds `dot` scaled to the accumulators; the order is that of `portable.rs`.
#[inline(always)]
unsafe fn accumulate<D: Decode>(
    acc: __m256,
    dots: [__m256i; 2],
    scale: [__m256; 2],
    min: [__m256; 2],
    x: &Activations,
    side: usize,
) -> __m256 {
    let format = D::FORMAT;
    // SAFETY: registers, and `side` is a group of 32 of the activations.
    unsafe {
        let d = _mm256_set1_ps(*x.d.get_unchecked(side));
        let sums = [*x.sums.get_unchecked(2 * side), *x.sums.get_unchecked(2 * side + 1)];
        let without = |dot: __m256i, sum: i32| _mm256_sub_epi32(dot, _mm256_set1_epi32(sum * D::OFFSET));
        if format.has_groups_of_16() {
            let dot0 = _mm256_cvtepi32_ps(without(dots[0], sums[0]));
            let dot1 = _mm256_cvtepi32_ps(without(dots[1], sums[1]));
            let t = _mm256_fmadd_ps(dot1, scale[1], _mm256_mul_ps(dot0, scale[0]));
            let acc = _mm256_fmadd_ps(t, d, acc);
            if !format.has_min() {
                return acc;
            }
            let acc = _mm256_fmadd_ps(min[0], _mm256_set1_ps(*x.dsums.get_unchecked(2 * side)), acc);
            _mm256_fmadd_ps(min[1], _mm256_set1_ps(*x.dsums.get_unchecked(2 * side + 1)), acc)
        } else {
            let dot = _mm256_add_epi32(dots[0], dots[1]);
            let dot = if D::OFFSET == 0 { dot } else { without(dot, sums[0] + sums[1]) };
            let acc = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dot), scale[0]), d, acc);
            if !format.has_min() {
                return acc;
            }
            _mm256_fmadd_ps(min[0], _mm256_set1_ps(*x.dsums32.get_unchecked(side)), acc)
        }
    }
}

/// Writes the first lanes into `out`.
#[inline(always)]
unsafe fn store(out: &mut [f32], acc: __m256) {
    let mut lanes = [0.0f32; 8];
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), acc) };
    out.copy_from_slice(&lanes[..out.len()]);
}

/// Activation row `m` times 8 weight rows, from the compact bits.
#[inline(always)]
unsafe fn few<D: Decode, const VNNI: bool>(
    w: Matrix<'_>,
    rows: Range<usize>,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    let format = D::FORMAT;
    let (bytes, per_block) = (format.block_bytes(), format.block_len() / 32);
    let groups = if format.has_groups_of_16() { 2 } else { 1 };
    let chunks = x.cols() / 32;
    let offsets = offsets(w, &rows);
    let base = w.data().as_ptr();
    let mut heads = Heads { scale: [[0.0; 8]; 16], min: [[0.0; 8]; 16] };
    // SAFETY: each row has `chunks / per_block` whole blocks from its offset; activations have `chunks` groups in each
    // row; the caller's promise of features.
    unsafe {
        let mut acc = _mm256_setzero_ps();
        for b in 0..chunks / per_block {
            heads.read::<D>(base, &offsets, b * bytes);
            for c in 0..per_block {
                let chunk = b * per_block + c;
                let values = _mm256_loadu_si256(x.q.as_ptr().add(m * x.cols() + chunk * 32).cast());
                let mut p = [_mm256_setzero_si256(); 8];
                for (p, offset) in p.iter_mut().zip(&offsets) {
                    *p = product::<D, VNNI>(D::quants(base.add(offset + b * bytes), c), values);
                }
                let mut scale = [_mm256_setzero_ps(); 2];
                let mut min = scale;
                for g in 0..groups {
                    scale[g] = _mm256_loadu_ps(heads.scale[c * groups + g].as_ptr());
                    min[g] = _mm256_loadu_ps(heads.min[c * groups + g].as_ptr());
                }
                let low = _mm256_hadd_epi32(_mm256_hadd_epi32(p[0], p[1]), _mm256_hadd_epi32(p[2], p[3]));
                let high = _mm256_hadd_epi32(_mm256_hadd_epi32(p[4], p[5]), _mm256_hadd_epi32(p[6], p[7]));
                let dots = [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)];
                acc = accumulate::<D>(acc, dots, scale, min, x, m * chunks + chunk);
            }
        }
        let start = rows.start - columns.range().start;
        store(&mut columns.row_mut(m)[start..start + rows.len()], acc);
    }
}

/// Sums of four products each of 32 weights and activations.
#[inline(always)]
unsafe fn product<D: Decode, const VNNI: bool>(w: __m256i, x: __m256i) -> __m256i {
    // SAFETY: registers only; the caller has the features.
    unsafe {
        let (w, x) = if D::SIGNED { (_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) } else { (w, x) };
        if VNNI {
            _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, x)
        } else {
            _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1))
        }
    }
}

/// Unpacks the rows of a panel in tiles of 8; see [`Panel`].
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack<D: Decode>(w: Matrix<'_>, range: Range<usize>, panel: &mut Panel) {
    let format = D::FORMAT;
    let (bytes, per_block) = (format.block_bytes(), format.block_len() / 32);
    let groups = if format.has_groups_of_16() { 2 } else { 1 };
    let chunks = w.cols() / 32;
    panel.resize(chunks, groups);
    let mut heads = Heads { scale: [[0.0; 8]; 16], min: [[0.0; 8]; 16] };
    for (t, start) in range.clone().step_by(8).enumerate() {
        let offsets = offsets(w, &(start..range.end.min(start + 8)));
        let base = w.data().as_ptr();
        for b in 0..chunks / per_block {
            // SAFETY: each row has this block; the panel has room for 4 tiles of `chunks`; the caller's features.
            unsafe {
                heads.read::<D>(base, &offsets, b * bytes);
                for c in 0..per_block {
                    let mut q = [_mm256_setzero_si256(); 8];
                    for (q, offset) in q.iter_mut().zip(&offsets) {
                        *q = D::quants(base.add(offset + b * bytes), c);
                    }
                    let at = (b * per_block + c) * 4 + t;
                    let to = panel.q.as_mut_ptr().cast::<__m256i>().add(at * 8);
                    for (i, q) in transpose(q).into_iter().enumerate() {
                        _mm256_storeu_si256(to.add(i), q);
                    }
                    for g in 0..groups {
                        let from = c * groups + g;
                        let scale = panel.scale.as_mut_ptr().cast::<f32>().add((at * groups + g) * 8);
                        _mm256_storeu_ps(scale, _mm256_loadu_ps(heads.scale[from].as_ptr()));
                        let min = panel.min.as_mut_ptr().cast::<f32>().add((at * groups + g) * 8);
                        _mm256_storeu_ps(min, _mm256_loadu_ps(heads.min[from].as_ptr()));
                    }
                }
            }
        }
    }
}

/// From rows to columns: output `j` holds word `j` of all 8 inputs.
#[inline(always)]
unsafe fn transpose(q: [__m256i; 8]) -> [__m256i; 8] {
    // SAFETY: registers only; the caller has the features.
    unsafe {
        let mut pairs = q;
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_epi32(q[2 * i], q[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_epi32(q[2 * i], q[2 * i + 1]);
        }
        let mut quads = q;
        for i in 0..2 {
            quads[4 * i] = _mm256_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
            quads[4 * i + 1] = _mm256_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
            quads[4 * i + 2] = _mm256_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
            quads[4 * i + 3] = _mm256_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
        }
        let mut out = q;
        for j in 0..4 {
            out[j] = _mm256_permute2x128_si256::<0x20>(quads[j], quads[4 + j]);
            out[4 + j] = _mm256_permute2x128_si256::<0x31>(quads[j], quads[4 + j]);
        }
        out
    }
}

/// The sums over the first and the second 16 of 32 columns: `M` activation rows, `stride` bytes apart, by 8 weight rows
/// whose column group `i` is `q(i)`.
#[inline(always)]
unsafe fn dots<D: Decode, const VNNI: bool, const M: usize>(
    q: impl Fn(usize) -> __m256i,
    values: *const i8,
    stride: usize,
) -> [[__m256i; 2]; M] {
    // SAFETY: the caller's promise of features and of 32 activations in each row.
    unsafe {
        let mut dots = [[_mm256_setzero_si256(); 2]; M];
        for half in 0..2 {
            let mut i = half * 4;
            while i < half * 4 + 4 {
                let mut words = [_mm256_setzero_si256(); M];
                for step in 0..D::PAIRS {
                    let signed = q(i + step);
                    let w = if D::SIGNED { _mm256_abs_epi8(signed) } else { signed };
                    for r in 0..M {
                        let from = values.add(r * stride + (i + step) * 4).cast::<i32>();
                        let four = _mm256_set1_epi32(from.read_unaligned());
                        let four = if D::SIGNED { _mm256_sign_epi8(four, signed) } else { four };
                        if VNNI {
                            dots[r][half] = _mm256_dpbusd_avx_epi32(dots[r][half], w, four);
                        } else {
                            words[r] = _mm256_add_epi16(words[r], _mm256_maddubs_epi16(w, four));
                        }
                    }
                }
                if !VNNI {
                    for r in 0..M {
                        let pairs = _mm256_madd_epi16(words[r], _mm256_set1_epi16(1));
                        dots[r][half] = _mm256_add_epi32(dots[r][half], pairs);
                    }
                }
                i += D::PAIRS;
            }
        }
        dots
    }
}

/// The values of column group `g` of 8 rows, from the packed lines of 32 columns: as [`Decode::quants`] gives them.
#[inline(always)]
unsafe fn group<D: Decode>(lines: *const u8, g: usize) -> __m256i {
    let Planes { low, high, .. } = D::PLANES;
    // SAFETY: the caller's promise of features; half of each of `D::LINES` lines can be read.
    unsafe {
        let line = |i: usize| _mm256_loadu_si256(lines.add(i * LINE).cast());
        // Bits that cross into a neighbour byte are cut by the masks.
        let moved = |line: __m256i, from: u32, to: u32| {
            if from >= to {
                _mm256_srl_epi16(line, _mm_cvtsi32_si128((from - to) as i32))
            } else {
                _mm256_sll_epi16(line, _mm_cvtsi32_si128((to - from) as i32))
            }
        };
        if low == 8 {
            // Packed with 128 added; these kernels take them signed.
            return _mm256_xor_si256(line(g), _mm256_set1_epi8(-128));
        }
        let n = low as usize;
        let bits = moved(line(g % n), (g / n) as u32 * low, 0);
        let bits = _mm256_and_si256(bits, _mm256_set1_epi8((1 << low) - 1));
        if high == 0 {
            return bits;
        }
        let h = high as usize;
        let top = moved(line(n + g % h), (g / h) as u32 * high, low);
        let mask = _mm256_set1_epi8((((1 << high) - 1) << low) as i8);
        _mm256_or_si256(bits, _mm256_and_si256(top, mask))
    }
}

/// The scales and minima of 32 columns of 8 packed rows: `scales` is where those of the tile begin, plus 2 bytes for
/// each row before, `before` those rows.
#[inline(always)]
unsafe fn packed_scales<D: Decode>(scales: *const u8, before: usize, chunk: usize) -> [[__m256; 2]; 2] {
    let format = D::FORMAT;
    let head = if format.has_min() { 64 } else { 32 };
    // SAFETY: the caller's promise of features, and the layout in `packed.rs`.
    unsafe {
        let f16s = |at: *const u8| _mm256_cvtph_ps(_mm_loadu_si128(at.add(2 * before).cast()));
        let zero = _mm256_setzero_ps();
        if format.block_len() == 32 {
            let at = scales.add(chunk * head);
            return [[f16s(at); 2], [if format.has_min() { f16s(at.add(32)) } else { zero }; 2]];
        }
        let block = scales.add(chunk / 8 * (head + 256));
        let d = f16s(block);
        let bytes = block.add(head + chunk % 8 * 32 + before);
        let both = [_mm_loadl_epi64(bytes.cast()), _mm_loadl_epi64(bytes.add(16).cast())];
        let times = |d: __m256, integers: __m256i| _mm256_mul_ps(d, _mm256_cvtepi32_ps(integers));
        let minus = |v: __m256| _mm256_xor_ps(v, _mm256_set1_ps(-0.0));
        match format {
            Format::Q4K | Format::Q5K => {
                let min = minus(times(f16s(block.add(32)), _mm256_cvtepu8_epi32(both[1])));
                [[times(d, _mm256_cvtepu8_epi32(both[0])); 2], [min; 2]]
            }
            Format::Q2K => {
                let dmin = f16s(block.add(32));
                let both = both.map(|b| _mm256_cvtepu8_epi32(b));
                [
                    both.map(|b| times(d, _mm256_and_si256(b, _mm256_set1_epi32(15)))),
                    both.map(|b| minus(times(dmin, _mm256_srli_epi32::<4>(b)))),
                ]
            }
            _ => [both.map(|b| times(d, _mm256_cvtepi8_epi32(b))), [zero; 2]],
        }
    }
}

/// `M` activation rows from `m` times 8 packed rows, half a tile, from the stored bits.
#[inline(always)]
unsafe fn packed<D: Decode, const VNNI: bool, const M: usize>(
    w: Matrix<'_>,
    half: usize,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    let chunks = x.cols() / 32;
    let (layout, tile) = w.tile(half / 2);
    let before = half % 2 * 8;
    assert!(tile.len() == layout.tile_bytes && layout.quant_bytes == chunks * D::LINES * LINE && m + M <= x.rows());
    // SAFETY: the tile has the quants and scales of `chunks` chunks, activations have rows `m .. m + M`; a prefetch
    // may point anywhere; the caller's promise of features.
    unsafe {
        let values = x.q.as_ptr().add(m * x.cols());
        let mut acc = [_mm256_setzero_ps(); M];
        for chunk in 0..chunks {
            let lines = tile.as_ptr().add(chunk * D::LINES * LINE + before * 4);
            if before == 0 {
                for line in 0..D::LINES {
                    _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(4096 + line * LINE).cast());
                }
            }
            let dots = dots::<D, VNNI, M>(|g| group::<D>(lines, g), values.add(chunk * 32), x.cols());
            let [scale, min] = packed_scales::<D>(tile.as_ptr().add(layout.quant_bytes), before, chunk);
            for (r, acc) in acc.iter_mut().enumerate() {
                *acc = accumulate::<D>(*acc, dots[r], scale, min, x, (m + r) * chunks + chunk);
            }
        }
        let start = half * 8 - columns.range().start;
        for (r, acc) in acc.into_iter().enumerate() {
            let out = columns.row_mut(m + r);
            let end = out.len().min(start + 8);
            store(&mut out[start..end], acc);
        }
    }
}

/// Unpacks packed rows into a panel in tiles of 8; see [`Panel`].
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack_packed<D: Decode>(w: Matrix<'_>, range: Range<usize>, panel: &mut Panel) {
    let groups = if D::FORMAT.has_groups_of_16() { 2 } else { 1 };
    let chunks = w.cols() / 32;
    panel.resize(chunks, groups);
    for t in 0..range.len().div_ceil(8) {
        let half = range.start / 8 + t;
        let (layout, tile) = w.tile(half / 2);
        let before = half % 2 * 8;
        assert!(tile.len() == layout.tile_bytes && layout.quant_bytes == chunks * D::LINES * LINE);
        for chunk in 0..chunks {
            let at = chunk * 4 + t;
            // SAFETY: the tile has the quants and scales of `chunks` chunks; the panel has room for 4 tiles of them.
            unsafe {
                let lines = tile.as_ptr().add(chunk * D::LINES * LINE + before * 4);
                let to = panel.q.as_mut_ptr().cast::<__m256i>().add(at * 8);
                for g in 0..8 {
                    _mm256_storeu_si256(to.add(g), group::<D>(lines, g));
                }
                let [scale, min] = packed_scales::<D>(tile.as_ptr().add(layout.quant_bytes), before, chunk);
                for g in 0..groups {
                    _mm256_storeu_ps(panel.scale.as_mut_ptr().cast::<f32>().add((at * groups + g) * 8), scale[g]);
                    _mm256_storeu_ps(panel.min.as_mut_ptr().cast::<f32>().add((at * groups + g) * 8), min[g]);
                }
            }
        }
    }
}

/// `M` activation rows from `m` times tile `t` of a panel.
#[inline(always)]
unsafe fn tile<D: Decode, const VNNI: bool, const M: usize>(
    panel: &Panel,
    t: usize,
    x: &Activations,
    m: usize,
    columns: &mut Columns<'_>,
) {
    let chunks = x.cols() / 32;
    let groups = if D::FORMAT.has_groups_of_16() { 2 } else { 1 };
    assert!(m + M <= x.rows() && x.q.len() >= x.rows() * x.cols() && x.d.len() >= x.rows() * chunks);
    assert!(panel.q.len() >= chunks * 16 && panel.scale.len() >= chunks * 2 * groups);
    assert!(panel.min.len() >= chunks * 2 * groups && t < 4);
    // SAFETY: all reads are within what the lines above checked; the caller's promise of features.
    unsafe {
        let values = x.q.as_ptr().add(m * x.cols());
        let mut acc = [_mm256_setzero_ps(); M];
        for chunk in 0..chunks {
            let at = chunk * 4 + t;
            let q = panel.q.as_ptr().cast::<__m256i>().add(at * 8);
            let values = values.add(chunk * 32);
            let dots = dots::<D, VNNI, M>(|i| *q.add(i), values, x.cols());
            let mut scale = [_mm256_setzero_ps(); 2];
            let mut min = scale;
            for g in 0..groups {
                scale[g] = _mm256_loadu_ps(panel.scale.as_ptr().cast::<f32>().add((at * groups + g) * 8));
                min[g] = _mm256_loadu_ps(panel.min.as_ptr().cast::<f32>().add((at * groups + g) * 8));
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                *acc = accumulate::<D>(*acc, dots[r], scale, min, x, (m + r) * chunks + chunk);
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            let out = columns.row_mut(m + r);
            let end = out.len().min(t * 8 + 8);
            store(&mut out[t * 8..end], acc);
        }
    }
}
