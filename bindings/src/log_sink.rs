//! Log records to the app, if it asks for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, PoisonError, RwLock};

/// How much weight a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiLogLevel {
    /// Something failed.
    Error,
    /// Something is odd, and the library goes on.
    Warn,
    /// Rare events of a healthy life.
    Info,
    /// For people who look for a fault.
    Debug,
}

/// One record. It never holds a question, a passage or an answer.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiLogRecord {
    /// Its weight.
    pub level: FfiLogLevel,
    /// Where it comes from, for example `lorekit_answer::engine`.
    pub target: String,
    /// What happened.
    pub text: String,
}

/// What a sink may throw; it is dropped.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum FfiSinkError {
    /// The sink failed.
    #[error("the log sink failed")]
    Failed,
}

/// Without this, an exception that the sink does not declare would be a panic on our thread.
impl From<uniffi::UnexpectedUniFFICallbackError> for FfiSinkError {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed
    }
}

/// Where log records go. Called from any thread, also the engine's: it must return soon and not call the library.
#[uniffi::export(with_foreign)]
pub trait FfiLogSink: Send + Sync {
    /// Takes one record.
    ///
    /// # Errors
    /// Whatever the sink throws; it is ignored.
    fn record(&self, record: FfiLogRecord) -> Result<(), FfiSinkError>;
}

struct Forward;

static SINK: RwLock<Option<Arc<dyn FfiLogSink>>> = RwLock::new(None);
static LOGGER: Forward = Forward;
static INSTALL: Once = Once::new();

impl log::Log for Forward {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Other crates in the same library (the portable back end, the tokenizer) are not ours to promise anything about.
        metadata.target().starts_with("lorekit")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(sink) = sink else { return };
        let level = match record.level() {
            log::Level::Error => FfiLogLevel::Error,
            log::Level::Warn => FfiLogLevel::Warn,
            log::Level::Info => FfiLogLevel::Info,
            log::Level::Debug | log::Level::Trace => FfiLogLevel::Debug,
        };
        let record = FfiLogRecord { level, target: record.target().to_owned(), text: record.args().to_string() };
        // A sink that fails must not fail the request that logged.
        let _ = catch_unwind(AssertUnwindSafe(|| sink.record(record)));
    }

    fn flush(&self) {}
}

/// Sends records of `level` and above to `sink`, for the whole process; `None` stops that. The last call holds.
///
/// # Errors
/// None today; a caught panic would be one.
#[uniffi::export]
pub fn set_log_sink(level: FfiLogLevel, sink: Option<Arc<dyn FfiLogSink>>) -> crate::error::Result<()> {
    let filter = match (&sink, level) {
        (None, _) => log::LevelFilter::Off,
        (Some(_), FfiLogLevel::Error) => log::LevelFilter::Error,
        (Some(_), FfiLogLevel::Warn) => log::LevelFilter::Warn,
        (Some(_), FfiLogLevel::Info) => log::LevelFilter::Info,
        (Some(_), FfiLogLevel::Debug) => log::LevelFilter::Debug,
    };
    INSTALL.call_once(|| {
        // A host in Rust that has a logger of its own keeps it.
        let _ = log::set_logger(&LOGGER);
    });
    log::set_max_level(filter);
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
    Ok(())
}
