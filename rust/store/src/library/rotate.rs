//! Another key of the app for a whole library.
//!
//! Each pack is a container with two places for its wrapped key, so that for a while two keys of the app open it.
//! `installation.key` has one key at each moment and is asked first when a library opens, so it says which key is the
//! library's:
//!
//! 1. each pack gets the new key in the place that the old one does not use;
//! 2. `installation.key` is replaced by one under the new key: **this is the switch**;
//! 3. each pack loses the old key.
//!
//! Stopped before 2, the library opens with the old key and not with the new one; stopped after it, the other way round.
//! Each step can be done again, so what was cut short is ended by rotating once more.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;

use lorekit_seal::{HEADER_BYTES, HeaderWrite, SealKey, is_sealed, rewrap_header};

use crate::error::Result;
use crate::files::FileSystem;
use crate::library::switch::{failed, read_installation_key, write_installation_key, write_record};
use crate::library::{Generation, Library};
use crate::stages::is_stage;

impl Library {
    /// Seals the library with another key from now on: what the folder holds is opened by `new` and no more by the key
    /// before. Texts and vectors are not written again: it costs two writes of 4 KiB and two syncs a file. Readers go
    /// on, other changes wait. Gives the number of packs that changed their key.
    ///
    /// The app keeps both keys until this has returned. If it is cut short, exactly one of them opens the library, the
    /// other is refused with [`Error::WrongKey`](crate::Error::WrongKey), and calling it again with `new` completes it, also if `new` is the
    /// key that the library was opened with. A library that had no key seals from now on what it writes; packs that are
    /// there stay plain until they are replaced.
    ///
    /// The old key still opens copies of the files made before, and on media that do not overwrite in place what they
    /// kept of the old headers: destroy it.
    ///
    /// # Errors
    /// [`Error::ReadOnlyLibrary`](crate::Error::ReadOnlyLibrary); what the disk refused. The library is whole and goes on with the key that opens it.
    pub fn rotate_key(&self, new: SealKey) -> Result<usize> {
        let _changing = self.change()?;
        let (files, folder) = (&*self.options.files, self.folder()?);
        let mut record = self.generation().record.clone();
        // What a compaction that was cut short left is sealed with the old key, and nothing needs it.
        for name in files.list(folder).map_err(failed(folder, "list the library's folder"))? {
            if is_stage(&name) {
                files.remove(&folder.join(name)).map_err(failed(folder, "remove old files"))?;
            }
        }
        let own = self.installation_key()?;
        let old = self.key().unwrap_or_else(|| new.clone());
        let mut sealed = Vec::new();
        let names: BTreeSet<String> = record.files().map(str::to_owned).collect();
        for path in names.iter().map(|name| folder.join(name)) {
            if let Some(header) = read_header(&path)? {
                // The first write is the place that the old key does not use.
                overwrite(files, &path, writes(&path, &header, &old, &new)?.first())?;
                sealed.push(path);
            }
        }
        let switched = write_installation_key(files, folder, Some(&new), &own);
        // A failure may have come after the new file had its name. Whatever is written next is sealed with the key that is
        // asked first, and makes that name durable before it is named itself.
        if switched.is_ok() || read_installation_key(files, Some(&new), folder).is_ok() {
            *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(new.clone());
        }
        switched?;
        for path in &sealed {
            if let Some(header) = read_header(path)? {
                overwrite(files, path, writes(path, &header, &old, &new)?.last())?;
            }
        }
        // The files are others by their time of change. Noted, the next opening need not hash them.
        let stored = record.publisher.packs.iter_mut().chain(&mut record.local);
        for pack in stored.chain(record.kept.iter_mut().flat_map(|chain| &mut chain.packs)) {
            if let Some(name) = &pack.name {
                let path = folder.join(name);
                pack.identity = files.identity(&path).map_err(failed(&path, "look at a pack"))?;
            }
        }
        let snapshot = self.snapshot();
        write_record(files, folder, &record)?;
        self.set(Generation { record, snapshot, stored: true });
        Ok(sealed.len())
    }
}

/// The header of a sealed pack, or none of a plain one.
fn read_header(path: &Path) -> Result<Option<[u8; HEADER_BYTES]>> {
    let mut header = [0; HEADER_BYTES];
    let mut file = std::fs::File::open(path).map_err(failed(path, "open a pack"))?;
    match std::io::Read::read_exact(&mut file, &mut header) {
        Ok(()) => Ok(is_sealed(&header).then_some(header)),
        // No container is so short, and no pack either: verifying it says what it is.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(failed(path, "read a header")(error)),
    }
}

fn writes(path: &Path, header: &[u8; HEADER_BYTES], old: &SealKey, new: &SealKey) -> Result<Vec<HeaderWrite>> {
    Ok(rewrap_header(header, old, new).map_err(lorekit_pack::Error::sealed(path))?)
}

fn overwrite(files: &dyn FileSystem, path: &Path, write: Option<&HeaderWrite>) -> Result<()> {
    let Some(write) = write else { return Ok(()) };
    files.overwrite(path, write.offset, &write.bytes).map_err(failed(path, "write a header"))
}
