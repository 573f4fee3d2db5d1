//! Every signature passes the sign-once table.

use std::collections::{BTreeMap, BTreeSet};

use swarm_identity::digest::Digest32;

use super::*;

/// Answers to every question of a task.
fn answers(task: &StageTask, text: &str) -> Work {
    let group = || vec![SharedCompletion::untold(text.into())];
    Work::Answers(
        task.asked
            .iter()
            .map(|asked| (asked.slot, group()))
            .collect(),
    )
}

/// What the core asks the model for at a time.
fn task_at(core: &mut Core, now: Millis) -> StageTask {
    let outputs = core.handle(Input::Tick, now);
    let task = outputs.into_iter().find_map(|output| match output {
        Output::Need(task) => Some(task),
        _ => None,
    });
    task.unwrap()
}

/// Hands answers in and returns the signature that the core asks for.
fn asked_to_sign(core: &mut Core, text: &str, now: Millis) -> (Place, Digest32) {
    let task = task_at(core, now);
    let outputs = core.handle(Input::Work(0, answers(&task, text)), now);
    let [Output::Sign { place, digest }] = outputs[..] else {
        panic!("{outputs:?}")
    };
    (place, digest)
}

fn signs(outputs: &[Output]) -> usize {
    let is_sign = |output: &&Output| matches!(output, Output::Sign { .. });
    outputs.iter().filter(is_sign).count()
}

#[test]
fn a_message_counts_and_goes_out_when_it_is_signed() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let (place, digest) = asked_to_sign(&mut core, "1", now);
    assert_eq!(
        (place.kind, place.slot),
        (Kind::ShareSeal as u8, STAGE_SLOT)
    );
    assert_eq!(core.counters().accepted, 0);
    let signature = key(0).sign(&digest).unwrap();
    let outputs = core.handle(Input::Signed(place, signature), now);
    assert!(matches!(outputs[..], [Output::Broadcast(_)]), "{outputs:?}");
    assert_eq!(core.counters().accepted, 1);
    // The second answer finds nothing that waits.
    assert!(core.handle(Input::Signed(place, signature), now).is_empty());
    let reveals = core.handle(Input::Tick, at(&core, Window::ShareReveal));
    assert!(signs(&reveals) >= 2);
}

#[test]
fn a_refused_seal_leaves_the_node_silent_in_its_stage_alone() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let (place, _) = asked_to_sign(&mut core, "1", now);
    let outputs = core.handle(Input::Refused(place), now);
    let [Output::Withheld(refused, Withheld::Refused)] = outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(refused, place);
    assert_eq!(core.counters().withheld(Withheld::Refused), 1);
    let outputs = core.handle(Input::Tick, at(&core, Window::ShareReveal));
    assert_eq!(
        signs(&outputs),
        0,
        "nothing is revealed that was not sealed"
    );
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Missed(0, Stage::Share)))
    );
    let now = at(&core, Window::CritiqueSeal);
    let task = task_at(&mut core, now);
    assert_eq!(
        signs(&core.handle(Input::Work(0, right_work(&task)), now)),
        1
    );
}

#[test]
fn a_signature_after_its_window_is_not_published() {
    let mut core = core();
    let (place, digest) = {
        let now = at(&core, Window::ShareSeal);
        asked_to_sign(&mut core, "1", now)
    };
    let late = at(&core, Window::ShareReveal);
    let outputs = core.handle(Input::Signed(place, key(0).sign(&digest).unwrap()), late);
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Withheld(p, Withheld::Late) if *p == place))
    );
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::Broadcast(_)))
    );
    let counters = core.counters();
    assert_eq!(
        (counters.accepted, counters.withheld(Withheld::Late)),
        (0, 1)
    );
}

#[test]
fn a_signature_by_another_key_is_not_published() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let (place, digest) = asked_to_sign(&mut core, "1", now);
    let outputs = core.handle(Input::Signed(place, key(1).sign(&digest).unwrap()), now);
    assert_eq!(rejection(&outputs), Some(Rejection::Signature));
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Withheld(_, Withheld::Rejected)))
    );
}

#[test]
fn work_for_a_stage_is_taken_once_even_if_it_is_empty() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let task = task_at(&mut core, now);
    let empty = Work::Answers(Vec::new());
    assert_eq!(signs(&core.handle(Input::Work(0, empty), now)), 1);
    let outputs = core.handle(Input::Work(0, answers(&task, "1")), now);
    assert!(
        matches!(outputs[..], [Output::Missed(0, Stage::Share)]),
        "{outputs:?}"
    );
}

#[test]
fn an_overslept_window_asks_for_no_signature() {
    let mut core = core();
    let now = at(&core, Window::ShareSeal);
    let (place, digest) = asked_to_sign(&mut core, "1", now);
    core.handle(Input::Signed(place, key(0).sign(&digest).unwrap()), now);
    let outputs = core.handle(Input::Tick, at(&core, Window::CritiqueSeal));
    assert_eq!(signs(&outputs), 0);
    assert!(core.counters().withheld(Withheld::Late) >= 2);
}

/// A node seals one answer, is killed, and is started again with its clock set back, so that it
/// plays the same round and comes to another answer. Returns what a witness heard of it, and the
/// restarted node.
fn killed_and_restarted(before: &Signer<MemoryTable>, after: &Signer<MemoryTable>) -> (Core, Core) {
    let mut witness = Core::new(setup(1), 0).unwrap();
    let mut node = core();
    let now = at(&node, Window::ShareSeal);
    for (signer, text) in [(before, "1"), (after, "2")] {
        node = core();
        let task = task_at(&mut node, now);
        let outputs = node.handle(Input::Work(0, answers(&task, text)), now);
        for output in sign_all(&mut node, signer, outputs, now) {
            if let Output::Broadcast(bytes) = output {
                witness.handle(Input::Envelope(Link(key(0).peer()), bytes), now);
            }
        }
    }
    let later = at(&node, Window::ShareReveal);
    let outputs = node.handle(Input::Tick, later);
    for output in sign_all(&mut node, after, outputs, later) {
        if let Output::Broadcast(bytes) = output {
            witness.handle(Input::Envelope(Link(key(0).peer()), bytes), later);
        }
    }
    (witness, node)
}

fn contradictions(core: &Core) -> u32 {
    let transcript = core.active.as_ref().unwrap().log.transcript();
    transcript.equivocations.values().sum()
}

#[test]
fn a_restarted_node_with_its_table_contradicts_nothing() {
    let signer = signer(0);
    let (witness, node) = killed_and_restarted(&signer, &signer);
    assert_eq!(node.counters().withheld(Withheld::Refused), 1);
    assert_eq!(contradictions(&witness), 0);
    assert_eq!(witness.counters().rejected(Rejection::Equivocation), 0);
    // It is silent: the second answer is not revealed under the first one's seal.
    assert_eq!(witness.counters().rejected(Rejection::Unsealed), 0);
}

#[test]
fn a_restarted_node_without_its_table_convicts_itself() {
    let (witness, node) = killed_and_restarted(&signer(0), &signer(0));
    assert_eq!(node.counters().withheld(Withheld::Refused), 0);
    assert_eq!(contradictions(&witness), 1);
    assert_eq!(witness.counters().rejected(Rejection::Equivocation), 1);
}

#[test]
fn the_same_answer_after_a_restart_is_the_same_message() {
    let signer = signer(0);
    let mut seals = BTreeSet::new();
    for _ in 0..2 {
        let mut node = core();
        let now = at(&node, Window::ShareSeal);
        let task = task_at(&mut node, now);
        let outputs = node.handle(Input::Work(0, answers(&task, "1")), now);
        for output in sign_all(&mut node, &signer, outputs, now) {
            if let Output::Broadcast(bytes) = output {
                seals.insert(bytes);
            }
        }
    }
    assert_eq!(seals.len(), 1);
}

/// What a shell may do next.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Sign one of the digests that were asked for.
    Sign(usize),
    /// Refuse one of them.
    Refuse(usize),
    /// Hand the work of a stage in.
    Work,
    /// Let time pass.
    Wait(u64),
    /// Start again, with the clock set back to the beginning.
    Restart,
}

fn shell_answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        4 => (0usize..12).prop_map(Answer::Sign),
        1 => (0usize..12).prop_map(Answer::Refuse),
        3 => Just(Answer::Work),
        3 => (1u64..1_200).prop_map(Answer::Wait),
        1 => Just(Answer::Restart),
    ];
    prop::collection::vec(answer, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_any_order_of_answers_a_place_has_one_message(steps in shell_answers()) {
        let signer = signer(0);
        let mut core = core();
        let (mut now, mut works) = (at(&core, Window::ShareSeal), 0);
        let (mut asked, mut tasks) = (Vec::new(), Vec::new());
        let mut published: BTreeMap<Place, Vec<u8>> = BTreeMap::new();
        // Places that the present run of the core asked for, and those that have come to an end.
        let (mut wanted, mut ended) = (BTreeSet::new(), BTreeSet::new());
        let mut said = BTreeSet::new();
        for step in steps {
            let input = match step {
                Answer::Wait(ms) => { now += ms; Input::Tick }
                Answer::Restart => {
                    core = self::core();
                    now = at(&core, Window::ShareSeal);
                    (wanted, ended, said) = Default::default();
                    (asked, tasks) = Default::default();
                    Input::Tick
                }
                Answer::Work => match tasks.pop() {
                    Some(task) => {
                        works += 1;
                        let task: StageTask = task;
                        let work = match task.stage {
                            Stage::Share => answers(&task, &works.to_string()),
                            _ => right_work(&task),
                        };
                        Input::Work(task.round, work)
                    }
                    None => Input::Tick,
                },
                Answer::Refuse(i) => match asked.get(i) {
                    Some((place, _)) => Input::Refused(*place),
                    None => Input::Tick,
                },
                Answer::Sign(i) => match asked.get(i) {
                    Some((place, digest)) => match signer.sign(place, digest) {
                        Ok(signature) => Input::Signed(*place, signature),
                        Err(_) => Input::Refused(*place),
                    },
                    None => Input::Tick,
                },
            };
            for output in core.handle(input, now) {
                match output {
                    Output::Sign { place, digest } => {
                        prop_assert!(wanted.insert(place), "{place} was asked for twice");
                        asked.push((place, digest));
                    }
                    Output::Broadcast(bytes) => {
                        let place = Envelope::parse(&bytes).unwrap().header.place();
                        // Until a round is decided, what was said is said again.
                        let again = said.contains(&place);
                        prop_assert!(wanted.contains(&place) && (again || ended.insert(place)));
                        said.insert(place);
                        let first = published.entry(place).or_insert_with(|| bytes.to_vec());
                        prop_assert_eq!(&first[..], &bytes[..], "{} has two messages", place);
                    }
                    Output::Withheld(place, _) => prop_assert!(ended.insert(place)),
                    Output::Need(task) => tasks.push(task),
                    Output::Evidence(proof) => prop_assert!(false, "{proof:?}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn contents_that_would_come_too_late_stay_here() {
    const LEAD: Millis = 100;
    for (before, in_reach) in [(LEAD + 1, true), (LEAD, false)] {
        let mut core = core();
        core.handle(Input::Lead(LEAD), 0);
        let begin = at(&core, Window::ShareSeal);
        let (place, digest) = asked_to_sign(&mut core, "1", begin);
        let now = at(&core, Window::ShareReveal) - before;
        let signature = key(0).sign(&digest).unwrap();
        let outputs = core.handle(Input::Signed(place, signature), now);
        match in_reach {
            true => assert!(matches!(outputs[..], [Output::Broadcast(_)]), "{outputs:?}"),
            false => assert!(
                matches!(outputs[..], [Output::Withheld(held, Withheld::OutOfReach)] if held == place),
                "{outputs:?}"
            ),
        }
        assert_eq!(
            core.counters().withheld(Withheld::OutOfReach),
            u64::from(!in_reach)
        );
        let reveals = core.handle(Input::Tick, at(&core, Window::ShareReveal));
        assert_eq!(
            signs(&reveals) > 0,
            in_reach,
            "nothing is revealed that was not sealed"
        );
    }
}
