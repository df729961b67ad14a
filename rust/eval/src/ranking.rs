//! Ranking measures: hit rate at k and mean reciprocal rank.

use std::collections::HashSet;

/// Means over a set of questions. Every figure lies in `0.0..=1.0`; larger is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct RankingSummary {
    /// Number of questions.
    pub n: usize,
    /// Share of questions with a right place first.
    pub hit_1: f64,
    /// Share with a right place among the first three.
    pub hit_3: f64,
    /// Share with a right place among the first ten.
    pub hit_10: f64,
    /// Mean of `1 / rank` of the first right place, 0 beyond the tenth.
    pub mrr_10: f64,
}

/// Rank from 1 of the first place in `found` that is one of `gold`; `None` when there is none.
pub fn first_gold_rank<S: AsRef<str>>(found: &[S], gold: &[S]) -> Option<usize> {
    let gold: HashSet<&str> = gold.iter().map(AsRef::as_ref).collect();
    found.iter().position(|place| gold.contains(place.as_ref())).map(|i| i + 1)
}

/// Summarizes first-gold ranks, one entry a question.
pub fn summarize(ranks: &[Option<usize>]) -> RankingSummary {
    let n = ranks.len();
    if n == 0 {
        return RankingSummary::default();
    }
    let share = |k: usize| ranks.iter().filter(|r| r.is_some_and(|r| r <= k)).count() as f64 / n as f64;
    let reciprocal: f64 = ranks.iter().flatten().filter(|&&r| r <= 10).map(|&r| 1.0 / r as f64).sum();
    RankingSummary { n, hit_1: share(1), hit_3: share(3), hit_10: share(10), mrr_10: reciprocal / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_is_that_of_the_first_right_place() {
        assert_eq!(first_gold_rank(&["a", "b", "c"], &["c", "b"]), Some(2));
        assert_eq!(first_gold_rank(&["a"], &["z"]), None);
    }

    #[test]
    fn summary_counts_hits_at_each_depth() {
        let summary = summarize(&[Some(1), Some(3), Some(11), None]);
        assert_eq!(summary.n, 4);
        assert_eq!((summary.hit_1, summary.hit_3, summary.hit_10), (0.25, 0.5, 0.5));
        assert!((summary.mrr_10 - (1.0 + 1.0 / 3.0) / 4.0).abs() < 1e-12);
    }
}
