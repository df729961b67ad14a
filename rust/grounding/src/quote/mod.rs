//! Quotes that cannot be invented, and labels that cannot be forged.

mod copy_index;
mod rules;
mod token_set;
mod vocabulary;

pub use copy_index::{CopyIndex, CopyState, Occurrence};
pub use rules::{Boundary, QuoteFault, QuoteRules};
pub use token_set::TokenSet;
pub use vocabulary::Vocabulary;
