//! Products of packed weights with AVX-512 VNNI.
//!
//! A lane is a weight row; a line of quants is multiplied with four broadcast activations, nothing is transposed.
//! Few activation rows take the bits as they are stored, so that decoding and short batches read weights at the speed of
//! the memory; many unpack a panel once and run the register tile of `avx512.rs`.

use super::avx512::{many, mask};
use crate::packed::{LINE, Layout, Planes, TILE_ROWS};
use crate::panel::Panel;
use crate::pool::Columns;
use crate::{Activations, Format, Matrix};
use std::arch::x86_64::*;

/// Up to this many activation rows read the stored bits; more unpack a panel.
const FEW: usize = 16;
/// How far ahead lines are asked for: about a page, which the hardware's own prefetching does not cross.
const AHEAD: usize = 4096;

/// Computes the columns of one task for a packed weight.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL, DQ and VNNI.
pub(super) unsafe fn quantized(w: Matrix<'_>, x: &Activations, columns: Columns<'_>, scratch: &mut Panel) {
    assert!(w.is_packed() && w.cols() == x.cols() && x.q.len() == x.rows() * x.cols());
    assert!(x.d.len() == x.rows() * x.cols() / 32 && x.sums.len() == 2 * x.d.len());
    assert!(x.dsums.len() == 2 * x.d.len() && x.dsums32.len() == x.d.len());
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
            Format::F32 | Format::F16 | Format::BF16 => unreachable!("float weights are not packed"),
        }
    }
}

/// A format as a constant, so that its branches are decided when its kernels are compiled.
trait Stored {
    const FORMAT: Format;
    const PLANES: Planes = match Self::FORMAT.planes() {
        Some(planes) => planes,
        None => panic!("float formats are not packed"),
    };
    /// Lines of 32 columns.
    const LINES: usize = (Self::PLANES.low + Self::PLANES.high) as usize;
}

macro_rules! stored {
    ($($name:ident),*) => {$(
        struct $name;
        impl Stored for $name {
            const FORMAT: Format = Format::$name;
        }
    )*};
}
stored!(Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K);

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn few_or_many<S: Stored>(w: Matrix<'_>, x: &Activations, mut columns: Columns<'_>, scratch: &mut Panel) {
    let range = columns.range();
    if range.is_empty() || w.cols() == 0 {
        return;
    }
    assert!(range.start.is_multiple_of(TILE_ROWS), "a task begins with a tile");
    if x.rows() > FEW {
        unpack::<S>(w, &columns, scratch);
        return match (S::FORMAT.has_groups_of_16(), S::FORMAT.has_min()) {
            (false, false) => many::<1, false>(scratch, x, columns),
            (false, true) => many::<1, true>(scratch, x, columns),
            (true, false) => many::<2, false>(scratch, x, columns),
            (true, true) => many::<2, true>(scratch, x, columns),
        };
    }
    // Formats with two scales for 32 columns hold twice the sums.
    let most = if S::FORMAT.has_groups_of_16() { 4 } else { 8 };
    // Passes of equal size: 9 rows are 5 and 4 rather than 8 and 1.
    let passes = x.rows().div_ceil(most);
    for i in range.start / TILE_ROWS..range.end.div_ceil(TILE_ROWS) {
        let (layout, tile) = w.tile(i);
        let mut m = 0;
        for pass in 0..passes {
            let rows = (x.rows() - m).div_ceil(passes - pass);
            match rows {
                1 => few::<S, 1>(layout, tile, x, m, i, &mut columns),
                2 => few::<S, 2>(layout, tile, x, m, i, &mut columns),
                3 => few::<S, 3>(layout, tile, x, m, i, &mut columns),
                4 => few::<S, 4>(layout, tile, x, m, i, &mut columns),
                5 => few::<S, 5>(layout, tile, x, m, i, &mut columns),
                6 => few::<S, 6>(layout, tile, x, m, i, &mut columns),
                7 => few::<S, 7>(layout, tile, x, m, i, &mut columns),
                _ => few::<S, 8>(layout, tile, x, m, i, &mut columns),
            }
            m += rows;
        }
    }
}

/// Bits `field * bits ..` of each byte, moved to bit `to` and cut to `bits` there.
#[inline(always)]
unsafe fn field(line: __m512i, from: u32, to: u32) -> __m512i {
    // SAFETY: registers only; the caller has the features. Bits that cross into a neighbour byte are cut by the mask.
    unsafe {
        if from >= to {
            _mm512_srl_epi16(line, _mm_cvtsi32_si128((from - to) as i32))
        } else {
            _mm512_sll_epi16(line, _mm_cvtsi32_si128((to - from) as i32))
        }
    }
}

/// The unsigned values of column group `g` of the 32 columns at `lines`.
///
/// # Safety
/// `S::LINES` lines can be read, and the processor has AVX-512 F and BW.
#[inline(always)]
unsafe fn group<S: Stored>(lines: *const u8, g: usize) -> __m512i {
    let Planes { low, high, .. } = S::PLANES;
    // SAFETY: the caller's promise; every index is below `S::LINES`.
    unsafe {
        let line = |i: usize| _mm512_loadu_si512(lines.add(i * LINE).cast());
        if low == 8 {
            return line(g);
        }
        let n = low as usize;
        let bits = field(line(g % n), (g / n) as u32 * low, 0);
        let bits = _mm512_and_si512(bits, _mm512_set1_epi8((1 << low) - 1));
        if high == 0 {
            return bits;
        }
        let h = high as usize;
        let top = field(line(n + g % h), (g / h) as u32 * high, low);
        let mask = _mm512_set1_epi8((((1 << high) - 1) << low) as i8);
        // bits | (top & mask)
        _mm512_ternarylogic_epi32::<0xf8>(bits, top, mask)
    }
}

/// Scales and minima of 32 columns of 16 rows, for the first and the second 16 of them.
#[derive(Clone, Copy)]
struct Scales {
    s: [__m512; 2],
    m: [__m512; 2],
}

/// The scales of chunk `chunk` of a tile whose scales begin at `scales`.
///
/// # Safety
/// The chunk is one of the tile's, and the processor has AVX-512 F.
#[inline(always)]
unsafe fn scales<S: Stored>(scales: *const u8, chunk: usize) -> Scales {
    let format = S::FORMAT;
    let head = if format.has_min() { 64 } else { 32 };
    // SAFETY: the caller's promise, and the layout in `packed.rs`.
    unsafe {
        let f16s = |at: *const u8| _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()));
        let zero = _mm512_setzero_ps();
        if format.block_len() == 32 {
            let at = scales.add(chunk * head);
            let m = if format.has_min() { f16s(at.add(32)) } else { zero };
            return Scales { s: [f16s(at); 2], m: [m; 2] };
        }
        let block = scales.add(chunk / 8 * (head + 256));
        let d = f16s(block);
        let bytes = block.add(head + chunk % 8 * 32);
        let (first, second) = (_mm_loadu_si128(bytes.cast()), _mm_loadu_si128(bytes.add(16).cast()));
        let times = |d: __m512, integers: __m512i| _mm512_mul_ps(d, _mm512_cvtepi32_ps(integers));
        let minus = |v: __m512| _mm512_xor_ps(v, _mm512_set1_ps(-0.0));
        match format {
            Format::Q4K | Format::Q5K => {
                let s = times(d, _mm512_cvtepu8_epi32(first));
                let m = minus(times(f16s(block.add(32)), _mm512_cvtepu8_epi32(second)));
                Scales { s: [s; 2], m: [m; 2] }
            }
            Format::Q2K => {
                let dmin = f16s(block.add(32));
                let both = [_mm512_cvtepu8_epi32(first), _mm512_cvtepu8_epi32(second)];
                Scales {
                    s: both.map(|b| times(d, _mm512_and_si512(b, _mm512_set1_epi32(15)))),
                    m: both.map(|b| minus(times(dmin, _mm512_srli_epi32::<4>(b)))),
                }
            }
            _ => Scales {
                s: [times(d, _mm512_cvtepi8_epi32(first)), times(d, _mm512_cvtepi8_epi32(second))],
                m: [zero; 2],
            },
        }
    }
}

/// `M` activation rows from `m` times tile `i`, from the stored bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn few<S: Stored, const M: usize>(
    layout: Layout,
    tile: &[u8],
    x: &Activations,
    m: usize,
    i: usize,
    columns: &mut Columns<'_>,
) {
    let format = S::FORMAT;
    let offset = S::PLANES.offset;
    let chunks = x.cols() / 32;
    assert!(tile.len() == layout.tile_bytes && layout.quant_bytes == chunks * S::LINES * LINE && m + M <= x.rows());
    let mut acc = [_mm512_setzero_ps(); M];
    // SAFETY: the tile has the quants and scales of `chunks` chunks; the activations have rows `m .. m + M` of
    // `chunks` chunks on every side (checked by the callers); a prefetch may point anywhere.
    unsafe {
        let side_scales = tile.as_ptr().add(layout.quant_bytes);
        let values = x.q.as_ptr().add(m * x.cols());
        let side = |r: usize, chunk: usize| (m + r) * chunks + chunk;
        for chunk in 0..chunks {
            let lines = tile.as_ptr().add(chunk * S::LINES * LINE);
            for line in 0..S::LINES {
                _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(AHEAD + line * LINE).cast());
            }
            let scales = scales::<S>(side_scales, chunk);
            let mut dots = [[_mm512_setzero_si512(); 2]; M];
            if offset != 0 {
                for (r, dots) in dots.iter_mut().enumerate() {
                    let sums = x.sums.as_ptr().add(2 * side(r, chunk));
                    if format.has_groups_of_16() {
                        *dots = [_mm512_set1_epi32(-offset * *sums), _mm512_set1_epi32(-offset * *sums.add(1))];
                    } else {
                        dots[0] = _mm512_set1_epi32(-offset * (*sums + *sums.add(1)));
                    }
                }
            }
            for g in 0..8 {
                let q = group::<S>(lines, g);
                // Two chains hide the latency of one or two rows; more rows are chains enough.
                let half = if format.has_groups_of_16() || M <= 2 { g / 4 } else { 0 };
                for (r, dots) in dots.iter_mut().enumerate() {
                    let four = values.add(r * x.cols() + chunk * 32 + g * 4).cast::<i32>().read_unaligned();
                    dots[half] = _mm512_dpbusd_epi32(dots[half], q, _mm512_set1_epi32(four));
                }
            }
            for r in 0..M {
                let at = side(r, chunk);
                let d = _mm512_set1_ps(*x.d.as_ptr().add(at));
                if format.has_groups_of_16() {
                    let t = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[r][0]), scales.s[0]);
                    let t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][1]), scales.s[1], t);
                    acc[r] = _mm512_fmadd_ps(t, d, acc[r]);
                    if format.has_min() {
                        let dsums = x.dsums.as_ptr().add(2 * at);
                        acc[r] = _mm512_fmadd_ps(scales.m[0], _mm512_set1_ps(*dsums), acc[r]);
                        acc[r] = _mm512_fmadd_ps(scales.m[1], _mm512_set1_ps(*dsums.add(1)), acc[r]);
                    }
                } else {
                    let dot = if M <= 2 { _mm512_add_epi32(dots[r][0], dots[r][1]) } else { dots[r][0] };
                    let t = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), scales.s[0]);
                    acc[r] = _mm512_fmadd_ps(t, d, acc[r]);
                    if format.has_min() {
                        acc[r] = _mm512_fmadd_ps(scales.m[0], _mm512_set1_ps(*x.dsums32.as_ptr().add(at)), acc[r]);
                    }
                }
            }
        }
    }
    let range = columns.range();
    let at = i * TILE_ROWS - range.start;
    for (r, acc) in acc.into_iter().enumerate() {
        let out = &mut columns.row_mut(m + r)[at..];
        // SAFETY: the mask keeps the store within `out`.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask(out.len()), acc) };
    }
}

/// Unpacks the rows of a panel; see [`Panel`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn unpack<S: Stored>(w: Matrix<'_>, columns: &Columns<'_>, panel: &mut Panel) {
    let format = S::FORMAT;
    let chunks = w.cols() / 32;
    let groups = if format.has_groups_of_16() { 2 } else { 1 };
    panel.resize(chunks, groups);
    let range = columns.range();
    let first = range.start / TILE_ROWS;
    let offset = _mm512_set1_epi8(S::PLANES.offset as i8);
    for t in 0..range.len().div_ceil(TILE_ROWS) {
        let (layout, tile) = w.tile(first + t);
        assert!(tile.len() == layout.tile_bytes && layout.quant_bytes == chunks * S::LINES * LINE);
        for chunk in 0..chunks {
            // SAFETY: the tile has the quants and scales of `chunks` chunks, a panel's line has 64 bytes.
            unsafe {
                let lines = tile.as_ptr().add(chunk * S::LINES * LINE);
                let scales = scales::<S>(tile.as_ptr().add(layout.quant_bytes), chunk);
                let mut sums = [_mm512_setzero_si512(); 2];
                let to = &mut panel.q[(chunk * 2 + t) * 8..][..8];
                for (g, to) in to.iter_mut().enumerate() {
                    let q = _mm512_sub_epi8(group::<S>(lines, g), offset);
                    _mm512_storeu_si512(to.0.as_mut_ptr().cast(), q);
                    let sum = &mut sums[g / (8 / groups)];
                    *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi8(-128), q);
                }
                for g in 0..groups {
                    let at = (chunk * 2 + t) * groups + g;
                    let bias = _mm512_sub_epi32(_mm512_setzero_si512(), sums[g]);
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
