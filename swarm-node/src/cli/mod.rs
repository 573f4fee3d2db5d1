//! The command line: one file per command, and what they share.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | something failed; the message says what, the value seen, and what to do |
//! | 2 | settings or usage |
//! | 5 | `doctor` found something that keeps the node from working |
//! | 6, 7 | `audit`, `receipt verify` or a `replay` found something wrong; it cannot tell |
//! | 130, 143 | SIGINT or SIGTERM ended work early; the message says how to go on |
//!
//! Results go to standard output, progress and messages to standard error. With `--json` the result
//! is one line, an object, instead of the text for people. `chain dev` is ended by a signal and
//! then returns 0.

mod account;
mod audit;
mod average;
mod chain;
mod config;
mod connection;
mod console;
mod demo;
mod dispute;
mod eval;
mod failure;
mod job;
mod lab;
mod manual;
mod node;
mod options;
mod output;
mod part;
mod pipeline;
mod pretrain;
mod receipt;
mod settle;
mod signals;
mod subject;
mod train;
mod wallet;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use failure::Failure;
use options::Options;
use swarm_settings::PREFIX;

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

const LONG: &str = "A node of an open training swarm: peers share, critique and decide on \
verifiable tasks, and train on \
what they exchange. All arithmetic is bit-reproducible: the same seed gives the same digests, on \
any number of threads and \
any instruction set.\n\nSettings come from defaults, a file (--config or SWARM_NODE_CONFIG), \
environment variables \
(SWARM_NODE_DEMO_ROUNDS=10 for demo.rounds) and flags; later ones win. `swarm-node config show \
--origin` tells which.";

const EXAMPLES: &str = "Examples:\n  swarm-node demo\n  swarm-node demo --simulate --seed 2 \
--json\n  swarm-node eval --model \
runs/train --families max,sort\n  swarm-node config show --origin\n\nExit codes: 0 done, 1 error, \
2 settings or usage, 5 doctor \
found something, 6 an audit or a receipt \
is wrong, 7 it cannot be told, 130 or 143 ended early by SIGINT or SIGTERM with its work saved (a second signal ends at once).";

#[derive(Debug, Subcommand)]
enum Command {
    Up(node::Up),
    Init(node::Init),
    Status(node::StatusCommand),
    Peers(node::Peers),
    Logs(node::Logs),
    Key(node::KeyCommand),
    Pause(node::Pause),
    Resume(node::Resume),
    Drain(node::Drain),
    Doctor(node::Doctor),
    Swarm(node::SwarmCommand),
    Export(node::Export),
    Verify(node::Verify),
    Lab(lab::Lab),
    Demo(demo::Demo),
    Pretrain(pretrain::Pretrain),
    Train(train::Train),
    Job(job::JobCommand),
    Pipeline(pipeline::PipelineCommand),
    Average(average::AverageCommand),
    Audit(audit::AuditCommand),
    Dispute(dispute::DisputeCommand),
    Eval(eval::Eval),
    Receipt(receipt::ReceiptCommand),
    Settle(settle::Settle),
    Wallet(wallet::WalletCommand),
    Chain(Box<chain::ChainCommand>),
    Config(config::ConfigCommand),
    Completions(manual::Completions),
    Man(manual::Man),
}

/// Runs the command that these arguments name, under this environment.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(help) => return explain(&help),
    };
    match own_variables(environment).and_then(|environment| dispatch(cli, environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

/// Help and version go to standard output with code 0, usage errors to standard error with code 2.
fn explain(help: &clap::Error) -> ExitCode {
    let printed = help.print();
    match printed {
        _ if help.use_stderr() => ExitCode::from(failure::USAGE),
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            output::note(&format!(
                "error: standard output cannot be written: {error}"
            ));
            ExitCode::from(failure::ERROR)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The variables whose names begin with [`PREFIX`], as text. A name that is no text cannot be one
/// of ours; a value that is none is refused without being shown, for it may be a secret.
fn own_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut own = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let value = value.into_string().map_err(|_| {
            Failure::Usage(anyhow::anyhow!(
                "{name}: its value is not UTF-8 text; set it to text, or unset it"
            ))
        })?;
        own.push((name.to_owned(), value));
    }
    Ok(own)
}

fn dispatch(cli: Cli, environment: Vec<(String, String)>) -> Result<(), Failure> {
    let Cli { command, options } = cli;
    match command {
        Command::Up(up) => up.run(&options, environment),
        Command::Init(init) => init.run(&options, environment),
        Command::Status(status) => status.run(&options, environment),
        Command::Peers(peers) => peers.run(&options, environment),
        Command::Logs(logs) => logs.run(&options, environment),
        Command::Key(key) => key.run(&options, environment),
        Command::Pause(pause) => pause.run(&options, environment),
        Command::Resume(resume) => resume.run(&options, environment),
        Command::Drain(drain) => drain.run(&options, environment),
        Command::Doctor(doctor) => doctor.run(&options, environment),
        Command::Swarm(swarm) => swarm.run(&options, environment),
        Command::Export(export) => export.run(&options, environment),
        Command::Verify(verify) => verify.run(&options, environment),
        Command::Lab(lab) => lab.run(&options, environment),
        Command::Demo(demo) => demo.run(&options, environment),
        Command::Pretrain(pretrain) => pretrain.run(&options, environment),
        Command::Train(train) => train.run(&options, environment),
        Command::Job(job) => job.run(&options, environment),
        Command::Pipeline(pipeline) => pipeline.run(&options, environment),
        Command::Average(average) => average.run(&options, environment),
        Command::Audit(audit) => audit.run(&options, environment),
        Command::Dispute(dispute) => dispute.run(&options, environment),
        Command::Eval(eval) => eval.run(&options, environment),
        Command::Receipt(receipt) => receipt.run(&options, environment),
        Command::Settle(settle) => settle.run(&options, environment),
        Command::Wallet(wallet) => wallet.run(&options, environment),
        Command::Chain(chain) => chain.run(&options, environment),
        Command::Config(config) => config.run(&options, environment),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
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
