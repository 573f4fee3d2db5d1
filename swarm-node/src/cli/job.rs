//! `swarm-node job`: training as a plan, whose every state can be recomputed by others.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use reproducible_ops::tensor::Tensor;
use serde::Serialize;
use swarm_learn::job_audit::Auditor;
use swarm_learn::job_run::{HISTORY, JobRun, JobStep};
use swarm_learn::run_folder::RunFolder;
use verde::execute::Executor;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::output::Answer;
use super::signals::stop_on_signals;
use crate::config::Config;
use crate::job::{Job, JobSpec, Progress, SPEC, Stop, certified};

/// Steps of `job plan` before those that are timed.
const WARM_UP: usize = 1;
/// Steps that `job plan` times.
const TIMED: usize = 3;

/// Plans and carries out jobs: training whose every state can be recomputed by others.
///
/// A job is a TOML file (see configs/nano/job.toml). Its rows, their order and its learning rates are
/// part of its plan, so that a state of it follows from the one before by programs alone; the roots of
/// the states are what a worker claims. The same job has the same roots on every machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct JobCommand {
    #[command(subcommand)]
    action: JobAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node job plan configs/nano/job.toml\n  swarm-node job run \
configs/nano/job.toml --out runs/job\n  swarm-node job trace runs/job --step 7 --values 3";

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
    /// Writes history.json, the roots of the states at all checkpoints, and a checkpoint of each.
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
    /// Writes what a step of a job computes, for whoever audits it: the roots of every value, and the
    /// values of single runs.
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
}

impl JobCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config::<Config>()?;
        match &self.action {
            JobAction::Plan { spec } => plan(&config, spec, options),
            JobAction::Run { spec, out, keep } => run(&config, spec, out, *keep, options),
            JobAction::Trace {
                folder,
                step,
                values,
                spec,
            } => {
                let spec = spec.clone().unwrap_or_else(|| folder.join(SPEC));
                trace(&config, folder, &spec, (*step, values), options)
            }
        }
    }
}

/// What `job plan --json` tells: bytes and seconds.
#[derive(Serialize)]
struct Outlook<'a> {
    job: &'a str,
    plan: &'a str,
    initial: &'a str,
    parameters: usize,
    steps: u64,
    stride: u64,
    checkpoints: u64,
    data_rows: usize,
    data_tokens: usize,
    /// Positions that a step computes, padding included.
    positions_per_step: usize,
    state_bytes: usize,
    constant_bytes: usize,
    /// The most that this process has taken so far, where the system tells.
    peak_bytes: Option<usize>,
    step_seconds: f64,
    /// Of one state's root.
    hash_seconds: f64,
    /// Hashing as a share of training.
    hash_share: f64,
    /// Of all steps and roots.
    seconds: f64,
}

fn plan(config: &Config, path: &Path, options: &Options) -> Result<(), Failure> {
    let spec = JobSpec::load(path)?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let console = Console::new();
    let job = Job::assemble(&spec, &console)?;
    let schedule = job.training.schedule().map_err(Failure::work)?;
    let (constants, state) = (&job.training.constants, &job.training.state);
    let mut executor =
        Executor::new(engine.as_ref(), schedule, constants, state).map_err(Failure::work)?;
    for _ in 0..WARM_UP {
        executor.step(&[]).map_err(Failure::work)?;
    }
    let begun = Instant::now();
    for _ in 0..TIMED {
        executor.step(&[]).map_err(Failure::work)?;
    }
    let step_seconds = begun.elapsed().as_secs_f64() / TIMED as f64;
    let begun = Instant::now();
    executor.state_root().map_err(Failure::work)?;
    let outlook = Outlook::new(&job, step_seconds, begun.elapsed().as_secs_f64());
    let json = serde_json::to_string(&outlook).map_err(Failure::work)?;
    let (text, kept) = (outlook.text(), String::new());
    Answer { text, json, kept }.print(options.json)
}

impl<'a> Outlook<'a> {
    fn new(job: &'a Job, step_seconds: f64, hash_seconds: f64) -> Self {
        let (identity, training) = (&job.identity, &job.training);
        let (steps, stride) = (identity.steps, identity.stride);
        let checkpoints = steps / stride;
        Self {
            job: &identity.job,
            plan: &identity.plan,
            initial: &identity.initial,
            parameters: job.model.weights.elements(),
            steps,
            stride,
            checkpoints,
            data_rows: job.rows,
            data_tokens: job.tokens,
            positions_per_step: training.positions_per_step(),
            state_bytes: bytes(&training.state),
            constant_bytes: bytes(&training.constants),
            peak_bytes: peak_bytes(),
            step_seconds,
            hash_seconds,
            hash_share: hash_seconds / (stride as f64 * step_seconds),
            seconds: steps as f64 * step_seconds + checkpoints as f64 * hash_seconds,
        }
    }

    fn text(&self) -> String {
        let peak = match self.peak_bytes {
            Some(bytes) => format!(", {} at most while timed", megabytes(bytes)),
            None => String::new(),
        };
        let rows = [
            ("job", self.job.to_owned()),
            ("plan", self.plan.to_owned()),
            ("initial", self.initial.to_owned()),
            ("parameters", self.parameters.to_string()),
            (
                "steps",
                format!("{}, a checkpoint every {}", self.steps, self.stride),
            ),
            (
                "data",
                format!(
                    "{} rows, {} trained tokens",
                    self.data_rows, self.data_tokens
                ),
            ),
            (
                "a step",
                format!(
                    "{} positions, {:.3} s",
                    self.positions_per_step, self.step_seconds
                ),
            ),
            (
                "memory",
                format!(
                    "state {}, constants {}{peak}",
                    megabytes(self.state_bytes),
                    megabytes(self.constant_bytes)
                ),
            ),
            (
                "a root",
                format!(
                    "{:.4} s, {:.2} % of the training between two",
                    self.hash_seconds,
                    100.0 * self.hash_share
                ),
            ),
            ("all", format!("{:.0} s on this machine", self.seconds)),
        ];
        let lines = rows
            .iter()
            .map(|(name, value)| format!("{name:<10} {value}\n"));
        lines.collect()
    }
}

fn bytes(tensors: &[Tensor]) -> usize {
    tensors.iter().map(|tensor| 4 * tensor.words().len()).sum()
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The most memory that this process has had, where the system tells.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024 * kilobytes)
}

/// What `job run --json` tells.
#[derive(Serialize)]
struct Done<'a> {
    job: &'a str,
    steps: u64,
    /// The root of the last state.
    root: &'a str,
    /// Where all roots are.
    history: String,
    /// Seconds of this process: of steps, of roots, of saving.
    step_seconds: f64,
    hash_seconds: f64,
    save_seconds: f64,
}

/// Where the time of a run went.
#[derive(Default)]
struct Times {
    step: f64,
    hash: f64,
    save: f64,
}

fn run(
    config: &Config,
    path: &Path,
    out: &Path,
    keep: Option<usize>,
    options: &Options,
) -> Result<(), Failure> {
    let spec = JobSpec::load(path)?;
    // JSON is text: better no work than a result that cannot be told.
    if options.json && out.to_str().is_none() {
        return Err(Failure::Usage(anyhow::anyhow!(
            "JSON cannot hold the path {}, which is not UTF-8; leave --json out, or name another \
             folder with --out",
            out.display()
        )));
    }
    let engine = certified(&config.engine, config.engine.workers())?;
    let console = Console::new();
    let job = Job::assemble(&spec, &console)?;
    let folder = RunFolder::open(out, keep.unwrap_or(usize::MAX), job.model.files.clone());
    let folder = folder.map_err(Failure::work)?;
    let identity = job.identity.clone();
    let begun = JobRun::new(engine.as_ref(), &job.training, identity, folder);
    let (mut run, damaged) = begun.map_err(Failure::work)?;
    damaged.iter().for_each(|text| console.warn(text));
    spec.save(&out.join(SPEC))?;
    let stop = stop_on_signals()?;
    let times = carry_out(&mut run, &console, &stop)?;
    if let Some(signal) = stop.signal().filter(|_| !run.is_complete()) {
        let (done, all, out) = (run.done(), job.identity.steps, out.display());
        let state =
            format!("step {done} of {all} is saved in {out}; the same command goes on from there");
        return Err(Failure::Stopped { signal, state });
    }
    finish(&job, &run, out, &times, options)
}

/// Steps up to the end or a request to stop.
fn carry_out(run: &mut JobRun<'_>, console: &Console, stop: &Stop) -> Result<Times, Failure> {
    let mut times = Times::default();
    let all = run.history().identity.steps;
    console.begin("job", all.saturating_sub(run.done()));
    while !run.is_complete() && !stop.is_requested() {
        let step = timed(&mut times.step, || run.step())?;
        console.step(&note(&step));
        if run.is_due() {
            let root = timed(&mut times.hash, || run.root())?;
            timed(&mut times.save, || run.commit(&root))?;
        }
    }
    console.end("");
    if !run.is_due() {
        timed(&mut times.save, || run.save())?;
    }
    Ok(times)
}

fn timed<T, E: Into<anyhow::Error>>(
    seconds: &mut f64,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    let done = work().map_err(Failure::work);
    *seconds += begun.elapsed().as_secs_f64();
    done
}

fn note(step: &JobStep) -> String {
    format!(
        "loss {:.4}, gradient {:.3}, rate {:.2e}",
        step.loss, step.grad_norm, step.learning_rate
    )
}

fn finish(
    job: &Job,
    run: &JobRun<'_>,
    out: &Path,
    times: &Times,
    options: &Options,
) -> Result<(), Failure> {
    let history = out.join(HISTORY);
    let roots = &run.history().roots;
    let root = roots.last().map_or("", String::as_str);
    let done = Done {
        job: job.digest(),
        steps: run.done(),
        root,
        history: history.to_string_lossy().into_owned(),
        step_seconds: times.step,
        hash_seconds: times.hash,
        save_seconds: times.save,
    };
    let text = format!(
        "job {}: {} steps, {} roots in {}\nlast root {root}",
        job.digest(),
        run.done(),
        roots.len(),
        history.display()
    );
    let json = serde_json::to_string(&done).map_err(Failure::work)?;
    let kept = format!("the roots are in {}", history.display());
    Answer { text, json, kept }.print(options.json)
}

/// What `job trace --json` tells.
#[derive(Serialize)]
struct Traced {
    /// Trace first, then values.
    files: Vec<String>,
}

fn trace(
    config: &Config,
    folder: &Path,
    spec: &Path,
    (step, runs): (u64, &[usize]),
    options: &Options,
) -> Result<(), Failure> {
    let spec = JobSpec::load(spec)?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let job = Job::assemble(&spec, &Console::new())?;
    let auditor = Auditor::new(engine.as_ref(), &job.training, job.identity.clone(), folder)?;
    let files = auditor.trace(step, runs)?;
    let files = files.iter().map(|path| path.to_string_lossy().into_owned());
    let traced = Traced {
        files: files.collect(),
    };
    let (text, kept) = (traced.files.join("\n"), String::new());
    let json = serde_json::to_string(&traced).map_err(Failure::work)?;
    Answer { text, json, kept }.print(options.json)
}
