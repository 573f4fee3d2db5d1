//! Swarms in a world with bad clocks, long links, slow members and messages for the few.

use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{play, rows, start};
use super::*;
use crate::clock::Window;
use crate::config::Windows;
use crate::rejection::Rejection;

/// Contents of a member in a round of the toy swarm: three seals, one practice answer, and an
/// answer, a critique and a decision for both common questions.
const CONTENTS: u64 = 3 + 1 + 3 * 2;
/// All messages of a member in a round that is decided at once: contents, a receipt and two votes.
/// One member proposes besides.
const MESSAGES: u64 = CONTENTS + 3;

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
    assert_eq!(report.agreed(), 3);
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
    assert_eq!(drifting.agreed(), 3);
    assert_eq!(drifting.transcript_digest(), calm.transcript_digest());
}

#[test]
fn forwarding_on_a_calm_network_changes_nothing_but_times() {
    let (direct, forwarded) = (
        play(toy::spec(16, 2, 5)),
        play(with_mesh(toy::spec(16, 2, 5))),
    );
    assert_eq!(forwarded.transcript_digest(), direct.transcript_digest());
    assert_eq!(forwarded.agreed(), 2);
    // Nobody gets anything twice.
    assert_eq!(forwarded.deliveries, direct.deliveries);
    assert_eq!(forwarded.delivered_bytes, direct.delivered_bytes);
    assert_eq!(direct.deliveries, 2 * (16 * 15 * MESSAGES + 15));
}

#[test]
fn attackers_do_not_change_what_honest_members_hear_from_each_other() {
    let spec = |roles: &[Role]| with_mesh(toy::spec(30, 2, 7)).with_last(8, roles);
    let expected = rows(&play(spec(&[Role::Honest])), 22);
    for role in Role::HOSTILE {
        let report = play(spec(&[role]));
        assert_eq!(rows(&report, 22), expected, "{role:?}");
        assert_eq!(report.agreed(), 2, "{role:?}");
    }
}

#[test]
fn forwarding_heals_lost_links() {
    let mut lossy = toy::spec(20, 3, 9);
    (lossy.network.loss, lossy.network.attempts) = (0.1, 1);
    let calm = play(toy::spec(20, 3, 9));
    // The members agree all the same, on less.
    let rough = play(lossy.clone());
    assert_eq!(rough.agreed(), 3);
    assert_ne!(rough.transcript_digest(), calm.transcript_digest());
    let healed = play(with_mesh(lossy));
    assert_eq!(healed.agreed(), 3);
    assert_eq!(healed.transcript_digest(), calm.transcript_digest());
}

#[test]
fn a_message_for_half_of_the_members_reaches_that_half() {
    let (peers, rounds) = (11, 2);
    let calm = play(toy::spec(peers, rounds, 5));
    let half = play(toy::spec(peers, rounds, 5).with_last(1, &[Role::Half]));
    assert_eq!(half.agreed(), 2);
    // Five of ten others do not get a message. Another five do not get the next.
    let contents = |report: &SimulationReport| report.deliveries - report.agreement.messages;
    assert_eq!(contents(&calm) - contents(&half), 5 * rounds * CONTENTS);
}

#[test]
fn forwarding_heals_messages_for_half_of_the_members() {
    let spec = |roles: &[Role]| with_mesh(toy::spec(20, 3, 9)).with_last(4, roles);
    let mut half = spec(&[Role::Half]);
    // The first of them is ahead: what it says is held until its window, and forwarded then.
    half.peers[16].skew_ms = 100;
    let (calm, half) = (play(spec(&[Role::Honest])), play(half));
    assert_eq!(half.agreed(), 3);
    assert_eq!(half.transcript_digest(), calm.transcript_digest());
}

#[test]
fn a_member_at_the_edge_reaches_about_half_of_the_others_in_time() {
    let (peers, rounds) = (21, 4);
    for skew_ms in [0, 300, -200] {
        let mut spec = toy::spec(peers, rounds, 5).with_last(1, &[Role::Edge]);
        spec.peers[20].skew_ms = skew_ms;
        let late = play(spec).all_counters().rejected(Rejection::Late);
        let all = 20 * rounds * CONTENTS;
        let expected = match skew_ms {
            0 => all / 4..all * 3 / 4,
            // A clock that is ahead ends windows too soon for itself; one behind is late.
            300 => 0..1,
            _ => all..all + 1,
        };
        assert!(expected.contains(&late), "{skew_ms}: {late} of {all}");
    }
}

#[test]
fn half_at_the_edge_is_half_of_half() {
    let (peers, rounds) = (21, 4);
    let report = play(toy::spec(peers, rounds, 5).with_last(1, &[Role::EdgeHalf]));
    let late = report.all_counters().rejected(Rejection::Late);
    let sent = 10 * rounds * CONTENTS;
    assert!((sent / 4..sent * 3 / 4).contains(&late), "{late} of {sent}");
    assert_eq!(report.agreed(), rounds as usize);
}

#[test]
fn a_laggard_is_seen_in_time_by_some_members_only() {
    let report = play(toy::spec(12, 4, 5).with_laggards(1));
    let late = report.all_counters().rejected(Rejection::Late);
    assert!((1..4 * 11 * 3).contains(&late), "{late}");
    assert_eq!(report.agreed(), 4);
    assert!(report.rounds.values().all(|round| round.delays.len() == 12));
}

#[test]
fn a_peer_in_no_region_is_refused() {
    let mut spec = world(6, 1, 3);
    spec.peers[4].home.region = 5;
    let refused = Simulation::new(spec, Arc::new(toy::ToyJudge)).err();
    assert_eq!(refused, Some(run::SimulationError::Region(4, 5)));
}

/// While each member's own clock decided what counts, one member whose messages arrive at the edges
/// of their windows left no round with a quorum.
#[test]
fn one_clock_behind_splits_no_round() {
    let mut spec = toy::spec(30, 20, 1);
    spec.peers[29].skew_ms = -650;
    let report = play(spec);
    assert_eq!((report.rounds.len(), report.agreed()), (20, 20));
    assert!(report.rounds.values().all(|round| round.delays.len() == 30));
}

/// Twenty of thirty-one members are honest, none of the others is, on a lossy network with bad
/// clocks.
#[test]
fn every_trick_together_splits_no_round() {
    let honest = 21;
    let mut spec = with_mesh(toy::spec(31, 12, 3)).with_last(10, &Role::EVERY_TRICK);
    spec.network.loss = 0.01;
    for (index, peer) in spec.peers.iter_mut().enumerate() {
        peer.skew_ms = match index {
            0..2 => -650,
            _ => (index as i64 * 37 % 601) - 300,
        };
    }
    let report = play(spec);
    assert_eq!((report.rounds.len(), report.agreed()), (12, 12));
    assert!(
        report
            .rounds
            .values()
            .all(|round| round.delays.len() == honest)
    );
}

#[test]
fn two_thirds_less_one_decide_nothing_and_nothing_wrong() {
    let mut spec = toy::spec(9, 3, 5);
    spec.peers[6..]
        .iter_mut()
        .for_each(|peer| peer.role = Role::Silent);
    let report = play(spec);
    assert!(report.rounds.values().all(|round| round.decided.is_none()));
    let mut spec = toy::spec(10, 3, 5);
    spec.peers[7..]
        .iter_mut()
        .for_each(|peer| peer.role = Role::Silent);
    assert_eq!(play(spec).agreed(), 3);
}

/// Members that fall silent lose their votes after two epochs, so that more may fall silent.
#[test]
fn silent_members_lose_their_votes() {
    let mut spec = toy::spec(10, 24, 5);
    Arc::make_mut(&mut spec.swarm).agreement.rounds_per_epoch = 4;
    let start = |round| start(&spec, round, Window::ShareSeal);
    let (never, crashes) = (start(1_000), [(9, 1), (8, 1), (7, 1), (6, 14), (5, 14)]);
    let crashes = crashes.map(|(peer, round)| Crash::new(peer, start(round), never));
    spec.crashes = crashes.to_vec();
    let report = play(spec);
    // Five of ten are left; of the seven that still voted, five.
    assert_eq!(report.agreed(), 24);
}

/// A swarm of which less than a third is hostile, with any tricks, on a network with forwarding.
fn troubled() -> impl Strategy<Value = (Spec, usize)> {
    let tricks = prop::collection::vec(prop::sample::select(&Role::EVERY_TRICK[..]), 1..4);
    (4u16..11, any::<u16>(), tricks, any::<u32>(), 0u32..3).prop_map(
        |(peers, hostile, tricks, seed, trouble)| {
            let hostile = usize::from(hostile % peers.div_ceil(3));
            let mut spec = with_mesh(toy::spec(peers, 3, seed.into())).with_last(hostile, &tricks);
            spec.network.loss = 0.02 * trouble as f32;
            for (index, peer) in spec.peers.iter_mut().enumerate() {
                peer.skew_ms = i64::from(trouble) * (index as i64 * 61 % 141 - 70);
            }
            let honest = usize::from(peers) - hostile;
            (spec, honest)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// No round has two results, every round has one at every honest member, and what honest
    /// members said in time counts.
    #[test]
    fn less_than_a_third_splits_stops_and_silences_nothing((spec, honest) in troubled()) {
        let report = play(spec);
        for (number, round) in &report.rounds {
            prop_assert_eq!(round.digests.len(), 1, "round {}", number);
            prop_assert_eq!(round.delays.len(), honest, "round {}", number);
            let transcript = &round.result().unwrap().transcript;
            for peer in &report.peers[..honest] {
                let member = transcript.plan.members.find(peer).unwrap();
                let due = transcript.plan.assignment.slots(crate::payload::Stage::Decide, member);
                let said = |slot: &u16| transcript.decisions.contains_key(&(*slot, member));
                prop_assert!(due.iter().all(said), "round {}, member {}", number, member);
            }
        }
    }
}
