//! What a new edition of the sources changes: a pure function, before anything is embedded.

use std::collections::{BTreeSet, HashMap, HashSet};

use lorekit_pack::{PassageDigest, PassageId, Withdrawal, WithdrawalKind};

use crate::build::{check_documents, check_passages, passage_ids, prepare_one};
use crate::delta::{EmbeddingKey, Parent, embedded_title, same_document};
use crate::error::{Error, Result};
use crate::matrix::stored_row;
use crate::types::{Document, NewDocument, NewPassage};

/// What happens to a passage of the new edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is live in the parent just as it is: nothing is written.
    Unchanged,
    /// It is live in the parent under the same id, but its place, its labels or its document's title changed: its row
    /// is written anew.
    Redescribed,
    /// The parent does not hold it live: its row is written.
    Added,
}

/// The plan for one passage of the new edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedPassage {
    /// Its name.
    pub id: PassageId,
    /// What happens to it.
    pub fate: Fate,
    /// The key of a passage of the parent with the very same embedding input, whose vector is copied bit for bit; none:
    /// it has to be embedded. Always given for an unchanged one.
    pub vector_from: Option<u64>,
    /// The digest of an unchanged one, as the parent has it.
    pub(crate) digest: Option<PassageDigest>,
}

impl PlannedPassage {
    /// Whether it has to be embedded.
    pub fn needs_embedding(&self) -> bool {
        self.vector_from.is_none()
    }

    /// Whether its row is in the delta.
    pub fn is_written(&self) -> bool {
        self.fate != Fate::Unchanged
    }
}

/// What a delta will hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaPlan {
    /// One for each passage of the new edition, in its order.
    pub passages: Vec<PlannedPassage>,
    /// What it withdraws, by id.
    pub withdrawals: Vec<Withdrawal>,
    /// For each document of the new edition, whether its row is in the delta.
    pub(crate) documents: Vec<bool>,
}

impl DeltaPlan {
    /// Positions of the passages that have to be embedded, ascending.
    pub fn to_embed(&self) -> Vec<usize> {
        (0..self.passages.len()).filter(|&n| self.passages[n].needs_embedding()).collect()
    }

    /// How many passages have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.passages.iter().filter(|passage| passage.fate == fate).count()
    }

    /// How many passages are superseded, removed and revoked.
    pub fn withdrawn(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for withdrawal in &self.withdrawals {
            counts[match withdrawal.kind {
                WithdrawalKind::Superseded { .. } => 0,
                WithdrawalKind::Removed => 1,
                WithdrawalKind::Revoked => 2,
            }] += 1;
        }
        counts
    }

    /// Whether the new edition is the parent as it is: no row to write and nothing to withdraw.
    pub fn is_empty(&self) -> bool {
        self.withdrawals.is_empty() && !self.documents.contains(&true)
    }
}

/// A live passage of the parent.
struct Live {
    key: u64,
    document: usize,
    valid_from: Option<String>,
    valid_to: Option<String>,
    embedding: EmbeddingKey,
}

/// Compares a new edition, cut by the parent's splitter, with what the parent holds live.
///
/// A passage that leaves is *superseded* if its document stays with a first day of validity, and held up to the day
/// before; it is *removed* if its document is gone, says no day, or says one on which the passage had not begun
/// to hold (a correction and no amendment). `revoke` lists documents and passage ids (in hexadecimal) whose passages
/// that leave are *revoked* instead, and so are those that left before as superseded; an id that the parent holds no
/// more may be listed as well.
///
/// Reads each live row of the parent once, and the vectors of those that stay. Memory is about 200 bytes a passage of
/// the parent.
///
/// # Errors
/// [`Error::InvalidInput`] for documents and passages that do not fit together, for something to revoke that the parent
/// does not have, or that the new edition still holds; a damaged parent.
pub fn plan_delta(
    parent: &dyn Parent,
    documents: &[NewDocument],
    passages: &[NewPassage],
    revoke: &[String],
) -> Result<DeltaPlan> {
    check_documents(documents)?;
    check_passages(documents, passages)?;
    let (old_documents, live) = read(parent)?;
    let by_input: HashMap<EmbeddingKey, u64> =
        live.iter().rev().map(|(_, passage)| (passage.embedding, passage.key)).collect();
    let live_by_id: HashMap<PassageId, &Live> = live.iter().map(|(id, passage)| (*id, passage)).collect();

    let mut planned = Vec::with_capacity(passages.len());
    for (passage, id) in passages.iter().zip(passage_ids(documents, passages)) {
        let document = &documents[passage.document];
        let title = embedded_title(&document.title, &passage.title_path);
        let embedding = EmbeddingKey::of(&title, &passage.text);
        let old = live_by_id.get(&id);
        let vector_from = old
            .filter(|old| old.embedding == embedding)
            .map(|old| old.key)
            .or_else(|| by_input.get(&embedding).copied());
        let mut next = PlannedPassage { id, fate: Fate::Added, vector_from, digest: None };
        if let Some(old) = old {
            next.fate = Fate::Redescribed;
            if vector_from == Some(old.key) {
                let vector = stored_row(&parent.vector(old.key)?);
                let stored = parent.passage(old.key)?;
                let digest = prepare_one(document, passage, id, &vector).digest;
                if digest == digest_of(&stored, &vector) {
                    (next.fate, next.digest) = (Fate::Unchanged, Some(digest));
                }
            }
        }
        planned.push(next);
    }

    let known: HashMap<&str, &Document> =
        old_documents.iter().map(|document| (document.id.as_str(), document)).collect();
    let mut written: Vec<bool> = documents
        .iter()
        .map(|new| known.get(new.id.as_str()).is_none_or(|old| !same_document(old, &Document::from(new))))
        .collect();
    // A document without passages is no knowledge: no row for it, or each delta would bring it again.
    let with_passages: HashSet<usize> = passages.iter().map(|passage| passage.document).collect();
    written.iter_mut().enumerate().for_each(|(index, written)| *written &= with_passages.contains(&index));
    for (passage, plan) in passages.iter().zip(&planned) {
        written[passage.document] |= plan.is_written();
    }

    let stay: HashSet<PassageId> = planned.iter().map(|passage| passage.id).collect();
    let mut revoked = Revocations::of(revoke, &stay)?;
    let next_edition: HashMap<&str, &NewDocument> = documents.iter().map(|new| (new.id.as_str(), new)).collect();
    let mut withdrawals = Vec::new();
    for (id, passage) in live.iter().filter(|(id, _)| !stay.contains(id)) {
        let document = old_documents[passage.document].id.as_str();
        let kind = match next_edition.get(document) {
            _ if revoked.takes(*id, document) => WithdrawalKind::Revoked,
            Some(next) => leaves(passage, next.valid_from.as_deref()),
            None => WithdrawalKind::Removed,
        };
        withdrawals.push(Withdrawal { passage: *id, kind });
    }
    if !revoke.is_empty() {
        for key in parent.superseded_keys()? {
            let passage = parent.passage(key)?;
            if !stay.contains(&passage.id) && revoked.takes(passage.id, &passage.document.id) {
                withdrawals.push(Withdrawal { passage: passage.id, kind: WithdrawalKind::Revoked });
            }
        }
    }
    revoked.finish(&mut withdrawals)?;
    withdrawals.sort_by_key(|withdrawal| withdrawal.passage);
    Ok(DeltaPlan { passages: planned, withdrawals, documents: written })
}

/// In which way a passage leaves whose document stays, with this first day of its new edition.
fn leaves(passage: &Live, valid_from: Option<&str>) -> WithdrawalKind {
    let Some(last) = valid_from.and_then(day_before) else { return WithdrawalKind::Removed };
    let last = passage.valid_to.clone().filter(|own| *own < last).unwrap_or(last);
    match &passage.valid_from {
        Some(first) if *first > last => WithdrawalKind::Removed,
        _ => WithdrawalKind::Superseded { valid_to: last },
    }
}

/// The day before a day `YYYY-MM-DD` of the Gregorian calendar.
pub(crate) fn day_before(date: &str) -> Option<String> {
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<u32>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (year, month, day) = match (month, day) {
        (1, 1) => (year.checked_sub(1)?, 12, 31),
        (_, 1) => {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let days = match month - 1 {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month - 1, days)
        }
        _ => (year, month, day.checked_sub(1)?),
    };
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

fn digest_of(passage: &crate::types::Passage, vector: &[u8]) -> PassageDigest {
    PassageDigest::of(
        &passage.document.id,
        &passage.title_path,
        passage.article.as_deref(),
        &passage.place,
        &passage.text,
        &passage.label_groups,
        vector,
    )
}

/// Live passages of the parent, in its order.
type LivePassages = Vec<(PassageId, Live)>;

/// All live passages of the parent by their order, and the documents they are of.
fn read(parent: &dyn Parent) -> Result<(Vec<Document>, LivePassages)> {
    let mut documents: Vec<Document> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut live = Vec::new();
    for key in parent.live_keys()? {
        let passage = parent.passage(key)?;
        let title = embedded_title(&passage.document.title, &passage.title_path);
        let embedding = EmbeddingKey::of(&title, &passage.text);
        let document = *positions.entry(passage.document.id.clone()).or_insert_with(|| {
            documents.push(passage.document.clone());
            documents.len() - 1
        });
        let (valid_from, valid_to) = (passage.valid_from, passage.valid_to);
        live.push((passage.id, Live { key, document, valid_from, valid_to, embedding }));
    }
    Ok((documents, live))
}

/// What is to be revoked, and what of it was found.
struct Revocations<'a> {
    asked: &'a [String],
    ids: BTreeSet<PassageId>,
    found: HashSet<&'a str>,
}

impl<'a> Revocations<'a> {
    fn of(asked: &'a [String], stay: &HashSet<PassageId>) -> Result<Self> {
        let mut ids = BTreeSet::new();
        for (index, name) in asked.iter().enumerate() {
            if let Ok(id) = name.parse::<PassageId>() {
                if stay.contains(&id) {
                    let reason = "the new edition still holds it".into();
                    return Err(Error::InvalidInput { what: "passage to revoke", index, reason });
                }
                ids.insert(id);
            }
        }
        Ok(Self { asked, ids, found: HashSet::new() })
    }

    fn takes(&mut self, id: PassageId, document: &str) -> bool {
        let named = self.asked.iter().find(|name| *name == document);
        if let Some(name) = named {
            self.found.insert(name);
        }
        self.ids.remove(&id) || named.is_some()
    }

    /// Adds the ids that are not live any more, and refuses documents of which nothing leaves.
    fn finish(self, withdrawals: &mut Vec<Withdrawal>) -> Result<()> {
        for (index, name) in self.asked.iter().enumerate() {
            if name.parse::<PassageId>().is_err() && !self.found.contains(name.as_str()) {
                let reason = "no passage of it leaves: the parent does not have it, or the new edition has all of it";
                return Err(Error::InvalidInput { what: "document to revoke", index, reason: reason.into() });
            }
        }
        let ids = self.ids.into_iter();
        withdrawals.extend(ids.map(|passage| Withdrawal { passage, kind: WithdrawalKind::Revoked }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_before_crosses_months_years_and_leap_days() {
        let cases = [
            ("2024-03-01", "2024-02-29"),
            ("2023-03-01", "2023-02-28"),
            ("1900-03-01", "1900-02-28"),
            ("2000-03-01", "2000-02-29"),
            ("2025-01-01", "2024-12-31"),
            ("2024-05-01", "2024-04-30"),
            ("2024-08-01", "2024-07-31"),
            ("2024-08-15", "2024-08-14"),
        ];
        for (day, before) in cases {
            assert_eq!(day_before(day).as_deref(), Some(before));
        }
        assert_eq!(day_before("0000-01-01"), None);
    }
}
