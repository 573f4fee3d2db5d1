//! Paths for a step, through whoever holds the stages.
//!
//! The planner ([`skippipe::plan`]) wants every stage held, as many microbatches at every peer of stage 0,
//! and at least one slot. Where peers are lost this cannot always be; microbatches then take peers by
//! turns, and leave out stages by turns.

use skippipe::path::{Hop, Path, Peer, Stage};
use skippipe::plan::{Plan, Request};
use skippipe::topology::{Costs, Links, Micros, Node, Topology};
use skippipe::transcript::Roster;

/// What a planner is told of a pipeline.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Microbatches of a step.
    pub microbatches: u32,
    /// Stages that a microbatch visits.
    pub visits: u16,
    /// Microbatches that a peer holds.
    pub slots: u16,
    /// Bytes of a hop.
    pub hop_bytes: u64,
    /// Time of a stage's forward pass.
    pub forward: Micros,
    /// One way to each peer, as it was measured from here; by number of peer.
    pub latency: Vec<Micros>,
}

/// How fast links are taken to be until they are measured: 100 Mbit/s.
const BYTES_PER_SECOND: u64 = 12_500_000;

/// Paths for the microbatches of a step, in their order.
pub fn paths(roster: &Roster, wish: &Wish, step: u64) -> Vec<Path> {
    planned(roster, wish, step).unwrap_or_else(|| by_turns(roster, wish, step))
}

fn planned(roster: &Roster, wish: &Wish, step: u64) -> Option<Vec<Path>> {
    let hops: Vec<Hop> = roster.hops().collect();
    let sources = roster.of(Stage::FIRST).len() as u32;
    let each = wish.microbatches.checked_div(sources)?;
    let whole = each * sources == wish.microbatches;
    if !whole || roster.0.iter().any(Vec::is_empty) {
        return None;
    }
    let nodes = hops
        .iter()
        .map(|hop| Node::new(wish.forward, wish.slots, Some(hop.stage)));
    let of = |hop: &Hop| wish.latency.get(hop.peer.index()).map_or(0, |time| time.0);
    let latency = hops.iter().map(|from| {
        let way = |to: &Hop| {
            if from == to {
                Micros(0)
            } else {
                Micros(of(from) + of(to))
            }
        };
        hops.iter().map(way).collect()
    });
    let links = Links::Modelled {
        latency: latency.collect(),
        bytes_per_second: vec![vec![BYTES_PER_SECOND; hops.len()]; hops.len()],
        overhead: Micros(0),
    };
    let topology = Topology::new(nodes.collect(), links, Costs::default()).ok()?;
    let request = Request {
        stages: roster.0.len() as u16,
        visits: wish.visits,
        max_jump: 4,
        microbatches: each,
        bytes: wish.hop_bytes,
        seed: step,
        evaluations: None,
    };
    let plan = Plan::make(&topology, &request).ok()?;
    let renamed = plan.paths.iter().map(|path| {
        let own = path
            .hops()
            .iter()
            .map(|hop| hops.get(hop.peer.index()).copied());
        Path::new(own.collect::<Option<Vec<Hop>>>()?).ok()
    });
    let paths: Vec<Path> = renamed.collect::<Option<_>>()?;
    (paths.len() == wish.microbatches as usize).then_some(paths)
}

fn by_turns(roster: &Roster, wish: &Wish, step: u64) -> Vec<Path> {
    let path = |microbatch: usize| {
        let turn = microbatch + step as usize;
        let held = (0..)
            .map(Stage)
            .zip(&roster.0)
            .filter(|(_, peers)| !peers.is_empty());
        let mut hops: Vec<Hop> = held
            .map(|(stage, peers)| {
                let peer: Peer = peers[microbatch % peers.len()];
                Hop { stage, peer }
            })
            .collect();
        while hops.len() > usize::from(wish.visits).max(1) {
            hops.remove(1 + turn % (hops.len() - 1));
        }
        Path::new(hops).ok()
    };
    (0..wish.microbatches as usize).filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(stages: &[&[u32]]) -> Roster {
        let stages = stages.iter();
        Roster(
            stages
                .map(|peers| peers.iter().copied().map(Peer).collect())
                .collect(),
        )
    }

    fn wish(microbatches: u32, visits: u16) -> Wish {
        Wish {
            microbatches,
            visits,
            slots: 2,
            hop_bytes: 1 << 16,
            forward: Micros(50_000),
            latency: vec![Micros(10_000); 9],
        }
    }

    #[test]
    fn every_path_is_of_the_roster_and_visits_as_many_stages() {
        let rosters = [
            roster(&[&[0, 3], &[1, 4], &[2, 5]]),
            roster(&[&[3], &[1, 4], &[2]]),
            roster(&[&[0, 3], &[], &[5]]),
            roster(&[&[7]]),
        ];
        for roster in &rosters {
            for (microbatches, visits) in [(6, 3), (6, 2), (5, 2), (4, 1)] {
                let held = roster.0.iter().filter(|peers| !peers.is_empty()).count();
                for step in 0..3 {
                    let paths = paths(roster, &wish(microbatches, visits), step);
                    assert_eq!(paths.len(), microbatches as usize);
                    for path in &paths {
                        assert_eq!(path.hops().len(), held.min(usize::from(visits)));
                        assert!(path.hops().iter().all(|hop| roster.holds(*hop)));
                    }
                }
            }
        }
    }
}
