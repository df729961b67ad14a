//! Where a pack's bytes come from: a map of a plain file, or a sealed file that is decrypted as it is read.

use std::fmt;
use std::sync::Arc;

use lorekit_seal::{ChunkCache, Error as SealError, ReadAt, SealKey};
use memmap2::Mmap;

/// The keys that a pack may need, and the memory that decrypted bytes may take.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// The app's key, for files that LoreKit sealed on this device. A plain file stays plain with it.
    pub key: Option<SealKey>,
    /// The publisher's key, for packs whose sections are sealed.
    pub content_key: Option<SealKey>,
    /// The cache of decrypted chunks; none gives each pack its own of [`ChunkCache::DEFAULT_BUDGET`].
    pub cache: Option<Arc<ChunkCache>>,
}

/// The plain bytes of a section, mapped or decrypted as they are read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SectionReader(Arc<dyn ReadAt>);

impl SectionReader {
    pub(crate) fn new(source: Arc<dyn ReadAt>) -> Self {
        Self(source)
    }
}

impl ReadAt for SectionReader {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        self.0.read_at(offset, buffer)
    }

    fn read_once(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        self.0.read_once(offset, buffer)
    }
}

/// A map of a plain file.
#[derive(Clone)]
pub(crate) struct Mapped(pub Arc<Mmap>);

impl Mapped {
    pub fn slice(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        self.0.get(start..end)
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.0.len())
    }
}

impl ReadAt for Mapped {
    fn len(&self) -> u64 {
        self.0.as_ref().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SealError> {
        let length = buffer.len() as u64;
        let bytes =
            self.slice(offset, length).ok_or(SealError::OutOfRange { offset, length, end: ReadAt::len(self) })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// The bytes of a whole pack.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Mapped(Mapped),
    Sealed(Arc<dyn ReadAt>),
}

impl Source {
    pub fn len(&self) -> u64 {
        self.reader_ref().len()
    }

    /// A slice of the map; none for a sealed source or a range that leaves it.
    pub fn slice(&self, offset: u64, length: u64) -> Option<&[u8]> {
        match self {
            Self::Mapped(map) => map.slice(offset, length),
            Self::Sealed(_) => None,
        }
    }

    pub fn reader_ref(&self) -> &dyn ReadAt {
        match self {
            Self::Mapped(map) => map,
            Self::Sealed(source) => &**source,
        }
    }

    pub fn reader(&self) -> Arc<dyn ReadAt> {
        match self {
            Self::Mapped(map) => Arc::new(map.clone()),
            Self::Sealed(source) => Arc::clone(source),
        }
    }
}
