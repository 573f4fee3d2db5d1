//! A hundred hours of a swarm: nothing that a core holds grows with time.

use std::sync::Arc;

use super::super::spec::{Role, Spec};
use super::super::toy::{self, ToyDriver, ToyJudge};
use super::Simulation;
use crate::clock::{Clock, Millis};
use crate::codec;
use crate::config::{SwarmConfig, Windows};
use crate::state::Census;

const HOUR: Millis = 3_600_000;
const HOURS: Millis = 100;
/// Hours whose largest counts are compared with those of other hours.
const SPAN: Millis = 20;

/// The most that any honest core held at any moment of a span of hours.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    census: Census,
    /// Bytes of what a segment of its journal begins with.
    snapshot: usize,
}

/// A swarm that plays a round in eight minutes, for so many hours.
fn long(spec: Spec) -> Spec {
    let window = 60_000;
    let swarm = SwarmConfig {
        windows: Windows {
            settle_ms: 2 * window,
            ..Windows::uniform(window)
        },
        ..(*spec.swarm).clone()
    };
    let mut spec = Spec {
        rounds: HOURS * HOUR / Clock::new(&swarm).length(),
        swarm: Arc::new(swarm),
        compute_ms: 20_000,
        ..spec
    };
    spec.network.loss = 0.02;
    spec
}

/// Plays a swarm and counts span by span.
fn most_by_span(spec: Spec) -> Vec<Most> {
    let mut driver = ToyDriver::new(65, spec.seed);
    let rounds = spec.rounds;
    let mut simulation = Simulation::new(spec, Arc::new(ToyJudge)).unwrap();
    let mut spans = vec![Most::default(); (HOURS / SPAN) as usize];
    let mut second = 0;
    while let Some(now) = simulation.moment(&mut driver) {
        if std::mem::replace(&mut second, now / 1_000) == now / 1_000 {
            continue;
        }
        // The last rounds are waited for.
        let Some(most) = spans.get_mut((now / (SPAN * HOUR)) as usize) else {
            continue;
        };
        let honest = simulation.peers.iter().filter(|it| it.role == Role::Honest);
        for core in honest.filter_map(|peer| peer.core.as_ref()) {
            let snapshot = codec::canonical(&core.journal_snapshot()).unwrap();
            most.census = most.census.max(core.census());
            most.snapshot = most.snapshot.max(snapshot.len());
        }
    }
    assert_eq!(simulation.finish().agreed(), rounds as usize);
    spans
}

fn counts(most: &Most) -> [usize; 8] {
    let Census {
        active,
        undecided,
        open,
        history,
        members,
        missed,
        early,
    } = most.census;
    [
        active,
        undecided,
        open,
        history,
        members,
        missed,
        early,
        most.snapshot,
    ]
}

fn grows_nowhere(spec: Spec) {
    let spans = most_by_span(long(spec));
    let (first, later) = spans.split_first().unwrap();
    assert!(first.census.active > 0 && first.census.open > 0);
    for most in later {
        // A lost message may leave one more entry for a while, and numbers of rounds need more
        // bytes as they grow. A round that leaves anything behind leaves hundreds of entries in a
        // span.
        let pairs = counts(most).into_iter().zip(counts(first));
        let grown = pairs.filter(|(now, then)| *now > then + 2 + then / 20);
        assert_eq!(grown.count(), 0, "{spans:#?}");
    }
}

#[test]
fn a_core_does_not_grow_in_a_hundred_hours() {
    grows_nowhere(toy::spec(4, 0, 1));
}

#[test]
fn a_core_of_an_open_swarm_does_not_grow_in_a_hundred_hours() {
    grows_nowhere(toy::open_spec(4, 3, 0, 1));
}
