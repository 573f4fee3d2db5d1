//! Planning again after any one node left: how long it takes and how good the new plan is, for the
//! published 20 nodes and for 100 in the same cities; and one plan for 1,000.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use serde_json::{Value, json};
use skippipe::path::Peer;
use skippipe::plan::{Plan, Request};
use skippipe::published::{BYTES, request};
use skippipe::topology::{Links, Micros, Topology};

use crate::experiment::Experiment;
use crate::samples::{rounded, shown};
use crate::skippipe_schedule::{load, timed};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "skippipe-churn",
    about: "planning again after any node left, at 20 and 100 nodes; a plan for 1,000",
    run,
};

/// Plans, takes every node away in turn, and plans again.
#[derive(Debug, Parser)]
#[command(name = "skippipe-churn")]
struct Options {
    /// The published schedule; by default shared/data/skippipe/schedule.json beside or above the
    /// workspace.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Nodes of networks in which every node leaves once.
    #[arg(long, value_delimiter = ',', default_value = "20,100")]
    nodes: Vec<usize>,
    /// Nodes of a network that is planned once.
    #[arg(long, default_value_t = 1000)]
    large: usize,
}

/// What was measured at one size.
struct Row {
    nodes: usize,
    plan: Plan,
    planned_in: f64,
    /// Seconds to plan again, and the time of the step then; by node that left.
    again: Vec<(f64, f64)>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let cities = load(options.data)?.topology(3)?;
    let mut rows = Vec::new();
    for nodes in &options.nodes {
        rows.push(row(&grown(&cities, *nodes)?, *nodes)?);
    }
    rows.push(row(&grown(&cities, options.large)?, 0)?);
    print!("{}", table(&rows));
    Ok(json!({
        "experiment": "skippipe-churn", "unit": "seconds",
        "sizes": rows.iter().map(json_of).collect::<Vec<_>>(),
    }))
}

/// So many nodes in the cities of the published ones, without stages; those of one city are as near
/// as published.
fn grown(cities: &Topology, nodes: usize) -> Result<Topology> {
    let network = cities.network(BYTES)?;
    let known = network.len();
    // The nodes 0 and 12 stand in the same city.
    let near = network.delay(0, 12.min(known - 1));
    let of = |from: usize, to: usize| match from % known == to % known {
        true => near,
        false => network.delay(from % known, to % known),
    };
    let row = |from: usize| -> Vec<Micros> { (0..nodes).map(|to| of(from, to)).collect() };
    let mut all = Vec::new();
    for node in 0..nodes {
        let mut node = cities.nodes()[node % known];
        node.stage = None;
        all.push(node);
    }
    let links = Links::Measured {
        bytes: BYTES,
        delay: (0..nodes).map(row).collect(),
    };
    Ok(Topology::new(all, links, *cities.costs())?)
}

fn row(topology: &Topology, leave: usize) -> Result<Row> {
    let request = request(4, 0);
    let (plan, planned_in) = timed(topology, &request)?;
    let mut again = Vec::new();
    for gone in 0..leave {
        again.push(without(&plan, topology, &request, Peer(gone as u32))?);
    }
    Ok(Row {
        nodes: topology.nodes().len(),
        plan,
        planned_in,
        again,
    })
}

fn without(plan: &Plan, topology: &Topology, request: &Request, gone: Peer) -> Result<(f64, f64)> {
    let (left, places) = topology.without(&[gone])?;
    let start = Instant::now();
    let again = plan.replan(&places, &left, request, 50)?.plan;
    let seconds = start.elapsed().as_secs_f64();
    again.check(&left, request)?;
    Ok((seconds, again.time.as_seconds()))
}

/// Not a number where nobody left.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The most seconds and the longest step; not numbers where nobody left.
fn worst(row: &Row) -> (f64, f64) {
    let fold = |(one, other): (f64, f64), (seconds, time): &(f64, f64)| {
        (seconds.max(one), time.max(other))
    };
    row.again.iter().fold((f64::NAN, f64::NAN), fold)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "nodes",
        "planned in s",
        "step s",
        "bound s",
        "left",
        "again in s, mean",
        "worst",
        "step then s, mean",
        "worst",
    ]);
    for row in rows {
        let (slowest, longest) = worst(row);
        let numbers = [
            row.planned_in,
            row.plan.time.as_seconds(),
            row.plan.bounds.time().as_seconds(),
            mean(row.again.iter().map(|(seconds, _)| *seconds)),
            slowest,
            mean(row.again.iter().map(|(_, time)| *time)),
            longest,
        ];
        let mut cells: Vec<String> = numbers.iter().map(|number| shown(*number, 2)).collect();
        cells.insert(0, row.nodes.to_string());
        cells.insert(4, row.again.len().to_string());
        table.row(cells);
    }
    table
}

fn json_of(row: &Row) -> Value {
    let (slowest, longest) = worst(row);
    json!({
        "nodes": row.nodes, "planned_in": rounded(row.planned_in),
        "step": rounded(row.plan.time.as_seconds()),
        "bound": rounded(row.plan.bounds.time().as_seconds()), "left": row.again.len(),
        "again_in_mean": rounded(mean(row.again.iter().map(|(seconds, _)| *seconds))),
        "again_in_worst": rounded(slowest), "step_then_worst": rounded(longest),
    })
}
