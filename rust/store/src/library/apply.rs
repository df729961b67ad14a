//! Deltas of the publisher, and the way back.

use std::path::Path;
use std::sync::Arc;

use lorekit_cancel::CancelToken;
use lorekit_pack::signing::{RollbackStatement, Trust, Verified};
use lorekit_pack::{Manifest, Pack, PackKind, StateHash};

use crate::error::{Error, Result};
use crate::library::record::{Chain, Floor, Record};
use crate::library::switch::NewFile;
use crate::library::{Library, Refusal};
use crate::segment::Segment;

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyProgress {
    /// Bytes copied so far.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// What an update did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyReport {
    /// Whether anything changed: not, if the delta was applied already.
    pub applied: bool,
    /// The generation that is current now.
    pub generation: u64,
    /// The publisher's version that is current now.
    pub version: u64,
    /// The publisher's state that is current now.
    pub state: StateHash,
    /// Whether the owner's word let an older version arrive.
    pub owner_rollback: bool,
}

impl Library {
    /// Applies a delta: checks whom it is from and whether it belongs here, copies it into the folder, verifies the copy,
    /// and makes the next generation current. Applying what is applied already changes nothing and is no error.
    ///
    /// Costs reading the delta three times and writing it once, and one read of all rows' digests, by which the state is
    /// computed that the delta promises. Memory: that computation, 48 bytes a passage.
    ///
    /// # Errors
    /// [`Error::Pack`] for what is wrong with the pack or its signatures; [`Error::Refused`] with the
    /// [`Refusal`]; [`Error::ForeignMember`] for another embedder; [`Error::Cancelled`]; what the disk refused. The
    /// library is as it was, with one exception: when the record could not be made durable at the very end, the new
    /// generation is current, and the disk may hold either.
    pub fn apply(
        &self,
        delta: impl AsRef<Path>,
        progress: &mut dyn FnMut(ApplyProgress),
        cancel: &CancelToken,
    ) -> Result<ApplyReport> {
        let delta = delta.as_ref();
        let _changing = self.change()?;
        let mut record = self.generation().record.clone();
        let source = self.open_pack(delta)?;
        let verified = self.believe(&record, &source)?;
        let manifest = source.manifest();
        if (manifest.version, manifest.state) == (record.publisher.version, record.publisher.state) {
            return Ok(report(&record, false, false));
        }
        let owner_rollback = fits(&record, manifest, verified.rollback.as_ref())
            .map_err(|refusal| Error::Refused { path: delta.into(), refusal })?;

        let file = NewFile::new(self, record.new_name('p'))?;
        file.copy(delta, self.key().as_ref(), &mut |done, total| progress(ApplyProgress { done, total }), cancel)?;
        let path = file.place()?;
        let copy = self.open_pack(&path)?;
        copy.verify()?;
        let refused = |refusal| Error::Refused { path: delta.into(), refusal };
        if copy.manifest_hash() != source.manifest_hash() || copy.signature_area() != source.signature_area() {
            return Err(refused(Refusal::ChangedOnTheWay));
        }
        let entry = self.stored(&file, &copy, verified.signer.map(|key| key.to_string()))?;
        let segment = Arc::new(Segment::from_pack(Arc::new(copy), &self.segment_options())?);
        cancel.check()?;

        let mut packs = record.publisher.packs.clone();
        packs.push(entry);
        let after = Chain { version: manifest.version, state: manifest.state, packs };
        let before = std::mem::replace(&mut record.publisher, after);
        let snapshot = self.assemble_with(&record, Some(segment))?;
        let found = snapshot.state()?;
        if found != manifest.state {
            return Err(refused(Refusal::OtherState { expected: manifest.state, found }));
        }
        record.kept.push(before);
        let excess = record.kept.len().saturating_sub(self.options.keep);
        record.kept.drain(..excess);
        if owner_rollback || manifest.version > record.floor.version {
            record.floor = Floor { version: manifest.version, state: manifest.state };
        }
        record.key_set = record.key_set.max(verified.key_set_version.unwrap_or(0));
        record.revoked = snapshot.revoked().clone();
        record.generation += 1;
        let done = report(&record, true, owner_rollback);
        cancel.check()?;
        let total = source.file_bytes();
        self.switch_keeping(record, snapshot, vec![file])?;
        progress(ApplyProgress { done: total, total });
        Ok(done)
    }

    /// Goes back to the newest kept state of the publisher's chain that is not the current one. Local documents stay,
    /// what was revoked stays revoked, and an older version still cannot arrive. The delta that was left can be applied
    /// again.
    ///
    /// # Errors
    /// [`Error::NothingToRollBackTo`]; what the disk refused.
    pub fn rollback(&self) -> Result<ApplyReport> {
        let _changing = self.change()?;
        let mut record = self.generation().record.clone();
        let target = loop {
            let Some(chain) = record.kept.pop() else { return Err(Error::NothingToRollBackTo) };
            if chain.state != record.publisher.state {
                break chain;
            }
        };
        record.publisher = target;
        record.generation += 1;
        let snapshot = self.assemble(&record)?;
        let done = report(&record, true, false);
        self.switch(record, snapshot)?;
        Ok(done)
    }

    /// Whether a pack that arrives is from someone who is trusted, by the latest day known.
    fn believe(&self, record: &Record, pack: &Pack) -> Result<Verified> {
        let seen = record.day.as_ref();
        let day = self.options.today.as_ref().max(seen).cloned();
        let trust = Trust { today: day, key_set_floor: record.key_set, ..self.options.trust.clone() };
        let checked = trust.check(pack);
        if let Err(lorekit_pack::Error::PackExpired { path, expires, .. }) = &checked
            && let (Some(today), Some(seen)) = (&self.options.today, seen)
            && today <= expires
        {
            let (expires, today, seen) = (expires.clone(), today.clone(), seen.clone());
            let refusal = Refusal::ClockTurnedBack { expires, today, seen };
            return Err(Error::Refused { path: path.clone(), refusal });
        }
        Ok(checked?)
    }
}

fn report(record: &Record, applied: bool, owner_rollback: bool) -> ApplyReport {
    let Chain { version, state, .. } = record.publisher;
    ApplyReport { applied, generation: record.generation, version, state, owner_rollback }
}

/// Whether a delta belongs on top of what there is. Gives whether it is an older version that the owner lets arrive.
fn fits(
    record: &Record,
    manifest: &Manifest,
    statement: Option<&RollbackStatement>,
) -> std::result::Result<bool, Refusal> {
    if manifest.pack_id != record.pack_id {
        return Err(Refusal::OtherPack { expected: record.pack_id.clone(), found: manifest.pack_id.clone() });
    }
    if manifest.kind != PackKind::Delta {
        return Err(Refusal::NotADelta);
    }
    let Floor { version: floor, state: expected } = record.floor;
    let found = manifest.version;
    let here = |statement: &&RollbackStatement| {
        (statement.from.version, statement.from.state) == (record.publisher.version, record.publisher.state)
    };
    let owner_rollback = found < floor && statement.filter(here).is_some();
    if found < floor && !owner_rollback {
        return Err(Refusal::Replayed { floor, found });
    }
    if found == floor && manifest.state != expected {
        return Err(Refusal::Fork { version: floor, expected, found: manifest.state });
    }
    match manifest.parent {
        Some(parent) if parent == record.publisher.state => Ok(owner_rollback),
        parent => {
            let found = parent.unwrap_or(manifest.state);
            Err(Refusal::OtherParent { expected: record.publisher.state, found })
        }
    }
}
