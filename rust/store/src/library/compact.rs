//! Compaction: a chain of packs becomes one.

use lorekit_cancel::CancelToken;
use lorekit_pack::{PackKind, PassageId, StateBuilder, StateHash};

use crate::error::{Error, Result};
use crate::library::merge::Merge;
use crate::library::record::{Chain, Record, StoredPack};
use crate::library::switch::NewFile;
use crate::library::{Library, Refusal};
use crate::output::Output;
use crate::snapshot::{Snapshot, digest_of};
use crate::stages::{Stages, name_prefix};
use crate::types::{BuildProgress, Origin};

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// The generation that is current now.
    pub generation: u64,
    /// Packs of the publisher that became one; 0 if there was nothing to do.
    pub publisher_packs: usize,
    /// Local packs that became one; 0 if there was nothing to do.
    pub local_packs: usize,
    /// Kept states that were given up, because files of theirs held revoked passages.
    pub dropped_states: usize,
}

impl Library {
    /// Merges the publisher's chain into one base in the folder, and the local chain into one pack. Texts, ids, vectors
    /// and the logical state stay as they are, so the publisher's next delta applies as before. Bytes of removed and
    /// revoked passages are not in the new files, and kept states that hold revoked ones are given up.
    ///
    /// Searches go on, other changes wait. A cancelled or killed compaction leaves the library as it was, and in its folder
    /// what it had finished: the passages database, and the graph up to the last eighth. Calling it again goes on from
    /// there and comes to the same bytes; any other change of the publisher's chain throws it away.
    /// Memory: the vectors as stored and the new graph, about 60 bytes a passage, and SQLite's 32 MiB; the texts only in a
    /// sealed library, whose new database is built in memory.
    /// Time is mostly the graph's.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Refusal::OtherState`] if what came out is not what the publisher signed;
    /// [`Error::Cancelled`]; what the disk refused. The library is as it was.
    pub fn compact(&self, progress: &mut dyn FnMut(BuildProgress), cancel: &CancelToken) -> Result<CompactReport> {
        let _changing = self.change()?;
        self.compact_chains(false, progress, cancel)
    }

    /// Compacts what needs it: chains of several packs, and with `revoked` chains that hold revoked passages as well.
    pub(super) fn compact_chains(
        &self,
        revoked: bool,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<CompactReport> {
        let mut record = self.generation().record.clone();
        let mut report = CompactReport { generation: record.generation, ..CompactReport::default() };
        let mut files = Vec::new();
        let in_folder = |pack: &StoredPack| pack.name.is_some();
        let (publisher, local) = (record.publisher.packs.clone(), record.local.clone());
        if publisher.len() > 1
            || revoked && publisher.iter().any(in_folder) && self.holds_revoked(&record, &publisher)?
        {
            report.publisher_packs = publisher.len();
            files.push(self.compact_publisher(&mut record, progress, cancel)?);
        }
        if local.len() > 1 {
            report.local_packs = local.len();
            let of = record.clone();
            let (file, entry) = self.merge_local(&mut record, &of, None, progress, cancel)?;
            record.local = vec![entry];
            files.push(file);
        }
        let kept = std::mem::take(&mut record.kept);
        for chain in kept {
            if self.holds_revoked(&record, &chain.packs)? {
                report.dropped_states += 1;
            } else {
                record.kept.push(chain);
            }
        }
        if files.is_empty() && report.dropped_states == 0 {
            return Ok(report);
        }
        record.generation += 1;
        report.generation = record.generation;
        let snapshot = self.assemble(&record)?;
        cancel.check()?;
        self.switch_keeping(record, snapshot, files)?;
        Ok(report)
    }

    fn compact_publisher<'a>(
        &'a self,
        record: &mut Record,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<NewFile<'a>> {
        let key = self.installation_key()?;
        let snapshot = self.snapshot();
        let file = NewFile::new(self, record.new_name('p'))?;
        let mut manifest = snapshot.manifest().clone();
        manifest.kind = PackKind::Base;
        manifest.version = record.publisher.version;
        let seal = self.key();
        let output = Output { seal: seal.as_ref(), sign: Some(&key) };
        let stages = Some(Stages {
            files: &*self.options.files,
            folder: self.folder()?,
            prefix: name_prefix(&compaction_input(record)),
            seal: seal.as_ref(),
        });
        let merge = Merge { snapshot: &snapshot, origin: Origin::Publisher, manifest, output, without: None, stages };
        let found = merge.write(&file.scratch(), progress, cancel)?;
        let expected = expected_state(&snapshot, record)?;
        if found != expected {
            let path = file.path();
            return Err(Error::Refused { path, refusal: Refusal::OtherState { expected, found } });
        }
        let entry = self.place(&file, &key)?;
        record.publisher = Chain { packs: vec![entry], ..record.publisher.clone() };
        Ok(file)
    }

    /// Whether a file in the folder holds passages that are revoked.
    pub(super) fn holds_revoked(&self, record: &Record, packs: &[StoredPack]) -> Result<bool> {
        for pack in packs.iter().filter(|pack| pack.name.is_some()) {
            let segment = self.segment(pack)?;
            if any_row(&segment, &record.revoked)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What a compaction of the publisher's chain is made from: the packs, what is revoked, and the rules of this build.
pub(super) fn compaction_input(record: &Record) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"lorekit compaction 1").update(env!("CARGO_PKG_VERSION").as_bytes());
    for pack in &record.publisher.packs {
        hasher.update(&pack.manifest.0);
    }
    for id in &record.revoked {
        hasher.update(&id.0);
    }
    hasher.finalize()
}

/// Whether a pack has one of these passages.
pub(super) fn any_row(segment: &crate::segment::Segment, ids: &std::collections::BTreeSet<PassageId>) -> Result<bool> {
    for id in ids {
        if segment.by_id(*id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The state that a compaction must come to: the one that was signed, less what only this installation hides.
fn expected_state(snapshot: &Snapshot, record: &Record) -> Result<StateHash> {
    let (expected, found) = (record.publisher.state, snapshot.state()?);
    // A state in which something was revoked after a rollback can be written only without it; from then on the chain is a
    // part of the state that it stands for, until the next delta.
    let partial = record.publisher.packs[0].name.is_some() && !record.revoked.is_empty();
    if found != expected && !partial {
        let path = snapshot.members().next().map(|base| base.path().to_path_buf()).unwrap_or_default();
        return Err(Error::Refused { path, refusal: Refusal::OtherState { expected, found } });
    }
    let mut builder = StateBuilder::new();
    for document in snapshot.documents_of(Origin::Publisher)? {
        builder.document(digest_of(&document));
    }
    snapshot.entries(Origin::Publisher, &mut |entry| {
        builder.passage(entry.id, entry.digest);
        Ok(())
    })?;
    Ok(builder.finish())
}
