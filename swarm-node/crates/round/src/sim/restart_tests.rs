//! Members that stop in the middle of rounds and start again, with a journal and without.

use proptest::prelude::*;

use super::tests::{play, start};
use super::*;
use crate::clock::Window;
use crate::rejection::Withheld;
use crate::state::ReplayError;

const PEERS: u16 = 4;
const ROUNDS: u64 = 3;
/// More steps than a member takes in these rounds.
const STEPS: u64 = 170;

/// What must be true however members stop: every round has one result, at everybody, and nobody
/// asked for a signature that contradicts an earlier one.
fn check(report: &SimulationReport, rounds: u64, peers: usize) {
    assert_eq!(report.rounds.len() as u64, rounds);
    for (number, round) in &report.rounds {
        assert_eq!(round.digests.len(), 1, "round {number}");
        assert_eq!(round.delays.len(), peers, "round {number}");
    }
    assert!(report.evidence.is_empty(), "{:?}", report.evidence.keys());
    let mut refused = report.withheld.iter();
    let refused = refused.find(|(.., why)| *why == Withheld::Refused);
    assert_eq!(refused, None);
    let empty = |(_, error): &(_, ReplayError)| *error == ReplayError::Headless;
    assert!(
        report.not_replayed.iter().all(empty),
        "{:?}",
        report.not_replayed
    );
}

/// These members stop in turn, half a second apart, from the middle of the critique window of round
/// 1 on; each is away for the next window and a half.
fn restarts(peers: u16, stopped: usize) -> Spec {
    let mut spec = toy::spec(peers, 4, 5);
    let begin = start(&spec, 1, Window::CritiqueSeal) + 500;
    let crash = |peer| {
        let at = begin + 500 * peer as u64;
        Crash::new(peer, at, at + 1_500)
    };
    spec.crashes = (0..stopped).map(crash).collect();
    spec
}

fn with_journals(mut spec: Spec) -> Spec {
    let crashes = spec.crashes.iter_mut();
    crashes.for_each(|crash| *crash = crash.with_journal());
    spec
}

#[test]
fn more_than_a_third_may_restart_within_one_round() {
    for stopped in [4, 7, 10] {
        check(&play(with_journals(restarts(10, stopped))), 4, 10);
    }
}

#[test]
fn without_journals_the_round_waits_for_ever() {
    let report = play(restarts(10, 4));
    let decided = |round: u64| {
        report
            .rounds
            .get(&round)
            .is_some_and(|r| r.decided.is_some())
    };
    assert_eq!([0, 1, 2, 3].map(decided), [true, false, true, true]);
}

#[test]
fn all_may_stop_at_once_while_they_vote() {
    for after in [0, 30, 100, 150, 300, 600, 990] {
        let mut spec = toy::spec(7, 3, 5);
        let at = start(&spec, 1, Window::Settle) + after;
        let crashes = (0..7).map(|peer| Crash::new(peer, at, at + 2_000));
        spec.crashes = crashes.collect();
        check(&play(with_journals(spec)), 3, 7);
    }
}

/// Of three members all must vote. While one is away rounds stay open, and are decided late; then
/// another one restarts, whose journal begins when they were open and does not tell how they began.
#[test]
fn a_journal_may_begin_while_older_rounds_are_open() {
    for (gone, back) in [(1, 3), (1, 4), (2, 4), (2, 5)] {
        let mut spec = toy::spec(3, 12, 5);
        let away = start(&spec, gone, Window::CritiqueSeal) + 200;
        let returns = start(&spec, back, Window::ShareSeal) + 100;
        let crashes = (back + 1..10).map(|round| {
            let at = start(&spec, round, Window::CritiqueSeal) + 200;
            Crash::new(0, at, at + 500)
        });
        spec.crashes = crashes.chain([Crash::new(2, away, returns)]).collect();
        check(&play(with_journals(spec)), 12, 3);
    }
}

/// All members stop before the step of the same number, one after the other.
fn stopped_before(step: u64, down_ms: u64) -> Spec {
    let mut spec = toy::spec(PEERS, ROUNDS, 5);
    let crash = |peer| Crash {
        peer,
        stop: Stop::Before(step),
        down_ms,
        memory: Memory::Journal,
    };
    spec.crashes = (0..PEERS.into()).map(crash).collect();
    spec
}

#[test]
fn all_may_stop_before_any_step() {
    for step in 1..=STEPS {
        let down_ms = [1, 90, 700, 2_300][step as usize % 4];
        check(&play(stopped_before(step, down_ms)), ROUNDS, PEERS.into());
    }
}

/// Peer 1 stops between adopting a round and doing anything about it: the journal must not name a
/// round that the archive lacks.
#[test]
fn a_round_is_archived_before_the_journal_names_it() {
    let stops = [
        (2, 42, 1_500),
        (1, 167, 709),
        (3, 110, 3_769),
        (1, 154, 2_745),
        (1, 195, 1),
    ];
    let crash = |(peer, step, down_ms)| Crash {
        peer,
        stop: Stop::Before(step),
        down_ms,
        memory: Memory::Journal,
    };
    let mut spec = toy::spec(5, ROUNDS, 3_689_249_519);
    spec.network.mesh = MESH;
    spec.crashes = stops.map(crash).into();
    check(&play(spec), ROUNDS, 5);
}

/// Members stop at any steps, any number of times, on a lossy network.
fn stopping() -> impl Strategy<Value = Spec> {
    let crash = (0..5usize, 1..220u64, 1..4_000u64).prop_map(|(peer, step, down_ms)| Crash {
        peer,
        stop: Stop::Before(step),
        down_ms,
        memory: Memory::Journal,
    });
    let crashes = prop::collection::vec(crash, 1..12);
    (crashes, any::<u32>(), 0u32..3).prop_map(|(crashes, seed, trouble)| {
        let mut spec = toy::spec(5, ROUNDS, seed.into());
        spec.network.mesh = MESH;
        spec.network.loss = 0.03 * trouble as f32;
        spec.crashes = crashes;
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whenever_members_stop_every_round_is_decided_once(spec in stopping()) {
        check(&play(spec), ROUNDS, 5);
    }
}
