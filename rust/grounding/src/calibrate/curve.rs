//! What every threshold would do.

use serde::Serialize;

/// A question's score, and what is true of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Larger is more likely answerable.
    pub score: f64,
    /// Whether the sources answer it.
    pub answerable: bool,
    /// Whether its answer is right; an unanswerable question has no right answer.
    pub correct: bool,
}

/// One threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Questions that score below are declined.
    pub threshold: f64,
    /// Share of all questions that are answered.
    pub coverage: f64,
    /// Share of wrong answers among them; smaller is better.
    pub risk: f64,
    /// Share of answerable questions declined; smaller is better.
    pub answerable_declined: f64,
    /// Share of unanswerable questions declined; larger is better.
    pub unanswerable_declined: f64,
}

/// Risk against coverage. Source: El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification".
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// One point for each score that occurs, from the highest threshold on.
    pub points: Vec<CurvePoint>,
    /// Mean risk over all coverages; smaller is better.
    pub area: f64,
}

impl Curve {
    /// The curve of a run. Scores that are not numbers count as the lowest.
    pub fn of(judged: &[Judged]) -> Self {
        let score = |judged: &Judged| if judged.score.is_nan() { f64::NEG_INFINITY } else { judged.score };
        let mut sorted: Vec<Judged> = judged.iter().map(|judged| Judged { score: score(judged), ..*judged }).collect();
        sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
        let n_answerable = sorted.iter().filter(|judged| judged.answerable).count();
        let share = |n: usize, of: usize| if of == 0 { 0.0 } else { n as f64 / of as f64 };
        let mut curve = Self::default();
        let (mut n_answered, mut n_wrong, mut answerable) = (0, 0, 0);
        let mut risks = 0.0;
        for group in sorted.chunk_by(|a, b| a.score == b.score) {
            n_answered += group.len();
            n_wrong += group.iter().filter(|judged| !(judged.answerable && judged.correct)).count();
            answerable += group.iter().filter(|judged| judged.answerable).count();
            let risk = share(n_wrong, n_answered);
            risks += risk * group.len() as f64;
            curve.points.push(CurvePoint {
                threshold: group[0].score,
                coverage: share(n_answered, sorted.len()),
                risk,
                answerable_declined: share(n_answerable - answerable, n_answerable),
                unanswerable_declined: share(
                    (sorted.len() - n_answerable) - (n_answered - answerable),
                    sorted.len() - n_answerable,
                ),
            });
        }
        curve.area = risks / sorted.len().max(1) as f64;
        curve
    }
}

/// Area under the ROC curve: the chance that an answerable question scores above an unanswerable one, ties counting half.
///
/// 0.5 is guessing, 1.0 perfect; `None` when either list is empty. Worked out from ranks (Mann and Whitney 1947).
pub fn auc(answerable: &[f64], unanswerable: &[f64]) -> Option<f64> {
    let pairs = (answerable.len() * unanswerable.len()) as f64;
    let mut all: Vec<(f64, bool)> =
        answerable.iter().map(|s| (*s, true)).chain(unanswerable.iter().map(|s| (*s, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut below) = (0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let n_answerable = group.iter().filter(|(_, answerable)| *answerable).count() as f64;
        let n_others = group.len() as f64 - n_answerable;
        wins += n_answerable * (below + n_others / 2.0);
        below += n_others;
    }
    (pairs > 0.0).then_some(wins / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_one_when_parted_and_half_when_equal() {
        assert_eq!(auc(&[0.8, 0.9], &[0.1, 0.2]), Some(1.0));
        assert_eq!(auc(&[0.1], &[0.2]), Some(0.0));
        assert_eq!(auc(&[0.5, 0.7], &[0.5]), Some(0.75));
        assert_eq!(auc(&[], &[0.5]), None);
    }

    #[test]
    fn a_curve_goes_from_the_surest_question_to_all() {
        let judged = |score, answerable, correct| Judged { score, answerable, correct };
        let curve = Curve::of(&[
            judged(0.9, true, true),
            judged(0.8, true, false),
            judged(0.8, false, true),
            judged(f64::NAN, true, true),
        ]);
        let values: Vec<_> = curve.points.iter().map(|p| (p.coverage, p.risk, p.unanswerable_declined)).collect();
        assert_eq!(values, [(0.25, 0.0, 1.0), (0.75, 2.0 / 3.0, 0.0), (1.0, 0.5, 0.0)]);
        assert_eq!(curve.points[1].answerable_declined, 1.0 / 3.0);
        // Mean of 0, twice 2/3, and 1/2.
        assert!((curve.area - (4.0 / 3.0 + 0.5) / 4.0).abs() < 1e-12);
        assert_eq!(Curve::of(&[]), Curve::default());
    }
}
