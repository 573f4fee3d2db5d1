//! The binary `swarm-node`; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A variable that is no text cannot be one of ours.
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    swarm_node::cli::run(std::env::args_os(), std::env::vars_os().filter_map(text).collect())
}
