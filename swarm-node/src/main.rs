//! The binary `swarm-node`; everything it does is in the library.

// Printing goes through the library's `cli::output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

fn main() -> ExitCode {
    swarm_node::cli::run(std::env::args_os(), std::env::vars_os())
}
