//! What is held in memory of a small pack, so that a base with many deltas is searched like one pack.
//!
//! Asking SQLite costs some microseconds a pack before the first row, and comparing a vector exactly some tenths of one.
//! For thirty deltas of twenty passages either is as much again as searching the base. So the words of such packs are
//! held as lists by term, and their vectors in fixed point, which tells most rows from those worth an exact
//! comparison. Both are made when they are first asked for, from the rows of the pack; about as much as the pack's
//! sections take. Which packs are small is for [`choose`] to say. What is found is what SQLite and a scan find.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::error::Result;
use crate::fixed_point::FixedRows;
use crate::lexical::EachMatch;
use crate::segment::Segment;
use crate::term_counts::{BODY_WEIGHT, HEADING_WEIGHT};
use crate::terms::lexical_terms;
use crate::text_writer::heading;

/// Bytes that the packs of one snapshot may take together.
const HELD_BYTES: u64 = 8 << 20;

/// Which packs, given by the bytes of each, are held: the smallest first, until there is no room.
pub(crate) fn choose(sizes: &[u64]) -> Vec<bool> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|&at| (sizes[at], at));
    let mut chosen = vec![false; sizes.len()];
    let mut left = HELD_BYTES;
    for at in by_size {
        let Some(rest) = left.checked_sub(sizes[at]) else { break };
        (left, chosen[at]) = (rest, true);
    }
    chosen
}

/// What is held of one pack; each half is made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Held {
    vectors: OnceLock<FixedRows>,
    words: OnceLock<Postings>,
}

impl Held {
    /// The vectors of the segment that this is held of.
    pub fn vectors(&self, segment: &Segment) -> Result<&FixedRows> {
        Ok(match self.vectors.get() {
            Some(vectors) => vectors,
            None => {
                // Two threads that ask at once make it twice, and nobody waits.
                let made = segment.fixed_rows()?;
                self.vectors.get_or_init(|| made)
            }
        })
    }

    /// The words of the segment that this is held of.
    pub fn words(&self, segment: &Segment) -> Result<&Postings> {
        Ok(match self.words.get() {
            Some(words) => words,
            None => {
                let made = Postings::of(segment)?;
                self.words.get_or_init(|| made)
            }
        })
    }
}

/// The terms of a pack's rows, as its lexical index has them.
#[derive(Debug)]
pub(crate) struct Postings {
    /// All terms in order, one behind the other.
    text: String,
    /// For each term where it ends in `text`, and where its places end.
    ends: Vec<(u32, u32)>,
    /// Row and weighted count, by term and row.
    places: Vec<(u32, u32)>,
}

impl Postings {
    fn of(segment: &Segment) -> Result<Self> {
        let mut by_term: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
        let mut add = |row: u32, terms: Vec<String>, weight: u32| {
            for term in terms {
                let places = by_term.entry(term).or_default();
                match places.last_mut() {
                    Some((last, count)) if *last == row => *count = count.saturating_add(weight),
                    _ => places.push((row, weight)),
                }
            }
        };
        for row in 0..segment.len() {
            let passage = segment.passage(row)?;
            let heading = heading(&passage.document.title, &passage.title_path, passage.article.as_deref());
            add(row as u32, lexical_terms(&heading), HEADING_WEIGHT);
            add(row as u32, lexical_terms(&passage.text), BODY_WEIGHT);
        }
        let (mut text, mut ends, mut places) = (String::new(), Vec::with_capacity(by_term.len()), Vec::new());
        for (term, of_term) in by_term {
            text.push_str(&term);
            places.extend(of_term);
            ends.push((text.len() as u32, places.len() as u32));
        }
        text.shrink_to_fit();
        places.shrink_to_fit();
        Ok(Self { text, ends, places })
    }

    /// Calls `each` as [`lexical::each_match`](crate::lexical::each_match) does: by row, with the counts by term.
    pub fn each_match(&self, terms: &[String], each: EachMatch<'_>) {
        let mut found: Vec<(u32, u32, u32)> = Vec::new();
        for (number, term) in (0..).zip(terms) {
            found.extend(self.places_of(term).iter().map(|&(row, count)| (row, number, count)));
        }
        found.sort_unstable();
        for of_row in found.chunk_by(|a, b| a.0 == b.0) {
            each(of_row[0].0, &mut of_row.iter().map(|&(_, term, count)| (term as usize, count)));
        }
    }

    fn places_of(&self, term: &str) -> &[(u32, u32)] {
        let start = |at: usize| at.checked_sub(1).map_or((0, 0), |before| self.ends[before]);
        let term_at = |at: usize| &self.text[start(at).0 as usize..self.ends[at].0 as usize];
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            match term_at(middle).cmp(term) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return &self.places[start(middle).1 as usize..self.ends[middle].1 as usize];
                }
            }
        }
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_are_held_until_there_is_no_room() {
        let third = HELD_BYTES / 3;
        assert_eq!(choose(&[]), [false; 0]);
        assert_eq!(choose(&[third, HELD_BYTES + 1, third, 0]), [true, false, true, true]);
        assert_eq!(choose(&[third + 1, third, third, third]), [false, true, true, true]);
        assert_eq!(choose(&[u64::MAX, HELD_BYTES]), [false, true]);
    }
}
