//! `swarm-node job fetch`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use contracts::jobs::{JobState, JobView};
use swarm_identity::digest::hex;
use swarm_learn::checkpoint::Checkpoint;
use swarm_learn::job_record::checkpoint_with;

use super::market::{JobId, MarketOptions, runtime};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{print_rows, when};
use crate::job::{Job, JobFile, SPEC};

/// Takes what a job has come to out of its worker's folder, if it is what the chain says.
///
/// The last state must have the root that is final on the chain; nobody is trusted. What is written
/// is a model that `eval`, `train` and other programs load; of a job that generates, its state, and
/// the answers as text in answers.jsonl.
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
    /// The job, a TOML file, by which answers become text [default: the copy in the folder].
    #[arg(long, value_name = "SPEC")]
    spec: Option<PathBuf>,
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
        let generation = self.generation(&view)?;
        copy_folder(&found, &self.out)?;
        let out = self.out.display().to_string();
        let mut rows = vec![
            ("job", self.job.to_string()),
            ("state", view.state.to_string()),
            ("root", view.last.to_string()),
        ];
        let what = match generation {
            None => "model",
            Some(job) => {
                let checkpoint = Checkpoint::load(&self.out).map_err(Failure::work)?;
                let answered = job.write_answers(&job.state_of(&checkpoint)?, &self.out)?;
                rows.extend(answered.map(|count| ("answers", count.to_string())));
                "folder"
            }
        };
        rows.push((what, out.clone()));
        print_rows(&rows, options.json, format!("the {what} is {out}"))
    }

    /// The job, if it is one that generates and the chain's.
    fn generation(&self, view: &JobView) -> Result<Option<Job>, Failure> {
        let path = self.spec.clone().unwrap_or_else(|| self.from.join(SPEC));
        // Whoever fetches a model needs no file of its job.
        if self.spec.is_none() && !path.exists() {
            return Ok(None);
        }
        let file = JobFile::load(&path)?;
        if !matches!(file, JobFile::Generation(_)) {
            return Ok(None);
        }
        let job = Job::assemble(&file, &Console::new())?;
        let found = (&job.identity.plan, &job.identity.initial);
        match found == (&hex(&view.plan.0), &hex(&view.initial.0)) {
            true => Ok(Some(job)),
            false => Err(Failure::Usage(anyhow::anyhow!(
                "{} is of another job than {}; name its file with --spec",
                path.display(),
                self.job
            ))),
        }
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
