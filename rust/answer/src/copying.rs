//! Decoding that can only copy: quotes from passages, labels from a list.
//!
//! The state is a set of *heads*, each a place in a text that the output so far agrees with.
//! A token is allowed when its bytes go on at one of the heads; accepting it drops the heads it disagrees with.
//! Everything is bytes, so a copy may start and end inside a token of the passage's own tokenization.

use std::ops::Range;

use crate::token_index::TokenIndex;

/// A place where copying can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    text: usize,
    start: usize,
    position: usize,
    limit: usize,
}

/// A finished copy: which text, and which of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) text: usize,
    pub(crate) range: Range<usize>,
}

/// The state of one constrained span.
pub(crate) struct Copying<'t> {
    texts: Vec<&'t str>,
    heads: Vec<Head>,
    /// Ends at which a copy may stop, per text, ascending.
    ends: Vec<Vec<usize>>,
}

impl<'t> Copying<'t> {
    /// Exactly one of `options`, whole.
    pub(crate) fn one_of(options: &[&'t str]) -> Self {
        let head = |(text, option): (usize, &&str)| Head { text, start: 0, position: 0, limit: option.len() };
        Self {
            heads: options.iter().enumerate().map(head).collect(),
            ends: options.iter().map(|option| vec![option.len()]).collect(),
            texts: options.to_vec(),
        }
    }

    /// One to `max_sentences` whole sentences of `passage`.
    pub(crate) fn sentences_of(passage: &'t str, max_sentences: usize) -> Self {
        let sentences = sentences(passage);
        let heads = sentences
            .iter()
            .enumerate()
            .map(|(i, sentence)| {
                let last = (i + max_sentences.max(1) - 1).min(sentences.len() - 1);
                Head { text: 0, start: sentence.start, position: sentence.start, limit: sentences[last].end }
            })
            .collect();
        Self { texts: vec![passage], heads, ends: vec![sentences.iter().map(|s| s.end).collect()] }
    }

    /// Tokens that go on copying, without repetition.
    pub(crate) fn allowed(&self, index: &TokenIndex) -> Vec<u32> {
        let mut tokens: Vec<u32> = self
            .heads
            .iter()
            .flat_map(|head| index.prefixes_of(&self.texts[head.text].as_bytes()[head.position..head.limit]))
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// Goes on with `bytes`; call it only with the bytes of an allowed token.
    pub(crate) fn accept(&mut self, bytes: &[u8]) {
        let texts = &self.texts;
        self.heads.retain_mut(|head| {
            let agrees = texts[head.text].as_bytes()[head.position..head.limit].starts_with(bytes);
            head.position += bytes.len();
            agrees
        });
    }

    /// What has been copied, if the copy may stop here.
    pub(crate) fn stop(&self) -> Option<Copied> {
        let ended =
            |head: &&Head| head.position > head.start && self.ends[head.text].binary_search(&head.position).is_ok();
        self.heads.iter().find(ended).map(|head| Copied { text: head.text, range: head.start..head.position })
    }

    /// The text that must follow up to the next place where the copy may end, when there is no choice of it and it is
    /// whole characters.
    pub(crate) fn determined(&self) -> Option<&'t str> {
        let [head] = self.heads[..] else { return None };
        let ends = &self.ends[head.text];
        let next = ends.get(ends.partition_point(|end| *end <= head.position))?;
        self.texts[head.text].get(head.position..*next).filter(|_| *next <= head.limit)
    }
}

/// Longest table that is quoted whole, in bytes; a longer one is quoted by lines.
const MAX_TABLE: usize = 1_200;

/// Byte ranges of the sentences of a text, without white space around them.
///
/// A sentence ends after 。！？； or a full stop, question or exclamation mark followed by white space, with closing quotes and
/// brackets, and at each line end. Decimal points and dots inside words do not end one.
/// A line that ends in a colon goes on with the next line, and the rows of a small table (cells parted by ` | `) stay
/// together: neither says anything alone.
pub(crate) fn sentences(text: &str) -> Vec<Range<usize>> {
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
    use proptest::prelude::*;

    fn byte_index() -> TokenIndex {
        TokenIndex::new((0u32..256).map(|id| (id, [id as u8])))
    }

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

    #[test]
    fn a_choice_is_forced_as_soon_as_one_option_is_left() {
        let mut choice = Copying::one_of(&["第一条：", "第二条："]);
        assert!(choice.determined().is_none());
        choice.accept("第二".as_bytes());
        assert_eq!(choice.determined(), Some("条："));
        choice.accept("条：".as_bytes());
        assert_eq!(choice.stop().unwrap().text, 1);
        assert_eq!(choice.determined(), None);
    }

    #[test]
    fn a_single_copy_is_determined_up_to_the_end_of_each_sentence_and_no_further() {
        let text = "甲方应付款。乙方应交货。丙方应作证。";
        let mut copy = Copying::sentences_of(text, 2);
        assert_eq!(copy.determined(), None);
        copy.accept("乙".as_bytes());
        assert_eq!(copy.determined(), Some("方应交货。"));
        copy.accept(&"方".as_bytes()[..1]);
        assert_eq!(copy.determined(), None, "inside a character");
        copy.accept(&"方".as_bytes()[1..]);
        copy.accept("应交货。".as_bytes());
        assert_eq!(copy.determined(), Some("丙方应作证。"));
        copy.accept("丙方应作证。".as_bytes());
        assert_eq!(copy.determined(), None);
    }

    #[test]
    fn a_copy_stops_only_at_the_end_of_a_sentence() {
        let text = "甲方应付款。乙方应交货。";
        let mut copy = Copying::sentences_of(text, 2);
        copy.accept("甲方应".as_bytes());
        assert_eq!(copy.stop(), None);
        copy.accept("付款。".as_bytes());
        assert_eq!(copy.stop(), Some(Copied { text: 0, range: 0.."甲方应付款。".len() }));
        copy.accept("乙方应交货。".as_bytes());
        assert!(copy.allowed(&byte_index()).is_empty());
    }

    proptest! {
        /// Whatever the model prefers, what comes out is a run of whole sentences of the passage.
        #[test]
        fn any_walk_copies_whole_sentences(text in "[甲乙丙。；a-c. \n]{1,60}", choices in prop::collection::vec(any::<u16>(), 200)) {
            let index = byte_index();
            let mut copy = Copying::sentences_of(&text, 2);
            let mut out = Vec::new();
            for choice in choices {
                let allowed = copy.allowed(&index);
                if allowed.is_empty() {
                    break;
                }
                let token = allowed[choice as usize % allowed.len()];
                out.extend_from_slice(index.token(token));
                copy.accept(index.token(token));
                if let Some(copied) = copy.stop() {
                    prop_assert_eq!(&text.as_bytes()[copied.range.clone()], &out[..]);
                    prop_assert!(text.get(copied.range).is_some());
                }
            }
        }
    }
}
