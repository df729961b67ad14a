//! The header: two slots, of which one is enough, so that a key can be changed in place without a moment in which
//! no slot is whole.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{Tag, XNonce};
use zeroize::Zeroizing;

use crate::chunk::{Layout, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, TAG_BYTES};
use crate::error::{Error, Result};
use crate::key::{NONCE_BYTES, SealKey, random};

/// The first bytes of each slot that is in use.
pub const MAGIC: [u8; 8] = *b"LORESEAL";
/// The version of the container that this build writes and reads.
pub const VERSION: u32 = 1;
/// Bytes of a slot: one page, so that a torn write of one does not reach the other.
pub const SLOT_BYTES: usize = 4096;
/// Bytes before the first chunk.
pub const HEADER_BYTES: usize = 2 * SLOT_BYTES;

const CHECKSUM_AT: usize = SLOT_BYTES - 32;
/// The fields that the wrapped key is bound to.
const BOUND_BYTES: usize = 64;
const WRAPPED_AT: usize = BOUND_BYTES + NONCE_BYTES;
const WRAPPED_END: usize = WRAPPED_AT + 32 + TAG_BYTES;

/// Whether a file with these first bytes is a sealed container. Any slot in use will do: the first may be torn.
pub fn is_sealed(header: &[u8]) -> bool {
    header.starts_with(&MAGIC) || header.get(SLOT_BYTES..).is_some_and(|second| second.starts_with(&MAGIC))
}

/// What a header says, once opened.
pub(crate) struct Opened {
    pub layout: Layout,
    pub file: [u8; 16],
    pub content_key: Zeroizing<[u8; 32]>,
    pub sequence: u64,
    /// Which of the two slots it was.
    pub slot: usize,
}

/// The header of a new container: the first slot, and an empty second one.
pub(crate) fn new_header(
    layout: Layout,
    file: [u8; 16],
    content_key: &Zeroizing<[u8; 32]>,
    key: &SealKey,
) -> Result<Vec<u8>> {
    let mut header = encode_slot(layout, file, content_key, 1, key)?;
    header.resize(HEADER_BYTES, 0);
    Ok(header)
}

/// A slot with the file's key wrapped under `key`.
pub(crate) fn encode_slot(
    layout: Layout,
    file: [u8; 16],
    content_key: &Zeroizing<[u8; 32]>,
    sequence: u64,
    key: &SealKey,
) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(layout.chunk_bytes.to_le_bytes());
    bytes.extend(layout.plain_length.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(file);
    bytes.extend(key.check_value(&file));
    debug_assert_eq!(bytes.len(), BOUND_BYTES);
    let mut wrapped = content_key.clone();
    let buffer = InOutBuf::from(wrapped.as_mut_slice());
    let tag = key.wrap_cipher().encrypt_inout_detached(&XNonce::from(nonce), &bytes, buffer);
    let tag: [u8; TAG_BYTES] = tag.expect("32 bytes are far below the cipher's limit").into();
    bytes.extend(nonce);
    bytes.extend(wrapped.iter());
    bytes.extend(tag);
    bytes.resize(CHECKSUM_AT, 0);
    let checksum = blake3::hash(&bytes);
    bytes.extend(checksum.as_bytes());
    Ok(bytes)
}

/// One slot as found.
enum Slot<'a> {
    Empty,
    Foreign,
    Version(u32),
    Damaged,
    Whole { bytes: &'a [u8; SLOT_BYTES], sequence: u64 },
}

fn field<const N: usize>(bytes: &[u8; SLOT_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie within the slot")
}

fn read_slot(bytes: &[u8; SLOT_BYTES]) -> Slot<'_> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Slot::Empty;
    }
    if !bytes.starts_with(&MAGIC) {
        return Slot::Foreign;
    }
    let version = u32::from_le_bytes(field(bytes, 8));
    if version != VERSION {
        return Slot::Version(version);
    }
    if blake3::hash(&bytes[..CHECKSUM_AT]).as_bytes() != &bytes[CHECKSUM_AT..] {
        return Slot::Damaged;
    }
    Slot::Whole { bytes, sequence: u64::from_le_bytes(field(bytes, 24)) }
}

/// Opens the newest slot that was made for this key.
///
/// A slot that is whole and has another check value was made for another key. The checksum needs no key, so it tells
/// damage from a wrong key; it is no protection, which the tag of the wrapped key is.
pub(crate) fn open_header(header: &[u8; HEADER_BYTES], key: &SealKey) -> Result<Opened> {
    let (first, second) = header.split_at(SLOT_BYTES);
    let slots = [first, second].map(|half| read_slot(half.try_into().expect("a header is two slots")));
    let mut whole: Vec<(u64, usize, &[u8; SLOT_BYTES])> = Vec::new();
    for (number, slot) in slots.iter().enumerate() {
        if let Slot::Whole { bytes, sequence } = slot {
            whole.push((*sequence, number, bytes));
        }
    }
    whole.sort_by_key(|&(sequence, number, _)| std::cmp::Reverse((sequence, number)));
    let mut failure = None;
    for &(sequence, slot, bytes) in &whole {
        let file: [u8; 16] = field(bytes, 32);
        if key.check_value(&file) != field::<16>(bytes, 48) {
            continue;
        }
        match open_slot(bytes, file, sequence, slot, key) {
            Ok(opened) => return Ok(opened),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    if !whole.is_empty() {
        return Err(Error::WrongKey);
    }
    let version = slots.iter().find_map(|slot| if let Slot::Version(found) = slot { Some(*found) } else { None });
    if let Some(found) = version {
        return Err(Error::UnsupportedVersion { found, supported: VERSION });
    }
    if slots.iter().any(|slot| matches!(slot, Slot::Damaged)) {
        return Err(Error::DamagedHeader { part: "header" });
    }
    Err(Error::NotSealed)
}

fn open_slot(bytes: &[u8; SLOT_BYTES], file: [u8; 16], sequence: u64, slot: usize, key: &SealKey) -> Result<Opened> {
    let mut content_key = Zeroizing::new(field::<32>(bytes, WRAPPED_AT));
    let nonce = XNonce::from(field::<NONCE_BYTES>(bytes, BOUND_BYTES));
    let tag = Tag::from(field::<TAG_BYTES>(bytes, WRAPPED_AT + 32));
    let buffer = InOutBuf::from(content_key.as_mut_slice());
    let opening = key.wrap_cipher().decrypt_inout_detached(&nonce, &bytes[..BOUND_BYTES], buffer, &tag);
    opening.map_err(|_| Error::DamagedHeader { part: "wrapped key" })?;
    if bytes[WRAPPED_END..CHECKSUM_AT].iter().any(|&byte| byte != 0) {
        return Err(Error::DamagedHeader { part: "reserved bytes" });
    }
    let chunk_bytes = u32::from_le_bytes(field(bytes, 12));
    check_chunk_bytes(chunk_bytes).map_err(|_| Error::DamagedHeader { part: "size of a chunk" })?;
    let layout = Layout { chunk_bytes, plain_length: u64::from_le_bytes(field(bytes, 16)) };
    Ok(Opened { layout, file, content_key, sequence, slot })
}

/// Whether the format knows this size of chunk.
pub(crate) fn check_chunk_bytes(chunk_bytes: u32) -> Result<()> {
    if chunk_bytes.is_power_of_two() && (MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&chunk_bytes) {
        Ok(())
    } else {
        Err(Error::InvalidInput { reason: "a chunk has a power of two of bytes, 256 to 1048576" })
    }
}
