//! JSON Lines of any size, in bounded memory, on all cores.

use std::io::{BufRead, Read, Write};
use std::num::NonZeroUsize;

use lorekit_cancel::CancelToken;

use crate::error::{Error, Result};
use crate::json_line::{self, Line};
use crate::redactor::Redactor;
use crate::report::{Content, Report};

/// How a file is worked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Threads; they end with the call.
    pub threads: NonZeroUsize,
    /// Bytes read before the threads start on them. Memory in use is a few times this or the longest line.
    pub batch_bytes: usize,
    /// The longest line allowed, in bytes.
    pub max_line_bytes: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { threads, batch_bytes: 4 << 20, max_line_bytes: 64 << 20 }
    }
}

/// Bytes that pass by, counted and hashed.
#[derive(Default)]
struct Passing {
    hasher: blake3::Hasher,
    bytes: u64,
    lines: u64,
}

impl Passing {
    fn line(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.lines += 1;
    }

    fn content(&self) -> Content {
        Content { bytes: self.bytes, lines: self.lines, blake3: self.hasher.finalize().to_hex().to_string() }
    }
}

/// Redacts every string and long number of JSON Lines; lines keep their order, keys and spacing. Strings of one line
/// are read together, so a name given away in one turn of a dialogue is replaced in all of them. Keys are not changed.
///
/// `progress` is told the bytes of input done so far, after each batch.
///
/// # Errors
/// [`Error::NotJson`] and [`Error::LineTooLong`] name the line; the output then holds the lines of the batches before
/// and must be thrown away. [`Error::Io`], [`Error::Cancelled`].
pub fn redact_jsonl(
    mut input: impl BufRead,
    mut output: impl Write,
    redactor: &Redactor,
    options: &StreamOptions,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(u64),
) -> Result<Report> {
    let mut report = Report::new(redactor.detector().options(), redactor.policy());
    let (mut read, mut written) = (Passing::default(), Passing::default());
    let mut batch: Vec<Vec<u8>> = Vec::new();
    let mut end = false;
    while !end {
        cancel.check()?;
        let first = read.lines + 1;
        let mut bytes = 0;
        batch.clear();
        while bytes < options.batch_bytes {
            let mut line = Vec::new();
            let limit = options.max_line_bytes as u64 + 1;
            (&mut input).take(limit).read_until(b'\n', &mut line)?;
            if line.len() > options.max_line_bytes {
                return Err(Error::LineTooLong { line: read.lines + 1, limit: options.max_line_bytes });
            }
            if line.is_empty() {
                end = true;
                break;
            }
            read.line(&line);
            bytes += line.len();
            batch.push(line);
        }
        for (at, line) in redact_batch(redactor, &batch, bytes, options.threads, cancel)?.into_iter().enumerate() {
            let line = line.ok_or(Error::NotJson { line: first + at as u64 })?;
            for (kind, count) in line.counts {
                *report.counts.entry(kind).or_insert(0) += count;
            }
            report.changed_lines += u64::from(line.changed);
            if report.issued.as_mut().is_some_and(|issued| !issued.extend(&line.issued)) {
                report.issued = None;
            }
            output.write_all(&line.bytes)?;
            written.line(&line.bytes);
        }
        progress(read.bytes);
    }
    output.flush()?;
    report.input = read.content();
    report.output = written.content();
    Ok(report)
}

/// The lines of a batch in order, shared out by size.
fn redact_batch(
    redactor: &Redactor,
    batch: &[Vec<u8>],
    bytes: usize,
    threads: NonZeroUsize,
    cancel: &CancelToken,
) -> Result<Vec<Option<Line>>> {
    let share = bytes.div_ceil(threads.get()).max(1);
    let mut shares: Vec<&[Vec<u8>]> = Vec::new();
    let (mut from, mut size) = (0, 0);
    for (at, line) in batch.iter().enumerate() {
        size += line.len();
        if size >= share || at + 1 == batch.len() {
            shares.push(&batch[from..=at]);
            (from, size) = (at + 1, 0);
        }
    }
    let work = |lines: &[Vec<u8>]| -> Result<Vec<Option<Line>>> {
        let mut done = Vec::with_capacity(lines.len());
        for line in lines {
            cancel.check()?;
            done.push(json_line::redact(redactor, line));
        }
        Ok(done)
    };
    if let [only] = shares[..] {
        return work(only);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = shares.into_iter().map(|lines| scope.spawn(move || work(lines))).collect();
        let mut all = Vec::with_capacity(batch.len());
        for thread in running {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}
