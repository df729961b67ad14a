//! The library on the device: a base in a read-only place, and a folder with what was added to it.
//!
//! A library is a row of generations. Each change (a delta, a rollback, a document of the app, a compaction) first writes
//! whole new files, makes them durable, and then replaces one small record, `CURRENT`. Whatever happens in between, the
//! library opens as the generation before or the one after. Readers keep the [`Snapshot`] they have. The layout of the
//! folder, the order of operations and what each crash leaves are in `docs/library.md`.
//!
//! Modules in reading order: `record`, `open` (recovery), `switch` (from one generation to the next), `apply`,
//! `documents`, `merge` and `compact`, `purge`, `rotate` (another key), `state`, `refusal`.

mod apply;
mod compact;
mod documents;
mod merge;
mod open;
mod purge;
mod record;
mod refusal;
mod rotate;
mod state;
mod switch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lorekit_pack::Pack;
use lorekit_pack::signing::Trust;
use lorekit_seal::{ChunkCache, SealKey};

pub use apply::{ApplyProgress, ApplyReport};
pub use compact::CompactReport;
pub use purge::{Purge, PurgeReport};
pub use refusal::Refusal;
pub use state::{AppliedPack, Kept, LibraryState, LocalDocument};

use crate::error::{Error, Result};
use crate::files::{FileLock, FileSystem, RealFiles};
use crate::library::record::Record;
use crate::segment::OpenOptions;
use crate::snapshot::Snapshot;

/// How to open a library.
#[derive(Clone, Debug)]
pub struct LibraryOptions {
    /// The base, such as a file in the app's bundle. It is never written to.
    pub base: PathBuf,
    /// The folder that belongs to this library alone; made if it does not exist. None: the base can be read, and nothing
    /// can be changed.
    pub folder: Option<PathBuf>,
    /// Whom to believe.
    pub trust: Trust,
    /// Seals whatever is written to the folder. The record and the hashes in it stay readable. A folder that was begun without
    /// it keeps its plain files until they are replaced; [`LibraryState::sealed`] says how it stands.
    pub key: Option<SealKey>,
    /// The publisher's key, for a base or deltas whose sections are sealed.
    pub content_key: Option<SealKey>,
    /// The budget for decrypted bytes; none gives the library one of its own.
    pub cache: Option<Arc<ChunkCache>>,
    /// Today, `YYYY-MM-DD`, if the app knows. None: nothing expires.
    pub today: Option<String>,
    /// How many searches may use one graph at once.
    pub search_threads: usize,
    /// How many earlier states of the publisher's chain are kept for a rollback.
    pub keep: usize,
    /// The file system; tests break it.
    pub files: Arc<dyn FileSystem>,
}

impl LibraryOptions {
    /// A library of this base in this folder: no day, eight searches at once, two states kept.
    pub fn new(base: impl Into<PathBuf>, folder: Option<PathBuf>, trust: Trust) -> Self {
        let (base, files) = (base.into(), Arc::new(RealFiles));
        let (key, content_key, cache) = (None, None, None);
        Self { base, folder, trust, key, content_key, cache, today: None, search_threads: 8, keep: 2, files }
    }

    fn segment_options(&self) -> OpenOptions {
        OpenOptions {
            verify_hashes: false,
            search_threads: self.search_threads,
            key: self.key.clone(),
            content_key: self.content_key.clone(),
            cache: self.cache.clone(),
        }
    }

    /// Opens a pack with the keys there are. Nothing is hashed.
    fn open_pack(&self, path: &Path) -> Result<Pack> {
        Ok(Pack::open_with(path, &self.segment_options().pack_options())?)
    }
}

/// A library, open for reading by any number of threads and for one change at a time.
///
/// While it is open, no other process can open its folder. Dropping it gives the folder free; snapshots taken from it
/// live on.
#[derive(Debug)]
pub struct Library {
    options: LibraryOptions,
    current: RwLock<Arc<Generation>>,
    /// The app's key, which can be changed; the one in the options is not asked.
    key: RwLock<Option<SealKey>>,
    /// Held during a change. Readers never wait for it.
    changing: Mutex<()>,
    _lock: Option<FileLock>,
}

/// What is current: the record, and the packs it names, open.
#[derive(Debug)]
struct Generation {
    record: Record,
    snapshot: Snapshot,
    /// Whether the record is on the disk. A full disk does not keep a library from opening.
    stored: bool,
}

impl Library {
    /// The generation that is current now, for reading and searching. It stays as it is whatever happens to the library.
    pub fn snapshot(&self) -> Snapshot {
        self.generation().snapshot.clone()
    }

    fn key(&self) -> Option<SealKey> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How packs are opened now.
    fn segment_options(&self) -> OpenOptions {
        OpenOptions { key: self.key(), ..self.options.segment_options() }
    }

    /// Opens a pack with the keys there are now. Nothing is hashed.
    fn open_pack(&self, path: &Path) -> Result<Pack> {
        Ok(Pack::open_with(path, &self.segment_options().pack_options())?)
    }

    fn generation(&self) -> Arc<Generation> {
        // A panic elsewhere cannot leave a pointer half changed.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until no other change is under way.
    fn change(&self) -> Result<std::sync::MutexGuard<'_, ()>> {
        let guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.options.folder.as_ref().ok_or(Error::ReadOnlyLibrary)?;
        if self.generation().record.purged {
            return Err(Error::Purged { path: folder.clone() });
        }
        self.store_first_record()?;
        Ok(guard)
    }
}
