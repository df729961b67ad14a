//! The side file: the matrices of a model once more, in the layout that the kernels read fastest.
//!
//! It is made once for a model, in a folder for caches, and mapped from then on; weights never lie on the heap.
//! Whoever deletes it loses a second at the next start and nothing else. Its values are those of the model, bit by bit.
//!
//! ```text
//! "LOREPACK"  version u32  layout version u32  model [32]
//! table length u64, then the table: for each matrix  name length u32, name, format u32, rows u64, cols u64, offset u64
//! BLAKE3 of everything so far [32], padding to 4,096
//! the matrices, each at a multiple of 4,096 from the start of the file
//! ```
//!
//! All numbers are little-endian. The name of the file holds the model's hash and both versions, so a file is never read
//! by code that it was not made for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use lorekit_kernels::{Format, Matrix, PACKED_VERSION, ThreadPool, pack, packed_bytes};
use memmap2::Mmap;

use super::Gguf;
use super::cursor::Cursor;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"LOREPACK";
/// The version of the header; the kernels have their own for the layout.
const VERSION: u32 = 1;
/// Matrices begin at multiples of this: of cache lines and of pages.
const ALIGNMENT: usize = 4096;
/// Bytes of a matrix that are packed at a time; bounds the heap.
const BYTES_AT_ONCE: usize = 4 << 20;

/// A mapped side file.
pub(super) struct Packed {
    map: Mmap,
    matrices: HashMap<String, Entry>,
}

struct Entry {
    format: Format,
    rows: usize,
    cols: usize,
    range: Range<usize>,
}

/// A matrix that is to be packed.
struct Wanted<'a> {
    name: &'a str,
    matrix: Matrix<'a>,
    bytes: usize,
}

impl Packed {
    /// The matrix of that name.
    pub(super) fn matrix(&self, name: &str) -> Option<Matrix<'_>> {
        let entry = self.matrices.get(name)?;
        Some(
            Matrix::packed(entry.format, entry.rows, entry.cols, &self.map[entry.range.clone()])
                .expect("its shape was compared with its length at opening"),
        )
    }

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// Opens the side file of `gguf` in `folder`, if there is a whole one.
    #[allow(unsafe_code)]
    pub(super) fn open(gguf: &Gguf, folder: &Path, skip: &[&str]) -> Option<Self> {
        let key = gguf.sample_hash();
        let path = path(folder, &key);
        let file = File::open(&path).ok()?;
        // SAFETY: as for the model itself: the file was placed by a rename and is never written again, and lengths
        // are checked before the map is used.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let found = read_header(&map, &key);
        if found.is_none() {
            log::warn!("{}: not a whole side file; it is made again", path.display());
        }
        let matrices = found?;
        // Every matrix of the model with its own shape, and nothing else.
        let wanted = wanted(gguf, skip);
        let all = wanted.len() == matrices.len()
            && wanted.iter().all(|w| {
                matrices.get(w.name).is_some_and(|entry| {
                    (entry.format, entry.rows, entry.cols, entry.range.len())
                        == (w.matrix.format(), w.matrix.rows(), w.matrix.cols(), w.bytes)
                })
            });
        all.then_some(Self { map, matrices })
    }

    /// Makes the side file of `gguf` in `folder`, which is made if it is missing.
    ///
    /// Cost: reads and writes the whole model once, some seconds for half a gigabyte.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; nothing is left behind then.
    pub(super) fn create(gguf: &Gguf, folder: &Path, skip: &[&str], pool: &ThreadPool) -> Result<()> {
        let key = gguf.sample_hash();
        let target = path(folder, &key);
        fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let part = target.with_extension(format!("part-{}", std::process::id()));
        let io = |source| Error::Io { path: target.clone(), source };
        let written = write(gguf, &key, &part, skip, pool)
            .and_then(|()| fs::rename(&part, &target))
            // The rename itself is made lasting where folders can be synchronised.
            .map(|()| File::open(folder).and_then(|folder| folder.sync_all()).unwrap_or_default());
        if written.is_err() {
            // What cannot be removed is only a leftover in a cache folder.
            let _ = fs::remove_file(&part);
        }
        written.map_err(io)
    }
}

fn path(folder: &Path, key: &[u8; 32]) -> PathBuf {
    let mut name = String::new();
    for byte in &key[..16] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    folder.join(format!("{name}-{VERSION}.{PACKED_VERSION}.lorepacked"))
}

/// The quantized matrices, without those that are only looked up.
fn wanted<'a>(gguf: &'a Gguf, skip: &[&str]) -> Vec<Wanted<'a>> {
    gguf.tensors()
        .filter(|info| info.dims.len() >= 2 && !skip.contains(&info.name.as_str()))
        .filter_map(|info| {
            let matrix = gguf.tensor(&info.name)?.matrix().ok()?;
            let bytes = packed_bytes(matrix.format(), matrix.rows(), matrix.cols())?;
            Some(Wanted { name: &info.name, matrix, bytes })
        })
        .collect()
}

fn write(gguf: &Gguf, key: &[u8; 32], path: &Path, skip: &[&str], pool: &ThreadPool) -> std::io::Result<()> {
    let wanted = wanted(gguf, skip);
    let mut table = Vec::new();
    let names: usize = wanted.iter().map(|w| 4 + w.name.len() + 4 + 3 * 8).sum();
    let head = MAGIC.len() + 4 + 4 + key.len() + 8;
    let mut offset = (head + names + blake3::OUT_LEN).next_multiple_of(ALIGNMENT);
    for w in &wanted {
        table.extend_from_slice(&(w.name.len() as u32).to_le_bytes());
        table.extend_from_slice(w.name.as_bytes());
        table.extend_from_slice(&w.matrix.format().ggml_id().to_le_bytes());
        for number in [w.matrix.rows(), w.matrix.cols(), offset] {
            table.extend_from_slice(&(number as u64).to_le_bytes());
        }
        offset = (offset + w.bytes).next_multiple_of(ALIGNMENT);
    }
    let mut header = Vec::with_capacity(head + table.len() + blake3::OUT_LEN);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&PACKED_VERSION.to_le_bytes());
    header.extend_from_slice(key);
    header.extend_from_slice(&(table.len() as u64).to_le_bytes());
    header.extend_from_slice(&table);
    let hash = blake3::hash(&header);
    header.extend_from_slice(hash.as_bytes());

    let mut file = BufWriter::with_capacity(1 << 16, OpenOptions::new().write(true).create_new(true).open(path)?);
    let pad = |file: &mut BufWriter<File>, len: usize| file.write_all(&vec![0; len.next_multiple_of(ALIGNMENT) - len]);
    file.write_all(&header)?;
    pad(&mut file, header.len())?;
    let mut buffer = Vec::new();
    for Wanted { matrix: w, bytes, .. } in wanted {
        let row_bytes = w.data().len() / w.rows();
        // Whole tiles at a time.
        let step = (BYTES_AT_ONCE / row_bytes.max(1)).next_multiple_of(16).max(16);
        for first in (0..w.rows()).step_by(step) {
            let some = w.rows_range(first..w.rows().min(first + step));
            let len = packed_bytes(some.format(), some.rows(), some.cols()).unwrap_or(0);
            buffer.resize(len, 0);
            pack(pool, some, &mut buffer).map_err(std::io::Error::other)?;
            file.write_all(&buffer)?;
        }
        pad(&mut file, bytes)?;
    }
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// The table of a side file for the model `key`; `None` if the bytes are anything else.
fn read_header(bytes: &[u8], key: &[u8; 32]) -> Option<HashMap<String, Entry>> {
    let mut cursor = Cursor::new(bytes);
    let magic = cursor.take(MAGIC.len()).ok()?;
    let versions = (cursor.u32().ok()?, cursor.u32().ok()?);
    let model = cursor.take(key.len()).ok()?;
    if magic != MAGIC || versions != (VERSION, PACKED_VERSION) || model != key {
        return None;
    }
    let length = cursor.count("table bytes", 1).ok()?;
    let table = cursor.take(length).ok()?;
    let end = cursor.position();
    let hash = cursor.take(blake3::OUT_LEN).ok()?;
    if blake3::hash(&bytes[..end]).as_bytes() != hash {
        return None;
    }
    let mut matrices = HashMap::new();
    let mut cursor = Cursor::new(table);
    while cursor.position() < table.len() {
        let length = cursor.u32().ok()?;
        let name = std::str::from_utf8(cursor.take(length as usize).ok()?).ok()?.to_owned();
        let format = Format::from_ggml(cursor.u32().ok()?)?;
        let mut number = || usize::try_from(cursor.u64().ok()?).ok();
        let (rows, cols, offset) = (number()?, number()?, number()?);
        let range = offset..offset.checked_add(packed_bytes(format, rows, cols)?)?;
        if !offset.is_multiple_of(ALIGNMENT) || range.end > bytes.len() {
            return None;
        }
        matrices.insert(name, Entry { format, rows, cols, range });
    }
    Some(matrices)
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
