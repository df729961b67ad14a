//! The bridge to Swift and Kotlin. Nobody's API: the hand-written packages in `ios/` and `android/` are.
//!
//! Wrappers without logic over [`lorekit_answer`], one file per wrapped concept:
//! [`FfiEngine`] opens, searches, answers and changes its library; [`FfiAnswerStream`] and [`FfiChange`] are pulled and
//! cancelled; [`FfiRedactor`] wraps [`lorekit_redact`] and needs no engine; [`FfiError`] is the one error, made by one
//! exhaustive match. Records carry every field; defaults are the skins' business.
//!
//! Rules that the skins rely on:
//! - Every function that does work returns `Result`, so that a caught panic becomes an exception and never ends the app.
//! - `open`, `search`, `library_state`, `verify`, `rollback`, `remove`, `rotate_key` and `shut_down` block and belong on a background
//!   thread; only `next_batch`, `final_answer` and `next_event` are asynchronous, and they need no runtime.
//! - Cancelling the foreign task does not reach Rust by itself: the skin calls `cancel`.
//! - No method is called `close` or `destroy` and no field `message`: the generated Kotlin has those already.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cancellation;
mod change;
mod engine;
mod error;
mod event;
mod info;
mod library;
mod log_sink;
mod options;
mod passage;
mod redactor;
mod span;
mod stream;

pub use cancellation::FfiCancellation;
pub use change::{FfiChange, FfiChangeEvent, FfiChangeProgress, FfiChangeStage};
pub use engine::FfiEngine;
pub use error::FfiError;
pub use event::{FfiAnswer, FfiAnswerEvent, FfiCitation, FfiOutcome, FfiUsage};
pub use info::{FfiModelInfo, FfiPackInfo};
pub use library::{
    FfiAddReport, FfiAppliedPack, FfiApplyReport, FfiCompactReport, FfiKeptState, FfiLibraryOptions, FfiLibraryState,
    FfiLocalDocument, FfiOwnDocument, FfiPurge, FfiPurgeReport,
};
pub use log_sink::{FfiLogLevel, FfiLogRecord, FfiLogSink, FfiSinkError, set_log_sink};
pub use options::{
    FfiAdapterFile, FfiAnswerFormat, FfiAnswerOptions, FfiEngineOptions, FfiExchange, FfiSearchMode, FfiSearchOptions,
    FfiThermalState,
};
pub use passage::{FfiOrigin, FfiPassage};
pub use redactor::{
    FfiFinding, FfiPersonalData, FfiPlaceholders, FfiRedaction, FfiRedactionAction, FfiRedactionRule, FfiRedactor,
    FfiRedactorOptions,
};
pub use span::FfiSpan;
pub use stream::FfiAnswerStream;

uniffi::setup_scaffolding!();
