//! What becomes of a finding: masked, labelled, replaced by a surrogate, or kept.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::detector::{Detector, whole_word};
use crate::entity::{EntityType, Finding};
use crate::surrogate::{Issued, Surrogates};

/// What to do with one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A `*` for each character.
    Mask,
    /// The kind in angle brackets: `<PHONE>`.
    Label,
    /// A value of the same shape; see [`Surrogates`].
    Surrogate,
    /// Nothing: it is counted and stays.
    Keep,
}

/// What to do with findings of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// For kinds without a word of their own.
    pub action: Action,
    /// For the kinds named here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_kind: BTreeMap<EntityType, Action>,
}

impl Policy {
    /// The same action for every kind.
    pub fn all(action: Action) -> Self {
        Self { action, by_kind: BTreeMap::new() }
    }

    /// The action for a kind.
    pub fn action_for(&self, kind: EntityType) -> Action {
        self.by_kind.get(&kind).copied().unwrap_or(self.action)
    }
}

/// One replacement: where it was in the original, where it is in the output, both in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The replaced bytes of the original.
    pub original: Range<usize>,
    /// The bytes of the output that stand for them.
    pub output: Range<usize>,
}

/// A text without its personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Redaction {
    /// The new text.
    pub text: String,
    /// What was found, in offsets of the original, in order, without overlaps.
    pub findings: Vec<Finding>,
    /// What was replaced, in order.
    pub edits: Vec<Edit>,
}

/// How often a text is read again for what a replacement brought to light. Each round makes findings larger, so the
/// loop ends by itself; the bound is for time.
const ROUNDS: usize = 8;

/// Finds personal data and replaces it. Share one between threads.
pub struct Redactor {
    detector: Detector,
    policy: Policy,
    surrogates: Surrogates,
    own: Issued,
}

impl Redactor {
    /// A redactor with a detector, a policy, and the key of its surrogates (which only [`Action::Surrogate`] uses).
    pub fn new(detector: Detector, policy: Policy, surrogates: Surrogates) -> Self {
        Self { detector, policy, surrogates, own: Issued::default() }
    }

    /// Leaves alone what an earlier run put in place of values under the same key, as its report lists it: for data
    /// that is redacted again, under newer rules or another policy. A true value that happens to be one of those
    /// surrogates (a common name) stays as well.
    pub fn leaving(mut self, own: Issued) -> Self {
        self.own = own;
        self
    }

    /// The surrogates among the replacements of a redaction, for those who will redact its text again.
    pub fn issued(&self, redaction: &Redaction) -> Issued {
        let mut issued = Issued::default();
        let replaced = redaction.findings.iter().filter(|finding| self.policy.action_for(finding.kind) != Action::Keep);
        for (finding, edit) in replaced.zip(&redaction.edits) {
            if self.policy.action_for(finding.kind) == Action::Surrogate {
                self.surrogates.note(&redaction.text[edit.output.clone()], &mut issued);
            }
        }
        issued
    }

    /// The detector.
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Redacts one text.
    pub fn redact(&self, text: &str) -> Redaction {
        let findings = self.close("", text, &[]);
        self.finish(text, findings)
    }

    /// Redacts texts that belong together (the strings of one record, the turns of a dialogue), each under the name
    /// of its field or an empty one: what is found in one of them is replaced in all.
    pub fn redact_together(&self, texts: &[(&str, &str)]) -> Vec<Redaction> {
        let mut findings: Vec<Vec<Finding>> = texts.iter().map(|(label, text)| self.close(label, text, &[])).collect();
        let mut known: Vec<(EntityType, &str)> = Vec::new();
        for ((_, text), found) in texts.iter().zip(&findings) {
            known.extend(found.iter().map(|finding| (finding.kind, &text[finding.range.clone()])));
        }
        if texts.len() > 1 && !known.is_empty() {
            known.sort_by_key(|(_, value)| (std::cmp::Reverse(value.len()), *value));
            known.dedup_by_key(|(_, value)| *value);
            for ((label, text), found) in texts.iter().zip(&mut findings) {
                if known.iter().any(|(_, value)| text.contains(value)) {
                    *found = self.close(label, text, &known);
                }
            }
        }
        texts.iter().zip(findings).map(|((_, text), found)| self.finish(text, found)).collect()
    }

    fn find(&self, label: &str, text: &str, known: &[(EntityType, &str)]) -> Vec<Finding> {
        let mut found =
            if label.is_empty() { self.detector.find(text) } else { self.detector.find_labelled(label, text) };
        found.retain(|finding| !self.surrogates.is_own(&text[finding.range.clone()], &self.own));
        for (kind, value) in known.iter().filter(|(_, value)| value.chars().count() > 1) {
            for (at, _) in text.match_indices(value) {
                let place = at..at + value.len();
                if whole_word(text, &place) && !found.iter().any(|other| other.overlaps(&place)) {
                    found.push(Finding::new(*kind, place, 1.0));
                }
            }
        }
        found.sort_by_key(|finding| finding.range.start);
        found
    }

    /// The findings, with those that show only once the others are gone: a second reading finds no more.
    fn close(&self, label: &str, text: &str, known: &[(EntityType, &str)]) -> Vec<Finding> {
        let mut findings = self.find(label, text, known);
        if findings.is_empty() {
            return findings;
        }
        for _ in 0..ROUNDS {
            let (output, edits) = apply(text, &findings, |finding, value| match self.policy.action_for(finding.kind) {
                Action::Label => label_of(finding.kind),
                _ => mask(value),
            });
            let mut grown = false;
            for finding in self.find(label, &output, known) {
                let range = back(&edits, &finding.range);
                let inside = findings.iter().any(|old| old.range.start <= range.start && range.end <= old.range.end);
                if !inside && !range.is_empty() {
                    merge(&mut findings, Finding { range, ..finding });
                    grown = true;
                }
            }
            if !grown {
                break;
            }
        }
        findings
    }

    fn finish(&self, text: &str, findings: Vec<Finding>) -> Redaction {
        let replaced: Vec<Finding> =
            findings.iter().filter(|finding| self.policy.action_for(finding.kind) != Action::Keep).cloned().collect();
        let (text, edits) = apply(text, &replaced, |finding, value| match self.policy.action_for(finding.kind) {
            Action::Mask => mask(value),
            Action::Label => label_of(finding.kind),
            Action::Surrogate => self.surrogates.of(finding.kind, value),
            Action::Keep => value.to_owned(),
        });
        Redaction { text, findings, edits }
    }
}

fn mask(value: &str) -> String {
    value.chars().map(|c| if c == '\n' { c } else { '*' }).collect()
}

fn label_of(kind: EntityType) -> String {
    format!("<{kind}>")
}

/// Replaces findings, which are in order and apart.
pub(crate) fn apply(
    text: &str,
    findings: &[Finding],
    mut replace: impl FnMut(&Finding, &str) -> String,
) -> (String, Vec<Edit>) {
    let mut output = String::with_capacity(text.len());
    let mut edits = Vec::with_capacity(findings.len());
    let mut at = 0;
    for finding in findings {
        output.push_str(&text[at..finding.range.start]);
        let start = output.len();
        output.push_str(&replace(finding, &text[finding.range.clone()]));
        edits.push(Edit { original: finding.range.clone(), output: start..output.len() });
        at = finding.range.end;
    }
    output.push_str(&text[at..]);
    (output, edits)
}

/// The original bytes of a range of the output; what was replaced counts whole.
fn back(edits: &[Edit], range: &Range<usize>) -> Range<usize> {
    let place = |at: usize, is_end: bool| {
        let mut shift = 0_isize;
        for edit in edits {
            let before = if is_end { edit.output.end < at } else { edit.output.end <= at };
            if before {
                shift = edit.original.end as isize - edit.output.end as isize;
            } else if if is_end { edit.output.start < at } else { edit.output.start <= at } {
                return if is_end { edit.original.end } else { edit.original.start };
            } else {
                break;
            }
        }
        at.saturating_add_signed(shift)
    };
    place(range.start, false)..place(range.end, true)
}

/// Adds a finding; those it touches become one with it, of the kind that was there first.
fn merge(findings: &mut Vec<Finding>, mut new: Finding) {
    findings.retain(|old| {
        let touches = old.overlaps(&new.range);
        if touches {
            new.range = new.range.start.min(old.range.start)..new.range.end.max(old.range.end);
            new.kind = old.kind;
        }
        !touches
    });
    findings.push(new);
    findings.sort_by_key(|finding| finding.range.start);
}
