//! Proposals that are refused, and nodes that have no outcome of their own.

use contracts::outcome::Outcome;

use super::super::*;
use super::model::{Parameters, bogus};
use super::world::{SCHEDULE, World, parameters};

/// Seconds in which a proposal, an objection and two courts come to an end.
const SLOW: u64 = 600;

/// A swarm whose blocks carry no votes of all: a proposal ends by time or in court.
fn slow(stakes: Vec<u128>) -> Parameters {
    Parameters {
        fast_limit: 0,
        stakes,
        ..parameters()
    }
}

/// What a hostile member proposes for epoch 0.
fn theft() -> Outcome {
    bogus(&Outcome {
        points: 1,
        ..Outcome::default()
    })
}

fn notices(world: &World, is_it: fn(&Notice) -> bool) -> usize {
    let notices = world.notices.iter();
    notices.filter(|(_, notice)| is_it(notice)).count()
}

#[test]
fn a_theft_of_epochs_in_which_nobody_earned_anything_is_refused_by_the_court() {
    let mut world = World::new(slow(vec![5; 10]), 0..7);
    world.points = |_, _| 0;
    world.run_to_end(0);
    world.hostile(Transaction::Propose(theft())).unwrap();
    world.last_second = world.now + 10;
    world.run(SLOW);
    let storage = world.chain.storage();
    assert_eq!(storage.refused, [theft()]);
    assert_eq!((storage.lost, storage.finals.len()), ((1, 0), 0));
    assert!(world.count("refuse") >= 1 && world.count("draw") == 1);
    let groundless = notices(&world, |notice| matches!(notice, Notice::Groundless { .. }));
    assert_eq!(groundless, 7, "each node says it once");
    let is_refusal = |vote: &Attestation| vote.outcome == theft().refusal();
    assert!(world.votes.iter().all(is_refusal) && world.votes.len() == 7);
}

/// Nobody can have these epochs whole, so nobody can compute what is right: still the pool is safe.
#[test]
fn a_theft_of_rounds_that_were_never_decided_is_refused_and_loses_nothing() {
    let mut world = World::new(slow(vec![5; 10]), 0..7);
    world.misses = |_, round| round == 2;
    world.withheld = |_, round| round == 2;
    world.run_to_end(0);
    world.hostile(Transaction::Propose(theft())).unwrap();
    let pending = world.chain.storage().pending.unwrap();
    let deadline = pending.deadline;
    while world.chain.storage().pending.unwrap().objected.is_none() {
        world.run(1);
        assert!(world.now < deadline, "nobody objects");
    }
    assert!(
        world.now >= deadline - SCHEDULE.objection_window / 4,
        "whoever has the rounds may show them"
    );
    while world.chain.storage().refused.is_empty() {
        world.run(1);
        assert!(world.now < SCHEDULE.end(0) + SLOW);
    }
    assert_eq!(world.chain.storage().lost, (1, 0));
    assert_eq!(world.count("refuse"), 1);
    // The round is decided after all, and its epoch is paid with a later one.
    world.withheld = |_, _| false;
    world.last_second = world.now;
    let last = SCHEDULE.epoch_at(world.now - 3) - 1;
    world.run(SLOW);
    world.assert_settled(last);
}

#[test]
fn a_member_whom_the_rounds_reach_late_takes_no_position_before_it_must() {
    let mut world = World::new(slow(vec![5; 10]), 0..10);
    // Until the window for objections is half over nobody shows member 0 the round.
    world.misses = |number, round| number == 0 && round == 2;
    world.withheld = |number, round| number == 0 && round == 2;
    world.run_to_end(0);
    while world.chain.storage().pending.is_none() {
        world.run(1);
    }
    world.run(SCHEDULE.objection_window / 2);
    world.withheld = |_, _| false;
    world.last_second = SCHEDULE.end(0) + 3;
    world.run(SLOW);
    world.assert_settled(0);
    assert_eq!(world.count("object"), 0);
}

/// A proposal that nobody is there to judge, and a node without stake that has no round of it.
fn watched_by_a_newcomer(is_objected_to: bool) -> World {
    let mut stakes = vec![5; 10];
    stakes[9] = 0;
    let mut world = World::new(slow(stakes), [9]);
    world.misses = |_, _| true;
    world.withheld = |_, _| true;
    world.run_to_end(0);
    world.hostile(Transaction::Propose(theft())).unwrap();
    if is_objected_to {
        world.hostile(Transaction::Object(theft())).unwrap();
    }
    // Who has no stake has a turn now and then.
    world.run(4 * SLOW);
    assert_eq!((world.votes.len(), world.count("object")), (0, 0));
    assert_eq!(notices(&world, |_| true), 0);
    assert_eq!(world.chain.storage().pending, None);
    world
}

#[test]
fn who_joined_later_says_nothing_and_finishes_what_nobody_objected_to() {
    let world = watched_by_a_newcomer(false);
    assert_eq!((world.count("finalise"), world.count("draw")), (1, 0));
    assert_eq!(world.chain.storage().finals.len(), 1);
}

#[test]
fn who_joined_later_says_nothing_and_moves_a_dispute_of_others_to_its_end() {
    let world = watched_by_a_newcomer(true);
    assert_eq!((world.count("draw"), world.count("finalise")), (2, 1));
    assert_eq!(world.chain.storage().refused, [theft()]);
    assert_eq!(world.count("refuse/") + world.count("judge"), 0);
}

/// Members who computed another outcome vote for theirs, and against the theft, too: so votes of
/// members who lack the rounds and votes of those who have them add up.
#[test]
fn those_who_have_the_rounds_and_those_who_lack_them_refuse_together() {
    let mut world = World::new(slow(vec![5; 10]), 0..8);
    world.misses = |number, round| number < 4 && round == 2;
    world.withheld = |number, round| number < 4 && round == 2;
    world.run_to_end(0);
    world.hostile(Transaction::Propose(theft())).unwrap();
    while world.chain.storage().refused.is_empty() {
        world.run(1);
        assert!(world.now < SCHEDULE.end(0) + SLOW);
    }
    assert_eq!(world.chain.storage().lost, (1, 0));
    assert_eq!(world.count("draw"), 1, "the first court refuses it");
    world.assert_signed_once();
}

#[test]
fn a_vote_against_what_is_not_pending_is_refused_alone() {
    let mut world = World::new(parameters(), 0..10);
    world.run_to_end(0);
    let refusal = theft().refusal();
    let vote = testing::attestation(8, testing::owner(8), refusal);
    world.input(0, Input::Attestation(vote));
    let span = Span { since: 0, epoch: 0 };
    assert_eq!(world.rejections, [(0, Rejection::Refusal(span))]);
}
