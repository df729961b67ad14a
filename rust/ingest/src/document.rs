//! A document as it was read: its metadata, its text, its blocks.

use std::ops::Range;

use crate::normalise::NormalisedText;

/// The file formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// CommonMark with tables and front matter.
    Markdown,
    /// Plain text.
    Text,
    /// HTML.
    Html,
    /// One JSON object a line, each a document.
    Jsonl,
    /// PDF with a text layer.
    Pdf,
}

impl Format {
    /// The format that a file name extension (any case, without the dot) stands for.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Self::Markdown,
            "txt" | "text" => Self::Text,
            "html" | "htm" | "xhtml" => Self::Html,
            "jsonl" | "ndjson" => Self::Jsonl,
            "pdf" => Self::Pdf,
            _ => return None,
        })
    }

    /// The format's name in manifests: `markdown`, `text`, `html`, `jsonl`, `pdf`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Html => "html",
            Self::Jsonl => "jsonl",
            Self::Pdf => "pdf",
        }
    }
}

/// The language of a document, as declared in it or else counted from its letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// Chinese.
    Zh,
    /// English, or another language in Latin letters that declares none.
    En,
    /// Chinese and English side by side.
    Mixed,
    /// Anything else, or too little text to tell.
    #[default]
    Other,
}

impl Language {
    /// The code used in manifests: `zh`, `en`, `mixed`, `und`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
            Self::Mixed => "mixed",
            Self::Other => "und",
        }
    }
}

/// One document, ready to be split.
#[derive(Clone, Debug)]
pub struct Document {
    /// Identity: `id` of the front matter or of the JSON line, else the relative path without its extension (NFC).
    pub id: String,
    /// Path of the file relative to the folder that was read, with `/` between its parts.
    pub path: String,
    /// Declared title, else the first heading, else the file name without its extension.
    pub title: String,
    /// How the file was read.
    pub format: Format,
    /// Declared language, else counted from the letters.
    pub language: Language,
    /// Version as declared.
    pub version: Option<String>,
    /// Date of publication as declared.
    pub published: Option<String>,
    /// First day of validity as declared.
    pub effective: Option<String>,
    /// Last day of validity as declared.
    pub valid_to: Option<String>,
    /// Where the document can be found, as declared.
    pub url: Option<String>,
    /// Access labels, sorted, without duplicates; empty means that everyone may read it.
    pub labels: Vec<String>,
    /// Length of the file in bytes.
    pub source_bytes: u64,
    /// The text and its way back to the file.
    pub text: NormalisedText,
    /// The parts of the text in order; together they cover it, with a line feed between two of them.
    pub blocks: Vec<Block>,
    /// The one article this document is, where the source says so (a JSON line with `article`).
    pub article: Option<String>,
    /// Headings above the text that the source declares (`chapter` of a JSON line).
    pub headings: Vec<String>,
}

/// One part of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Where it lies in the normalised text, in bytes.
    pub range: Range<usize>,
}

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockKind {
    /// A heading that the markup declares, 1 (outermost) to 6.
    Heading(u8),
    /// A paragraph, or one line of it where the source breaks it on purpose.
    Paragraph,
    /// An entry of a list.
    Item,
    /// Preformatted text; its line feeds are kept.
    Code,
    /// A table, one line a row, cells joined by ` | `.
    Table {
        /// The header row, if the table has one; also the first of `rows`.
        header: Option<Range<usize>>,
        /// Every row in the normalised text, in bytes.
        rows: Vec<Range<usize>>,
    },
}
