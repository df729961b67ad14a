//! The bytes of the signature area.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layout::SIGNATURE_AREA_BYTES;
use crate::signing::key::{Signature, SigningKey};
use crate::signing::key_set::SignedKeySet;
use crate::signing::rollback::SignedRollback;

/// The newest version of the signature area that this build reads, and the one it writes.
pub const SIGNATURE_AREA_VERSION: u32 = 1;

/// The longest JSON in the area: all of it but magic, version and length.
pub const MAX_AREA_JSON_BYTES: usize = SIGNATURE_AREA_BYTES as usize - HEAD_BYTES;

const MAGIC: &[u8; 4] = b"LSIG";
const HEAD_BYTES: usize = 12;
const DOMAIN: &[u8] = b"lorepack v1 sig\0";

/// What stands in the signature area of a pack. Decoding checks its form; who may have signed is [`Trust`](super::Trust)'s
/// to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureArea {
    /// Signatures over the manifest, at most one of each key.
    pub signatures: Vec<Signature>,
    /// The keys that may sign, by word of a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set: Option<SignedKeySet>,
    /// The word that lets this pack arrive although it is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<SignedRollback>,
}

impl SignatureArea {
    /// Reads the area's 16 KiB; `path` is named in errors.
    ///
    /// There is one way to write each area, and any other is refused, so that no bit of it is without meaning.
    ///
    /// # Errors
    /// [`Error::UnsupportedSignatures`] for another version, [`Error::SignatureArea`] for anything else.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let fail = |reason: &str| Error::SignatureArea { path: path.into(), reason: reason.into() };
        let head = bytes.first_chunk::<HEAD_BYTES>().ok_or_else(|| fail("it is too short"))?;
        if bytes.len() != SIGNATURE_AREA_BYTES as usize || head[..4] != *MAGIC {
            return Err(fail("it does not begin with LSIG"));
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if number(4) != SIGNATURE_AREA_VERSION {
            let (found, supported) = (number(4), SIGNATURE_AREA_VERSION);
            return Err(Error::UnsupportedSignatures { path: path.into(), found, supported });
        }
        let length = usize::try_from(number(8)).unwrap_or(usize::MAX);
        let (json, rest) =
            bytes[HEAD_BYTES..].split_at_checked(length).ok_or_else(|| fail("its JSON is longer than the area"))?;
        if rest.iter().any(|&byte| byte != 0) {
            return Err(fail("there are other bytes than zeros behind its JSON"));
        }
        let area: Self = serde_json::from_slice(json)
            .map_err(|e| fail(&format!("its JSON cannot be read at line {}, column {}", e.line(), e.column())))?;
        if area.json() != json {
            return Err(fail("its JSON is not written in the one way there is"));
        }
        area.check().map_err(fail)?;
        Ok(area)
    }

    /// The area's 16 KiB; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it would be longer, or a reader would refuse it.
    pub fn encode(&self, path: &Path) -> Result<Vec<u8>> {
        let fail = |reason: String| Error::InvalidInput { path: path.into(), reason };
        self.check().map_err(|reason| fail(reason.into()))?;
        let json = self.json();
        if json.len() > MAX_AREA_JSON_BYTES {
            let found = json.len();
            return Err(fail(format!("the signatures have {found} bytes, the limit is {MAX_AREA_JSON_BYTES}")));
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(SIGNATURE_AREA_VERSION.to_le_bytes());
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(json);
        bytes.resize(SIGNATURE_AREA_BYTES as usize, 0);
        Ok(bytes)
    }

    /// Adds a signature over a manifest's bytes, in the place of an earlier one by the same key.
    pub fn sign(&mut self, manifest: &[u8], key: &SigningKey) {
        let signature = key.sign(DOMAIN, manifest);
        match self.signatures.iter_mut().find(|earlier| earlier.key == signature.key) {
            Some(earlier) => *earlier = signature,
            None => self.signatures.push(signature),
        }
    }

    /// Checks that each signature is one over these bytes of a manifest by the key it names.
    pub(crate) fn check_signatures(&self, path: &Path, manifest: &[u8]) -> Result<()> {
        match self.signatures.iter().find(|signature| !signature.is_valid(DOMAIN, manifest)) {
            Some(bad) => Err(Error::BadSignature { path: path.into(), key: bad.key.to_string() }),
            None => Ok(()),
        }
    }

    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always have an encoding")
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.signatures.is_empty() {
            return Err("there is no signature");
        }
        let mut keys: Vec<_> = self.signatures.iter().map(|signature| signature.key).collect();
        keys.sort();
        keys.dedup();
        if keys.len() != self.signatures.len() {
            return Err("there are two signatures of one key");
        }
        self.key_set.as_ref().map_or(Ok(()), |signed| signed.set.check())
    }
}
