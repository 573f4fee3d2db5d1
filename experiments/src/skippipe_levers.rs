//! What shortens a step on the published nodes, lever by lever: the window (slots), bytes of a hop,
//! skipped stages, and planning, which is compared with random paths through the same placement.
//! The baseline is the best full pipeline, planned by the same planner.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use reproducible_ops::random::Stream;
use serde_json::{Value, json};
use skippipe::path::{Peer, Stage};
use skippipe::plan::{Plan, Request};
use skippipe::published::{BYTES, request};
use skippipe::sim::{Schedule, Simulator};
use skippipe::topology::{Micros, Topology};

use crate::experiment::Experiment;
use crate::samples::rounded;
use crate::skippipe_schedule::{Given, load, timed};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "skippipe-levers",
    about: "window, bytes, skipped stages and planning against the best full pipeline",
    run,
};

/// Plans the published nodes with every combination of levers.
#[derive(Debug, Parser)]
#[command(name = "skippipe-levers")]
struct Options {
    /// The published schedule; by default shared/data/skippipe/schedule.json beside or above the
    /// workspace.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Slots of a node.
    #[arg(long, value_delimiter = ',', default_value = "3,6,10")]
    slots: Vec<u16>,
    /// Seeds of plans, from 0; the best counts.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Random paths per case; their mean counts.
    #[arg(long, default_value_t = 20)]
    random: u64,
}

/// What was found for one combination.
struct Case {
    slots: u16,
    bytes: u64,
    visits: u16,
    random: f64,
    best: f64,
    bound: f64,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let schedule = load(options.data)?;
    let mut cases = Vec::new();
    for slots in &options.slots {
        let topology = Given::Data.of(schedule.modelled(*slots)?)?;
        for bytes in [BYTES, BYTES / 4] {
            for visits in [6, 5, 4] {
                let plan = best(&topology, bytes, visits, options.seeds)?;
                cases.push(Case {
                    slots: *slots,
                    bytes,
                    visits,
                    random: random(&topology, &plan, bytes, options.random)?,
                    best: plan.time.as_seconds(),
                    bound: plan.bounds.time().as_seconds(),
                });
            }
        }
    }
    let full = cases
        .iter()
        .filter(|case| case.visits == 6 && case.bytes == BYTES);
    let full = full.map(|case| case.best).fold(f64::INFINITY, f64::min);
    println!(
        "Best full pipeline with hops of {} MiB: {full:.3} s\n",
        BYTES >> 20
    );
    print!("{}", table(&cases, full));
    let of = |case: &Case| {
        json!({
            "slots": case.slots, "bytes": case.bytes, "visits": case.visits,
            "random": rounded(case.random), "planned": rounded(case.best),
            "bound": rounded(case.bound), "to_full_percent": rounded((case.best / full - 1.0) * 100.0),
        })
    };
    Ok(json!({
        "experiment": "skippipe-levers", "unit": "seconds", "best_full": rounded(full),
        "cases": cases.iter().map(of).collect::<Vec<_>>(),
    }))
}

fn table(cases: &[Case], full: f64) -> Table {
    let mut table = Table::new([
        "slots",
        "MiB a hop",
        "stages",
        "random s",
        "planned s",
        "bound s",
        "to the best full %",
    ]);
    for case in cases {
        table.row(vec![
            case.slots.to_string(),
            (case.bytes >> 20).to_string(),
            format!("{} of 6", case.visits),
            format!("{:.3}", case.random),
            format!("{:.3}", case.best),
            format!("{:.3}", case.bound),
            format!("{:+.1}", (case.best / full - 1.0) * 100.0),
        ]);
    }
    table
}

fn best(topology: &Topology, bytes: u64, visits: u16, seeds: u64) -> Result<Plan> {
    let plan = |seed| -> Result<Plan> {
        let request = Request {
            bytes,
            ..request(visits, seed)
        };
        Ok(timed(topology, &request)?.0)
    };
    let mut best = plan(0)?;
    for seed in 1..seeds {
        let other = plan(seed)?;
        if other.time < best.time {
            best = other;
        }
    }
    Ok(best)
}

/// Beyond this, a link is the one whose bandwidth was entered 1024 times too low.
const BROKEN: Micros = Micros(10_000_000);

/// Mean time of random paths over as many stages, through the placement of a plan, but for the link
/// that is broken in the data.
fn random(topology: &Topology, plan: &Plan, bytes: u64, draws: u64) -> Result<f64> {
    let network = topology.network(bytes)?;
    let mut sum = 0.0;
    for draw in 0..draws {
        let mut random = Stream::from_seed("skippipe random paths", draw);
        let mut schedule = Schedule::new(6);
        for path in &plan.paths {
            let others = random.distinct(path.hops().len() - 1, 5);
            let mut stages: Vec<usize> = others.into_iter().map(|stage| stage + 1).collect();
            stages.sort_unstable();
            let mut route = vec![path.source()];
            for stage in stages {
                let stage = Stage(stage as u16);
                let (before, source) = (route[route.len() - 1], path.source());
                let near = |peer: &Peer| {
                    let delay = |from: Peer| network.delay(from.index(), peer.index());
                    delay(before) < BROKEN && delay(source) < BROKEN
                };
                let serving = (0_u32..)
                    .zip(&plan.placement)
                    .filter(|(_, of)| **of == stage);
                let peers: Vec<Peer> = serving.map(|(peer, _)| Peer(peer)).filter(near).collect();
                route.extend(random.choose(&peers));
            }
            anyhow::ensure!(
                schedule.push(route, Micros::ZERO),
                "a route of too many stages"
            );
        }
        sum += Simulator::new().run(&network, &schedule)?.as_seconds();
    }
    Ok(sum / draws.max(1) as f64)
}
