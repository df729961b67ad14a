//! Measures over runs of questions: what was found, how well, with what certainty.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bootstrap;
mod ranking;
mod separation;

pub use bootstrap::{Interval, bootstrap_mean};
pub use ranking::{RankingSummary, first_gold_rank, summarize};
pub use separation::{Operating, auc, operating_point};
