//! What the processor and its memory allow at most: the two lines of a roofline (Williams, Waterman, Patterson,
//! CACM 52(4), 2009) for products of 8-bit integers.
//!
//! The functions do a known amount of work and nothing else; whoever calls them looks at the clock. Kernels are then
//! held against the work per second found here, on the same threads, in the same minute.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ThreadPool;
use crate::dispatch::{Isa, Kernel};

/// Bytes that a thread reads between two looks at the list of work.
const PIECE: usize = 1 << 20;
/// Pieces of arithmetic for each thread, so that a thread that was held up does not decide the time.
const PIECES: usize = 16;

/// Multiplies and adds 8-bit integers in registers on all threads of `pool`, with the best instruction that the kernels
/// use here, and returns the number of operations done, two for each product.
///
/// Each of the threads does `rounds` rounds of some thousand operations; a million rounds take a second or less.
pub fn dot_products(pool: &ThreadPool, rounds: usize) -> u64 {
    let isa = Isa::detected();
    let each = rounds.div_ceil(PIECES);
    let operations = AtomicU64::new(0);
    pool.run(PIECES * pool.n_threads(), &|_| {
        operations.fetch_add(dots(isa, each), Ordering::Relaxed);
    });
    operations.into_inner()
}

/// Reads every byte of `parts` once on all threads of `pool`, in order within pieces of a megabyte, and returns how many
/// there were. For the memory's own speed they must be more than the caches hold, and in memory already.
pub fn read(pool: &ThreadPool, parts: &[&[u8]]) -> u64 {
    let pieces: Vec<&[u8]> = parts.iter().flat_map(|part| part.chunks(PIECE)).collect();
    let isa = Isa::detected();
    let sum = AtomicU64::new(0);
    pool.run(pieces.len(), &|i| {
        sum.fetch_xor(xor(isa, pieces[i]), Ordering::Relaxed);
    });
    black_box(sum.into_inner());
    parts.iter().map(|part| part.len() as u64).sum()
}

fn dots(isa: Isa, rounds: usize) -> u64 {
    match isa {
        Isa::Portable => portable_dots(rounds),
        #[cfg(target_arch = "x86_64")]
        _ => crate::x86::dots(isa, rounds),
        #[cfg(target_arch = "aarch64")]
        _ => crate::arm::dots(isa, rounds),
    }
}

fn xor(isa: Isa, bytes: &[u8]) -> u64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86::xor(isa, bytes),
        _ => isa.compiled(Xor(bytes)),
    }
}

fn portable_dots(rounds: usize) -> u64 {
    const LANES: usize = 256;
    let (mut sums, w, x) = ([0i32; LANES], black_box([3i8; LANES]), [5i8; LANES]);
    for _ in 0..rounds {
        // Activations that might be new each time, or the compiler would multiply once.
        for ((sum, w), x) in sums.iter_mut().zip(&w).zip(black_box(&x)) {
            *sum = sum.wrapping_add(i32::from(*w) * i32::from(*x));
        }
    }
    black_box(sums);
    (rounds * LANES * 2) as u64
}

/// The exclusive or of all words, in as many sums as registers have lanes, so that only loads limit it.
struct Xor<'a>(&'a [u8]);

impl Kernel for Xor<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut sums = [0u64; 32];
        let blocks = self.0.chunks_exact(size_of_val(&sums));
        let mut rest = 0;
        for byte in blocks.remainder() {
            rest ^= u64::from(*byte);
        }
        for block in blocks {
            for (sum, word) in sums.iter_mut().zip(block.chunks_exact(8)) {
                *sum ^= u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
            }
        }
        sums.iter().fold(rest, |all, sum| all ^ sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rounds_and_more_threads_are_more_work_on_every_instruction_set() {
        for isa in Isa::supported() {
            let once = dots(isa, 1);
            assert!(once >= 128, "{isa:?}");
            assert_eq!(dots(isa, 7), 7 * once, "{isa:?}");
        }
        let (one, two) = (ThreadPool::new(1), ThreadPool::new(2));
        assert_eq!(dot_products(&two, 64), 2 * dot_products(&one, 64));
    }

    #[test]
    fn every_byte_is_read() {
        let mut bytes: Vec<u8> = (0..3 * 1024 + 77).map(|i| (i * 31 % 251) as u8).collect();
        for isa in Isa::supported() {
            let before = xor(isa, &bytes);
            for at in [0, 1, 511, 1024, 3 * 1024 - 1, 3 * 1024 + 76] {
                bytes[at] ^= 0x55;
                assert_ne!(xor(isa, &bytes), before, "byte {at} with {isa:?}");
                bytes[at] ^= 0x55;
            }
            assert_eq!(xor(isa, &bytes), before);
        }
        assert_eq!(read(&ThreadPool::new(2), &[&bytes, &bytes[..100]]), bytes.len() as u64 + 100);
    }
}
