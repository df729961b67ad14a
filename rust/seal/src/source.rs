//! Bytes that can be read at any place: a file, a part of another source, and, in `read`, a sealed file's content.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Bytes of a known length that several threads may read at once.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Number of bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if they leave the source; what a medium or a container answers otherwise. After an error
    /// the buffer's content means nothing.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// As [`read_at`](Self::read_at), by a caller that goes over more than a cache should hold and will not come back
    /// soon: what is in a cache is used, and nothing is put there.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    fn read_once(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.read_at(offset, buffer)
    }
}

/// Whether a range lies within `end` bytes.
pub(crate) fn check_range(offset: u64, length: usize, end: u64) -> Result<()> {
    match offset.checked_add(length as u64) {
        Some(stop) if stop <= end => Ok(()),
        _ => Err(Error::OutOfRange { offset, length: length as u64, end }),
    }
}

/// A file of the system, with the length it had when it was opened.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    length: u64,
}

impl FileSource {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(File::open(path).map_err(Error::io("open a file"))?)
    }

    /// Takes an open file.
    ///
    /// # Errors
    /// [`Error::Io`] if its length cannot be read.
    pub fn new(file: File) -> Result<Self> {
        let length = file.metadata().map_err(Error::io("read the length of a file"))?.len();
        Ok(Self { file, length })
    }
}

impl ReadAt for FileSource {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check_range(offset, buffer.len(), self.length)?;
        read_file_at(&self.file, offset, buffer).map_err(Error::io("read a file"))
    }
}

#[cfg(unix)]
fn read_file_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_file_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let n_bytes = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if n_bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[n_bytes..];
        offset += n_bytes as u64;
    }
    Ok(())
}

/// A part of another source.
#[derive(Clone, Debug)]
pub struct Window {
    source: Arc<dyn ReadAt>,
    start: u64,
    length: u64,
}

impl Window {
    /// The `length` bytes of `source` from `start` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(source: Arc<dyn ReadAt>, start: u64, length: u64) -> Result<Self> {
        let end = source.len();
        match start.checked_add(length) {
            Some(stop) if stop <= end => Ok(Self { source, start, length }),
            _ => Err(Error::OutOfRange { offset: start, length, end }),
        }
    }
}

impl ReadAt for Window {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check_range(offset, buffer.len(), self.length)?;
        self.source.read_at(self.start + offset, buffer)
    }

    fn read_once(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check_range(offset, buffer.len(), self.length)?;
        self.source.read_once(self.start + offset, buffer)
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check_range(offset, buffer.len(), ReadAt::len(self))?;
        let start = offset as usize;
        buffer.copy_from_slice(&self[start..start + buffer.len()]);
        Ok(())
    }
}
