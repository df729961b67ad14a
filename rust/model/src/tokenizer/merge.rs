//! The merge loop that byte-level BPE and SentencePiece share: join the best pair of neighbours until none is left.
//!
//! Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016); the queue of candidate
//! pairs over a linked list makes it O(n log n), as in SentencePiece.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::vocabulary::NONE;

/// A stretch of the text that is one token, or may yet become part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// Bytes of the text, from `start`.
    pub(super) start: u32,
    /// Zero once it has been joined to its left neighbour.
    pub(super) len: u32,
    /// The token, or [`NONE`].
    pub(super) id: u32,
    previous: u32,
    next: u32,
}

/// Buffers of the merge loop, kept from word to word.
#[derive(Default)]
pub(super) struct Merger {
    symbols: Vec<Symbol>,
    /// Rank (smaller first), place of the left symbol (leftmost first), bytes of the pair, token of the pair.
    queue: BinaryHeap<Reverse<(u32, u32, u32, u32)>>,
}

impl Merger {
    /// Appends a symbol of `len` bytes to the word.
    pub(super) fn push(&mut self, len: usize, id: u32) {
        let at = self.symbols.len() as u32;
        let start = self.symbols.last().map_or(0, |s| s.start + s.len);
        if let Some(last) = self.symbols.last_mut() {
            last.next = at;
        }
        self.symbols.push(Symbol { start, len: len as u32, id, previous: at.wrapping_sub(1), next: NONE });
    }

    /// Joins pairs until no pair has a token, hands over what is left and forgets the word. `pair` gives rank and
    /// token of two neighbours.
    pub(super) fn finish(&mut self, pair: impl Fn(Symbol, Symbol) -> Option<(u32, u32)>, mut each: impl FnMut(Symbol)) {
        for right in 1..self.symbols.len() {
            self.offer(right as u32 - 1, right as u32, &pair);
        }
        while let Some(Reverse((_, at, len, id))) = self.queue.pop() {
            let left = self.symbols[at as usize];
            if left.len == 0 || left.next == NONE {
                continue;
            }
            let right = self.symbols[left.next as usize];
            // Symbols only grow: another sum means that one of the two has been joined to something else.
            if left.len + right.len != len {
                continue;
            }
            self.symbols[left.next as usize].len = 0;
            self.symbols[at as usize] = Symbol { len, id, next: right.next, ..left };
            if right.next != NONE {
                self.symbols[right.next as usize].previous = at;
                self.offer(at, right.next, &pair);
            }
            if left.previous != NONE {
                self.offer(left.previous, at, &pair);
            }
        }
        self.symbols.drain(..).filter(|s| s.len > 0).for_each(&mut each);
    }

    fn offer(&mut self, left: u32, right: u32, pair: &impl Fn(Symbol, Symbol) -> Option<(u32, u32)>) {
        let (l, r) = (self.symbols[left as usize], self.symbols[right as usize]);
        if let Some((rank, id)) = pair(l, r) {
            self.queue.push(Reverse((rank, left, l.len + r.len, id)));
        }
    }
}
