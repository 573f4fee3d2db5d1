//! `swarm-node completions` and `man`: what is generated from the commands themselves.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;
use super::output::Answer;

/// Prints completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example: swarm-node completions bash > \
~/.local/share/bash-completion/completions/swarm-node")]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the manual page.
#[derive(Debug, Args)]
#[command(after_help = "Example: swarm-node man | man -l -")]
pub(super) struct Man {}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "swarm-node", &mut text);
        print(text)
    }
}

impl Man {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut text)
            .map_err(Failure::work)?;
        print(text)
    }
}

fn print(text: Vec<u8>) -> Result<(), Failure> {
    let text = String::from_utf8(text).map_err(Failure::work)?;
    let (json, kept) = (String::new(), String::new());
    Answer { text, json, kept }.print(false)
}
