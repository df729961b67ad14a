//! Fetching models, held against servers and packages that misbehave in every way we know.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod cache;
mod embedders;
mod hub;
#[cfg(unix)]
mod packages;
mod server;
mod world;
