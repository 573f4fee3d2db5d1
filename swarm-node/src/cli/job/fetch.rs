//! `swarm-node job fetch`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use contracts::jobs::{JobState, JobView};
use swarm_learn::job_record::checkpoint_with;

use super::market::{JobId, MarketOptions, runtime};
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{print_rows, when};

/// Takes what a job has come to out of its worker's folder, if it is what the chain says.
///
/// The last state must have the root that is final on the chain; nobody is trusted. What is written
/// is a model that `eval`, `train` and other programs load.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job fetch 0x… --contracts jobs.toml --from runs/worker \
--out trained"
)]
pub(super) struct Fetch {
    /// What the job is known by on the chain.
    #[arg(value_name = "JOB")]
    job: JobId,
    #[command(flatten)]
    market: MarketOptions,
    /// The worker's folder.
    #[arg(long, value_name = "RUN")]
    from: PathBuf,
    /// Folder to write, which there is not yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Takes a claim that can still be refuted, too.
    #[arg(long)]
    claimed: bool,
}

impl Fetch {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        if self.out.symlink_metadata().is_ok() {
            return Err(Failure::Usage(anyhow::anyhow!(
                "{} exists; name another folder with --out",
                self.out.display()
            )));
        }
        let view = runtime()?.block_on(async {
            let (market, _) = self.market.look(options, environment).await?;
            market.job(self.job).await
        })?;
        self.require_result(&view)?;
        let found = checkpoint_with(&self.from, view.steps, &view.last.0).map_err(Failure::work)?;
        copy_folder(&found, &self.out)?;
        let out = self.out.display().to_string();
        let rows = [
            ("job", self.job.to_string()),
            ("state", view.state.to_string()),
            ("root", view.last.to_string()),
            ("model", out.clone()),
        ];
        print_rows(&rows, options.json, format!("the model is in {out}"))
    }

    fn require_result(&self, view: &JobView) -> Result<(), Failure> {
        let job = self.job;
        match view.state {
            JobState::Finalized => Ok(()),
            JobState::Committed if self.claimed => Ok(()),
            JobState::Committed => Err(Failure::Work(anyhow::anyhow!(
                "what job {job} has come to can be refuted until {}; wait, or take it with \
                 --claimed",
                when(view.deadline)
            ))),
            state => Err(Failure::Work(anyhow::anyhow!(
                "job {job} is {state} and has come to nothing that could be fetched"
            ))),
        }
    }
}

/// Copies the files of a folder into a new one, which is there whole or not at all.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    let name = to.file_name().ok_or_else(|| {
        let text = format!("{} is no name of a folder; name another", to.display());
        Failure::Usage(anyhow::anyhow!(text))
    })?;
    let mut partial = std::ffi::OsString::from("partial-");
    partial.push(name);
    let partial = to.with_file_name(partial);
    let failed = |error: std::io::Error| {
        Failure::Work(anyhow::anyhow!(
            "{} cannot be written: {error}; check free space and permissions",
            to.display()
        ))
    };
    if partial.is_dir() {
        fs::remove_dir_all(&partial).map_err(failed)?;
    }
    fs::create_dir_all(&partial).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        fs::copy(entry.path(), partial.join(entry.file_name())).map_err(failed)?;
    }
    fs::rename(&partial, to).map_err(failed)
}
