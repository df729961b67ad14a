//! Causal language models: one decoder, driven by a description that is read from the model file.
//!
//! [`Description`] says what the network is; `weights` finds and checks its tensors; [`LanguageModel`] holds both over
//! the mapped file; a [`Session`] is one sequence of tokens with its cache. Two compute paths do the work: `cpu` with
//! our kernels, and `portable` with candle's tensors on any of its devices.

mod backend;
mod cpu;
mod description;
mod device_choice;
mod device_test;
mod model;
mod portable;
mod session;
mod snapshot;
pub(crate) mod weights;

pub use description::{Activation, Architecture, Description, Rope};
pub use device_choice::{DeviceRequest, DeviceVerdict, choose_backend};
pub use model::{BackendChoice, LanguageModel, LoadOptions, ModelInfo};
pub use session::Session;
pub use snapshot::KvSnapshot;
