//! What an app can ask about its library.

use lorekit_pack::{ContentHash, StateHash};

use crate::error::Result;
use crate::library::Library;
use crate::library::record::Chain;

/// A pack that is part of the current generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedPack {
    /// Hash of its manifest.
    pub manifest: ContentHash,
    /// Its version.
    pub version: u64,
    /// The key that signed it, in hexadecimal; none for an unsigned pack.
    pub signer: Option<String>,
    /// Length of its file.
    pub bytes: u64,
    /// Passages in it.
    pub passages: u64,
    /// Passages that it withdraws.
    pub withdrawals: u64,
}

/// A state that a rollback can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its version.
    pub version: u64,
    /// Its state.
    pub state: StateHash,
}

/// A document of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDocument {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// What a library is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryState {
    /// Number of the generation; grows by one with each change.
    pub generation: u64,
    /// Name of the body of knowledge.
    pub pack_id: String,
    /// The publisher's version.
    pub version: u64,
    /// The publisher's state: what the next delta must build on.
    pub state: StateHash,
    /// The lowest version that may arrive.
    pub version_floor: u64,
    /// The base, or what a compaction made of the chain.
    pub base: AppliedPack,
    /// Whether the base is a file of the folder, written by a compaction.
    pub compacted: bool,
    /// The deltas on it, in order.
    pub deltas: Vec<AppliedPack>,
    /// The app's own documents.
    pub local_documents: Vec<LocalDocument>,
    /// What a rollback can go to, newest last.
    pub kept: Vec<Kept>,
    /// Live passages, local ones included.
    pub passages: u64,
    /// Passages that are revoked.
    pub revoked: u64,
    /// Of those, how many still stand in the base in its read-only place, hidden, since nobody can change that file.
    pub revoked_in_read_only_base: u64,
    /// Whether each file of the folder that the current generation is made of is sealed.
    pub sealed: bool,
    /// Whether the base in its read-only place is sealed by the publisher; it can be searched in clear if not.
    pub base_sealed: bool,
    /// Bytes of all files that the current generation is made of.
    pub bytes: u64,
    /// The last day of use of the newest pack, and whether it is over by the latest day known.
    pub expires: Option<String>,
    /// Whether `expires` is over.
    pub expired: bool,
    /// Whether the app named a day that is earlier than one it named before.
    pub clock_turned_back: bool,
    /// Whether the library can be changed: it has a folder.
    pub writable: bool,
}

impl Library {
    /// What the library is. Costs a look at each local pack and a look-up for each revoked passage.
    ///
    /// # Errors
    /// A damaged pack.
    pub fn state(&self) -> Result<LibraryState> {
        let generation = self.generation();
        let (record, snapshot) = (&generation.record, &generation.snapshot);
        let members: Vec<_> = snapshot.members().collect();
        let (publisher, local) = members.split_at(snapshot.publisher_members());
        let mut packs = Vec::with_capacity(publisher.len());
        for (segment, entry) in publisher.iter().zip(&record.publisher.packs) {
            packs.push(AppliedPack {
                manifest: entry.manifest,
                version: segment.manifest().version,
                signer: entry.signer.clone(),
                bytes: entry.identity.bytes,
                passages: segment.len(),
                withdrawals: segment.withdrawals()?.len() as u64,
            });
        }
        let mut local_documents = Vec::new();
        for segment in local {
            let documents = segment.documents()?;
            local_documents.extend(documents.into_iter().map(|d| LocalDocument { id: d.id, title: d.title }));
        }
        let base = self.segment(&record.base)?;
        let mut hidden = 0;
        for id in &record.revoked {
            hidden += u64::from(base.by_id(*id)?.is_some());
        }
        let named = record.publisher.packs.iter().chain(&record.local).map(|pack| pack.name.is_some());
        let sealed = members.iter().zip(named).all(|(segment, named)| !named || segment.is_sealed());
        let expires = snapshot.manifest().expires.clone();
        let Chain { version, state, .. } = record.publisher;
        let compacted = record.publisher.packs[0].name.is_some();
        let today = &self.options.today;
        let all = record.publisher.packs.iter().chain(&record.local);
        Ok(LibraryState {
            generation: record.generation,
            pack_id: record.pack_id.clone(),
            version,
            state,
            version_floor: record.floor.version,
            compacted,
            deltas: packs.split_off(1),
            base: packs.remove(0),
            local_documents,
            kept: record.kept.iter().map(|chain| Kept { version: chain.version, state: chain.state }).collect(),
            passages: snapshot.len(),
            revoked: record.revoked.len() as u64,
            revoked_in_read_only_base: hidden,
            sealed,
            base_sealed: base.is_sealed(),
            bytes: all.map(|pack| pack.identity.bytes).sum(),
            expired: expires.as_ref().zip(record.day.as_ref()).is_some_and(|(last, day)| last < day),
            expires,
            clock_turned_back: today.as_ref().is_some_and(|today| Some(today) < record.day.as_ref()),
            writable: self.options.folder.is_some(),
        })
    }

    /// Hashes all packs of the current generation and of the kept states, and compares them with their
    /// manifests. Gives the number of bytes hashed. Costs one read of all files.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file.
    pub fn verify(&self) -> Result<u64> {
        let generation = self.generation();
        let mut bytes = 0;
        let kept = generation.record.kept.iter().flat_map(|chain| &chain.packs);
        for segment in generation.snapshot.members() {
            bytes += segment.pack().verify()?.bytes;
        }
        for pack in kept {
            bytes += self.segment(pack)?.pack().verify()?.bytes;
        }
        Ok(bytes)
    }
}
