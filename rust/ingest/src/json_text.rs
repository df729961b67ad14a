//! Finding a string value inside a line of JSON, with the bytes that each of its characters stands at.

use std::ops::Range;

/// The bytes of the value of `key` at the top level of the object `line`, quotes included; the last one if repeated.
///
/// The line must be valid JSON (a parser has accepted it); on anything else the answer is `None` or meaningless, never a
/// panic. Keys written with escapes are not found.
pub(crate) fn string_value(line: &str, key: &str) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    let mut found = None;
    loop {
        at = skip_space(bytes, at);
        if bytes.get(at) != Some(&b'"') {
            return found;
        }
        let name_end = skip_string(bytes, at)?;
        let name = line.get(at + 1..name_end - 1)?;
        at = skip_space(bytes, name_end);
        if bytes.get(at) != Some(&b':') {
            return found;
        }
        at = skip_space(bytes, at + 1);
        let value_end = skip_value(bytes, at)?;
        if name == key && bytes.get(at) == Some(&b'"') {
            found = Some(at..value_end);
        }
        at = skip_space(bytes, value_end);
        if bytes.get(at) != Some(&b',') {
            return found;
        }
        at += 1;
    }
}

/// The pieces of a string value (quotes included, at `value` of `line`): each either the source itself or one decoded
/// character with its escape. Calls `piece(text, source, verbatim)` in order; `false` if an escape is not valid.
pub(crate) fn decode(line: &str, value: Range<usize>, mut piece: impl FnMut(&str, Range<usize>, bool)) -> bool {
    let Some(inner) = line.get(value.start + 1..value.end.saturating_sub(1)) else {
        return false;
    };
    let base = value.start + 1;
    let mut at = 0;
    while at < inner.len() {
        let plain = inner[at..].find('\\').map_or(inner.len(), |i| at + i);
        if plain > at {
            piece(&inner[at..plain], base + at..base + plain, true);
            at = plain;
            continue;
        }
        let Some((c, length)) = escape(&inner[at..]) else {
            return false;
        };
        piece(c.encode_utf8(&mut [0; 4]), base + at..base + at + length, false);
        at += length;
    }
    true
}

/// One escape at the start of `text`: its character and its length in bytes.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(text, 2)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            let second = (text.get(6..8)? == "\\u").then(|| hex(text, 8)).flatten()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            return Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?, 12));
        }
        _ => return None,
    };
    Some((simple, 2))
}

fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// From an opening quote to behind the closing one.
fn skip_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// From the first byte of any value to behind its last. Depth is counted, not recursed into.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                let start = at;
                while bytes
                    .get(at)
                    .is_some_and(|b| !matches!(b, b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
                {
                    at += 1;
                }
                if at == start {
                    return None;
                }
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_value_is_found_behind_any_other() {
        let line = r#" {"a": {"text": "no", "l": [1, "]"]}, "n": -1.5e3, "t":true , "text" : "yes" }"#;
        assert_eq!(&line[string_value(line, "text").unwrap()], "\"yes\"");
        assert_eq!(string_value(r#"{"text": 1}"#, "text"), None);
        assert_eq!(string_value("[]", "text"), None);
    }

    #[test]
    fn escapes_know_their_bytes() {
        let line = r#""a\n\ud83d\ude00b""#;
        let mut seen = Vec::new();
        assert!(decode(line, 0..line.len(), |t, r, v| seen.push((t.to_owned(), r, v))));
        assert_eq!(
            seen,
            [
                ("a".into(), 1..2, true),
                ("\n".into(), 2..4, false),
                ("😀".into(), 4..16, false),
                ("b".into(), 16..17, true)
            ]
        );
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for line in [r#""\ud800""#, r#""\ud800\u0041""#, r#""\udc00""#, r#""\u12""#] {
            assert!(!decode(line, 0..line.len(), |_, _, _| {}), "{line}");
        }
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_the_parser(text in "\\PC{0,30}", other in "\\PC{0,10}") {
            let line = serde_json::json!({"b": other, "text": text, "z": [other]}).to_string();
            let mut out = String::new();
            prop_assert!(decode(&line, string_value(&line, "text").unwrap(), |t, _, _| out.push_str(t)));
            prop_assert_eq!(out, text);
        }

        #[test]
        fn any_bytes_are_safe(line in "[{}\\[\\]\":,\\\\ua0-9 ]{0,40}") {
            if let Some(range) = string_value(&line, "a") {
                decode(&line, range, |_, _, _| {});
            }
        }
    }
}
