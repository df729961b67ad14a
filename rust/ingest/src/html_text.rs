//! Which raw bytes of HTML each piece of decoded text stands at.

use std::ops::Range;

use html5gum::{Token, Tokenizer};

/// The pieces of `decoded` with the bytes of `raw` each stands at: stretches that are equal, and entities.
///
/// Where the two cannot be matched, the rest is one piece that stands at the rest of `raw`.
pub(crate) fn align<'t>(raw: &str, decoded: &'t str) -> Vec<(&'t str, Range<usize>, bool)> {
    if raw == decoded {
        return vec![(decoded, 0..raw.len(), true)];
    }
    let mut out = Vec::new();
    let (mut r, mut d) = (0, 0);
    while d < decoded.len() {
        let same = equal_prefix(&raw[r..], &decoded[d..]);
        // An ampersand that stands for itself may also begin an entity that decodes to one.
        if same > 0 {
            out.push((&decoded[d..d + same], r..r + same, true));
            r += same;
            d += same;
            continue;
        }
        let Some((raw_length, length)) = entity(&raw[r..], &decoded[d..]) else {
            out.push((&decoded[d..], r..raw.len(), false));
            return out;
        };
        if length > 0 {
            out.push((&decoded[d..d + length], r..r + raw_length, false));
        }
        r += raw_length;
        d += length;
    }
    out
}

/// Bytes that agree, up to an ampersand that begins an entity or a carriage return.
fn equal_prefix(raw: &str, decoded: &str) -> usize {
    let mut same = 0;
    for (a, b) in raw.chars().zip(decoded.chars()) {
        if a != b || a == '\r' || (a == '&' && entity(&raw[same..], &decoded[same..]).is_some()) {
            break;
        }
        same += a.len_utf8();
    }
    same
}

/// The length of what stands at the start of `raw` and is decoded differently, and of what it is decoded to.
fn entity(raw: &str, decoded: &str) -> Option<(usize, usize)> {
    if raw.starts_with("\r\n") {
        return Some((1, 0));
    }
    if raw.starts_with('\r') && decoded.starts_with('\n') {
        return Some((1, 1));
    }
    if raw.starts_with('\0') && decoded.starts_with('\u{fffd}') {
        return Some((1, 3));
    }
    let name = raw.strip_prefix('&')?;
    // The longest name in the standard has 32 characters; numbers may have leading zeros.
    let length = name.bytes().take(40).take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
    let closed = name[length..].starts_with(';');
    let whole = 1 + length + usize::from(closed);
    // Names of old need no semicolon and may run into the text; so shorter and shorter ones are tried.
    let mut end = whole;
    while end > 1 {
        let candidate = &raw[..end];
        let text: String = Tokenizer::new(candidate)
            .flatten()
            .filter_map(|token| {
                if let Token::String(s) = token { Some(String::from_utf8_lossy(&s.value).into_owned()) } else { None }
            })
            .collect();
        // A second character without a semicolon is text behind a shorter name.
        let whole = text.chars().count() == 1 || (candidate.ends_with(';') && text.chars().count() == 2);
        if whole && text != candidate && decoded.starts_with(&text) {
            return Some((end, text.len()));
        }
        end -= 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn equal_stretches_and_entities_are_told_apart() {
        assert_eq!(align("a&amp;b", "a&b"), [("a", 0..1, true), ("&", 1..6, false), ("b", 6..7, true)]);
        assert_eq!(align("a\r\nb", "a\nb"), [("a", 0..1, true), ("\nb", 2..4, true)]);
        assert_eq!(align("R&D", "R&D"), [("R&D", 0..3, true)]);
    }

    #[test]
    fn what_does_not_match_is_one_piece() {
        assert_eq!(align("abc", "xyz"), [("xyz", 0..3, false)]);
        assert_eq!(align("", "x"), [("x", 0..0, false)]);
    }
}
