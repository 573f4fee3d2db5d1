//! Behaviour of whole swarms.

use std::collections::BTreeSet;

use swarm_identity::key::PublicKey;

use super::toy::{self, ToyDriver, ToyJudge};
use super::*;
use crate::clock::{Clock, Position, Window};
use crate::envelope::Envelope;
use crate::rejection::Rejection;
use crate::reward::EQUIVOCATION;

pub(super) const SKILL: u32 = 65;

pub(super) fn play(spec: Spec) -> SimulationReport {
    let mut driver = ToyDriver::new(SKILL, spec.seed);
    Simulation::new(spec, std::sync::Arc::new(ToyJudge))
        .unwrap()
        .run(&mut driver)
}

pub(super) fn start(spec: &Spec, round: u64, window: Window) -> u64 {
    Clock::new(&spec.swarm).start(Position { round, window })
}

#[test]
fn honest_peers_agree_and_are_paid() {
    let spec = toy::spec(8, 3, 1);
    let mut driver = ToyDriver::new(SKILL, 1);
    let report = Simulation::new(spec, std::sync::Arc::new(ToyJudge))
        .unwrap()
        .run(&mut driver);
    assert_eq!(report.agreed(), 3);
    assert!(driver.learned.len() == 8 && driver.learned.values().all(|rounds| *rounds == 3));
    assert!((0..8).all(|peer| report.total(peer) > 0));
    let counters = report.all_counters();
    assert!(
        Rejection::ALL
            .into_iter()
            .all(|reason| counters.rejected(reason) == 0),
        "{counters:?}"
    );
    assert!(report.missed.is_empty() && report.evidence.is_empty());
    let result = report.rounds[&0].result().unwrap().clone();
    assert_eq!(result.transcript.shares.len(), 8 + 2 * 8);
    assert_eq!(
        (
            result.transcript.critiques.len(),
            result.transcript.decisions.len()
        ),
        (16, 16)
    );
}

#[test]
fn one_seed_one_history() {
    let history = |seed| {
        let mut spec = toy::spec(9, 2, seed).with_last(6, &Role::HOSTILE);
        spec.network.loss = 0.1;
        let report = play(spec);
        (report.transcript_digest(), report.all_counters())
    };
    assert_eq!(history(3), history(3));
    assert_ne!(history(3).0, history(4).0);
}

/// Rewards of the first `count` peers, round by round.
pub(super) fn rows(report: &SimulationReport, count: usize) -> Vec<Vec<crate::reward::Rows>> {
    (0..count).map(|peer| report.rows(peer)).collect()
}

#[test]
fn honest_scores_do_not_depend_on_what_the_others_are() {
    let spec = |roles: &[Role]| toy::spec(40, 3, 7).with_last(12, roles);
    let expected = rows(&play(spec(&[Role::Honest])), 28);
    assert!(expected.iter().all(|rounds| rounds.len() == 3));
    assert_eq!(rows(&play(spec(&[Role::Silent])), 28), expected);
    for role in Role::HOSTILE {
        let report = play(spec(&[role]));
        assert_eq!(rows(&report, 28), expected, "{role:?}");
        assert_eq!(report.agreed(), 3, "{role:?}");
    }
}

#[test]
fn hundred_peers_with_thirty_hostile_score_exactly_as_without() {
    let spec = |roles: &[Role]| toy::spec(100, 20, 11).with_last(30, roles);
    let (calm, attacked) = std::thread::scope(|scope| {
        let calm = scope.spawn(|| play(spec(&[Role::Honest])));
        let attacked = play(spec(&Role::HOSTILE));
        (calm.join().unwrap(), attacked)
    });
    assert_eq!((calm.agreed(), attacked.agreed()), (20, 20));
    assert_eq!(rows(&attacked, 70), rows(&calm, 70));
    let worst_honest = (0..70).map(|peer| attacked.total(peer)).min();
    // Flooders, replayers and garblers may answer rightly too; liars, copiers and equivocators may
    // not gain from it.
    for (peer, role) in (70..100).zip(Role::HOSTILE.into_iter().cycle()) {
        if matches!(role, Role::WrongGold | Role::Copier | Role::Equivocator) {
            assert!(Some(attacked.total(peer)) < worst_honest, "{role:?}");
        }
    }
}

#[test]
fn every_attack_is_met_by_its_rejection() {
    let counters = |role| play(toy::spec(12, 3, 5).with_last(3, &[role])).all_counters();
    let cases = [
        (Role::Copier, Rejection::Unsealed),
        (Role::Replayer, Rejection::Duplicate),
        (Role::Replayer, Rejection::Late),
        (Role::Equivocator, Rejection::Equivocation),
        (Role::Flooder, Rejection::NotAssigned),
        (Role::Garbler, Rejection::Rate),
        (Role::Garbler, Rejection::Size),
        (Role::Garbler, Rejection::Signature),
    ];
    for (role, reason) in cases {
        assert!(
            counters(role).rejected(reason) > 0,
            "{role:?} never met {reason:?}"
        );
    }
}

#[test]
fn copied_answers_earn_nothing() {
    let report = play(toy::spec(12, 3, 5).with_last(3, &[Role::Copier]));
    for peer in 9..12 {
        assert!(
            report
                .rows(peer)
                .iter()
                .all(|rows| rows.list().iter().all(|points| *points <= 0))
        );
    }
}

#[test]
fn equivocation_is_proven_and_scored_down() {
    let spec = toy::spec(12, 2, 5).with_last(2, &[Role::Equivocator]);
    let report = play(spec);
    assert_eq!(
        report.evidence.keys().collect::<BTreeSet<_>>(),
        report.peers[10..].iter().collect()
    );
    for evidence in report.evidence.values() {
        let key = PublicKey::try_from(evidence.peer).unwrap();
        let [first, second] =
            [&evidence.first, &evidence.second].map(|bytes| Envelope::parse(bytes).unwrap());
        assert!(
            [first, second]
                .iter()
                .all(|envelope| key.verify(&envelope.digest(), &envelope.signature))
        );
        let place = |envelope: Envelope<'_>| {
            (
                envelope.header.round,
                envelope.header.kind,
                envelope.header.slot,
            )
        };
        assert_eq!(place(first), place(second));
        assert_ne!(first.payload, second.payload);
    }
    for peer in 10..12 {
        assert!(
            report
                .rows(peer)
                .iter()
                .all(|rows| rows.total() == EQUIVOCATION)
        );
    }
}

#[test]
fn loss_delay_and_skewed_clocks_change_no_score() {
    let calm = toy::spec(20, 3, 9);
    let mut rough = calm.clone();
    (
        rough.network.loss,
        rough.network.attempts,
        rough.network.jitter_ms,
    ) = (0.2, 12, 50);
    rough.network.retry_ms = 40;
    for (index, peer) in rough.peers.iter_mut().enumerate() {
        peer.skew_ms = (index as i64 - 10) * 10;
    }
    let (calm, rough) = (play(calm), play(rough));
    assert_eq!(rough.agreed(), 3);
    assert_eq!(rough.transcript_digest(), calm.transcript_digest());
}

#[test]
fn a_slow_peer_is_dropped_and_told_so() {
    let mut spec = toy::spec(8, 2, 9);
    spec.compute_ms = 1_001;
    let report = play(spec);
    assert_eq!(
        report.rounds[&0].result().unwrap().transcript.shares.len(),
        0
    );
    assert!(report.missed.len() >= 16);
    let mut spec = toy::spec(8, 2, 9);
    spec.compute_ms = 950;
    assert!(play(spec).all_counters().rejected(Rejection::Late) > 0);
}

#[test]
fn a_minority_cut_off_adopts_what_the_others_decided() {
    let mut spec = toy::spec(20, 3, 9);
    let (from, until) = (
        start(&spec, 1, Window::ShareSeal),
        start(&spec, 2, Window::ShareSeal) - 100,
    );
    spec.network.partitions = vec![Partition::cut(from, until, 4)];
    let report = play(spec);
    for round in report.rounds.values() {
        assert_eq!(round.digests.values().collect::<Vec<_>>(), [&20]);
    }
    let (cut, others): (Vec<_>, Vec<_>) = report.rounds[&1]
        .delays
        .iter()
        .partition(|(peer, _)| **peer < 4);
    let latest = others.iter().map(|(_, delay)| **delay).max().unwrap();
    assert!(
        latest < 900 && cut.iter().all(|(_, delay)| **delay >= 900),
        "{latest} {cut:?}"
    );
    // Nobody had what the minority said.
    assert!((0..4).all(|peer| report.rows(peer)[1].total() == 0));
}

#[test]
fn a_crashed_peer_sits_out_and_returns() {
    let mut spec = toy::spec(10, 4, 9);
    let (at, back) = (
        start(&spec, 1, Window::CritiqueSeal) + 10,
        start(&spec, 2, Window::ShareSeal) + 10,
    );
    spec.crashes = vec![Crash::new(3, at, back)];
    let calm = play(toy::spec(10, 4, 9));
    let report = play(spec);
    assert_eq!(report.agreed(), 4);
    let (rows, expected) = (report.rows(3), calm.rows(3));
    assert_eq!((rows[0], rows[3]), (expected[0], expected[3]));
    assert_eq!(
        (rows[1].correctness, rows[1].decision),
        (expected[1].correctness, 0)
    );
    assert_eq!(rows[2].total(), 0);
    assert!(
        (0..10)
            .filter(|peer| *peer != 3)
            .all(|peer| report.rows(peer) == calm.rows(peer))
    );
}

#[test]
fn the_curve_falls_only_when_liars_outvote() {
    let judge: std::sync::Arc<dyn crate::question::Judge> = std::sync::Arc::new(ToyJudge);
    let base = toy::spec(20, 2, 3);
    let mut driver = || -> Box<dyn Driver> { Box::new(ToyDriver::new(SKILL, 3)) };
    let points =
        curve::hostility_curve(&base, &judge, &[Role::WrongGold], &[0, 20, 70], &mut driver)
            .unwrap();
    assert!(points[0].honest_min > 0.0);
    assert!(points[2].honest_mean < points[1].honest_mean);
    assert!(points[2].hostile_mean < points[2].honest_mean);
    assert!(curve::csv(&points).starts_with("hostile_percent,"));
    assert_eq!(curve::csv(&points).lines().count(), 4);
}
