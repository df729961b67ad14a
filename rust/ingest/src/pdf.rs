//! PDF: the text layer, page by page.
//!
//! The source that ranges point into is the text extracted from the file: the pages in order, a form feed after each.
//! What a reader can be shown is the page number. Running headers, footers and page numbers are left out.
//!
//! Extraction runs on a thread of its own with a large stack, every page behind `catch_unwind`, after
//! [`pdf_limits`](crate::pdf_limits) has refused files that unpack without end or call themselves.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::thread;

use pdf_extract::{Document as Pdf, MediaBox, OutputDev, OutputError, PlainTextOutput, Transform, output_doc_page};
use regex::Regex;

use crate::document::Block;
use crate::error::SkipReason;
use crate::lines::{self, Line};
use crate::normalise::TextBuilder;
use crate::options::ReadOptions;
use crate::pdf_limits;

/// Stack of the extracting thread; the parser recurses into nested objects and forms.
const STACK_BYTES: usize = 64 << 20;
/// Most pages read from one file.
const MAX_PAGES: usize = 20_000;

/// The text of a PDF.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    /// Pages in order, a form feed after each.
    pub(crate) text: String,
    /// Where each page starts in `text`, with its number from 1.
    starts: Vec<(usize, u32)>,
    /// Pages that could not be read.
    pub(crate) broken: Vec<u32>,
}

/// Extracts the text of a PDF.
///
/// # Errors
/// [`SkipReason::Pdf`] when the file is no PDF, is encrypted, or goes beyond the limits; [`SkipReason::Empty`] when no
/// page has text, as in a scan.
pub(crate) fn extract(bytes: &[u8], options: &ReadOptions) -> Result<Extracted, SkipReason> {
    pdf_limits::check_bytes(bytes, options.max_pdf_unpacked_bytes)?;
    let extracted = thread::scope(|scope| {
        let worker = thread::Builder::new().name("lorekit-pdf".into()).stack_size(STACK_BYTES);
        let handle =
            worker.spawn_scoped(scope, || pages(bytes, options)).map_err(|_| wrong("no thread could be started"))?;
        handle.join().unwrap_or_else(|_| Err(wrong("the file is broken")))
    })?;
    if extracted.text.trim().is_empty() && extracted.broken.is_empty() {
        return Err(SkipReason::Empty);
    }
    Ok(extracted)
}

fn pages(bytes: &[u8], options: &ReadOptions) -> Result<Extracted, SkipReason> {
    let pdf =
        catch_unwind(|| Pdf::load_mem(bytes)).ok().and_then(Result::ok).ok_or_else(|| wrong("the file is broken"))?;
    if pdf.is_encrypted() || pdf.encryption_state.is_some() {
        return Err(wrong("the file is encrypted"));
    }
    let numbers = pdf.get_pages();
    if numbers.len() > MAX_PAGES {
        return Err(wrong("too many pages"));
    }
    pdf_limits::check_streams(&pdf)?;
    let mut extracted = Extracted::default();
    for (number, id) in numbers {
        options.cancel.check().map_err(|_| wrong("cancelled"))?;
        pdf_limits::check_page(&pdf, id)?;
        let mut text = String::new();
        let left = options.max_pdf_text_bytes.saturating_sub(extracted.text.len());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut output = Bounded { inner: PlainTextOutput::new(&mut text), left, exceeded: false };
            let result = output_doc_page(&pdf, &mut output, number);
            (result.is_ok(), output.exceeded)
        }));
        match outcome {
            Ok((_, true)) => return Err(wrong("more text than the limit allows")),
            Ok((true, false)) => {}
            // What a broken page gave before it broke is kept.
            Ok((false, false)) | Err(_) => extracted.broken.push(number),
        }
        extracted.starts.push((extracted.text.len(), number));
        extracted.text.push_str(&text);
        extracted.text.push('\u{c}');
    }
    Ok(extracted)
}

/// Writes the pages as paragraphs.
pub(crate) fn read(extracted: &Extracted, builder: &mut TextBuilder) -> Vec<Block> {
    let mut pages: Vec<Vec<Line<'_>>> = Vec::new();
    for (index, (start, number)) in extracted.starts.iter().enumerate() {
        let end = extracted.starts.get(index + 1).map_or(extracted.text.len(), |next| next.0);
        let page = extracted.text.get(*start..end).unwrap_or_default();
        pages.push(lines::split(page, *start).map(|line| Line { page: Some(*number), ..line }).collect());
    }
    drop_running_lines(&mut pages);
    let lines: Vec<_> = pages.into_iter().flat_map(joined).collect();
    let blank = lines.windows(2).filter(|w| is_blank(&w[0]) && !is_blank(&w[1])).count();
    let filled = lines.iter().filter(|l| !is_blank(l)).count();
    // Wide line spacing shows as an empty line behind every line; then it says nothing about paragraphs.
    lines::paragraphs(&lines, blank * 5 > filled * 3, builder)
}

/// The lines of a page without the empty ones around them, so that a paragraph may go on over the page's end.
fn joined(page: Vec<Line<'_>>) -> impl Iterator<Item = Line<'_>> {
    let first = page.iter().position(|l| !is_blank(l)).unwrap_or(page.len());
    let end = page.iter().rposition(|l| !is_blank(l)).map_or(0, |i| i + 1);
    page.into_iter().take(end).skip(first)
}

fn is_blank(line: &Line<'_>) -> bool {
    line.text.trim().is_empty()
}

static PAGE_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[-—–·\s]*\d{1,4}[-—–·\s]*|第\s*\d{1,4}\s*页.{0,12}|Page \d{1,4}(?: of \d{1,4})?|\d{1,4}\s*/\s*\d{1,4})$",
    )
    .expect("the pattern is a constant and the tests use it")
});

/// Takes the first and last line of each page out when it is a page number or stands on most pages, digits aside.
fn drop_running_lines(pages: &mut [Vec<Line<'_>>]) {
    if pages.len() < 2 {
        return;
    }
    let key = |line: &Line<'_>| {
        line.text.trim().chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>()
    };
    // Two lines at most at each end: a header and a page number.
    for _ in 0..2 {
        for last in [false, true] {
            let at = |page: &[Line<'_>]| {
                if last { page.iter().rposition(|l| !is_blank(l)) } else { page.iter().position(|l| !is_blank(l)) }
            };
            let mut counts: HashMap<String, usize> = HashMap::new();
            for line in pages.iter().filter_map(|page| at(page).and_then(|i| page.get(i))) {
                *counts.entry(key(line)).or_default() += 1;
            }
            let enough = (pages.len() * 3).div_ceil(5).max(3);
            for page in pages.iter_mut() {
                let Some(index) = at(page) else { continue };
                let Some(line) = page.get(index) else {
                    continue;
                };
                let running = counts.get(&key(line)).is_some_and(|n| *n >= enough);
                if running || PAGE_NUMBER.is_match(line.text.trim()) {
                    page.remove(index);
                }
            }
        }
    }
}

fn wrong(what: &'static str) -> SkipReason {
    SkipReason::Pdf { what }
}

/// Passes characters on until a limit.
struct Bounded<'a> {
    inner: PlainTextOutput<&'a mut String>,
    left: usize,
    exceeded: bool,
}

impl OutputDev for Bounded<'_> {
    fn begin_page(
        &mut self,
        page: u32,
        media_box: &MediaBox,
        art_box: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        self.inner.begin_page(page, media_box, art_box)
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        self.inner.end_page()
    }

    fn output_character(
        &mut self,
        transform: &Transform,
        width: f64,
        spacing: f64,
        font_size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        // At most three separators stand before a character.
        match self.left.checked_sub(text.len() + 3) {
            Some(left) => self.left = left,
            None => {
                self.exceeded = true;
                return Err(OutputError::FormatError(std::fmt::Error));
            }
        }
        self.inner.output_character(transform, width, spacing, font_size, text)
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        self.inner.begin_word()
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        self.inner.end_word()
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        self.inner.end_line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted(pages: &[&str]) -> Extracted {
        let mut out = Extracted::default();
        for (index, page) in pages.iter().enumerate() {
            out.starts.push((out.text.len(), index as u32 + 1));
            out.text.push_str(page);
            out.text.push('\u{c}');
        }
        out
    }

    #[test]
    fn running_lines_go_and_paragraphs_cross_pages() {
        let pages = extracted(&[
            "Company handbook\nThe employee shall report every absence to the\nmanager on the first day, and shall hand in the\n- 1 -\n",
            "Company handbook\ncertificate within three days of the first day of\nthe absence.\n- 2 -\n",
            "Company handbook\nNext rule.\n- 3 -\n",
        ]);
        let mut builder = TextBuilder::new();
        let blocks = read(&pages, &mut builder);
        let text = builder.finish();
        assert!(!text.as_str().contains("handbook") && !text.as_str().contains('-'));
        assert_eq!(blocks.len(), 2, "{}", text.as_str());
        assert!(text.as_str().contains("hand in the certificate within"));
        assert_eq!(text.page_of(0), Some(1));
        assert_eq!(text.page_of(text.as_str().find("certificate").unwrap()), Some(2));
        assert_eq!(text.page_of(text.as_str().find("Next").unwrap()), Some(3));
        let at = text.as_str().find("Next").unwrap();
        assert_eq!(&pages.text[text.source_range(at..at + 10)], "Next rule.");
    }

    #[test]
    fn wide_line_spacing_does_not_end_paragraphs() {
        let pages = extracted(&[
            "\n\n第一条 职工请假应当提前三个工作日书面申请，\n\n经部门负责人批准后方可离岗。\n\n第二条 病假应当提交医疗机构出具的诊断证明，\n\n并在三日内交回。\n",
        ]);
        let mut builder = TextBuilder::new();
        assert_eq!(read(&pages, &mut builder).len(), 2);
    }
}
