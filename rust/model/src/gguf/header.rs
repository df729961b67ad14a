//! Everything before the data section, read and checked once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lorekit_kernels::Format;
use memmap2::Mmap;

use super::cursor::Cursor;
use super::tensor::TensorInfo;
use super::value::Value;
use super::{DEFAULT_ALIGNMENT, MAGIC};

/// The most metadata entries and tensors a file may have; real models have some hundred of each.
const MOST_ENTRIES: usize = 1 << 16;
/// The longest key (the format's own limit) and tensor name (the format says 64) in bytes; errors quote both.
const LONGEST_KEY: usize = 65_535;
const LONGEST_NAME: usize = 255;

/// What a file says about itself.
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    /// In the file's order; offsets count from the start of the file, and all data lies in it.
    pub(super) tensors: Vec<TensorInfo>,
}

/// Why a file is refused. The caller adds its name.
pub(super) enum Refusal {
    Damaged(String),
    Unsupported { what: String, found: String },
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Refusal::Damaged(reason)
    }
}

fn unsupported(what: impl Into<String>, found: impl Into<String>) -> Refusal {
    Refusal::Unsupported { what: what.into(), found: found.into() }
}

impl Header {
    pub(super) fn read(map: &Arc<Mmap>) -> Result<Header, Refusal> {
        let mut cursor = Cursor::new(map);
        if cursor.array::<4>()? != MAGIC {
            return Err("it does not begin with GGUF".to_owned().into());
        }
        match cursor.u32()? {
            2 | 3 => {}
            v if matches!(v.swap_bytes(), 1..=3) => {
                return Err(unsupported("byte order", format!("big-endian GGUF version {}", v.swap_bytes())));
            }
            v => return Err(unsupported("GGUF version", v.to_string())),
        }
        // The least a tensor needs: name length, n_dims, one dimension, type, offset. A metadata entry: key length,
        // type, one byte.
        let n_tensors = cursor.u64()?;
        let n_metadata = cursor.count("metadata entries", 13)?;
        let n_tensors = match usize::try_from(n_tensors) {
            Ok(n) if n <= cursor.remaining() / 32 => n,
            _ => return Err(format!("{n_tensors} tensors do not fit {} bytes", map.len()).into()),
        };
        if n_metadata.max(n_tensors) > MOST_ENTRIES {
            return Err(format!("{n_metadata} metadata entries and {n_tensors} tensors").into());
        }
        let metadata = read_metadata(&mut cursor, n_metadata, map)?;
        if let Some(parts) = metadata.get("split.count").and_then(Value::as_u64).filter(|&n| n > 1) {
            return Err(unsupported("split model", format!("one of {parts} parts")));
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(v) => v
                .as_u64()
                .filter(|a| a.is_power_of_two() && (8..=1 << 20).contains(a))
                .ok_or_else(|| "general.alignment is not a power of two from 8 to 2^20".to_owned())?,
        };
        let mut tensors = read_tensors(&mut cursor, n_tensors, alignment)?;
        let section = (cursor.position() as u64).next_multiple_of(alignment);
        place(&mut tensors, section, map.len() as u64)?;
        Ok(Header { metadata, tensors })
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, n: usize, map: &Arc<Mmap>) -> Result<BTreeMap<String, Value>, Refusal> {
    let mut metadata = BTreeMap::new();
    for _ in 0..n {
        let key = cursor.name(LONGEST_KEY)?.to_owned();
        let value = cursor.u32().and_then(|kind| Value::read(kind, cursor, map));
        let value = value.map_err(|reason| format!("metadata {key}: {reason}"))?;
        if metadata.contains_key(&key) {
            return Err(format!("metadata {key} occurs twice").into());
        }
        metadata.insert(key, value);
    }
    Ok(metadata)
}

/// The tensors, with offsets from the data section.
fn read_tensors(cursor: &mut Cursor<'_>, n: usize, alignment: u64) -> Result<Vec<TensorInfo>, Refusal> {
    let mut tensors = Vec::with_capacity(n);
    let mut names = HashSet::with_capacity(n);
    for _ in 0..n {
        let name = cursor.name(LONGEST_NAME)?;
        let (dims, kind, offset) = read_extent(cursor).map_err(|reason| format!("tensor {name}: {reason}"))?;
        let format = Format::from_ggml(kind)
            .ok_or_else(|| unsupported(format!("quantization of tensor {name}"), format!("ggml type {kind}")))?;
        let bytes =
            size(format, &dims).ok_or_else(|| format!("tensor {name}: {dims:?} is no extent for {format:?}"))?;
        if offset % alignment != 0 {
            return Err(format!("tensor {name}: offset {offset} is not a multiple of {alignment}").into());
        }
        if !names.insert(name) {
            return Err(format!("tensor {name} occurs twice").into());
        }
        tensors.push(TensorInfo { name: name.to_owned(), format, dims, offset, bytes });
    }
    Ok(tensors)
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

/// Makes the offsets count from the start of the file; all data must lie in it, and no two tensors share a byte.
fn place(tensors: &mut [TensorInfo], section: u64, file: u64) -> Result<(), Refusal> {
    for t in &mut *tensors {
        let end = section.checked_add(t.offset).and_then(|start| start.checked_add(t.bytes));
        if end.is_none_or(|end| end > file) {
            return Err(format!(
                "tensor {} needs {} bytes at {} of the data section, past the end of the file",
                t.name, t.bytes, t.offset
            )
            .into());
        }
        t.offset += section;
    }
    let mut in_order: Vec<&TensorInfo> = tensors.iter().collect();
    in_order.sort_by_key(|t| t.offset);
    for pair in in_order.windows(2) {
        if pair[0].offset + pair[0].bytes > pair[1].offset {
            return Err(format!("tensors {} and {} overlap", pair[0].name, pair[1].name).into());
        }
    }
    Ok(())
}
