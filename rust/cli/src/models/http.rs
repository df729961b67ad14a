//! Fetching one file over HTTP: continues where an earlier try ended, gives up soon where nothing answers.
//!
//! The transfer runs on its own thread and hands blocks over a bounded channel, so that Ctrl-C is heard
//! at once even while a read is waiting. Range requests are those of RFC 9110: `Range` with `If-Range`
//! when the server gave a strong validator, and without it otherwise, because the hash in the end decides.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use lorekit_cancel::CancelToken;

use super::error::{Failure, ModelsError, SourceError};
use super::place::{self, Wanted};
use super::progress::Progress;

/// How long an unresponsive server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the name, the connection and the TLS handshake.
    pub connect: Duration,
    /// For the next byte once connected.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(8), idle: Duration::from_secs(30) }
    }
}

/// One address to fetch from.
pub(crate) struct Request<'a> {
    pub url: &'a str,
    /// A bearer token for this host; never sent on after a redirect.
    pub token: Option<&'a str>,
    pub timeouts: Timeouts,
}

/// How often a broken transfer that had brought something is taken up again.
const TRIES: usize = 4;
const BLOCK: usize = 1 << 17;

/// Fetches `wanted` and puts it in place; returns its hash.
pub(crate) fn fetch(
    request: &Request<'_>,
    wanted: &Wanted<'_>,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<String, Failure> {
    place::make_parent(&wanted.part())?;
    let mut resumed = false;
    let mut tries = 0;
    loop {
        let before = part_len(&wanted.part());
        resumed |= before > 0;
        let outcome = transfer(request, wanted, cancel, progress).and_then(|()| wanted.finish(cancel, progress));
        match outcome {
            Ok(sha256) => {
                place::remove(&note_path(&wanted.part()))?;
                return Ok(sha256);
            }
            // The beginning may have come from another source or an older file: once more from nothing.
            Err(Failure::Source(SourceError::Hash { .. })) if resumed => resumed = false,
            Err(Failure::Source(SourceError::Unreachable(_) | SourceError::Stalled(_)))
                if tries + 1 < TRIES && part_len(&wanted.part()) > before =>
            {
                tries += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn transfer(
    request: &Request<'_>,
    wanted: &Wanted<'_>,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Failure> {
    let part = wanted.part();
    let mut have = part_len(&part);
    if wanted.size.is_some_and(|size| have > size) {
        place::remove(&part)?;
        have = 0;
    }
    if have > 0 && wanted.size == Some(have) {
        return Ok(());
    }

    let head_and_blocks = start(request, have, note(&part, request.url));
    let head = match next(&head_and_blocks, cancel)? {
        Some(Message::Head(head)) => head,
        Some(Message::Failed(error)) => return Err(error.into()),
        Some(Message::Block(_)) | None => {
            return Err(SourceError::Unreachable("no answer".to_owned()).into());
        }
    };
    match head.status {
        206 if have > 0 && head.range_start == Some(have) => {}
        200 => have = 0,
        // A range that does not fit this file: the part is not its beginning.
        206 | 416 if have > 0 => {
            place::remove(&part)?;
            place::remove(&note_path(&part))?;
            return transfer(request, wanted, cancel, progress);
        }
        401 | 403 => return Err(SourceError::Licence { code: head.status }.into()),
        code => return Err(SourceError::Status { code }.into()),
    }
    let total = head.length.map(|length| have.saturating_add(length));
    let size_error =
        |found| SourceError::Size { what: wanted.what.to_owned(), expected: wanted.size.unwrap_or(0), found };
    if let (Some(expected), Some(found)) = (wanted.size, total)
        && expected != found
    {
        return Err(size_error(found).into());
    }

    let failed = |e| ModelsError::io("write", &part, e);
    let mut file = File::options().create(true).append(true).open(&part).map_err(failed)?;
    if have == 0 {
        file.set_len(0).map_err(failed)?;
    }
    write_note(&part, request.url, head.etag.as_deref());
    let total = wanted.size.or(total);
    progress(Progress::Bytes { what: wanted.what, done: have, total });
    while let Some(message) = next(&head_and_blocks, cancel)? {
        match message {
            Message::Block(block) => {
                have += block.len() as u64;
                if wanted.size.is_some_and(|size| have > size) {
                    place::remove(&part)?;
                    return Err(size_error(have).into());
                }
                place::write_block(&mut file, &part, &block)?;
                progress(Progress::Bytes { what: wanted.what, done: have, total });
            }
            Message::Failed(error) => return Err(error.into()),
            Message::Head(_) => {}
        }
    }
    match total {
        Some(total) if have < total => {
            Err(SourceError::Unreachable(format!("the transfer ended after {have} of {total} bytes")).into())
        }
        _ => Ok(()),
    }
}

struct Head {
    status: u16,
    /// Bytes of this answer's body, where the server says.
    length: Option<u64>,
    /// The first byte's place in the file, for a partial answer.
    range_start: Option<u64>,
    /// A strong validator.
    etag: Option<String>,
}

enum Message {
    Head(Head),
    Block(Vec<u8>),
    Failed(SourceError),
}

/// The next message, or `None` at the end of the body.
fn next(messages: &Receiver<Message>, cancel: &CancelToken) -> Result<Option<Message>, ModelsError> {
    loop {
        cancel.check()?;
        match messages.recv_timeout(Duration::from_millis(100)) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Starts the transfer. The thread ends when the body does, when a limit of time passes,
/// or at the first block after the receiver is gone.
fn start(request: &Request<'_>, from: u64, etag: Option<String>) -> Receiver<Message> {
    let (sender, receiver) = mpsc::sync_channel(8);
    let url = request.url.to_owned();
    let token = request.token.map(str::to_owned);
    let timeouts = request.timeouts;
    thread::spawn(move || {
        let outcome = run(&url, token.as_deref(), timeouts, from, etag.as_deref(), &sender);
        if let Err(error) = outcome {
            // The receiver may be gone; then nobody needs to know.
            let _ = sender.send(Message::Failed(error));
        }
    });
    receiver
}

fn run(
    url: &str,
    token: Option<&str>,
    timeouts: Timeouts,
    from: u64,
    etag: Option<&str>,
    messages: &SyncSender<Message>,
) -> Result<(), SourceError> {
    let mut config = ureq::Agent::config_builder();
    if is_loopback(url) {
        // A proxy would look for the address on its own machine.
        config = config.proxy(None);
    }
    let agent: ureq::Agent = config
        .https_only(url.starts_with("https://"))
        .http_status_as_error(false)
        .timeout_resolve(Some(timeouts.connect))
        .timeout_connect(Some(timeouts.connect))
        .timeout_recv_response(Some(timeouts.idle))
        .timeout_per_read(Some(timeouts.idle))
        .timeout_per_write(Some(timeouts.idle))
        // Also ureq's default; said here because a token must not travel to the host that a hub redirects to.
        .redirect_auth_headers(ureq::config::RedirectAuthHeaders::Never)
        .max_redirects(8)
        // A range of compressed bytes would be a range of another file.
        .accept_encoding("identity")
        .user_agent(concat!("lorekit/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut call = agent.get(url);
    if let Some(token) = token {
        call = call.header("Authorization", format!("Bearer {token}"));
    }
    if from > 0 {
        call = call.header("Range", format!("bytes={from}-"));
        if let Some(etag) = etag {
            call = call.header("If-Range", etag);
        }
    }
    let response = call.call().map_err(|e| reach_error(&e, timeouts))?;
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
    let head = Head {
        status: response.status().as_u16(),
        length: header("content-length").and_then(|v| v.parse().ok()),
        range_start: header("content-range").and_then(range_start),
        etag: header("etag").filter(|v| v.starts_with('"')).map(str::to_owned),
    };
    let wanted = matches!(head.status, 200 | 206);
    if messages.send(Message::Head(head)).is_err() || !wanted {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut block = vec![0; BLOCK];
        let n = match body.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(reach_error(&ureq::Error::from(e), timeouts)),
        };
        block.truncate(n);
        if messages.send(Message::Block(block)).is_err() {
            return Ok(());
        }
    }
}

fn reach_error(error: &ureq::Error, timeouts: Timeouts) -> SourceError {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            SourceError::Unreachable(format!("no connection within {} seconds", timeouts.connect.as_secs()))
        }
        ureq::Error::Timeout(_) => SourceError::Stalled(timeouts.idle.as_secs()),
        ureq::Error::Io(e) => SourceError::Unreachable(e.to_string()),
        other => SourceError::Unreachable(other.to_string()),
    }
}

fn is_loopback(url: &str) -> bool {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    let host = authority.map(|a| a.strip_prefix("[::1]").map_or_else(|| a.split(':').next().unwrap_or(a), |_| "::1"));
    matches!(host, Some("localhost" | "127.0.0.1" | "::1"))
}

/// The first number of `bytes 10-99/100`.
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn part_len(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |meta| meta.len())
}

/// Beside the part file lies where it came from and the validator the server gave.
fn note_path(part: &Path) -> PathBuf {
    part.with_extension("etag")
}

/// The validator to send, if the part came from this very address.
fn note(part: &Path, url: &str) -> Option<String> {
    let text = fs::read_to_string(note_path(part)).ok()?;
    let (from, etag) = text.split_once('\n')?;
    (from == url && !etag.is_empty()).then(|| etag.to_owned())
}

fn write_note(part: &Path, url: &str, etag: Option<&str>) {
    // Without the note the next try sends no If-Range, and the hash still decides.
    let _ = fs::write(note_path(part), format!("{url}\n{}", etag.unwrap_or_default()));
}
