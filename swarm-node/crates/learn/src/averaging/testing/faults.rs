//! Jobs in which things go wrong; whatever happens, the transcripts compute what the replicas
//! computed.

use std::collections::BTreeSet;
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::content::{Content, Digest};
use skippipe::encoding::Format;

use super::network::{Lie, Network, settings};
use super::toy::{ToyInner, toy};
use crate::averaging::contribution::Formats;
use crate::averaging::member::Event;
use crate::averaging::message::{Body, Message};
use crate::averaging::outer::Outer;
use crate::averaging::replay::{Replay, ReplayError, Replayed};
use crate::averaging::transcript::{Completed, Listed, Reason, Replica, Roster, Taken, Transcript};
use crate::averaging::work::{Engine, Outcome, Work};
use crate::averaging::worker::ReplicaWorker;

type Toy = ReplicaWorker<ToyInner>;

const F32: Formats = Formats {
    change: Format::F32,
    anchor: Format::F32,
};
const HOUR: Duration = Duration::from_secs(3600);

fn engines(outer: Outer, replicas: u32, formats: Formats) -> Vec<Toy> {
    (0..replicas)
        .map(|replica| toy(Replica(replica), outer, formats))
        .collect()
}

fn network(outer: Outer, replicas: u32, rounds: u64, seed: u64) -> Network<Toy> {
    network_in(outer, replicas, rounds, seed, F32)
}

fn network_in(
    outer: Outer,
    replicas: u32,
    rounds: u64,
    seed: u64,
    formats: Formats,
) -> Network<Toy> {
    let engines = engines(outer, replicas, formats);
    let sizes = [engines[0].contribution_bytes(), engines[0].outer_bytes()];
    Network::new(
        settings(outer.is_paired(), replicas, rounds, sizes),
        engines,
        seed,
    )
}

fn replay(
    outer: Outer,
    formats: Formats,
    transcripts: &[Transcript],
) -> Result<Replayed, ReplayError> {
    let engines = engines(outer, transcripts.len() as u32, formats);
    Replay::new(Digest([7; 32]), outer.is_paired(), engines).run(transcripts)
}

/// Computes everything again, and compares what every replica stated.
#[track_caller]
fn check(network: &Network<Toy>, outer: Outer) -> Replayed {
    assert!(network.is_finished(), "{}", last_events(network));
    let stuck = network
        .events
        .iter()
        .any(|(.., event)| matches!(event, Event::Stuck(_)));
    assert!(!stuck, "{}", last_events(network));
    assert!(network.most_load < 40, "{}", network.most_load);
    replay(outer, F32, network.transcripts()).expect("the transcripts can be replayed")
}

fn reasons(replayed: &Replayed) -> BTreeSet<Reason> {
    replayed.alone.keys().copied().collect()
}

fn last_events(network: &Network<Toy>) -> String {
    let events = network.events.iter().rev().take(12).rev();
    let lines = events.map(|(at, replica, event)| format!("{at:?} {replica}: {event:.200?}\n"));
    lines.collect()
}

#[test]
fn a_calm_job_averages_every_round() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut network = network(outer, 6, 10, 1);
        network.run(HOUR);
        let replayed = check(&network, outer);
        assert_eq!(
            (replayed.rounds, replayed.averaged),
            (60, 60),
            "{replayed:?}"
        );
        assert_eq!(network.refused, 0);
        let told = network
            .events
            .iter()
            .any(|(.., event)| matches!(event, Event::Fault { .. }));
        assert!(!told, "nothing went wrong");
    }
}

#[test]
fn in_diloco_all_have_one_anchor_and_in_noloco_each_its_own() {
    let anchors = |outer| {
        let mut network = network(outer, 5, 6, 2);
        network.run(HOUR);
        check(&network, outer);
        let anchors = (0..5).map(|one| {
            network
                .engine(Replica(one))
                .unwrap()
                .outer()
                .named()
                .to_bytes()
        });
        anchors.collect::<BTreeSet<_>>().len()
    };
    assert_eq!((anchors(Outer::DILOCO), anchors(Outer::NOLOCO)), (1, 5));
}

#[test]
fn the_odd_one_moves_alone_and_its_record_says_so() {
    let mut network = network(Outer::NOLOCO, 5, 10, 3);
    network.run(HOUR);
    let replayed = check(&network, Outer::NOLOCO);
    assert_eq!(
        (replayed.averaged, replayed.alone[&Reason::Single]),
        (40, 10)
    );
    assert_eq!(replayed.alone.len(), 1);
}

#[test]
fn every_format_is_replayed() {
    for format in [Format::Bf16, Format::Int8] {
        for outer in [Outer::NOLOCO, Outer::DILOCO] {
            let formats = Formats {
                change: format,
                anchor: format,
            };
            let mut network = network_in(outer, 4, 6, 4, formats);
            network.run(HOUR);
            let replayed = replay(outer, formats, network.transcripts()).unwrap();
            assert_eq!(replayed.averaged, 24);
            // Those who read other bits compute other states.
            assert!(replay(outer, F32, network.transcripts()).is_err());
        }
    }
}

/// A partner that is gone costs a round at most until all know; then others meet.
#[test]
fn whoever_is_killed_the_rest_goes_on_and_the_roster_follows() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut seen = BTreeSet::new();
        for seed in 0..40 {
            let mut random = Stream::from_seed("kills", seed);
            let mut network = network(outer, 6, 16, seed);
            for victim in random.distinct(3, 6) {
                let at = Duration::from_millis(500 + random.below(6000));
                network.kill_at(Replica(victim as u32), at);
            }
            network.run(HOUR);
            let replayed = check(&network, outer);
            seen.extend(reasons(&replayed));
            let living = network
                .transcripts()
                .iter()
                .filter(|one| one.rounds.len() == 16);
            let listed = living.filter(|one| !one.rosters.is_empty()).count();
            assert_eq!(listed, 3, "seed {seed}");
            let last = |one: &Transcript| one.rounds.last().map(|last| last.record.taken.clone());
            let living = network
                .transcripts()
                .iter()
                .filter(|one| one.rounds.len() == 16);
            let averaged = living.filter(|one| matches!(last(one), Some(Taken::Averaged { .. })));
            assert_eq!(
                averaged.count(),
                if outer.is_paired() { 2 } else { 3 },
                "seed {seed}"
            );
        }
        assert!(seen.contains(&Reason::Lost), "{seen:?}");
    }
}

#[test]
fn messages_that_are_lost_are_said_again() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let (mut rounds, mut averaged) = (0, 0);
        for seed in 0..30 {
            let mut network = network(outer, 5, 12, seed);
            network.loss = 20 * (1 + seed % 4);
            network.run(HOUR);
            let replayed = check(&network, outer);
            // Every word is said again, so both of a pair come to the same conclusion.
            assert!(replayed.one_sided.is_empty(), "seed {seed}: {replayed:?}");
            assert_eq!(network.refused, 0, "a statement was asked for twice");
            rounds += replayed.rounds - replayed.alone.get(&Reason::Single).unwrap_or(&0);
            averaged += replayed.averaged;
        }
        assert!(averaged * 100 > rounds * 95, "{averaged} of {rounds}");
    }
}

/// The generals' problem happens, rarely; each record says what its replica did.
#[test]
fn where_the_last_word_is_lost_the_records_differ_and_the_replay_follows_both() {
    let (mut pairs, mut doubts) = (0, 0);
    for seed in 0..60 {
        let mut network = network(Outer::NOLOCO, 4, 12, seed);
        network.loss = 450;
        network.run(HOUR);
        let replayed = check(&network, Outer::NOLOCO);
        pairs += replayed.one_sided.len();
        doubts += replayed.alone.get(&Reason::InDoubt).copied().unwrap_or(0);
    }
    assert!(
        pairs > 0 && doubts > 0,
        "{pairs} one-sided, {doubts} in doubt"
    );
    assert!(pairs < 60, "{pairs} of 1440 pairs");
}

/// Where its rounds have not run away from the others' meanwhile, it meets them again.
#[test]
fn who_was_cut_off_takes_the_others_anchor_again() {
    let (mut adopted, mut back) = (0, 0);
    for seed in 0..30 {
        let mut network = network(Outer::DILOCO, 5, 24, seed);
        let from = Duration::from_millis(700 + 130 * seed);
        network.cut_between(Replica(4), from, from + Duration::from_secs(3));
        network.run(HOUR);
        let replayed = check(&network, Outer::DILOCO);
        adopted += replayed.adopted;
        let last = network.transcripts()[4].rounds.last().unwrap();
        if matches!(last.record.taken, Taken::Alone(_)) {
            continue;
        }
        back += 1;
        let anchors = (0..5).map(|one| network.engine(Replica(one)).unwrap().outer());
        let anchors: BTreeSet<Vec<u8>> = anchors.map(|one| one.named().to_bytes()).collect();
        assert_eq!(anchors.len(), 1, "seed {seed}: {replayed:?}");
    }
    assert!(adopted > 0 && back > 20, "{adopted} adopted, {back} back");
}

#[test]
fn a_slow_replica_moves_alone_and_holds_nobody_up() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut network = network(outer, 4, 8, 5);
        network.pace(Replica(2), Duration::from_secs(30));
        network.run(HOUR);
        let replayed = check(&network, outer);
        assert!(reasons(&replayed).contains(&Reason::Late), "{replayed:?}");
        let first = network.events.iter().find(|(_, who, event)| {
            *who == Replica(0) && matches!(event, Event::Round(one) if one.record.round == 7)
        });
        assert!(first.is_some_and(|(at, ..)| *at < Duration::from_secs(60)));
    }
}

#[test]
fn rounds_of_different_paces_still_meet() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut network = network(outer, 6, 12, 6);
        for replica in 0..6 {
            network.pace(
                Replica(replica),
                Duration::from_millis(300 + 60 * u64::from(replica)),
            );
        }
        network.run(HOUR);
        assert_eq!(check(&network, outer).averaged, 72);
    }
}

/// The content of an offer or mean, with the hash that goes with it.
fn content_of(message: &mut Message) -> Option<&mut Content> {
    match &mut message.body {
        Body::Offer(offer) => Some(&mut offer.content),
        Body::Mean(mean) => Some(&mut mean.content),
        _ => None,
    }
}

fn with_bytes(mut message: Message, change: impl Fn(&mut Vec<u8>)) -> Option<Message> {
    if let Some(content) = content_of(&mut message) {
        let mut bytes = content.bytes().to_vec();
        change(&mut bytes);
        *content = Content::new(bytes);
    }
    Some(message)
}

fn sends_other_bytes(_: &mut Stream, message: Message) -> Option<Message> {
    with_bytes(message, |bytes| bytes[20] ^= 1)
}

fn sends_too_much(_: &mut Stream, message: Message) -> Option<Message> {
    with_bytes(message, |bytes| bytes.push(0))
}

fn sends_old_rounds(_: &mut Stream, mut message: Message) -> Option<Message> {
    message.round = message.round.saturating_sub(1);
    // A signature of another round does not hold, so it must be one that was made.
    matches!(message.body, Body::Offer(_)).then(|| message.body = Body::Want);
    Some(message)
}

fn says_nothing(_: &mut Stream, _: Message) -> Option<Message> {
    None
}

fn has_nothing(_: &mut Stream, message: Message) -> Option<Message> {
    (!matches!(message.body, Body::Have(_))).then_some(message)
}

fn never_decides(_: &mut Stream, message: Message) -> Option<Message> {
    (!matches!(message.body, Body::Decided(_))).then_some(message)
}

fn decides_at_once(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Offer(offer) = &message.body {
        message.body = Body::Decided(offer.contribution);
    }
    Some(message)
}

fn always_declines(_: &mut Stream, mut message: Message) -> Option<Message> {
    message.body = Body::Alone;
    Some(message)
}

fn names_strangers(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Mean(mean) = &mut message.body {
        mean.parts.reverse();
    }
    Some(message)
}

fn makes_rosters(_: &mut Stream, mut message: Message) -> Option<Message> {
    let mut listed = Listed {
        roster: Roster {
            number: 9,
            from: 1,
            replicas: vec![Replica(3)],
        },
        by: Replica(3),
        signature: Vec::new(),
    };
    let statement = listed.statement(Digest([7; 32])).digest();
    listed.signature = super::network::signature(Replica(3), statement);
    if matches!(message.body, Body::Have(_)) {
        message.body = Body::Roster(Box::new(listed));
    }
    Some(message)
}

fn wants_the_anchor(_: &mut Stream, mut message: Message) -> Option<Message> {
    if matches!(message.body, Body::Want | Body::Have(_)) {
        message.body = Body::OuterWanted;
    }
    Some(message)
}

fn goes_by_another_roster(_: &mut Stream, mut message: Message) -> Option<Message> {
    message.roster.number = u32::MAX;
    Some(message)
}

#[test]
fn whoever_sends_nonsense_is_left_alone_with_the_reason() {
    let lies: [(Lie, Option<Reason>); 12] = [
        (sends_other_bytes, Some(Reason::WrongHash)),
        (sends_too_much, Some(Reason::WrongSize)),
        (sends_old_rounds, None),
        (says_nothing, Some(Reason::Late)),
        (has_nothing, Some(Reason::Late)),
        (never_decides, Some(Reason::InDoubt)),
        (decides_at_once, None),
        (always_declines, Some(Reason::Declined)),
        (names_strangers, None),
        (makes_rosters, None),
        (wants_the_anchor, None),
        (goes_by_another_roster, Some(Reason::OtherRoster)),
    ];
    for (number, (lie, expected)) in lies.into_iter().enumerate() {
        let mut seen = BTreeSet::new();
        for seed in 0..6 {
            for outer in [Outer::NOLOCO, Outer::DILOCO] {
                let mut network = network(outer, 6, 6, seed);
                network.corrupt(Replica(3), lie);
                network.run(HOUR);
                let replayed = check(&network, outer);
                // The honest ones go on without it.
                assert!(
                    replayed.averaged > 10,
                    "lie {number}, seed {seed}: {replayed:?}"
                );
                if outer.is_paired() {
                    seen.extend(reasons(&replayed));
                }
            }
        }
        let as_expected = expected.is_none_or(|reason| seen.contains(&reason));
        assert!(as_expected, "lie {number}: {seen:?}");
    }
}

/// A replica that may contribute what is no number.
struct MaybeBroken {
    toy: Toy,
    is_broken: bool,
}

impl Engine for MaybeBroken {
    fn perform(&mut self, work: Work) -> Outcome {
        match self.toy.perform(work) {
            Outcome::Trained {
                contribution,
                outer,
            } if self.is_broken => {
                let mut bytes = contribution.bytes().to_vec();
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                Outcome::Trained {
                    contribution: Content::new(bytes),
                    outer,
                }
            }
            other => other,
        }
    }
}

/// One whose contribution is no number signs it, so only the engine finds out.
#[test]
fn a_contribution_that_is_no_number_is_refused() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let toys = engines(outer, 4, F32).into_iter();
        let all = toys.enumerate().map(|(at, toy)| MaybeBroken {
            toy,
            is_broken: at == 3,
        });
        let sizes = engines(outer, 1, F32);
        let sizes = [sizes[0].contribution_bytes(), sizes[0].outer_bytes()];
        let mut network = Network::new(settings(outer.is_paired(), 4, 6, sizes), all.collect(), 1);
        network.run(HOUR);
        let refused = network.events.iter().filter(|(.., event)| {
            matches!(event, Event::Fault { replica: Replica(3), what } if what.contains("element"))
        });
        // Where it leads all, it cannot even make a mean, and goes no further.
        let expected = if outer.is_paired() { 6..7 } else { 1..7 };
        assert!(expected.contains(&refused.count()));
        let of_honest = network
            .transcripts()
            .iter()
            .take(3)
            .flat_map(|one| &one.rounds);
        let named = of_honest.filter(|one| match &one.record.taken {
            Taken::Averaged { parts, .. } => parts.iter().any(|part| part.replica == Replica(3)),
            _ => false,
        });
        assert_eq!(named.count(), 0);
    }
}

#[test]
fn a_transcript_that_was_changed_is_told() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut network = network(outer, 4, 3, 9);
        network.run(HOUR);
        let changed = |change: fn(&mut Completed)| {
            let mut transcripts = network.transcripts().to_vec();
            change(&mut transcripts[1].rounds[1]);
            replay(outer, F32, &transcripts)
        };
        assert!(changed(|_| {}).is_ok());
        let state = changed(|one| one.state.0[0] ^= 1);
        assert!(matches!(
            state,
            Err(ReplayError::State {
                round: 1,
                replica: Replica(1),
                ..
            })
        ));
        let own = changed(|one| one.record.contribution.0[0] ^= 1);
        assert!(matches!(
            own,
            Err(ReplayError::Contribution {
                replica: Replica(1),
                ..
            })
        ));
        let part = changed(|one| {
            if let Taken::Averaged { parts, .. } = &mut one.record.taken {
                parts[0].contribution.0[0] ^= 1;
            }
        });
        assert!(matches!(
            part,
            Err(ReplayError::Contribution {
                told_by: Replica(1),
                ..
            })
        ));
        let alone = changed(|one| one.record.taken = Taken::Alone(Reason::Late));
        assert!(matches!(alone, Err(ReplayError::State { .. })), "{alone:?}");
        let single = changed(|one| one.record.taken = Taken::Alone(Reason::Single));
        assert!(matches!(single, Err(ReplayError::Unsound { .. })));
        let roster = changed(|one| one.record.roster.0[0] ^= 1);
        assert!(matches!(roster, Err(ReplayError::Unsound { .. })));
        let round = changed(|one| one.record.round = 7);
        assert!(matches!(round, Err(ReplayError::Unsound { .. })));
        let mean = changed(|one| {
            if let Taken::Averaged {
                mean: Some(mean), ..
            } = &mut one.record.taken
            {
                mean.0[0] ^= 1;
            }
        });
        assert_eq!(
            matches!(mean, Err(ReplayError::Mean { .. })),
            !outer.is_paired()
        );
        let mut few = network.transcripts().to_vec();
        few.pop();
        let engines = engines(outer, 4, F32);
        let found = Replay::new(Digest([7; 32]), outer.is_paired(), engines).run(&few);
        let expected = ReplayError::Transcripts {
            expected: 4,
            found: 3,
        };
        assert_eq!(found, Err(expected));
        few.push(Transcript::new(Replica(3)));
        assert!(matches!(
            replay(outer, F32, &few),
            Err(ReplayError::Missing {
                round: 1,
                replica: Replica(3)
            })
        ));
    }
}

#[test]
fn all_signatures_of_transcripts_hold() {
    let mut network = network(Outer::NOLOCO, 5, 16, 10);
    network.kill_at(Replica(0), Duration::from_secs(2));
    network.run(HOUR);
    let mut rosters = 0;
    for transcript in network.transcripts() {
        rosters += transcript.rosters.len();
        let signed = transcript.signed();
        assert!(signed.len() >= 2 * transcript.rounds.len().saturating_sub(6));
        for (by, statement, given) in signed {
            assert_eq!(
                super::network::signature(by, statement.digest()),
                given,
                "{statement:?}"
            );
        }
    }
    assert!(rosters >= 4);
}
