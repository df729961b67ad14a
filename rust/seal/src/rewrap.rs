//! A new app key for a file that stays as it is.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use crate::error::{Error, Result};
use crate::header::{HEADER_BYTES, SLOT_BYTES, encode_slot, open_header};
use crate::key::SealKey;
use crate::source::{FileSource, ReadAt};

/// Bytes to write into a container, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderWrite {
    /// First byte in the container.
    pub offset: u64,
    /// One slot of the header.
    pub bytes: Vec<u8>,
}

/// What to write, in this order and each made durable before the next, so that `new` opens the container instead of
/// `old`: first the slot that `old` does not open, then the one it opens.
///
/// Stopped at any point, also in the middle of a write, the container opens with `old`, with `new`, or with both; doing
/// it again completes it. When `new` opens the container already and `old` does not, what is left is the other slot.
///
/// # Errors
/// [`Error::WrongKey`] if neither opens the container, or what is wrong with the header.
pub fn rewrap_header(header: &[u8; HEADER_BYTES], old: &SealKey, new: &SealKey) -> Result<Vec<HeaderWrite>> {
    let (opened, slots) = match open_header(header, old) {
        Ok(opened) => {
            let slots = vec![1 - opened.slot, opened.slot];
            (opened, slots)
        }
        Err(error) => match open_header(header, new) {
            Ok(opened) => {
                let other = 1 - opened.slot;
                (opened, vec![other])
            }
            Err(_) => return Err(error),
        },
    };
    let sequence = opened.sequence.saturating_add(1);
    let slot = encode_slot(opened.layout, opened.file, &opened.content_key, sequence, new)?;
    Ok(slots
        .into_iter()
        .map(|number| HeaderWrite { offset: (number * SLOT_BYTES) as u64, bytes: slot.clone() })
        .collect())
}

/// Does what [`rewrap_header`] says to a file that is open for reading and writing. Costs two writes of 4 KiB and two
/// syncs whatever the file's length. Readers that have the file open go on.
///
/// # Errors
/// As [`rewrap_header`]; [`Error::Io`].
pub fn rewrap(file: &File, old: &SealKey, new: &SealKey) -> Result<()> {
    let mut header = [0; HEADER_BYTES];
    let source = FileSource::new(file.try_clone().map_err(Error::io("open a file again"))?)?;
    if source.len() < HEADER_BYTES as u64 {
        return Err(Error::Truncated { expected: HEADER_BYTES as u64, found: source.len() });
    }
    source.read_at(0, &mut header)?;
    let mut file = file;
    for write in rewrap_header(&header, old, new)? {
        file.seek(SeekFrom::Start(write.offset)).map_err(Error::io("write a header"))?;
        file.write_all(&write.bytes).map_err(Error::io("write a header"))?;
        file.sync_data().map_err(Error::io("make a header durable"))?;
    }
    Ok(())
}
