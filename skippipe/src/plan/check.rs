//! Whether a plan keeps what plans must keep.

use std::collections::BTreeMap;

use super::request::Request;
use super::stages::balanced;
use super::step::Plan;
use crate::path::{Microbatch, Path, Peer, Stage};
use crate::topology::Topology;

/// What a plan breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It is for other peers.
    #[error("a plan for {planned} peers; there are {peers}")]
    Peers {
        /// Whom it has a stage for.
        planned: usize,
        /// Who is there.
        peers: usize,
    },
    /// A peer serves another stage than it must, or one that the model does not have.
    #[error("{peer} is planned for {stage}, which it does not serve")]
    Placement {
        /// Who.
        peer: Peer,
        /// What the plan says.
        stage: Stage,
    },
    /// A path visits a peer for a stage that the plan does not give it.
    #[error("{microbatch} visits {peer} for {stage}, which it does not serve")]
    Serves {
        /// Whose path.
        microbatch: Microbatch,
        /// Whom it visits.
        peer: Peer,
        /// What for.
        stage: Stage,
    },
    /// A path is too long or too short.
    #[error("{microbatch} visits {seen} stages; paths visit {visits}")]
    Visits {
        /// Whose path.
        microbatch: Microbatch,
        /// How many stages it visits.
        seen: usize,
        /// How many it must.
        visits: u16,
    },
    /// A path goes too far ahead.
    #[error("{microbatch} goes {jump} stages ahead after {stage}; the most is {max_jump}")]
    Jump {
        /// Whose path.
        microbatch: Microbatch,
        /// Where it jumps.
        stage: Stage,
        /// How far.
        jump: u16,
        /// How far it may.
        max_jump: u16,
    },
    /// A peer of stage 0 has more or fewer microbatches than were asked for.
    #[error("{peer} has {seen} microbatches; every peer of stage 0 has {microbatches}")]
    Microbatches {
        /// Who.
        peer: Peer,
        /// How many it has.
        seen: usize,
        /// How many it must have.
        microbatches: u32,
    },
    /// A stage is visited more or less often than others.
    #[error("{stage} has {visits} visits in wave {wave}; balanced are {fewest} to {most}")]
    Balance {
        /// Which wave.
        wave: usize,
        /// Which stage.
        stage: Stage,
        /// How often it is visited.
        visits: usize,
        /// The fewest that balance.
        fewest: usize,
        /// The most.
        most: usize,
    },
}

impl Plan {
    /// Whether this is a plan for a topology and what was asked for.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn check(&self, topology: &Topology, request: &Request) -> Result<(), Violation> {
        check_placement(self, topology, request)?;
        for (index, path) in self.paths.iter().enumerate() {
            check_path(path, Microbatch(index as u32), self, request)?;
        }
        check_waves(self, topology, request)
    }
}

fn check_placement(plan: &Plan, topology: &Topology, request: &Request) -> Result<(), Violation> {
    let (planned, peers) = (plan.placement.len(), topology.nodes().len());
    if planned != peers {
        return Err(Violation::Peers { planned, peers });
    }
    for (node, (stage, known)) in plan.placement.iter().zip(topology.nodes()).enumerate() {
        let other = known.stage.is_some_and(|known| known != *stage);
        if other || stage.0 >= request.stages {
            let (peer, stage) = (Peer(node as u32), *stage);
            return Err(Violation::Placement { peer, stage });
        }
    }
    Ok(())
}

fn check_path(
    path: &Path,
    microbatch: Microbatch,
    plan: &Plan,
    request: &Request,
) -> Result<(), Violation> {
    let seen = path.hops().len();
    if seen != usize::from(request.visits) {
        let visits = request.visits;
        return Err(Violation::Visits {
            microbatch,
            seen,
            visits,
        });
    }
    for hop in path.hops() {
        if plan.placement.get(hop.peer.index()) != Some(&hop.stage) {
            let (peer, stage) = (hop.peer, hop.stage);
            return Err(Violation::Serves {
                microbatch,
                peer,
                stage,
            });
        }
    }
    let next = path.hops()[1..].iter().map(|hop| hop.stage.0);
    let next = next.chain(std::iter::once(request.stages));
    for (hop, next) in path.hops().iter().zip(next) {
        let (stage, jump, max_jump) = (hop.stage, next - hop.stage.0, request.max_jump);
        if jump > max_jump {
            return Err(Violation::Jump {
                microbatch,
                stage,
                jump,
                max_jump,
            });
        }
    }
    Ok(())
}

fn check_waves(plan: &Plan, topology: &Topology, request: &Request) -> Result<(), Violation> {
    let mut sent: BTreeMap<Peer, usize> = plan.sources().map(|peer| (peer, 0)).collect();
    let mut waves: BTreeMap<usize, (usize, Vec<usize>)> = BTreeMap::new();
    for path in &plan.paths {
        let count = sent.entry(path.source()).or_default();
        let wave = *count / usize::from(topology.nodes()[path.source().index()].slots);
        *count += 1;
        let empty = || (0, vec![0; usize::from(request.stages)]);
        let (paths, visits) = waves.entry(wave).or_insert_with(empty);
        *paths += 1;
        path.hops()
            .iter()
            .for_each(|hop| visits[hop.stage.index()] += 1);
    }
    for (peer, seen) in sent {
        let microbatches = request.microbatches;
        if seen != microbatches as usize {
            return Err(Violation::Microbatches {
                peer,
                seen,
                microbatches,
            });
        }
    }
    for (wave, (paths, visits)) in waves {
        let (fewest, most) = balanced(paths, request.stages, request.visits);
        let wrong = |stage: &usize| !(fewest..=most).contains(&visits[*stage]);
        if let Some(stage) = (1..visits.len()).find(wrong) {
            return Err(Violation::Balance {
                wave,
                stage: Stage(stage as u16),
                visits: visits[stage],
                fewest,
                most,
            });
        }
    }
    Ok(())
}
