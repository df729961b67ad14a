//! A file under construction that is removed unless it is put in its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A new file beside its target; dropping it removes it.
#[derive(Debug)]
pub struct ScratchFile {
    path: PathBuf,
    kept: bool,
}

impl ScratchFile {
    /// Creates an empty file in the folder of `target`, under a hidden name that ends in `.tmp`.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder does not exist or cannot be written.
    pub fn beside(target: &Path) -> Result<(Self, File)> {
        let folder = folder_of(target);
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = std::process::id();
        // The number only has to differ from those of builds that run now or were killed before.
        for attempt in 0..10_000u32 {
            let path = folder.join(format!(".{name}.{process}-{attempt}.tmp"));
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            match options.open(&path) {
                Ok(file) => return Ok((Self { path, kept: false }, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, "create a file")(error)),
            }
        }
        Err(Error::io(folder, "create a file")(io::ErrorKind::AlreadyExists.into()))
    }

    /// Where the file is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file to `target`, replacing what is there, and makes the name durable.
    ///
    /// The file's content must have been synced before.
    ///
    /// # Errors
    /// [`Error::Io`]; the file is then removed.
    pub fn persist(mut self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).map_err(Error::io(target, "rename a finished file"))?;
        self.kept = true;
        sync_folder(folder_of(target))
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing can be done about a failure here, and a stale hidden file is not an error for anyone.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    let handle = File::open(folder).map_err(Error::io(folder, "open a folder"))?;
    handle.sync_all().map_err(Error::io(folder, "make a rename durable"))
}

/// Elsewhere folders cannot be opened as files; the rename is durable with the file system's own journal.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> Result<()> {
    Ok(())
}
