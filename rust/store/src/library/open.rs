//! Opening a library: the lock, the record, the sweep of what a crash left, and a base that the app's update replaced.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use lorekit_pack::signing::Trust;
use lorekit_pack::{Pack, PackKind};
use lorekit_seal::ChunkCache;

use crate::error::{Error, Result};
use crate::files::FileSystem;
use crate::library::record::{CURRENT, Chain, Floor, MAX_RECORD_BYTES, Record, StoredPack, is_pack_name};
use crate::library::switch::{failed, read_installation_key, sweep, write_record};
use crate::library::{Generation, Library, LibraryOptions, Refusal};
use crate::segment::Segment;
use crate::snapshot::Snapshot;

const LOCK: &str = "LOCK";

impl Library {
    /// Opens a library: takes the lock, reads the record, sweeps away what a crash left, opens the packs.
    ///
    /// The hashes of a pack are verified when it is opened for the first time, when its file is another than the one
    /// that was verified (length or time of change differ), and when something was left to sweep, since the last change
    /// was then cut short. Signatures are checked each time.
    ///
    /// A base that the app's update brought takes the place of the one before: if it is newer than the chain, it is the
    /// chain; otherwise the deltas that build on its state stay and the others go. Local documents stay.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open elsewhere, [`Error::DamagedRecord`], [`Error::Purged`], and whatever is wrong
    /// with a pack, with its path. Nothing is changed then, and no error of the disk while sweeping or noting the day
    /// keeps a library from opening.
    pub fn open(options: LibraryOptions) -> Result<Self> {
        let files = Arc::clone(&options.files);
        let mut options = options;
        options.cache.get_or_insert_with(|| ChunkCache::new(ChunkCache::DEFAULT_BUDGET));
        let base = options.open_pack(&options.base)?;
        let Some(folder) = options.folder.clone() else {
            let opened = Opening { options: &options, folder: None, unclean: false, changed: false };
            return opened.finish(None, &base).map(|generation| Self::of(options, generation, None));
        };
        files.create_folder(&folder).map_err(failed(&folder, "make the library's folder"))?;
        let lock_path = folder.join(LOCK);
        let lock = files.lock(&lock_path).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Error::Locked { path: lock_path.clone() },
            _ => failed(&lock_path, "lock the library")(error),
        })?;
        let record = read_record(&*files, &folder)?;
        let swept = sweep(&*files, &folder, record.as_ref());
        if record.as_ref().is_some_and(|record| record.purged) {
            Self::remove_installation_key(&*files, &folder)?;
            return Err(Error::Purged { path: folder });
        }
        // Else the wrong key would be noticed only by the first change, if nothing that is searched is sealed yet.
        if let Some(key) = &options.key
            && let Err(error @ Error::WrongKey { .. }) = read_installation_key(&*files, Some(key), &folder)
        {
            return Err(error);
        }
        let unclean = !matches!(swept, Ok(0));
        let opening = Opening { options: &options, folder: Some(&folder), unclean, changed: false };
        let generation = opening.finish(record, &base)?;
        Ok(Self::of(options, generation, Some(lock)))
    }

    fn of(options: LibraryOptions, generation: Generation, lock: Option<crate::files::FileLock>) -> Self {
        let (current, key) = (RwLock::new(Arc::new(generation)), RwLock::new(options.key.clone()));
        Self { options, current, key, changing: Mutex::new(()), _lock: lock }
    }
}

/// The record, or none in a new folder.
fn read_record(files: &dyn FileSystem, folder: &Path) -> Result<Option<Record>> {
    let path = folder.join(CURRENT);
    match files.read(&path, MAX_RECORD_BYTES) {
        Ok(bytes) => Record::decode(&path, &bytes).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // The record is written before the first pack. Without this, losing it would sweep away all there is.
            let names = files.list(folder).map_err(failed(folder, "list the library's folder"))?;
            if names.iter().any(|name| is_pack_name(name)) {
                return Err(Error::DamagedRecord { path, reason: "it is missing, and there are packs" });
            }
            Ok(None)
        }
        Err(error) => Err(failed(&path, "read the library's record")(error)),
    }
}

struct Opening<'a> {
    options: &'a LibraryOptions,
    folder: Option<&'a Path>,
    /// Whether the last change was cut short.
    unclean: bool,
    /// Whether the record must be written.
    changed: bool,
}

impl Opening<'_> {
    fn finish(mut self, record: Option<Record>, base: &Pack) -> Result<Generation> {
        self.changed = record.is_none();
        let mut record = match record {
            Some(mut record) => {
                self.replace_base(&mut record, base)?;
                record
            }
            None => first_record(base, self.base_entry(base)?),
        };
        if let Some(today) = &self.options.today
            && record.day.as_ref().is_none_or(|day| day < today)
        {
            record.day = Some(today.clone());
            self.changed = true;
        }
        let mut publisher = std::mem::take(&mut record.publisher.packs);
        let mut local = std::mem::take(&mut record.local);
        let open = |opening: &mut Self, packs: &mut [StoredPack]| -> Result<Vec<Arc<Segment>>> {
            packs.iter_mut().map(|pack| opening.open_pack(pack)).collect()
        };
        let snapshot =
            Snapshot::assemble(open(&mut self, &mut publisher)?, open(&mut self, &mut local)?, &record.revoked)?;
        record.publisher.packs = publisher;
        record.local = local;
        let mut stored = !self.changed;
        if let (false, Some(folder)) = (stored, self.folder) {
            match write_record(&*self.options.files, folder, &record) {
                Ok(()) => stored = true,
                Err(written) => log::warn!("the library's record is not written yet: {}", written.error),
            }
        }
        Ok(Generation { record, snapshot, stored })
    }

    /// Describes the base as it is now; checks whom it is from.
    fn base_entry(&self, base: &Pack) -> Result<StoredPack> {
        if base.manifest().kind != PackKind::Base {
            return Err(Error::Unsupported {
                path: base.path().into(),
                feature: "a library on a pack that is no base",
            });
        }
        let signer = self.options.trust.check(base)?.signer.map(|key| key.to_string());
        let identity = self.options.files.identity(base.path()).map_err(failed(base.path(), "look at the base"))?;
        base.verify()?;
        Ok(StoredPack { name: None, manifest: base.manifest_hash(), identity, signer })
    }

    /// Puts the base of an updated app into the record.
    fn replace_base(&mut self, record: &mut Record, base: &Pack) -> Result<()> {
        let manifest = base.manifest();
        if manifest.pack_id != record.pack_id {
            let (expected, found) = (record.pack_id.clone(), manifest.pack_id.clone());
            return Err(Error::Refused { path: base.path().into(), refusal: Refusal::OtherPack { expected, found } });
        }
        if record.base.manifest == base.manifest_hash() {
            return Ok(());
        }
        let entry = self.base_entry(base)?;
        self.changed = true;
        record.base = entry.clone();
        record.generation += 1;
        record.kept.retain(|chain| chain.packs.iter().all(|pack| pack.name.is_some()));
        let on_old_base = record.publisher.packs[0].name.is_none();
        if !on_old_base && manifest.version <= record.publisher.version {
            return Ok(());
        }
        let mut chain = Chain { version: manifest.version, state: manifest.state, packs: vec![entry] };
        if on_old_base && manifest.version < record.publisher.version {
            self.keep_deltas(&mut chain, &record.publisher)?;
        }
        record.publisher = chain;
        if record.publisher.version > record.floor.version {
            record.floor = Floor { version: record.publisher.version, state: record.publisher.state };
        }
        Ok(())
    }

    /// Appends the deltas of the chain before that build on the new base.
    fn keep_deltas(&self, chain: &mut Chain, before: &Chain) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        for pack in &before.packs[1..] {
            let Some(name) = &pack.name else { continue };
            let delta = self.options.open_pack(&folder.join(name))?;
            let manifest = delta.manifest();
            if manifest.parent == Some(chain.state) {
                chain.packs.push(pack.clone());
                (chain.version, chain.state) = (manifest.version, manifest.state);
            }
        }
        Ok(())
    }

    /// Opens one pack of the current generation, hashing it if need be.
    fn open_pack(&mut self, entry: &mut StoredPack) -> Result<Arc<Segment>> {
        let path = match (&entry.name, self.folder) {
            (Some(name), Some(folder)) => folder.join(name),
            _ => self.options.base.clone(),
        };
        let identity = self.options.files.identity(&path).map_err(failed(&path, "look at a pack"))?;
        let pack = self.options.open_pack(&path)?;
        if pack.manifest_hash() != entry.manifest {
            let (expected, found) = (entry.manifest.to_string(), pack.manifest_hash().to_string());
            return Err(Error::Inconsistent { path, what: "the pack", expected, found });
        }
        self.trust_of(entry, &pack)?.check(&pack)?;
        if self.unclean || identity != entry.identity {
            pack.verify()?;
            self.changed |= identity != entry.identity;
            entry.identity = identity;
        }
        Ok(Arc::new(Segment::from_pack(Arc::new(pack), &self.options.segment_options())?))
    }

    /// The device's own packs are signed by the device; the others were accepted once, and their day is not asked again.
    fn trust_of(&self, entry: &StoredPack, pack: &Pack) -> Result<Trust> {
        match (&entry.name, self.folder) {
            (Some(_), Some(folder)) if pack.manifest().kind != PackKind::Delta => {
                Library::own_trust(self.options, folder)
            }
            _ => Ok(Trust { today: None, key_set_floor: 0, ..self.options.trust.clone() }),
        }
    }
}

/// The record of a library that is a base and nothing else.
fn first_record(base: &Pack, entry: StoredPack) -> Record {
    let manifest = base.manifest();
    let (version, state) = (manifest.version, manifest.state);
    Record {
        generation: 1,
        next_file: 1,
        pack_id: manifest.pack_id.clone(),
        base: entry.clone(),
        publisher: Chain { version, state, packs: vec![entry] },
        local: Vec::new(),
        kept: Vec::new(),
        floor: Floor { version, state },
        key_set: 0,
        day: None,
        revoked: Default::default(),
        purged: false,
    }
}
