//! Purge: what is purged is gone.

use lorekit_cancel::CancelToken;

use crate::error::Result;
use crate::library::Library;
use crate::library::compact::any_row;
use crate::library::switch::{sweep, write_record};
use crate::types::BuildProgress;

/// What to destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Everything that LoreKit wrote for this library, and the library with it: it never opens again in this folder.
    Everything,
    /// The bytes of revoked passages, in all files of the folder. The library goes on.
    Revoked,
}

/// What a purge did, and what it could not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// Files that were removed from the folder.
    pub files_removed: usize,
    /// Kept states that were given up.
    pub dropped_states: usize,
    /// Whether the base in its read-only place still holds what was purged. LoreKit cannot change that file.
    pub base_still_holds: bool,
    /// Whether a lasting refusal was recorded, by which the base is not opened with this folder any more.
    pub refusal_recorded: bool,
}

impl Library {
    /// Destroys content.
    ///
    /// Files are removed, not overwritten: flash memory does not write in place, and a deleted file's blocks are the
    /// system's. Where that is not enough, seal the library and destroy the key. Snapshots that readers hold keep the bytes
    /// of their files until they are dropped.
    ///
    /// # Errors
    /// As [`compact`](Library::compact). A purge of everything that was cut short is completed by the next opening.
    pub fn purge(
        &self,
        what: Purge,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<PurgeReport> {
        let _changing = self.change()?;
        let before = self.files()?;
        let mut report = PurgeReport::default();
        match what {
            Purge::Everything => {
                self.purge_everything()?;
                report.base_still_holds = true;
                report.refusal_recorded = true;
            }
            Purge::Revoked => {
                report.dropped_states = self.compact_chains(true, progress, cancel)?.dropped_states;
                let record = self.generation().record.clone();
                let base = self.segment(&record.base)?;
                report.base_still_holds = any_row(&base, &record.revoked)?;
            }
        }
        report.files_removed = before.saturating_sub(self.files()?);
        Ok(report)
    }

    /// First the record says so, then the files go: whatever happens in between, the library does not open again, and the
    /// next attempt removes the rest.
    fn purge_everything(&self) -> Result<()> {
        let (files, folder) = (&*self.options.files, self.folder()?);
        let generation = self.generation();
        let mut record = generation.record.clone();
        record.purged = true;
        record.generation += 1;
        record.publisher.packs.truncate(1);
        record.publisher.packs[0] = record.base.clone();
        record.local.clear();
        record.kept.clear();
        record.revoked.clear();
        write_record(files, folder, &record)?;
        self.set_purged(record);
        let swept = sweep(files, folder, None);
        Self::remove_installation_key(files, folder)?;
        swept.map(drop).map_err(super::switch::failed(folder, "remove the library's files"))
    }

    fn files(&self) -> Result<usize> {
        let folder = self.folder()?;
        let names =
            self.options.files.list(folder).map_err(super::switch::failed(folder, "list the library's folder"))?;
        Ok(names.len())
    }
}
