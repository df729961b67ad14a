//! What can go wrong: contracts and calibrations that contradict themselves. Texts of answers never fail, they violate.

/// Errors of this crate. None holds a question, a passage or an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the JSON that was expected.
    #[error("malformed declaration")]
    Json(#[from] serde_json::Error),
    /// A contract contradicts itself.
    #[error("contract field `{field}`: {reason}")]
    Contract {
        /// The field of the contract.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A field has no value, or one of another kind.
    #[error("no fitting value for field `{field}`")]
    Value {
        /// The field of the contract.
        field: String,
    },
    /// Too few answerable questions for the promise.
    #[error("{answerable} answerable questions fit the threshold, the promise takes {needed}")]
    TooFewQuestions {
        /// Those that there are.
        answerable: usize,
        /// Those that it takes.
        needed: usize,
    },
    /// Questions of one kind alone cannot fit weights.
    #[error("{answerable} answerable and {unanswerable} unanswerable questions fit the weights, both kinds are needed")]
    OneSided {
        /// Answerable ones.
        answerable: usize,
        /// Unanswerable ones.
        unanswerable: usize,
    },
    /// Shares or bounds of a calibration are out of range, or there are too many features.
    #[error("calibration options are out of range")]
    Options,
    /// A gate declines more answerable questions than it promised.
    #[error("{declined} of {of} answerable questions are declined, at most a share of {promised} is promised")]
    PromiseBroken {
        /// The share that was promised.
        promised: f64,
        /// Answerable questions declined.
        declined: usize,
        /// Answerable questions measured.
        of: usize,
    },
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;
