//! What it costs to commit to the states of a job, relative to training it; and whether every
//! instruction set comes to the same chain of roots.
//!
//! After every step of the sample job the root of its state is computed, and both are timed. The
//! overhead of a stride is the time of the roots that it asks for over the time of all steps.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
use reproducible_ops::program::{Digest, TensorType};
use reproducible_ops::tensor::Tensor;
use serde_json::{Value, json};
use swarm_node::job::{Job, JobSpec, Silent};
use verde::execute::Executor;
use verde::tensor;

use crate::experiment::Experiment;
use crate::machine;
use crate::samples::{Samples, rounded, shown};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "commit-cost",
    about: "the roots of a nano job's states, relative to its training",
    run,
};

const SPEC: &str = include_str!("../../configs/nano/job.toml");
/// Words of the tensor whose hashing is timed: larger than caches.
const WORDS: usize = 1 << 24;

/// Times steps and roots.
#[derive(Debug, Parser)]
#[command(name = "commit-cost")]
struct Options {
    /// Threads of the engine; roots are computed by all cores.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Steps that are timed.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Steps between two roots.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    strides: Vec<usize>,
    /// Steps of a smaller job whose roots are compared on every instruction set.
    #[arg(long, default_value_t = 0)]
    chain: u64,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let job = job(|_| {})?;
    let [steps, roots] = measure(&job, options.threads, options.steps)?;
    let rows = options
        .strides
        .iter()
        .map(|stride| Row::new(*stride, &steps, &roots));
    let rows: Vec<Row> = rows.collect();
    print!("{}", table(&rows));
    let chain = match options.chain {
        0 => Value::Null,
        steps => chain(options.threads, steps)?,
    };
    Ok(json!({
        "experiment": "commit-cost", "model": "nano", "threads": options.threads,
        "state_bytes": job.plan().state.iter().map(|it| 4 * it.words().len()).sum::<usize>(),
        "step_seconds": median(&steps), "root_seconds": median(&roots),
        "hash_gb_per_s_core": rounded(gigabytes_per_second()?),
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "chain": chain, "load": machine::load(),
    }))
}

/// The sample job with a change.
fn job(change: impl FnOnce(&mut JobSpec)) -> Result<Job> {
    let mut spec: JobSpec = toml::from_str(SPEC)?;
    change(&mut spec);
    Ok(Job::of_training(&spec, &Silent)?)
}

fn executor<'a>(job: &'a Job, engine: &'a dyn Engine) -> Result<Executor<'a>> {
    let planned = job.plan();
    let schedule = planned.schedule()?;
    let executor = Executor::new(engine, schedule, &planned.constants, &planned.state)?;
    Ok(executor)
}

/// Seconds of each step, and of the root after it.
fn measure(job: &Job, threads: usize, count: usize) -> Result<[Vec<f64>; 2]> {
    let engine = CpuEngine::new(threads);
    let mut executor = executor(job, &engine)?;
    executor.step(&[])?;
    executor.state_root()?;
    let [mut steps, mut roots] = [Vec::new(), Vec::new()];
    for _ in 0..count {
        let begun = Instant::now();
        executor.step(&[])?;
        steps.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        executor.state_root()?;
        roots.push(begun.elapsed().as_secs_f64());
    }
    Ok([steps, roots])
}

/// What one thread hashes.
fn gigabytes_per_second() -> Result<f64> {
    let tensor = Tensor::zeros(TensorType::f32([WORDS / 4096, 4096]));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut samples = Samples::default();
    for _ in 0..3 {
        let begun = Instant::now();
        pool.install(|| tensor::root(&tensor));
        samples.push(begun.elapsed().as_secs_f64());
    }
    Ok(4.0 * WORDS as f64 / samples.best() / 1e9)
}

/// Seconds in millionths, so that the JSON stays readable.
fn median(seconds: &[f64]) -> f64 {
    let mut samples = Samples::default();
    seconds.iter().for_each(|seconds| samples.push(*seconds));
    (samples.median() * 1e6).round() / 1e6
}

/// The cost of one stride.
struct Row {
    stride: usize,
    /// Roots computed in the steps that were timed.
    roots: usize,
    /// Their time over that of the steps; not a number without a root.
    overhead: f64,
}

impl Row {
    fn new(stride: usize, steps: &[f64], roots: &[f64]) -> Self {
        let whole = steps.len() / stride.max(1);
        let due = roots.iter().skip(stride.max(1) - 1).step_by(stride.max(1));
        let spent: f64 = due.sum();
        // The steps after the last root belong to a root that was not reached.
        let trained: f64 = steps.iter().take(whole * stride.max(1)).sum();
        Self {
            stride,
            roots: whole,
            overhead: spent / trained,
        }
    }

    fn json(&self) -> Value {
        let overhead = Some((self.overhead * 1e6).round() / 1e6).filter(|it| it.is_finite());
        json!({ "stride": self.stride, "roots": self.roots, "overhead": overhead })
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["stride", "roots", "overhead %"]);
    for row in rows {
        let overhead = shown(100.0 * row.overhead, 3);
        table.row(vec![
            row.stride.to_string(),
            row.roots.to_string(),
            overhead,
        ]);
    }
    table
}

/// The roots of a job of small batches on every instruction set of this machine.
fn chain(threads: usize, steps: u64) -> Result<Value> {
    let job = job(|spec| {
        (spec.steps, spec.stride) = (steps, 1);
        spec.batch.rows = 2;
    })?;
    let mut known: Option<Vec<Digest>> = None;
    let mut names = Vec::new();
    for isa in InstructionSet::available() {
        let engine = CpuEngine::with_instruction_set(isa, threads)?;
        let roots = roots(&job, &engine, steps)?;
        println!("{}: {steps} roots", engine.name());
        names.push(isa.name());
        let first = known.get_or_insert_with(|| roots.clone());
        let differs = first
            .iter()
            .zip(&roots)
            .position(|(known, root)| known != root);
        ensure!(differs.is_none(), "{isa}: root {differs:?} is another");
    }
    let roots = known.context("this machine has an instruction set")?;
    let last = roots
        .last()
        .context("there is a root of the initial state")?;
    Ok(json!({ "steps": steps, "isa": names, "last_root": const_hex::encode(last) }))
}

fn roots(job: &Job, engine: &dyn Engine, steps: u64) -> Result<Vec<Digest>> {
    let mut executor = executor(job, engine)?;
    let mut roots = vec![executor.state_root()?];
    for _ in 0..steps {
        executor.step(&[])?;
        roots.push(executor.state_root()?);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overhead_counts_the_roots_of_whole_strides() {
        let (steps, roots) = ([1.0, 1.0, 1.0, 1.0, 9.0], [0.1, 0.2, 0.3, 0.4, 0.5]);
        let row = Row::new(2, &steps, &roots);
        assert_eq!(row.roots, 2);
        assert!((row.overhead - 0.6 / 4.0).abs() < 1e-12);
        assert!(Row::new(10, &steps, &roots).json()["overhead"].is_null());
    }

    #[test]
    fn a_short_chain_is_the_same_everywhere() {
        let arguments = [
            "commit-cost",
            "--steps",
            "1",
            "--strides",
            "1",
            "--chain",
            "2",
        ];
        let result = run(&arguments.map(str::to_owned)).unwrap();
        assert!(result["rows"][0]["overhead"].as_f64().unwrap() > 0.0);
        assert_eq!(
            result["chain"]["last_root"].as_str().map(str::len),
            Some(64)
        );
        assert!(result["hash_gb_per_s_core"].as_f64().unwrap() > 0.0);
    }
}
