//! Short stable names for places that have no number.

/// Longest slug in characters.
const MAX_CHARS: usize = 60;

/// Lower-case letters and digits of `text` with single hyphens between them: `Your Rights, 2024` → `your-rights-2024`.
/// Empty when there is none.
pub(crate) fn slug(text: &str) -> String {
    let mut out = String::new();
    let mut chars = 0;
    let mut hyphen = false;
    for c in text.chars() {
        if !c.is_alphanumeric() {
            hyphen = !out.is_empty();
            continue;
        }
        if chars >= MAX_CHARS {
            break;
        }
        if hyphen {
            out.push('-');
            hyphen = false;
        }
        out.extend(c.to_lowercase());
        chars += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn punctuation_becomes_one_hyphen() {
        assert_eq!(slug("  Your Rights -- 2024! "), "your-rights-2024");
        assert_eq!(slug("第一章 总则"), "第一章-总则");
        assert_eq!(slug("……"), "");
        assert_eq!(slug(&"长".repeat(500)).chars().count(), 60);
    }
}
