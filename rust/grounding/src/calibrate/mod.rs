//! Declining with a promise.
//!
//! Questions with known answerability are split by a hash of their ids into three parts that share no question: the first
//! fits the weights of a score, the second the threshold below which a question is declined, the third only measures.
//! The promise, on the share of answerable questions that are declined, rests on the second part alone and holds for
//! questions drawn like these, whatever the score is worth: a poor score declines few unanswerable ones, and no more
//! answerable ones than promised.

mod binomial;
mod curve;
mod logistic;
mod threshold;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use binomial::Rate;
pub use curve::{Curve, CurvePoint, Judged, auc};
pub use logistic::{Feature, Score};
pub use threshold::{Guarantee, promised_threshold};

use crate::{Error, Result};

/// The version of [`Calibration`] that this crate writes and reads.
pub const CALIBRATION_VERSION: u32 = 1;

/// A question with what the search said of it and what is true of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Its id; questions that belong together (paraphrases) should share one, so that they fall into one part.
    pub id: String,
    /// What is known before answering, by name: the best dense score, its margin to the second, the best lexical score,
    /// how far the lists agree. A missing or infinite value counts as the mean.
    pub features: BTreeMap<String, f64>,
    /// Whether the sources answer it.
    pub answerable: bool,
    /// Whether the answer was right, where there was one.
    #[serde(default)]
    pub correct: Option<bool>,
}

/// How to calibrate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalibrationOptions {
    /// At most this share of answerable questions is declined.
    pub max_answerable_declined: f64,
    /// In what sense.
    pub guarantee: Guarantee,
    /// Share of the questions that fit the weights.
    pub share_for_weights: f64,
    /// Share of the questions that fit the threshold; the rest measures.
    pub share_for_threshold: f64,
    /// Strength of the pull towards small weights, in units of one question.
    pub l2: f64,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self {
            max_answerable_declined: 0.05,
            guarantee: Guarantee::Expected,
            share_for_weights: 0.35,
            share_for_threshold: 0.4,
            l2: 1.0,
        }
    }
}

/// The gate of a pack: whether a question is declined before the model is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "promise")]
pub enum Gate {
    /// Nobody gave questions to calibrate with: a default, and nothing is promised.
    #[serde(rename = "none")]
    NoPromise {
        /// The feature that is looked at.
        feature: String,
        /// Below this it is declined.
        threshold: f64,
    },
    /// Fitted, with what it promises.
    #[serde(rename = "kept")]
    Promised(Calibration),
}

impl Gate {
    /// Whether a question with these features is declined. A gate without a promise does not decline where its feature is
    /// missing.
    pub fn declines(&self, features: &BTreeMap<String, f64>) -> bool {
        match self {
            Self::NoPromise { feature, threshold } => features.get(feature).is_some_and(|value| value < threshold),
            Self::Promised(calibration) => calibration.declines(features),
        }
    }
}

/// A fitted gate, for a pack's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`CALIBRATION_VERSION`].
    pub version: u32,
    /// The score, the chance that a question is answerable as the fit sees it.
    pub score: Score,
    /// A question that scores below is declined.
    pub threshold: f64,
    /// At most this share of answerable questions is declined.
    pub max_answerable_declined: f64,
    /// In what sense.
    pub guarantee: Guarantee,
    /// Questions that fitted the weights.
    pub n_weights: usize,
    /// Answerable questions that fitted the threshold; the promise rests on them.
    pub n_threshold: usize,
    /// What the gate did to the questions that fitted nothing.
    pub test: Measured,
}

/// What a gate does to questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Answerable questions that are declined; smaller is better.
    pub answerable_declined: Rate,
    /// Unanswerable questions that are declined; larger is better.
    pub unanswerable_declined: Rate,
    /// How well the score parts them, `0.5` guessing to `1.0`; `None` when one kind is missing.
    pub auc: Option<f64>,
}

impl Calibration {
    /// Fits a gate. The same questions and options give the same gate, in whatever order the questions come.
    ///
    /// # Errors
    /// [`Error::TooFewQuestions`] when a part lacks answerable or unanswerable questions, or has too few answerable ones for
    /// the promise; [`Error::Options`] for shares and bounds outside `0..1`.
    pub fn fit(examples: &[Example], options: &CalibrationOptions) -> Result<Self> {
        let inside = |share: f64| share > 0.0 && share < 1.0;
        let (first, second) = (options.share_for_weights, options.share_for_threshold);
        let bounds = inside(options.max_answerable_declined) && options.guarantee.is_sound();
        if !(bounds
            && inside(first)
            && inside(second)
            && first + second < 1.0
            && options.l2 >= 0.0
            && options.l2.is_finite())
        {
            return Err(Error::Options);
        }
        let mut parts: [Vec<&Example>; 3] = Default::default();
        for example in examples {
            let place = place(&example.id);
            parts[if place < first { 0 } else { 1 + usize::from(place >= first + second) }].push(example);
        }
        // Sums depend on the order of what is summed.
        for part in &mut parts {
            part.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| format!("{a:?}").cmp(&format!("{b:?}"))));
        }
        let [for_weights, for_threshold, for_test] = parts;
        let score = Score::fit(&for_weights, options.l2)?;
        let answerable: Vec<f64> =
            for_threshold.iter().filter(|e| e.answerable).map(|e| score.of(&e.features)).collect();
        let exact = promised_threshold(&answerable, options.max_answerable_declined, options.guarantee)?;
        // Rounded down, since a lower threshold keeps the promise too.
        let threshold = logistic::rounded(exact * (1.0 - 2e-11));
        let test = measure(&for_test, |features| score.of(features), threshold);
        Ok(Self {
            version: CALIBRATION_VERSION,
            score,
            threshold,
            max_answerable_declined: options.max_answerable_declined,
            guarantee: options.guarantee,
            n_weights: for_weights.len(),
            n_threshold: answerable.len(),
            test,
        })
    }

    /// Whether a question with these features is declined.
    pub fn declines(&self, features: &BTreeMap<String, f64>) -> bool {
        self.score.of(features) < self.threshold
    }

    /// What the gate does to other questions: those of a later build, say. They must not have fitted it.
    pub fn measure(&self, examples: &[Example]) -> Measured {
        let examples: Vec<&Example> = examples.iter().collect();
        measure(&examples, |features| self.score.of(features), self.threshold)
    }

    /// Whether what was measured can be squared with the promise: a build that ships the gate fails otherwise.
    ///
    /// # Errors
    /// [`Error::PromiseBroken`] when even the lower end of the exact 95 % interval of the answerable questions declined is
    /// above the promise.
    pub fn hold_to_promise(&self, measured: &Measured) -> Result<()> {
        let declined = &measured.answerable_declined;
        if declined.low > self.max_answerable_declined {
            return Err(Error::PromiseBroken {
                promised: self.max_answerable_declined,
                declined: declined.count,
                of: declined.of,
            });
        }
        Ok(())
    }
}

fn measure(examples: &[&Example], score: impl Fn(&BTreeMap<String, f64>) -> f64, threshold: f64) -> Measured {
    let scores = |answerable: bool| -> Vec<f64> {
        examples.iter().filter(|e| e.answerable == answerable).map(|e| score(&e.features)).collect()
    };
    let below = |scores: &[f64]| Rate::exact(scores.iter().filter(|s| **s < threshold).count(), scores.len(), 0.95);
    let (answerable, unanswerable) = (scores(true), scores(false));
    Measured {
        answerable_declined: below(&answerable),
        unanswerable_declined: below(&unanswerable),
        auc: auc(&answerable, &unanswerable),
    }
}

/// Where an id falls in `0.0..1.0`: FNV-1a (Fowler, Noll and Vo), its bits mixed as in SplitMix64.
fn place(id: &str) -> f64 {
    let hash = id
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
