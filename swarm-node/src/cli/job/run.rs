//! `swarm-node job run` and `job trace`.

use std::path::Path;

use serde::Serialize;
use swarm_learn::job_audit::Auditor;
use swarm_learn::job_run::{HISTORY, JobRun};
use swarm_learn::run_folder::RunFolder;

use super::part::{fault_in, marked_fault};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::signals::stop_on_signals;
use crate::config::Config;
use crate::job::{ANSWERS, Divergence, Job, JobFile, Progress, SPEC, Times, carry_out, certified};

/// What `job run --json` tells.
#[derive(Serialize)]
struct Done<'a> {
    job: &'a str,
    steps: u64,
    /// The root of the last state.
    root: &'a str,
    /// Where all roots are.
    history: String,
    /// Where the answers are, of a job that generates.
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<String>,
    /// Seconds of this process: of steps, of roots, of saving.
    step_seconds: f64,
    hash_seconds: f64,
    save_seconds: f64,
}

pub(super) fn run(
    config: &Config,
    path: &Path,
    out: &Path,
    keep: Option<usize>,
    options: &Options,
) -> Result<(), Failure> {
    let spec = JobFile::load(path)?;
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
    let folder = RunFolder::open(out, keep.unwrap_or(usize::MAX), job.files());
    let folder = folder.map_err(Failure::work)?;
    let identity = job.identity.clone();
    let begun = JobRun::new(engine.as_ref(), job.plan(), identity, folder);
    let (mut run, damaged) = begun.map_err(Failure::work)?;
    damaged.iter().for_each(|text| console.warn(text));
    spec.save(&out.join(SPEC))?;
    let stop = stop_on_signals()?;
    let times = carry_out(&mut run, Divergence::Ends, &console, &stop);
    let times = times.map_err(Failure::work)?;
    if let Some(signal) = stop.signal().filter(|_| !run.is_complete()) {
        let (done, all, out) = (run.done(), job.identity.steps, out.display());
        let state =
            format!("step {done} of {all} is saved in {out}; the same command goes on from there");
        return Err(Failure::Stopped { signal, state });
    }
    finish(&job, &run, out, &times, options)
}

fn finish(
    job: &Job,
    run: &JobRun<'_>,
    out: &Path,
    times: &Times,
    options: &Options,
) -> Result<(), Failure> {
    let state = run.state().map_err(Failure::work)?;
    let answered = job.write_answers(&state, out)?;
    let answers = answered.map(|count| (count, out.join(ANSWERS)));
    let history = out.join(HISTORY);
    let roots = &run.history().roots;
    let root = roots.last().map_or("", String::as_str);
    let done = Done {
        job: job.digest(),
        steps: run.done(),
        root,
        history: history.to_string_lossy().into_owned(),
        answers: answers
            .as_ref()
            .map(|(_, path)| path.to_string_lossy().into_owned()),
        step_seconds: times.step,
        hash_seconds: times.hash,
        save_seconds: times.save,
    };
    let mut text = format!(
        "job {}: {} steps, {} roots in {}\nlast root {root}",
        job.digest(),
        run.done(),
        roots.len(),
        history.display()
    );
    if let Some((count, path)) = &answers {
        text += &format!("\n{count} answers in {}", path.display());
    }
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

pub(super) fn trace(
    config: &Config,
    folder: &Path,
    spec: &Path,
    (step, runs): (u64, &[usize]),
    options: &Options,
) -> Result<(), Failure> {
    let spec = JobFile::load(spec)?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let job = Job::assemble(&spec, &Console::new())?;
    let auditor = Auditor::new(engine.as_ref(), job.plan(), job.identity.clone(), folder)?;
    // A worker that was wrong on purpose says what it claimed.
    let fault = marked_fault(folder)?;
    let fault = fault.map(|step| fault_in(&job, step)).transpose()?;
    let files = auditor.with_fault(fault).trace(step, runs)?;
    let files = files.iter().map(|path| path.to_string_lossy().into_owned());
    let traced = Traced {
        files: files.collect(),
    };
    let (text, kept) = (traced.files.join("\n"), String::new());
    let json = serde_json::to_string(&traced).map_err(Failure::work)?;
    Answer { text, json, kept }.print(options.json)
}
