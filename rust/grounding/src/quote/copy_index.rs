//! Decoding that can only copy: what may come next, byte for byte.
//!
//! A suffix automaton (Blumer et al. 1985) accepts every substring of the passages. A quote is less than that: it begins
//! at a legal place, ends at one, and touches at most two sentences, and these depend on *where* it stands, not only on
//! what it says. So the index is a suffix array (Manber and Myers 1990, "Suffix Arrays: A New Method for On-Line String
//! Searches") of the legal starts alone, each suffix cut at the last place where a quote from there may end. A state is
//! the run of suffixes that begin with what was written. Every prefix of such a suffix can be continued to a legal end,
//! which is why there are no dead ends, and what is accepted is exactly what is legal.
//!
//! Everything is bytes, and the vocabulary is a trie over bytes, so a quote may begin and end inside a token of the
//! passage's own tokenization.

use std::ops::Range;

use super::rules::{Legal, QuoteRules};
use super::token_set::TokenSet;
use super::vocabulary::{ROOT, Vocabulary};

/// A start and where copying from it may stop.
#[derive(Clone, Copy, Debug)]
struct Suffix {
    text: u32,
    start: u32,
    first_end: u32,
    last_end: u32,
}

/// What can be copied: legal quotes of passages, or whole labels.
///
/// Building sorts the legal starts: about a millisecond for three passages of 600 Han characters.
pub struct CopyIndex {
    texts: Vec<Box<[u8]>>,
    /// Legal ends of each text, ascending.
    ends: Vec<Vec<u32>>,
    suffixes: Vec<Suffix>,
}

/// How far a copy has come: which suffixes agree with it, and how many bytes it has. Belongs to one [`CopyIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyState {
    low: u32,
    high: u32,
    depth: u32,
}

/// A place where what was copied stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Index of the passage or label in the list that the index was built from.
    pub text: usize,
    /// Its bytes there.
    pub bytes: Range<usize>,
}

impl CopyState {
    /// Bytes copied so far.
    pub fn n_bytes(&self) -> usize {
        self.depth as usize
    }
}

impl CopyIndex {
    /// The legal quotes of `passages`: give the texts as they stand in the prompt.
    ///
    /// Quotes never hold a byte that `vocabulary` cannot write by itself (a byte-level vocabulary can write all), so that
    /// no choice of tokens leads into a dead end. Time and memory are bounded by the passages' length times
    /// [`QuoteRules::max_bytes`], in practice linear. Of a passage beyond 4 GiB nothing can be copied.
    pub fn quotes(passages: &[&str], rules: &QuoteRules, vocabulary: &Vocabulary) -> Self {
        let legal = passages.iter().map(|passage| {
            let unwritten = |at: &usize| !vocabulary.has_byte(passage.as_bytes()[*at]);
            let barriers: Vec<usize> = (0..passage.len()).filter(unwritten).collect();
            Legal::of(passage, rules, &barriers)
        });
        Self::new(passages, legal.collect())
    }

    /// Exactly one of `labels`, whole. Labels that `vocabulary` cannot write are left out.
    pub fn labels(labels: &[&str], vocabulary: &Vocabulary) -> Self {
        let legal = labels.iter().map(|label| {
            let can = !label.is_empty() && label.bytes().all(|byte| vocabulary.has_byte(byte));
            let start = super::rules::Start { at: 0, first_end: label.len(), last_end: label.len() };
            Legal { starts: can.then_some(start).into_iter().collect(), ends: vec![label.len()] }
        });
        Self::new(labels, legal.collect())
    }

    fn new(texts: &[&str], legal: Vec<Legal>) -> Self {
        let mut suffixes = Vec::new();
        for (n, (text, legal)) in texts.iter().zip(&legal).enumerate() {
            if u32::try_from(text.len()).is_err() {
                continue;
            }
            suffixes.extend(legal.starts.iter().map(|start| Suffix {
                text: n as u32,
                start: start.at as u32,
                first_end: start.first_end as u32,
                last_end: start.last_end as u32,
            }));
        }
        let ends = legal.into_iter().map(|legal| legal.ends.into_iter().map(|end| end as u32).collect()).collect();
        let texts: Vec<Box<[u8]>> = texts.iter().map(|text| text.as_bytes().into()).collect();
        let bytes = |suffix: &Suffix| &texts[suffix.text as usize][suffix.start as usize..suffix.last_end as usize];
        suffixes.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)).then((a.text, a.start).cmp(&(b.text, b.start))));
        Self { texts, ends, suffixes }
    }

    /// Whether nothing can be copied at all; then there is nothing to decode.
    pub fn is_empty(&self) -> bool {
        self.suffixes.is_empty()
    }

    /// The state before the first byte.
    pub fn start(&self) -> CopyState {
        CopyState { low: 0, high: self.suffixes.len() as u32, depth: 0 }
    }

    /// The state after `bytes` more; `None` when no legal copy goes on so.
    pub fn accept(&self, state: CopyState, bytes: &[u8]) -> Option<CopyState> {
        bytes.iter().try_fold(state, |state, byte| self.narrow(state, *byte))
    }

    /// Puts every token into `allowed` that goes on copying. Never none while [`CopyIndex::may_close`] is false, unless
    /// the index is empty. Cost: the trie and the suffixes that agree are walked together.
    pub fn allowed(&self, state: CopyState, vocabulary: &Vocabulary, allowed: &mut TokenSet) {
        self.visit(state, vocabulary, &mut |token| allowed.insert(token));
    }

    /// Calls `visit` for every token that goes on copying, each once.
    pub fn visit(&self, state: CopyState, vocabulary: &Vocabulary, visit: &mut dyn FnMut(u32)) {
        self.walk(self.clamp(state), ROOT, vocabulary, visit);
    }

    /// Whether the copy is complete as it stands: a legal quote, a whole label.
    pub fn may_close(&self, state: CopyState) -> bool {
        self.closed(state).next().is_some()
    }

    /// Where the copy stands as it is complete; nothing while it is not.
    pub fn occurrences(&self, state: CopyState) -> Vec<Occurrence> {
        let place = |suffix: &Suffix| Occurrence {
            text: suffix.text as usize,
            bytes: suffix.start as usize..suffix.start as usize + state.depth as usize,
        };
        let mut places: Vec<Occurrence> = self.closed(state).map(place).collect();
        places.sort_by_key(|place| (place.text, place.bytes.start));
        places
    }

    /// The text that must come next whatever is chosen, up to the next place where the copy may close; whole characters.
    /// `None` where there is a choice, closing being one.
    pub fn determined(&self, state: CopyState) -> Option<&str> {
        let run = self.run(state);
        if state.depth == 0 && run.len() > 1 || self.may_close(state) {
            return None;
        }
        // Suffixes are sorted, so what the first and the last have in common all have.
        let (first, last) = (self.rest(run.first()?, state.depth), self.rest(run.last()?, state.depth));
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let next_end = |suffix: &Suffix| {
            let ends = &self.ends[suffix.text as usize];
            let here = suffix.start.saturating_add(state.depth);
            let from = here.saturating_add(1).max(suffix.first_end);
            ends.get(ends.partition_point(|end| *end < from)).map(|end| end - here)
        };
        let until = run.iter().filter_map(next_end).min().map_or(common, |end| common.min(end as usize));
        let text = match std::str::from_utf8(&first[..until]) {
            Ok(text) => text,
            // An error at the very start means that the copy stands inside a character.
            Err(error) => std::str::from_utf8(&first[..error.valid_up_to()]).ok()?,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn closed(&self, state: CopyState) -> impl Iterator<Item = &Suffix> {
        self.run(state).iter().filter(move |suffix| {
            let end = suffix.start.saturating_add(state.depth);
            (suffix.first_end..=suffix.last_end).contains(&end)
                && self.ends[suffix.text as usize].binary_search(&end).is_ok()
        })
    }

    fn run(&self, state: CopyState) -> &[Suffix] {
        self.suffixes.get(state.low as usize..state.high as usize).unwrap_or_default()
    }

    /// What is left of a suffix behind `depth` bytes.
    fn rest(&self, suffix: &Suffix, depth: u32) -> &[u8] {
        let from = suffix.start.saturating_add(depth).min(suffix.last_end);
        &self.texts[suffix.text as usize][from as usize..suffix.last_end as usize]
    }

    fn next_byte(&self, suffix: &Suffix, depth: u32) -> Option<u8> {
        self.rest(suffix, depth).first().copied()
    }

    /// A state of another index must not reach outside this one.
    fn clamp(&self, state: CopyState) -> CopyState {
        let high = state.high.min(self.suffixes.len() as u32);
        CopyState { low: state.low.min(high), high, depth: state.depth }
    }

    fn narrow(&self, state: CopyState, byte: u8) -> Option<CopyState> {
        let run = self.run(state);
        let low = run.partition_point(|suffix| self.next_byte(suffix, state.depth) < Some(byte));
        let len = run[low..].partition_point(|suffix| self.next_byte(suffix, state.depth) == Some(byte));
        let low = state.low + low as u32;
        (len > 0).then_some(CopyState { low, high: low + len as u32, depth: state.depth.saturating_add(1) })
    }

    /// Depth-first over what trie and suffixes have in common. It recurses only where suffixes part, so never deeper than
    /// there are suffixes, whatever the length of a token.
    fn walk(&self, mut state: CopyState, mut node: u32, vocabulary: &Vocabulary, visit: &mut dyn FnMut(u32)) {
        loop {
            vocabulary.tokens_at(node).iter().for_each(|token| visit(*token));
            let mut low = state.low;
            loop {
                if low >= state.high {
                    return;
                }
                let Some(byte) = self.next_byte(&self.suffixes[low as usize], state.depth) else {
                    low += 1;
                    continue;
                };
                let run = &self.suffixes[low as usize..state.high as usize];
                let len = galloping(run, |suffix| self.next_byte(suffix, state.depth) == Some(byte)) as u32;
                let below = CopyState { low, high: low + len, depth: state.depth + 1 };
                let child = vocabulary.child(node, byte);
                if below.high == state.high {
                    let Some(child) = child else { return };
                    (state, node) = (below, child);
                    break;
                }
                if let Some(child) = child {
                    self.walk(below, child, vocabulary, visit);
                }
                low += len;
            }
        }
    }
}

/// How many elements from the first on satisfy `holds`, when those that do come first: by doubling steps, since the runs
/// are mostly short.
fn galloping<T>(run: &[T], holds: impl Fn(&T) -> bool) -> usize {
    let mut bound = 1;
    while bound < run.len() && holds(&run[bound]) {
        bound *= 2;
    }
    let from = bound / 2;
    from + run[from..bound.min(run.len())].partition_point(holds)
}

#[cfg(test)]
#[path = "copy_index_tests.rs"]
mod tests;
