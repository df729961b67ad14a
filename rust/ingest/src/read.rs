//! Bytes to documents, by format.

use unicode_normalization::UnicodeNormalization;

use crate::document::{Document, Format};
use crate::error::SkipReason;
#[cfg(feature = "pdf")]
use crate::fields::Fields;
use crate::fields::Origin;
use crate::normalise::TextBuilder;
use crate::options::ReadOptions;
#[cfg(feature = "pdf")]
use crate::pdf;
use crate::{front_matter, html, jsonl, lines, markdown};

/// What one file gave.
#[derive(Clone, Debug, Default)]
pub struct BytesReading {
    /// Its documents: one, or one a line for JSONL.
    pub documents: Vec<Document>,
    /// What of it was left out.
    pub skipped: Vec<SkipReason>,
}

/// Reads the bytes of one file; `path` is its relative path with `/` between the parts, and its extension says the format.
///
/// PDF is read by a build with the feature `pdf`; to others it is [`SkipReason::UnsupportedType`].
///
/// Never fails and never panics: what cannot be used is in [`BytesReading::skipped`].
/// Cost: time and memory linear in the bytes; a PDF is bounded by the limits in `options`.
pub fn read_bytes(path: &str, bytes: &[u8], options: &ReadOptions) -> BytesReading {
    let extension = path.rsplit('/').next().unwrap_or(path).rsplit_once('.').map_or("", |(_, e)| e);
    let Some(format) = Format::from_extension(extension) else {
        return skipped(SkipReason::UnsupportedType);
    };
    if bytes.len() as u64 > options.max_file_bytes {
        return skipped(SkipReason::TooLarge { limit: options.max_file_bytes });
    }
    let origin = Origin { path, format, bytes: bytes.len() as u64 };
    #[cfg(feature = "pdf")]
    if format == Format::Pdf {
        return pdf_document(bytes, options, &origin);
    }
    let source = match std::str::from_utf8(bytes) {
        Ok(source) => source,
        Err(error) => {
            return skipped(SkipReason::NotUtf8 { offset: error.valid_up_to() });
        }
    };
    let base = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let source = &source[base..];
    let result = match format {
        Format::Jsonl => return jsonl::read(source, base, &origin),
        Format::Markdown => markdown_document(source, base, &origin),
        Format::Text => text_document(source, base, &origin),
        Format::Html => html_document(source, base, &origin),
        Format::Pdf => Err(SkipReason::UnsupportedType),
    };
    match result {
        Ok(document) => BytesReading { documents: vec![document], skipped: Vec::new() },
        Err(reason) => skipped(reason),
    }
}

fn skipped(reason: SkipReason) -> BytesReading {
    BytesReading { documents: Vec::new(), skipped: vec![reason] }
}

/// The path without its extension, composed to NFC so that ids do not depend on the file system.
pub(crate) fn stem(path: &str) -> String {
    let name_start = path.rfind('/').map_or(0, |i| i + 1);
    let end = path[name_start..].rfind('.').filter(|i| *i > 0).map_or(path.len(), |i| name_start + i);
    path[..end].nfc().collect()
}

/// The file name without folders and extension.
pub(crate) fn name(path: &str) -> String {
    let stem = stem(path);
    stem.rsplit('/').next().unwrap_or(&stem).to_owned()
}

fn markdown_document(source: &str, base: usize, origin: &Origin<'_>) -> Result<Document, SkipReason> {
    let (fields, body) = front_matter::read(source)?;
    let mut builder = TextBuilder::new();
    let blocks = markdown::read(&source[body..], base + body, &mut builder);
    let text = builder.finish();
    if blocks.is_empty() {
        return Err(SkipReason::Empty);
    }
    let mut document = fields.clone().into_document(origin, text, stem(origin.path), name(origin.path));
    document.blocks = blocks;
    if fields.title.is_none()
        && let Some(title) = first_heading(&document)
    {
        document.title = title;
    }
    Ok(document)
}

fn html_document(source: &str, base: usize, origin: &Origin<'_>) -> Result<Document, SkipReason> {
    let mut builder = TextBuilder::new();
    let (blocks, fields) = html::read(source, base, &mut builder);
    let text = builder.finish();
    if blocks.is_empty() {
        return Err(SkipReason::Empty);
    }
    let page_title = fields.title.clone();
    let mut document = fields.into_document(origin, text, stem(origin.path), name(origin.path));
    document.blocks = blocks;
    // The heading names the document; a page title often names the site too.
    if let Some(heading) = first_heading(&document)
        && page_title.as_deref().is_none_or(|title| title.contains(&heading))
    {
        document.title = heading;
    }
    Ok(document)
}

fn text_document(source: &str, base: usize, origin: &Origin<'_>) -> Result<Document, SkipReason> {
    let (fields, body) = front_matter::read(source)?;
    let lines: Vec<_> = lines::split(&source[body..], base + body).collect();
    let mut builder = TextBuilder::new();
    let blocks = lines::paragraphs(&lines, false, &mut builder);
    let text = builder.finish();
    if blocks.is_empty() {
        return Err(SkipReason::Empty);
    }
    let mut document = fields.clone().into_document(origin, text, stem(origin.path), name(origin.path));
    document.blocks = blocks;
    title_from_first_line(&mut document, fields.title.is_some());
    Ok(document)
}

#[cfg(feature = "pdf")]
fn pdf_document(bytes: &[u8], options: &ReadOptions, origin: &Origin<'_>) -> BytesReading {
    let extracted = match pdf::extract(bytes, options) {
        Ok(extracted) => extracted,
        Err(reason) => return skipped(reason),
    };
    let mut builder = TextBuilder::new();
    let blocks = pdf::read(&extracted, &mut builder);
    let text = builder.finish();
    let mut reading = BytesReading::default();
    if !extracted.broken.is_empty() {
        reading.skipped.push(SkipReason::PdfPages { pages: extracted.broken });
    }
    if !blocks.is_empty() {
        let mut document = Fields::default().into_document(origin, text, stem(origin.path), name(origin.path));
        document.blocks = blocks;
        title_from_first_line(&mut document, false);
        reading.documents.push(document);
    } else if reading.skipped.is_empty() {
        reading.skipped.push(SkipReason::Empty);
    }
    reading
}

/// The first line of a text without markup, if it looks like a title, becomes a heading, and the title if none is declared.
pub(crate) fn title_from_first_line(document: &mut Document, declared: bool) {
    let Some(range) = lines::leading_title(document.text.as_str(), &document.blocks) else {
        return;
    };
    let line = document.text.as_str()[range].to_owned();
    if declared && line != document.title {
        return;
    }
    if let Some(first) = document.blocks.first_mut() {
        first.kind = crate::document::BlockKind::Heading(1);
    }
    document.title = line;
}

/// The text of the first outermost heading.
pub(crate) fn first_heading(document: &Document) -> Option<String> {
    use crate::document::BlockKind::Heading;
    let level = |kind: &crate::document::BlockKind| {
        if let Heading(level) = kind { Some(*level) } else { None }
    };
    let outermost = document.blocks.iter().filter_map(|b| level(&b.kind)).min().filter(|l| *l <= 2)?;
    let block = document.blocks.iter().find(|b| level(&b.kind) == Some(outermost))?;
    document.text.as_str().get(block.range.clone()).map(str::to_owned)
}
