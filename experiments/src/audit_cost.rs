//! What an audit costs: a step, a sequence, an operator and an element of a job, relative to one
//! step of its training and to a replay of the whole job. A microbatch is one sequence.
//!
//! The job is carried out in a folder, and one step, between two checkpoints, is traced with the
//! values of its last accumulation run. Then each piece is audited, several times; the fastest
//! counts.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::program::{Operator, ValueId};
use serde_json::{Value, json};
use swarm_learn::job_audit::{Audited, Auditor, NodePlace};
use swarm_learn::job_run::JobRun;
use swarm_learn::run_folder::RunFolder;
use swarm_node::job::{Job, JobSpec, ModelSpec, Silent};
use verde::audit::Verdict;

use crate::experiment::Experiment;
use crate::machine;
use crate::samples::rounded;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "audit-cost",
    about: "pieces of a job recomputed, relative to its training",
    run,
};

const SPEC: &str = include_str!("../../configs/nano/job.toml");

/// Times audits.
#[derive(Debug, Parser)]
#[command(name = "audit-cost")]
struct Options {
    /// Threads of the engine; roots are computed by all cores.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Model that is trained.
    #[arg(long, default_value = "nano")]
    model: String,
    /// Sequences of a step's batch.
    #[arg(long, default_value_t = 64)]
    sequences: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 64)]
    length: usize,
    /// Steps of the job, a checkpoint every two.
    #[arg(long, default_value_t = 4)]
    steps: u64,
    /// Audits of each piece.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One piece: its name, seconds, and bytes that were read and hashed.
struct Row {
    piece: &'static str,
    seconds: f64,
    bytes: u64,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let mut spec: JobSpec = toml::from_str(SPEC)?;
    (spec.steps, spec.stride) = (options.steps, 2.min(options.steps));
    (spec.schedule.warmup, spec.schedule.decay) = (1, 1);
    (spec.batch.rows, spec.batch.length) = (1, options.length);
    spec.batch.microbatches = options.sequences;
    spec.model = ModelSpec::Preset(options.model.clone());
    let job = Job::of_training(&spec, &Silent)?;
    let engine = CpuEngine::new(options.threads);
    let folder = tempfile::tempdir()?;
    let replay = carry_out(&job, &engine, folder.path())?;
    let identity = job.identity.clone();
    let auditor = Auditor::new(&engine, job.plan(), identity, folder.path())?;
    let step = options.steps - 1 - spec.stride / 2;
    let training = &job.training("a sequence")?.plan;
    let sequence = training.sequences() / 2;
    let (run, _) = training.run_of_sequence(sequence).context("a sequence")?;
    auditor.trace(step, &[run])?;
    let value = product(&auditor, run)?;
    let place = NodePlace { step, run, value };
    let rows = [
        timed("step", options.rounds, || Ok(auditor.step(step)?))?,
        timed("sequence", options.rounds, || {
            Ok(auditor.outputs(step, run)?)
        })?,
        timed("operator", options.rounds, || {
            Ok(auditor.node(place, false)?.0)
        })?,
        timed("element", options.rounds, || {
            Ok(auditor.element(place, 0)?.0)
        })?,
    ];
    let one = replay / options.steps as f64;
    print!("{}", table(&rows, one));
    Ok(json!({
        "experiment": "audit-cost", "model": options.model, "threads": options.threads,
        "sequences": options.sequences, "length": options.length,
        "steps": options.steps, "stride": spec.stride, "step_seconds": rounded(one),
        "replay_seconds": rounded(replay), "load": machine::load(),
        "rows": rows.iter().map(|row| row.json(one)).collect::<Vec<_>>(),
    }))
}

/// Seconds of all steps with their roots.
fn carry_out(job: &Job, engine: &CpuEngine, folder: &Path) -> Result<f64> {
    let files = job.model.files.clone();
    let folder = RunFolder::open(folder, usize::MAX, files)?;
    let (mut run, _) = JobRun::new(engine, job.plan(), job.identity.clone(), folder)?;
    let begun = Instant::now();
    while !run.is_complete() {
        run.step()?;
        if run.is_due() {
            let root = run.root()?;
            run.commit(&root)?;
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The last product of a run.
fn product(auditor: &Auditor<'_>, run: usize) -> Result<ValueId> {
    let (_, program) = auditor.job().run(run).context("a run")?;
    let mut nodes = program.nodes().iter();
    let last = nodes.rposition(|node| node.operator == Operator::MatmulNt);
    Ok(program.id_of_node(last.context("a product")?))
}

fn timed(piece: &'static str, rounds: usize, audit: impl Fn() -> Result<Audited>) -> Result<Row> {
    let mut row = Row {
        piece,
        seconds: f64::INFINITY,
        bytes: 0,
    };
    for _ in 0..rounds.max(1) {
        let begun = Instant::now();
        let audited = audit()?;
        row.seconds = row.seconds.min(begun.elapsed().as_secs_f64());
        row.bytes = audited.read_bytes + audited.hashed_bytes;
        ensure!(
            audited.verdict == Verdict::Right,
            "{piece}: {:?}",
            audited.reason
        );
    }
    Ok(row)
}

impl Row {
    fn json(&self, step: f64) -> Value {
        json!({
            "piece": self.piece, "seconds": millionths(self.seconds), "bytes": self.bytes,
            "of_step": millionths(self.seconds / step),
        })
    }
}

/// Rounded, so that the JSON stays readable.
fn millionths(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn table(rows: &[Row], step: f64) -> Table {
    let mut table = Table::new(["piece", "seconds", "bytes", "of a step"]);
    for row in rows {
        table.row(vec![
            row.piece.to_owned(),
            format!("{:.4}", row.seconds),
            row.bytes.to_string(),
            format!("{:.3}", row.seconds / step),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_of_a_short_job_is_right_and_timed() {
        let arguments = [
            "audit-cost",
            "--steps",
            "2",
            "--rounds",
            "1",
            "--sequences",
            "3",
        ];
        let result = run(&arguments.map(str::to_owned)).unwrap();
        let rows = result["rows"].as_array().unwrap();
        let pieces: Vec<_> = rows
            .iter()
            .map(|row| row["piece"].as_str().unwrap())
            .collect();
        assert_eq!(pieces, ["step", "sequence", "operator", "element"]);
        assert!(rows.iter().all(|row| row["bytes"].as_u64().unwrap() > 0));
    }
}
