//! The threshold that keeps a promise.

use serde::{Deserialize, Serialize};

use super::binomial::chance_of_at_most;
use crate::{Error, Result};

/// In what sense a promise holds, for questions drawn like those that fitted the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// On average over fits. Source: Angelopoulos et al. 2022, "Conformal Risk Control" (arXiv:2208.02814).
    Expected,
    /// With this confidence in the fit at hand, which needs more questions for the same threshold. Source: Angelopoulos et
    /// al. 2021, "Learn then Test" (arXiv:2110.01052), with the exact binomial tail as its p-value.
    Confidence(f64),
}

impl Guarantee {
    pub(super) fn is_sound(self) -> bool {
        match self {
            Self::Expected => true,
            Self::Confidence(confidence) => confidence > 0.0 && confidence < 1.0,
        }
    }

    /// Whether a threshold that declines `n_declined` of `n` answerable questions keeps the promise.
    fn admits(self, n_declined: usize, n: usize, max_declined: f64) -> bool {
        match self {
            // The loss is 0 or 1 and grows with the threshold: (n · share + 1) / (n + 1).
            Self::Expected => (n_declined + 1) as f64 / (n + 1) as f64 <= max_declined,
            // The chance to see so few declined if the true share were more than promised. Thresholds are tested from the
            // lowest on and shares only grow, so the first that fails ends it and no correction for many tests is due.
            Self::Confidence(confidence) => chance_of_at_most(n_declined, n, max_declined) <= 1.0 - confidence,
        }
    }
}

/// The highest threshold below which no more than `max_declined` of answerable questions fall, in the sense of
/// `guarantee`; `scores` are those of answerable questions that fitted nothing else.
///
/// # Errors
/// [`Error::TooFewQuestions`] when even the lowest threshold cannot be promised, with the number that it takes.
pub fn promised_threshold(scores: &[f64], max_declined: f64, guarantee: Guarantee) -> Result<f64> {
    let mut sorted: Vec<f64> = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if !guarantee.admits(0, n, max_declined) {
        let needed = (n + 1..1_000_000).find(|n| guarantee.admits(0, *n, max_declined));
        return Err(Error::TooFewQuestions { answerable: n, needed: needed.unwrap_or(usize::MAX) });
    }
    // Declining below the score at place k declines at most k of these.
    let place = (0..n).take_while(|k| guarantee.admits(*k, n, max_declined)).last().unwrap_or(0);
    Ok(sorted[place.min(n - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_declines_as_many_as_the_promise_allows() {
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(promised_threshold(&scores, 0.05, Guarantee::Expected).unwrap(), 4.0);
        // P(at most 1 of 100 | 5 %) = 0.037, at most 2: 0.118.
        assert_eq!(promised_threshold(&scores, 0.05, Guarantee::Confidence(0.95)).unwrap(), 1.0);
        assert_eq!(promised_threshold(&[1.0; 100], 0.05, Guarantee::Expected).unwrap(), 1.0);
        let reversed: Vec<f64> = scores.iter().rev().copied().collect();
        assert_eq!(promised_threshold(&reversed, 0.05, Guarantee::Expected).unwrap(), 4.0);
    }

    #[test]
    fn too_few_questions_are_told_with_the_number_that_it_takes() {
        for (guarantee, needed) in [(Guarantee::Expected, 19), (Guarantee::Confidence(0.95), 59)] {
            let few = vec![0.0; needed - 1];
            match promised_threshold(&few, 0.05, guarantee) {
                Err(Error::TooFewQuestions { answerable, needed: told }) => {
                    assert_eq!((answerable, told), (needed - 1, needed))
                }
                other => panic!("{other:?}"),
            }
            assert!(promised_threshold(&vec![0.0; needed], 0.05, guarantee).is_ok());
        }
    }
}
