//! Speed of our matrix multiplication beside the `gemm` crate, `matrixmultiply` and Burn flex, in
//! one run.
//!
//! The other libraries fix their number of threads when a process starts, so every thread count is
//! measured in a process of its own. Inside it all contenders take turns, many rounds per case, and
//! the best time of each counts: on a shared machine the best is what the code can do, and taking
//! turns lets a busy moment hurt everybody.

mod cases;
mod contenders;
mod team;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cases::{CASES, Case, Data};
use clap::Parser;
use contenders::{Contender, NAMES};
use serde_json::{Value, json};

use crate::experiment::Experiment;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "gemm",
    about: "matrix multiplication against gemm, matrixmultiply and Burn flex",
    run,
};

/// Multiplies matrices with every contender.
#[derive(Debug, Parser)]
#[command(name = "gemm")]
struct Options {
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Seconds per case and thread count.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only cases whose name contains this text.
    #[arg(long, default_value = "")]
    only: String,
    /// Measures in this process and prints rows as JSON.
    #[arg(long, hide = true)]
    inside: bool,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    if options.inside {
        return measure_all(&options);
    }
    let mut rows = Vec::new();
    for &threads in &options.threads {
        rows.extend(measure_in_process(&options, threads)?);
    }
    print!("{}", table(&rows));
    Ok(json!({ "experiment": "gemm", "unit": "GFLOP/s, best round", "rows": rows }))
}

/// Runs this program again with the thread count in the variables that the other libraries read.
fn measure_in_process(options: &Options, threads: usize) -> Result<Vec<Value>> {
    let count = threads.to_string();
    let output = Command::new(std::env::current_exe()?)
        .args([
            "gemm",
            "--inside",
            "--threads",
            &count,
            "--only",
            &options.only,
        ])
        .args(["--seconds", &options.seconds.to_string()])
        .env("MATMUL_NUM_THREADS", &count)
        .env("RAYON_NUM_THREADS", &count)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "measuring with {threads} threads ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("reading the rows of the measuring process")
}

fn measure_all(options: &Options) -> Result<Value> {
    let threads = *options
        .threads
        .first()
        .context("--threads needs a number")?;
    let cases = CASES
        .iter()
        .filter(|case| case.name.contains(&options.only));
    let rows = cases.map(|case| measure(case, threads, Duration::from_secs_f64(options.seconds)));
    Ok(Value::Array(rows.collect::<Result<_>>()?))
}

/// All contenders on one case, round after round until the time is over.
fn measure(case: &Case, threads: usize, limit: Duration) -> Result<Value> {
    let data = Data::new(case);
    let mut best = [f64::INFINITY; NAMES.len()];
    let mut rounds = Vec::new();
    team::with(threads, |team| {
        let mut contenders = contenders::all(case, &data, team)?;
        check(case, &mut contenders)?;
        let calls = calls_per_round(&mut contenders);
        let start = Instant::now();
        while start.elapsed() < limit {
            let round: Vec<f64> = contenders
                .iter_mut()
                .map(|contender| seconds(contender, calls))
                .collect();
            for (best, time) in best.iter_mut().zip(&round) {
                *best = best.min(*time);
            }
            rounds.push(round);
        }
        anyhow::Ok(())
    })?;
    Ok(row(case, threads, &best, &rounds))
}

/// All results agree up to rounding; a contender that computes something else is no contender.
fn check(case: &Case, contenders: &mut [Contender<'_>]) -> Result<()> {
    let results: Vec<Vec<f32>> = contenders
        .iter_mut()
        .map(|contender| (contender.result)())
        .collect();
    let Some((ours, others)) = results.split_first() else {
        return Ok(());
    };
    for (name, other) in NAMES.iter().skip(1).zip(others) {
        let worst = ours
            .iter()
            .zip(other)
            .map(|(x, y)| (x - y).abs())
            .fold(0.0, f32::max);
        ensure!(
            ours.len() == other.len() && worst < 1e-3,
            "{}: {name} differs from ours by {worst}",
            case.name
        );
    }
    Ok(())
}

/// Enough calls for a round to be long beside the clock and the change of contender.
fn calls_per_round(contenders: &mut [Contender<'_>]) -> usize {
    let slowest = contenders
        .iter_mut()
        .map(|contender| seconds(contender, 3))
        .fold(1e-9, f64::max);
    (1e-3 / slowest).ceil().clamp(1.0, 10_000.0) as usize
}

/// Seconds per call. The first call is not counted: it brings the contender's code and memory into
/// the caches.
fn seconds(contender: &mut Contender<'_>, calls: usize) -> f64 {
    (contender.call)();
    let start = Instant::now();
    for _ in 0..calls {
        (contender.call)();
    }
    start.elapsed().as_secs_f64() / calls as f64
}

fn row(case: &Case, threads: usize, best: &[f64; NAMES.len()], rounds: &[Vec<f64>]) -> Value {
    let speed = |time: f64| (case.flops() / time / 1e7).round() / 100.0;
    let others = best[1..].iter().copied().fold(f64::INFINITY, f64::min);
    let ours = best[0];
    let speeds: serde_json::Map<_, _> = NAMES
        .iter()
        .zip(best)
        .map(|(name, time)| ((*name).to_owned(), json!(speed(*time))))
        .collect();
    json!({
        "case": case.name, "threads": threads, "gflops": speeds, "rounds": rounds.len(),
        "ratio": (others / ours * 1e3).round() / 1e3,
        "ratio_median": (median_ratio(rounds) * 1e3).round() / 1e3,
    })
}

/// The median over rounds of the fastest other contender's time over ours.
fn median_ratio(rounds: &[Vec<f64>]) -> f64 {
    let ratio = |round: &Vec<f64>| {
        let (ours, others) = round.split_first()?;
        Some(others.iter().copied().fold(f64::INFINITY, f64::min) / ours)
    };
    let mut ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new([
        "case",
        "threads",
        "ours",
        "gemm",
        "matrixmultiply",
        "burn flex",
        "ratio",
        "median ratio",
    ]);
    for row in rows {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let mut cells = vec![text(&row["case"]), text(&row["threads"])];
        cells.extend(NAMES.iter().map(|name| text(&row["gflops"][name])));
        cells.extend([text(&row["ratio"]), text(&row["ratio_median"])]);
        table.row(cells);
    }
    table
}
