//! Reading any range of a sealed file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use crate::cache::{Chunk, ChunkCache};
use crate::chunk::{ChunkCipher, Layout, TAG_BYTES};
use crate::error::{Error, Result};
use crate::header::{HEADER_BYTES, open_header};
use crate::key::SealKey;
use crate::source::{FileSource, ReadAt, check_range};

/// The content of a sealed container, readable at any place by any number of threads.
///
/// A chunk is read, checked and decrypted when it is first needed and kept in the cache; a byte that was changed, moved
/// or cut off in the container is an error when its chunk is read, never another byte.
pub struct SealedFile {
    source: Arc<dyn ReadAt>,
    cipher: ChunkCipher,
    layout: Layout,
    cache: Arc<ChunkCache>,
    number: u64,
}

impl SealedFile {
    /// Opens a file. Costs one read of 8 KiB.
    ///
    /// # Errors
    /// [`Error::WrongKey`], or what is wrong with the header or the length.
    pub fn open(path: impl AsRef<Path>, key: &SealKey, cache: &Arc<ChunkCache>) -> Result<Self> {
        Self::open_source(Arc::new(FileSource::open(path)?), key, cache)
    }

    /// Opens a container that lies in any source, such as a section of a pack.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_source(source: Arc<dyn ReadAt>, key: &SealKey, cache: &Arc<ChunkCache>) -> Result<Self> {
        let found = source.len();
        let mut header = [0; HEADER_BYTES];
        let present = found.min(HEADER_BYTES as u64) as usize;
        source.read_at(0, &mut header[..present])?;
        if present < HEADER_BYTES {
            let sealed = crate::header::is_sealed(&header[..present]);
            let truncated = Error::Truncated { expected: HEADER_BYTES as u64, found };
            return Err(if sealed { truncated } else { Error::NotSealed });
        }
        let opened = open_header(&header, key)?;
        let layout = opened.layout;
        let expected = layout.sealed_length().ok_or(Error::DamagedHeader { part: "length" })?;
        if found < expected {
            return Err(Error::Truncated { expected, found });
        }
        if found > expected {
            return Err(Error::TooLong { expected, found });
        }
        let cipher = ChunkCipher::new(&opened.content_key, opened.file);
        Ok(Self { source, cipher, layout, cache: Arc::clone(cache), number: cache.new_file() })
    }

    /// The cache it was opened with.
    pub fn cache(&self) -> &Arc<ChunkCache> {
        &self.cache
    }

    /// Reads, checks and decrypts a chunk into `buffer`, which has the chunk's length.
    fn open_chunk(&self, index: u64, buffer: &mut [u8]) -> Result<()> {
        let offset = self.layout.offset(index);
        let mut tag = [0; TAG_BYTES];
        self.source.read_once(offset, buffer)?;
        self.source.read_once(offset + buffer.len() as u64, &mut tag)?;
        let opening = self.cipher.open(index, self.layout.is_last(index), buffer, &tag);
        if opening.is_err() {
            buffer.zeroize();
        }
        opening
    }

    fn chunk(&self, index: u64, keep: bool) -> Result<Chunk> {
        if let Some(chunk) = self.cache.get(self.number, index) {
            return Ok(chunk);
        }
        let mut bytes = Zeroizing::new(vec![0; self.layout.length(index)]);
        self.open_chunk(index, &mut bytes)?;
        let chunk = Arc::new(bytes);
        if keep {
            self.cache.put(self.number, index, &chunk);
        }
        Ok(chunk)
    }

    fn read(&self, offset: u64, mut buffer: &mut [u8], keep: bool) -> Result<()> {
        check_range(offset, buffer.len(), self.layout.plain_length)?;
        let chunk_bytes = u64::from(self.layout.chunk_bytes);
        let mut at = offset;
        while !buffer.is_empty() {
            let index = at / chunk_bytes;
            let skip = (at % chunk_bytes) as usize;
            let n_bytes = (self.layout.length(index) - skip).min(buffer.len());
            let (part, rest) = buffer.split_at_mut(n_bytes);
            let whole = n_bytes == self.layout.length(index);
            match self.cache.get(self.number, index).filter(|_| whole && !keep) {
                Some(chunk) => part.copy_from_slice(&chunk),
                // A whole chunk that is not kept is decrypted where it is wanted.
                None if whole && !keep => self.open_chunk(index, part)?,
                None => part.copy_from_slice(&self.chunk(index, keep)?[skip..skip + n_bytes]),
            }
            buffer = rest;
            at += n_bytes as u64;
        }
        Ok(())
    }
}

impl ReadAt for SealedFile {
    fn len(&self) -> u64 {
        self.layout.plain_length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.read(offset, buffer, true)
    }

    fn read_once(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.read(offset, buffer, false)
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        self.cache.forget_file(self.number);
    }
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFile").field("layout", &self.layout).finish_non_exhaustive()
    }
}
