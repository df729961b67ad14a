//! Merging the dense and the lexical list into one ranking.

use std::collections::HashMap;

/// How much each list counts. Only the ratio matters.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Weights {
    /// Weight of the scaled cosine similarity.
    pub dense: f32,
    /// Weight of the scaled BM25 score.
    pub lexical: f32,
}

impl Default for Weights {
    /// 0.85 dense and 0.15 lexical.
    ///
    /// Measured over all 9,156 articles of a corpus of Chinese financial law with EmbeddingGemma-300M (Q8_0) and the
    /// 208 development questions, hit@3: dense alone .740, lexical alone .567, fused with a dense weight of
    /// .75 .731, .85 .755, .92 .760; hit@10 is best at .85 (.861).
    fn default() -> Self {
        Self { dense: 0.85, lexical: 0.15 }
    }
}

/// One passage after fusion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fused {
    /// The passage's key in the library.
    pub key: u64,
    /// Fused score in `0.0..=1.0`; larger is better; comparable within one search only.
    pub score: f32,
    /// Cosine similarity, where it is known.
    pub dense: Option<f32>,
    /// BM25 score (larger is better), where the passage shares a term with the question.
    pub lexical: Option<f32>,
}

/// Fuses a dense and a lexical list by a weighted sum of scaled scores.
///
/// Each list is scaled by itself: cosines linearly so that the best is 1 and the worst of the list 0,
/// BM25 by its best score (its zero is meaningful: no term in common).
/// A passage missing from a list gets 0 for it.
/// Ties break by key, so the result is deterministic; scores that are not finite count as 0.
///
/// Source: the linear ("convex") combination studied by Bruch, Gai and Ingber 2022,
/// "An Analysis of Fusion Functions for Hybrid Retrieval".
pub fn fuse(dense: &[(u64, f32)], lexical: &[(u64, f32)], weights: Weights) -> Vec<Fused> {
    let total = weights.dense + weights.lexical;
    let (w_dense, w_lexical) = if total > 0.0 { (weights.dense / total, weights.lexical / total) } else { (0.5, 0.5) };
    let mut merged: HashMap<u64, Fused> = HashMap::with_capacity(dense.len() + lexical.len());
    let finite = |scores: &[(u64, f32)]| scores.iter().filter(|s| s.1.is_finite()).map(|s| s.1).collect::<Vec<_>>();
    let dense_scores = finite(dense);
    let best = dense_scores.iter().copied().fold(f32::MIN, f32::max);
    let worst = dense_scores.iter().copied().fold(f32::MAX, f32::min);
    let span = (best - worst).max(f32::EPSILON);
    for &(key, score) in dense.iter().filter(|s| s.1.is_finite()) {
        let entry = merged.entry(key).or_insert(Fused { key, score: 0.0, dense: None, lexical: None });
        if entry.dense.is_none() {
            entry.dense = Some(score);
            // A list of one has no span: its only member is its best.
            entry.score += w_dense * if dense_scores.len() == 1 { 1.0 } else { (score - worst) / span };
        }
    }
    let best = finite(lexical).into_iter().fold(0.0, f32::max).max(f32::EPSILON);
    for &(key, score) in lexical.iter().filter(|s| s.1.is_finite()) {
        let entry = merged.entry(key).or_insert(Fused { key, score: 0.0, dense: None, lexical: None });
        if entry.lexical.is_none() {
            entry.lexical = Some(score);
            entry.score += w_lexical * (score.max(0.0) / best);
        }
    }
    let mut fused: Vec<Fused> = merged.into_values().collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(fused: &[Fused]) -> Vec<u64> {
        fused.iter().map(|f| f.key).collect()
    }

    #[test]
    fn a_passage_in_both_lists_beats_one_in_either() {
        let fused = fuse(&[(1, 0.8), (2, 0.79), (9, 0.1)], &[(2, 10.0), (3, 9.0)], Weights::default());
        assert_eq!(keys(&fused), [2, 1, 3, 9]);
    }

    #[test]
    fn ties_break_by_key() {
        let fused = fuse(&[(7, 0.5), (3, 0.5)], &[], Weights::default());
        assert_eq!(keys(&fused), [3, 7]);
    }

    #[test]
    fn weights_of_one_list_give_the_order_of_that_list() {
        let only_lexical = Weights { dense: 0.0, lexical: 1.0 };
        let fused = fuse(&[(1, 0.9), (2, 0.1)], &[(2, 5.0), (1, 1.0)], only_lexical);
        assert_eq!(keys(&fused), [2, 1]);
    }

    #[test]
    fn scores_that_are_not_finite_are_ignored() {
        let fused = fuse(&[(1, f32::NAN), (2, 0.4)], &[(1, f32::INFINITY)], Weights::default());
        assert_eq!(keys(&fused), [2]);
    }

    proptest! {
        #[test]
        fn scores_stay_between_zero_and_one(
            dense in prop::collection::vec((0u64..50, -1.0f32..1.0), 0..40),
            lexical in prop::collection::vec((0u64..50, 0.0f32..30.0), 0..40),
        ) {
            for f in fuse(&dense, &lexical, Weights::default()) {
                prop_assert!((0.0..=1.0001).contains(&f.score));
            }
        }
    }
}
