//! Behaviour of one core.

use proptest::prelude::*;
use swarm_identity::key::{NodeKey, SignatureMemo};
use swarm_identity::{MemoryTable, SignOnce, Signer};

use super::*;
use crate::agreement::{AdoptError, DecidedRound, RoundRecord};
use crate::allowance::EARLY_PER_LINK;
use crate::codec;
use crate::completion::{LogProb, SharedCompletion};
use crate::envelope::{Envelope, Header, MIN_ENVELOPE, sign_envelope};
use crate::membership::Roster;
use crate::membership::hello::Hello;
use crate::payload::{CompletionGroup, Critique, Decision, Kind, STAGE_SLOT, Seals, Stage};
use crate::rejection::Rejection;
use crate::resolve::RoundResult;
use crate::seal::{SealContext, salted};
use crate::sim::toy::{self, ToyJudge, truth};
use crate::work::{self, StageTask};

const PEERS: u8 = 4;

fn key(i: u8) -> NodeKey {
    NodeKey::from_secret(&[i + 1; 32]).unwrap()
}

fn swarm() -> SwarmId {
    toy::config(PEERS.into()).swarm_id()
}

fn setup(me: u8) -> CoreSetup {
    let mut roster = Roster::default();
    (0..PEERS).for_each(|i| roster.register(Member::new(key(i).peer()), 0).unwrap());
    let (judge, memo) = (Arc::new(ToyJudge), Arc::new(SignatureMemo::default()));
    CoreSetup {
        config: Arc::new(toy::config(PEERS.into())),
        peer: key(me).peer(),
        salts: key(me).salt_key(),
        judge,
        memo,
        roster,
        hello: None,
    }
}

fn core() -> Core {
    Core::new(setup(0), 0).unwrap()
}

fn signer(me: u8) -> Signer<MemoryTable> {
    Signer::new(key(me), MemoryTable::default())
}

/// Answers every wish for a signature at once, as a shell does, and returns all outputs.
fn sign_all(
    core: &mut Core,
    signer: &Signer<impl SignOnce>,
    outputs: Vec<Output>,
    now: Millis,
) -> Vec<Output> {
    let mut all = Vec::new();
    for output in outputs {
        if let Output::Sign { place, digest } = output {
            let answer = match signer.sign(&place, &digest) {
                Ok(signature) => Input::Signed(place, signature),
                Err(_) => Input::Refused(place),
            };
            let more = core.handle(answer, now);
            all.extend(sign_all(core, signer, more, now));
        }
        all.push(output);
    }
    all
}

/// The start of a window of round 0.
fn at(core: &Core, window: Window) -> Millis {
    core.clock().start(Position { round: 0, window })
}

fn message(from: u8, kind: Kind, slot: u16, payload: &[u8]) -> Arc<[u8]> {
    let header = Header {
        swarm: swarm(),
        round: 0,
        kind,
        slot,
        peer: key(from).peer(),
        sequence: 0,
    };
    sign_envelope(&header, payload, &key(from)).unwrap().into()
}

fn rejection(outputs: &[Output]) -> Option<Rejection> {
    outputs.iter().find_map(|output| match output {
        Output::Rejected { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn send(core: &mut Core, bytes: &Arc<[u8]>, now: Millis) -> Option<Rejection> {
    rejection(&core.handle(Input::Envelope(Link(key(1).peer()), bytes.clone()), now))
}

/// Seals and reveal payload of member `from` for one common question.
fn sealed(from: u8, stage: Stage, slot: u16, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let context = SealContext {
        swarm: swarm(),
        round: 0,
        stage,
        slot,
        peer: key(from).peer(),
    };
    let payload = salted(&[9; 32], body);
    let seals = Seals {
        seals: vec![(slot, context.seal(&payload))],
    };
    (codec::encode(&seals).unwrap(), payload)
}

/// The slot of the first common question.
const COMMON: u16 = PEERS as u16;

fn group(text: &str) -> Vec<u8> {
    let completions = vec![SharedCompletion::untold(text.into())];
    codec::encode(&work::group(completions, &toy::config(PEERS.into()).game).unwrap()).unwrap()
}

#[test]
fn a_message_is_checked_cheapest_first() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let (seals, _) = sealed(1, Stage::Share, COMMON, &group("1"));
    let good = message(1, Kind::ShareSeal, STAGE_SLOT, &seals);
    let edit = |place: usize, value: u8| -> Arc<[u8]> {
        let mut bytes = good.to_vec();
        bytes[place] ^= value;
        bytes.into()
    };
    let late = message(1, Kind::ShareSeal, STAGE_SLOT, &seals);
    assert_eq!(
        send(&mut core, &good[..10].into(), now),
        Some(Rejection::Size)
    );
    assert_eq!(send(&mut core, &edit(0, 9), now), Some(Rejection::Version));
    assert_eq!(send(&mut core, &edit(2, 99), now), Some(Rejection::Kind));
    assert_eq!(send(&mut core, &edit(3, 1), now), Some(Rejection::Swarm));
    assert_eq!(send(&mut core, &edit(35, 1), now), Some(Rejection::Early));
    assert_eq!(
        send(&mut core, &edit(60, 1), now),
        Some(Rejection::NotMember)
    );
    assert_eq!(
        send(&mut core, &edit(good.len() - 1, 1), now),
        Some(Rejection::Signature)
    );
    assert_eq!(send(&mut core, &good, now), None);
    assert_eq!(send(&mut core, &good, now), Some(Rejection::Duplicate));
    assert_eq!(
        send(&mut core, &edit(good.len() - 1, 1), now),
        Some(Rejection::Duplicate)
    );
    let next = at(&core, Window::ShareReveal);
    assert_eq!(send(&mut core, &late, next), Some(Rejection::Late));
    assert_eq!(core.counters().accepted, 1);
    assert_eq!(core.counters().rejected(Rejection::Duplicate), 2);
}

#[test]
fn content_is_judged_by_assignment_seal_and_bounds() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let (seals, payload) = sealed(1, Stage::Share, COMMON, &group("1"));
    let unassigned = message(1, Kind::ShareSeal, 3, &seals);
    assert_eq!(
        send(&mut core, &unassigned, now),
        Some(Rejection::NotAssigned)
    );
    assert_eq!(
        send(
            &mut core,
            &message(2, Kind::ShareSeal, STAGE_SLOT, b"\xff"),
            now
        ),
        Some(Rejection::Malformed)
    );
    assert_eq!(
        send(
            &mut core,
            &message(1, Kind::ShareSeal, STAGE_SLOT, &seals),
            now
        ),
        None
    );
    let long = group(&"x".repeat(32))
        .into_iter()
        .chain([1])
        .collect::<Vec<_>>();
    let (seals, trailing) = sealed(3, Stage::Share, COMMON, &long);
    assert_eq!(
        send(
            &mut core,
            &message(3, Kind::ShareSeal, STAGE_SLOT, &seals),
            now
        ),
        None
    );
    let now = at(&core, Window::ShareReveal);
    let copied = message(2, Kind::ShareReveal, COMMON, &payload);
    assert_eq!(send(&mut core, &copied, now), Some(Rejection::Unsealed));
    assert_eq!(
        send(
            &mut core,
            &message(1, Kind::ShareReveal, COMMON, &payload),
            now
        ),
        None
    );
    let malformed = message(3, Kind::ShareReveal, COMMON, &trailing);
    assert_eq!(send(&mut core, &malformed, now), Some(Rejection::Malformed));
    let active = core.active.as_ref().unwrap();
    assert_eq!(active.log.transcript().shares.len(), 1);
}

#[test]
fn equivocation_drops_both_words_and_keeps_them_as_evidence() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let first = message(
        1,
        Kind::ShareSeal,
        STAGE_SLOT,
        &sealed(1, Stage::Share, COMMON, b"a").0,
    );
    let second = message(
        1,
        Kind::ShareSeal,
        STAGE_SLOT,
        &sealed(1, Stage::Share, COMMON, b"b").0,
    );
    assert_eq!(send(&mut core, &first, now), None);
    let outputs = core.handle(Input::Envelope(Link(key(2).peer()), second.clone()), now);
    assert_eq!(rejection(&outputs), Some(Rejection::Equivocation));
    let proof = outputs.iter().find_map(|output| match output {
        Output::Evidence(evidence) => Some(evidence.clone()),
        _ => None,
    });
    assert_eq!(
        proof.map(|proof| (proof.first, proof.second)),
        Some((first.clone(), second))
    );
    assert_eq!(send(&mut core, &first, now), Some(Rejection::Duplicate));
    let active = core.active.as_ref().unwrap();
    assert_eq!(
        active.log.transcript().equivocations.values().sum::<u32>(),
        1
    );
}

#[test]
fn a_message_for_the_next_window_waits_for_it() {
    let mut core = core();
    let seal_time = at(&core, Window::ShareSeal);
    let before = seal_time - 5;
    let (seals, payload) = sealed(1, Stage::Share, COMMON, &group("1"));
    assert_eq!(
        send(
            &mut core,
            &message(1, Kind::ShareSeal, STAGE_SLOT, &seals),
            before
        ),
        None
    );
    let reveal = message(1, Kind::ShareReveal, COMMON, &payload);
    assert_eq!(send(&mut core, &reveal, before), Some(Rejection::Early));
    assert_eq!(send(&mut core, &reveal, seal_time), None);
    assert_eq!(core.counters().accepted, 1);
    core.handle(Input::Tick, at(&core, Window::ShareReveal));
    assert_eq!(core.counters().accepted, 2);
}

#[test]
fn early_messages_are_bounded_per_link() {
    let mut core = core();
    let noise = |i: u64| -> Arc<[u8]> { message(1, Kind::ShareSeal, STAGE_SLOT, &i.to_le_bytes()) };
    let messages: Vec<_> = (0..=u64::from(EARLY_PER_LINK)).map(noise).collect();
    let refused = messages
        .iter()
        .filter(|bytes| send(&mut core, bytes, 0) == Some(Rejection::Early))
        .count();
    assert_eq!(refused, 1);
}

#[test]
fn early_messages_that_no_member_signed_are_neither_held_nor_handed_on() {
    let mut core = core();
    let mut forged = message(1, Kind::ShareSeal, STAGE_SLOT, b"x").to_vec();
    forged[MIN_ENVELOPE] ^= 1;
    assert_eq!(
        send(&mut core, &forged.into(), 0),
        Some(Rejection::Signature)
    );
    let stranger = message(PEERS + 1, Kind::ShareSeal, STAGE_SLOT, b"x");
    assert_eq!(send(&mut core, &stranger, 0), Some(Rejection::NotMember));
    let member = message(1, Kind::ShareSeal, STAGE_SLOT, b"x");
    assert_eq!(send(&mut core, &member, 0), None);
}

#[test]
fn what_comes_for_a_decided_round_is_handed_on_only_if_a_member_signed_it() {
    let mut core = played_alone().core;
    let now = core.clock().start(Position {
        round: 1,
        window: Window::ShareReveal,
    });
    assert!(core.history().contains(0));
    let vote = |from: u8| {
        let header = Header {
            swarm: *core.swarm(),
            round: 0,
            kind: Kind::Precommit,
            slot: 0,
            peer: key(from).peer(),
            sequence: 0,
        };
        sign_envelope(&header, b"x", &key(from)).unwrap()
    };
    let (own, stranger) = (vote(0), vote(1));
    let mut forged = own.clone();
    forged[MIN_ENVELOPE] ^= 1;
    assert_eq!(send(&mut core, &own.clone().into(), now), None);
    assert_eq!(
        send(&mut core, &forged.into(), now),
        Some(Rejection::Signature)
    );
    assert_eq!(
        send(&mut core, &stranger.into(), now),
        Some(Rejection::NotMember)
    );
    let old = core.clock().start(Position {
        round: 2 + MAX_UNDECIDED as Round,
        window: Window::ShareReveal,
    });
    assert_eq!(send(&mut core, &own.into(), old), Some(Rejection::Late));
}

/// What a member did that is alone in its swarm.
struct Alone {
    core: Core,
    seen: Vec<Phase>,
    broadcasts: usize,
    decided: Vec<Arc<DecidedRound>>,
}

/// A core that is alone in its swarm.
fn core_alone() -> Core {
    let mut setup = setup(0);
    setup.roster = Roster::default();
    let member = Member::new(key(0).peer());
    setup.roster.register(member, 0).unwrap();
    Core::new(setup, 0).unwrap()
}

/// Round 0 of a swarm of one, and the begin of the next.
fn played_alone() -> Alone {
    let (mut core, signer) = (core_alone(), signer(0));
    let (mut seen, mut broadcasts, mut decided) = (Vec::new(), 0, Vec::new());
    let end = core.clock().start(Position {
        round: 1,
        window: Window::ShareSeal,
    });
    let mut inputs = std::collections::VecDeque::new();
    let mut now = 0;
    while now < end {
        now = core.next_tick();
        inputs.push_back(Input::Tick);
        while let Some(input) = inputs.pop_front() {
            let outputs = core.handle(input, now);
            for output in sign_all(&mut core, &signer, outputs, now) {
                match output {
                    Output::Entered(phase) => seen.push(phase),
                    Output::Broadcast(_) => broadcasts += 1,
                    Output::Need(task) if task.round == 0 => {
                        inputs.push_back(Input::Work(0, right_work(&task)))
                    }
                    Output::Decided(round) => decided.push(round),
                    Output::Missed(round, stage) => panic!("missed {stage:?} of round {round}"),
                    _ => {}
                }
            }
        }
    }
    Alone {
        core,
        seen,
        broadcasts,
        decided,
    }
}

#[test]
fn a_swarm_of_one_goes_through_every_phase_and_decides() {
    let Alone {
        core,
        seen,
        broadcasts,
        decided,
    } = played_alone();
    let expected: Vec<_> = Window::ALL
        .into_iter()
        .chain([Window::ShareSeal])
        .map(Phase::In)
        .collect();
    assert_eq!(seen, expected);
    let [decided] = decided.as_slice() else {
        panic!("{} decisions", decided.len())
    };
    check_full_pay(&decided.result);
    assert_eq!(decided.certificate.ballot, 0);
    assert_eq!(core.history().floor(), 1);
    // Three seals, a reveal per question and stage, receipt, proposal and two votes.
    assert_eq!(broadcasts, 3 + (4 + 2) + 2 + 2 + 4);
    assert_eq!(
        Withheld::ALL.map(|why| core.counters().withheld(why)),
        [0; 4]
    );
}

fn right_work(task: &StageTask) -> Work {
    let right = |asked: &work::Asked| truth(&asked.question).to_string();
    let slots = task.asked.iter().map(|asked| (asked.slot, right(asked)));
    match task.stage {
        Stage::Share => Work::Answers(
            slots
                .map(|(slot, text)| (slot, vec![SharedCompletion::untold(text); 4]))
                .collect(),
        ),
        Stage::Critique => {
            let critique = |text| work::CritiqueText {
                endorsed: Some(text),
                reason: String::new(),
            };
            Work::Critiques(slots.map(|(slot, text)| (slot, critique(text))).collect())
        }
        Stage::Decide => {
            let decision = |text: String| work::DecisionText {
                answer: text.clone(),
                foreseen: text,
            };
            Work::Decisions(slots.map(|(slot, text)| (slot, decision(text))).collect())
        }
    }
}

fn check_full_pay(result: &RoundResult) {
    use crate::reward::{CORRECTNESS, CRITIQUE, DECISION, FORESEEN, FORMAT};
    for score in &result.scores {
        let full = CORRECTNESS + FORMAT + CRITIQUE + DECISION + FORESEEN;
        // The silent others saw no practice, so nothing, and are due everything.
        let expected = if score.peer == key(0).peer() { full } else { 0 };
        assert_eq!(score.rows.total(), expected);
    }
}

#[test]
fn a_node_that_starts_in_a_round_waits_for_the_next() {
    let mut core = Core::new(setup(0), 10_001).unwrap();
    assert!(core.handle(Input::Tick, 10_001).is_empty());
    assert_eq!((core.phase(), core.round()), (Phase::Waiting, None));
    let seal = message(1, Kind::ShareSeal, STAGE_SLOT, b"");
    assert_eq!(send(&mut core, &seal, 10_002), Some(Rejection::Waiting));
    core.handle(Input::Tick, 10_000 + core.clock().length());
    assert_eq!(core.round(), Some(1));
}

#[test]
fn an_overslept_round_is_closed_and_the_next_whole_one_joined() {
    let mut core = core();
    core.handle(Input::Tick, at(&core, Window::ShareSeal));
    let length = core.clock().length();
    let outputs = core.handle(Input::Tick, 10_000 + 5 * length + 2_500);
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Missed(0, Stage::Share)))
    );
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::Broadcast(_)))
    );
    assert_eq!(core.phase(), Phase::Waiting);
    core.handle(Input::Tick, 10_000 + 6 * length);
    assert_eq!(core.round(), Some(6));
}

#[test]
fn a_registration_counts_from_the_next_round() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    core.handle(Input::Tick, now);
    core.handle(Input::Register(Member::new(key(9).peer())), now);
    let seal = message(9, Kind::ShareSeal, STAGE_SLOT, b"");
    assert_eq!(send(&mut core, &seal, now), Some(Rejection::NotMember));
    core.handle(Input::Tick, now + core.clock().length());
    assert_eq!(core.active.as_ref().unwrap().log.plan().members.len(), 5);
}

#[test]
fn time_never_runs_backwards() {
    let mut core = core();
    core.handle(Input::Tick, at(&core, Window::DecideSeal));
    assert!(core.handle(Input::Tick, 3).is_empty());
}

#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Back(u64),
    Noise(Vec<u8>),
    Message {
        from: u8,
        kind: u8,
        slot: u16,
        round: u64,
        payload: Vec<u8>,
        damage: Option<(u16, u8)>,
    },
    Work(u64, Work),
}

fn completion() -> impl Strategy<Value = SharedCompletion> {
    let logp = prop::collection::vec((-9f32..0.0).prop_map(LogProb::of), 0..40);
    (".{0,40}", any::<Option<u32>>(), logp).prop_map(|(text, end, logp)| SharedCompletion {
        end,
        logp,
        ..SharedCompletion::untold(text)
    })
}

fn work_strategy() -> impl Strategy<Value = Work> {
    let slot = 0u16..9;
    let answers = prop::collection::vec(
        (slot.clone(), prop::collection::vec(completion(), 0..6)),
        0..6,
    );
    let critiques =
        prop::collection::vec((slot.clone(), prop::option::of(".{0,40}"), ".{0,40}"), 0..6);
    let decisions = prop::collection::vec((slot, ".{0,40}", ".{0,40}"), 0..6);
    prop_oneof![
        answers.prop_map(Work::Answers),
        critiques.prop_map(|list| {
            let critique =
                |(slot, endorsed, reason)| (slot, work::CritiqueText { endorsed, reason });
            Work::Critiques(list.into_iter().map(critique).collect())
        }),
        decisions.prop_map(|list| {
            let decision =
                |(slot, answer, foreseen)| (slot, work::DecisionText { answer, foreseen });
            Work::Decisions(list.into_iter().map(decision).collect())
        }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    let slot = prop_oneof![0u16..8, Just(STAGE_SLOT), any::<u16>()];
    let damage = prop::option::weighted(0.2, any::<(u16, u8)>());
    prop_oneof![
        (0u64..1_500).prop_map(Act::Wait),
        (0u64..20_000).prop_map(Act::Wait),
        any::<u64>().prop_map(Act::Back),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Act::Noise),
        (0u8..6, 1u8..=7, slot, 0u64..4, payload, damage).prop_map(
            |(from, kind, slot, round, payload, damage)| {
                Act::Message {
                    from,
                    kind,
                    slot,
                    round,
                    payload,
                    damage,
                }
            }
        ),
        (0u64..4, work_strategy()).prop_map(|(round, work)| Act::Work(round, work)),
    ]
}

fn input(core: &Core, act: Act) -> Input {
    match act {
        Act::Wait(_) | Act::Back(_) => Input::Tick,
        Act::Noise(bytes) => Input::Envelope(Link(key(5).peer()), bytes.into()),
        Act::Work(round, work) => Input::Work(round, work),
        Act::Message {
            from,
            kind,
            slot,
            round,
            payload,
            damage,
        } => {
            let (kind, peer) = (Kind::from_wire(kind).unwrap(), key(from).peer());
            let header = Header {
                swarm: *core.swarm(),
                round,
                kind,
                slot,
                peer,
                sequence: 0,
            };
            let mut bytes = sign_envelope(&header, &payload, &key(from)).unwrap();
            if let Some((place, value)) = damage {
                let length = bytes.len();
                bytes[usize::from(place) % length] ^= value;
            }
            Input::Envelope(Link(peer), bytes.into())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_input_panics_or_takes_an_illegal_edge(acts in prop::collection::vec(act(), 1..60)) {
        let mut core = core();
        let (mut now, mut phase) = (9_000u64, Phase::Waiting);
        for act in acts {
            let time = match &act {
                Act::Wait(ms) => { now += ms; now }
                Act::Back(time) => (*time).min(now),
                _ => now,
            };
            let input = input(&core, act);
            for output in core.handle(input, time) {
                if let Output::Entered(to) = output {
                    prop_assert!(phase::is_legal(phase, to), "{phase:?} to {to:?}");
                    phase = to;
                }
            }
            prop_assert_eq!(core.phase(), phase);
        }
    }

    #[test]
    fn bodies_survive_the_codec(completions in prop::collection::vec(completion(), 1..16), none: bool) {
        let group = work::group(completions.clone(), &toy::config(PEERS.into()).game).unwrap();
        prop_assert_eq!(&codec::decode::<CompletionGroup>(&codec::encode(&group).unwrap()).unwrap(), &group);
        let text = completions[0].text.as_str().to_owned();
        let endorsed = (!none).then(|| text.clone());
        let critique = work::critique(work::CritiqueText { endorsed, reason: text.clone() }, 64);
        prop_assert_eq!(&codec::decode::<Critique>(&codec::encode(&critique).unwrap()).unwrap(), &critique);
        let decision = work::decision(work::DecisionText { answer: text.clone(), foreseen: text }, 64);
        prop_assert_eq!(&codec::decode::<Decision>(&codec::encode(&decision).unwrap()).unwrap(), &decision);
    }

    #[test]
    fn arbitrary_bytes_are_no_trouble_to_any_body(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = codec::decode::<CompletionGroup>(&bytes);
        let _ = codec::decode::<Critique>(&bytes);
        let _ = codec::decode::<Decision>(&bytes);
        let _ = codec::decode::<Seals>(&bytes);
        let _ = codec::decode::<crate::agreement::Receipt>(&bytes);
        let _ = codec::decode::<crate::agreement::Proposal>(&bytes);
        let _ = codec::decode::<crate::agreement::Vote>(&bytes);
    }
}

mod membership;
mod records;
mod signing;
