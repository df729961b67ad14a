//! Secret keys of 32 bytes, as files hold them.

use std::path::Path;

use crate::error::{CliError, Result};

/// A key from a file that holds 32 bytes or 64 hexadecimal digits. Nothing of it is ever printed.
pub(crate) fn read(path: &Path) -> Result<[u8; 32]> {
    let bytes = std::fs::read(path).map_err(CliError::file(path))?;
    let wrong =
        || CliError::Input { path: path.into(), reason: "is neither 32 bytes nor 64 hexadecimal digits".into() };
    if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
        return Ok(key);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let (pairs, rest) = bytes.trim_ascii().as_chunks::<2>();
    let key: Option<Vec<u8>> = pairs.iter().map(pair).collect();
    key.filter(|_| rest.is_empty()).and_then(|key| key.try_into().ok()).ok_or_else(wrong)
}
