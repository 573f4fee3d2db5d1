//! `swarm-node average`: replicas of a model that train apart and meet now and then.

mod lines;
mod part;
mod plan;
mod replay;
mod status;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::part::{PartOptions, Role, parse_address};
use crate::averaging::blueprint::Assembled;
use crate::job::JobSpec;

/// Trains replicas of a model at peers, which meet after every so many steps.
///
/// The job is a TOML file with a part [averaging] (see configs/nano/averaging.toml). One peer
/// starts it and waits for the others, who join by its address. Each trains the whole model on rows
/// of its own; after each round of inner steps replicas average what they have learned, in random
/// pairs (NoLoCo) or all at once (DiLoCo). Peers may come and go: whose partner is gone takes its
/// step alone, which its signed record says. One machine can compute every replica again, bit for
/// bit.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AverageCommand {
    #[command(subcommand)]
    action: AverageAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node average plan configs/nano/averaging.toml\n  swarm-node \
average start configs/nano/averaging.toml --out runs/first\n  swarm-node average join \
/ip4/192.0.2.7/udp/4001/quic-v1 --out runs/second\n  swarm-node average status runs/first\n  swarm-node \
average replay runs/first --out model.safetensors\n  swarm-node eval --model runs/first/model";

#[derive(Debug, Subcommand)]
enum AverageAction {
    /// Shows a job's rounds, what a replica needs, and what it sends.
    Plan {
        /// The job, a TOML file with a part [averaging].
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
    },
    /// Starts an averaging job: waits for its peers, then trains a replica.
    Start {
        /// The job, a TOML file with a part [averaging].
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        #[command(flatten)]
        part: PartOptions,
    },
    /// Joins an averaging job, or goes on where the folder stands.
    Join {
        /// Where a peer of it listens, as `average start` prints it.
        #[arg(value_name = "ADDRESS")]
        address: String,
        #[command(flatten)]
        part: PartOptions,
    },
    /// Shows where a job stands: rounds, losses, who met whom, and what did not go as planned.
    Status {
        /// Folder of a peer.
        #[arg(value_name = "RUN")]
        folder: PathBuf,
        /// Shows it again every second, until this peer is done or Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Computes all replicas of a transcript again, on this machine alone, and compares.
    Replay {
        /// Folder of a peer.
        #[arg(value_name = "RUN")]
        folder: PathBuf,
        /// Writes the weights of a replica, a safetensors file: its anchor after its last round.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Which replica's [default: that of the folder].
        #[arg(long, value_name = "N", requires = "out")]
        replica: Option<u32>,
    },
}

impl AverageCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config()?;
        match &self.action {
            AverageAction::Plan { spec } => plan::plan(spec, options),
            AverageAction::Start { spec, part } => {
                let spec = Box::new(JobSpec::load(spec)?);
                part::take(part, &config, Role::First(spec), options)
            }
            AverageAction::Join { address, part } => {
                let address = parse_address(address)?;
                part::take(part, &config, Role::Newcomer(address), options)
            }
            AverageAction::Status { folder, watch } => status::status(folder, *watch, options),
            AverageAction::Replay {
                folder,
                out,
                replica,
            } => {
                let out = out.as_deref().map(|out| (out, *replica));
                replay::replay(&config, folder, out, options)
            }
        }
    }
}

fn assemble(spec: &JobSpec, console: &Console) -> Result<Assembled, Failure> {
    Assembled::new(spec, console).map_err(|error| Failure::Usage(error.into()))
}
