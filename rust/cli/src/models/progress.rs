//! What happens while a model is fetched, and how a terminal or a log shows it.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::error::SourceError;

/// One step of fetching a model. Byte counts come often; a receiver that draws should draw less often.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Another process fetches this model; waiting for it.
    Waiting {
        /// The model.
        model: &'a str,
    },
    /// A source is tried.
    Trying {
        /// The model.
        model: &'a str,
        /// The source as the catalogue describes it.
        source: &'a str,
    },
    /// A source failed; the next one follows, if there is one.
    Failed {
        /// The model.
        model: &'a str,
        /// The source.
        source: &'a str,
        /// Why.
        error: &'a SourceError,
    },
    /// Bytes arrived or were copied.
    Bytes {
        /// The file or package.
        what: &'a str,
        /// Bytes so far, those of an earlier try included.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// A file's hash is computed.
    Checking {
        /// The file.
        what: &'a str,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// An embedder's files are converted.
    Converting {
        /// The model.
        model: &'a str,
        /// Bytes read so far.
        done: u64,
        /// Bytes to read in all.
        total: u64,
    },
    /// The model is in the cache and its bytes are right.
    Ready {
        /// The model.
        model: &'a str,
        /// Its GGUF file.
        path: &'a Path,
        /// Whether this call brought it.
        fetched: bool,
    },
}

/// Shows [`Progress`] on standard error: a bar on a terminal, plain lines elsewhere.
pub struct ProgressPrinter {
    bar: Option<ProgressBar>,
    /// What the bar or the last line is about.
    current: String,
    last: Instant,
    is_terminal: bool,
}

/// How often a log gets a line about a long transfer.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

impl Default for ProgressPrinter {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressPrinter {
    /// A printer for this process's standard error.
    pub fn new() -> Self {
        Self { bar: None, current: String::new(), last: Instant::now(), is_terminal: std::io::stderr().is_terminal() }
    }

    /// Shows one step.
    pub fn show(&mut self, step: &Progress<'_>) {
        match step {
            Progress::Waiting { model } => self.line(&format!("{model}: another process is fetching it, waiting")),
            Progress::Trying { model, source } => self.line(&format!("{model}: from {source}")),
            Progress::Failed { source, error, .. } => self.line(&format!("  {source}: {error}")),
            Progress::Bytes { what, done, total } => self.count("", what, *done, *total),
            // Small files are hashed faster than a line is read.
            Progress::Checking { total, .. } if *total < 64 << 20 => {}
            Progress::Checking { what, done, total } => {
                self.count("checking ", what, *done, Some(*total));
            }
            Progress::Converting { model, done, total } => {
                self.count("converting ", model, *done, Some(*total));
            }
            Progress::Ready { model, path, fetched: true } => self.line(&format!("{model}: ready, {}", path.display())),
            Progress::Ready { .. } => self.end(),
        }
    }

    fn line(&mut self, text: &str) {
        self.end();
        // A closed standard error must not end a download.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.current.clear();
    }

    fn count(&mut self, verb: &str, what: &str, done: u64, total: Option<u64>) {
        let subject = format!("{verb}{what}");
        let is_new = subject != self.current;
        if is_new {
            self.end();
        }
        if self.is_terminal {
            let bar = self.bar.get_or_insert_with(|| bar(&subject, done, total));
            bar.set_position(done);
        } else if is_new {
            // Short files and checks go by without a word.
            if verb.is_empty() && total.is_none_or(|total| total > 1_000_000) {
                let _ = writeln!(std::io::stderr(), "  {subject}{}", opening(done, total));
            }
            self.last = Instant::now();
        } else if self.last.elapsed() >= PLAIN_EVERY {
            let share = total.map_or_else(String::new, |total| format!(" of {}", bytes(total)));
            let _ = writeln!(std::io::stderr(), "  {subject}: {}{share}", bytes(done));
            self.last = Instant::now();
        }
        self.current = subject;
    }
}

impl Drop for ProgressPrinter {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a plain line introduces a transfer.
fn opening(done: u64, total: Option<u64>) -> String {
    match (done, total) {
        (_, None) => String::new(),
        // The first block, or what an earlier try left.
        (0..1_000_000, Some(total)) => format!(": {}", bytes(total)),
        (done, Some(total)) => format!(": continuing at {} of {}", bytes(done), bytes(total)),
    }
}

fn bar(subject: &str, done: u64, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "  {msg} [{bar:28}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left",
        None => "  {msg} {spinner} {bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(subject.to_owned());
    // Bytes of an earlier try would otherwise count into the rate.
    bar.set_position(done);
    bar.reset_eta();
    bar
}

/// A byte count for people: powers of 1000, as shops and hubs write them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| count >= *unit) {
        // One digit after the point, computed in whole numbers.
        Some((unit, name)) => format!("{}.{} {name}", count / unit, count % unit * 10 / unit),
        None => format!("{count} B"),
    }
}
