//! An opened GGUF file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lorekit_kernels::Format;
use memmap2::{Mmap, MmapMut};

use super::cursor::Cursor;
use super::tensor::{Tensor, TensorInfo};
use super::value::{Array, Value};
use super::{DEFAULT_ALIGNMENT, MAGIC};
use crate::{Error, Result};

/// The most metadata entries and tensors a file may have; real models have some hundred of each.
const MOST_ENTRIES: usize = 1 << 16;

/// A GGUF file, mapped into memory. Opening reads only the header; tensors are pages that the system can take back.
pub struct Gguf {
    path: PathBuf,
    map: Arc<Mmap>,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    fingerprint: OnceLock<[u8; 32]>,
}

impl Gguf {
    /// Maps and checks the file at `path`.
    ///
    /// Cost: the header only, some milliseconds for a vocabulary of 150,000 tokens.
    /// Errors: [`Error::Io`], [`Error::Damaged`], and [`Error::Unsupported`] for another version of the format,
    /// the other byte order, a file split in parts, or a quantization that the kernels do not know.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> Result<Gguf> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        // SAFETY: a map is sound as long as nobody changes the file under it. Model files are placed by an atomic
        // rename and never written again; a process that breaks this can change what is read, not where, since
        // lengths and offsets are checked before the map is used and strings are checked again on each use.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Self::parse(path, map)
    }

    /// Checks a file that is already in memory; `path` is the name that errors give it.
    ///
    /// Cost: one copy of `bytes`, into an aligned buffer.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Gguf> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut buffer = MmapMut::map_anon(bytes.len().max(1)).map_err(io)?;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Self::parse(path, buffer.make_read_only().map_err(io)?)
    }

    fn parse(path: &Path, map: Mmap) -> Result<Gguf> {
        let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
        let unsupported =
            |what: &str, found: String| Error::Unsupported { path: path.to_owned(), what: what.to_owned(), found };
        let map = Arc::new(map);
        let mut cursor = Cursor::new(&map);

        if cursor.array::<4>().map_err(damaged)? != MAGIC {
            return Err(damaged("it does not begin with GGUF".to_owned()));
        }
        match cursor.u32().map_err(damaged)? {
            2 | 3 => {}
            v if matches!(v.swap_bytes(), 1..=3) => {
                return Err(unsupported("byte order", format!("big-endian GGUF version {}", v.swap_bytes())));
            }
            v => return Err(unsupported("GGUF version", v.to_string())),
        }
        // The least a tensor needs: name length, n_dims, one dimension, type, offset. A metadata entry: key length,
        // type, one byte.
        let n_tensors = cursor.u64().map_err(damaged)?;
        let n_metadata = cursor.count("metadata entries", 13).map_err(damaged)?;
        let n_tensors = match usize::try_from(n_tensors) {
            Ok(n) if n <= cursor.remaining() / 32 => n,
            _ => {
                return Err(damaged(format!("{n_tensors} tensors do not fit {} bytes", map.len())));
            }
        };
        if n_metadata.max(n_tensors) > MOST_ENTRIES {
            return Err(damaged(format!("{n_metadata} metadata entries and {n_tensors} tensors")));
        }

        let mut metadata = BTreeMap::new();
        for _ in 0..n_metadata {
            let key = cursor.str().map_err(damaged)?.to_owned();
            let value = cursor.u32().and_then(|kind| Value::read(kind, &mut cursor, &map));
            let value = value.map_err(|reason| damaged(format!("metadata {key}: {reason}")))?;
            if metadata.contains_key(&key) {
                return Err(damaged(format!("metadata {key} occurs twice")));
            }
            metadata.insert(key, value);
        }
        if let Some(parts) = metadata.get("split.count").and_then(Value::as_u64).filter(|&n| n > 1) {
            return Err(unsupported("split model", format!("one of {parts} parts")));
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(v) => v
                .as_u64()
                .filter(|a| a.is_power_of_two() && (8..=1 << 20).contains(a))
                .ok_or_else(|| damaged("general.alignment is not a power of two from 8 to 2^20".to_owned()))?,
        };

        let mut tensors = Vec::with_capacity(n_tensors);
        let mut by_name = HashMap::with_capacity(n_tensors);
        for _ in 0..n_tensors {
            let name = cursor.str().map_err(damaged)?;
            let (dims, kind, offset) =
                read_extent(&mut cursor).map_err(|reason| damaged(format!("tensor {name}: {reason}")))?;
            let format = Format::from_ggml(kind)
                .ok_or_else(|| unsupported(&format!("quantization of tensor {name}"), format!("ggml type {kind}")))?;
            let bytes = size(format, &dims)
                .ok_or_else(|| damaged(format!("tensor {name}: {dims:?} is no extent for {format:?}")))?;
            if offset % alignment != 0 {
                return Err(damaged(format!("tensor {name}: offset {offset} is not a multiple of {alignment}")));
            }
            if by_name.insert(name.to_owned(), tensors.len()).is_some() {
                return Err(damaged(format!("tensor {name} occurs twice")));
            }
            tensors.push(TensorInfo { name: name.to_owned(), format, dims, offset, bytes });
        }

        // The offsets so far count from the data section, which begins at the next aligned byte.
        let section = (cursor.position() as u64).next_multiple_of(alignment);
        for t in &mut tensors {
            let end = section.checked_add(t.offset).and_then(|start| start.checked_add(t.bytes));
            if end.is_none_or(|end| end > map.len() as u64) {
                return Err(damaged(format!(
                    "tensor {} needs {} bytes at {} of the data section, past the end of the file",
                    t.name, t.bytes, t.offset
                )));
            }
            t.offset += section;
        }
        let mut in_order: Vec<&TensorInfo> = tensors.iter().collect();
        in_order.sort_by_key(|t| t.offset);
        for pair in in_order.windows(2) {
            if pair[0].offset + pair[0].bytes > pair[1].offset {
                return Err(damaged(format!("tensors {} and {} overlap", pair[0].name, pair[1].name)));
            }
        }
        Ok(Gguf { path: path.to_owned(), map, metadata, tensors, by_name, fingerprint: OnceLock::new() })
    }

    /// The file, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// `general.architecture`, or the empty string where the file does not say.
    pub fn architecture(&self) -> &str {
        self.str("general.architecture").unwrap_or_default()
    }

    /// The BLAKE3 hash of the whole file. Cost: reading all of it, once; later calls are free.
    pub fn fingerprint(&self) -> [u8; 32] {
        *self.fingerprint.get_or_init(|| *blake3::hash(&self.map).as_bytes())
    }

    /// All metadata, sorted by key.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a metadata key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// An integer of any width that fits 32 bits, unsigned.
    pub fn u32(&self, key: &str) -> Option<u32> {
        self.u64(key)?.try_into().ok()
    }

    /// An integer of any width that is not negative.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// A float of either width.
    pub fn f32(&self, key: &str) -> Option<f32> {
        self.get(key)?.as_f32()
    }

    /// A bool.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// A string.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// An array.
    pub fn array(&self, key: &str) -> Option<&Array> {
        self.get(key)?.as_array()
    }

    /// [`Gguf::u32`], or an error that names file and key.
    pub fn require_u32(&self, key: &str) -> Result<u32> {
        self.u32(key).ok_or_else(|| self.lacks(key, "32-bit unsigned integer"))
    }

    /// [`Gguf::u64`], or an error that names file and key.
    pub fn require_u64(&self, key: &str) -> Result<u64> {
        self.u64(key).ok_or_else(|| self.lacks(key, "unsigned integer"))
    }

    /// [`Gguf::f32`], or an error that names file and key.
    pub fn require_f32(&self, key: &str) -> Result<f32> {
        self.f32(key).ok_or_else(|| self.lacks(key, "float"))
    }

    /// [`Gguf::bool`], or an error that names file and key.
    pub fn require_bool(&self, key: &str) -> Result<bool> {
        self.bool(key).ok_or_else(|| self.lacks(key, "bool"))
    }

    /// [`Gguf::str`], or an error that names file and key.
    pub fn require_str(&self, key: &str) -> Result<&str> {
        self.str(key).ok_or_else(|| self.lacks(key, "string"))
    }

    /// [`Gguf::array`], or an error that names file and key.
    pub fn require_array(&self, key: &str) -> Result<&Array> {
        self.array(key).ok_or_else(|| self.lacks(key, "array"))
    }

    fn lacks(&self, key: &str, kind: &str) -> Error {
        let state = if self.metadata.contains_key(key) { "is not" } else { "is missing; it should be" };
        let article = if kind.starts_with(['a', 'u', 'i']) { "an" } else { "a" };
        self.damaged(format!("metadata {key} {state} {article} {kind}"))
    }

    /// [`Error::Damaged`] for this file.
    pub(crate) fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), reason: reason.into() }
    }

    /// [`Error::Unsupported`] for this file.
    pub(crate) fn unsupported(&self, what: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), what: what.into(), found: found.into() }
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &TensorInfo> {
        self.tensors.iter()
    }

    /// The tensor of that name, its data borrowed from the map.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        let info = &self.tensors[*self.by_name.get(name)?];
        let start = info.offset as usize; // `parse` has compared both with the map's length
        let data = &self.map[start..start + info.bytes as usize];
        Some(Tensor { info, data, path: &self.path })
    }

    /// [`Gguf::tensor`], or an error that names file and tensor.
    pub fn require_tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.tensor(name).ok_or_else(|| self.damaged(format!("tensor {name} is missing")))
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("path", &self.path)
            .field("architecture", &self.architecture())
            .field("metadata", &self.metadata.len())
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

/// Dimensions, type number and offset of a tensor.
fn read_extent(cursor: &mut Cursor<'_>) -> Result<(Vec<usize>, u32, u64), String> {
    let n_dims = cursor.u32()?;
    if !(1..=4).contains(&n_dims) {
        return Err(format!("{n_dims} dimensions"));
    }
    let mut dims = Vec::with_capacity(n_dims as usize);
    for _ in 0..n_dims {
        let dim = cursor.u64()?;
        match usize::try_from(dim) {
            Ok(n) if n > 0 => dims.push(n),
            _ => return Err(format!("a dimension of {dim}")),
        }
    }
    Ok((dims, cursor.u32()?, cursor.u64()?))
}

/// Bytes of a tensor; none if the format cannot hold the extent or it overflows.
pub(super) fn size(format: Format, dims: &[usize]) -> Option<u64> {
    let row = format.row_bytes(*dims.first()?)?;
    let bytes = dims[1..].iter().try_fold(row, |bytes, &n| bytes.checked_mul(n))?;
    // Also the number of values must be countable: code after this multiplies dimensions freely.
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    u64::try_from(bytes).ok()
}
