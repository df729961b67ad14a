//! The keys that may sign releases, as a root key says: what makes a key replaceable without a new app.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::is_date;
use crate::signing::area::MAX_AREA_JSON_BYTES;
use crate::signing::key::{Signature, SigningKey, VerifyingKey};

const DOMAIN: &[u8] = b"lorepack v1 keys\0";

/// Keys that may sign packs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// Grows with each set of a root, from 1; a device that saw one never takes an older one for an arriving pack.
    pub version: u64,
    /// The keys, each once.
    pub keys: Vec<VerifyingKey>,
    /// Last day on which packs may arrive under this set, `YYYY-MM-DD`; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The packs that the keys may sign, by `pack_id`; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_ids: Option<Vec<String>>,
}

/// A key set and the root's signature over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedKeySet {
    /// The set.
    pub set: KeySet,
    /// The root's signature.
    pub signed: Signature,
}

impl KeySet {
    /// Signs the set with a root key; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a reader would refuse the set.
    pub fn sign(self, path: &Path, root: &SigningKey) -> Result<SignedKeySet> {
        self.check().map_err(|reason| Error::InvalidInput { path: path.into(), reason: reason.into() })?;
        let signed = root.sign(DOMAIN, &self.encode());
        Ok(SignedKeySet { set: self, signed })
    }

    /// The bytes that are signed: JSON without spaces, fields in the order of the struct, absent ones left out.
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always have an encoding")
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let mut sorted = self.keys.clone();
        sorted.sort();
        sorted.dedup();
        if self.version == 0 {
            return Err("the key set's version is 0");
        }
        if sorted.is_empty() || sorted.len() != self.keys.len() {
            return Err("the key set is empty or names a key twice");
        }
        if self.expires.as_deref().is_some_and(|day| !is_date(day)) {
            return Err("the key set's last day is no date");
        }
        if self.pack_ids.iter().flatten().any(|id| id.is_empty() || id.len() > 256) {
            return Err("the key set names a pack with an id of no or more than 256 bytes");
        }
        Ok(())
    }
}

impl SignedKeySet {
    /// Whether the signature is one over this set by the key it names.
    pub fn is_valid(&self) -> bool {
        self.signed.is_valid(DOMAIN, &self.set.encode())
    }

    /// The set as a file: one line of JSON.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string(self).expect("texts and numbers always have an encoding");
        text.push('\n');
        text
    }

    /// Reads a file that [`to_text`](Self::to_text) gave, and checks its form and signature (not whose it is).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::KeyFile`] if the file is no key set or was changed after it was signed.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |reason: String| Error::KeyFile { path: path.into(), reason };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Error::io(path, "open a key set"))?;
        let limit = MAX_AREA_JSON_BYTES as u64 + 1;
        file.take(limit).read_to_end(&mut bytes).map_err(Error::io(path, "read a key set"))?;
        let signed: Self = serde_json::from_slice(&bytes)
            .map_err(|e| fail(format!("not a key set (line {}, column {})", e.line(), e.column())))?;
        signed.set.check().map_err(|reason| fail(reason.into()))?;
        if !signed.is_valid() {
            return Err(fail("the root's signature is not over this key set".into()));
        }
        Ok(signed)
    }
}
