//! The Rust side and the contracts of settlement, on the dev chain: they hash, draw and count
//! alike, and money ends where it belongs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod draw;
mod gas;
mod outcomes;
mod signatures;
mod world;
