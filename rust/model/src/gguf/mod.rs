//! GGUF files: reading them from a memory map without copying, and writing them as a stream.
//!
//! The format is ggml's (`docs/gguf.md` in the ggml repository), versions 2 and 3, little-endian:
//!
//! ```text
//! "GGUF"  version u32  tensor count u64  metadata count u64
//! metadata: key string, type u32, value            (strings: length u64, then UTF-8)
//! tensors:  name string, n_dims u32, dims u64 × n, type u32, offset u64 from the data section
//! padding to general.alignment (32), then the data section
//! ```
//!
//! Everything in the header is checked once, when the file is opened; no count in it leads to an
//! allocation before the bytes that would have to follow are known to be there.

mod cursor;
mod file;
mod header;
mod packed;
mod tensor;
mod value;
mod writer;

pub use file::Gguf;
pub use tensor::{Tensor, TensorInfo};
pub use value::{Array, Value};
pub use writer::{GgufWriter, Meta, TensorStream};

/// The first four bytes of every GGUF file.
const MAGIC: [u8; 4] = *b"GGUF";
/// The alignment of the data section and of each tensor in it, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
