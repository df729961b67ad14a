//! CPU kernels for inference on GGUF weights: quantized matrix products, attention, norms, rotary positions.
//!
//! Read in this order: [`Format`] and [`Matrix`] say what a weight is; [`Activations`] is the other operand;
//! [`matmul`] multiplies them on a [`ThreadPool`]; [`KvLayer`] and [`attend`] are attention over a cache in f16 or 8 bits;
//! the rest are the small operations between them.
//!
//! # The order of floating point
//!
//! A row's result has the same bits whatever the batch size, the pieces it came in, or the number of threads.
//! Integer dot products are exact, and every sum of floats has one fixed order, written down beside the portable code
//! in `portable.rs`; a kernel for an instruction set must reproduce those bits, and the tests compare them exactly.
//! Reuse of a cached prefix, drafted decoding and replay rest on this.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod activations;
#[cfg(target_arch = "aarch64")]
mod arm;
mod attention;
mod blocks;
mod convert;
mod cores;
mod dispatch;
mod error;
mod format;
mod kv;
mod low_rank;
mod matmul;
mod matrix;
mod ops;
mod packed;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod panel;
mod pool;
mod portable;
pub mod roofline;
mod rope;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use activations::Activations;
pub use attention::{attend, attend_full};
pub use blocks::{dequantize, quantize_q8_0};
pub use cores::performance_cores;
pub use dispatch::instruction_set;
pub use error::ShapeError;
pub use format::Format;
pub use kv::{KvLayer, KvType};
pub use low_rank::LowRank;
pub use matmul::{Adapted, Product, matmul, matmul_adapted, matmul_group, matmul_reference};
pub use matrix::Matrix;
pub use ops::{add_assign, gelu_erf, gelu_tanh_mul, layer_norm, rms_norm, scale, silu_mul, softmax};
pub use packed::{PACKED_ALIGNMENT, PACKED_VERSION, pack, packed_bytes};
pub use pool::ThreadPool;
pub use rope::{RopeStyle, RopeTable};
