//! Search by words over all members, scored by common statistics.
//!
//! BM25 with the constants and the formula of FTS5's `bm25()` (k1 = 1.2, b = 0.75, an inverse document frequency of at
//! least 1e-6, after Robertson and Zaragoza 2009), so that a chain of one pack ranks as FTS5 does. The number of passages,
//! their average length and the frequency of each term are those of the *live passages the caller may see*, whatever
//! the day. With them a chain scores as a fresh build of the same passages does; and a score cannot tell what the caller
//! may not see: add or take away a forbidden passage, and each score stays what it was. (Statistics over all passages
//! would give away, by a lower score, how many forbidden passages have a word.)
//!
//! They cost nothing extra: each member hands out the matching rows with their counts once; frequencies are counted on
//! the way, and rows are scored when all members have been asked. Sixteen bytes and eight for each term are held
//! for each matching row until then.

use crate::error::Result;
use crate::lexical::{EachMatch, Query};
use crate::snapshot::scope::Filter;
use crate::snapshot::{Scope, Snapshot, key_of};
use crate::term_counts::MAX_TERMS;
use crate::types::Hit;

const K1: f64 = 1.2;
const B: f64 = 0.75;
/// What a term is worth that more than half of the passages have.
const LEAST_IDF: f64 = 1e-6;

/// A matching row that may be found, with the range of its counts.
struct Match {
    key: u64,
    terms: u32,
    end: u32,
}

impl Snapshot {
    /// The `k` passages that match any word of `text` best by BM25 among those the scope allows, best first and ties by
    /// key. Scores depend on nothing but the live passages that the caller's labels allow.
    ///
    /// # Errors
    /// A damaged pack. No text is an error: it is taken as words, never as a query language.
    pub fn lexical(&self, text: &str, k: usize, scope: &Scope<'_>) -> Result<Vec<Hit>> {
        let Some(query) = Query::of(text).filter(|_| k > 0) else { return Ok(Vec::new()) };
        let filters = self.filters(scope);
        let mut frequencies = [0u64; MAX_TERMS];
        let mut matches: Vec<Match> = Vec::new();
        let mut counts: Vec<(u32, u32)> = Vec::new();
        for (at, (member, filter)) in self.inner.members.iter().zip(filters.iter()).enumerate() {
            if filter.is_empty() {
                continue;
            }
            let terms = &member.table().terms;
            let each: EachMatch<'_> = &mut |row, row_counts| {
                let Some(&terms) = terms.get(row as usize) else { return };
                let counted = filter.counted.contains(u64::from(row));
                let found = filter.found.contains(u64::from(row));
                for (term, count) in row_counts {
                    if counted {
                        frequencies[term] += 1;
                    }
                    if found {
                        counts.push((term as u32, count));
                    }
                }
                if found {
                    matches.push(Match { key: key_of(at, row), terms, end: counts.len() as u32 });
                }
            };
            match &member.held {
                Some(held) => held.words(&member.segment)?.each_match(&query.terms, each),
                None => member.segment.each_match(&query, each)?,
            }
        }
        let weights = Weights::of(&frequencies, &filters);
        let mut scored: Vec<(f64, u64)> = Vec::with_capacity(matches.len());
        let mut start = 0;
        for matched in &matches {
            let row_counts = counts.get(start..matched.end as usize).unwrap_or_default();
            start = matched.end as usize;
            scored.push((weights.score(row_counts, matched.terms), matched.key));
        }
        let better = |a: &(f64, u64), b: &(f64, u64)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > k {
            scored.select_nth_unstable_by(k, better);
            scored.truncate(k);
        }
        scored.sort_unstable_by(better);
        Ok(scored.into_iter().map(|(score, key)| Hit { key, score: score as f32 }).collect())
    }
}

/// The statistics of one question.
struct Weights {
    idf: [f64; MAX_TERMS],
    average_terms: f64,
}

impl Weights {
    fn of(frequencies: &[u64; MAX_TERMS], filters: &[Filter]) -> Self {
        let passages: u64 = filters.iter().map(|filter| filter.n_counted).sum();
        let terms: u64 = filters.iter().map(|filter| filter.counted_terms).sum();
        let idf = frequencies.map(|frequency| {
            let without = passages.saturating_sub(frequency) as f64;
            let idf = ((without + 0.5) / (frequency as f64 + 0.5)).ln();
            if idf > 0.0 { idf } else { LEAST_IDF }
        });
        // Nothing to take an average of: all that can be found is superseded.
        let average_terms = if terms == 0 { 1.0 } else { terms as f64 / passages as f64 };
        Self { idf, average_terms }
    }

    fn score(&self, counts: &[(u32, u32)], terms: u32) -> f64 {
        let length = K1 * (1.0 - B + B * f64::from(terms) / self.average_terms);
        let of_term = |&(term, count): &(u32, u32)| {
            let count = f64::from(count);
            self.idf.get(term as usize).copied().unwrap_or_default() * (count * (K1 + 1.0) / (count + length))
        };
        counts.iter().map(of_term).sum()
    }
}
