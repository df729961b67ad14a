//! Choosing where to cut: the cheapest way to gather units into passages.
//!
//! Dynamic programming over all cuts, as in the line breaking of Knuth and Plass (1981): every passage costs, so there
//! are few; every cut costs by what it parts; a tiny passage and uneven ones cost a little. Integers only, so the result
//! is the same everywhere. Time is the number of units times the units that fit in one passage.

use std::ops::Range;

use crate::units::Unit;

const PASSAGE: u64 = 10_000;
const CUT: u64 = 1000;
const TINY: u64 = 8000;
const SLACK: u64 = 4000;

/// Runs of units, in order and without gaps, each within `budget` tokens unless a single unit is more.
pub(crate) fn fit(units: &[Unit], budget: usize, min_tokens: usize) -> Vec<Range<usize>> {
    let budget = budget.max(1);
    let header_tokens = |unit: &Unit| if unit.header.is_some() { budget / 3 } else { 0 };
    let mut best: Vec<(u64, usize)> = Vec::with_capacity(units.len() + 1);
    best.push((0, 0));
    for end in 1..=units.len() {
        let mut tokens = 0usize;
        let mut cheapest = (u64::MAX, end - 1);
        for start in (0..end).rev() {
            let unit = &units[start];
            tokens = tokens.saturating_add(unit.tokens.max(1));
            if tokens > budget && start + 1 < end {
                break;
            }
            // A passage that starts in a table carries the header too; its exact size is checked when it is built.
            if tokens.saturating_add(header_tokens(unit)) > budget && header_tokens(unit) > 0 && start + 1 < end {
                continue;
            }
            let cut = if start == 0 { 0 } else { u64::from(unit.cut) * CUT };
            let tiny = if tokens < min_tokens { TINY } else { 0 };
            let slack = (budget.saturating_sub(tokens)) as u64;
            let uneven = SLACK * slack * slack / ((budget * budget) as u64);
            let cost = best[start].0.saturating_add(PASSAGE + cut + tiny + uneven);
            if cost < cheapest.0 {
                cheapest = (cost, start);
            }
        }
        best.push(cheapest);
    }
    let mut runs = Vec::new();
    let mut end = units.len();
    while end > 0 {
        let start = best[end].1;
        runs.push(start..end);
        end = start;
    }
    runs.reverse();
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::{ITEM, PARAGRAPH, SENTENCE};

    fn unit(tokens: usize, cut: u8) -> Unit {
        Unit { range: 0..1, cut, tokens, header: None, inside_sentence: false }
    }

    #[test]
    fn a_cut_between_paragraphs_is_preferred() {
        let units = [unit(40, PARAGRAPH), unit(40, SENTENCE), unit(40, PARAGRAPH), unit(40, SENTENCE)];
        assert_eq!(fit(&units, 120, 10), [0..2, 2..4]);
    }

    #[test]
    fn no_tiny_rest_is_left() {
        let units = [unit(30, PARAGRAPH), unit(30, ITEM), unit(30, ITEM), unit(5, ITEM)];
        assert_eq!(fit(&units, 90, 20), [0..2, 2..4]);
    }

    proptest! {
        #[test]
        fn runs_cover_all_units_within_the_budget(tokens in prop::collection::vec(0usize..50, 0..60), budget in 1usize..80, min in 0usize..30) {
            let units: Vec<_> = tokens.iter().map(|t| unit(*t, (*t % 7) as u8)).collect();
            let runs = fit(&units, budget, min);
            let mut next = 0;
            for run in runs {
                prop_assert_eq!(run.start, next);
                prop_assert!(run.end > run.start);
                let sum: usize = tokens[run.clone()].iter().map(|t| (*t).max(1)).sum();
                prop_assert!(sum <= budget || run.len() == 1);
                next = run.end;
            }
            prop_assert_eq!(next, units.len());
        }
    }
}
