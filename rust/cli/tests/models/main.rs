//! Fetching models, held against servers and packages that misbehave in every way we know.

#![allow(clippy::unwrap_used)]

mod cache;
mod hub;
#[cfg(unix)]
mod packages;
mod server;
mod world;
