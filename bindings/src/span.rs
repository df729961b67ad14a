//! Places in a text, in the units of every language.

use std::ops::Range;

use lorekit_answer::Error;

use crate::error::Result;

/// A part of a text, counted twice: in UTF-8 bytes as Rust does, and in UTF-16 units as Kotlin and `NSString` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiSpan {
    /// First byte.
    pub utf8_start: u64,
    /// The byte after the last.
    pub utf8_end: u64,
    /// First UTF-16 unit.
    pub utf16_start: u64,
    /// The UTF-16 unit after the last.
    pub utf16_end: u64,
}

impl FfiSpan {
    /// Counts a byte range of `text` in both units.
    ///
    /// # Errors
    /// [`FfiError::Internal`](crate::FfiError) when the range is not made of whole characters of `text`.
    pub(crate) fn of(text: &str, range: &Range<usize>) -> Result<Self> {
        let torn = || Error::Internal { reason: "a span does not lie on characters".into() };
        let (before, inside) = (text.get(..range.start).ok_or_else(torn)?, text.get(range.clone()).ok_or_else(torn)?);
        let utf16_start = before.encode_utf16().count() as u64;
        Ok(Self {
            utf8_start: range.start as u64,
            utf8_end: range.end as u64,
            utf16_start,
            utf16_end: utf16_start + inside.encode_utf16().count() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn han_and_emoji_are_counted_in_both_units() {
        let text = "付款😀期限。";
        for (range, units) in [(0..6, 0..2), (6..10, 2..4), (10..16, 4..6), (0..19, 0..7), (19..19, 7..7)] {
            let span = FfiSpan::of(text, &range).unwrap();
            assert_eq!((span.utf8_start, span.utf8_end), (range.start as u64, range.end as u64));
            assert_eq!((span.utf16_start, span.utf16_end), (units.start, units.end), "{range:?}");
            let utf16: Vec<u16> = text.encode_utf16().collect();
            let cut = String::from_utf16(&utf16[units.start as usize..units.end as usize]).unwrap();
            assert_eq!(cut, &text[range]);
        }
    }

    #[test]
    fn a_span_inside_a_character_is_refused() {
        for range in [1..3, 0..7, 0..99] {
            assert!(FfiSpan::of("付款😀", &range).is_err(), "{range:?}");
        }
    }
}
