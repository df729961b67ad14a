//! Putting a file in its place so that it is there whole or not at all.
//!
//! Bytes are written to a part file, which survives an interruption and is continued later;
//! when its hash is right it is flushed to the disk and renamed. A reader of the final name
//! never sees a file that is half there or wrong.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;

use super::cache::hash_file;
use super::catalogue::Digest;
use super::error::{Failure, ModelsError, SourceError};
use super::progress::Progress;

/// A file that is to be fetched: where it goes and what its bytes must be.
pub(crate) struct Wanted<'a> {
    /// How it is named to the user.
    pub what: &'a str,
    /// Its final place.
    pub target: &'a Path,
    /// The folder for its part file; on the same file system as `target`.
    pub incoming: &'a Path,
    /// Its length, where known.
    pub size: Option<u64>,
    /// Its hash.
    pub sha256: &'a Digest,
}

impl Wanted<'_> {
    /// The part file. It carries the hash's beginning, so that a changed catalogue never continues another file.
    pub fn part(&self) -> PathBuf {
        let tag = self.sha256.known().map_or("unverified", |hex| &hex[..16]);
        let mut name = self.target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{tag}.part"));
        self.incoming.join(name)
    }

    /// Checks the part file and gives it its final name. On a wrong hash it is removed.
    /// Returns the hash.
    pub fn finish(&self, cancel: &CancelToken, progress: &mut dyn FnMut(Progress<'_>)) -> Result<String, Failure> {
        let part = self.part();
        let found = hash_file(&part, self.what, cancel, progress)?;
        if let Some(expected) = self.sha256.known()
            && expected != found
        {
            fs::remove_file(&part).map_err(|e| ModelsError::io("remove", &part, e))?;
            return Err(SourceError::Hash { what: self.what.to_owned(), expected: expected.to_owned(), found }.into());
        }
        make_parent(self.target)?;
        commit(&part, self.target)?;
        Ok(found)
    }
}

/// Flushes `part` to the disk and renames it to `target`, replacing what is there.
pub(crate) fn commit(part: &Path, target: &Path) -> Result<(), ModelsError> {
    let failed = |e| ModelsError::io("write", target, e);
    // Windows flushes only handles that may write.
    File::options().write(true).open(part).and_then(|f| f.sync_all()).map_err(failed)?;
    fs::rename(part, target).map_err(failed)?;
    #[cfg(unix)]
    if let Some(folder) = target.parent() {
        // Some file systems cannot flush a folder; the rename has happened all the same.
        let _ = File::open(folder).and_then(|f| f.sync_all());
    }
    Ok(())
}

/// Writes one block and turns a failure into an error that names the file.
pub(crate) fn write_block(out: &mut dyn Write, path: &Path, block: &[u8]) -> Result<(), ModelsError> {
    out.write_all(block).map_err(|e| ModelsError::io("write", path, e))
}

/// Creates the folder that `path` lies in.
pub(crate) fn make_parent(path: &Path) -> Result<(), ModelsError> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(|e| ModelsError::io("create", folder, e)),
        None => Ok(()),
    }
}

/// Removes a file; one that is not there is as good as removed.
pub(crate) fn remove(path: &Path) -> Result<(), ModelsError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ModelsError::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Whether a file is there with its full length. Files get their final names only after their hash was checked.
pub(crate) fn is_placed(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_apart_and_names_the_file() {
        // Linux has a device that is always full.
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_block(&mut full, Path::new("some.part"), &[0; 1 << 16]).unwrap_err();
        assert!(matches!(&error, ModelsError::DiskFull { path } if path == Path::new("some.part")), "{error}");
    }

    #[test]
    fn a_wrong_hash_removes_the_part_and_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model.gguf");
        fs::write(&target, "old").unwrap();
        let sha256 = Digest::Sha256("0".repeat(64));
        let wanted = Wanted { what: "model", target: &target, incoming: folder.path(), size: None, sha256: &sha256 };
        fs::write(wanted.part(), "new").unwrap();
        let failure = wanted.finish(&CancelToken::new(), &mut |_| ()).unwrap_err();
        assert!(matches!(failure, Failure::Source(SourceError::Hash { .. })));
        assert!(!wanted.part().exists());
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    }
}
