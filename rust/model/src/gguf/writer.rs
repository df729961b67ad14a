//! Writing GGUF files: the header from memory, tensor data as a stream, the file placed atomically.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use lorekit_kernels::Format;

use super::header::size;
use super::value::{Array, Value, kind};
use super::{DEFAULT_ALIGNMENT, MAGIC};
use crate::{Error, Result};

/// A metadata value to write. Numbers, strings and slices turn into one by `into()`; so does a [`Value`] read from
/// another file.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the variants are the format's own types
pub enum Meta<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    U64(u64),
    I64(i64),
    F64(f64),
    Str(&'a str),
    U8s(&'a [u8]),
    U32s(&'a [u32]),
    I32s(&'a [i32]),
    F32s(&'a [f32]),
    Bools(&'a [bool]),
    Strs(&'a [&'a str]),
    Strings(&'a [String]),
    /// An array of another file, copied as it is.
    Array(&'a Array),
}

macro_rules! meta_from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl<'a> From<$from> for Meta<'a> {
            fn from(value: $from) -> Self {
                Meta::$variant(value)
            }
        })*
    };
}
meta_from!(
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64,
    f32 => F32, f64 => F64, bool => Bool, &'a str => Str, &'a [u8] => U8s, &'a [u32] => U32s, &'a [i32] => I32s,
    &'a [f32] => F32s, &'a [bool] => Bools, &'a [&'a str] => Strs, &'a [String] => Strings, &'a Array => Array,
);

impl<'a> From<&'a String> for Meta<'a> {
    fn from(value: &'a String) -> Self {
        Meta::Str(value)
    }
}

impl<'a> From<&'a Value> for Meta<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::U8(v) => Meta::U8(*v),
            Value::I8(v) => Meta::I8(*v),
            Value::U16(v) => Meta::U16(*v),
            Value::I16(v) => Meta::I16(*v),
            Value::U32(v) => Meta::U32(*v),
            Value::I32(v) => Meta::I32(*v),
            Value::F32(v) => Meta::F32(*v),
            Value::Bool(v) => Meta::Bool(*v),
            Value::U64(v) => Meta::U64(*v),
            Value::I64(v) => Meta::I64(*v),
            Value::F64(v) => Meta::F64(*v),
            Value::String(v) => Meta::Str(v),
            Value::Array(v) => Meta::Array(v),
        }
    }
}

impl Meta<'_> {
    /// Appends the type number and the value.
    fn write(&self, out: &mut Vec<u8>) {
        fn scalar(out: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        }
        fn array<const N: usize>(out: &mut Vec<u8>, kind: u32, len: usize, items: impl Iterator<Item = [u8; N]>) {
            out.extend(kind::ARRAY.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend((len as u64).to_le_bytes());
            items.for_each(|item| out.extend(item));
        }
        match *self {
            Meta::U8(v) => scalar(out, kind::U8, &v.to_le_bytes()),
            Meta::I8(v) => scalar(out, kind::I8, &v.to_le_bytes()),
            Meta::U16(v) => scalar(out, kind::U16, &v.to_le_bytes()),
            Meta::I16(v) => scalar(out, kind::I16, &v.to_le_bytes()),
            Meta::U32(v) => scalar(out, kind::U32, &v.to_le_bytes()),
            Meta::I32(v) => scalar(out, kind::I32, &v.to_le_bytes()),
            Meta::F32(v) => scalar(out, kind::F32, &v.to_le_bytes()),
            Meta::U64(v) => scalar(out, kind::U64, &v.to_le_bytes()),
            Meta::I64(v) => scalar(out, kind::I64, &v.to_le_bytes()),
            Meta::F64(v) => scalar(out, kind::F64, &v.to_le_bytes()),
            Meta::Bool(v) => scalar(out, kind::BOOL, &[v.into()]),
            Meta::Str(v) => {
                out.extend(kind::STRING.to_le_bytes());
                string(out, v);
            }
            Meta::U8s(v) => array(out, kind::U8, v.len(), v.iter().map(|&n| [n])),
            Meta::U32s(v) => array(out, kind::U32, v.len(), v.iter().map(|n| n.to_le_bytes())),
            Meta::I32s(v) => array(out, kind::I32, v.len(), v.iter().map(|n| n.to_le_bytes())),
            Meta::F32s(v) => array(out, kind::F32, v.len(), v.iter().map(|n| n.to_le_bytes())),
            Meta::Bools(v) => array(out, kind::BOOL, v.len(), v.iter().map(|&b| [u8::from(b)])),
            Meta::Strs(v) => {
                array::<0>(out, kind::STRING, v.len(), std::iter::empty());
                v.iter().for_each(|s| string(out, s));
            }
            Meta::Strings(v) => {
                array::<0>(out, kind::STRING, v.len(), std::iter::empty());
                v.iter().for_each(|s| string(out, s));
            }
            Meta::Array(v) => {
                array::<0>(out, v.kind, v.len(), std::iter::empty());
                out.extend(v.bytes());
            }
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A GGUF file (version 3) in the making: first what it holds is declared, then [`GgufWriter::create`] opens the
/// stream that takes the tensors' data.
#[derive(Debug, Default)]
pub struct GgufWriter {
    metadata: Vec<u8>,
    keys: Vec<String>,
    tensors: Vec<Declared>,
}

#[derive(Debug)]
struct Declared {
    name: String,
    format: Format,
    dims: Vec<usize>,
    bytes: u64,
}

impl GgufWriter {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metadata entry. Arrays of strings are passed as `&[&str]` or `&[String]` slices.
    ///
    /// Errors: [`Error::InvalidArgument`] for a key that is there already, and for `general.alignment`, which is
    /// always the default here.
    pub fn put<'a>(&mut self, key: &str, value: impl Into<Meta<'a>>) -> Result<&mut Self> {
        if key == "general.alignment" || self.keys.iter().any(|k| k == key) {
            return Err(Error::InvalidArgument(format!("metadata {key} is set already")));
        }
        string(&mut self.metadata, key);
        value.into().write(&mut self.metadata);
        self.keys.push(key.to_owned());
        Ok(self)
    }

    /// Declares the next tensor; `dims` has the innermost dimension first.
    ///
    /// Errors: [`Error::InvalidArgument`] for a name that is there already, or an extent the format cannot hold.
    pub fn declare(&mut self, name: &str, format: Format, dims: &[usize]) -> Result<&mut Self> {
        if self.tensors.iter().any(|t| t.name == name) {
            return Err(Error::InvalidArgument(format!("tensor {name} is declared already")));
        }
        let bytes = size(format, dims)
            .filter(|_| dims.len() <= 4 && !dims.contains(&0))
            .ok_or_else(|| Error::InvalidArgument(format!("tensor {name}: {dims:?} is no extent for {format:?}")))?;
        self.tensors.push(Declared { name: name.to_owned(), format, dims: dims.to_vec(), bytes });
        Ok(self)
    }

    /// Writes the header into a temporary file beside `path` and returns the stream for the data. Nothing appears
    /// at `path` before [`TensorStream::finish`].
    pub fn create(self, path: &Path) -> Result<TensorStream> {
        let mut header = Vec::with_capacity(self.metadata.len() + 64 * self.tensors.len() + 64);
        header.extend(MAGIC);
        header.extend(3u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.keys.len() as u64).to_le_bytes());
        header.extend(&self.metadata);
        let mut offset = 0u64;
        for t in &self.tensors {
            string(&mut header, &t.name);
            header.extend((t.dims.len() as u32).to_le_bytes());
            t.dims.iter().for_each(|&d| header.extend((d as u64).to_le_bytes()));
            header.extend(t.format.ggml_id().to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset += t.bytes.next_multiple_of(DEFAULT_ALIGNMENT);
        }
        header.resize(header.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);

        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.partial", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let io = |source| Error::Io { path: temporary.clone(), source };
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&temporary).map_err(io)?);
        let header_written = out.write_all(&header).map_err(io);
        let stream =
            TensorStream { out: Some(out), temporary, path: path.to_owned(), pending: self.tensors.into(), written: 0 };
        header_written?; // after `stream` exists: its drop removes the temporary file
        Ok(stream)
    }

    /// Writes the whole file in one go, for files that are small: the data of every declared tensor, in order.
    pub fn write<'d>(self, path: &Path, data: impl IntoIterator<Item = &'d [u8]>) -> Result<()> {
        let names: Vec<String> = self.tensors.iter().map(|t| t.name.clone()).collect();
        let mut stream = self.create(path)?;
        for (name, bytes) in names.iter().zip(data) {
            stream.append(name, bytes)?;
        }
        stream.finish()
    }
}

/// Takes the data of the declared tensors, in their order, in pieces of any size. Dropped unfinished, it leaves
/// nothing behind.
#[derive(Debug)]
pub struct TensorStream {
    out: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    pending: std::collections::VecDeque<Declared>,
    written: u64,
}

impl TensorStream {
    /// Appends `bytes` to tensor `name`, which must be the first declared one that is not complete yet.
    ///
    /// Errors: [`Error::InvalidArgument`] for another tensor or too many bytes, [`Error::Io`].
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let tensor = match self.pending.front() {
            Some(t) if t.name == name => t,
            Some(t) => {
                return Err(Error::InvalidArgument(format!("data for {name} where {} is due", t.name)));
            }
            None => {
                return Err(Error::InvalidArgument(format!("data for {name} after the last tensor")));
            }
        };
        let total = self.written + bytes.len() as u64;
        if total > tensor.bytes {
            return Err(Error::InvalidArgument(format!("{total} bytes for {name}, which has {}", tensor.bytes)));
        }
        let complete = total == tensor.bytes;
        let padding = (total.next_multiple_of(DEFAULT_ALIGNMENT) - total) as usize;
        let out = self.out.as_mut().expect("only finish and drop take the file");
        let mut written = out.write_all(bytes);
        if complete {
            written = written.and_then(|()| out.write_all(&[0; DEFAULT_ALIGNMENT as usize][..padding]));
        }
        written.map_err(|source| Error::Io { path: self.temporary.clone(), source })?;
        self.written = total;
        if complete {
            self.pending.pop_front();
            self.written = 0;
        }
        Ok(())
    }

    /// Syncs the data to disk and gives the file its name.
    ///
    /// Errors: [`Error::InvalidArgument`] if a tensor lacks data, [`Error::Io`]; in both cases nothing is left.
    pub fn finish(mut self) -> Result<()> {
        if let Some(t) = self.pending.front() {
            return Err(Error::InvalidArgument(format!("tensor {} lacks {} bytes", t.name, t.bytes - self.written)));
        }
        let out = self.out.take().expect("only finish and drop take the file");
        let placed = out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.path));
        if placed.is_err() {
            let _ = fs::remove_file(&self.temporary); // the first error is the one to tell
        }
        placed.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        sync_folder(&self.path)
    }
}

impl Drop for TensorStream {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            let _ = out.into_parts(); // without flushing what is buffered
            let _ = fs::remove_file(&self.temporary); // nothing can be done about a failure here
        }
    }
}

/// Makes the rename itself durable, where folders can be synced.
fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|f| f.sync_all());
        synced.map_err(|source| Error::Io { path: folder.to_owned(), source })?;
    }
    Ok(())
}
