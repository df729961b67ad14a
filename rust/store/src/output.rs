//! How a pack is put on the disk: in clear or sealed, signed by its writer or not.

use std::path::Path;

use lorekit_pack::PackWriter;
use lorekit_pack::signing::SigningKey;
use lorekit_seal::SealKey;

use crate::error::Result;
use crate::text_writer::TextWriter;

/// Where a pack goes. The default is a plain file without a signature.
#[derive(Clone, Copy, Default)]
pub(crate) struct Output<'a> {
    /// Seals the file. Its passages database is then built in memory, so that nothing of it is on the disk in clear.
    pub seal: Option<&'a SealKey>,
    /// Signs it.
    pub sign: Option<&'a SigningKey>,
}

impl Output<'_> {
    pub fn pack(&self, path: &Path) -> Result<PackWriter> {
        Ok(match self.seal {
            Some(key) => PackWriter::create_sealed(path, key)?,
            None => PackWriter::create(path)?,
        })
    }

    pub fn text(&self, path: &Path) -> Result<TextWriter> {
        if self.seal.is_some() { TextWriter::in_memory(path) } else { TextWriter::create(path) }
    }
}
