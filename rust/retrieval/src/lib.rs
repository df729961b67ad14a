//! A question to ranked passages.
//!
//! [`Retriever::search`] asks the library twice, by meaning (dense vectors) and by words (BM25),
//! fuses the two lists by [`fuse`], folds passages of one place into one result and returns the best with their scores.
//! Nothing here reads a clock, a file or the environment; the caller gives the library and the embedder.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod fusion;
mod search;

pub use error::{Error, Result};
pub use fusion::{Fused, Weights, fuse};
pub use search::{Mode, Ranked, Retriever, SearchOptions};
