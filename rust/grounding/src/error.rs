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
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;
