//! How well a score tells answerable from unanswerable questions.

/// Area under the ROC curve: the chance that an answerable question scores above an unanswerable one, ties counting half.
///
/// 0.5 is guessing, 1.0 perfect. `None` when either list is empty.
pub fn auc(answerable: &[f64], unanswerable: &[f64]) -> Option<f64> {
    if answerable.is_empty() || unanswerable.is_empty() {
        return None;
    }
    let wins: f64 = answerable
        .iter()
        .flat_map(|a| {
            unanswerable.iter().map(move |u| {
                if a > u {
                    1.0
                } else if a == u {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    Some(wins / (answerable.len() * unanswerable.len()) as f64)
}

/// What a threshold on the score does: below it, a question is declined.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Operating {
    /// The threshold.
    pub floor: f64,
    /// Share of unanswerable questions declined; larger is better.
    pub unanswerable_declined: f64,
    /// Share of answerable questions declined; smaller is better.
    pub answerable_declined: f64,
}

/// The shares declined at a given floor. Empty lists count as 0.
pub fn operating_point(answerable: &[f64], unanswerable: &[f64], floor: f64) -> Operating {
    let below = |scores: &[f64]| match scores.len() {
        0 => 0.0,
        n => scores.iter().filter(|s| **s < floor).count() as f64 / n as f64,
    };
    Operating { floor, unanswerable_declined: below(unanswerable), answerable_declined: below(answerable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_one_when_separated_and_half_when_equal() {
        assert_eq!(auc(&[0.8, 0.9], &[0.1, 0.2]), Some(1.0));
        assert_eq!(auc(&[0.5], &[0.5]), Some(0.5));
        assert_eq!(auc(&[], &[0.5]), None);
    }

    #[test]
    fn a_floor_declines_what_lies_below_it() {
        let point = operating_point(&[0.6, 0.9], &[0.1, 0.7], 0.65);
        assert_eq!((point.answerable_declined, point.unanswerable_declined), (0.5, 0.5));
    }
}
