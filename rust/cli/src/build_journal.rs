//! Embeddings kept beside an unfinished pack, so that an interrupted build goes on where it stopped.
//!
//! Layout: a header line with the embedder's fingerprint and the number of dimensions, then records of
//! a 32-byte BLAKE3 of the embedded text and that many little-endian `f32`. A torn last record is ignored.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{CliError, Result};

/// The journal of one build.
pub(crate) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    known: HashMap<[u8; 32], Vec<f32>>,
}

impl Journal {
    /// Opens the journal of the pack at `pack`; what another embedder wrote is dropped.
    pub(crate) fn open(pack: &Path, fingerprint: &str, dims: usize) -> Result<Self> {
        let name = pack.file_name().unwrap_or_default().to_string_lossy();
        let path = pack.with_file_name(format!(".{name}.unfinished"));
        let header = format!("lorekit build journal 1 {dims} {fingerprint}\n").into_bytes();
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&path) {
            file.read_to_end(&mut bytes).map_err(CliError::file(&path))?;
        }
        let record = 32 + dims * 4;
        let mut known = HashMap::new();
        let mut whole = header.len();
        if bytes.starts_with(&header) {
            for chunk in bytes[header.len()..].chunks_exact(record) {
                let mut key = [0; 32];
                key.copy_from_slice(&chunk[..32]);
                let vector = chunk[32..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                known.insert(key, vector.collect());
                whole += record;
            }
        } else {
            bytes.clear();
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(bytes.is_empty())
            .write(true)
            .open(&path)
            .map_err(CliError::file(&path))?;
        if bytes.is_empty() {
            file.write_all(&header).map_err(CliError::file(&path))?;
        } else {
            use std::io::Seek;
            file.set_len(whole as u64).map_err(CliError::file(&path))?;
            file.seek(std::io::SeekFrom::End(0)).map_err(CliError::file(&path))?;
        }
        Ok(Self { path, file: BufWriter::new(file), known })
    }

    /// The embedding of a text that was embedded before.
    pub(crate) fn get(&self, key: &[u8; 32]) -> Option<&Vec<f32>> {
        self.known.get(key)
    }

    /// Keeps an embedding; it is on its way to disk when this returns.
    pub(crate) fn put(&mut self, key: &[u8; 32], vector: &[f32]) -> Result<()> {
        self.file.write_all(key).map_err(CliError::file(&self.path))?;
        for value in vector {
            self.file.write_all(&value.to_le_bytes()).map_err(CliError::file(&self.path))?;
        }
        self.file.flush().map_err(CliError::file(&self.path))?;
        self.known.insert(*key, vector.to_vec());
        Ok(())
    }

    /// Removes the journal: the pack stands.
    pub(crate) fn finish(self) -> Result<()> {
        drop(self.file);
        std::fs::remove_file(&self.path).map_err(CliError::file(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_record_is_forgotten_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("a.lorepack");
        let mut journal = Journal::open(&pack, "f", 2).unwrap();
        journal.put(&[1; 32], &[0.5, 1.5]).unwrap();
        journal.put(&[2; 32], &[2.5, 3.5]).unwrap();
        assert_eq!(journal.get(&[2; 32]), Some(&vec![2.5, 3.5]));
        drop(journal);
        let path = folder.path().join(".a.lorepack.unfinished");
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
        let mut journal = Journal::open(&pack, "f", 2).unwrap();
        assert_eq!(journal.get(&[1; 32]), Some(&vec![0.5, 1.5]));
        assert_eq!(journal.get(&[2; 32]), None);
        journal.put(&[3; 32], &[4.5, 5.5]).unwrap();
        drop(journal);
        let journal = Journal::open(&pack, "f", 2).unwrap();
        assert_eq!(journal.get(&[3; 32]), Some(&vec![4.5, 5.5]));
        journal.finish().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn another_embedder_starts_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("a.lorepack");
        Journal::open(&pack, "f", 1).unwrap().put(&[1; 32], &[0.5]).unwrap();
        assert_eq!(Journal::open(&pack, "g", 1).unwrap().get(&[1; 32]), None);
    }
}
