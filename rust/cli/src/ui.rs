//! The terminal: colours, progress, interruption, errors.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lorekit_cancel::CancelToken;

use crate::CliError;

/// A token that Ctrl-C cancels; a second Ctrl-C ends the process at once.
pub(crate) fn cancel_on_interrupt() -> CancelToken {
    let cancel = CancelToken::new();
    let handler = {
        let cancel = cancel.clone();
        move || {
            if cancel.is_cancelled() {
                std::process::exit(130);
            }
            cancel.cancel();
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C ends the process without cleaning up: {error}");
    }
    cancel
}

/// Styles for standard output: colours on a terminal, nothing elsewhere or under `NO_COLOR`.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    on: bool,
}

impl Style {
    pub(crate) fn stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }
}

/// A progress bar on a terminal; elsewhere a line now and then.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    plain: bool,
    said: u64,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(total) };
        bar.set_length(total);
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {per_sec} ETA {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        if plain {
            eprintln!("{what}: {total}");
        }
        Self { bar, what, plain, said: 0, started: Instant::now() }
    }

    pub(crate) fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        let total = self.bar.length().unwrap_or(0).max(1);
        // Off a terminal: one line each tenth.
        if self.plain && (done * 10 / total) > self.said {
            self.said = done * 10 / total;
            let left = seconds_left(self.started.elapsed(), done, total);
            eprintln!("{}: {done}/{total}, about {left} s left", self.what);
        }
    }

    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// What is left if it goes on as it went so far. A bar that is not shown is seldom ticked, and its own estimate is then of
/// no use.
fn seconds_left(elapsed: Duration, done: u64, total: u64) -> u64 {
    (elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done.max(1) as f64).round() as u64
}

/// Prints an error with its causes, one a line, in plain words.
pub(crate) fn print_error(error: &CliError) {
    eprintln!("error: {error}");
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.contains(&text) {
            eprintln!("  because: {text}");
            said = text;
        }
        source = cause.source();
    }
}

/// The first `n` characters of a text on one line, with an ellipsis where it goes on.
pub(crate) fn excerpt(text: &str, n: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(n) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_in_proportion_to_what_was_done() {
        let minute = Duration::from_secs(60);
        assert_eq!(seconds_left(minute, 10, 100), 540);
        assert_eq!(seconds_left(minute, 100, 100), 0);
        assert_eq!(seconds_left(minute, 110, 100), 0);
        assert_eq!(seconds_left(Duration::ZERO, 10, 100), 0);
    }
}
