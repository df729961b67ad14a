//! The cache of some positions as bytes, to be kept outside a session and outside the process.

use crate::{Error, Result};

/// Raised whenever the meaning of the cached bytes changes: their layout, or what the kernels compute.
pub(crate) const CACHE_VERSION: u32 = 2;

const MAGIC: [u8; 4] = *b"LKKV";
const HEADER: usize = 4 + 4 + 1 + 32 + 32 + 4 + 4;
const CHECKSUM: usize = 32;

/// Keys and values of some positions of a session, with what they depend on: the model, the compute path, the
/// adapters, and every token up to the last position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvSnapshot {
    pub(super) model: [u8; 32],
    pub(super) backend: u8,
    pub(super) adapters: [u8; 32],
    /// The first position whose cache is here.
    pub(super) start: usize,
    /// All tokens from the beginning of the text to the last position.
    pub(super) tokens: Vec<u32>,
    /// Layer after layer, as the compute path stores it.
    pub(super) data: Vec<u8>,
}

impl KvSnapshot {
    /// The positions whose cache it holds.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.tokens.len()
    }

    /// All tokens up to its last position, those before its first included.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes of cached keys and values.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// A form to keep in a file: little-endian, a checksum (BLAKE3) at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + 4 * self.tokens.len() + self.data.len() + CHECKSUM);
        out.extend(MAGIC);
        out.extend(CACHE_VERSION.to_le_bytes());
        out.push(self.backend);
        out.extend(self.model);
        out.extend(self.adapters);
        out.extend((self.start as u32).to_le_bytes());
        out.extend((self.tokens.len() as u32).to_le_bytes());
        out.extend(self.tokens.iter().flat_map(|token| token.to_le_bytes()));
        out.extend(&self.data);
        let checksum = blake3::hash(&out);
        out.extend(checksum.as_bytes());
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Whether it fits a session is for
    /// [`Session::restore`](super::Session::restore) to say.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for anything else, and for bytes of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let invalid = |reason: &str| Error::InvalidArgument(format!("not a cache snapshot: {reason}"));
        let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else {
            return Err(invalid("too short"));
        };
        if blake3::hash(body) != *checksum {
            return Err(invalid("its checksum is wrong"));
        }
        let mut rest = body;
        if take::<4>(&mut rest) != Some(MAGIC) {
            return Err(invalid("it begins otherwise"));
        }
        if take(&mut rest).map(u32::from_le_bytes) != Some(CACHE_VERSION) {
            return Err(invalid("another version"));
        }
        let parsed = (|| {
            let [backend] = take::<1>(&mut rest)?;
            let model = take::<32>(&mut rest)?;
            let adapters = take::<32>(&mut rest)?;
            let start = u32::from_le_bytes(take(&mut rest)?) as usize;
            let n_tokens = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (tokens, data) = rest.split_at_checked(n_tokens.checked_mul(4)?)?;
            let tokens = tokens.as_chunks::<4>().0.iter().map(|t| u32::from_le_bytes(*t)).collect();
            (start < n_tokens).then(|| Self { model, backend, adapters, start, tokens, data: data.to_vec() })
        })();
        parsed.ok_or_else(|| invalid("its lengths do not fit"))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}
