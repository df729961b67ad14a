//! An opened GGUF file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lorekit_kernels::{Matrix, ThreadPool};
use memmap2::{Mmap, MmapMut};

use super::header::{Header, Refusal};
use super::packed::Packed;
use super::tensor::{Tensor, TensorInfo};
use super::value::{Array, Value};
use crate::{Error, Result};

/// A GGUF file, mapped into memory. Opening reads only the header; tensors are pages that the system can take back.
pub struct Gguf {
    path: PathBuf,
    map: Arc<Mmap>,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    fingerprint: OnceLock<[u8; 32]>,
    packed: Option<Packed>,
    from_file: bool,
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
        Self::parse(path, map, true)
    }

    /// Checks a file that is already in memory; `path` is the name that errors give it.
    ///
    /// Cost: one copy of `bytes`, into an aligned buffer.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Gguf> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut buffer = MmapMut::map_anon(bytes.len().max(1)).map_err(io)?;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Self::parse(path, buffer.make_read_only().map_err(io)?, false)
    }

    fn parse(path: &Path, map: Mmap, from_file: bool) -> Result<Gguf> {
        let map = Arc::new(map);
        let Header { metadata, tensors } = Header::read(&map).map_err(|refusal| {
            let path = path.to_owned();
            match refusal {
                Refusal::Damaged(reason) => Error::Damaged { path, reason },
                Refusal::Unsupported { what, found } => Error::Unsupported { path, what, found },
            }
        })?;
        let by_name = tensors.iter().enumerate().map(|(at, t)| (t.name.clone(), at)).collect();
        Ok(Gguf {
            path: path.to_owned(),
            map,
            metadata,
            tensors,
            by_name,
            fingerprint: OnceLock::new(),
            packed: None,
            from_file,
        })
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

    /// A hash that tells models apart without reading all of them: of the names, formats and places of all tensors
    /// and of two pages of each. It keys caches; against a forger use [`Gguf::fingerprint`].
    pub(crate) fn sample_hash(&self) -> [u8; 32] {
        const PAGE: usize = 4096;
        let mut hash = blake3::Hasher::new();
        hash.update(&self.file_bytes().to_le_bytes());
        for info in self.tensors() {
            hash.update(format!("{} {} {:?} {}", info.name, info.format.name(), info.dims, info.offset).as_bytes());
            if let Some(tensor) = self.tensor(&info.name) {
                let data = tensor.data;
                let middle = data.len() / 2;
                hash.update(&data[..data.len().min(PAGE)]).update(&data[middle..data.len().min(middle + PAGE)]);
            }
        }
        *hash.finalize().as_bytes()
    }

    /// Maps the side file of this model in `folder`, making it first if there is none: the quantized matrices in the
    /// layout that the kernels read fastest, without those named in `skip`, which are only looked up.
    ///
    /// Where it cannot be written the model works from its own file, more slowly; a log line says so.
    pub(crate) fn with_packed(mut self, folder: &Path, skip: &[&str], pool: &ThreadPool) -> Result<Self> {
        self.packed = Packed::open(&self, folder, skip);
        if self.packed.is_some() {
            return Ok(self);
        }
        if let Err(error) = Packed::create(&self, folder, skip, pool) {
            log::warn!("the model runs from its own layout: {error}");
            return Ok(self);
        }
        // The pages that were read to make it are given back with the old map.
        let path = self.path.clone();
        drop(self);
        let mut fresh = Self::open(&path)?;
        fresh.packed = Packed::open(&fresh, folder, skip);
        Ok(fresh)
    }

    /// Gives the pages of the file that were read back to the system; they come again when they are needed.
    #[cfg(unix)]
    #[allow(unsafe_code)]
    pub(crate) fn release_pages(&self) {
        if !self.from_file {
            return;
        }
        // SAFETY: the map is of a file, shared and never written through, so that dropped pages are read again from the
        // file with the same bytes. (A map of memory, as `from_bytes` makes, would lose its contents.)
        if let Err(error) = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) } {
            log::debug!("{}: pages not released: {error}", self.path.display());
        }
    }

    /// As above, where the system takes no advice.
    #[cfg(not(unix))]
    pub(crate) fn release_pages(&self) {}

    /// Bytes of the mapped side file, if there is one.
    pub(crate) fn packed_bytes(&self) -> Option<u64> {
        self.packed.as_ref().map(Packed::file_bytes)
    }

    /// The matrix of that name in the layout that kernels read fastest; `None` without a side file, and for one that is
    /// not in it.
    pub fn packed_matrix(&self, name: &str) -> Option<Matrix<'_>> {
        self.packed.as_ref()?.matrix(name)
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
        let start = info.offset as usize; // `Header::read` has compared both with the map's length
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
