//! The tokens of a model as a trie over bytes.

/// All tokens of a vocabulary as a trie over their bytes, built once per tokenizer and shared.
///
/// Nodes lie in breadth-first order, so the children of a node are one run, sorted by their byte: 9 bytes a node and 4 a
/// token, about 4 MB for 151,000 tokens.
pub struct Vocabulary {
    /// The byte that leads to a node; the root has none.
    byte: Vec<u8>,
    /// Children of node `n` are `first_child[n]..first_child[n + 1]`.
    first_child: Vec<u32>,
    /// Tokens that end at node `n` are `tokens[first_token[n]..first_token[n + 1]]`.
    first_token: Vec<u32>,
    tokens: Vec<u32>,
    /// Which bytes are tokens by themselves.
    single: [bool; 256],
}

/// The node where every walk begins.
pub(crate) const ROOT: u32 = 0;

impl Vocabulary {
    /// Builds the trie of `(id, bytes)`. Leave out control tokens: they must never be part of copied text. Tokens without
    /// bytes are skipped; of several with the same bytes all are kept.
    pub fn new<B: AsRef<[u8]>>(tokens: impl IntoIterator<Item = (u32, B)>) -> Self {
        let mut sorted: Vec<(u32, B)> = tokens.into_iter().filter(|(_, bytes)| !bytes.as_ref().is_empty()).collect();
        sorted.sort_by(|a, b| a.1.as_ref().cmp(b.1.as_ref()).then(a.0.cmp(&b.0)));
        let mut trie = Self {
            byte: vec![0],
            first_child: Vec::new(),
            first_token: Vec::new(),
            tokens: Vec::with_capacity(sorted.len()),
            single: [false; 256],
        };
        // Ranges of `sorted` below each node of the current depth, in the order of the nodes.
        let mut level: Vec<std::ops::Range<usize>> = std::iter::once(0..sorted.len()).collect();
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for range in &level {
                trie.first_child.push((trie.byte.len()) as u32);
                trie.first_token.push(trie.tokens.len() as u32);
                let below = &sorted[range.clone()];
                let n_ending = below.iter().take_while(|(_, bytes)| bytes.as_ref().len() == depth).count();
                trie.tokens.extend(below[..n_ending].iter().map(|(id, _)| *id));
                let mut at = range.start + n_ending;
                while at < range.end {
                    let byte = sorted[at].1.as_ref()[depth];
                    let len = sorted[at..range.end].partition_point(|(_, bytes)| bytes.as_ref()[depth] == byte);
                    trie.byte.push(byte);
                    next.push(at..at + len);
                    at += len;
                }
            }
            (level, depth) = (next, depth + 1);
        }
        trie.first_child.push(trie.byte.len() as u32);
        trie.first_token.push(trie.tokens.len() as u32);
        for child in trie.children(ROOT) {
            trie.single[trie.byte[child as usize] as usize] = !trie.tokens_at(child).is_empty();
        }
        trie
    }

    /// How many tokens have bytes.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Bytes of memory that the trie takes.
    pub fn n_bytes(&self) -> usize {
        self.byte.len() + 4 * (self.first_child.len() + self.first_token.len() + self.tokens.len())
    }

    /// Whether a token of exactly this byte exists. Text of such bytes can be written from any position.
    pub fn has_byte(&self, byte: u8) -> bool {
        self.single[byte as usize]
    }

    /// The node behind `node` over `byte`.
    pub(crate) fn child(&self, node: u32, byte: u8) -> Option<u32> {
        let children = self.children(node);
        let bytes = &self.byte[children.start as usize..children.end as usize];
        bytes.binary_search(&byte).ok().map(|at| children.start + at as u32)
    }

    /// Tokens whose bytes lead exactly to `node`.
    pub(crate) fn tokens_at(&self, node: u32) -> &[u32] {
        let n = node as usize;
        &self.tokens[self.first_token[n] as usize..self.first_token[n + 1] as usize]
    }

    fn children(&self, node: u32) -> std::ops::Range<u32> {
        self.first_child[node as usize]..self.first_child[node as usize + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(vocabulary: &Vocabulary, bytes: &[u8]) -> Vec<u32> {
        let node = bytes.iter().try_fold(ROOT, |node, byte| vocabulary.child(node, *byte));
        node.map(|node| vocabulary.tokens_at(node).to_vec()).unwrap_or_default()
    }

    #[test]
    fn tokens_of_equal_bytes_are_all_found_and_empty_ones_never() {
        let vocabulary = Vocabulary::new([(5u32, "x"), (2, "x"), (7, ""), (1, "xy")]);
        assert_eq!(find(&vocabulary, b"x"), [2, 5]);
        assert_eq!(find(&vocabulary, b"xy"), [1]);
        assert!(find(&vocabulary, b"").is_empty());
        assert!(vocabulary.has_byte(b'x') && !vocabulary.has_byte(b'y'));
        assert_eq!(Vocabulary::new(Vec::<(u32, &str)>::new()).n_tokens(), 0);
    }

    proptest! {
        #[test]
        fn every_token_is_found_under_its_bytes_and_nothing_else_is(tokens in prop::collection::vec("[ab存]{1,4}", 1..40), other in "[ab存]{1,5}") {
            let vocabulary = Vocabulary::new(tokens.iter().enumerate().map(|(id, t)| (id as u32, t.as_bytes())));
            prop_assert_eq!(vocabulary.n_tokens(), tokens.len());
            for wanted in tokens.iter().chain([&other]) {
                let expected: Vec<u32> = (0..tokens.len() as u32).filter(|id| &tokens[*id as usize] == wanted).collect();
                prop_assert_eq!(find(&vocabulary, wanted.as_bytes()), expected);
            }
        }
    }
}
