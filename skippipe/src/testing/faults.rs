//! Pipelines in which things go wrong; whatever happens, the record computes what the peers
//! computed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;

use super::network::settings;
use super::toy::{ToyStage, encode};
use crate::event::{Event, Stepped};
use crate::meeting::Interval;
use crate::message::{Body, Message, Term};
use crate::path::{Microbatch, Peer, Stage};
use crate::replay::{Replay, ReplayError, Replayed};
use crate::settings::{Meetings, Settings};
use crate::transcript::StepRecord;

type Network = super::network::Network<ToyStage>;

fn network(settings: Settings, replicas: &[usize], seed: u64) -> Network {
    Network::new(settings, replicas, seed, Box::new(ToyStage::for_peer))
}

fn replay(stages: u16) -> Replay<ToyStage> {
    let stages: Vec<ToyStage> = (0..stages)
        .map(|stage| ToyStage::new(Stage(stage)))
        .collect();
    let states = stages.iter().map(ToyStage::state).collect();
    Replay::new(stages, states, 2)
}

/// Computes all steps again, and compares what every peer stated.
#[track_caller]
fn check(network: &Network, stages: u16) -> Vec<Stepped> {
    let mut replay = replay(stages);
    let steps = network.steps();
    for stepped in &steps {
        let replayed = match stepped.record.met.is_empty() {
            true => replay
                .step(&stepped.record)
                .expect("the record can be replayed"),
            false => meet_alone(&mut replay, &stepped.record),
        };
        assert_eq!(replayed.norm, stepped.norm);
        for (hop, (state, _)) in &stepped.statements {
            assert_eq!(replayed.states[hop.stage.index()], *state, "{hop:?}");
        }
    }
    steps
}

/// A meeting at which every stage is alone.
fn meet_alone(replay: &mut Replay<ToyStage>, record: &StepRecord) -> Replayed {
    let contributions = replay.contributions(0, Some(record)).unwrap();
    for (stage, met) in &record.met {
        let moved_by = contributions[stage.index()].last().unwrap();
        assert_eq!(met.contribution, moved_by.0.digest());
    }
    replay.meet(record, &BTreeMap::new(), false).unwrap();
    replay.end_meeting().unwrap()
}

fn meeting_every(steps: u64, mut settings: Settings) -> Settings {
    settings.meetings = Some(Meetings {
        interval: Interval::new(steps),
        longest: Duration::from_secs(1),
    });
    settings
}

#[test]
fn meetings_are_steps_in_which_all_stages_move() {
    let settings = meeting_every(2, settings(3, 6, 6, 9));
    let mut network = network(settings, &[2, 2, 2], 5);
    network.run(Duration::from_secs(600));
    let steps = check(&network, 3);
    let met: Vec<usize> = steps.iter().map(|one| one.record.met.len()).collect();
    assert_eq!(met, [0, 0, 3, 0, 0, 3, 0, 0, 3]);
    for stepped in &steps {
        assert_eq!(stepped.statements.len(), 6);
    }
    let gone = network
        .events
        .iter()
        .any(|(_, _, event)| matches!(event, Event::Fault { .. } | Event::Dropped { .. }));
    assert!(!gone, "nothing went wrong");
}

/// Peers are killed around meetings, those that speak and the leader among them, and messages are lost.
#[test]
fn meetings_survive_whoever_is_killed() {
    let mut begun_anew = 0;
    for seed in 0..30 {
        let settings = meeting_every(1, settings(2, 6, 4, 12));
        let mut network = network(settings, &[3, 3], seed);
        network.loss = seed % 3 * 10;
        let mut random = Stream::from_seed("kills at meetings", seed);
        let mut at = Duration::from_millis(400);
        for peer in [0, 3, 1] {
            at += Duration::from_millis(200 + random.below(1500));
            network.kill_at(Peer(peer), at);
            if seed % 2 == 0 {
                network.revive_at(Peer(peer), at + Duration::from_secs(3));
            }
        }
        network.run(Duration::from_secs(900));
        let steps = check(&network, 2);
        assert_eq!(steps.len(), 12, "seed {seed}");
        assert!(
            steps
                .iter()
                .all(|one| one.record.met.len() == 2 * usize::from(one.record.step % 2 == 1))
        );
        let mut terms: BTreeMap<u64, BTreeSet<Term>> = BTreeMap::new();
        for (_, _, event) in &network.events {
            if let Event::Began { when } = event {
                terms.entry(when.step).or_default().insert(when.term);
            }
        }
        begun_anew += terms
            .iter()
            .filter(|(step, terms)| *step % 2 == 1 && terms.len() > 1)
            .count();
    }
    assert!(begun_anew > 3, "{begun_anew} meetings began anew");
}

#[test]
fn a_calm_pipeline_counts_everything() {
    let mut network = network(settings(4, 8, 12, 6), &[2, 2, 2, 2], 1);
    network.run(Duration::from_secs(600));
    let steps = check(&network, 4);
    assert_eq!(steps.len(), 6);
    for stepped in &steps {
        assert_eq!(stepped.record.passages.len(), 12);
        assert!(stepped.record.excluded.is_empty());
        assert!(
            stepped
                .record
                .passages
                .iter()
                .all(|passage| passage.visits.len() == 4)
        );
        assert_eq!(stepped.statements.len(), 8);
    }
    let rerouted = network.events.iter().any(|(_, _, event)| {
        matches!(
            event,
            Event::Rerouted { .. } | Event::Fault { .. } | Event::Dropped { .. }
        )
    });
    assert!(!rerouted, "nothing went wrong");
    for peer in (0..8).map(Peer) {
        assert_eq!(network.engine(peer).map(ToyStage::kept), Some(0), "{peer}");
    }
}

#[test]
fn skipped_stages_are_replayed_as_skipped() {
    let mut network = network(settings(5, 5, 10, 5), &[1, 1, 1, 1, 1], 2);
    network.skips = 2;
    network.run(Duration::from_secs(600));
    let steps = check(&network, 5);
    assert_eq!(steps.len(), 5);
    assert!(steps.iter().all(|stepped| {
        stepped
            .record
            .passages
            .iter()
            .all(|passage| passage.visits.len() == 3)
    }));
}

#[test]
fn a_stage_of_its_own_trains_alone() {
    let mut network = network(settings(1, 2, 4, 3), &[2], 3);
    network.run(Duration::from_secs(60));
    assert_eq!(check(&network, 1).len(), 3);
}

/// Kills peers at random moments and revives them; stage 0 keeps one.
fn churn(seed: u64, stages: u16, replicas: usize, kills: usize, revive: bool) -> Network {
    let peers = u32::from(stages) * replicas as u32;
    let mut network = network(
        settings(stages, peers, 8, 12),
        &vec![replicas; usize::from(stages)],
        seed,
    );
    network.skips = usize::from(seed.is_multiple_of(3));
    let mut random = Stream::from_seed("kills", seed);
    let mut dead: BTreeSet<Peer> = BTreeSet::new();
    let mut at = Duration::from_millis(300);
    for _ in 0..kills {
        at += Duration::from_millis(random.below(4000));
        network.run(at);
        let living = network.living();
        let spared = living
            .get(&Stage::FIRST)
            .filter(|holders| holders.len() < 2);
        let peer = Peer(random.below(u64::from(peers)) as u32);
        let spare = spared.is_some_and(|holders| holders.contains(&peer));
        if spare || living.get(&Stage::FIRST).is_none_or(BTreeSet::is_empty) {
            continue;
        }
        if dead.insert(peer) {
            network.kill_at(peer, at);
            if revive {
                network.revive_at(peer, at + Duration::from_millis(2500));
                dead.remove(&peer);
            }
        }
    }
    network.run(Duration::from_secs(3600));
    network
}

#[test]
fn whoever_is_killed_the_rest_goes_on_and_the_record_is_what_they_computed() {
    for seed in 0..60 {
        let network = churn(seed, 4, 2, 5, false);
        let steps = check(&network, 4);
        assert_eq!(steps.len(), 12, "seed {seed}: {}", last_events(&network));
    }
}

#[test]
fn peers_that_come_back_take_part_again() {
    let (mut joined, mut averaged) = (0, 0);
    for seed in 100..140 {
        let network = churn(seed, 4, 2, 12, true);
        let steps = check(&network, 4);
        assert_eq!(steps.len(), 12, "seed {seed}: {}", last_events(&network));
        for stepped in &steps {
            joined += stepped.record.joined.len();
            averaged += stepped
                .record
                .joined
                .iter()
                .filter(|joined| {
                    matches!(
                        joined.recovery,
                        crate::transcript::Recovery::Averaged { .. }
                    )
                })
                .count();
        }
        assert!(network.most_load < 400, "{}", network.most_load);
    }
    assert!(joined > 40, "{joined}");
    assert!(averaged > 0);
}

#[test]
fn who_comes_back_after_the_last_step_is_told_that_it_was_the_last() {
    let mut network = network(settings(2, 4, 4, 3), &[2, 2], 5);
    let killed = Peer(3);
    network.kill_at(killed, Duration::from_millis(300));
    network.run(Duration::from_secs(600));
    assert_eq!(check(&network, 2).len(), 3);
    let end = network.now() + Duration::from_secs(1);
    network.revive_at(killed, end);
    network.run_on(end + Duration::from_secs(1));
    let told = |(at, peer, event): &(Duration, Peer, Event)| {
        *at > end && *peer == killed && *event == Event::Finished
    };
    assert!(network.events.iter().any(told), "{}", last_events(&network));
}

#[test]
fn messages_that_are_lost_are_said_again() {
    for seed in 0..40 {
        let mut network = network(settings(4, 8, 8, 10), &[2, 2, 2, 2], seed);
        network.loss = 10 * (1 + seed % 3);
        network.run(Duration::from_secs(7200));
        let steps = check(&network, 4);
        assert_eq!(steps.len(), 10, "seed {seed}: {}", last_events(&network));
        assert!(
            !network
                .events
                .iter()
                .any(|(_, _, event)| matches!(event, Event::Stuck(_)))
        );
    }
}

#[test]
fn a_lost_middle_stage_is_restored_from_its_copy_where_nobody_rebuilds() {
    let mut settings = settings(3, 3, 6, 10);
    settings.rebuild = false;
    let mut network = network(settings, &[1, 1, 1], 5);
    network.kill_at(Peer(1), Duration::from_secs(4));
    network.revive_at(Peer(1), Duration::from_secs(6));
    network.run(Duration::from_secs(600));
    let steps = check(&network, 3);
    assert_eq!(steps.len(), 10);
    let restored = steps
        .iter()
        .flat_map(|stepped| &stepped.record.joined)
        .any(|joined| {
            matches!(
                joined.recovery,
                crate::transcript::Recovery::Restored { .. }
            )
        });
    assert!(restored);
}

fn sends_nan(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Forward(forward) = &mut message.body {
        forward.content = encode(&[f32::NAN; 3]);
    }
    Some(message)
}

fn sends_wrong_shape(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Backward(backward) = &mut message.body {
        backward.content = encode(&[1.0; 2]);
    }
    Some(message)
}

fn sends_old_steps(_: &mut Stream, mut message: Message) -> Option<Message> {
    message.when.step = message.when.step.saturating_sub(1);
    Some(message)
}

fn says_nothing(_: &mut Stream, message: Message) -> Option<Message> {
    matches!(message.body, Body::Standing(_)).then_some(message)
}

fn swaps_hops(random: &mut Stream, mut message: Message) -> Option<Message> {
    match &mut message.body {
        Body::Forward(forward) => forward.ahead.reverse(),
        Body::Backward(backward) => {
            backward.beyond.pop();
        }
        Body::Finished { visits, .. } => random.shuffle(visits),
        Body::Partial { content, .. } => *content = encode(&[f32::INFINITY; 2]),
        _ => {}
    }
    Some(message)
}

fn sends_no_partial(_: &mut Stream, message: Message) -> Option<Message> {
    (!matches!(message.body, Body::Partial { .. })).then_some(message)
}

fn is_far_ahead(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Standing(standing) = &mut message.body {
        standing.next = u64::MAX;
        standing.last = None;
    }
    Some(message)
}

fn wants_to_lead(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Updated { .. } = &message.body {
        message.when.term = Term {
            number: u32::MAX,
            leader: Peer(3),
        };
        message.body = Body::Ask;
    }
    Some(message)
}

fn is_always_busy(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Backward(backward) = &message.body {
        message.body = Body::Busy(backward.microbatch);
    }
    Some(message)
}

fn disputes_everything(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Prepared { amendment, .. } = &message.body {
        message.body = Body::Disputed {
            amendment: *amendment,
            microbatches: (0..6).map(Microbatch).collect(),
        };
    }
    Some(message)
}

#[test]
fn whoever_sends_nonsense_is_passed_by() {
    let lies: [super::network::Lie; 10] = [
        sends_nan,
        sends_wrong_shape,
        sends_old_steps,
        says_nothing,
        swaps_hops,
        sends_no_partial,
        is_far_ahead,
        wants_to_lead,
        is_always_busy,
        disputes_everything,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        for seed in 0..4 {
            let mut network = network(settings(3, 6, 6, 4), &[2, 2, 2], seed);
            network.corrupt(Peer(3), lie);
            println!("lie {number}, seed {seed}");
            network.run(Duration::from_secs(900));
            let steps = check(&network, 3);
            assert_eq!(steps.len(), 4, "lie {number}, seed {seed}");
        }
    }
}

#[test]
fn a_record_that_was_changed_is_told() {
    let mut network = network(settings(3, 3, 4, 1), &[1, 1, 1], 9);
    network.run(Duration::from_secs(60));
    let record = network.steps().remove(0).record;
    let changed = |change: fn(&mut StepRecord)| {
        let mut record = record.clone();
        change(&mut record);
        replay(3).step(&record)
    };
    assert!(changed(|_| {}).is_ok());
    let activation = changed(|record| record.passages[1].visits[1].output.0[0] ^= 1);
    assert!(
        matches!(activation, Err(ReplayError::Differs { hop, what: "the activation", .. }) if hop.stage == Stage(1))
    );
    let gradient = changed(|record| record.passages[1].visits[1].gradient.0[0] ^= 1);
    assert!(
        matches!(gradient, Err(ReplayError::Differs { hop, what: "the gradient", .. }) if hop.stage == Stage(2))
    );
    let loss = changed(|record| record.passages[0].loss ^= 1);
    assert!(matches!(loss, Err(ReplayError::Loss { .. })));
    let step = changed(|record| record.step = 5);
    assert!(matches!(
        step,
        Err(ReplayError::Step {
            found: 5,
            expected: 0
        })
    ));
}

fn last_events(network: &Network) -> String {
    let events = network.events.iter().rev().take(12).rev();
    let lines = events.map(|(at, peer, event)| {
        let text = format!("{event:?}");
        format!("{at:?} {peer}: {}\n", &text[..text.len().min(160)])
    });
    lines.collect()
}
