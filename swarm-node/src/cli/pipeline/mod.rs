//! `swarm-node pipeline`: a model too big for one machine, trained across peers.

mod audit;
mod lines;
mod part;
mod plan;
mod replay;
mod replay_all;
mod status;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::part::{PartOptions, Role, parse_address};
use super::subject::StageOptions;
use crate::job::JobSpec;
use crate::pipeline::blueprint::Assembled;

/// Trains a model across peers: each holds a stage of it, and microbatches go from peer to peer.
///
/// The job is a TOML file with a part [pipeline] (see configs/nano/pipeline.toml). One peer starts
/// it and waits for the others, who join by its address. Peers may come and go; whatever happens is
/// in the transcript, and one machine can compute every step of it again, bit for bit. Without
/// skips and with activations sent as f32 the result is the one of `job run`. With a part
/// [averaging], too, several pipelines train apart and meet after every so many steps, stage by stage
/// (see configs/nano/pipelines.toml).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PipelineCommand {
    #[command(subcommand)]
    action: PipelineAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node pipeline plan configs/nano/pipeline.toml\n  swarm-node \
pipeline start configs/nano/pipeline.toml --out runs/first\n  swarm-node pipeline join \
/ip4/192.0.2.7/udp/4001/quic-v1 --out runs/second\n  swarm-node pipeline status runs/first\n  \
swarm-node pipeline replay runs/first --out \
model.safetensors\n  swarm-node pipeline audit runs/second --step 7";

/// What a peer keeps of its steps.
#[derive(Debug, Args)]
struct KeepOptions {
    /// Keeps of its last N steps what came to this peer's stage, and its state before, so that they
    /// can be audited and disputed alone (`pipeline audit`, `job launch`). Each takes as much disk
    /// as the stage takes memory.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_steps: u64,
    /// Flips a bit of this peer's sum of gradients in a step, from 0, as a defective machine would,
    /// to see what follows: all peers go on from what it comes to.
    #[arg(long, value_name = "STEP")]
    fault: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum PipelineAction {
    /// Shows the stages of a job's pipeline, what each needs, and what its hops move.
    Plan {
        /// The job, a TOML file with a part [pipeline].
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        /// Memory of a peer, in mebibytes, to see whether stages fit.
        #[arg(long, value_name = "MIB")]
        memory: Option<u64>,
        /// What peers of it measured (measured.json in a peer's folder), to see what a step should
        /// take.
        #[arg(long, value_name = "FILE")]
        network: Option<PathBuf>,
    },
    /// Starts a pipeline: waits for its peers, then takes part.
    Start {
        /// The job, a TOML file with a part [pipeline].
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        #[command(flatten)]
        part: PartOptions,
        #[command(flatten)]
        keep: KeepOptions,
    },
    /// Joins a pipeline, or goes on where the folder stands.
    Join {
        /// Where a peer of it listens, as `pipeline start` prints it.
        #[arg(value_name = "ADDRESS")]
        address: String,
        #[command(flatten)]
        part: PartOptions,
        #[command(flatten)]
        keep: KeepOptions,
    },
    /// Shows where a pipeline stands: steps, losses, who holds what, and what did not go as
    /// planned.
    Status {
        /// Folder of a peer.
        #[arg(value_name = "RUN")]
        folder: PathBuf,
        /// Shows it again every second, until all steps are done or Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Computes a step of one stage again, alone, and says who of its holders is wrong.
    ///
    /// The first line is right, wrong or cannot-tell (exit codes 0, 6, 7). What came to the stage,
    /// and its state before, must be in the folder or in others (--from), where peers kept it; the
    /// other stages are not computed.
    Audit {
        /// Folder of a peer.
        #[arg(value_name = "RUN")]
        folder: PathBuf,
        #[command(flatten)]
        wanted: StageOptions,
    },
    /// Computes every step of a transcript again, on this machine alone, and compares.
    Replay {
        /// Folder of a peer that has seen all steps; where pipelines meet, one of each pipeline.
        #[arg(value_name = "RUN", required = true)]
        folders: Vec<PathBuf>,
        /// Writes the whole model's weights, a safetensors file; where pipelines meet, those of the first
        /// folder's.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

impl PipelineCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config()?;
        match &self.action {
            PipelineAction::Plan {
                spec,
                memory,
                network,
            } => plan::plan(spec, *memory, network.as_deref(), options),
            PipelineAction::Start { spec, part, keep } => {
                let spec = Box::new(JobSpec::load(spec)?);
                part::take((part, keep), &config, Role::First(spec), options)
            }
            PipelineAction::Join {
                address,
                part,
                keep,
            } => {
                let address = parse_address(address)?;
                part::take((part, keep), &config, Role::Newcomer(address), options)
            }
            PipelineAction::Audit { folder, wanted } => {
                audit::audit(&config, folder, wanted, options)
            }
            PipelineAction::Status { folder, watch } => status::status(folder, *watch, options),
            PipelineAction::Replay { folders, out } => {
                replay_all::replay(&config, folders, out.as_deref(), options)
            }
        }
    }
}

fn assemble(spec: &JobSpec, console: &Console) -> Result<Assembled, Failure> {
    Assembled::new(spec, console).map_err(|error| Failure::Usage(error.into()))
}
