//! One chunk: how it is sealed and opened in place.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Plain bytes of a chunk, unless a writer is told otherwise. Sixteen pages of SQLite; 16 bytes of tag are 0.02 %.
pub const CHUNK_BYTES: u32 = 64 << 10;
/// The smallest chunk of the format; sizes are powers of two.
pub const MIN_CHUNK_BYTES: u32 = 256;
/// The largest chunk of the format.
pub const MAX_CHUNK_BYTES: u32 = 1 << 20;
/// Bytes of the tag behind each chunk.
pub const TAG_BYTES: usize = 16;

/// The cipher of one file.
pub(crate) struct ChunkCipher {
    cipher: ChaCha20Poly1305,
    file: [u8; 16],
}

impl ChunkCipher {
    pub fn new(content_key: &Zeroizing<[u8; 32]>, file: [u8; 16]) -> Self {
        Self { cipher: ChaCha20Poly1305::new((&**content_key).into()), file }
    }

    /// Seals `bytes` in place and gives the tag. The key is the file's own and each number is sealed once, which is why
    /// a counter may be the nonce.
    pub fn seal(&self, index: u64, last: bool, bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let associated = self.associated(index, last);
        let sealing = self.cipher.encrypt_inout_detached(&nonce(index), &associated, InOutBuf::from(bytes));
        sealing.expect("a chunk is far below the cipher's 256 GiB").into()
    }

    /// Opens `bytes` in place. What is in them after an error is not plain text.
    pub fn open(&self, index: u64, last: bool, bytes: &mut [u8], tag: &[u8; TAG_BYTES]) -> Result<()> {
        let associated = self.associated(index, last);
        let buffer = InOutBuf::from(bytes);
        let opening = self.cipher.decrypt_inout_detached(&nonce(index), &associated, buffer, &Tag::from(*tag));
        opening.map_err(|_| Error::DamagedChunk { index })
    }

    fn associated(&self, index: u64, last: bool) -> [u8; 25] {
        let mut bytes = [0; 25];
        bytes[..16].copy_from_slice(&self.file);
        bytes[16..24].copy_from_slice(&index.to_le_bytes());
        bytes[24] = u8::from(last);
        bytes
    }
}

fn nonce(index: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&index.to_le_bytes());
    bytes.into()
}

/// Where the chunks of a content of this length lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub chunk_bytes: u32,
    pub plain_length: u64,
}

impl Layout {
    /// Number of chunks; none for an empty content.
    pub fn chunks(&self) -> u64 {
        self.plain_length.div_ceil(u64::from(self.chunk_bytes))
    }

    /// Length of the container, if it is a number.
    pub fn sealed_length(&self) -> Option<u64> {
        let tags = self.chunks().checked_mul(TAG_BYTES as u64)?;
        self.plain_length.checked_add(tags)?.checked_add(crate::header::HEADER_BYTES as u64)
    }

    /// First byte of a chunk in the container.
    pub fn offset(&self, index: u64) -> u64 {
        crate::header::HEADER_BYTES as u64 + index * (u64::from(self.chunk_bytes) + TAG_BYTES as u64)
    }

    /// Plain bytes of a chunk.
    pub fn length(&self, index: u64) -> usize {
        let chunk = u64::from(self.chunk_bytes);
        (self.plain_length - index * chunk).min(chunk) as usize
    }

    /// Whether this is the last chunk.
    pub fn is_last(&self, index: u64) -> bool {
        index + 1 == self.chunks()
    }
}
