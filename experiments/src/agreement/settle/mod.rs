//! Whether every epoch of a simulated swarm ends on a chain: each honest member's decided rounds go
//! to a settling node of its own, as late as the member had them, and the nodes share an embedded
//! chain.
//!
//! ```text
//! SimulationReport ─▶ rounds of each member, by the time of their decision ─▶ Node ⇄ Node
//!                                                                              └─▶ dev chain ─▶ EpochRow
//! ```
//! All members have the same stake; hostile ones do not vote. The chain's time goes on second by
//! second; while something is to be settled, each second lasts for some time of the machine's, so
//! that nodes look at the chain as often as they would. What is late on a busy machine is late on
//! the chain, too.

mod chain;
mod nodes;
mod report;
mod watch;

use anyhow::{Result, bail, ensure};
use swarm_round::sim::{SimulationReport, Spec};

use self::chain::{Deployed, Member, ROUNDS_PER_EPOCH};
use self::nodes::Nodes;
pub use self::report::Settled;
use self::watch::Watch;

/// Seconds of the chain after the last epoch in which everything must have ended.
const PATIENCE_SECONDS: u64 = 1_200;

/// Settles what a simulated swarm has decided.
pub fn settle(spec: &Spec, report: &SimulationReport) -> Result<Settled> {
    let rounds = spec.rounds - spec.rounds % ROUNDS_PER_EPOCH;
    ensure!(
        rounds > 0,
        "{} rounds are less than an epoch of {ROUNDS_PER_EPOCH}; take more",
        spec.rounds
    );
    if let Some((round, _)) = report.rounds.iter().find(|(_, round)| !round.is_agreed()) {
        bail!("members have decided round {round} differently: there is nothing to settle");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(play(spec, report, rounds / ROUNDS_PER_EPOCH))
}

async fn play(spec: &Spec, report: &SimulationReport, epochs: u64) -> Result<Settled> {
    let members: Vec<Member> = (0..spec.peers.len())
        .map(|peer| Member::new(spec, peer))
        .collect::<Result<_>>()?;
    let honest: Vec<usize> = spec.honest().collect();
    let settle_ms = u64::from(spec.swarm.windows.settle_ms);
    let windows = spec.swarm.windows.lengths();
    let round_ms: u64 = windows.into_iter().map(u64::from).sum();
    let deployed = Deployed::new(&members, round_ms.div_ceil(1_000), epochs).await?;
    let mut nodes = Nodes::start(&deployed, &members, &honest)?;
    nodes.plan(report, &deployed.schedule, epochs, round_ms - settle_ms);
    let mut watch = Watch::new(&deployed, epochs);
    let end = deployed.schedule.end(epochs) + PATIENCE_SECONDS;
    let mut time = deployed.schedule.genesis;
    while time < end && !(watch.is_final() && nodes.have_ended(watch.next())) {
        time += 1;
        let is_busy = watch.is_behind(time) || !nodes.have_ended(watch.next());
        nodes.pass(time, is_busy).await;
        watch.look(&deployed).await?;
    }
    let rows = watch.rows(&nodes);
    rows.iter()
        .for_each(|row| eprintln!("epoch {}: final {} s after its end", row.epoch, row.after));
    Ok(Settled {
        honest: honest.len(),
        due: epochs,
        paid: watch.paid(&nodes, &members, report),
        rows,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use swarm_round::sim::Simulation;
    use swarm_round::sim::toy::{self, ToyDriver, ToyJudge};

    use super::*;

    #[test]
    fn two_epochs_of_a_small_swarm_are_final_and_paid_to_the_unit() {
        let spec = toy::spec(4, 2 * ROUNDS_PER_EPOCH + 1, 1);
        let simulation = Simulation::new(spec.clone(), Arc::new(ToyJudge)).unwrap();
        let report = simulation.run(&mut ToyDriver::new(65, 1));
        let settled = settle(&spec, &report).unwrap().json();
        let figures = [
            &settled["due"],
            &settled["final"],
            &settled["honest"],
            &settled["paid"],
        ];
        assert_eq!(
            figures,
            [&json!(2), &json!(2), &json!(4), &json!(4)],
            "{settled}"
        );
        for epoch in settled["epochs"].as_array().unwrap() {
            assert_eq!(
                (&epoch["same_table"], &epoch["other_table"]),
                (&json!(4), &json!(0))
            );
        }
    }
}
