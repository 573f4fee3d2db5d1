//! What a whole step takes, from what peers measured: the passes, which are simulated, and what the
//! leader and the reduce trees do around them, which is a chain of messages and needs no
//! simulation.
//!
//! ```text
//! leader     Begin, Launch ──▶ sources          λ(leader, source), when a source's microbatches are released
//! passes     sim over shared lines              until each microbatch is back at its source
//! sources    Finished ──▶ leader                λ(source, leader)
//! leader     Close ──▶ all                      the record is some 80 bytes a visit
//! holders    sum; partials up the tree, one child after the other; the root's squares and Sum ──▶ replicas
//! holders    Prepared ──▶ leader                the last of all stages counts
//! leader     Commit ──▶ all ─▶ update ─▶ Updated ──▶ leader, and the next step
//! ```
//! What is left out, for it is small or not of every step: the leader's norm; queues of the reduce
//! trees' messages at a parent with several children; copies of states, sent every so many steps
//! while the next step begins; planning, which a leader does once for a roster; what peers say
//! again; disks.

use std::collections::{BTreeMap, BTreeSet};

use crate::measured::Measurements;
use crate::path::{Hop, Path, Peer, Stage};
use crate::sim::{LinkUse, Schedule, SimError, Simulator};
use crate::topology::{Micros, TopologyError};
use crate::transcript::{ReduceTree, Roster};

/// Bytes of a record, for each visit in it.
const BYTES_OF_A_VISIT: u64 = 80;

/// How much there is of what a step sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of an activation, and of its gradient.
    pub hop: u64,
    /// Bytes of a stage's sum of gradients, by stage.
    pub sums: Vec<u64>,
    /// Microbatches that a peer holds at once.
    pub slots: u16,
}

/// What a step takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Until the leader has heard that the last microbatch is back.
    pub passes: Micros,
    /// From there until everybody is prepared.
    pub reduction: Micros,
    /// From there until the leader has heard that everybody has moved.
    pub commit: Micros,
    /// The link that decides most of the passes, by number of peer.
    pub bottleneck: Option<LinkUse>,
}

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The network.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The passes.
    #[error(transparent)]
    Simulation(#[from] SimError),
    /// A path through a peer that does not hold the stage.
    #[error("a path visits {peer} for {stage}, which it does not hold", peer = .0.peer, stage = .0.stage)]
    Elsewhere(Hop),
    /// A stage whose sum has no known size.
    #[error("nothing is known of the sum of {0}; sizes must be given of every stage")]
    Sum(Stage),
}

impl Prediction {
    /// From one step to the next.
    pub fn time(&self) -> Micros {
        self.passes + self.reduction + self.commit
    }

    /// Whether it is clearly shorter than another, by a tenth at least: less is not worth another
    /// plan, whose estimates are no better than that.
    pub fn gains_on(&self, other: &Self) -> bool {
        self.time().0.saturating_mul(10) < other.time().0.saturating_mul(9)
    }

    /// A step along these paths, in the order of microbatches.
    ///
    /// # Errors
    /// See [`PredictError`].
    pub fn of(
        measured: &Measurements,
        roster: &Roster,
        paths: &[Path],
        leader: Peer,
        sizes: &Sizes,
    ) -> Result<Self, PredictError> {
        let hops: Vec<Hop> = roster.hops().collect();
        let clock = Clock {
            measured,
            leader,
            others: hops.len().saturating_sub(1) as u64,
            record: BYTES_OF_A_VISIT
                * paths
                    .iter()
                    .map(|path| path.hops().len() as u64)
                    .sum::<u64>(),
        };
        let (passes, bottleneck) = passes(&clock, &hops, paths, sizes)?;
        let prepared = hops
            .iter()
            .map(|hop| hop.stage)
            .collect::<BTreeSet<Stage>>();
        let prepared = prepared.into_iter().map(|stage| {
            let visiting = paths.iter().filter_map(|path| path.hop_at(stage));
            let tree = ReduceTree::over(visiting.map(|hop| hop.peer).collect());
            let bytes = sizes.sums.get(stage.index()).copied();
            let bytes = bytes.ok_or(PredictError::Sum(stage))?;
            Ok(clock.reduced(stage, &tree, roster.of(stage), bytes))
        });
        let prepared = prepared.collect::<Result<Vec<Micros>, PredictError>>()?;
        let updated = hops.iter().map(|hop| {
            let update = measured.times(*hop).value.update;
            clock.told_record(hop.peer) + update + clock.tells(hop.peer)
        });
        Ok(Self {
            passes,
            reduction: prepared.into_iter().max().unwrap_or_default(),
            commit: updated.max().unwrap_or_default(),
            bottleneck,
        })
    }
}

/// Distances from the leader.
struct Clock<'m> {
    measured: &'m Measurements,
    leader: Peer,
    /// How many others hear of what the leader says to all.
    others: u64,
    /// Bytes of the record.
    record: u64,
}

impl Clock<'_> {
    fn way(&self, from: Peer, to: Peer, bytes: u64) -> Micros {
        match from == to {
            true => Micros::ZERO,
            false => self.measured.link(from, to).value.time(bytes),
        }
    }

    /// A short word of a peer until the leader has it.
    fn tells(&self, peer: Peer) -> Micros {
        self.way(peer, self.leader, 0)
    }

    /// A short word of the leader.
    fn told(&self, peer: Peer) -> Micros {
        self.way(self.leader, peer, 0)
    }

    /// The record, which goes to all at once over one line.
    fn told_record(&self, peer: Peer) -> Micros {
        self.way(self.leader, peer, self.record * self.others)
    }

    /// From the leader's `Close` until it knows that all holders of a stage are prepared.
    #[expect(
        clippy::expect_used,
        reason = "who adds comes behind those whose sums it adds"
    )]
    fn reduced(&self, stage: Stage, tree: &ReduceTree, holders: &[Peer], bytes: u64) -> Micros {
        let Some(root) = tree.root() else {
            // Nothing counts at this stage; its holders say so.
            let prepared = holders
                .iter()
                .map(|peer| self.told_record(*peer) + self.tells(*peer));
            return prepared.max().unwrap_or_default();
        };
        let mut whole: BTreeMap<Peer, Micros> = BTreeMap::new();
        let known = |whole: &BTreeMap<Peer, Micros>, peer| {
            let time = whole.get(&peer).copied();
            time.expect("invariant: a sum comes before the one that it is added to")
        };
        // Children stand behind their parents.
        for &peer in tree.peers().iter().rev() {
            let times = self.measured.times(Hop { stage, peer }).value;
            let own = self.told_record(peer) + times.sum;
            let added = tree.children(peer).into_iter().fold(own, |sum, child| {
                let partial = known(&whole, child);
                sum.max(partial + self.way(child, peer, bytes)) + times.add
            });
            whole.insert(peer, added);
        }
        let here = known(&whole, root);
        let squares = self.measured.times(Hop { stage, peer: root }).value.squares;
        let replicas = holders.iter().filter(|peer| **peer != root);
        // All of them are sent the sum at once, over the root's line.
        let all = bytes * (holders.len() as u64).saturating_sub(1);
        let prepared = replicas.map(|peer| here + self.way(root, *peer, all) + self.tells(*peer));
        let root = here + squares + self.tells(root);
        prepared.fold(root, Micros::max)
    }
}

/// The passes, until the leader has heard of the last one, and what decided most of them.
fn passes(
    clock: &Clock<'_>,
    hops: &[Hop],
    paths: &[Path],
    sizes: &Sizes,
) -> Result<(Micros, Option<LinkUse>), PredictError> {
    let topology = clock.measured.topology(hops, sizes.slots, sizes.hop)?;
    let network = topology.network(sizes.hop)?;
    let longest = paths.iter().map(|path| path.hops().len()).max();
    let mut schedule = Schedule::new(longest.unwrap_or(0).min(usize::from(u16::MAX)) as u16);
    for path in paths {
        let place = |hop: &Hop| {
            let place = hops.iter().position(|known| known == hop);
            place.ok_or(PredictError::Elsewhere(*hop))
        };
        let nodes = path.hops().iter().map(|hop| Ok(Peer(place(hop)? as u32)));
        let nodes = nodes.collect::<Result<Vec<Peer>, PredictError>>()?;
        let added = schedule.push(nodes, clock.told(path.source()));
        debug_assert!(added, "a path has a hop, and no more than the longest");
    }
    let mut simulator = Simulator::new();
    let report = simulator.report(&network, &schedule)?;
    let done = paths
        .iter()
        .enumerate()
        .map(|(microbatch, path)| Micros(simulator.done(microbatch)) + clock.tells(path.source()));
    let peer = |node: Peer| hops[node.index()].peer;
    let bottleneck = report.bottleneck.map(|link| LinkUse {
        from: peer(link.from),
        to: peer(link.to),
        ..link
    });
    Ok((done.max().unwrap_or_default(), bottleneck))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{LinkMeasure, PairMeasure, Report, StageTimes};

    const MILLI: u64 = 1000;

    /// Everything takes one millisecond, or so many; links are 10 ms long and move 1 kB in 1 ms.
    fn measured(peers: u32, stages: u32) -> Measurements {
        let mut known = Measurements::new();
        let link = LinkMeasure {
            latency: Micros(10 * MILLI),
            bytes_per_second: 1_000_000,
        };
        let all = |peer: u32| StageTimes {
            stage: Stage((peer % stages) as u16),
            forward: Micros(2 * MILLI),
            backward: Micros(3 * MILLI),
            loss: Micros(MILLI),
            sum: Micros(4 * MILLI),
            add: Micros(5 * MILLI),
            squares: Micros(6 * MILLI),
            update: Micros(7 * MILLI),
        };
        for me in 0..peers {
            let others = (0..peers)
                .filter(|peer| *peer != me)
                .map(|peer| PairMeasure {
                    peer: Peer(peer),
                    to: Some(link),
                    from: Some(link),
                });
            let report = Report {
                pairs: others.collect(),
                times: Some(all(me)),
            };
            known.insert(Peer(me), report, peers).unwrap();
        }
        known
    }

    fn path(peers: &[u32]) -> Path {
        let hops = (0..).map(Stage).zip(peers);
        let hops = hops.map(|(stage, peer)| Hop {
            stage,
            peer: Peer(*peer),
        });
        Path::new(hops.collect()).unwrap()
    }

    fn sizes(hop: u64, sum: u64) -> Sizes {
        Sizes {
            hop,
            sums: vec![sum; 2],
            slots: 2,
        }
    }

    #[test]
    fn a_step_of_two_peers_by_hand() {
        let roster = Roster(vec![vec![Peer(0)], vec![Peer(1)]]);
        let step = Prediction::of(
            &measured(2, 2),
            &roster,
            &[path(&[0, 1])],
            Peer(0),
            &sizes(20_000, 5_000),
        );
        let step = step.unwrap();
        // Two forward, loss, two backward, and four messages of 10 + 20 ms.
        let passes = 2 + 2 + 1 + 3 + 3 + 4 * 30;
        assert_eq!(step.passes, Micros(passes * MILLI));
        // The record has 160 bytes; then sum and squares, there is no replica.
        assert_eq!(step.reduction, Micros((10 + 4 + 6 + 10) * MILLI + 160));
        assert_eq!(step.commit, Micros((10 + 7 + 10) * MILLI + 160));
        let bottleneck = step.bottleneck.unwrap();
        assert_eq!(bottleneck.deciding, Micros(60 * MILLI));
    }

    #[test]
    fn a_stage_whose_sum_has_no_size_is_named() {
        let roster = Roster(vec![vec![Peer(0)], vec![Peer(1)], vec![Peer(2)]]);
        let known = measured(3, 3);
        let paths = [path(&[0, 1, 2])];
        let step = Prediction::of(&known, &roster, &paths, Peer(0), &sizes(20_000, 5_000));
        assert_eq!(step, Err(PredictError::Sum(Stage(2))));
    }

    #[test]
    fn replicas_add_their_sums_and_get_the_whole() {
        let roster = Roster(vec![vec![Peer(0), Peer(2)], vec![Peer(1), Peer(3)]]);
        let paths = [path(&[0, 1]), path(&[2, 3])];
        let all = |leader| {
            let known = measured(4, 2);
            Prediction::of(&known, &roster, &paths, Peer(leader), &sizes(20_000, 5_000)).unwrap()
        };
        let step = all(0);
        // The other source begins 10 ms later and tells 10 ms later.
        assert_eq!(step.passes, Micros((131 + 20) * MILLI));
        // 320 bytes to three; sum, 15 ms to the root, add, 15 ms to the replica, its word.
        let tree = 10 + 4 + 15 + 5 + 15 + 10;
        assert_eq!(step.reduction, Micros(tree * MILLI + 960));
        assert_eq!(all(2).time(), step.time(), "all links are alike");
        // A larger sum costs both ways of the tree.
        let known = measured(4, 2);
        let large =
            Prediction::of(&known, &roster, &paths, Peer(0), &sizes(20_000, 25_000)).unwrap();
        assert_eq!(large.reduction, step.reduction + Micros(40 * MILLI));
    }

    #[test]
    fn paths_through_others_than_holders_have_no_time() {
        let roster = Roster(vec![vec![Peer(0)], vec![Peer(1)]]);
        let step = Prediction::of(
            &measured(3, 2),
            &roster,
            &[path(&[0, 2])],
            Peer(0),
            &sizes(1, 1),
        );
        let error = step.unwrap_err().to_string();
        assert_eq!(
            error,
            "a path visits peer 2 for stage 1, which it does not hold"
        );
    }
}
