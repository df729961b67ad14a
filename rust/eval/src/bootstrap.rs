//! Bootstrap confidence intervals.

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The mean of the sample.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Percentile bootstrap of the mean with 2,000 resamples from a fixed seed, so that a report can be repeated.
///
/// Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
/// `None` for an empty sample.
pub fn bootstrap_mean(sample: &[f64], seed: u64) -> Option<Interval> {
    const RESAMPLES: usize = 2_000;
    if sample.is_empty() {
        return None;
    }
    let n = sample.len();
    let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..n).map(|_| sample[(split_mix(&mut state) % n as u64) as usize]).sum::<f64>() / n as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    Some(Interval {
        mean: sample.iter().sum::<f64>() / n as f64,
        low: means[RESAMPLES / 40],
        high: means[RESAMPLES - 1 - RESAMPLES / 40],
    })
}

/// SplitMix64. Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators".
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_mean_and_narrows_with_the_sample() {
        let coin = |n: usize| (0..n).map(|i| (i % 2) as f64).collect::<Vec<_>>();
        let (small, large) = (bootstrap_mean(&coin(20), 1).unwrap(), bootstrap_mean(&coin(2_000), 1).unwrap());
        assert!(small.low < 0.5 && 0.5 < small.high);
        assert!(large.high - large.low < small.high - small.low);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let sample = [0.0, 1.0, 1.0, 0.0, 1.0];
        assert_eq!(bootstrap_mean(&sample, 7), bootstrap_mean(&sample, 7));
        assert_eq!(bootstrap_mean(&[], 7), None);
    }
}
