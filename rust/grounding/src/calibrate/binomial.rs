//! Exact bounds on a share.

use serde::{Deserialize, Serialize};

/// A share of a sample with its exact interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How many …
    pub count: usize,
    /// … of how many.
    pub of: usize,
    /// Their share; 0 of 0 counts as 0.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Rate {
    /// The share with its two-sided interval. Source: Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits
    /// Illustrated in the Case of the Binomial". `count` above `of` counts as `of`.
    pub fn exact(count: usize, of: usize, confidence: f64) -> Self {
        let count = count.min(of);
        let tail = (1.0 - confidence) / 2.0;
        Self {
            count,
            of,
            rate: if of == 0 { 0.0 } else { count as f64 / of as f64 },
            low: lower_bound(count, of, tail),
            high: upper_bound(count, of, tail),
        }
    }
}

/// The smallest share at which no more than `count` of `of` comes with a chance of at most `tail`.
pub(super) fn upper_bound(count: usize, of: usize, tail: f64) -> f64 {
    if count >= of {
        return 1.0;
    }
    bisect(|p| chance_of_at_most(count, of, p) <= tail)
}

/// The largest share at which at least `count` of `of` comes with a chance of at most `tail`.
fn lower_bound(count: usize, of: usize, tail: f64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    1.0 - upper_bound(of - count, of, tail)
}

/// The chance of at most `count` hits in `of` tries of chance `p`, summed in logarithms so that nothing underflows.
pub(super) fn chance_of_at_most(count: usize, of: usize, p: f64) -> f64 {
    if count >= of || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    let odds = p.ln() - (-p).ln_1p();
    let mut term = of as f64 * (-p).ln_1p();
    let (mut largest, mut sum) = (term, 1.0);
    for hits in 1..=count {
        term += ((of - hits + 1) as f64).ln() - (hits as f64).ln() + odds;
        if term > largest {
            sum = sum * (largest - term).exp() + 1.0;
            largest = term;
        } else {
            sum += (term - largest).exp();
        }
    }
    (largest + sum.ln()).exp().min(1.0)
}

/// The point of `0.0..=1.0` from which on `holds`.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // As many halvings as a float has bits: more change nothing.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_agree_with_published_ones() {
        // Brown, Cai and DasGupta 2001 and R's `binom.test`, four digits.
        for (count, of, low, high) in [
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (5, 10, 0.1871, 0.8129),
            (10, 10, 0.6915, 1.0),
            (7, 200, 0.0142, 0.0708),
        ] {
            let rate = Rate::exact(count, of, 0.95);
            assert!((rate.low - low).abs() < 1e-4 && (rate.high - high).abs() < 1e-4, "{rate:?}");
        }
        let nothing = Rate::exact(3, 0, 0.95);
        assert_eq!((nothing.count, nothing.rate, nothing.low, nothing.high), (0, 0.0, 0.0, 1.0));
    }

    #[test]
    fn chances_neither_underflow_nor_exceed_one() {
        assert!((chance_of_at_most(50_000, 100_000, 0.5) - 0.5).abs() < 0.01);
        assert!(chance_of_at_most(10, 100_000, 0.5) < 1e-300);
        assert_eq!(chance_of_at_most(99_999, 100_000, 0.1), 1.0);
    }
}
