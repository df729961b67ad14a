//! The app's key, and the keys derived from it, one for each use.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::chunk::TAG_BYTES;
use crate::error::{Error, Result};

/// Bytes of a nonce of XChaCha20: long enough to be drawn at random for each message.
pub(crate) const NONCE_BYTES: usize = 24;

/// 32 bytes that the app keeps where the platform keeps secrets, and hands over when it opens a library.
///
/// Clones share one copy in memory, which is overwritten with zeros when the last of them goes. Nothing is sealed with
/// these bytes themselves: each use has its own key, derived with BLAKE3 in its key derivation mode.
#[derive(Clone)]
pub struct SealKey {
    bytes: Arc<Zeroizing<[u8; 32]>>,
}

impl SealKey {
    /// Takes a key over. The caller's copy is the caller's to erase.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { bytes: Arc::new(Zeroizing::new(bytes)) }
    }

    /// A new random key from the system's generator.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(bytes.as_mut())?;
        Ok(Self { bytes: Arc::new(bytes) })
    }

    /// The key's bytes, for an app that stores a generated key.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// A name for this key that tells nothing about it: 16 bytes of a one-way function. Equal keys, equal names.
    pub fn id(&self) -> KeyId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.derive("LoreKit 2026 seal: name of a key")[..16]);
        KeyId(id)
    }

    /// Seals a short message whole, with `context` as associated data: 24 bytes of a random nonce, the ciphertext, 16
    /// bytes of tag.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn seal_bytes(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let mut sealed = Vec::with_capacity(NONCE_BYTES + plain.len() + TAG_BYTES);
        sealed.extend(nonce);
        sealed.extend(plain);
        let body = InOutBuf::from(&mut sealed[NONCE_BYTES..]);
        let sealing = self.message_cipher().encrypt_inout_detached(&XNonce::from(nonce), context, body);
        let tag: [u8; TAG_BYTES] =
            sealing.map_err(|_| Error::InvalidInput { reason: "the message is too long" })?.into();
        sealed.extend(tag);
        Ok(sealed)
    }

    /// Opens what [`seal_bytes`](Self::seal_bytes) gave for the same context.
    ///
    /// # Errors
    /// [`Error::DamagedMessage`] for anything else; a wrong key looks the same, since a message has no header.
    pub fn open_bytes(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Error::DamagedMessage)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Error::DamagedMessage)?;
        let mut plain = body.to_vec();
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let buffer = InOutBuf::from(plain.as_mut_slice());
        let opening = self.message_cipher().decrypt_inout_detached(&nonce, context, buffer, &tag);
        opening.map_err(|_| Error::DamagedMessage)?;
        Ok(plain)
    }

    fn message_cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.derive("LoreKit 2026 seal: messages")).into())
    }

    /// The cipher that wraps the keys of files.
    pub(crate) fn wrap_cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.derive("LoreKit 2026 seal: keys of files")).into())
    }

    /// What a header holds to tell a wrong key from damage: differs for each file, so that two files do not tell that
    /// they were sealed with one key.
    pub(crate) fn check_value(&self, file: &[u8; 16]) -> [u8; 16] {
        let key = self.derive("LoreKit 2026 seal: check value of a key");
        let mut value = [0; 16];
        value.copy_from_slice(&blake3::keyed_hash(&key, file).as_bytes()[..16]);
        value
    }

    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, self.bytes.as_slice()))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// The public name of a [`SealKey`]; displayed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Fills `bytes` from the system's generator.
pub(crate) fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| Error::NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed() {
        let shown = format!("{:?} {:?}", SealKey::new([0xab; 32]), SealKey::new([0xab; 32]).id());
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn names_and_check_values_differ_by_key_and_by_file() {
        let (a, b) = (SealKey::new([1; 32]), SealKey::new([2; 32]));
        assert_eq!(a.id(), SealKey::new([1; 32]).id());
        assert_ne!(a.id(), b.id());
        assert_ne!(a.check_value(&[0; 16]), b.check_value(&[0; 16]));
        assert_ne!(a.check_value(&[0; 16]), a.check_value(&[1; 16]));
        assert_ne!(SealKey::generate().unwrap().expose(), SealKey::generate().unwrap().expose());
    }

    #[test]
    fn a_message_opens_with_its_key_and_context_and_whole_only() {
        let key = SealKey::new([7; 32]);
        let sealed = key.seal_bytes(b"name", b"canary").unwrap();
        assert_eq!(key.open_bytes(b"name", &sealed).unwrap(), b"canary");
        assert_ne!(sealed, key.seal_bytes(b"name", b"canary").unwrap(), "the nonce is drawn anew");
        assert!(key.open_bytes(b"other", &sealed).is_err());
        assert!(SealKey::new([8; 32]).open_bytes(b"name", &sealed).is_err());
        for length in 0..sealed.len() {
            assert!(key.open_bytes(b"name", &sealed[..length]).is_err());
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(key.open_bytes(b"name", &flipped), Err(Error::DamagedMessage)), "bit {bit}");
        }
    }
}
