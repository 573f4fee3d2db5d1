//! Open swarms: members that come, go and come back, and those who work against it.

use swarm_identity::key::PeerId;

use super::tests::{play, start};
use super::*;
use crate::clock::Window;

/// Rounds of an epoch.
const EPOCH: u64 = 3;

/// The peers that are members of a round, by index.
fn members(report: &SimulationReport, round: u64) -> Vec<usize> {
    let decided = report.rounds[&round].decided.as_ref().unwrap();
    let members = &decided.transcript().plan.members;
    let is_member = |(_, peer): &(usize, &PeerId)| members.find(peer).is_some();
    let peers = report.peers.iter().enumerate();
    peers.filter(is_member).map(|(index, _)| index).collect()
}

/// Every round has one result, and so one list of members, at every honest peer.
fn check(report: &SimulationReport, rounds: u64, honest: usize) {
    assert_eq!(report.rounds.len() as u64, rounds);
    for (number, round) in &report.rounds {
        assert_eq!(round.digests.len(), 1, "round {number}");
        assert_eq!(round.delays.len(), honest, "round {number}");
    }
}

/// A peer that starts in the middle of a round.
fn joins(spec: &Spec, peer: usize, round: u64) -> Crash {
    Crash::new(peer, 0, start(spec, round, Window::ShareReveal))
}

fn points(report: &SimulationReport, peer: usize, round: u64) -> i64 {
    let result = report.rounds[&round].result().unwrap();
    let mut scores = result.scores.iter();
    let score = scores.find(|score| score.peer == report.peers[peer]);
    score.map_or(0, |score| score.rows.total())
}

#[test]
fn members_come_go_and_come_back_under_loss() {
    let mut spec = toy::open_spec(7, 4, 30, 5);
    (spec.network.loss, spec.network.mesh) = (0.05, MESH);
    let (leaves, returns) = (
        start(&spec, 3, Window::ShareSeal) - 100,
        start(&spec, 21, Window::ShareReveal),
    );
    spec.crashes = vec![
        joins(&spec, 5, 4),
        joins(&spec, 6, 7),
        Crash::new(3, leaves, returns),
    ];
    let report = play(spec);
    check(&report, 30, 7);
    let of_epoch = |epoch: u64| {
        let [first, .., last] = [0, 1, 2].map(|round| members(&report, epoch * EPOCH + round));
        assert_eq!(first, last);
        first
    };
    // Peer 4 says hello in round 0, peer 5 in round 5, peer 6 in round 8. Peer 3 is silent in
    // epochs 1 to 3, says hello in round 22 and is a member two epochs later.
    assert_eq!(of_epoch(1), [0, 1, 2, 3]);
    assert_eq!(of_epoch(2), [0, 1, 2, 3, 4]);
    assert_eq!(of_epoch(3), [0, 1, 2, 3, 4, 5]);
    assert_eq!(of_epoch(4), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(of_epoch(5), [0, 1, 2, 4, 5, 6]);
    assert_eq!(of_epoch(8), [0, 1, 2, 4, 5, 6]);
    assert_eq!(of_epoch(9), [0, 1, 2, 3, 4, 5, 6]);
    assert!(points(&report, 5, 8) == 0 && points(&report, 5, 9) > 0);
    assert!(points(&report, 3, 28) > 0);
}

#[test]
fn newcomers_cannot_be_kept_out_by_less_than_a_third() {
    let mut spec = toy::open_spec(13, 10, 9, 7);
    spec.network.mesh = MESH;
    spec.peers[7..10]
        .iter_mut()
        .for_each(|peer| peer.role = Role::Excluder);
    // One newcomer shows itself to half of the members, which forward it.
    spec.peers[12].role = Role::Half;
    let report = play(spec);
    check(&report, 9, 9);
    assert_eq!(members(&report, 5), (0..10).collect::<Vec<_>>());
    assert_eq!(members(&report, 6), (0..13).collect::<Vec<_>>());
    assert!(points(&report, 10, 8) > 0);
}

#[test]
fn a_hello_that_half_of_the_members_hear_splits_nothing() {
    for seed in 0..4 {
        let mut spec = toy::open_spec(10, 7, 9, seed);
        spec.peers[6].role = Role::Excluder;
        spec.peers[7..]
            .iter_mut()
            .for_each(|peer| peer.role = Role::EdgeHalf);
        let report = play(spec);
        check(&report, 9, 6);
    }
}

#[test]
fn thirty_peers_that_only_say_hello_stop_nothing() {
    let mut spec = toy::open_spec(36, 5, 18, 5);
    spec.peers[6..]
        .iter_mut()
        .for_each(|peer| peer.role = Role::Sybil);
    let report = play(spec);
    check(&report, 18, 6);
    assert_eq!(members(&report, 6).len(), 36);
    assert!(points(&report, 5, 7) > 0);
    // Silent in epochs 2 to 4, they are none in epoch 6; that would be round 18.
    assert_eq!(members(&report, 17).len(), 36);
}

#[test]
fn an_open_swarm_may_stop_as_a_whole_and_goes_on() {
    for step in [60, 200, 420, 700] {
        let mut spec = toy::open_spec(5, 4, 12, 5);
        let crash = |peer| Crash {
            peer,
            stop: Stop::Before(step),
            down_ms: 9_000,
            memory: Memory::Journal,
        };
        spec.crashes = (0..5).map(crash).collect();
        let report = play(spec);
        check(&report, 12, 5);
        assert!(report.not_replayed.is_empty(), "{:?}", report.not_replayed);
        assert_eq!(members(&report, 11), [0, 1, 2, 3, 4]);
    }
}

/// While all are away for longer than two epochs, nobody plays the rounds from which members and
/// voters follow.
#[test]
fn a_swarm_that_slept_for_epochs_decides_what_it_missed() {
    let mut spec = toy::open_spec(5, 4, 20, 5);
    let (at, back) = (
        start(&spec, 4, Window::DecideSeal),
        start(&spec, 13, Window::ShareReveal),
    );
    spec.crashes = (0..5)
        .map(|peer| Crash::new(peer, at, back).with_journal())
        .collect();
    let report = play(spec);
    check(&report, 20, 5);
    assert!(report.not_replayed.is_empty(), "{:?}", report.not_replayed);
}
