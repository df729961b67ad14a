//! The one door to the folder of a library: every file operation that a crash could cut in two goes through it.
//!
//! The trait is small on purpose. A file is written once, synced, and given its name by a rename; nothing is
//! changed in place but the header of a sealed file, when its key is. [`RealFiles`] is the system's file system. Tests put another one in its place, which stops, tears,
//! reorders, fills the disk or fails at each single operation, so an operation that does not go through here is one
//! that no test has broken.

mod real;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use real::RealFiles;

/// What tells whether a file is still the one that was seen before, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last change in nanoseconds since 1970, where the system keeps one; else 0.
    pub modified: u64,
}

/// A file being written. Its bytes are durable only once [`sync`](Self::sync) has returned.
pub trait WritableFile: io::Write + Send {
    /// Makes all bytes written so far durable.
    ///
    /// # Errors
    /// The system's. The bytes may be lost then, and calling it again proves nothing: the file must be written anew.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file operations of a library. Paths are whole paths.
///
/// Each method returns the system's error as it is; the caller adds the file and what it wanted.
pub trait FileSystem: Debug + Send + Sync {
    /// Makes a folder and those above it, if they do not exist.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Creates an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>>;

    /// Makes a file durable that was written by other means: SQLite and the pack writer write to paths.
    ///
    /// # Errors
    /// The system's; see [`WritableFile::sync`].
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Writes over a part of a file that is there, and makes it durable. Cut short, any part of these bytes may be
    /// written, and no other.
    ///
    /// # Errors
    /// The system's; see [`WritableFile::sync`].
    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name in its folder, replacing what has that name, in one step. Durable only after
    /// [`sync_folder`](Self::sync_folder).
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away. Whoever has it open or mapped keeps its bytes.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// All bytes of a small file, at most `limit` of them.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::InvalidData`] for a longer file.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The names in a folder, in no order; those that are not UTF-8 are left out, since no library writes them.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Length and time of change of a file.
    ///
    /// # Errors
    /// The system's.
    fn identity(&self, path: &Path) -> io::Result<FileIdentity>;

    /// Locks a file, creating it if needed, until what is returned is dropped or the process ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when someone else, in this process or another, has it locked; else the system's.
    fn lock(&self, path: &Path) -> io::Result<FileLock>;
}

/// Holds a lock until it is dropped.
pub struct FileLock {
    _held: Box<dyn Any + Send + Sync>,
}

impl FileLock {
    /// A lock that ends when `held` is dropped.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl Debug for FileLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileLock")
    }
}
