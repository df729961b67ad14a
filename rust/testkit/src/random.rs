//! A small random number generator, the same everywhere.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator whose sequence depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `[-1, 1)`, uniform, a multiple of 2⁻²³.
    pub fn next_signed(&mut self) -> f32 {
        ((self.next_u64() >> 40) as f32) * (1.0 / 8_388_608.0) - 1.0
    }

    /// An integer in `0..bound` (slightly biased for bounds near 2⁶⁴, which no test uses).
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn next_below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a bound of 0 leaves nothing to draw");
        self.next_u64() % bound
    }
}

/// A sub-seed for the tensor called `name`, so that adding a tensor does not change the others (FNV-1a over the name).
pub(crate) fn seed_for(seed: u64, name: &str) -> u64 {
    name.bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// `count` numbers uniform in `center ± spread`.
pub(crate) fn uniform(seed: u64, name: &str, count: usize, center: f32, spread: f32) -> Vec<f32> {
    let mut random = SplitMix64::new(seed_for(seed, name));
    (0..count).map(|_| center + spread * random.next_signed()).collect()
}
