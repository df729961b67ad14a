//! How 16 rows of each format become bytes and scales in 512-bit registers.

use crate::Format;
use std::arch::x86_64::*;

/// The scales and minima of 32 columns of 16 rows; a lane is a row. Where the format has one scale for 32 columns only
/// the first of each pair is read.
#[derive(Clone, Copy)]
pub(super) struct Scales {
    pub(super) s: [__m512; 2],
    pub(super) m: [__m512; 2],
}

/// One format, in 512-bit registers.
///
/// # Safety
/// Callers run on a processor with AVX-512 F, BW, VL and VBMI-free byte operations, and pass pointers to whole blocks.
pub(super) trait Decode {
    /// The format's portable description.
    const FORMAT: Format;
    /// What is added to a value to make it unsigned; a power of two.
    const OFFSET: i32;
    /// Words of 16 rows' block heads that the scales are made from.
    type Head: Copy;
    /// Reads the heads of one block of 16 rows, `offsets` bytes from `block`.
    unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head;
    /// The scales of columns `32 c ..` of the block.
    unsafe fn scales(head: &Self::Head, c: usize) -> Scales;
    /// Columns `32 c ..` of two rows' blocks as unsigned bytes: row `a` in the low half, row `b` in the high half.
    unsafe fn quants(a: *const u8, b: *const u8, c: usize) -> __m512i;
}

/// A 32-bit word at byte `at` of each row's block.
#[inline(always)]
unsafe fn word(block: *const u8, offsets: __m512i, at: usize) -> __m512i {
    // SAFETY: the caller's blocks have the four bytes at `at`.
    unsafe { _mm512_i32gather_epi32::<1>(offsets, block.add(at).cast()) }
}

#[inline(always)]
unsafe fn three_words(block: *const u8, offsets: __m512i, at: usize) -> [__m512i; 3] {
    // SAFETY: the caller's blocks have the twelve bytes at `at`.
    unsafe { [word(block, offsets, at), word(block, offsets, at + 4), word(block, offsets, at + 8)] }
}

#[inline(always)]
unsafe fn four_words(block: *const u8, offsets: __m512i, at: usize) -> [__m512i; 4] {
    // SAFETY: the caller's blocks have the sixteen bytes at `at`.
    unsafe {
        let [a, b, c] = three_words(block, offsets, at);
        [a, b, c, word(block, offsets, at + 12)]
    }
}

/// The low 16 bits of each word as f16.
#[inline(always)]
unsafe fn low_f16(words: __m512i) -> __m512 {
    // SAFETY: registers only; the caller has the features.
    unsafe { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)) }
}

/// The high 16 bits of each word as f16.
#[inline(always)]
unsafe fn high_f16(words: __m512i) -> __m512 {
    // SAFETY: registers only; the caller has the features.
    unsafe { low_f16(_mm512_srli_epi32::<16>(words)) }
}

/// `(words >> shift) & mask`.
#[inline(always)]
unsafe fn field(words: __m512i, shift: usize, mask: i32) -> __m512i {
    // SAFETY: registers only; the caller has the features.
    unsafe { _mm512_and_si512(_mm512_srl_epi32(words, _mm_cvtsi32_si128(shift as i32)), _mm512_set1_epi32(mask)) }
}

/// `d` times integers.
#[inline(always)]
unsafe fn times(d: __m512, integers: __m512i) -> __m512 {
    // SAFETY: registers only; the caller has the features.
    unsafe { _mm512_mul_ps(d, _mm512_cvtepi32_ps(integers)) }
}

/// `-(d * integers)`.
#[inline(always)]
unsafe fn minus_times(d: __m512, integers: __m512i) -> __m512 {
    // SAFETY: registers only; the caller has the features.
    unsafe { _mm512_xor_ps(times(d, integers), _mm512_set1_ps(-0.0)) }
}

#[inline(always)]
unsafe fn one_scale(s: __m512, m: __m512) -> Scales {
    Scales { s: [s; 2], m: [m; 2] }
}

/// 16 bytes of two rows, each twice: `a a b b`.
#[inline(always)]
unsafe fn pair_of_16(a: *const u8, b: *const u8) -> __m512i {
    // SAFETY: both have 16 bytes.
    unsafe {
        let a = _mm512_broadcast_i32x4(_mm_loadu_si128(a.cast()));
        _mm512_mask_broadcast_i32x4(a, 0xff00, _mm_loadu_si128(b.cast()))
    }
}

/// 32 bytes of two rows: `a b`.
#[inline(always)]
unsafe fn pair_of_32(a: *const u8, b: *const u8) -> __m512i {
    // SAFETY: both have 32 bytes.
    unsafe {
        let a = _mm512_castsi256_si512(_mm256_loadu_si256(a.cast()));
        _mm512_inserti64x4::<1>(a, _mm256_loadu_si256(b.cast()))
    }
}

/// Low nibbles of 16 bytes as values 0 to 15, high nibbles as 16 to 31, of two rows.
#[inline(always)]
unsafe fn nibbles(a: *const u8, b: *const u8) -> __m512i {
    // SAFETY: both have 16 bytes.
    unsafe {
        let shifts = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
        _mm512_and_si512(_mm512_srlv_epi64(pair_of_16(a, b), shifts), _mm512_set1_epi8(15))
    }
}

/// [`nibbles`] with a fifth bit from 32 bits at `high_a` and `high_b`.
#[inline(always)]
unsafe fn nibbles_and_bit(a: *const u8, b: *const u8, high_a: *const u8, high_b: *const u8) -> __m512i {
    // SAFETY: 16 bytes at `a` and `b`, 4 at the others.
    unsafe {
        let low = u64::from(high_a.cast::<u32>().read_unaligned());
        let high = u64::from(high_b.cast::<u32>().read_unaligned());
        let q = nibbles(a, b);
        _mm512_mask_add_epi8(q, low | (high << 32), q, _mm512_set1_epi8(16))
    }
}

/// `(bytes >> shift) & mask` for bytes; `mask` must drop what a neighbour shifted in.
#[inline(always)]
unsafe fn byte_field(bytes: __m512i, shift: usize, mask: i8) -> __m512i {
    // SAFETY: registers only; the caller has the features.
    unsafe { _mm512_and_si512(_mm512_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32)), _mm512_set1_epi8(mask)) }
}

macro_rules! simple {
    ($name:ident, $offset:expr, $min:expr, |$a:ident, $b:ident| $quants:expr) => {
        pub(super) struct $name;
        impl Decode for $name {
            const FORMAT: Format = Format::$name;
            const OFFSET: i32 = $offset;
            type Head = __m512i;
            #[inline(always)]
            unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head {
                // SAFETY: every block begins with at least four bytes of scale and more.
                unsafe { word(block, offsets, 0) }
            }
            #[inline(always)]
            unsafe fn scales(head: &Self::Head, _c: usize) -> Scales {
                // SAFETY: registers only.
                unsafe { one_scale(low_f16(*head), if $min { high_f16(*head) } else { _mm512_setzero_ps() }) }
            }
            #[inline(always)]
            unsafe fn quants($a: *const u8, $b: *const u8, _c: usize) -> __m512i {
                // SAFETY: the offsets lie within the block.
                unsafe { $quants }
            }
        }
    };
}

simple!(Q4_0, 8, false, |a, b| nibbles(a.add(2), b.add(2)));
simple!(Q4_1, 0, true, |a, b| nibbles(a.add(4), b.add(4)));
simple!(Q5_0, 16, false, |a, b| nibbles_and_bit(a.add(6), b.add(6), a.add(2), b.add(2)));
simple!(Q5_1, 0, true, |a, b| nibbles_and_bit(a.add(8), b.add(8), a.add(4), b.add(4)));
simple!(Q8_0, 128, false, |a, b| _mm512_xor_si512(pair_of_32(a.add(2), b.add(2)), _mm512_set1_epi8(-128)));

pub(super) struct Q2K;
impl Decode for Q2K {
    const FORMAT: Format = Format::Q2K;
    const OFFSET: i32 = 0;
    /// Four words of scales and minima, the two f16.
    type Head = ([__m512i; 4], __m512, __m512);
    #[inline(always)]
    unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head {
        // SAFETY: a block has 84 bytes.
        unsafe {
            let d = word(block, offsets, 80);
            let scales = four_words(block, offsets, 0);
            (scales, low_f16(d), high_f16(d))
        }
    }
    #[inline(always)]
    unsafe fn scales(head: &Self::Head, c: usize) -> Scales {
        let (words, d, dmin) = head;
        let at = c % 2 * 16;
        // SAFETY: registers only.
        unsafe {
            let packed = words[c / 2];
            Scales {
                s: [times(*d, field(packed, at, 15)), times(*d, field(packed, at + 8, 15))],
                m: [minus_times(*dmin, field(packed, at + 4, 15)), minus_times(*dmin, field(packed, at + 12, 15))],
            }
        }
    }
    #[inline(always)]
    unsafe fn quants(a: *const u8, b: *const u8, c: usize) -> __m512i {
        let at = 16 + c / 4 * 32;
        // SAFETY: 64 bytes of quants from byte 16.
        unsafe { byte_field(pair_of_32(a.add(at), b.add(at)), c % 4 * 2, 3) }
    }
}

#[inline(always)]
unsafe fn q3_scale(words: &[__m512i; 3], d: __m512, g: usize) -> __m512 {
    // SAFETY: registers only; the caller has the features.
    unsafe {
        let low = field(words[g % 8 / 4], g % 4 * 8 + g / 8 * 4, 15);
        let high = field(words[2], g % 4 * 8 + g / 4 * 2, 3);
        let joined = _mm512_or_si512(low, _mm512_slli_epi32::<4>(high));
        times(d, _mm512_sub_epi32(joined, _mm512_set1_epi32(32)))
    }
}

pub(super) struct Q3K;
impl Decode for Q3K {
    const FORMAT: Format = Format::Q3K;
    const OFFSET: i32 = 4;
    /// Three words of scales, the f16.
    type Head = ([__m512i; 3], __m512);
    #[inline(always)]
    unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head {
        // SAFETY: a block has 110 bytes.
        unsafe { (three_words(block, offsets, 96), high_f16(word(block, offsets, 106))) }
    }
    #[inline(always)]
    unsafe fn scales(head: &Self::Head, c: usize) -> Scales {
        let (words, d) = head;
        // SAFETY: registers only.
        unsafe {
            Scales { s: [q3_scale(words, *d, 2 * c), q3_scale(words, *d, 2 * c + 1)], m: [_mm512_setzero_ps(); 2] }
        }
    }
    #[inline(always)]
    unsafe fn quants(a: *const u8, b: *const u8, c: usize) -> __m512i {
        let at = 32 + c / 4 * 32;
        // SAFETY: 32 bytes of high bits, then 64 of low pairs of bits.
        unsafe {
            let low = byte_field(pair_of_32(a.add(at), b.add(at)), c % 4 * 2, 3);
            let high = byte_field(pair_of_32(a, b), c, 1);
            _mm512_or_si512(low, _mm512_slli_epi16::<2>(high))
        }
    }
}

/// Scales and minima of the formats with 8 pairs of 6 bits in 12 bytes.
type SixBits = ([__m512i; 3], __m512, __m512);

#[inline(always)]
unsafe fn six_bit_head(block: *const u8, offsets: __m512i) -> SixBits {
    // SAFETY: both formats have the two f16 and 12 bytes in front.
    unsafe {
        let d = word(block, offsets, 0);
        (three_words(block, offsets, 4), low_f16(d), high_f16(d))
    }
}

#[inline(always)]
unsafe fn six_bit_scales(head: &SixBits, c: usize) -> Scales {
    let ([low, high, rest], d, dmin) = *head;
    // SAFETY: registers only.
    unsafe {
        let (scale, min) = if c < 4 {
            (field(low, 8 * c, 63), field(high, 8 * c, 63))
        } else {
            let at = 8 * (c - 4);
            (
                _mm512_or_si512(field(rest, at, 15), _mm512_slli_epi32::<4>(field(low, at + 6, 3))),
                _mm512_or_si512(field(rest, at + 4, 15), _mm512_slli_epi32::<4>(field(high, at + 6, 3))),
            )
        };
        one_scale(times(d, scale), minus_times(dmin, min))
    }
}

pub(super) struct Q4K;
impl Decode for Q4K {
    const FORMAT: Format = Format::Q4K;
    const OFFSET: i32 = 0;
    type Head = SixBits;
    #[inline(always)]
    unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head {
        // SAFETY: as the caller's.
        unsafe { six_bit_head(block, offsets) }
    }
    #[inline(always)]
    unsafe fn scales(head: &Self::Head, c: usize) -> Scales {
        // SAFETY: as the caller's.
        unsafe { six_bit_scales(head, c) }
    }
    #[inline(always)]
    unsafe fn quants(a: *const u8, b: *const u8, c: usize) -> __m512i {
        let at = 16 + c / 2 * 32;
        // SAFETY: 128 bytes of quants from byte 16.
        unsafe { byte_field(pair_of_32(a.add(at), b.add(at)), c % 2 * 4, 15) }
    }
}

pub(super) struct Q5K;
impl Decode for Q5K {
    const FORMAT: Format = Format::Q5K;
    const OFFSET: i32 = 0;
    type Head = SixBits;
    #[inline(always)]
    unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head {
        // SAFETY: as the caller's.
        unsafe { six_bit_head(block, offsets) }
    }
    #[inline(always)]
    unsafe fn scales(head: &Self::Head, c: usize) -> Scales {
        // SAFETY: as the caller's.
        unsafe { six_bit_scales(head, c) }
    }
    #[inline(always)]
    unsafe fn quants(a: *const u8, b: *const u8, c: usize) -> __m512i {
        let at = 48 + c / 2 * 32;
        // SAFETY: 32 bytes of fifth bits from byte 16, then 128 of nibbles.
        unsafe {
            let low = byte_field(pair_of_32(a.add(at), b.add(at)), c % 2 * 4, 15);
            let high = byte_field(pair_of_32(a.add(16), b.add(16)), c, 1);
            _mm512_or_si512(low, _mm512_slli_epi16::<4>(high))
        }
    }
}

pub(super) struct Q6K;
impl Decode for Q6K {
    const FORMAT: Format = Format::Q6K;
    const OFFSET: i32 = 32;
    /// Four words of signed scales, the f16.
    type Head = ([__m512i; 4], __m512);
    #[inline(always)]
    unsafe fn head(block: *const u8, offsets: __m512i) -> Self::Head {
        // SAFETY: a block has 210 bytes.
        unsafe { (four_words(block, offsets, 192), high_f16(word(block, offsets, 206))) }
    }
    #[inline(always)]
    unsafe fn scales(head: &Self::Head, c: usize) -> Scales {
        let (words, d) = head;
        // SAFETY: registers only.
        unsafe {
            let up = _mm512_sll_epi32(words[c / 2], _mm_cvtsi32_si128(24 - (c % 2 * 16) as i32));
            let first = times(*d, _mm512_srai_epi32::<24>(up));
            let up = _mm512_sll_epi32(words[c / 2], _mm_cvtsi32_si128(16 - (c % 2 * 16) as i32));
            Scales { s: [first, times(*d, _mm512_srai_epi32::<24>(up))], m: [_mm512_setzero_ps(); 2] }
        }
    }
    #[inline(always)]
    unsafe fn quants(a: *const u8, b: *const u8, c: usize) -> __m512i {
        let (half, r) = (c / 4, c % 4);
        let (low, high) = (half * 64 + r % 2 * 32, 128 + half * 32);
        // SAFETY: 128 bytes of low nibbles, then 64 of high pairs of bits.
        unsafe {
            let low = byte_field(pair_of_32(a.add(low), b.add(low)), r / 2 * 4, 15);
            let high = byte_field(pair_of_32(a.add(high), b.add(high)), r * 2, 3);
            _mm512_or_si512(low, _mm512_slli_epi16::<4>(high))
        }
    }
}
