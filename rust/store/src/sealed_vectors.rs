//! The exact scan over vectors that are decrypted piece by piece.
//!
//! The graph of a sealed pack is not used: usearch reads its file at any place by pointers, so all of it would have to
//! lie in memory in clear. What fits into half of the cache's budget is kept decrypted; more is decrypted anew for each
//! search, in pieces of a megabyte, so that memory stays within its bounds.

use std::path::{Path, PathBuf};

use lorekit_pack::{Pack, ReadAt, SectionKind, SectionReader};

use crate::bitmap::Bitmap;
use crate::error::{Error, Result};
use crate::matrix::{MATRIX_HEAD_BYTES, Matrix, Nearest};
use crate::types::Hit;

/// Bytes decrypted at a time when all rows are compared, and when a filter leaves some.
const PIECE_BYTES: usize = 1 << 20;
const FILTERED_PIECE_BYTES: usize = 64 << 10;

/// The stored vectors of a sealed pack.
#[derive(Debug)]
pub(crate) struct SealedVectors {
    reader: SectionReader,
    path: PathBuf,
    rows: usize,
    dims: usize,
    /// Whether decrypted chunks are worth a place in the cache.
    keep: bool,
}

impl SealedVectors {
    /// Checks shape and numbers, which costs one decryption of the section. `alone` says that nothing may follow the
    /// matrix.
    pub fn open(pack: &Pack, rows: usize, dims: usize, alone: bool) -> Result<Self> {
        let path = pack.path();
        let reader = pack.section_reader(SectionKind::Vectors)?;
        let damaged =
            |what, expected: String, found: String| Error::DamagedIndex { path: path.into(), what, expected, found };
        let length = reader.len();
        let matrix_bytes = (rows as u64).checked_mul(dims as u64 * 2).and_then(|n| n.checked_add(8));
        match matrix_bytes {
            Some(expected) if expected == length || (expected < length && !alone) => {}
            expected => {
                let expected = expected.map_or_else(|| "fewer".into(), |n| n.to_string());
                return Err(damaged("the length of the matrix", expected, length.to_string()));
            }
        }
        let mut head = [0; MATRIX_HEAD_BYTES];
        reader.read_at(0, &mut head).map_err(sealed(path))?;
        let [a, b, c, d, e, f, g, h] = head;
        let found = (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize);
        if found.0 != rows {
            return Err(damaged("the number of vectors", rows.to_string(), found.0.to_string()));
        }
        if found.1 != dims * 2 {
            return Err(damaged("the length of a vector", (dims * 2).to_string(), found.1.to_string()));
        }
        let keep = length <= (pack.cache().budget() / 2) as u64;
        let vectors = Self { reader, path: path.into(), rows, dims, keep };
        vectors.each_piece(
            PIECE_BYTES,
            None,
            &mut |first, piece| match Matrix::of_rows(piece, dims).first_not_finite() {
                Some(row) => {
                    Err(damaged("a vector", "finite numbers".into(), format!("another in row {}", first + row)))
                }
                None => Ok(()),
            },
        )?;
        Ok(vectors)
    }

    /// The `k` nearest of the allowed rows by exact cosine: what the scan over a map gives, to the bit.
    pub fn nearest(&self, query: &[f32], k: usize, allowed: Option<&Bitmap>) -> Result<Vec<Hit>> {
        let mut nearest = Nearest::new(query, k);
        let piece_bytes = if allowed.is_some() { FILTERED_PIECE_BYTES } else { PIECE_BYTES };
        self.each_piece(piece_bytes, allowed, &mut |first, piece| {
            for (row, bytes) in piece.chunks_exact(self.dims * 2).enumerate() {
                let key = (first + row) as u64;
                if allowed.is_none_or(|allowed| allowed.contains(key)) {
                    nearest.offer(key, bytes);
                }
            }
            Ok(())
        })?;
        Ok(nearest.finish())
    }

    /// A stored vector, if there is such a row.
    pub fn vector(&self, row: usize) -> Result<Option<Vec<f32>>> {
        Ok(self.stored(row)?.and_then(|bytes| Matrix::of_rows(&bytes, self.dims).widened(0)))
    }

    /// Offers a row to a search that goes over several packs, under another key.
    pub fn offer(&self, row: usize, key: u64, nearest: &mut Nearest<'_>) -> Result<()> {
        self.stored(row)?.into_iter().for_each(|bytes| nearest.offer(key, &bytes));
        Ok(())
    }

    /// Calls `each` with the stored bytes of all rows, in order.
    pub fn each_row(&self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.each_piece(PIECE_BYTES, None, &mut |_, piece| {
            piece.chunks_exact(self.dims * 2).for_each(&mut *each);
            Ok(())
        })
    }

    fn stored(&self, row: usize) -> Result<Option<Vec<u8>>> {
        if row >= self.rows {
            return Ok(None);
        }
        let mut bytes = vec![0; self.dims * 2];
        let offset = MATRIX_HEAD_BYTES as u64 + row as u64 * bytes.len() as u64;
        self.reader.read_at(offset, &mut bytes).map_err(sealed(&self.path))?;
        Ok(Some(bytes))
    }

    /// Goes over the rows in pieces; a piece without an allowed row is not decrypted.
    fn each_piece(
        &self,
        piece_bytes: usize,
        allowed: Option<&Bitmap>,
        each: &mut dyn FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let row_bytes = self.dims * 2;
        let per_piece = (piece_bytes / row_bytes).max(1);
        let mut buffer = vec![0; per_piece.min(self.rows) * row_bytes];
        for first in (0..self.rows).step_by(per_piece) {
            let n_rows = per_piece.min(self.rows - first);
            let mut keys = first as u64..(first + n_rows) as u64;
            if allowed.is_some_and(|allowed| !keys.any(|key| allowed.contains(key))) {
                continue;
            }
            let piece = &mut buffer[..n_rows * row_bytes];
            let offset = MATRIX_HEAD_BYTES as u64 + first as u64 * row_bytes as u64;
            let read = match self.keep || allowed.is_some() {
                true => self.reader.read_at(offset, piece),
                false => self.reader.read_once(offset, piece),
            };
            read.map_err(sealed(&self.path))?;
            each(first, piece)?;
        }
        Ok(())
    }
}

fn sealed(path: &Path) -> impl FnOnce(lorekit_seal::Error) -> Error + use<> {
    let sealed = lorekit_pack::Error::sealed(path);
    move |source| sealed(source).into()
}
