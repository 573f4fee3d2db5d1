//! Swarms in a world with bad clocks, long links, slow members and messages for the few.

use std::sync::Arc;

use super::tests::{play, rows};
use super::*;
use crate::config::Windows;
use crate::rejection::Rejection;

/// Messages of a member in a round of the toy swarm: three seals, an attestation, one practice
/// answer, and an answer, a critique and a decision for both common questions.
const MESSAGES: u64 = 3 + 1 + 1 + 3 * 2;

/// Peers all over the world, with windows that its delays leave room in.
fn world(peers: u16, rounds: u64, seed: u64) -> Spec {
    let mut spec = toy::spec(peers, rounds, seed).over_the_world();
    Arc::make_mut(&mut spec.swarm).windows = Windows::uniform(3_000);
    spec
}

fn with_mesh(mut spec: Spec) -> Spec {
    spec.network.mesh = MESH;
    spec
}

#[test]
fn one_seed_one_world() {
    let history = |seed| {
        let roles = [Role::Edge, Role::Equivocator, Role::Half, Role::EdgeHalf];
        let mut spec = world(16, 2, seed).with_last(5, &roles).with_laggards(2);
        for (index, peer) in spec.peers.iter_mut().enumerate() {
            peer.drift_ppm = 40 * (index as i32 - 8);
        }
        let report = play(spec);
        let digests = report.rounds.values().map(|round| round.digests.clone());
        let delivered = (report.deliveries, report.delivered_bytes);
        (
            digests.collect::<Vec<_>>(),
            report.all_counters(),
            delivered,
        )
    };
    assert_eq!(history(3), history(3));
    assert_ne!(history(3), history(4));
}

#[test]
fn members_all_over_the_world_agree_when_windows_are_long_enough() {
    let report = play(world(20, 3, 9));
    assert_eq!(report.settled(), 3);
    let calm = play(Spec {
        network: Network::default(),
        ..world(20, 3, 9)
    });
    assert_eq!(report.transcript_digest(), calm.transcript_digest());
}

#[test]
fn drifting_clocks_change_no_score() {
    let calm = toy::spec(12, 3, 9);
    let mut drifting = calm.clone();
    for (index, peer) in drifting.peers.iter_mut().enumerate() {
        // After three rounds of seven seconds, up to 126 ms either way.
        peer.drift_ppm = (index as i32 - 6) * 1_000;
    }
    let (calm, drifting) = (play(calm), play(drifting));
    assert_eq!(drifting.settled(), 3);
    assert_eq!(drifting.transcript_digest(), calm.transcript_digest());
}

#[test]
fn forwarding_on_a_calm_network_changes_nothing_but_times() {
    let (direct, forwarded) = (
        play(toy::spec(16, 2, 5)),
        play(with_mesh(toy::spec(16, 2, 5))),
    );
    assert_eq!(forwarded.transcript_digest(), direct.transcript_digest());
    assert_eq!(forwarded.settled(), 2);
    // Nobody gets anything twice.
    assert_eq!(forwarded.deliveries, direct.deliveries);
    assert_eq!(forwarded.delivered_bytes, direct.delivered_bytes);
    assert_eq!(direct.deliveries, 16 * 15 * 2 * MESSAGES);
}

#[test]
fn attackers_do_not_change_what_honest_members_hear_from_each_other() {
    let spec = |roles: &[Role]| with_mesh(toy::spec(30, 2, 7)).with_last(8, roles);
    let expected = rows(&play(spec(&[Role::Honest])), 22);
    for role in Role::HOSTILE {
        let report = play(spec(&[role]));
        assert_eq!(rows(&report, 22), expected, "{role:?}");
        assert_eq!(report.settled(), 2, "{role:?}");
    }
}

#[test]
fn forwarding_heals_lost_links() {
    let mut lossy = toy::spec(20, 3, 9);
    (lossy.network.loss, lossy.network.attempts) = (0.1, 1);
    let calm = play(toy::spec(20, 3, 9));
    assert_eq!(play(lossy.clone()).settled(), 0);
    let healed = play(with_mesh(lossy));
    assert_eq!(healed.settled(), 3);
    assert_eq!(healed.transcript_digest(), calm.transcript_digest());
}

#[test]
fn a_message_for_half_of_the_members_reaches_that_half() {
    let (peers, rounds) = (11, 2);
    let calm = play(toy::spec(peers, rounds, 5));
    let half = play(toy::spec(peers, rounds, 5).with_last(1, &[Role::Half]));
    assert_eq!(half.settled(), 0);
    // Five of ten others do not get it.
    assert_eq!(calm.deliveries - half.deliveries, 5 * rounds * MESSAGES);
}

#[test]
fn forwarding_heals_messages_for_half_of_the_members() {
    let spec = |roles: &[Role]| with_mesh(toy::spec(20, 3, 9)).with_last(4, roles);
    let mut half = spec(&[Role::Half]);
    // The first of them is ahead: what it says is held until its window, and forwarded then.
    half.peers[16].skew_ms = 100;
    let (calm, half) = (play(spec(&[Role::Honest])), play(half));
    assert_eq!(half.settled(), 3);
    assert_eq!(half.transcript_digest(), calm.transcript_digest());
}

#[test]
fn a_member_at_the_edge_reaches_about_half_of_the_others_in_time() {
    let (peers, rounds) = (21, 4);
    for skew_ms in [0, 300, -200] {
        let mut spec = toy::spec(peers, rounds, 5).with_last(1, &[Role::Edge]);
        spec.peers[20].skew_ms = skew_ms;
        let late = play(spec).all_counters().rejected(Rejection::Late);
        let all = 20 * rounds * MESSAGES;
        let expected = match skew_ms {
            0 => all / 4..all * 3 / 4,
            // A clock that is ahead ends windows too soon for itself; one behind is late, and its
            // last attestation may come when the simulation is over.
            300 => 0..1,
            _ => all - 20..all + 1,
        };
        assert!(expected.contains(&late), "{skew_ms}: {late} of {all}");
    }
}

#[test]
fn half_at_the_edge_is_half_of_half() {
    let (peers, rounds) = (21, 4);
    let report = play(toy::spec(peers, rounds, 5).with_last(1, &[Role::EdgeHalf]));
    let late = report.all_counters().rejected(Rejection::Late);
    let sent = 10 * rounds * MESSAGES;
    assert!((sent / 4..sent * 3 / 4).contains(&late), "{late} of {sent}");
    let honest = 20 * 20 * rounds * MESSAGES;
    // The last attestation may come when the simulation is over.
    let expected = honest + sent - 10..=honest + sent;
    assert!(
        expected.contains(&report.deliveries),
        "{}",
        report.deliveries
    );
}

#[test]
fn a_laggard_is_seen_in_time_by_some_members_only() {
    let report = play(toy::spec(12, 4, 5).with_laggards(1));
    let late = report.all_counters().rejected(Rejection::Late);
    assert!((1..4 * 11 * 3).contains(&late), "{late}");
    let split = report
        .rounds
        .values()
        .filter(|round| round.digests.len() > 1);
    assert!(split.count() > 0);
}

#[test]
fn a_peer_in_no_region_is_refused() {
    let mut spec = world(6, 1, 3);
    spec.peers[4].home.region = 5;
    let refused = Simulation::new(spec, Arc::new(toy::ToyJudge)).err();
    assert_eq!(refused, Some(run::SimulationError::Region(4, 5)));
}

/// What agreement must mend: while each member's own clock decides what counts, one member whose
/// messages arrive at the edges of their windows leaves no round with a quorum.
#[test]
fn one_clock_behind_splits_every_round() {
    let mut spec = toy::spec(30, 20, 1);
    spec.peers[29].skew_ms = -650;
    let report = play(spec);
    assert_eq!((report.rounds.len(), report.settled()), (20, 0));
    let rounds = report.rounds.values();
    let mut settlements = rounds.flat_map(|round| round.settlements.values());
    assert!(settlements.all(|settlement| settlement.digest.is_none()));
}
