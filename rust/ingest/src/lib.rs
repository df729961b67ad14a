//! Documents to normalised, split passages with their source ranges.
//!
//! The way of a document: bytes are read by format ([`read_folder`], [`read_bytes`]) into a [`Document`], whose
//! [`NormalisedText`] knows for every byte where in the source file it came from; [`split()`] then cuts it along its own
//! structure (编, 章, 节, 第X条, headings, items, sentences) into [`PassageDraft`]s that fit a token budget.
//!
//! Nothing here needs a model: the caller passes a function that counts tokens.
//! The same bytes and options always give the same passages; [`SPLITTER_VERSION`] names the rules.
//!
//! Any bytes are safe to read: what cannot be used is skipped and listed with its reason, never a panic.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

// What a document is.
mod document;
mod error;
mod language;

// Text with a way back to its bytes.
mod chars;
mod normalise;

// Reading, by format.
mod fields;
mod folder;
mod front_matter;
mod html;
mod html_tags;
mod html_text;
mod json_text;
mod jsonl;
mod lines;
mod markdown;
mod options;
#[cfg(feature = "pdf")]
mod pdf;
#[cfg(feature = "pdf")]
mod pdf_limits;
mod read;
mod table;

// Splitting, by structure.
mod fit;
mod markers;
mod number;
mod outline;
mod sentence;
mod slug;
mod split;
mod units;

pub use document::{Block, BlockKind, Document, Format, Language};
pub use error::{IngestError, SkipReason, Skipped};
pub use folder::{Progress, Reading, read_folder};
pub use normalise::NormalisedText;
pub use number::chinese_number;
pub use options::ReadOptions;
pub use read::{BytesReading, read_bytes};
pub use sentence::sentences;
pub use split::{PassageDraft, SPLITTER_VERSION, SplitOptions, split};
