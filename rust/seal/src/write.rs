//! Writing a container in one pass and in bounded memory.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

use lorekit_cancel::CancelToken;
use zeroize::Zeroizing;

use crate::chunk::{CHUNK_BYTES, ChunkCipher, Layout, TAG_BYTES};
use crate::error::{Error, Result};
use crate::header::{HEADER_BYTES, check_chunk_bytes, new_header};
use crate::key::{SealKey, random};

/// Length of the container around a content of `plain_length` bytes in chunks of the usual size, if it is a number.
pub fn sealed_length(plain_length: u64) -> Option<u64> {
    Layout { chunk_bytes: CHUNK_BYTES, plain_length }.sealed_length()
}

/// Seals the `plain_length` bytes that `reader` gives, in chunks of the usual size. Memory: one chunk.
///
/// The caller makes the file durable.
///
/// # Errors
/// [`Error::WrongLength`] if the reader gives more or fewer bytes; [`Error::Io`], [`Error::Cancelled`]. What was
/// written by then is no container.
pub fn seal_to(
    mut reader: impl Read,
    plain_length: u64,
    mut writer: impl Write,
    key: &SealKey,
    cancel: &CancelToken,
) -> Result<()> {
    let layout = Layout { chunk_bytes: CHUNK_BYTES, plain_length };
    layout.sealed_length().ok_or(Error::InvalidInput { reason: "the content is too long" })?;
    let (file, content_key) = new_file()?;
    let cipher = ChunkCipher::new(&content_key, file);
    let header = new_header(layout, file, &content_key, key)?;
    let wrong = Error::WrongLength { announced: plain_length };
    let write_error = || Error::io("write a sealed container");
    writer.write_all(&header).map_err(write_error())?;
    let mut buffer = Zeroizing::new(vec![0; CHUNK_BYTES as usize]);
    for index in 0..layout.chunks() {
        cancel.check()?;
        let chunk = &mut buffer[..layout.length(index)];
        match reader.read_exact(chunk) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(wrong),
            other => other.map_err(Error::io("read what is to be sealed"))?,
        }
        let tag = cipher.seal(index, layout.is_last(index), chunk);
        writer.write_all(chunk).map_err(write_error())?;
        writer.write_all(&tag).map_err(write_error())?;
    }
    match reader.read(&mut buffer[..1]).map_err(Error::io("read what is to be sealed"))? {
        0 => writer.flush().map_err(write_error()),
        _ => Err(wrong),
    }
}

/// Seals what is written to it, when the length is not known before the end.
///
/// Memory: two chunks. The first chunk is sealed last, so that a format whose first bytes are known at its end can set
/// them with [`patch`](Self::patch). A writer that is dropped instead of [`finish`](Self::finish)ed leaves a file that
/// no key opens.
pub struct SealWriter<W> {
    inner: W,
    key: SealKey,
    file: [u8; 16],
    content_key: Zeroizing<[u8; 32]>,
    cipher: ChunkCipher,
    chunk_bytes: u32,
    first: Zeroizing<Vec<u8>>,
    pending: Zeroizing<Vec<u8>>,
    /// The number of the chunk in `pending`.
    index: u64,
    plain_length: u64,
}

impl<W: Write + Seek> SealWriter<W> {
    /// Starts a container at the beginning of `inner`, which must be empty.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoRandomness`].
    pub fn new(inner: W, key: &SealKey) -> Result<Self> {
        Self::with_chunk_bytes(inner, key, CHUNK_BYTES)
    }

    /// As [`new`](Self::new), with chunks of another size.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::InvalidInput`] for a size that the format does not have.
    pub fn with_chunk_bytes(mut inner: W, key: &SealKey, chunk_bytes: u32) -> Result<Self> {
        check_chunk_bytes(chunk_bytes)?;
        let (file, content_key) = new_file()?;
        let cipher = ChunkCipher::new(&content_key, file);
        inner.write_all(&[0; HEADER_BYTES]).map_err(Error::io("write a sealed container"))?;
        let capacity = chunk_bytes as usize;
        Ok(Self {
            inner,
            key: key.clone(),
            file,
            content_key,
            cipher,
            chunk_bytes,
            // Room for all of a chunk from the start: a buffer that grew would leave plain bytes behind.
            first: Zeroizing::new(Vec::with_capacity(capacity)),
            pending: Zeroizing::new(Vec::with_capacity(capacity)),
            index: 1,
            plain_length: 0,
        })
    }

    /// Plain bytes written so far.
    pub fn position(&self) -> u64 {
        self.plain_length
    }

    /// Replaces bytes that were written before and lie within the first chunk.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if they do not.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = self.first.len() as u64;
        crate::source::check_range(offset, bytes.len(), end)?;
        let start = offset as usize;
        self.first[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Seals the last chunk, the first one and the header; gives the file back, which the caller makes durable.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoRandomness`].
    pub fn finish(mut self) -> Result<W> {
        let failed = || Error::io("write a sealed container");
        let layout = Layout { chunk_bytes: self.chunk_bytes, plain_length: self.plain_length };
        if !self.pending.is_empty() {
            self.flush_pending(true).map_err(failed())?;
        }
        let header = new_header(layout, self.file, &self.content_key, &self.key)?;
        self.inner.seek(SeekFrom::Start(0)).map_err(failed())?;
        self.inner.write_all(&header).map_err(failed())?;
        if !self.first.is_empty() {
            let tag = self.cipher.seal(0, layout.is_last(0), &mut self.first);
            self.inner.write_all(&self.first).map_err(failed())?;
            self.inner.write_all(&tag).map_err(failed())?;
        }
        self.inner.flush().map_err(failed())?;
        Ok(self.inner)
    }

    fn flush_pending(&mut self, last: bool) -> io::Result<()> {
        let tag = self.cipher.seal(self.index, last, &mut self.pending);
        self.inner.write_all(&self.pending)?;
        self.inner.write_all(&tag)?;
        self.pending.clear();
        self.index += 1;
        Ok(())
    }
}

impl<W: Write + Seek> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.chunk_bytes as usize;
        if bytes.is_empty() {
            return Ok(0);
        }
        let taken;
        if self.first.len() < room {
            taken = bytes.len().min(room - self.first.len());
            self.first.extend_from_slice(&bytes[..taken]);
            if self.first.len() == room {
                // A place for the first chunk, which is sealed at the end.
                self.inner.write_all(&vec![0; room + TAG_BYTES])?;
            }
        } else {
            if self.pending.len() == room {
                self.flush_pending(false)?;
            }
            taken = bytes.len().min(room - self.pending.len());
            self.pending.extend_from_slice(&bytes[..taken]);
        }
        self.plain_length += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealWriter").field("plain_length", &self.plain_length).finish_non_exhaustive()
    }
}

/// A new file's id and key.
fn new_file() -> Result<([u8; 16], Zeroizing<[u8; 32]>)> {
    let mut file = [0; 16];
    random(&mut file)?;
    let mut content_key = Zeroizing::new([0; 32]);
    random(content_key.as_mut_slice())?;
    Ok((file, content_key))
}
