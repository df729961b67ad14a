//! Classes of characters that normalisation and splitting ask about.

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// What normalisation does with a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Kept.
    Visible,
    /// Any horizontal space; becomes an ordinary one.
    Space,
    /// Any line end.
    Line,
    /// Taken out: controls, byte order marks, zero-width and bidirectional marks.
    Dropped,
}

/// The class of `c`.
///
/// The joiners U+200C and U+200D stay: emoji and several scripts need them to show what was written.
pub(crate) fn classify(c: char) -> Class {
    match c {
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Class::Line,
        ' ' | '\t' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Class::Space
        }
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' => Class::Dropped,
        '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'
        | '\u{2066}'..='\u{206f}'
        | '\u{feff}' => Class::Dropped,
        _ => Class::Visible,
    }
}

/// Whether `c` cannot combine with what stands before it, so that text may be composed (NFC) up to here on its own.
pub(crate) fn starts_cluster(c: char) -> bool {
    c < '\u{300}'
        || is_han(c)
        || (canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) != IsNormalized::Maybe)
}

/// Whether `c` alone is already in NFC.
pub(crate) fn is_composed(c: char) -> bool {
    c < '\u{300}' || ('\u{4e00}'..='\u{9fff}').contains(&c) || is_nfc_quick(std::iter::once(c)) == IsNormalized::Yes
}

/// Han ideographs, with 〇.
pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2fa1f}')
}

/// Characters written without spaces between them: Han, kana, CJK punctuation, full-width forms.
pub(crate) fn is_wide(c: char) -> bool {
    is_han(c)
        || matches!(c, '\u{3000}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}')
}

/// Whether a line that ends in `before` joins one that starts with `after` without a space.
pub(crate) fn joins_tight(before: char, after: char) -> bool {
    let soft = |c| matches!(c, '“' | '”' | '‘' | '’' | '—' | '…' | '·');
    (is_wide(before) && (is_wide(after) || soft(after))) || (soft(before) && is_wide(after))
}
