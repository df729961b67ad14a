//! From one generation to the next: files first, then the record, then the sweep.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use lorekit_cancel::CancelToken;
use lorekit_pack::Pack;
use lorekit_pack::signing::{SigningKey, Trust};
use lorekit_seal::{ChunkCache, Error as SealError, HEADER_BYTES, ReadAt, SealKey, SealedFile, seal_to};

use crate::error::{Error, Result};
use crate::files::FileSystem;
use crate::library::compact::compaction_input;
use crate::library::record::{CURRENT, Record, StoredPack, is_ours};
use crate::library::{Generation, Library, LibraryOptions};
use crate::segment::Segment;
use crate::snapshot::Snapshot;
use crate::stages::{is_stage, name_prefix};

const INSTALLATION_KEY: &str = "installation.key";
/// 32 bytes, and the container around them.
const MAX_KEY_BYTES: u64 = HEADER_BYTES as u64 + 256;
const SCRATCH_KEY: &str = "installation.key.tmp";
const SCRATCH_RECORD: &str = "CURRENT.tmp";
const COPY_BYTES: usize = 1 << 20;

/// Turns the system's answer into ours; a full disk has a name of its own.
pub(super) fn failed(path: &Path, operation: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| match source.kind() {
        std::io::ErrorKind::StorageFull => Error::DiskFull { path },
        _ => Error::Io { path, operation, source },
    }
}

/// A file that is removed again unless it becomes part of a generation.
pub(super) struct NewFile<'a> {
    files: &'a dyn FileSystem,
    folder: &'a Path,
    pub name: String,
    kept: bool,
}

impl<'a> NewFile<'a> {
    pub fn new(library: &'a Library, name: String) -> Result<Self> {
        Ok(Self { files: &*library.options.files, folder: library.folder()?, name, kept: false })
    }

    /// Where it is written.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join(format!("{}.tmp", self.name))
    }

    /// Where it stands once it is durable.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Copies a file into the scratch place, sealed if there is a key, and makes its bytes durable.
    pub fn copy(
        &self,
        from: &Path,
        key: Option<&SealKey>,
        progress: &mut dyn FnMut(u64, u64),
        cancel: &CancelToken,
    ) -> Result<()> {
        let (scratch, operation) = (self.scratch(), "copy a pack");
        let mut source = std::fs::File::open(from).map_err(failed(from, operation))?;
        let total = source.metadata().map_err(failed(from, operation))?.len();
        let mut target = self.files.create(&scratch).map_err(failed(&scratch, operation))?;
        if let Some(key) = key {
            progress(0, total);
            seal_to(source, total, &mut target, key, cancel).map_err(|source| match source {
                SealError::Io { source, .. } => failed(&scratch, operation)(source),
                SealError::Cancelled => Error::Cancelled,
                source => lorekit_pack::Error::sealed(&scratch)(source).into(),
            })?;
            return target.sync().map_err(failed(&scratch, "make a pack durable"));
        }
        let mut buffer = vec![0; COPY_BYTES];
        let mut done = 0;
        loop {
            cancel.check()?;
            progress(done, total);
            let n_bytes = std::io::Read::read(&mut source, &mut buffer).map_err(failed(from, operation))?;
            if n_bytes == 0 {
                break;
            }
            target.write_all(&buffer[..n_bytes]).map_err(failed(&scratch, operation))?;
            done += n_bytes as u64;
        }
        target.sync().map_err(failed(&scratch, "make a pack durable"))
    }

    /// Makes what was written to the scratch place by path durable.
    pub fn sync(&self) -> Result<()> {
        let scratch = self.scratch();
        self.files.sync_file(&scratch).map_err(failed(&scratch, "make a pack durable"))
    }

    /// Gives the file its name, durably. The record does not name it yet.
    pub fn place(&self) -> Result<PathBuf> {
        let path = self.path();
        self.files.rename(&self.scratch(), &path).map_err(failed(&path, "rename a pack"))?;
        self.files.sync_folder(self.folder).map_err(failed(self.folder, "make a name durable"))?;
        Ok(path)
    }

    /// It belongs to a generation now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept away later.
            let _ = self.files.remove(&self.scratch());
            let _ = self.files.remove(&self.path());
        }
    }
}

impl Library {
    pub(super) fn folder(&self) -> Result<&Path> {
        self.options.folder.as_deref().ok_or(Error::ReadOnlyLibrary)
    }

    /// Writes the record that the library was opened with, if that failed then.
    pub(super) fn store_first_record(&self) -> Result<()> {
        let generation = self.generation();
        if generation.stored {
            return Ok(());
        }
        write_record(&*self.options.files, self.folder()?, &generation.record)?;
        let (record, snapshot) = (generation.record.clone(), generation.snapshot.clone());
        self.set(Generation { record, snapshot, stored: true });
        Ok(())
    }

    /// Makes a generation the current one, on the disk and then here, and sweeps away what none needs any more.
    ///
    /// When the record was renamed but could not be made durable, the new generation is current and an error is given:
    /// the disk may hold either of the two, so nothing is swept.
    pub(super) fn switch(&self, record: Record, snapshot: Snapshot) -> Result<()> {
        self.switch_keeping(record, snapshot, Vec::new())
    }

    /// [`switch`](Self::switch) to a generation with new files, which are removed if it does not come about.
    pub(super) fn switch_keeping(&self, record: Record, snapshot: Snapshot, new: Vec<NewFile<'_>>) -> Result<()> {
        let (files, folder) = (&*self.options.files, self.folder()?);
        let durable = write_record(files, folder, &record);
        if !matches!(durable, Err(Written { step: Step::Write, .. })) {
            // Even a rename that failed may have happened; then the record on the disk names these files.
            new.into_iter().for_each(NewFile::keep);
        }
        if let Err(Written { step: Step::Write | Step::Rename, error }) = durable {
            return Err(error);
        }
        self.set(Generation { record, snapshot, stored: true });
        durable?;
        self.sweep();
        Ok(())
    }

    /// The library is purged; readers keep what they have.
    pub(super) fn set_purged(&self, record: Record) {
        let snapshot = self.snapshot();
        self.set(Generation { record, snapshot, stored: true });
    }

    pub(super) fn set(&self, generation: Generation) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(generation);
    }

    /// Removes files that the current record does not name. Readers that still have one mapped keep its bytes; where the
    /// system forbids that, the file goes when the library is next opened.
    fn sweep(&self) {
        let Ok(folder) = self.folder() else { return };
        if let Err(error) = sweep(&*self.options.files, folder, Some(&self.generation().record)) {
            log::warn!("old files of the library are left for the next sweep: {}", error.kind());
        }
    }

    /// Opens a pack of a generation, reusing the segment that the current one has of it.
    pub(super) fn segment(&self, pack: &StoredPack) -> Result<Arc<Segment>> {
        self.segment_or(pack, None)
    }

    fn segment_or(&self, pack: &StoredPack, new: Option<&Arc<Segment>>) -> Result<Arc<Segment>> {
        let path = match &pack.name {
            Some(name) => self.folder()?.join(name),
            None => self.options.base.clone(),
        };
        let generation = self.generation();
        if let Some(open) = new.into_iter().chain(generation.snapshot.members()).find(|segment| segment.path() == path)
        {
            return Ok(Arc::clone(open));
        }
        let opened = self.open_pack(&path)?;
        // A kept pack was last verified when it was current, and nobody looked at it since. The base is hashed when the
        // library opens.
        if pack.name.is_some() {
            opened.verify()?;
        }
        if opened.manifest_hash() != pack.manifest {
            return Err(Error::Inconsistent {
                path,
                what: "the pack",
                expected: pack.manifest.to_string(),
                found: opened.manifest_hash().to_string(),
            });
        }
        Ok(Arc::new(Segment::from_pack(Arc::new(opened), &self.segment_options())?))
    }

    /// The snapshot that a record describes.
    pub(super) fn assemble(&self, record: &Record) -> Result<Snapshot> {
        self.assemble_with(record, None)
    }

    /// [`assemble`](Self::assemble) with a pack that is open already.
    pub(super) fn assemble_with(&self, record: &Record, new: Option<Arc<Segment>>) -> Result<Snapshot> {
        let open = |packs: &[StoredPack]| {
            packs.iter().map(|pack| self.segment_or(pack, new.as_ref())).collect::<Result<Vec<_>>>()
        };
        Snapshot::assemble(open(&record.publisher.packs)?, open(&record.local)?, &record.revoked)
    }

    /// Describes a file that was placed and verified.
    pub(super) fn stored(&self, file: &NewFile<'_>, pack: &Pack, signer: Option<String>) -> Result<StoredPack> {
        let path = file.path();
        let identity = self.options.files.identity(&path).map_err(failed(&path, "read the length of a pack"))?;
        Ok(StoredPack { name: Some(file.name.clone()), manifest: pack.manifest_hash(), identity, signer })
    }

    /// The key of this installation, which signs what the device writes itself; made when it is first needed.
    pub(super) fn installation_key(&self) -> Result<SigningKey> {
        let (files, folder) = (&*self.options.files, self.folder()?);
        let own_key = self.key();
        if let Some(key) = read_installation_key(files, own_key.as_ref(), folder)? {
            return Ok(key);
        }
        let key = SigningKey::generate()?;
        write_installation_key(files, folder, own_key.as_ref(), &key)?;
        Ok(key)
    }

    /// Whom to believe about packs that the device wrote itself.
    pub(super) fn own_trust(options: &LibraryOptions, folder: &Path) -> Result<Trust> {
        let key = read_installation_key(&*options.files, options.key.as_ref(), folder)?;
        Ok(Trust::pinned(key.iter().map(SigningKey::verifying_key).collect()))
    }

    /// Takes the key of this installation away, for a purge.
    pub(super) fn remove_installation_key(files: &dyn FileSystem, folder: &Path) -> Result<()> {
        let path = folder.join(INSTALLATION_KEY);
        match files.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&path, "remove a key")(error)),
            _ => Ok(()),
        }
    }
}

/// The key of the installation, if there is one.
///
/// # Errors
/// [`Error::WrongKey`]; [`lorekit_pack::Error::KeyNeeded`] if it is sealed and no key is given; damage.
pub(super) fn read_installation_key(
    files: &dyn FileSystem,
    key: Option<&SealKey>,
    folder: &Path,
) -> Result<Option<SigningKey>> {
    let path = folder.join(INSTALLATION_KEY);
    match files.read(&path, MAX_KEY_BYTES) {
        // A key from before the library was sealed is 32 bytes long; a sealed one is longer.
        Ok(bytes) if bytes.len() > 32 => {
            let Some(key) = key else { return Err(lorekit_pack::Error::KeyNeeded { path }.into()) };
            let mut seed = [0; 32];
            let opened = SealedFile::open_source(Arc::new(bytes), key, &ChunkCache::new(0));
            let read = opened.and_then(|sealed| sealed.read_at(0, &mut seed));
            read.map_err(lorekit_pack::Error::sealed(&path))?;
            let key = SigningKey::from_seed(&seed);
            seed.fill(0);
            Ok(Some(key))
        }
        Ok(bytes) => match bytes.first_chunk::<32>() {
            Some(seed) => Ok(Some(SigningKey::from_seed(seed))),
            None => Err(Error::Inconsistent {
                path,
                what: "the installation's key",
                expected: "32 bytes".into(),
                found: bytes.len().to_string(),
            }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, "read a key")(error)),
    }
}

/// Writes the key of the installation, sealed if there is a key for that.
pub(super) fn write_installation_key(
    files: &dyn FileSystem,
    folder: &Path,
    seal: Option<&SealKey>,
    key: &SigningKey,
) -> Result<()> {
    let (seed, mut bytes) = (key.to_seed(), Vec::new());
    match seal {
        None => return Ok(replace(files, folder, SCRATCH_KEY, INSTALLATION_KEY, &*seed)?),
        Some(seal) => {
            let sealed = seal_to(&seed[..], seed.len() as u64, &mut bytes, seal, &CancelToken::new());
            sealed.map_err(lorekit_pack::Error::sealed(&folder.join(INSTALLATION_KEY)))?;
        }
    }
    Ok(replace(files, folder, SCRATCH_KEY, INSTALLATION_KEY, &bytes)?)
}

/// How far the replacement of a small file came.
pub(super) struct Written {
    /// The step that failed.
    step: Step,
    pub error: Error,
}

/// A step of replacing a small file.
enum Step {
    /// The old file has the name.
    Write,
    /// The system says that the old file has the name.
    Rename,
    /// The new file has the name.
    Sync,
}

impl From<Written> for Error {
    fn from(written: Written) -> Self {
        written.error
    }
}

/// Replaces the record.
pub(super) fn write_record(files: &dyn FileSystem, folder: &Path, record: &Record) -> std::result::Result<(), Written> {
    replace(files, folder, SCRATCH_RECORD, CURRENT, &record.encode())
}

/// Writes a small file beside its place, makes it durable, renames it, and makes the name durable.
fn replace(
    files: &dyn FileSystem,
    folder: &Path,
    scratch: &str,
    name: &str,
    bytes: &[u8],
) -> std::result::Result<(), Written> {
    let (scratch, path) = (folder.join(scratch), folder.join(name));
    let written = || -> std::io::Result<()> {
        let mut file = files.create(&scratch)?;
        file.write_all(bytes)?;
        file.sync()
    };
    if let Err(error) = written() {
        let _ = files.remove(&scratch);
        return Err(Written { step: Step::Write, error: failed(&path, "write a record")(error) });
    }
    let renamed = files.rename(&scratch, &path);
    renamed.map_err(|error| Written { step: Step::Rename, error: failed(&path, "rename a record")(error) })?;
    let durable = files.sync_folder(folder);
    durable.map_err(|error| Written { step: Step::Sync, error: failed(&path, "make a record durable")(error) })
}

/// Removes what the record does not name, but for what a compaction of its chain has finished. Gives how many files there were: some are left only by what was cut short.
pub(super) fn sweep(files: &dyn FileSystem, folder: &Path, record: Option<&Record>) -> std::io::Result<usize> {
    let named: HashSet<&str> = record.iter().flat_map(|record| record.files()).collect();
    let stages = record.map(|record| name_prefix(&compaction_input(record)));
    let is_kept = |name: &str| {
        named.contains(name) || is_stage(name) && stages.as_ref().is_some_and(|prefix| name.starts_with(prefix))
    };
    let mut swept = 0;
    for name in files.list(folder)? {
        if is_ours(&name) && !is_kept(&name) {
            swept += 1;
            files.remove(&folder.join(name))?;
        }
    }
    Ok(swept)
}
