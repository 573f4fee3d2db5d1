//! Tokens per second of decoding with a key-value cache, beside Burn flex, PyTorch eager and
//! llama.cpp, in one run.
//!
//! All sides continue the same number of rows by the same number of tokens from the same position,
//! each token being the most likely one, and take turns run by run. Ours also samples: noise,
//! second argmax and log-probability belong to its program. Burn flex runs the same decoder modules
//! eagerly; it fixes its threads when a process starts, so every thread count is measured in a
//! process of its own. llama.cpp (`llama-cpp-python`) reads the same weights from GGUF files, as
//! f32 and as bf16, the latter of which are half as many bytes to read. With `--weights bf16` the
//! weights are rounded to bfloat16 first, as most models are shipped, for all sides alike; ours
//! reads half as many bytes then, too, and computes in f32 all the same.

mod burn_flex;
mod ours;
mod python_side;
mod run;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use run::{CHECKED, Run};
use serde_json::{Value, json};
use swarm_model::ModelConfig;
use swarm_model::init::initialise;

use crate::experiment::Experiment;
use crate::machine;
use crate::python::Contender;
use crate::samples::{Samples, rounded, shown};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "decode",
    about: "tokens per second of decoding against Burn flex, PyTorch eager and llama.cpp",
    run,
};

/// Keys of the contenders: ours and Burn's in this process, then Python programs.
const NAMES: [&str; 5] = ["ours", "burn_flex", "pytorch", "llama_f32", "llama_bf16"];

/// Times decoding.
#[derive(Debug, Parser)]
#[command(name = "decode")]
struct Options {
    /// Python with PyTorch.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Rows that are continued at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    batch: Vec<usize>,
    /// Runs of each side per batch and number of threads.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// The model, by preset name.
    #[arg(long, default_value = "small10m")]
    model: String,
    /// What the weights are rounded to.
    #[arg(long, value_enum, default_value_t)]
    weights: Rounding,
    /// Position of the first token.
    #[arg(long, default_value_t = 64)]
    start: usize,
    /// Tokens of a run.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Slots of the cache.
    #[arg(long, default_value_t = 128)]
    slots: usize,
    /// Measures in this process and prints rows as JSON.
    #[arg(long, hide = true)]
    inside: bool,
}

/// What weights are rounded to.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Rounding {
    /// Nothing.
    #[default]
    F32,
    /// Bfloat16: the upper half of a float.
    Bf16,
}

impl Rounding {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Rounds to the nearest, ties to even.
    fn round(self, weights: &mut Weights) {
        if matches!(self, Self::F32) {
            return;
        }
        let names: Vec<String> = weights.names().map(str::to_owned).collect();
        for name in names {
            for word in weights
                .get_mut(&name)
                .into_iter()
                .flat_map(Tensor::words_mut)
            {
                let is_odd = (*word >> 16) & 1;
                *word = word.saturating_add(0x7fff + is_odd) & 0xffff_0000;
            }
        }
    }
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    ensure!(
        options.start + options.tokens <= options.slots,
        "--slots must hold --start and --tokens"
    );
    if options.inside {
        return measure_all(&options);
    }
    let mut rows = Vec::new();
    for &threads in &options.threads {
        rows.extend(measure_in_process(arguments, threads)?);
    }
    print!("{}", table(&rows));
    Ok(json!({
        "experiment": "decode",
        "model": options.model,
        "weights": options.weights.name(),
        "start": options.start,
        "tokens": options.tokens,
        "slots": options.slots,
        "unit": "tokens per second, best run",
        "load": machine::load(),
        "rows": rows,
    }))
}

/// Runs this program again with the thread count in the variable that Burn flex reads.
fn measure_in_process(arguments: &[String], threads: usize) -> Result<Vec<Value>> {
    let threads = threads.to_string();
    let output = Command::new(std::env::current_exe()?)
        .args(without_threads(arguments))
        .args(["--inside", "--threads", &threads])
        .env("RAYON_NUM_THREADS", &threads)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "measuring with {threads} threads ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("reading the rows of the measuring process")
}

/// The arguments but for `--threads`, which may be given once only.
fn without_threads(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => drop(arguments.next()),
            joined if joined.starts_with("--threads=") => {}
            _ => kept.push(argument.clone()),
        }
    }
    kept
}

fn measure_all(options: &Options) -> Result<Value> {
    let threads = *options
        .threads
        .first()
        .context("--threads needs a number")?;
    let rows = options
        .batch
        .iter()
        .map(|&batch| measure(options, batch, threads));
    Ok(Value::Array(rows.collect::<Result<_>>()?))
}

fn measure(options: &Options, batch: usize, threads: usize) -> Result<Value> {
    let model = ModelConfig::preset(&options.model)?;
    let mut weights = initialise(&model, 1)?;
    options.weights.round(&mut weights);
    let Options {
        start,
        tokens,
        slots,
        ..
    } = *options;
    let run = Run {
        batch,
        start,
        tokens,
        slots,
    };
    let mut ours = ours::Decoding::new(&model, &weights, run, threads)?;
    let mut burn = burn_flex::Decoding::new(&model, &weights, run)?;
    let logits = ours.logits_after(&CHECKED)?;
    check(&logits, &burn.logits_after(&CHECKED)?)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    weights.save(&file)?;
    let given = (&model, file.as_path());
    let mut programs: Vec<Option<Contender>> = NAMES
        .iter()
        .skip(2)
        .map(|name| python_side::start(&options.python, name, given, run, threads, &logits))
        .collect::<Result<_>>()?;
    let mut samples: [Samples; NAMES.len()] = Default::default();
    for _ in 0..options.rounds {
        samples[0].push(ours.run()?);
        samples[1].push(burn.run()?);
        for (samples, program) in samples.iter_mut().skip(2).zip(&mut programs) {
            if let Some(program) = program {
                samples.push(program.measure()?);
            }
        }
    }
    Ok(row(batch, threads, tokens, &samples))
}

/// Both sides write the same tokens from the same weights; a contender that computes something else
/// is no contender.
fn check(ours: &[f32], burn: &[f32]) -> Result<()> {
    let worst = ours
        .iter()
        .zip(burn)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max);
    ensure!(
        ours.len() == burn.len() && worst < 1e-3,
        "Burn's logits differ from ours by {worst}"
    );
    Ok(())
}

fn row(batch: usize, threads: usize, tokens: usize, samples: &[Samples; NAMES.len()]) -> Value {
    let [ours, others @ ..] = samples;
    let speed = |samples: &Samples| {
        rounded((batch * tokens) as f64 / samples.best()).filter(|speed| *speed > 0.0)
    };
    let ratio = |other: &Samples| {
        json!({
            "best": rounded(other.best() / ours.best()), "median": rounded(other.ratio_to(ours)),
        })
    };
    let speeds: serde_json::Map<_, _> = NAMES
        .iter()
        .zip(samples)
        .map(|(name, samples)| ((*name).to_owned(), json!(speed(samples))))
        .collect();
    let ratios: serde_json::Map<_, _> = NAMES
        .iter()
        .skip(1)
        .zip(others)
        .map(|(name, other)| ((*name).to_owned(), ratio(other)))
        .collect();
    json!({ "batch": batch, "threads": threads, "ratio": ratios, "tokens_per_second": speeds })
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new([
        "batch",
        "threads",
        "× Burn flex",
        "median",
        "× PyTorch",
        "median",
        "× llama f32",
        "median",
        "× llama bf16",
        "median",
        "ours tok/s",
        "Burn flex",
        "PyTorch",
        "llama f32",
        "llama bf16",
    ]);
    for row in rows {
        let number = |value: &Value, decimals| shown(value.as_f64().unwrap_or(f64::NAN), decimals);
        let mut cells = vec![row["batch"].to_string(), row["threads"].to_string()];
        for name in NAMES.iter().skip(1) {
            let ratio = &row["ratio"][name];
            cells.extend([number(&ratio["best"], 2), number(&ratio["median"], 2)]);
        }
        cells.extend(
            NAMES
                .iter()
                .map(|name| number(&row["tokens_per_second"][name], 0)),
        );
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contenders_agree_on_a_small_model() {
        let arguments =
            "decode --inside --python no-such-python --threads 1 --batch 2 --rounds 1 --model nano";
        let arguments = arguments
            .split(' ')
            .chain("--start 3 --tokens 2 --slots 32".split(' '));
        let rows = run(&arguments.map(str::to_owned).collect::<Vec<_>>()).unwrap();
        assert!(rows[0]["tokens_per_second"]["burn_flex"].as_f64().unwrap() > 0.0);
        assert_eq!(rows[0]["tokens_per_second"]["pytorch"], Value::Null);
    }

    #[test]
    fn the_thread_count_is_replaced() {
        let given =
            ["decode", "--threads", "1,2", "--threads=4", "--batch", "1"].map(str::to_owned);
        assert_eq!(without_threads(&given), ["decode", "--batch", "1"]);
    }
}
