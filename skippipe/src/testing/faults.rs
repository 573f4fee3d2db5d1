//! Pipelines in which things go wrong; whatever happens, the record computes what the peers
//! computed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;

use super::network::settings;
use super::toy::{ToyStage, encode};
use crate::admission::{Admission, Newcomer};
use crate::event::{Event, Stepped};
use crate::meeting::Interval;
use crate::member::Member;
use crate::message::{Body, Message, Term};
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::replay::{Replay, ReplayError, Replayed};
use crate::settings::{Meetings, Settings};
use crate::statements::{self, Fault};
use crate::transcript::{Joined, StepRecord};

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
        let stated = &stepped.statements;
        assert_eq!(statements::of_step(&stepped.record, &replayed, stated), []);
        for (hop, stated) in stated {
            assert_eq!(replayed.states[hop.stage.index()], stated.state, "{hop}");
            assert_eq!(replayed.sums.get(hop), Some(&stated.sums), "{hop}");
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
    replay.end_meeting(record).unwrap()
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

#[test]
fn who_comes_late_is_admitted_and_takes_part() {
    for seed in 0..10 {
        let mut network = network(settings(3, 4, 6, 20), &[2, 1, 1], seed);
        network.join_at(9, Duration::from_secs(2), None);
        network.run(Duration::from_secs(600));
        let steps = check(&network, 3);
        assert_eq!(steps.len(), 20, "seed {seed}: {}", last_events(&network));
        let seat = network.seat_of(9).expect("it is admitted");
        assert_eq!(seat, Peer(4));
        // The first of the stages with fewest holders.
        let joined = steps.iter().flat_map(|stepped| &stepped.record.joined);
        let joined: Vec<&Joined> = joined.collect();
        assert_eq!(joined.len(), 1, "{joined:?}");
        assert_eq!((joined[0].hop.peer, joined[0].hop.stage), (seat, Stage(1)));
        let admission = joined[0].admission.as_ref().expect("the record says how");
        assert_eq!(admission.newcomer.key, [9]);
        let visited = |stepped: &&Stepped| {
            let mut passages = stepped.record.passages.iter();
            passages.any(|one| one.visits.iter().any(|visit| visit.hop.peer == seat))
        };
        assert!(steps.iter().filter(visited).count() > 3, "seed {seed}");
        let stated = |stepped: &Stepped| stepped.statements.keys().any(|hop| hop.peer == seat);
        assert!(steps.last().is_some_and(stated));
        for peer in (0..5).map(Peer) {
            let known = network.member(peer).map(|member| member.admitted().len());
            assert_eq!(known, Some(1), "{peer}");
        }
    }
}

#[test]
fn members_and_leaders_that_are_killed_know_each_other_again() {
    let mut took_part = 0;
    for seed in 0..30 {
        let mut network = network(settings(3, 6, 6, 24), &[2, 2, 2], seed);
        network.loss = 5 * (seed % 3);
        let mut random = Stream::from_seed("late", seed);
        let ms = Duration::from_millis;
        network.join_at(9, ms(1000 + random.below(2000)), None);
        network.join_at(8, ms(1000 + random.below(4000)), None);
        let leader = ms(1500 + random.below(5000));
        network.kill_at(Peer(0), leader);
        network.revive_at(Peer(0), leader + ms(2500));
        network.kill_at(Peer(3), ms(1000 + random.below(3000)));
        network.revive_at(Peer(3), ms(6000));
        network.run(Duration::from_secs(7200));
        let steps = check(&network, 3);
        assert_eq!(steps.len(), 24, "seed {seed}: {}", last_events(&network));
        // A number means one key, whoever tells it.
        let mut keys = BTreeMap::new();
        for peer in (0..9).map(Peer) {
            let admitted = network.member(peer).map(Member::admitted);
            for admission in admitted.into_iter().flatten() {
                let key = &admission.newcomer.key;
                let known = keys.entry(admission.peer).or_insert(key);
                assert_eq!(*known, key, "seed {seed}, as {peer} knows it");
            }
        }
        assert!(keys.len() <= 2);
        took_part += steps
            .iter()
            .flat_map(|stepped| &stepped.record.joined)
            .filter(|joined| joined.admission.is_some())
            .count();
    }
    assert!(took_part > 20, "{took_part}");
}

fn never_answers(_: &mut Stream, message: Message) -> Option<Message> {
    matches!(message.body, Body::Join).then_some(message)
}

fn claims_another_state(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Adopted { state, .. } = &mut message.body {
        state.0[0] ^= 1;
    }
    Some(message)
}

fn gives_seats_away(random: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Standing(_) | Body::Updated { .. } = &message.body {
        let number = random.below(9) as u32;
        let term = message.when.term;
        message.body = Body::Admitted(vec![Admission {
            peer: Peer(number),
            newcomer: Newcomer {
                key: vec![number as u8],
                addresses: Vec::new(),
            },
            step: 1,
            term,
            signature: vec![1; 32],
        }]);
    }
    Some(message)
}

#[test]
fn hostile_newcomers_cost_seats_and_little_time() {
    let lies: [super::network::Lie; 4] = [
        never_answers,
        claims_another_state,
        sends_nan,
        disputes_everything,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        for seed in 0..4 {
            let mut network = network(settings(3, 4, 6, 12), &[2, 1, 1], seed);
            network.join_at(9, Duration::from_secs(1), Some(lie));
            // The same key once more, as a second process.
            network.join_at(9, Duration::from_secs(1), Some(lie));
            network.run(Duration::from_secs(900));
            let steps = check(&network, 3);
            let told = last_events(&network);
            assert_eq!(steps.len(), 12, "lie {number}, seed {seed}: {told}");
            assert_eq!(network.seat_of(9), Some(Peer(4)));
            assert!(
                network
                    .member(Peer(0))
                    .is_some_and(|one| one.admitted().len() == 1)
            );
            // It is waited for before steps 3, 4, 6 and 10 or so, not before each.
            assert!(
                network.now() < Duration::from_secs(60),
                "{:?}",
                network.now()
            );
        }
    }
    // A flood of keys gets one seat a step, and all there are in the end.
    let mut flooded = network(settings(3, 4, 6, 12), &[2, 1, 1], 1);
    for key in 20..80 {
        flooded.join_at(key, Duration::from_millis(700), Some(never_answers));
    }
    flooded.run(Duration::from_secs(900));
    assert_eq!(check(&flooded, 3).len(), 12);
    let seats = (20..80).filter_map(|key| flooded.seat_of(key));
    assert_eq!(seats.collect::<BTreeSet<_>>().len(), 3);
    assert!(flooded.most_load < 400, "{}", flooded.most_load);
}

#[test]
fn who_does_not_lead_gives_no_seats() {
    let mut network = network(settings(3, 6, 6, 6), &[2, 2, 2], 1);
    network.corrupt(Peer(3), gives_seats_away);
    network.run(Duration::from_secs(900));
    assert_eq!(check(&network, 3).len(), 6);
    for peer in (0..6).map(Peer) {
        let known = network.member(peer).map(|member| member.admitted().len());
        assert_eq!(known, Some(0), "{peer}");
    }
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

/// A sum that a liar sends instead of its own.
fn other_sum() -> crate::content::Content {
    encode(&[0.5, -0.25])
}

fn sends_another_partial(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Partial { content, .. } = &mut message.body {
        *content = other_sum();
    }
    Some(message)
}

fn sends_and_states_another_partial(random: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Updated { stated, .. } = &mut message.body {
        stated.sums.partial = Some(other_sum().digest());
    }
    sends_another_partial(random, message)
}

fn sends_another_whole(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Sum { content, .. } = &mut message.body {
        *content = other_sum();
    }
    Some(message)
}

fn squares_wrong(_: &mut Stream, mut message: Message) -> Option<Message> {
    let squares = match &mut message.body {
        Body::Prepared { squares, .. } => squares,
        Body::Updated { stated, .. } => &mut stated.sums.squares,
        _ => return Some(message),
    };
    squares.iter_mut().for_each(|square| *square ^= 1 << 20);
    Some(message)
}

fn states_another_state(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Updated { stated, .. } = &mut message.body {
        stated.state.0[0] ^= 1;
    }
    Some(message)
}

fn says_it_received_less(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Updated { stated, .. } = &mut message.body {
        stated.sums.received.pop();
    }
    Some(message)
}

fn tells_another_norm(_: &mut Stream, mut message: Message) -> Option<Message> {
    if let Body::Commit(commit) = &mut message.body {
        commit.norm ^= 1 << 20;
    }
    Some(message)
}

/// Of two holders of stage 1, peer 2 is the root of the reduce tree and peer 3 its child.
#[test]
fn who_of_a_stages_holders_lied_about_its_sums_is_named() {
    let at = |stage, peer| Hop {
        stage: Stage(stage),
        peer: Peer(peer),
    };
    let (root, child) = (at(1, 2), at(1, 3));
    let between = |from, to| vec![Fault::Between { from, to }];
    let lies: [(Peer, super::network::Lie, Vec<Fault>); 7] = [
        (
            Peer(3),
            sends_and_states_another_partial,
            vec![Fault::Sum(child)],
        ),
        (Peer(3), sends_another_partial, between(child, root)),
        (Peer(2), sends_another_whole, between(root, child)),
        (Peer(2), squares_wrong, vec![Fault::Squares(root)]),
        (Peer(2), says_it_received_less, vec![Fault::Sum(root)]),
        (Peer(3), states_another_state, vec![Fault::State(child)]),
        // The leader told everybody but itself.
        (
            Peer(0),
            tells_another_norm,
            [at(0, 1), root, child, at(2, 4), at(2, 5)]
                .map(Fault::Norm)
                .to_vec(),
        ),
    ];
    for (number, (liar, lie, expected)) in lies.into_iter().enumerate() {
        let mut network = network(settings(3, 6, 6, 1), &[2, 2, 2], 7);
        network.corrupt(liar, lie);
        network.run(Duration::from_secs(60));
        let stepped = network.steps().remove(0);
        let replayed = replay(3).step(&stepped.record).unwrap();
        let faults = statements::of_step(&stepped.record, &replayed, &stepped.statements);
        assert_eq!(faults, expected, "lie {number}");
    }
}

#[test]
fn statements_beyond_their_limits_are_not_handed_on() {
    fn states_too_much(_: &mut Stream, mut message: Message) -> Option<Message> {
        if let Body::Updated { stated, .. } = &mut message.body {
            stated.sums.squares = vec![0; crate::transcript::MAX_PARAMETERS + 1];
        }
        Some(message)
    }
    let mut network = network(settings(2, 4, 4, 2), &[2, 2], 8);
    network.corrupt(Peer(3), states_too_much);
    network.run(Duration::from_secs(600));
    let steps = check(&network, 2);
    assert_eq!(steps.len(), 2);
    let liar = |stepped: &Stepped| stepped.statements.keys().any(|hop| hop.peer == Peer(3));
    assert!(!steps.iter().any(liar));
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
