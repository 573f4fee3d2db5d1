//! Reward of honest peers against the share of hostile ones, in simulated swarms with toy
//! answerers.
//!
//! Every point plays the same swarm on the same network; only the last peers turn hostile, taking
//! the roles in turn.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use serde_json::{Value, json};
use swarm_round::Judge;
use swarm_round::sim::curve::{HostilityPoint, hostility_curve};
use swarm_round::sim::toy::{ToyDriver, ToyJudge, spec};
use swarm_round::sim::{Driver, Role};

use crate::experiment::Experiment;
use crate::samples::rounded;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "hostile",
    about: "reward of honest peers against the share of hostile peers",
    run,
};

/// Simulates swarms with a growing share of hostile peers.
#[derive(Debug, Parser)]
#[command(name = "hostile")]
struct Options {
    /// Peers of the swarm.
    #[arg(long, default_value_t = 20)]
    peers: u16,
    /// Rounds to play.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Shares of hostile peers, in percent.
    #[arg(long, value_delimiter = ',', default_value = "0,10,20,30,40,50,60")]
    percents: Vec<usize>,
    /// Lowest skill of a toy peer, in percent.
    #[arg(long, default_value_t = 50)]
    skill: u32,
    /// Seed of keys, network, attackers and answers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let start = Instant::now();
    let judge: Arc<dyn Judge> = Arc::new(ToyJudge);
    let base = spec(options.peers, options.rounds, options.seed);
    let mut driver =
        || -> Box<dyn Driver> { Box::new(ToyDriver::new(options.skill, options.seed)) };
    let points = hostility_curve(
        &base,
        &judge,
        &Role::HOSTILE,
        &options.percents,
        &mut driver,
    )?;
    print!("{}", table(&points));
    Ok(json!({
        "experiment": "hostile",
        "unit": "points per round",
        "peers": options.peers,
        "rounds": options.rounds,
        "seed": options.seed, "seconds": rounded(start.elapsed().as_secs_f64()),
        "rows": points.iter().map(json_of).collect::<Vec<_>>(),
    }))
}

fn json_of(point: &HostilityPoint) -> Value {
    json!({
        "hostile_percent": point.hostile_percent, "honest_mean": rounded(point.honest_mean),
        "honest_min": rounded(point.honest_min), "hostile_mean": rounded(point.hostile_mean),
        "agreed_percent": rounded(point.agreed_percent),
    })
}

fn table(points: &[HostilityPoint]) -> Table {
    let mut table = Table::new([
        "hostile %",
        "honest mean",
        "honest min",
        "hostile mean",
        "agreed %",
    ]);
    for point in points {
        let numbers = [
            point.honest_mean,
            point.honest_min,
            point.hostile_mean,
            point.agreed_percent,
        ];
        let cells = numbers.iter().map(|number| format!("{number:.0}"));
        table.row(
            std::iter::once(point.hostile_percent.to_string())
                .chain(cells)
                .collect(),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_gives_a_row() {
        let arguments = [
            "hostile",
            "--peers",
            "6",
            "--rounds",
            "1",
            "--percents",
            "0,34",
        ]
        .map(str::to_owned);
        let result = run(&arguments).unwrap();
        let rows = result["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows[0]["honest_mean"].as_f64().unwrap() > 0.0);
        assert_eq!(rows[0]["agreed_percent"], 100.0);
    }
}
