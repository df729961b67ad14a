//! What can go wrong, and why a file was left out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Reading a folder failed as a whole.
///
/// A file that cannot be used is no error: it is listed as [`Skipped`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The folder cannot be listed.
    #[error("folder {} cannot be read: {source}", path.display())]
    FolderUnreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No file of the folder gave a document.
    #[error("folder {} has no usable document ({skipped} files skipped)", path.display())]
    NoDocuments {
        /// The folder.
        path: PathBuf,
        /// How many files were seen and left out.
        skipped: usize,
    },
    /// The work was cancelled through [`ReadOptions::cancel`](crate::ReadOptions).
    #[error("cancelled")]
    Cancelled,
}

/// A file, or a part of one, that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Path relative to the folder that was read, with `/` between its parts.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file, or a part of one, was left out. Never carries text of the document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The system refused to open or read it.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// Its name is not Unicode, so it could get no stable id.
    #[error("file name is not valid unicode")]
    NameNotUnicode,
    /// Not a regular file: a socket, a device, a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// A symbolic link; links are not followed, so that no loop and no foreign folder is read.
    #[error("symbolic links are not followed")]
    SymbolicLink,
    /// The extension is not among the ones asked for, or no reader exists for it.
    #[error("file type is not supported")]
    UnsupportedType,
    /// More bytes than [`ReadOptions::max_file_bytes`](crate::ReadOptions) allows.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("not valid utf-8 at byte {offset}")]
    NotUtf8 {
        /// First byte that is not UTF-8.
        offset: usize,
    },
    /// No visible text.
    #[error("no text in it")]
    Empty,
    /// The front matter cannot be understood; the document is left out because its access labels would be unknown.
    #[error("front matter, line {line}: {what}")]
    FrontMatter {
        /// Line in the file, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// One line of a JSONL file cannot be used.
    #[error("line {line}: {what}")]
    JsonLine {
        /// Line in the file, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More broken lines in the same JSONL file than are listed one by one.
    #[error("{count} more lines cannot be used")]
    MoreJsonLines {
        /// How many.
        count: usize,
    },
    /// Another document, read earlier, has the same id.
    #[error("document id {id:?} is already taken by {first}")]
    DuplicateId {
        /// The id.
        id: String,
        /// Path of the document that holds it.
        first: String,
    },
    /// A PDF that cannot be read, or asks for more than the limits allow.
    #[error("pdf: {what}")]
    Pdf {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Some pages of a PDF gave no text because they are broken; the others were read.
    #[error("pdf: {} pages cannot be read, the first is page {}", pages.len(), pages.first().copied().unwrap_or(0))]
    PdfPages {
        /// Page numbers, from 1.
        pages: Vec<u32>,
    },
}
