//! The detector: all recognizers over one text, overlaps resolved, repeats of what was found added.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::address_en::LatinAddresses;
use crate::address_zh::ChineseAddresses;
use crate::digits;
use crate::entity::{EntityType, Finding};
use crate::fold::Folded;
use crate::patterns::Patterns;
use crate::person_en::LatinNames;
use crate::person_zh::ChineseNames;

/// What a [`Detector`] looks for.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorOptions {
    /// The lowest score that counts, 0 to 1.
    ///
    /// At the default of 0.5, an IP address, policy number or account number counts only where the words around it
    /// speak of a person (a server's address in a log does not); at 0.35 it counts anywhere, and so do a passport
    /// number and a 15-digit resident number without a word that names them.
    pub threshold: f32,
    /// The kinds that are looked for; what is absent is never reported.
    pub kinds: BTreeSet<EntityType>,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { threshold: 0.5, kinds: EntityType::ALL.into_iter().collect() }
    }
}

/// Finds personal data in Chinese and English text. Building one compiles its expressions (tens of milliseconds);
/// it can then be shared by any number of threads.
pub struct Detector {
    options: DetectorOptions,
    patterns: Patterns,
    chinese_names: ChineseNames,
    latin_names: LatinNames,
    chinese_addresses: ChineseAddresses,
    latin_addresses: LatinAddresses,
}

impl Detector {
    /// The version of the rules; it changes whenever a text may be judged differently.
    pub const VERSION: &'static str = "2";

    /// A detector for these options.
    pub fn new(options: DetectorOptions) -> Self {
        Self {
            options,
            patterns: Patterns::new(),
            chinese_names: ChineseNames::new(),
            latin_names: LatinNames::new(),
            chinese_addresses: ChineseAddresses::new(),
            latin_addresses: LatinAddresses::new(),
        }
    }

    /// What it looks for.
    pub fn options(&self) -> &DetectorOptions {
        &self.options
    }

    /// Every finding of the text, in order, without overlaps; offsets are bytes of `text` as it was given.
    ///
    /// Cost: linear in the text but for pathological repetition; some megabytes a second.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let folded = Folded::new(text);
        let mut found = self.candidates(folded.text());
        found.retain(|finding| finding.score >= self.options.threshold && self.options.kinds.contains(&finding.kind));
        let mut found = resolve(found);
        add_repeats(folded.text(), &mut found);
        for finding in &mut found {
            finding.range = folded.original(&finding.range);
        }
        found
    }

    /// As [`find`](Self::find), for a value that stands under a name (a field of a form or of a JSON object), which
    /// is read as its label.
    pub fn find_labelled(&self, label: &str, value: &str) -> Vec<Finding> {
        let mut whole = String::with_capacity(label.len() + value.len() + 2);
        whole.push_str(label);
        whole.push_str(": ");
        let skip = whole.len();
        whole.push_str(value);
        let mut found = self.find(&whole);
        found.retain(|finding| finding.range.end > skip);
        for finding in &mut found {
            finding.range = finding.range.start.saturating_sub(skip)..finding.range.end - skip;
        }
        found
    }

    fn candidates(&self, text: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        digits::find(text, &mut found);
        self.patterns.find(text, &mut found);
        if !text.is_ascii() {
            self.chinese_names.find(text, &mut found);
            self.chinese_addresses.find(text, &mut found);
        }
        self.latin_names.find(text, &mut found);
        self.latin_addresses.find(text, &mut found);
        found
    }
}

/// Keeps, of findings that overlap, the one with the higher score, then the longer, then the earlier. A finding that
/// lies in a longer one of nearly the same score gives way to it.
fn resolve(mut found: Vec<Finding>) -> Vec<Finding> {
    let weight = |finding: &Finding| finding.score + (finding.range.len() as f32 / 200.0).min(0.3);
    found.sort_by(|a, b| {
        weight(b).total_cmp(&weight(a)).then(b.range.len().cmp(&a.range.len())).then(a.range.start.cmp(&b.range.start))
    });
    let mut kept: Vec<Finding> = Vec::new();
    for finding in found {
        if !finding.range.is_empty() && !kept.iter().any(|other| other.overlaps(&finding.range)) {
            kept.push(finding);
        }
    }
    kept.sort_by_key(|finding| finding.range.start);
    kept
}

/// Adds every other place where a value that was found stands, so that one that was recognised by its context is not
/// left where it has none.
fn add_repeats(text: &str, found: &mut Vec<Finding>) {
    let mut values: Vec<(EntityType, Range<usize>, f32)> =
        found.iter().map(|finding| (finding.kind, finding.range.clone(), finding.score)).collect();
    // A Latin surname alone stands for the person.
    for finding in found.iter().filter(|finding| finding.kind == EntityType::Person && finding.score >= 0.6) {
        if let Some(space) = text[finding.range.clone()].rfind(' ') {
            values.push((finding.kind, finding.range.start + space + 1..finding.range.end, 0.6));
        }
    }
    values.sort_by_key(|(_, range, _)| std::cmp::Reverse(range.len()));
    values.dedup_by(|a, b| text[a.1.clone()] == text[b.1.clone()]);
    for (kind, range, score) in values {
        let value = &text[range];
        if value.chars().count() < 2 {
            continue;
        }
        for (at, _) in text.match_indices(value) {
            let place = at..at + value.len();
            if whole_word(text, &place) && !found.iter().any(|other| other.overlaps(&place)) {
                found.push(Finding::new(kind, place, score));
            }
        }
    }
    found.sort_by_key(|finding| finding.range.start);
}

/// Whether no letter or digit of the same script continues the place on either side.
pub(crate) fn whole_word(text: &str, place: &Range<usize>) -> bool {
    let latin = |c: char| c.is_alphanumeric() && !('\u{2E80}'..='\u{9FFF}').contains(&c);
    let value = &text[place.clone()];
    let open = !(value.chars().next().is_some_and(latin) && text[..place.start].chars().next_back().is_some_and(latin));
    open && !(value.chars().next_back().is_some_and(latin) && text[place.end..].chars().next().is_some_and(latin))
}
