//! Whether all members count the same, and what that costs: simulated swarms on good and bad
//! networks, with members whose clocks are wrong and members who work against it.
//!
//! Windows are one second long, the window in which members agree two. `kept` is the share of
//! honest members' scores that are the same as if the hostile ones had only been silent, `in time`
//! that of those whose clocks are not far behind: words of the others come at the edge of windows,
//! where the proposer's choice of receipts decides what counts.

mod settle;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use swarm_round::sim::toy::{self, ToyDriver, ToyJudge};
use swarm_round::sim::{Network, Partition, Role, Simulation, SimulationReport, Spec};

use self::settle::Settled;
use crate::experiment::Experiment;
use crate::samples::rounded;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "agreement",
    about: "whether all members count the same, whatever the network and some members do",
    run,
};

/// Length of the settle window.
const SETTLE_MS: u32 = 2_000;
/// How far the clocks of laggards are behind.
const BEHIND_MS: i64 = -650;
/// Most members for which everybody treats the common questions; in larger swarms sixteen do.
const SMALL: u16 = 100;
const COMMITTEE: u16 = 16;

/// Simulates swarms that agree under trouble.
#[derive(Debug, Parser)]
#[command(name = "agreement")]
struct Options {
    /// Members in the cases of trouble.
    #[arg(long, default_value_t = 30)]
    members: u16,
    /// Rounds of each of these cases.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Sizes of the swarms whose costs are measured, on a calm network.
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    sizes: Vec<u16>,
    /// Rounds of each of these.
    #[arg(long, default_value_t = 3)]
    size_rounds: u64,
    /// Rounds of a swarm of 100 with everything at once: 1 % loss, clocks 300 ms off either way,
    /// five laggards, 30 % hostile with every trick. 1,000 rounds are 50 epochs.
    #[arg(long, default_value_t = 20)]
    everything: u64,
    /// Settles that swarm's epochs of 20 rounds: the decided rounds of each honest member go to a
    /// settling node of its own, on an embedded chain.
    #[arg(long)]
    settle: bool,
    /// Seed of keys, network, attackers and answers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

struct Case {
    name: String,
    spec: Spec,
    /// Its epochs are settled.
    settle: bool,
}

impl Options {
    fn spec(&self, members: u16, rounds: u64) -> Spec {
        let mut spec = toy::spec(members, rounds, self.seed);
        let swarm = Arc::make_mut(&mut spec.swarm);
        swarm.windows.settle_ms = SETTLE_MS;
        if members > SMALL {
            let game = &mut swarm.game;
            game.common_answerers = COMMITTEE;
            game.critics = COMMITTEE;
            game.deciders = COMMITTEE;
        }
        spec.network.mesh = Network::world().mesh;
        spec
    }

    fn trouble(&self, name: &str, edit: impl FnOnce(&mut Spec)) -> Case {
        let mut spec = self.spec(self.members, self.rounds);
        edit(&mut spec);
        Case {
            name: name.into(),
            spec,
            settle: false,
        }
    }

    fn cases(&self) -> Vec<Case> {
        let hostile = usize::from(self.members) * 3 / 10;
        let mut cases = vec![
            self.trouble("calm", |_| ()),
            self.trouble("lossy", |spec| spec.network.loss = 0.05),
            self.trouble("one laggard", |spec| behind(spec, 1)),
            self.trouble("five laggards", |spec| behind(spec, 5)),
            self.trouble("heavy tails", |spec| *spec = spec.clone().over_the_world()),
            self.trouble("partition", partition),
            self.trouble("30 % hostile", |spec| {
                *spec = spec.clone().with_last(hostile, &Role::EVERY_TRICK);
            }),
        ];
        cases.extend(self.sizes.iter().map(|members| Case {
            name: format!("{members} members"),
            spec: self.spec(*members, self.size_rounds),
            settle: false,
        }));
        if self.everything > 0 {
            cases.push(Case {
                name: "everything".into(),
                spec: self.everything(),
                settle: self.settle,
            });
        }
        cases
    }

    fn everything(&self) -> Spec {
        let mut spec = self
            .spec(100, self.everything)
            .with_last(30, &Role::EVERY_TRICK);
        spec.network.loss = 0.01;
        for (index, peer) in spec.peers.iter_mut().enumerate() {
            peer.skew_ms = index as i64 * 37 % 601 - 300;
        }
        behind(&mut spec, 5);
        spec
    }
}

fn behind(spec: &mut Spec, count: usize) {
    let laggards = spec.peers.iter_mut().take(count);
    laggards.for_each(|peer| peer.skew_ms = BEHIND_MS);
}

/// A third of the members are cut off for two rounds.
fn partition(spec: &mut Spec) {
    let lengths = spec.swarm.windows.lengths();
    let round: u64 = lengths.into_iter().map(u64::from).sum();
    let (from, cut) = (spec.swarm.genesis_ms + 3 * round, spec.peers.len() / 3);
    spec.network.partitions = vec![Partition::cut(from, from + 2 * round, cut)];
}

struct Row {
    name: String,
    members: usize,
    hostile: usize,
    rounds: u64,
    decided: usize,
    same: usize,
    median_ms: Option<u64>,
    worst_ms: Option<u64>,
    kept: f64,
    /// The same of members whose clocks are not far behind.
    kept_in_time: f64,
    bytes: f64,
    signatures: f64,
    seconds: f64,
    settled: Option<Settled>,
}

impl Row {
    fn of(case: Case) -> Result<Self> {
        let start = Instant::now();
        let honest: Vec<usize> = case.spec.honest().collect();
        let is_in_time = |peer: &usize| case.spec.peers[*peer].skew_ms != BEHIND_MS;
        let in_time: Vec<usize> = honest.iter().copied().filter(is_in_time).collect();
        let (members, rounds) = (case.spec.peers.len(), case.spec.rounds);
        let alone = (honest.len() < members)
            .then(|| silenced(&case.spec))
            .transpose()?;
        let report = play(case.spec.clone())?;
        let settled = case.settle.then(|| settle::settle(&case.spec, &report));
        let settled = settled.transpose()?;
        let kept_of = |members: &[usize]| {
            let alone = alone.as_ref();
            alone.map_or(1.0, |alone| kept(&report, alone, members))
        };
        let decided = |round: &&swarm_round::sim::RoundReport| round.delays.len() == honest.len();
        let each = members as f64 * rounds as f64;
        Ok(Self {
            name: case.name,
            members,
            hostile: members - honest.len(),
            rounds,
            decided: report.rounds.values().filter(decided).count(),
            same: report
                .rounds
                .values()
                .filter(decided)
                .filter(|round| round.is_agreed())
                .count(),
            median_ms: report.median_delay(),
            worst_ms: report
                .rounds
                .values()
                .flat_map(|round| round.delays.values())
                .max()
                .copied(),
            kept: kept_of(&honest),
            kept_in_time: kept_of(&in_time),
            bytes: report.agreement.bytes as f64 / each,
            signatures: report.agreement.signatures as f64 / each,
            seconds: start.elapsed().as_secs_f64(),
            settled,
        })
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "members": self.members, "hostile": self.hostile,
            "rounds": self.rounds, "decided": self.decided, "same_table": self.same,
            "median_decision_ms": self.median_ms, "worst_decision_ms": self.worst_ms,
            "honest_scores_kept": rounded(self.kept),
            "scores_kept_in_time": rounded(self.kept_in_time),
            "bytes_per_member_round": self.bytes.round(),
            "signatures_per_member_round": rounded(self.signatures),
            "seconds": rounded(self.seconds),
        })
    }

    fn cells(&self) -> Vec<String> {
        let time = |ms: Option<u64>| ms.map_or("–".into(), |ms| ms.to_string());
        vec![
            self.name.clone(),
            self.members.to_string(),
            self.hostile.to_string(),
            self.rounds.to_string(),
            self.decided.to_string(),
            self.same.to_string(),
            time(self.median_ms),
            time(self.worst_ms),
            format!("{:.1} %", 100.0 * self.kept),
            format!("{:.1} %", 100.0 * self.kept_in_time),
            format!("{:.0}", self.bytes),
            format!("{:.1}", self.signatures),
        ]
    }
}

fn play(spec: Spec) -> Result<SimulationReport> {
    let seed = spec.seed;
    Ok(Simulation::new(spec, Arc::new(ToyJudge))?.run(&mut ToyDriver::new(65, seed)))
}

/// The same swarm with silent members in place of the hostile ones.
fn silenced(spec: &Spec) -> Result<SimulationReport> {
    let mut spec = spec.clone();
    let hostile = spec
        .peers
        .iter_mut()
        .filter(|peer| peer.role != Role::Honest);
    hostile.for_each(|peer| peer.role = Role::Silent);
    play(spec)
}

/// The share of honest members' scores, by round, that are the same in both reports.
fn kept(report: &SimulationReport, alone: &SimulationReport, honest: &[usize]) -> f64 {
    let pairs = honest
        .iter()
        .flat_map(|peer| report.rows(*peer).into_iter().zip(alone.rows(*peer)));
    let (same, all) = pairs.fold((0, 0), |(same, all), (a, b)| {
        (same + u32::from(a.total() == b.total()), all + 1)
    });
    f64::from(same) / f64::from(all.max(1))
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    ensure!(
        !options.settle || options.everything > 0,
        "--settle settles the swarm of --everything; give it rounds"
    );
    let mut table = Table::new([
        "case",
        "members",
        "hostile",
        "rounds",
        "decided",
        "same",
        "median ms",
        "worst ms",
        "kept",
        "in time",
        "bytes",
        "signatures",
    ]);
    let mut rows = Vec::new();
    let mut settled = None;
    for case in options.cases() {
        let row = Row::of(case)?;
        eprintln!("{}: {:.0} s", row.name, row.seconds);
        table.row(row.cells());
        rows.push(row.json());
        settled = settled.or(row.settled);
    }
    print!("{table}");
    println!("bytes and signatures: of agreement, by member and round");
    let mut result = json!({ "cases": rows });
    if let Some(settled) = settled {
        settled.print();
        result["settlement"] = settled.json();
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_decided_alike() {
        let arguments = [
            "agreement",
            "--members",
            "10",
            "--rounds",
            "4",
            "--sizes",
            "4",
            "--size-rounds",
            "1",
            "--everything",
            "0",
        ]
        .map(str::to_owned);
        let result = run(&arguments).unwrap();
        let cases = result["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 8);
        for case in cases {
            assert_eq!(
                (&case["decided"], &case["same_table"]),
                (&case["rounds"], &case["rounds"])
            );
            assert!(case["signatures_per_member_round"].as_f64().unwrap() >= 3.0);
        }
    }
}
