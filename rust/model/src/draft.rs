//! Guessing what comes next from a text at hand, and how far ahead guessing pays.

use crate::lookahead::Verdict;

/// Where drafts come from. A wrong draft costs time, never the result.
pub trait DraftSource {
    /// At most `limit` tokens that could come next.
    fn propose(&mut self, limit: usize) -> Vec<u32>;

    /// The next token, and what it said about the last proposal.
    fn observe(&mut self, token: u32, verdict: Verdict);

    /// What another row in a pass was measured to cost, in passes of one row.
    fn row_cost(&mut self, _cost: f32) {}
}

/// Stands between texts that do not go on in each other; no token has this id.
const SEAM: u32 = u32::MAX;
/// Tokens of the end of the text that are looked up at most.
const LONGEST_MATCH: usize = 8;
/// Kinds of guesses by the number of tokens that agree before them: 1, 2, 3 to 4, 5 and more.
const CLASSES: usize = 4;
/// How likely a guess of each kind is right before anything was observed.
const PRIOR: [f32; CLASSES] = [0.15, 0.35, 0.6, 0.8];
/// Weight of the latest observation.
const LEARNING_RATE: f32 = 0.15;
/// After as many tokens at which a guess did not seem worth it, one is made, to see whether that still holds.
const PROBE_EVERY: usize = 24;
/// What another row in a pass costs, in passes of one row, until it is measured. A pass of few rows reads the weights
/// once, so it is far below 1.
const ROW_COST: f32 = 0.25;

/// What was learnt from guesses: how often they are right, and what they cost. It may go on from one text to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habits {
    chance: [f32; CLASSES],
    row_cost: f32,
}

impl Default for Habits {
    fn default() -> Self {
        Self { chance: PRIOR, row_cost: ROW_COST }
    }
}

/// Drafts by looking up the last tokens in given texts and in what was said so far (Saxena, "Prompt Lookup Decoding",
/// 2023): a grounded answer copies.
///
/// Of all earlier places that agree with the longest end of the text, the last one is taken, and what followed it is
/// the draft. A draft grows while the chance that all of it is right, learnt for each length of agreement from the
/// guesses before, exceeds the cost of another row. So it is long where text repeats, and stops where it does not.
#[derive(Clone, Debug)]
pub struct PromptLookup {
    /// The texts, a seam behind each, then what was said.
    text: Vec<u32>,
    said_from: usize,
    habits: Habits,
    /// Tokens that agreed before the last proposal, and how many of its tokens were judged.
    matched: usize,
    judged: usize,
    idle: usize,
}

impl PromptLookup {
    /// Drafts from these texts, of which the later ones are preferred.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t [u32]>, habits: Habits) -> Self {
        let mut text = Vec::new();
        for part in texts {
            text.extend_from_slice(part);
            text.push(SEAM);
        }
        let said_from = text.len();
        Self { text, said_from, habits, matched: 0, judged: 0, idle: 0 }
    }

    /// What was learnt so far.
    pub fn habits(&self) -> Habits {
        self.habits
    }

    /// Where the longest match goes on, and its length.
    fn best_match(&self) -> Option<(usize, usize)> {
        let text = &self.text[..];
        let last = *text.last()?;
        let longest = LONGEST_MATCH.min(text.len() - self.said_from);
        let mut best: Option<(usize, usize)> = None;
        for at in (1..text.len()).rev() {
            if text[at - 1] != last || text[at] == SEAM {
                continue;
            }
            let agree = (1..=longest.min(at)).take_while(|n| text[at - n] == text[text.len() - n]).count();
            if best.is_none_or(|(_, len)| agree > len) {
                best = Some((at, agree));
                if agree == LONGEST_MATCH {
                    break;
                }
            }
        }
        best.filter(|(_, len)| *len > 0)
    }

    fn class(agreeing: usize) -> usize {
        match agreeing {
            0 | 1 => 0,
            2 => 1,
            3 | 4 => 2,
            _ => 3,
        }
    }
}

impl DraftSource for PromptLookup {
    fn propose(&mut self, limit: usize) -> Vec<u32> {
        let Some((from, matched)) = self.best_match() else { return Vec::new() };
        (self.matched, self.judged) = (matched, 0);
        let mut chance = 1.0;
        let pays = |guess: &usize| {
            chance *= self.habits.chance[Self::class(matched + guess)];
            chance > self.habits.row_cost
        };
        let mut n = (0..limit).take_while(pays).count();
        if n == 0 {
            self.idle += 1;
            if self.idle >= PROBE_EVERY {
                n = limit.min(1);
            }
        }
        if n > 0 {
            self.idle = 0;
        }
        self.text[from..].iter().take(n).take_while(|token| **token != SEAM).copied().collect()
    }

    fn observe(&mut self, token: u32, verdict: Verdict) {
        let class = Self::class(self.matched + self.judged);
        let chance = &mut self.habits.chance[class];
        match verdict {
            Verdict::Undrafted => {}
            Verdict::Hit => *chance += LEARNING_RATE * (1.0 - *chance),
            Verdict::Miss => *chance -= LEARNING_RATE * *chance,
        }
        self.judged += 1;
        self.text.push(token);
    }

    fn row_cost(&mut self, cost: f32) {
        // One measurement says little: another thread may have taken the processor.
        if cost.is_finite() {
            let known = &mut self.habits.row_cost;
            *known += LEARNING_RATE * (cost.clamp(0.02, 1.0) - *known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(lookup: &mut PromptLookup, tokens: &[u32]) {
        for token in tokens {
            lookup.observe(*token, Verdict::Undrafted);
        }
    }

    #[test]
    fn a_draft_goes_on_where_the_longest_end_of_the_text_stood_before() {
        let mut lookup = PromptLookup::new([&[1, 2, 3, 4, 5][..], &[9, 3, 7, 7]], Habits::default());
        say(&mut lookup, &[3]);
        assert!(lookup.propose(4).is_empty(), "one token that agrees is little");
        lookup.habits.chance = [0.9; CLASSES];
        assert_eq!(lookup.propose(4), [7, 7], "the later text, up to its end");
        say(&mut lookup, &[2, 3]);
        assert_eq!(lookup.propose(2), [4, 5], "two tokens agree here");
        assert_eq!(lookup.propose(1), [4]);
        say(&mut lookup, &[50]);
        assert!(lookup.propose(4).is_empty());
    }

    #[test]
    fn what_was_said_is_looked_up_too() {
        let mut lookup = PromptLookup::new([], Habits::default());
        say(&mut lookup, &[1, 2, 3, 4, 5, 6, 2, 3, 4]);
        assert_eq!(lookup.propose(2), [5, 6]);
        assert!(PromptLookup::new([&[1, 2][..]], Habits::default()).propose(3).is_empty(), "nothing was said yet");
    }

    #[test]
    fn drafts_end_after_misses_come_back_by_a_probe_and_grow_on_hits() {
        let texts: Vec<u32> = (0..400).collect();
        let mut lookup = PromptLookup::new([&texts[..]], Habits::default());
        say(&mut lookup, &[7, 8, 9]);
        let first = lookup.propose(8).len();
        assert!((1..8).contains(&first), "{first}");
        let mut misses = 0;
        while !lookup.propose(8).is_empty() {
            lookup.observe(7, Verdict::Miss);
            say(&mut lookup, &[8, 9]);
            misses += 1;
        }
        assert!(misses < 12, "{misses}");
        let quiet = (0..PROBE_EVERY * 3).filter(|_| lookup.propose(8).is_empty()).count();
        assert!((PROBE_EVERY * 3 - 3..PROBE_EVERY * 3).contains(&quiet), "{quiet} without a draft");
        let mut lookup = PromptLookup::new([&texts[..]], Habits::default());
        say(&mut lookup, &[7, 8, 9]);
        let mut longest = 0;
        let mut next = 10;
        for _ in 0..12 {
            let draft = lookup.propose(8);
            longest = longest.max(draft.len());
            for token in draft {
                assert_eq!(token, next);
                lookup.observe(token, Verdict::Hit);
                next += 1;
            }
            say(&mut lookup, &[next]);
            next += 1;
        }
        assert_eq!(longest, 8);
    }
}
