//! `swarm-node job`: training, or generation, as a plan, whose every state can be recomputed by
//! others, alone or for a reward on a chain.

mod deploy;
mod fetch;
mod launch;
mod list;
mod market;
mod part;
mod plan;
mod run;
mod sign;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};
pub(super) use market::{JobId, Market, MarketOptions, runtime};

use super::failure::Failure;
use super::options::Options;
use crate::config::Config;
use crate::job::SPEC;

/// Plans and carries out jobs: training or generation whose every state can be recomputed by others.
///
/// A job is a TOML file (see configs/nano/job.toml and configs/nano/generation.toml). Its rows, their
/// order and its learning rates, or its prompts, its model and how answers are drawn, are part of its
/// plan, so that a state of it follows from the one before by programs alone; the roots of the states
/// are what a worker claims. The same job has the same roots on every machine. On a chain a payer
/// launches it, a worker does it, and whoever recomputes something else disputes it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct JobCommand {
    #[command(subcommand)]
    action: JobAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node job plan configs/nano/job.toml\n  swarm-node job run \
configs/nano/job.toml --out runs/job\n  swarm-node job run configs/nano/generation.toml --out runs/answers\n  \
swarm-node job trace runs/job --step 7 --values 4\nOn a chain \
(see `swarm-node chain dev`):\n  swarm-node job deploy jobs.toml --chain http://127.0.0.1:8545\n  \
swarm-node job launch configs/nano/job.toml --contracts jobs.toml --reward 10 --mint\n  swarm-node job \
work configs/nano/job.toml --contracts jobs.toml --job 0x… --out runs/worker";

#[derive(Debug, Subcommand)]
enum JobAction {
    /// Shows what a job is, what names it, and what it would take here; times a few of its steps.
    Plan {
        /// The job, a TOML file.
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
    },
    /// Carries a job out, or goes on where its folder stands.
    ///
    /// Writes history.json, the roots of the states at all checkpoints, and a checkpoint of each; of a
    /// job that generates also answers.jsonl, the answers as text.
    /// SIGINT (Ctrl-C) and SIGTERM stop it after the current step, which is saved.
    Run {
        /// The job, a TOML file.
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        /// Folder of the history and of checkpoints.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Checkpoints to keep, at least 2 [default: all, which a claim is defended with].
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
    },
    /// Writes what a step of a job computes, for whoever audits it: the roots of every value, and
    /// the values of single runs.
    ///
    /// The step is recomputed from the nearest checkpoint. What is written is this machine's word
    /// about the step; a claim commits to checkpoints only.
    Trace {
        /// Folder of `job run`.
        #[arg(value_name = "RUN")]
        folder: PathBuf,
        /// The step, from 0.
        #[arg(long, value_name = "N")]
        step: u64,
        /// A run of the plan whose values are written too; may be repeated.
        #[arg(long, value_name = "R")]
        values: Vec<usize>,
        /// The job, a TOML file [default: the copy in the folder].
        #[arg(long, value_name = "SPEC")]
        spec: Option<PathBuf>,
    },
    Deploy(deploy::Deploy),
    Launch(launch::Launch),
    List(list::List),
    Work(part::Work),
    Verify(part::Verify),
    Sign(sign::Sign),
    Watch(watch::Watch),
    Fetch(fetch::Fetch),
    Cancel(market::Cancel),
    End(market::End),
    Collect(market::Collect),
}

impl JobCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let here = || Ok::<_, Failure>(options.settings(&[], environment.clone())?.config()?);
        match &self.action {
            JobAction::Plan { spec } => plan::plan(&here()?, spec, options),
            JobAction::Run { spec, out, keep } => run::run(&here()?, spec, out, *keep, options),
            JobAction::Trace {
                folder,
                step,
                values,
                spec,
            } => {
                let config: Config = here()?;
                let spec = spec.clone().unwrap_or_else(|| folder.join(SPEC));
                run::trace(&config, folder, &spec, (*step, values), options)
            }
            JobAction::Deploy(deploy) => deploy.run(options, &environment),
            JobAction::Launch(launch) => launch.run(options, &environment),
            JobAction::List(list) => list.run(options, &environment),
            JobAction::Work(work) => work.run(options, &environment),
            JobAction::Verify(verify) => verify.run(options, &environment),
            JobAction::Sign(sign) => sign.run(options, &environment),
            JobAction::Watch(watch) => watch.run(options, &environment),
            JobAction::Fetch(fetch) => fetch.run(options, &environment),
            JobAction::Cancel(cancel) => cancel.run(options, &environment),
            JobAction::End(end) => end.run(options, &environment),
            JobAction::Collect(collect) => collect.run(options, &environment),
        }
    }
}
