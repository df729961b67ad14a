//! Where sentences end, in Chinese and English.

use std::ops::Range;

/// Longest table that is quoted whole, in bytes; a longer one is quoted by lines.
const MAX_TABLE: usize = 1_200;

/// Byte ranges of the sentences of a text, without white space around them.
///
/// A sentence ends after 。！？； or a full stop, question or exclamation mark followed by white space, with closing quotes and
/// brackets, and at each line end. Decimal points and dots inside words do not end one.
/// A line that ends in a colon goes on with the next line, and the rows of a small table (cells parted by ` | `) stay
/// together: neither says anything alone.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut line_start = 0;
    // The sentence that the next line goes on with, and whether it is a table by now.
    let mut open: Option<(usize, bool)> = None;
    for line in text.split_inclusive('\n') {
        let range = line_start..line_start + line.len();
        line_start = range.end;
        let content = line.trim_end();
        if content.trim().is_empty() {
            continue;
        }
        let is_row = content.contains(" | ");
        let before = found.len();
        let joined = match open {
            Some((start, true)) if is_row && range.end - start <= MAX_TABLE => Some(start),
            Some((start, false)) => Some(start),
            _ => None,
        };
        if is_row {
            push_trimmed(text, range, &mut found);
        } else {
            sentences_of_line(text, range, &mut found);
        }
        if let Some(start) = joined
            && let Some(first) = found.get(before).cloned()
        {
            found[before] = start..first.end;
            found.remove(before - 1);
        }
        open = found.last().and_then(|last| {
            let ends_in_colon = content.ends_with(['：', ':']);
            (ends_in_colon || is_row).then_some((last.start, is_row))
        });
    }
    found
}

fn sentences_of_line(text: &str, line: Range<usize>, found: &mut Vec<Range<usize>>) {
    let closing = "”’\"')）】」』";
    let mut start = line.start;
    let mut chars = text[line.clone()].char_indices().map(|(at, c)| (line.start + at, c)).peekable();
    while let Some((at, c)) = chars.next() {
        let mut end = at + c.len_utf8();
        let next_is_space = chars.peek().is_none_or(|(_, next)| next.is_whitespace() || closing.contains(*next));
        let ends = match c {
            '。' | '！' | '？' | '；' => true,
            '.' | '!' | '?' => next_is_space,
            _ => false,
        };
        if !ends {
            continue;
        }
        while let Some((next_at, next)) = chars.next_if(|(_, next)| closing.contains(*next)) {
            end = next_at + next.len_utf8();
        }
        push_trimmed(text, start..end, found);
        start = end;
    }
    push_trimmed(text, start..line.end, found);
}

fn push_trimmed(text: &str, range: Range<usize>, into: &mut Vec<Range<usize>>) {
    let piece = &text[range.clone()];
    let trimmed = piece.trim();
    if !trimmed.is_empty() {
        let start = range.start + (piece.len() - piece.trim_start().len());
        into.push(start..start + trimmed.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_marks_and_lines_but_not_at_decimals() {
        let texts = |text: &str| sentences(text).into_iter().map(|r| text[r].to_owned()).collect::<Vec<_>>();
        assert_eq!(texts("利率为3.5%。逾期加收“罚息。”\n另行通知"), ["利率为3.5%。", "逾期加收“罚息。”", "另行通知"]);
        assert_eq!(
            texts("The fee is 1.5 percent. It is due (daily.) Now"),
            ["The fee is 1.5 percent.", "It is due (daily.)", "Now"]
        );
        assert!(texts(" \n ").is_empty());
        assert_eq!(
            texts("费率如下：\n卡种 | 年费\n普卡 | 100元\n另收工本费。"),
            ["费率如下：\n卡种 | 年费\n普卡 | 100元", "另收工本费。"]
        );
        assert_eq!(texts("应当提供：\n（一）保单；（二）证明。"), ["应当提供：\n（一）保单；", "（二）证明。"]);
    }
}
