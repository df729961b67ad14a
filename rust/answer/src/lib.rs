//! The engine: a question to a cited answer. The public Rust API.
