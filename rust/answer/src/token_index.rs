//! All tokens of a vocabulary, sorted by their bytes: which tokens can come next, when the text that must follow is known?

/// Sorted token bytes. About 2 MB for a vocabulary of 150,000; built once per model.
pub(crate) struct TokenIndex {
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    sorted: Vec<u32>,
    longest: usize,
}

impl TokenIndex {
    /// Indexes ordinary tokens; leave out control tokens, which must never be part of copied text.
    pub(crate) fn new<B: AsRef<[u8]>>(tokens: impl Iterator<Item = (u32, B)>) -> Self {
        let mut index = Self { bytes: Vec::new(), spans: Vec::new(), sorted: Vec::new(), longest: 0 };
        for (id, token) in tokens {
            let token = token.as_ref();
            if token.is_empty() {
                continue;
            }
            let at = id as usize;
            if index.spans.len() <= at {
                index.spans.resize(at + 1, (0, 0));
            }
            index.spans[at] = (index.bytes.len() as u32, token.len() as u32);
            index.bytes.extend_from_slice(token);
            index.sorted.push(id);
            index.longest = index.longest.max(token.len());
        }
        let mut sorted = std::mem::take(&mut index.sorted);
        // Equal bytes keep the smaller id first: that is the one a search finds.
        sorted.sort_by(|a, b| index.token(*a).cmp(index.token(*b)).then(a.cmp(b)));
        sorted.dedup_by(|a, b| index.token(*a) == index.token(*b));
        index.sorted = sorted;
        index
    }

    /// The bytes of a token; empty for control tokens and ids beyond the vocabulary.
    pub(crate) fn token(&self, id: u32) -> &[u8] {
        let (start, len) = self.spans.get(id as usize).copied().unwrap_or((0, 0));
        &self.bytes[start as usize..(start + len) as usize]
    }

    /// Every token that `text` starts with, shortest first.
    pub(crate) fn prefixes_of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let longest = self.longest.min(text.len());
        (1..=longest).filter_map(move |len| {
            let wanted = &text[..len];
            self.sorted.binary_search_by(|id| self.token(*id).cmp(wanted)).ok().map(|at| self.sorted[at])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_all_tokens_a_text_starts_with() {
        let words = ["a", "ab", "abc", "b", "存", "存款"];
        let index = TokenIndex::new(words.iter().enumerate().map(|(id, w)| (id as u32, w.as_bytes())));
        assert_eq!(index.prefixes_of(b"abd").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(index.prefixes_of("存款人".as_bytes()).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(index.prefixes_of(b"").count(), 0);
        assert_eq!(index.prefixes_of(b"zzz").count(), 0);
    }

    #[test]
    fn tokens_of_equal_bytes_are_found_once_by_the_smaller_id() {
        let index = TokenIndex::new([(5u32, b"x"), (2, b"x")].into_iter());
        assert_eq!(index.prefixes_of(b"xy").collect::<Vec<_>>(), [2]);
    }
}
