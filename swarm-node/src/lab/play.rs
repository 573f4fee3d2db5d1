//! Plays a scenario: starts and kills processes by the swarm's clock, and looks at what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use reproducible_ops::random::Stream;
use swarm_identity::PeerId;
use swarm_round::clock::{Clock, Millis, Position, Window};
use thiserror::Error;

use super::findings::{Findings, Observed};
use super::network::hosts;
use super::scenario::{Churn, Scenario};
use super::swarm::swarm_file;
use crate::cluster::{Cluster, ClusterError, Seat};
use crate::job::{Progress, SourceError, Stop};
use crate::node::time::wall_clock;

/// Time between two looks at the processes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Rounds after the last one within which it must be decided everywhere.
const PATIENCE: u64 = 4;

/// Why a scenario is not played to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// The processes.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The base model.
    #[error(transparent)]
    Model(#[from] SourceError),
    /// A node ended by itself.
    #[error("node {node} ended by itself ({how}); its log is {log}", log = log.display())]
    Fallen {
        /// The node.
        node: usize,
        /// How.
        how: String,
        /// Its log.
        log: PathBuf,
    },
    /// Somebody asked for the end.
    #[error("the scenario was stopped before its end")]
    Stopped,
}

impl LabError {
    /// True if the scenario needs a network that cannot be emulated here.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Cluster(ClusterError::Hosts(error)) if error.is_unsupported())
    }
}

/// Something that is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Start(usize),
    Kill(usize),
    /// A partition of the scenario begins.
    Part(usize),
    /// It ends.
    Heal(usize),
}

/// The nodes of a scenario below `folder`, none of which runs yet; `model` is the digest of the
/// weights that all begin with.
///
/// # Errors
/// See [`ClusterError`].
pub fn cluster(
    scenario: &Scenario,
    program: PathBuf,
    folder: &Path,
    model: String,
) -> Result<Cluster, ClusterError> {
    let seats = (0..scenario.nodes).map(|node| seat(scenario, folder, node));
    let seats = seats.collect::<Result<_, _>>()?;
    let swarm = |peers: &[PeerId]| swarm_file(scenario, peers, model);
    Cluster::on(hosts(scenario)?, program, seats, swarm)
}

/// Plays a scenario in `folder` with processes of `program`.
///
/// # Errors
/// See [`LabError`]. What differs from what was expected is no error but part of the findings.
pub fn run(
    scenario: &Scenario,
    program: PathBuf,
    folder: &Path,
    model: String,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Findings, LabError> {
    let mut cluster = cluster(scenario, program, folder, model)?;
    let clock = Clock::new(&cluster.swarm().config().map_err(ClusterError::from)?);
    let mut agenda = agenda(scenario, &clock);
    let mut observed = Observed::new(scenario.nodes);
    for node in 0..scenario.nodes {
        if !scenario.absent.contains(&node) {
            cluster.start(node)?;
        }
    }
    progress.begin(&scenario.name, scenario.rounds);
    let mut shown = 0;
    let end = begin_of(&clock, scenario.rounds + PATIENCE);
    while wall_clock() < end {
        if stop.is_requested() {
            return Err(LabError::Stopped);
        }
        let now = wall_clock();
        while let Some(entry) = agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            let deed = entry.remove();
            if let Deed::Start(node) | Deed::Kill(node) = deed {
                observed.changed(node);
            }
            carry_out(deed, scenario, &mut cluster)?;
        }
        if let Some((node, how)) = cluster.fallen() {
            let log = cluster.log(node);
            return Err(LabError::Fallen { node, how, log });
        }
        observed.look(&cluster);
        let floor = observed.floor(&cluster);
        while shown < floor.min(scenario.rounds) {
            progress.step(&format!("round {shown} is decided everywhere"));
            shown += 1;
        }
        // A node that was started last must be heard, too.
        if floor >= scenario.rounds && agenda.is_empty() {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    progress.end("");
    Ok(observed.findings(scenario, &cluster))
}

fn seat(scenario: &Scenario, folder: &Path, node: usize) -> Result<Seat, ClusterError> {
    let mut seat = Seat::random(folder.join(format!("node-{node}")))?;
    let is_relay = scenario.relay.contains(&node);
    let settings = ["engine.threads=1".into(), format!("net.relay={is_relay}")];
    seat.settings.extend(settings);
    Ok(seat)
}

fn carry_out(deed: Deed, scenario: &Scenario, cluster: &mut Cluster) -> Result<(), ClusterError> {
    match deed {
        Deed::Start(node) => cluster.start(node)?,
        Deed::Kill(node) => cluster.kill(node),
        Deed::Part(partition) => cluster.part(partition, &scenario.partition[partition].nodes),
        Deed::Heal(partition) => cluster.heal(partition),
    }
    Ok(())
}

fn begin_of(clock: &Clock, round: u64) -> Millis {
    clock.start(Position {
        round,
        window: Window::ShareSeal,
    })
}

/// What is to be done, by time and order.
fn agenda(scenario: &Scenario, clock: &Clock) -> BTreeMap<(Millis, usize), Deed> {
    let mut deeds = Vec::new();
    for event in &scenario.events {
        let at = begin_of(clock, event.round) + event.after_ms;
        deeds.extend(event.kill.iter().map(|node| (at, Deed::Kill(*node))));
        deeds.extend(event.start.iter().map(|node| (at, Deed::Start(*node))));
    }
    for (number, partition) in scenario.partition.iter().enumerate() {
        let at = begin_of(clock, partition.round);
        deeds.push((at, Deed::Part(number)));
        deeds.push((at + partition.seconds * 1000, Deed::Heal(number)));
    }
    if let Some(churn) = &scenario.churn {
        let span = (begin_of(clock, 0), begin_of(clock, scenario.rounds));
        deeds.extend(churned(churn, scenario.nodes, span));
    }
    let numbered = deeds.into_iter().enumerate();
    numbered.map(|(i, (at, deed))| ((at, i), deed)).collect()
}

/// Random kills, each with its start; waits are exponential.
fn churned(churn: &Churn, nodes: usize, (from, to): (Millis, Millis)) -> Vec<(Millis, Deed)> {
    let mut random = Stream::from_seed("lab churn", churn.seed);
    let mut deeds = Vec::new();
    let mut up_at = vec![0; nodes];
    let mut at = from;
    loop {
        let wait = -f64::from(random.uniform()).ln() * churn.every_ms as f64;
        at += wait as Millis;
        if at >= to {
            return deeds;
        }
        let down = up_at.iter().filter(|up| **up > at).count();
        let node = random.index(nodes);
        if down < churn.most && up_at[node] <= at {
            up_at[node] = at + churn.down_ms;
            deeds.push((at, Deed::Kill(node)));
            deeds.push((up_at[node], Deed::Start(node)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn churn_is_a_function_of_its_seed_and_keeps_enough_nodes_up() {
        let churn = Churn {
            seed: 7,
            every_ms: 500,
            down_ms: 2_000,
            most: 2,
        };
        let deeds = churned(&churn, 5, (0, 60_000));
        assert_eq!(deeds, churned(&churn, 5, (0, 60_000)));
        assert!(deeds.len() > 20);
        let mut sorted = deeds;
        sorted.sort_by_key(|(at, deed)| (*at, matches!(deed, Deed::Kill(_))));
        let mut down = Vec::new();
        for (_, deed) in sorted {
            match deed {
                Deed::Kill(node) => down.push(node),
                Deed::Start(node) => down.retain(|known| *known != node),
                Deed::Part(_) | Deed::Heal(_) => panic!("churn parts nobody"),
            }
            assert!(down.len() <= 2, "{down:?}");
        }
    }
}
