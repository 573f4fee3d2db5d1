//! Whole-program tests: the real binary, its messages and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod anvil;
mod commands;
mod configs;
mod devchain;
mod errors;
mod faults;
mod http;
mod keys;
mod node;
mod settlement;
