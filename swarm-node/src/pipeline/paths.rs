//! Paths for a step, through whoever holds the stages, and what it should take.
//!
//! The planner ([`skippipe::plan`]) wants every stage held, as many microbatches at every peer of
//! stage 0, and at least one slot. Where peers are lost this cannot always be; microbatches then
//! take peers by turns, and leave out stages by turns.

use skippipe::measured::Measurements;
use skippipe::path::{Hop, Path, Peer, Stage};
use skippipe::plan::{Plan, Request};
use skippipe::predict::{Prediction, Sizes};
use skippipe::transcript::Roster;

/// What a planner is told of a pipeline.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Microbatches of a step.
    pub microbatches: u32,
    /// Stages that a microbatch visits.
    pub visits: u16,
    /// What a step sends, and how many microbatches a peer holds.
    pub sizes: Sizes,
}

/// Paths for a step.
#[derive(Clone, Debug)]
pub struct Planned {
    /// For the microbatches, in their order.
    pub paths: Vec<Path>,
    /// What the step should take; none where that cannot be told.
    pub prediction: Option<Prediction>,
}

/// Plans a step that a peer leads. Where no plan can be made (sources have different numbers of
/// microbatches, or nobody holds some stage), or none fits what is known of links, peers take
/// turns.
pub fn plan(
    roster: &Roster,
    wish: &Wish,
    measured: &Measurements,
    leader: Peer,
    step: u64,
) -> Planned {
    let planned = planned(roster, wish, measured, step);
    let paths = planned.unwrap_or_else(|| by_turns(roster, wish, step));
    Planned {
        prediction: Prediction::of(measured, roster, &paths, leader, &wish.sizes).ok(),
        paths,
    }
}

/// Plans again where more is known than when these paths were planned: they stay unless others are
/// clearly better ([`Prediction::gains_on`]).
pub fn replan(
    paths: Vec<Path>,
    roster: &Roster,
    wish: &Wish,
    measured: &Measurements,
    leader: Peer,
    step: u64,
) -> Planned {
    let new = plan(roster, wish, measured, leader, step);
    let old = Prediction::of(measured, roster, &paths, leader, &wish.sizes).ok();
    let gains = match (&new.prediction, &old) {
        (Some(new), Some(old)) => new.gains_on(old),
        // Paths of which nothing can be told are no better.
        (Some(_), None) => true,
        (None, _) => false,
    };
    let prediction = old;
    match gains {
        true => new,
        false => Planned { paths, prediction },
    }
}

fn planned(roster: &Roster, wish: &Wish, measured: &Measurements, step: u64) -> Option<Vec<Path>> {
    let hops: Vec<Hop> = roster.hops().collect();
    let sources = roster.of(Stage::FIRST).len() as u32;
    let each = wish.microbatches.checked_div(sources)?;
    let is_even = each * sources == wish.microbatches;
    if !is_even || roster.0.iter().any(Vec::is_empty) {
        return None;
    }
    let (slots, bytes) = (wish.sizes.slots, wish.sizes.hop);
    let topology = measured.topology(&hops, slots, bytes).ok()?;
    let request = Request {
        stages: roster.0.len() as u16,
        visits: wish.visits,
        max_jump: 4,
        microbatches: each,
        bytes,
        seed: step,
        evaluations: None,
    };
    let plan = Plan::make(&topology, &request).ok()?;
    // The plan's peers are places in the list of hops.
    let renamed = plan.paths.iter().map(|path| {
        let own = path.hops().iter().map(|hop| hops[hop.peer.index()]);
        whole(own.collect())
    });
    Some(renamed.collect())
}

#[expect(clippy::expect_used, reason = "a leader holds stage 0")]
fn whole(hops: Vec<Hop>) -> Path {
    Path::new(hops).expect("invariant: hops begin at stage 0 and ascend")
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
        whole(hops)
    };
    (0..wish.microbatches as usize).map(path).collect()
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
            sizes: Sizes {
                hop: 1 << 16,
                sums: vec![1 << 16; 3],
                slots: 2,
            },
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
                    let leader = roster.of(Stage::FIRST)[0];
                    let wish = wish(microbatches, visits);
                    let Planned { paths, prediction } =
                        plan(roster, &wish, &Measurements::new(), leader, step);
                    assert!(prediction.is_some());
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
