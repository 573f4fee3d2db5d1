//! The running node: models, tasks, learning and rounds, and the commands that put them to work.
//!
//! ```text
//! main ─▶ cli ─┬─▶ config                       settings: default < file < environment < flag
//!              ├─▶ demo ─┬─▶ round::sim          a swarm on virtual time, and its peers alone
//!              │         └─▶ settle ─▶ chain     what rounds were worth becomes money
//!              ├─▶ wallet                        the owner's key
//!              └─▶ assembly ─▶ learn, model      learning peers from a checkpoint
//!                                └─▶ task        questions and verifiers
//! identity (the node's key, signs once) ─▶ store (on disk)
//! text_file                                 what every reader of a user's text file calls
//! ```

// Printing goes through `cli::output`, which never panics where the macros do: on a closed pipe or
// a full disk.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod assembly;
pub mod chain;
pub mod cli;
pub mod config;
pub mod demo;
pub mod identity;
pub mod learn;
pub mod model;
pub mod round;
pub mod settle;
pub mod store;
pub mod task;
pub mod text_file;
pub mod wallet;
