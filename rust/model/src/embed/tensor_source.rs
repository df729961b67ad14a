//! Tensors of a safetensors file (or a set of shards), read row by row so that converting never holds a whole model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;

use crate::{Error, Result};

use super::source::{damaged, read_json};

/// The longest safetensors header that is read; the reference implementation has the same limit.
const MAX_HEADER: u64 = 100_000_000;

/// Where one tensor lies.
#[derive(Clone, Debug)]
pub(super) struct SourceTensor {
    file: usize,
    dtype: Dtype,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    /// From the start of the file, in bytes.
    offset: u64,
}

impl SourceTensor {
    /// Length of the innermost dimension (1 for a scalar).
    pub(super) fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
}

struct OpenFile {
    path: PathBuf,
    file: File,
}

/// The tensors of a model folder by name.
pub(super) struct TensorSource {
    files: Vec<OpenFile>,
    tensors: BTreeMap<String, SourceTensor>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl TensorSource {
    /// Opens `model.safetensors` in `dir`, or the shards that `model.safetensors.index.json` names.
    ///
    /// Names are stored without the prefixes that wrappers put before them (`bert.`, `roberta.`, `model.`, …).
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read, [`Error::Damaged`] when a header is not well formed.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let mut source = Self { files: Vec::new(), tensors: BTreeMap::new() };
        let index_path = dir.join("model.safetensors.index.json");
        let single = dir.join("model.safetensors");
        if single.exists() || !index_path.exists() {
            source.add_file(&single)?;
            return Ok(source);
        }
        let index: ShardIndex = read_json(&index_path)?;
        let mut shards: Vec<&String> = index.weight_map.values().collect();
        shards.sort();
        shards.dedup();
        for shard in shards {
            let plain = Path::new(shard).file_name().is_some_and(|name| name == shard.as_str());
            if !plain {
                return Err(damaged(&index_path, "a shard name that leaves the folder"));
            }
            source.add_file(&dir.join(shard))?;
        }
        Ok(source)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let file_len = file.metadata().map_err(io)?.len();
        let mut length = [0u8; 8];
        file.read_exact(&mut length).map_err(|_| damaged(path, "shorter than a safetensors header"))?;
        let header_len = u64::from_le_bytes(length);
        if header_len > MAX_HEADER || header_len > file_len.saturating_sub(8) {
            return Err(damaged(path, format!("header of {header_len} bytes in a file of {file_len}")));
        }
        let mut header = vec![0u8; header_len as usize];
        file.read_exact(&mut header).map_err(io)?;
        // `Metadata` checks that the tensors lie one behind the other and that their lengths fit their shapes.
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|e| damaged(path, format!("safetensors header: {e}")))?;
        let data_start = 8 + header_len;
        let index = self.files.len();
        for (name, info) in metadata.tensors() {
            let (begin, end) = info.data_offsets;
            let in_file = (end as u64).checked_add(data_start).is_some_and(|end| end <= file_len);
            let bytes = info
                .shape
                .iter()
                .try_fold(1usize, |all, &dim| all.checked_mul(dim))
                .and_then(|elements| elements.checked_mul(info.dtype.bitsize()))
                .map(|bits| bits / 8);
            if begin > end || !in_file || bytes != Some(end - begin) {
                return Err(damaged(path, format!("tensor {name} lies outside the file or has a wrong length")));
            }
            let tensor = SourceTensor {
                file: index,
                dtype: info.dtype,
                shape: info.shape.clone(),
                offset: data_start + begin as u64,
            };
            self.tensors.insert(plain_name(&name), tensor);
        }
        self.files.push(OpenFile { path: path.to_owned(), file });
        Ok(())
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there is none, or when its shape is not `shape`.
    pub(super) fn require(&self, name: &str, shape: &[usize]) -> Result<&SourceTensor> {
        let path = &self.files[0].path;
        let tensor = self.tensors.get(name).ok_or_else(|| damaged(path, format!("tensor {name} is missing")))?;
        if tensor.shape == shape && !shape.contains(&0) {
            Ok(tensor)
        } else {
            Err(damaged(path, format!("tensor {name} has shape {:?}, wanted {shape:?}", tensor.shape)))
        }
    }

    /// Reads `count` rows from row `first` on as f32 into `out`, which is cleared first. `bytes` is a scratch buffer.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for element types other than F32, F16, BF16 and F64; [`Error::Io`].
    pub(super) fn read_rows(
        &mut self,
        tensor: &SourceTensor,
        first: usize,
        count: usize,
        bytes: &mut Vec<u8>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let OpenFile { path, file } = &mut self.files[tensor.file];
        let io = |source| Error::Io { path: path.clone(), source };
        let width = tensor.dtype.bitsize() / 8;
        let row_bytes = tensor.cols() * width;
        bytes.clear();
        bytes.resize(count * row_bytes, 0);
        file.seek(SeekFrom::Start(tensor.offset + (first * row_bytes) as u64)).map_err(io)?;
        file.read_exact(bytes).map_err(io)?;
        out.clear();
        out.reserve(count * tensor.cols());
        match tensor.dtype {
            Dtype::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Dtype::F16 => out.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
            Dtype::BF16 => out.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32())),
            Dtype::F64 => out.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
            other => {
                return Err(Error::Unsupported {
                    path: path.clone(),
                    what: "element type of a weight".to_owned(),
                    found: format!("{other:?}"),
                });
            }
        }
        Ok(())
    }
}

/// Cuts wrapper prefixes and renames the old TensorFlow names of a layer norm's weight and bias.
fn plain_name(name: &str) -> String {
    let mut rest = name;
    for prefix in ["0.auto_model.", "auto_model.", "bert.", "roberta.", "model."] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    if let Some(stem) = rest.strip_suffix(".gamma") {
        return format!("{stem}.weight");
    }
    if let Some(stem) = rest.strip_suffix(".beta") {
        return format!("{stem}.bias");
    }
    rest.to_owned()
}
