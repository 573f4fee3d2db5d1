//! The command line: one file per command, and what they share.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | something failed; the message says what, the value seen, and what to do |
//! | 2 | settings or usage |
//!
//! Results go to standard output, progress and messages to standard error. With `--json` the last line of standard output
//! is one object.

mod chain;
mod config;
mod console;
mod demo;
mod eval;
mod failure;
mod options;
mod pretrain;
mod settle;
mod train;
mod wallet;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use options::Options;

/// A node of an open training swarm whose arithmetic is bit-reproducible.
#[derive(Debug, Parser)]
#[command(name = "swarm-node", version, about, long_about = LONG, after_long_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

const LONG: &str = "A node of an open training swarm: peers share, critique and decide on verifiable tasks, and train on \
what they exchange. All arithmetic is bit-reproducible: the same seed gives the same digests, on any number of threads and \
any instruction set.\n\nSettings come from defaults, a file (--config or SWARM_NODE_CONFIG), environment variables \
(SWARM_NODE_DEMO_ROUNDS=10 for demo.rounds) and flags; later ones win. `swarm-node config show --origin` tells which.";

const EXAMPLES: &str = "Examples:\n  swarm-node demo\n  swarm-node demo --simulate --seed 2 --json\n  swarm-node eval --model \
runs/train --families max,sort\n  swarm-node config show --origin\n\nExit codes: 0 done, 1 error, 2 settings or usage.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Pretrain(pretrain::Pretrain),
    Train(train::Train),
    Eval(eval::Eval),
    Settle(settle::Settle),
    Wallet(wallet::WalletCommand),
    Chain(Box<chain::ChainCommand>),
    Config(config::ConfigCommand),
}

/// Runs the command that these arguments name, under this environment.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Vec<(String, String)>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(help) => return explain(&help),
    };
    match dispatch(cli, environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Help and version go to standard output with code 0, usage errors to standard error with code 2.
fn explain(help: &clap::Error) -> ExitCode {
    // Nothing can be done about an output that is closed.
    let _ = help.print();
    ExitCode::from(if help.use_stderr() { failure::USAGE } else { 0 })
}

fn dispatch(cli: Cli, environment: Vec<(String, String)>) -> Result<(), Failure> {
    let Cli { command, options } = cli;
    match command {
        Command::Demo(demo) => demo.run(&options, environment),
        Command::Pretrain(pretrain) => pretrain.run(&options, environment),
        Command::Train(train) => train.run(&options, environment),
        Command::Eval(eval) => eval.run(&options, environment),
        Command::Settle(settle) => settle.run(&options, environment),
        Command::Wallet(wallet) => wallet.run(&options, environment),
        Command::Chain(chain) => chain.run(&options, environment),
        Command::Config(config) => config.run(&options, environment),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
