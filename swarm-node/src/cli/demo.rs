//! `swarm-node demo`: a whole swarm in this process.

use clap::Args;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use crate::assembly::{Model, certified};
use crate::config::path;
use crate::demo;

/// Runs a whole swarm in this process and shows what it learned.
///
/// Four peers start from one base model. Each practises one family of tasks; they share answers, criticise and decide, and
/// train on what they exchange. The same peers learn alone as control. Ends with held-out scores, percent of questions
/// that were never trained on. Takes a few minutes on two cores.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Demo {
    /// Runs on virtual time in this process: the deterministic mode, and the only one there is.
    #[arg(long)]
    simulate: bool,
    /// Seed of keys, questions and sampling; the same seed gives the same digests.
    #[arg(long, value_name = "S")]
    seed: Option<String>,
    /// Peers of the swarm, 2 to 64.
    #[arg(long, value_name = "N")]
    peers: Option<String>,
    /// Rounds; each is one training step per peer.
    #[arg(long, value_name = "N")]
    rounds: Option<String>,
    /// Checkpoint to start from instead of the shipped one: a safetensors file or the folder of a run.
    #[arg(long, value_name = "FILE")]
    base: Option<String>,
}

const EXAMPLES: &str = "Examples:\n  swarm-node demo\n  swarm-node demo --simulate --seed 2 --json\n  swarm-node demo --rounds 10 \
--set demo.questions=8\n  swarm-node demo --threads 1 --path avx2";

impl Demo {
    pub(super) fn run(&self, options: &Options, environment: Vec<(String, String)>) -> Result<(), Failure> {
        let flags = [
            ("--seed", "demo.seed", &self.seed),
            ("--peers", "demo.peers", &self.peers),
            ("--rounds", "demo.rounds", &self.rounds),
            ("--base", "demo.base", &self.base),
        ];
        let config = options.settings(&flags, environment)?.config()?;
        certified(&config.engine, 1)?;
        let base = Model::load(path(&config.demo.base)).map_err(Failure::work)?;
        let report = demo::run(&config, base, &Console::new()).map_err(Failure::work)?;
        println!("{}", demo::render(&report).trim_end());
        if options.json {
            println!("{}", serde_json::to_string(&report.summary()).map_err(Failure::work)?);
        }
        Ok(())
    }
}
