//! The published schedule of 20 nodes: the times of its four plans in our simulator, and our own
//! plans for the same nodes, with the lower bounds of their placement.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use serde_json::{Value, json};
use skippipe::plan::{Plan, Request};
use skippipe::published::{BYTES, Published, request};
use skippipe::sim::{Schedule, Simulator};

use crate::experiment::Experiment;
use crate::samples::rounded;
use crate::skippipe_schedule::{Given, load, timed};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "skippipe-vector",
    about: "the published plans of 20 nodes in our simulator, and own plans",
    run,
};

/// Simulates the published plans and makes own ones.
#[derive(Debug, Parser)]
#[command(name = "skippipe-vector")]
struct Options {
    /// The published schedule; by default shared/data/skippipe/schedule.json beside or above the
    /// workspace.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Seed of own plans.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let schedule = load(options.data)?;
    let published = published(&schedule)?;
    let own = own(&schedule, options.seed)?;
    let seconds = |place: usize| rounded(own[place].0.time.as_seconds());
    let took = |place: usize| rounded(own[place].1);
    let [baseline, random, no_tc2, skippipe] = published.map(rounded);
    Ok(json!({
        "experiment": "skippipe-vector",
        "published": {
            "baseline": baseline, "random": random, "no_tc2": no_tc2, "skippipe": skippipe,
        },
        "own": {
            "slots3": seconds(0), "slots6": seconds(1), "slots6_int8": seconds(2),
        },
        "own_published_placement": {"slots3": seconds(3), "slots6": seconds(4)},
        "own_any_placement": {"slots3": seconds(5), "slots6": seconds(6)},
        "plan_seconds": {
            "slots3": took(0), "slots6": took(1), "slots6_int8": took(2),
        },
    }))
}

fn published(schedule: &Published) -> Result<[f64; 4]> {
    let network = schedule.topology(3)?.network(BYTES)?;
    let plans: [(&str, f64, Schedule); 4] = [
        ("full pipelines (DT-FM)", 79.939_720, schedule.baseline()?),
        ("random skips", 48.915_683, schedule.random()?),
        (
            "planned without collisions",
            35.434_814,
            schedule.without_collisions()?,
        ),
        ("SkipPipe", 33.313_790, schedule.skippipe()?),
    ];
    let mut table = Table::new(["published plan", "published s", "ours s", "difference %"]);
    let mut times = [0.0; 4];
    for (time, (name, expected, plan)) in times.iter_mut().zip(plans) {
        *time = Simulator::new().run(&network, &plan)?.as_seconds();
        table.row(vec![
            name.to_owned(),
            format!("{expected:.3}"),
            format!("{time:.3}"),
            format!("{:+.3}", (*time / expected - 1.0) * 100.0),
        ]);
    }
    println!("{table}");
    Ok(times)
}

/// Own plans with the seconds that they took.
fn own(schedule: &Published, seed: u64) -> Result<Vec<(Plan, f64)>> {
    let cases = [
        (Given::Data, 3, BYTES),
        (Given::Data, 6, BYTES),
        (Given::Data, 6, BYTES / 4),
        (Given::All, 3, BYTES),
        (Given::All, 6, BYTES),
        (Given::None, 3, BYTES),
        (Given::None, 6, BYTES),
    ];
    let mut table = Table::new([
        "own plan: stages",
        "slots",
        "MiB a hop",
        "step s",
        "round trips ≥",
        "compute ≥",
        "links ≥",
        "planned in s",
    ]);
    let mut plans = Vec::new();
    for (given, slots, bytes) in cases {
        let topology = match bytes {
            BYTES => schedule.topology(slots)?,
            _ => schedule.modelled(slots)?,
        };
        let request = Request {
            bytes,
            ..request(4, seed)
        };
        let (plan, took) = timed(&given.of(topology)?, &request)?;
        let bounds = plan.bounds;
        let times = [plan.time, bounds.round_trip, bounds.compute, bounds.links];
        let mut row = vec![
            given.name().to_owned(),
            slots.to_string(),
            (bytes >> 20).to_string(),
        ];
        row.extend(times.map(|time| format!("{:.3}", time.as_seconds())));
        row.push(format!("{took:.2}"));
        table.row(row);
        plans.push((plan, took));
    }
    println!("{table}");
    Ok(plans)
}
