//! Refusing PDF files that would take memory or stack without end, before they are extracted.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::LazyLock;

use flate2::read::ZlibDecoder;
use pdf_extract::{Dictionary, Document as Pdf, Object, ObjectId, Stream};
use regex::bytes::Regex;

use crate::error::SkipReason;

/// Most bytes that the content of one page, or of one form, may unpack to: parsed, they take many times as much.
const MAX_CONTENT: usize = 16 << 20;
/// Most bytes of one LZW stream; unlike Flate it is not unpacked here to see what it gives.
const MAX_LZW: usize = 128 << 10;
/// Deepest chain of forms that draw each other, and of page tree nodes.
const MAX_DEPTH: usize = 32;
/// Most forms that one page may draw, counted through all levels.
const MAX_DRAWN: u64 = 20_000;
/// Most content streams of one page.
const MAX_CONTENT_STREAMS: usize = 2000;

static CHAINED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)/(?:FlateDecode|LZWDecode|Fl|LZW)\s*/(?:FlateDecode|LZWDecode|Fl|LZW)\b")
        .expect("the pattern is a constant and the tests use it")
});
static STREAM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?-u)stream\r?\n").expect("the pattern is a constant and the tests use it"));

/// Looks at the file as bytes: is it a PDF, is it encrypted, and do its Flate streams unpack to at most `limit` bytes?
///
/// # Errors
/// [`SkipReason::Pdf`].
pub(crate) fn check_bytes(bytes: &[u8], limit: u64) -> Result<(), SkipReason> {
    let head = &bytes[..bytes.len().min(1024)];
    if !head.windows(5).any(|w| w == b"%PDF-") {
        return Err(wrong("not a pdf"));
    }
    // Encrypted streams cannot be looked into beforehand.
    if bytes.windows(9).any(|w| w == b"/Encrypt ")
        || bytes.windows(9).any(|w| w == b"/Encrypt\r" || w == b"/Encrypt\n" || w == b"/Encrypt<")
    {
        return Err(wrong("the file is encrypted"));
    }
    if CHAINED.is_match(bytes) {
        return Err(wrong("streams are packed twice"));
    }
    let mut left = limit;
    for found in STREAM.find_iter(bytes) {
        let data = &bytes[found.end()..];
        let [method, flags, ..] = *data else { continue };
        if method & 0x0f != 8 || (u16::from(method) << 8 | u16::from(flags)) % 31 != 0 {
            continue;
        }
        let unpacked = io::copy(&mut ZlibDecoder::new(data).take(left + 1), &mut io::sink()).unwrap_or(0);
        left = left.checked_sub(unpacked).ok_or_else(|| wrong("it unpacks to more than the limit"))?;
    }
    Ok(())
}

/// Looks at the streams of a loaded file: no chained packing, no large LZW, no forms that draw themselves.
///
/// # Errors
/// [`SkipReason::Pdf`].
pub(crate) fn check_streams(pdf: &Pdf) -> Result<(), SkipReason> {
    for object in pdf.objects.values() {
        let Object::Stream(stream) = object else {
            continue;
        };
        let filters = stream.filters().unwrap_or_default();
        let packed = filters.iter().filter(|f| matches!(**f, b"FlateDecode" | b"LZWDecode")).count();
        if packed > 1 {
            return Err(wrong("streams are packed twice"));
        }
        let image = name(&stream.dict, b"Subtype") == Some(b"Image");
        if !image && filters.contains(&b"LZWDecode".as_slice()) && stream.content.len() > MAX_LZW {
            return Err(wrong("an lzw stream is too large"));
        }
    }
    Ok(())
}

/// Looks at one page: its place in the page tree, the size of its content, the forms it draws.
///
/// # Errors
/// [`SkipReason::Pdf`].
pub(crate) fn check_page(pdf: &Pdf, page: ObjectId) -> Result<(), SkipReason> {
    let mut node = pdf.get_dictionary(page).ok();
    let mut resources = None;
    let mut depth = 0;
    while let Some(dict) = node {
        depth += 1;
        if depth > MAX_DEPTH * 8 {
            return Err(wrong("the page tree is too deep"));
        }
        resources = resources.or_else(|| dictionary(pdf, dict, b"Resources"));
        node = dict.get(b"Parent").and_then(Object::as_reference).and_then(|id| pdf.get_dictionary(id)).ok();
    }
    let contents = pdf.get_page_contents(page);
    if contents.len() > MAX_CONTENT_STREAMS {
        return Err(wrong("a page has too many content streams"));
    }
    let mut bytes = 0;
    let mut draws = 0;
    for id in contents {
        let Ok(stream) = pdf.get_object(id).and_then(Object::as_stream) else {
            continue;
        };
        let content = content(stream);
        bytes += content.len();
        if bytes > MAX_CONTENT {
            return Err(wrong("the content of a page is too large"));
        }
        draws += count_draws(&content);
    }
    let mut known = HashMap::new();
    let most = match resources {
        Some(resources) if draws > 0 => drawn_through(pdf, resources, &mut known, 0)?,
        _ => 0,
    };
    if draws.saturating_mul(most) > MAX_DRAWN {
        return Err(wrong("a page draws too many forms"));
    }
    Ok(())
}

/// The most forms that drawing one form of `resources` draws, itself included.
fn drawn_through(
    pdf: &Pdf,
    resources: &Dictionary,
    known: &mut HashMap<ObjectId, Option<u64>>,
    depth: usize,
) -> Result<u64, SkipReason> {
    if depth > MAX_DEPTH {
        return Err(wrong("forms are nested too deep"));
    }
    let Some(forms) = dictionary(pdf, resources, b"XObject") else {
        return Ok(0);
    };
    let mut most = 0;
    for (_, value) in forms {
        let Ok(id) = value.as_reference() else {
            continue;
        };
        match known.get(&id) {
            Some(Some(drawn)) => {
                most = most.max(*drawn);
                continue;
            }
            Some(None) => return Err(wrong("a form draws itself")),
            None => {}
        }
        let Ok(stream) = pdf.get_object(id).and_then(Object::as_stream) else {
            continue;
        };
        let mut drawn = 1;
        if name(&stream.dict, b"Subtype") != Some(b"Image") {
            let content = content(stream);
            if content.len() > MAX_CONTENT {
                return Err(wrong("the content of a form is too large"));
            }
            let draws = count_draws(&content);
            drop(content);
            if draws > 0 {
                // A form without resources uses those of whoever draws it, and could so draw itself.
                let own = dictionary(pdf, &stream.dict, b"Resources")
                    .ok_or_else(|| wrong("a form draws without resources"))?;
                known.insert(id, None);
                drawn += draws.saturating_mul(drawn_through(pdf, own, known, depth + 1)?);
            }
        }
        known.insert(id, Some(drawn));
        most = most.max(drawn);
    }
    Ok(most)
}

/// How often a content stream may draw a form: every `Do` counts, in whatever it stands.
fn count_draws(content: &[u8]) -> u64 {
    content.windows(2).filter(|w| *w == b"Do").count() as u64
}

fn content(stream: &Stream) -> Vec<u8> {
    stream.get_plain_content().unwrap_or_else(|_| stream.content.clone())
}

fn dictionary<'p>(pdf: &'p Pdf, dict: &'p Dictionary, key: &[u8]) -> Option<&'p Dictionary> {
    let value = dict.get(key).ok()?;
    pdf.dereference(value).ok().and_then(|(_, object)| object.as_dict().ok())
}

fn name<'p>(dict: &'p Dictionary, key: &[u8]) -> Option<&'p [u8]> {
    dict.get(key).and_then(Object::as_name).ok()
}

fn wrong(what: &'static str) -> SkipReason {
    SkipReason::Pdf { what }
}
