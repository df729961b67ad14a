//! The bytes of header, section table, signature area and footer.
//!
//! ```text
//! 0                 header, 128 bytes, zeros up to 16 KiB
//! 16 KiB · n        sections, each on a 16 KiB boundary, zeros between
//! then, 16-aligned  manifest (JSON, UTF-8)
//! then, 16-aligned  section table, 64 bytes an entry
//! then              signature area, 16 KiB, zeros when unsigned
//! last 32 bytes     footer
//! ```
//!
//! All numbers are little-endian. Reading takes slices and never allocates by a number out of the file.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::ContentHash;

/// The first eight bytes of each pack.
pub const MAGIC: [u8; 8] = *b"LOREPACK";
/// The last eight bytes of each pack.
pub(crate) const END_MAGIC: [u8; 8] = *b"KCAPEROL";
/// The version of the format that this build writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Sections begin at multiples of this: the largest page size in use on phones, so that each maps alone.
pub const SECTION_ALIGNMENT: u64 = 16 * 1024;
/// The most sections a pack may have.
pub const MAX_SECTIONS: usize = 64;
/// The longest manifest a reader accepts, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;
/// Bytes kept for signatures and the key set behind them; signing changes nothing else in the file.
pub const SIGNATURE_AREA_BYTES: u64 = 16 * 1024;

pub(crate) const HEADER_BYTES: usize = 128;
pub(crate) const TABLE_ENTRY_BYTES: usize = 64;
pub(crate) const FOOTER_BYTES: usize = 32;
pub(crate) const PART_ALIGNMENT: u64 = 16;

/// What a section holds. The number is what stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// The SQLite database of documents, passages and lexical index.
    Passages,
    /// The matrix of vectors, followed by its graph when the manifest's index is `hnsw`.
    Vectors,
    /// Passages that are withdrawn by this pack, with the kind of withdrawal; deltas only.
    Withdrawals,
    /// New places of unchanged passages in an amended source file; deltas only, optional, not part of the state.
    Placements,
    /// The licence texts of the sources, UTF-8.
    Notices,
}

impl SectionKind {
    /// Every kind this build knows, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Passages, Self::Vectors, Self::Withdrawals, Self::Placements, Self::Notices];

    /// The number of this kind in the file.
    pub fn number(self) -> u32 {
        match self {
            Self::Passages => 1,
            Self::Vectors => 2,
            Self::Withdrawals => 3,
            Self::Placements => 4,
            Self::Notices => 5,
        }
    }

    /// The kind with this number, if this build knows it.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind's name in manifests and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passages => "passages",
            Self::Vectors => "vectors",
            Self::Withdrawals => "withdrawals",
            Self::Placements => "placements",
            Self::Notices => "notices",
        }
    }

    /// Whether a reader that does not understand this kind must refuse the pack.
    pub(crate) fn is_required(self) -> bool {
        matches!(self, Self::Passages | Self::Vectors | Self::Withdrawals)
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The header's fields, as they stand in the first 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub file_bytes: u64,
    pub manifest_offset: u64,
    pub manifest_bytes: u64,
    pub table_offset: u64,
    pub signature_offset: u64,
    pub sections: u32,
    pub manifest_hash: ContentHash,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableEntry {
    pub kind: u32,
    pub required: bool,
    pub offset: u64,
    pub length: u64,
    pub hash: ContentHash,
}

pub(crate) fn align_up(value: u64, alignment: u64) -> Option<u64> {
    value.checked_add(alignment - 1).map(|sum| sum / alignment * alignment)
}

/// Writes and reads fixed-size records without arithmetic on positions.
struct Record<'a> {
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.bytes.split_first_chunk::<N>().expect("records are read from arrays of their size");
        self.bytes = tail;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend(self.sections.to_le_bytes());
        bytes.extend(self.file_bytes.to_le_bytes());
        bytes.extend(self.manifest_offset.to_le_bytes());
        bytes.extend(self.manifest_bytes.to_le_bytes());
        bytes.extend(self.table_offset.to_le_bytes());
        bytes.extend(self.signature_offset.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.manifest_hash.0);
        bytes.extend(&blake3::hash(&bytes).as_bytes()[..32]);
        bytes.try_into().expect("the fields add up to the header's size")
    }

    pub fn decode(path: &Path, bytes: &[u8; HEADER_BYTES]) -> Result<Self> {
        let mut record = Record { bytes };
        if record.take() != MAGIC {
            return Err(Error::NotAPack { path: path.to_path_buf() });
        }
        let version = record.u32();
        if version != FORMAT_VERSION {
            return Err(Error::UnsupportedVersion {
                path: path.to_path_buf(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        let checked = HEADER_BYTES - 32;
        if blake3::hash(&bytes[..checked]).as_bytes() != &bytes[checked..] {
            return Err(Error::damaged(path, "header", "a matching checksum", "another one"));
        }
        let sections = record.u32();
        let file_bytes = record.u64();
        let manifest_offset = record.u64();
        let manifest_bytes = record.u64();
        let table_offset = record.u64();
        let signature_offset = record.u64();
        if record.take::<8>() != [0; 8] {
            return Err(Error::damaged(path, "header", "zeros in the reserved bytes", "other values"));
        }
        let manifest_hash = ContentHash(record.take());
        Ok(Self {
            file_bytes,
            manifest_offset,
            manifest_bytes,
            table_offset,
            signature_offset,
            sections,
            manifest_hash,
        })
    }
}

impl TableEntry {
    pub fn encode(&self) -> [u8; TABLE_ENTRY_BYTES] {
        let mut bytes = Vec::with_capacity(TABLE_ENTRY_BYTES);
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(u32::from(self.required).to_le_bytes());
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.hash.0);
        bytes.try_into().expect("the fields add up to the entry's size")
    }

    pub fn decode(path: &Path, bytes: &[u8; TABLE_ENTRY_BYTES]) -> Result<Self> {
        let mut record = Record { bytes };
        let kind = record.u32();
        let flags = record.u32();
        if flags > 1 {
            return Err(Error::damaged(path, "section table", "flags 0 or 1", flags));
        }
        let offset = record.u64();
        let length = record.u64();
        if record.take::<8>() != [0; 8] {
            return Err(Error::damaged(path, "section table", "zeros in the reserved bytes", "other values"));
        }
        Ok(Self { kind, required: flags & 1 == 1, offset, length, hash: ContentHash(record.take()) })
    }
}

/// The last bytes of the file: the file's length, the first 16 bytes of the header's checksum, the end magic.
pub(crate) fn encode_footer(header: &[u8; HEADER_BYTES], file_bytes: u64) -> [u8; FOOTER_BYTES] {
    let mut bytes = Vec::with_capacity(FOOTER_BYTES);
    bytes.extend(file_bytes.to_le_bytes());
    bytes.extend(&header[HEADER_BYTES - 32..HEADER_BYTES - 16]);
    bytes.extend(END_MAGIC);
    bytes.try_into().expect("the fields add up to the footer's size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_table_survive_a_round_trip() {
        let path = Path::new("x");
        let header = Header {
            file_bytes: 1,
            manifest_offset: 2,
            manifest_bytes: 3,
            table_offset: 4,
            signature_offset: 5,
            sections: 6,
            manifest_hash: ContentHash([7; 32]),
        };
        assert_eq!(Header::decode(path, &header.encode()).unwrap(), header);
        let entry = TableEntry { kind: 9, required: true, offset: 10, length: 11, hash: ContentHash([12; 32]) };
        assert_eq!(TableEntry::decode(path, &entry.encode()).unwrap(), entry);
    }

    #[test]
    fn each_flipped_bit_of_the_header_is_noticed() {
        let header = Header {
            file_bytes: 1 << 20,
            manifest_offset: 1 << 19,
            manifest_bytes: 300,
            table_offset: 1 << 18,
            signature_offset: 1 << 17,
            sections: 2,
            manifest_hash: ContentHash([7; 32]),
        };
        let bytes = header.encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(Path::new("x"), &flipped).is_err(), "bit {bit}");
        }
    }
}
