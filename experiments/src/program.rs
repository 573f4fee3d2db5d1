//! The node's program, which experiments with processes start.

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// The program that is built beside this one.
///
/// # Errors
/// It is not there.
pub fn beside() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let program = me.with_file_name("swarm-node");
    ensure!(
        program.is_file(),
        "{} is not there: build it first (cargo build -p swarm-node), or name it with --program",
        program.display()
    );
    Ok(program)
}
