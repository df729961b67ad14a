//! Keys as apps hand them over: text and bytes.

use std::path::Path;

use lorekit_pack::signing::VerifyingKey;
use lorekit_seal::SealKey;

use crate::{Error, Result, convert};

/// A public key that an app pins, from PEM or from 64 hexadecimal digits.
///
/// # Errors
/// [`Error::InvalidKey`] for anything else, a private key among it.
pub fn verifying_key(text: &str) -> Result<VerifyingKey> {
    VerifyingKey::from_text(Path::new("key"), text).map_err(|error| convert::store(error.into()))
}

/// The key that seals an app's library, from 32 bytes of the platform's key store. The caller's copy is the caller's to
/// erase.
///
/// # Errors
/// [`Error::InvalidKey`] for another number of bytes.
pub fn seal_key(bytes: &[u8]) -> Result<SealKey> {
    let key = <[u8; 32]>::try_from(bytes).map_err(|_| Error::InvalidKey {
        reason: format!("a sealing key has 32 bytes, this one has {}", bytes.len()),
    })?;
    Ok(SealKey::new(key))
}
