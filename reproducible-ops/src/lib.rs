//! Numbers.

pub mod engine;
