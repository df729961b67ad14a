//! What a snapshot gives out: passages, documents, entries, and its state.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use lorekit_pack::{DocumentDigest, PassageDigest, PassageId, StateBuilder, StateHash};

use crate::error::{Error, Result};
use crate::snapshot::chain::{Member, Status, newest};
use crate::snapshot::{Scope, Snapshot, key_of};
use crate::types::{Document, Neighbours, Origin, Passage};

/// A live passage as it enters the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key in this snapshot.
    pub key: u64,
    /// Its name.
    pub id: PassageId,
    /// The hash of its content.
    pub digest: PassageDigest,
}

/// A superseded passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupersededEntry {
    /// Its key in this snapshot.
    pub key: u64,
    /// Its name.
    pub id: PassageId,
    /// The last day on which it held, `YYYY-MM-DD`.
    pub last_day: String,
}

impl Snapshot {
    /// The passage with this key, as it stands in this generation: a live one with the newest description of its
    /// document, a superseded one with its own and with its last day. Costs two or three look-ups.
    ///
    /// Access is not asked here: keys come out of a search, which did. See [`allows`](Self::allows).
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] for a key that is none, and for a passage that is replaced, removed or revoked; a
    /// damaged pack.
    pub fn passage(&self, key: u64) -> Result<Passage> {
        let (at, member, row) = self.row(key)?;
        let mut passage = member.segment.passage(u64::from(row))?;
        passage.key = key;
        passage.origin = self.origin(key);
        if let Some(last_day) = member.superseded(row) {
            passage.valid_to = Some(last_day.to_owned());
            return Ok(passage);
        }
        let document = member.table().profile(row).document;
        let place = member.description(at, document);
        if place != (at, document) {
            passage.document = self.inner.members[place.0].segment.document(place.1)?;
            passage.valid_from = passage.document.valid_from.clone();
            passage.valid_to = passage.document.valid_to.clone();
        }
        Ok(passage)
    }

    /// The key of the passage with this id, live or superseded; the publisher's, if both chains have it.
    ///
    /// # Errors
    /// A damaged pack.
    pub fn by_id(&self, id: PassageId) -> Result<Option<u64>> {
        for chain in [self.publisher(), self.local()] {
            if let Some((member, row)) = newest(&self.inner.members, chain, id)? {
                let found = &self.inner.members[member];
                if found.is_live(row) || found.superseded(row).is_some() {
                    return Ok(Some(key_of(member, row)));
                }
            }
        }
        Ok(None)
    }

    /// The last day of the passage with this key, if it is superseded.
    pub fn superseded_day(&self, key: u64) -> Option<&str> {
        self.row(key).ok().and_then(|(_, member, row)| member.superseded(row))
    }

    /// Whether the passage with this key is found by a caller with this scope.
    pub fn allows(&self, key: u64, scope: &Scope<'_>) -> bool {
        let filters = self.filters(scope);
        filters.get((key >> 32) as usize).is_some_and(|filter| filter.found.contains(key & u64::from(u32::MAX)))
    }

    /// Whether the publisher or this device brought the passage with this key.
    pub fn origin(&self, key: u64) -> Origin {
        if ((key >> 32) as usize) < self.inner.n_publisher { Origin::Publisher } else { Origin::Local }
    }

    /// The stored vector of a passage, of length one up to the rounding of f16.
    ///
    /// # Errors
    /// As [`passage`](Self::passage).
    pub fn vector(&self, key: u64) -> Result<Vec<f32>> {
        let (_, member, row) = self.row(key)?;
        member.segment.vector(u64::from(row))
    }

    /// The nearest live passages before and after this one, of the same document and from the same pack. What a delta
    /// put between them is passed over.
    ///
    /// # Errors
    /// As [`passage`](Self::passage).
    pub fn neighbours(&self, key: u64) -> Result<Neighbours> {
        let (at, member, row) = self.row(key)?;
        let table = member.table();
        let document = table.profile(row).document;
        let same = |row: &u32| table.profile(*row).document == document;
        let live = |row: &u32| member.is_live(*row);
        let previous = (0..row).rev().take_while(same).find(live);
        let next = (row + 1..table.of_row.len() as u32).take_while(same).find(live);
        Ok(Neighbours { previous: previous.map(|row| key_of(at, row)), next: next.map(|row| key_of(at, row)) })
    }

    /// All documents with a live passage, each in its newest description, in the order of their packs and then of the
    /// build; the publisher's first.
    ///
    /// # Errors
    /// A damaged pack.
    pub fn documents(&self) -> Result<Vec<Document>> {
        let mut documents = self.documents_of(Origin::Publisher)?;
        documents.extend(self.documents_of(Origin::Local)?);
        Ok(documents)
    }

    /// How many documents have a live passage, in both chains. Costs a pass over the rows in memory.
    pub fn document_count(&self) -> u64 {
        let count = |chain| self.document_places(chain, Member::is_live).len() as u64;
        count(self.publisher()) + count(self.local())
    }

    /// The [`documents`](Self::documents) of one chain.
    ///
    /// # Errors
    /// A damaged pack.
    pub fn documents_of(&self, origin: Origin) -> Result<Vec<Document>> {
        let places = self.document_places(self.chain(origin), Member::is_live);
        places.into_iter().map(|(at, position)| self.inner.members[at].segment.document(position)).collect()
    }

    /// Calls `each` with every live passage of the publisher's or of the local chain, pack by pack in order.
    /// Costs one read of the rows; nothing is kept.
    ///
    /// # Errors
    /// A damaged pack, or the first error of `each`.
    pub fn entries(&self, origin: Origin, each: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        self.each_row(self.chain(origin), &mut |at, member, row, id, digest| match member.is_live(row) {
            true => each(Entry { key: key_of(at, row), id, digest }),
            false => Ok(()),
        })
    }

    /// Calls `each` with every superseded passage of a chain, as [`entries`](Self::entries) does with live ones.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn superseded(&self, origin: Origin, each: &mut dyn FnMut(SupersededEntry) -> Result<()>) -> Result<()> {
        self.each_row(self.chain(origin), &mut |at, member, row, id, _| match member.superseded(row) {
            Some(last_day) => each(SupersededEntry { key: key_of(at, row), id, last_day: last_day.to_owned() }),
            None => Ok(()),
        })
    }

    /// The logical state of the publisher's chain: a hash over its live passages and their documents, the same
    /// however they are spread over packs. Passages that only this installation hides are part of it, so that the
    /// next delta still finds its parent. Costs one read of all rows the first time.
    ///
    /// # Errors
    /// A damaged pack.
    pub fn state(&self) -> Result<StateHash> {
        if let Some(&state) = self.inner.state.get() {
            return Ok(state);
        }
        let mut builder = StateBuilder::new();
        for (at, position) in self.document_places(self.publisher(), Member::in_state) {
            builder.document(digest_of(&self.inner.members[at].segment.document(position)?));
        }
        self.each_row(self.publisher(), &mut |_, member, row, id, digest| {
            if member.in_state(row) {
                builder.passage(id, digest);
            }
            Ok(())
        })?;
        let state = builder.finish();
        Ok(*self.inner.state.get_or_init(|| state))
    }

    fn publisher(&self) -> Range<usize> {
        0..self.inner.n_publisher
    }

    fn local(&self) -> Range<usize> {
        self.inner.n_publisher..self.inner.members.len()
    }

    fn chain(&self, origin: Origin) -> Range<usize> {
        match origin {
            Origin::Publisher => self.publisher(),
            Origin::Local => self.local(),
        }
    }

    /// The row of a passage that is live or superseded.
    fn row(&self, key: u64) -> Result<(usize, &Member, u32)> {
        let missing = Error::NoSuchPassage { key, passages: self.len() };
        let (at, row) = ((key >> 32) as usize, key as u32);
        let Some(member) = self.inner.members.get(at) else { return Err(missing) };
        if row as usize >= member.table().of_row.len() {
            return Err(missing);
        }
        match member.exceptions.get(&row) {
            None | Some(Status::Superseded { .. }) => Ok((at, member, row)),
            Some(_) => Err(missing),
        }
    }

    #[allow(clippy::type_complexity, reason = "one private callback")]
    fn each_row(
        &self,
        chain: Range<usize>,
        each: &mut dyn FnMut(usize, &Member, u32, PassageId, PassageDigest) -> Result<()>,
    ) -> Result<()> {
        for at in chain {
            let member = &self.inner.members[at];
            let rows = member.table().of_row.len() as u32;
            member.segment.each_row(&mut |row, id, digest| match row < rows {
                true => each(at, member, row, id, digest),
                // Rows were counted and numbered when the segment was opened.
                false => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Where the documents of the wanted rows are described, each once, in the order of the rows.
    fn document_places(&self, chain: Range<usize>, wanted: fn(&Member, u32) -> bool) -> Vec<(usize, u32)> {
        let mut seen = HashSet::new();
        let mut places = Vec::new();
        for at in chain {
            let member = &self.inner.members[at];
            // Profiles are fewer than rows; one live row is enough.
            let mut known: HashMap<u32, ()> = HashMap::new();
            for row in 0..member.table().of_row.len() as u32 {
                let document = member.table().profile(row).document;
                if !known.contains_key(&document) && wanted(member, row) {
                    known.insert(document, ());
                    let place = member.description(at, document);
                    if seen.insert(place) {
                        places.push(place);
                    }
                }
            }
        }
        places
    }
}

/// The hash of a document as it enters the state.
pub(crate) fn digest_of(document: &Document) -> DocumentDigest {
    DocumentDigest::of(
        &document.id,
        &document.path,
        &document.title,
        document.version.as_deref(),
        &document.language,
        document.valid_from.as_deref(),
        document.valid_to.as_deref(),
        &document.label_groups,
        &document.format,
    )
}
