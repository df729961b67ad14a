//! The record `CURRENT`: the one small file that says what a library is.
//!
//! Everything else in the folder is a file that this record names, or rubbish that the next opening sweeps away. The
//! record is replaced whole, so that a library is at each moment one generation or the next. It is one line (name,
//! version, BLAKE3 of the rest in hexadecimal) and JSON without spaces. It has no titles, texts or file names of the app
//! in it, only hashes and numbers, and so it is not sealed.

use std::collections::BTreeSet;
use std::path::Path;

use lorekit_pack::{ContentHash, PassageId, StateHash};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::FileIdentity;
use crate::stages::is_stage;

/// The name of the record in the folder.
pub(crate) const CURRENT: &str = "CURRENT";
/// No record is longer: some hundred thousand revocations fit.
pub(crate) const MAX_RECORD_BYTES: u64 = 64 << 20;

/// What counts changes and files stays below this, so that counting on cannot overflow.
const MAX_COUNT: u64 = 1 << 62;

const MAGIC: &str = "lorekit-library";
const VERSION: u32 = 1;

/// A pack that a generation is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPack {
    /// Its name in the folder; none for the base in its read-only place.
    pub name: Option<String>,
    /// Which pack it is.
    pub manifest: ContentHash,
    /// The file whose hashes were verified in this installation.
    pub identity: FileIdentity,
    /// Who signed it: a key in hexadecimal, or nothing for an unsigned pack.
    pub signer: Option<String>,
}

/// Packs of the publisher, from a base on, and what they amount to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    /// Version of the newest pack.
    pub version: u64,
    /// State of all of them.
    pub state: StateHash,
    /// Base, then deltas in order.
    pub packs: Vec<StoredPack>,
}

/// A version and its one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// The highest version that was ever applied.
    pub version: u64,
    /// The state that version has; another one under the same number is a fork.
    pub state: StateHash,
}

/// What a library is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Grows by one with each change.
    pub generation: u64,
    /// Number for the name of the next file.
    pub next_file: u64,
    /// Name of the body of knowledge.
    pub pack_id: String,
    /// The base in its read-only place, as it was last seen.
    pub base: StoredPack,
    /// What is searched of the publisher's.
    pub publisher: Chain,
    /// The app's own documents, in the order they were added.
    pub local: Vec<StoredPack>,
    /// Chains that a rollback can go to, newest last.
    pub kept: Vec<Chain>,
    /// What an arriving pack must not be below.
    pub floor: Floor,
    /// Version of the newest key set seen.
    pub key_set: u64,
    /// The highest day the app ever named, `YYYY-MM-DD`.
    pub day: Option<String>,
    /// Passages that no generation shows any more.
    pub revoked: BTreeSet<PassageId>,
    /// Whether the library was purged and must not open any more.
    pub purged: bool,
}

impl Record {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("no map in the record has keys other than text");
        let mut bytes = format!("{MAGIC} {VERSION} {}\n", ContentHash::of(&json)).into_bytes();
        bytes.extend(json);
        bytes
    }

    /// Reads the record.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`] for a newer one, [`Error::DamagedRecord`] for anything else that was not written
    /// by [`encode`](Self::encode).
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let damaged = |reason| Error::DamagedRecord { path: path.into(), reason };
        let end = bytes.iter().take(128).position(|&byte| byte == b'\n').ok_or(damaged("it has no first line"))?;
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged("its first line is not text"))?;
        let mut words = line.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(damaged("it is not the record of a library"));
        }
        let version = words.next().and_then(|word| word.parse::<u32>().ok()).ok_or(damaged("it has no version"))?;
        if version != VERSION {
            let (what, found, supported) = ("library record", version, VERSION);
            return Err(Error::UnsupportedVersion { path: path.into(), what, found, supported });
        }
        let json = &bytes[end + 1..];
        let hash = words.next().and_then(|word| word.parse::<ContentHash>().ok());
        if words.next().is_some() || hash != Some(ContentHash::of(json)) {
            return Err(damaged("its checksum does not match"));
        }
        let record: Self = serde_json::from_slice(json).map_err(|_| damaged("its fields are not those of a record"))?;
        if record.publisher.packs.is_empty() || record.files().any(|name| !is_pack_name(name)) {
            return Err(damaged("a chain in it names no pack"));
        }
        if record.generation >= MAX_COUNT || record.next_file >= MAX_COUNT {
            return Err(damaged("its counters are out of range"));
        }
        Ok(record)
    }

    /// All files in the folder that this record names, some of them more than once.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let chains = std::iter::once(&self.publisher).chain(&self.kept).flat_map(|chain| &chain.packs);
        chains.chain(&self.local).filter_map(|pack| pack.name.as_deref())
    }

    /// A name for a new file, which no generation has had.
    pub fn new_name(&mut self, kind: char) -> String {
        let name = format!("{kind}{:08}.lorepack", self.next_file);
        self.next_file += 1;
        name
    }
}

/// Whether a library could have given this name to a pack.
pub(crate) fn is_pack_name(name: &str) -> bool {
    let number = name.strip_prefix(['p', 'l']).and_then(|rest| rest.strip_suffix(".lorepack"));
    number.is_some_and(|number| number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a file of this name may be swept away when the record does not name it. Other files are not ours.
pub(crate) fn is_ours(name: &str) -> bool {
    is_pack_name(name) || name.ends_with(".tmp") || is_stage(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let pack = |name: Option<&str>| StoredPack {
            name: name.map(Into::into),
            manifest: ContentHash([3; 32]),
            identity: FileIdentity { bytes: 10, modified: 20 },
            signer: None,
        };
        let chain =
            Chain { version: 2, state: StateHash([1; 32]), packs: vec![pack(None), pack(Some("p00000001.lorepack"))] };
        Record {
            generation: 7,
            next_file: 2,
            pack_id: "x".into(),
            base: pack(None),
            publisher: chain.clone(),
            local: vec![pack(Some("l00000000.lorepack"))],
            kept: vec![chain],
            floor: Floor { version: 2, state: StateHash([1; 32]) },
            key_set: 0,
            day: Some("2026-01-01".into()),
            revoked: [PassageId([9; 16])].into(),
            purged: false,
        }
    }

    #[test]
    fn a_record_survives_a_round_trip() {
        let path = Path::new("CURRENT");
        assert_eq!(Record::decode(path, &sample().encode()).unwrap(), sample());
    }

    #[test]
    fn each_flipped_bit_and_each_cut_of_a_record_is_refused() {
        let path = Path::new("CURRENT");
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                // A hexadecimal digit in capitals is the same digit.
                let same = changed[at].eq_ignore_ascii_case(&bytes[at]) && at < 90 && bytes[at].is_ascii_hexdigit();
                assert!(same || Record::decode(path, &changed).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Record::decode(path, &bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_record_that_cannot_count_on_is_refused() {
        let path = Path::new("CURRENT");
        let last = Record { generation: MAX_COUNT - 1, next_file: MAX_COUNT - 1, ..sample() };
        assert!(Record::decode(path, &last.encode()).is_ok());
        let generation = Record { generation: MAX_COUNT, ..sample() };
        let file = Record { next_file: u64::MAX, ..sample() };
        for record in [generation, file] {
            let found = Record::decode(path, &record.encode());
            assert!(matches!(found, Err(Error::DamagedRecord { .. })), "{found:?}");
        }
    }

    #[test]
    fn a_record_that_names_a_file_elsewhere_is_refused() {
        for name in ["../p00000001.lorepack", "p1.lorepack", "CURRENT", "p0000000/.lorepack", ""] {
            let mut record = sample();
            record.publisher.packs[1].name = Some(name.into());
            assert!(Record::decode(Path::new("CURRENT"), &record.encode()).is_err(), "{name}");
        }
    }
}
