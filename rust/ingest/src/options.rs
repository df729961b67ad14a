//! What to read and how much of it.

use lorekit_cancel::CancelToken;

/// Limits and file types for reading.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Largest file read, in bytes (default 32 MiB). Memory stays within a small multiple of it.
    pub max_file_bytes: u64,
    /// File name extensions read, lower case, without the dot (default: every format this crate reads).
    pub extensions: Vec<String>,
    /// Largest text taken from one PDF, in bytes (default 64 MiB), so that a small file cannot unpack without end.
    pub max_pdf_text_bytes: usize,
    /// Largest amount that the streams of one PDF may unpack to, in bytes (default 512 MiB).
    pub max_pdf_unpacked_bytes: u64,
    /// Stops the reading between two files when it is cancelled.
    pub cancel: CancelToken,
}

impl Default for ReadOptions {
    fn default() -> Self {
        let extensions = ["md", "markdown", "txt", "text", "html", "htm", "xhtml", "jsonl", "ndjson", "pdf"];
        Self {
            max_file_bytes: 32 << 20,
            extensions: extensions.iter().map(|e| (*e).to_owned()).collect(),
            max_pdf_text_bytes: 64 << 20,
            max_pdf_unpacked_bytes: 512 << 20,
            cancel: CancelToken::new(),
        }
    }
}
