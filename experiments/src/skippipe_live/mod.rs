//! A pipeline of real processes over emulated home links: how long its steps take, and how long
//! they should take by what its peers measured; then one is killed and comes back.
//!
//! ```text
//! 6 namespaces, each with a line of its own (rate, delay) ── processes `swarm-node pipeline`, 3 stages
//!    │ what each peer's log says: measured links, a line for each step with its time and the prediction
//!    └▶ table, medians, `pipeline replay` of one peer's folder
//! ```
//! The prediction of a step is of the paths in its record and of what was measured before the first
//! step; no step's time goes into it. All processes share this machine's cores, which real peers do
//! not: lines are so slow that most of a step is waiting for them, and the load is told beside the
//! result.
//!
//! The step in which a peer is killed takes as long as the others need to see it: packets to a host
//! whose process is gone vanish, as behind a home router, so they learn it by silence
//! (`hop_seconds`, `phase_seconds`, 30 s of a QUIC connection), and no prediction has that in it.
//! The medians of the steps before and after stand apart.
//!
//! An experiment rather than a scenario of `swarm-node lab`: those are of rounds (a swarm's clock,
//! decisions, relays), of which a pipeline has none; what both need, hosts and links, is
//! [`swarm_node::hosts`].

mod log;
mod peers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::{Value, json};
use swarm_node::hosts;

use self::log::StepLine;
use self::peers::Peers;
use crate::experiment::Experiment;
use crate::machine::load;
use crate::program::beside;
use crate::samples::{Samples, rounded, shown};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "skippipe-live",
    about: "six processes over emulated home links: time of a step, measured against predicted",
    run,
};

/// How far the median may be from the prediction.
const WITHIN: f64 = 0.15;
/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(900);

/// Trains a nano model in three stages over links that differ.
#[derive(Debug, Parser)]
#[command(name = "skippipe-live")]
struct Options {
    /// Steps before a peer is killed.
    #[arg(long, default_value_t = 12)]
    steps: u64,
    /// Steps after that; 0 to kill nobody.
    #[arg(long, default_value_t = 8)]
    churn: u64,
    /// Seconds until the killed peer begins again.
    #[arg(long, default_value_t = 3)]
    down: u64,
    /// Stages that a microbatch visits, of three.
    #[arg(long, default_value_t = 3)]
    visits: u16,
    /// The node's program; the one beside this program if it is not given.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the peers' folders and logs are kept; nowhere if it is not given.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The peer that is killed: it holds the middle stage, and has a replica.
const KILLED: usize = 4;

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    if let Err(error) = hosts::prepare() {
        println!("skipped: {error}");
        return Ok(json!({ "experiment": "skippipe-live", "skipped": error.to_string() }));
    }
    let folder = tempfile::Builder::new()
        .prefix("swarm-live-")
        .tempdir()
        .context("a folder for the peers")?;
    let path = options.keep.clone().unwrap_or_else(|| folder.path().into());
    let program = options.program.clone().map_or_else(beside, Ok)?;
    let loads = [load(), play(&options, &program, &path)?, load()];
    let text = std::fs::read_to_string(peers::log_of(&path, 0))?;
    let steps = log::steps(&text);
    report(&options, &text, &steps, &program, &path, loads)
}

/// Runs the peers to the end of their job; the load while nobody was killed yet.
fn play(options: &Options, program: &Path, path: &Path) -> Result<Option<f64>> {
    let total = options.steps + options.churn;
    let mut peers = match Peers::new(program, path, &job(total, options.visits)) {
        Ok(peers) => peers,
        Err(error) => bail!("{error:#}"),
    };
    for peer in 0..peers::COUNT {
        peers.start(peer)?;
        // One after the other, so that numbers of peers are those of hosts.
        match peer {
            0 => peers.wait_for(0, "others join by", PATIENCE)?,
            _ => peers.wait_for(0, &format!("peers: {} of", peer + 1), PATIENCE)?,
        }
    }
    peers.wait_for(0, &format!("step {}/{total}:", options.steps), PATIENCE)?;
    let calm = load();
    if options.churn > 0 {
        peers.kill(KILLED);
        std::thread::sleep(Duration::from_secs(options.down));
        peers.start(KILLED)?;
    }
    let begun = Instant::now();
    while !peers.are_done()? {
        ensure!(begun.elapsed() < PATIENCE, "the peers do not end");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(calm)
}

/// The shipped job, in three stages at six peers.
fn job(steps: u64, visits: u16) -> String {
    include_str!("../../../configs/nano/pipeline.toml")
        .replace("steps = 20", &format!("steps = {steps}"))
        .replace("stride = 10", "stride = 1")
        .replace("stages = 2", "stages = 3")
        .replace("peers = 4", "peers = 6")
        .replace("visits = 2", &format!("visits = {visits}"))
}

fn report(
    options: &Options,
    text: &str,
    steps: &[StepLine],
    program: &Path,
    path: &Path,
    loads: [Option<f64>; 3],
) -> Result<Value> {
    ensure!(
        !steps.is_empty(),
        "no step is in the first peer's log:\n{text}"
    );
    let mut table = Table::new(["step", "measured s", "predicted s", "ratio", ""]);
    let (mut calm, mut churn) = (Samples::default(), Samples::default());
    for step in steps {
        let ratio = step.predicted.map(|predicted| step.measured / predicted);
        let part = match step.number <= options.steps {
            true => &mut calm,
            false => &mut churn,
        };
        if let Some(ratio) = ratio {
            part.push(ratio);
        }
        let note = match step.number == options.steps + 1 && options.churn > 0 {
            true => format!(
                "peer {KILLED} was killed, and began again {} s later",
                options.down
            ),
            false => String::new(),
        };
        table.row(vec![
            step.number.to_string(),
            format!("{:.2}", step.measured),
            step.predicted
                .map_or("-".to_owned(), |time| format!("{time:.2}")),
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}")),
            note,
        ]);
    }
    println!("{}", peers::lines());
    println!("{}", log::measured(text));
    print!("{table}");
    let back = log::joined(text);
    println!(
        "median ratio: {} before, {} after the kill; taken up again: {}",
        shown(calm.median(), 3),
        shown(churn.median(), 3),
        if back.is_empty() {
            "nothing".to_owned()
        } else {
            back.join(", ")
        }
    );
    let replay = peers::replay(program, path)?;
    println!("{replay}");
    let off = (calm.median() - 1.0).abs();
    let verdict = if off <= WITHIN {
        "within"
    } else {
        "not within"
    };
    println!("{verdict} 15 % of the prediction");
    let times: Vec<Value> = steps
        .iter()
        .map(|step| {
            json!([
                step.number,
                rounded(step.measured),
                step.predicted.and_then(rounded)
            ])
        })
        .collect();
    Ok(json!({
        "experiment": "skippipe-live",
        "lines_ms_mbit": peers::LINES,
        "visits": options.visits,
        "steps": times,
        "killed_after": (options.churn > 0).then_some(options.steps),
        "taken_up": back,
        "median_ratio": rounded(calm.median()),
        "median_ratio_churn": rounded(churn.median()),
        "within_15_percent": off <= WITHIN,
        "replay": replay,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load": loads,
    }))
}
