//! Keys, signatures, and the files that ordinary tools read them from.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use ed25519_dalek::Signer;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes, spki::der::pem::LineEnding,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::id::{hexadecimal, parse_hex};

/// The longest key file that is read, in bytes; a PEM key has about 120.
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024;

/// What a detached record is signed under, before the length of its domain, the domain and its bytes.
const RECORD: &[u8] = b"lorekit v1 record\0";

/// The 64 bytes of an Ed25519 signature; hexadecimal as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignatureBytes(pub [u8; 64]);

hexadecimal!(SignatureBytes, 64);

/// A signature and the key that is said to have made it. It says nothing before it was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The public key.
    pub key: VerifyingKey,
    /// The signature.
    pub signature: SignatureBytes,
}

impl Signature {
    /// Checks the signature over `prefix ‖ message` under the key it names.
    pub(crate) fn is_valid(&self, prefix: &[u8], message: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.0);
        self.key.0.verify_strict(&[prefix, message].concat(), &signature).is_ok()
    }
}

/// A private Ed25519 key; wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`Error::NoRandomness`] if the system has none to give.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| Error::NoRandomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key that belongs to a 32-byte seed, which must be as secret and as random as the key itself.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, for those who keep it in a store of their own.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// The key as PKCS#8 in PEM (RFC 5958, RFC 8410), as `openssl genpkey -algorithm ed25519` writes it.
    pub fn to_pem(&self) -> Zeroizing<String> {
        // Without the public half, because older readers of PKCS#8 know version 1 only.
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("32 bytes always have an encoding")
    }

    /// Reads a private key in PEM; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if the text is no unencrypted Ed25519 key in PKCS#8.
    pub fn from_pem(path: &Path, text: &str) -> Result<Self> {
        let reason = match text {
            _ if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => "the key is encrypted; decrypt it first",
            _ if text.contains("-----BEGIN PUBLIC KEY-----") => "a public key, where a private one is needed",
            _ => "not an Ed25519 private key in PEM (PKCS#8)",
        };
        let key = KeypairBytes::from_pkcs8_pem(text).and_then(ed25519_dalek::SigningKey::try_from);
        key.map(Self).map_err(|_| Error::KeyFile { path: path.into(), reason: reason.into() })
    }

    /// [`from_pem`](Self::from_pem) of a file.
    ///
    /// # Errors
    /// As there, and [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_pem(path, &read_key_file(path)?)
    }

    /// Signs a detached record, such as a library's own notes: `bytes` under a name of its kind, `domain`.
    ///
    /// The domain keeps records of one kind from passing for another; it and the bytes are told apart by length.
    pub fn sign_bytes(&self, domain: &str, bytes: &[u8]) -> Signature {
        self.sign(&record_prefix(domain), bytes)
    }

    pub(crate) fn sign(&self, prefix: &[u8], message: &[u8]) -> Signature {
        let signature = SignatureBytes(self.0.sign(&[prefix, message].concat()).to_bytes());
        Signature { key: self.verifying_key(), signature }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public half {})", self.verifying_key())
    }
}

/// A public Ed25519 key that is fit to verify with; 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// The key with these bytes; none if they are no point of the curve or one of small order, for which anyone can make
    /// signatures.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key as SubjectPublicKeyInfo in PEM (RFC 8410), as `openssl pkey -pubout` writes it.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("32 bytes always have an encoding")
    }

    /// Reads a public key, in PEM or as 64 hexadecimal digits; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if the text is neither, or the key is of small order.
    pub fn from_text(path: &Path, text: &str) -> Result<Self> {
        let fail = |reason: &str| Error::KeyFile { path: path.into(), reason: reason.into() };
        if text.contains("PRIVATE KEY-----") {
            return Err(fail("a private key, where a public one is needed"));
        }
        if !text.contains("-----BEGIN") {
            return text.trim().parse().map_err(|_| fail("not an Ed25519 public key in PEM or hexadecimal"));
        }
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(text.trim());
        let key = key.map_err(|_| fail("not an Ed25519 public key in PEM"))?;
        Self::from_bytes(key.as_bytes()).ok_or_else(|| fail("a weak key, for which anyone can make signatures"))
    }

    /// [`from_text`](Self::from_text) of a file.
    ///
    /// # Errors
    /// As there, and [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_text(path, &read_key_file(path)?)
    }

    /// Checks a record that [`SigningKey::sign_bytes`] signed; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::UnknownSigner`] if the signature is said to be of another key, [`Error::BadSignature`] if it is not of
    /// these bytes under this domain.
    pub fn check_bytes(&self, path: &Path, domain: &str, bytes: &[u8], signature: &Signature) -> Result<()> {
        if signature.key != *self {
            return Err(Error::UnknownSigner { path: path.into(), key: signature.key.to_string() });
        }
        if !signature.is_valid(&record_prefix(domain), bytes) {
            return Err(Error::BadSignature { path: path.into(), key: self.to_string() });
        }
        Ok(())
    }
}

fn record_prefix(domain: &str) -> Vec<u8> {
    [RECORD, &(domain.len() as u64).to_le_bytes(), domain.as_bytes()].concat()
}

fn read_key_file(path: &Path) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(Error::io(path, "open a key file"))?;
    let mut limited = file.take(MAX_KEY_FILE_BYTES);
    limited.read_to_string(&mut text).map_err(Error::io(path, "read a key file"))?;
    Ok(text)
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl FromStr for VerifyingKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_bytes(&parse_hex(text)?).ok_or(Error::BadIdentifier { expected: 64 })
    }
}

impl Ord for VerifyingKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for VerifyingKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        // Section 7.1, test 2: one byte of message.
        let seed = parse_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let signature = SigningKey::from_seed(&seed).sign(b"", &[0x72]);
        assert_eq!(signature.key.to_string(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(
            signature.signature.to_string(),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(signature.is_valid(b"", &[0x72]) && !signature.is_valid(b"", &[0x73]));
    }
}
