//! Standing in for a message's content while a template is rendered.
//!
//! A placeholder is a run of private-use characters that hold a number, with a rare kind of blank on both sides. A
//! template that trims the content trims the blanks, so their absence says that the content is to be trimmed.

use super::Piece;

/// U+205F, a mathematical space: white space to every `trim`, and in no template. Three, so that a template that
/// cuts off a character or two does not look like one that trims.
const BLANK: &str = "\u{205f}\u{205f}\u{205f}";
const OPEN: char = '\u{f0ff0}';
const CLOSE: char = '\u{f0ff1}';
const ZERO: u32 = 0xf_0fe0;

/// Whether a template's text has characters that belong to placeholders.
pub(super) fn collides(template: &str) -> bool {
    template.chars().any(|c| BLANK.starts_with(c) || digit(c).is_some() || matches!(c, OPEN | CLOSE))
}

/// The placeholder of content number `n`.
pub(super) fn for_content(n: usize) -> String {
    let digits: String = n.to_string().bytes().filter_map(|d| char::from_u32(ZERO + u32::from(d - b'0'))).collect();
    format!("{BLANK}{OPEN}{digits}{CLOSE}{BLANK}")
}

fn digit(c: char) -> Option<usize> {
    (ZERO..ZERO + 10).contains(&u32::from(c)).then(|| (u32::from(c) - ZERO) as usize)
}

/// Puts the contents where their placeholders are; none if a placeholder was cut or changed.
pub(super) fn fill(rendered: &str, contents: &[&str]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = rendered;
    while let Some(open) = rest.find(OPEN) {
        let (before, after) = rest.split_at(open);
        let (number, after) = after[OPEN.len_utf8()..].split_once(CLOSE)?;
        let number = number.chars().try_fold(0usize, |n, c| n.checked_mul(10)?.checked_add(digit(c)?))?;
        let mut content = *contents.get(number)?;
        let before = match before.strip_suffix(BLANK) {
            Some(before) => before,
            None => {
                content = content.trim_start();
                before
            }
        };
        rest = match after.strip_prefix(BLANK) {
            Some(after) => after,
            None => {
                content = content.trim_end();
                after
            }
        };
        push(&mut pieces, Piece::Template(before.to_owned()))?;
        push(&mut pieces, Piece::Content(content.to_owned()))?;
    }
    push(&mut pieces, Piece::Template(rest.to_owned()))?;
    Some(pieces)
}

fn push(pieces: &mut Vec<Piece>, piece: Piece) -> Option<()> {
    match &piece {
        Piece::Template(text) if collides(text) => return None, // what is left of a broken placeholder
        Piece::Template(text) | Piece::Content(text) if text.is_empty() => {}
        _ => pieces.push(piece),
    }
    Some(())
}
