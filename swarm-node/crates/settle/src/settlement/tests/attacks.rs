//! Hostile members, each alone, and what it costs them.

use contracts::outcome::Outcome;

use super::super::testing::{attestation, owner};
use super::super::*;
use super::model::{Parameters, bogus};
use super::world::{SCHEDULE, World, parameters};

const SLOW: u64 = 600;
/// More votes than these blocks carry: the way through the court is open.
const NO_FAST_PATH: usize = 0;

fn slow() -> Parameters {
    Parameters {
        fast_limit: NO_FAST_PATH,
        ..parameters()
    }
}

/// What a hostile member proposes for the span that is open, however many points it names.
fn theft(world: &World, epoch: u64) -> Outcome {
    bogus(&Outcome {
        since: world.chain.since(),
        epoch,
        points: 1,
        ..Outcome::default()
    })
}

fn end(world: &mut World, epoch: u64) {
    world.last_second = SCHEDULE.end(epoch) + 3;
    world.run(SLOW);
    world.assert_settled(epoch);
}

fn await_proposal(world: &mut World) {
    while world.chain.storage().pending.is_none() {
        world.run(1);
        assert!(world.now < SCHEDULE.last_proposal(0), "nobody proposes");
    }
}

#[test]
fn a_theft_is_objected_to_and_the_court_finds_the_right_outcome() {
    let mut world = World::new(slow(), 0..7);
    world.run_to_end(0);
    let theft = theft(&world, 0);
    world.hostile(Transaction::Propose(theft)).unwrap();
    end(&mut world, 0);
    let storage = world.chain.storage();
    assert_eq!(
        (storage.lost, storage.refused.len()),
        ((1, 0), 0),
        "the proposer's bond"
    );
    assert_eq!((world.count("object"), world.count("draw")), (1, 1));
    assert!(world.count("judge") >= 1);
    assert!(
        world
            .notices
            .iter()
            .any(|(_, notice)| matches!(notice, Notice::Differs { .. }))
    );
}

#[test]
fn a_theft_is_overtaken_by_votes_where_they_suffice() {
    let mut world = World::new(parameters(), 0..7);
    world.run_to_end(0);
    let theft = theft(&world, 0);
    world.hostile(Transaction::Propose(theft)).unwrap();
    end(&mut world, 0);
    assert_eq!(world.chain.storage().lost, (1, 0));
    assert!(world.count("fast") == 1 && world.count("judge") == 0);
}

#[test]
fn one_honest_watcher_with_a_bond_stops_a_theft_that_nobody_else_sees() {
    // One member of ten is there: no verdict, but the theft is refused and waits for nobody.
    let mut world = World::new(slow(), [4]);
    world.run_to_end(0);
    let theft = theft(&world, 0);
    world.hostile(Transaction::Propose(theft)).unwrap();
    world.last_second = SCHEDULE.end(0) + 3;
    world.run(SLOW);
    let storage = world.chain.storage();
    assert_eq!(
        (storage.refused.as_slice(), storage.finals.len()),
        (&[theft][..], 0)
    );
    assert_eq!(storage.lost, (1, 0), "its seats against none");
}

#[test]
fn an_objection_to_the_right_outcome_loses_its_bond() {
    let mut world = World::new(slow(), 0..7);
    world.run_to_end(0);
    await_proposal(&mut world);
    let pending = world.chain.storage().pending.unwrap();
    world.hostile(Transaction::Object(pending.outcome)).unwrap();
    end(&mut world, 0);
    assert_eq!(world.chain.storage().lost, (0, 1));
    assert_eq!(world.chain.storage().finals[0].outcome, pending.outcome);
}

#[test]
fn judges_who_lie_lose_and_are_slashed() {
    let mut world = World::new(slow(), 0..7);
    world.run_to_end(0);
    let theft = theft(&world, 0);
    world.hostile(Transaction::Propose(theft)).unwrap();
    let lies = [7, 8, 9].map(|number| attestation(number, owner(number), theft));
    lies.iter().for_each(|lie| world.publish(9, *lie));
    while world
        .chain
        .storage()
        .pending
        .is_some_and(|pending| pending.court.is_none())
    {
        world.run(1);
    }
    world
        .hostile(Transaction::Judge(theft, lies.map(|lie| lie.vote).to_vec()))
        .unwrap();
    end(&mut world, 0);
    let slashed: Vec<_> = world
        .chain
        .storage()
        .slashed
        .iter()
        .map(|(owner, _)| *owner)
        .collect();
    assert_eq!(slashed, [owner(7), owner(8), owner(9)]);
}

#[test]
fn who_contradicts_itself_is_reported_with_both_votes() {
    let mut world = World::new(slow(), 0..7);
    world.run_to_end(0);
    let (one, other) = (
        theft(&world, 0),
        Outcome {
            points: 2,
            ..theft(&world, 0)
        },
    );
    world.publish(9, attestation(8, owner(8), one));
    world.publish(9, attestation(8, owner(8), other));
    end(&mut world, 0);
    let slashed: Vec<_> = world
        .chain
        .storage()
        .slashed
        .iter()
        .map(|(owner, _)| *owner)
        .collect();
    assert_eq!(slashed, [owner(8)]);
}

#[test]
fn votes_of_others_names_and_spans_are_refused_alone_with_a_reason() {
    let mut world = World::new(parameters(), 0..10);
    world.run_to_end(0);
    let theft = theft(&world, 0);
    let forged = attestation(8, owner(3), theft);
    let early = attestation(8, owner(8), Outcome { epoch: 40, ..theft });
    let strange = attestation(200, owner(200), theft);
    [forged, early, strange]
        .iter()
        .for_each(|vote| world.publish(10, *vote));
    end(&mut world, 0);
    let reasons: Vec<Rejection> = world
        .rejections
        .iter()
        .filter(|(number, _)| *number == 0)
        .map(|(_, why)| *why)
        .collect();
    let span = Span {
        since: 0,
        epoch: 40,
    };
    let expected = [
        Rejection::Span(span),
        Rejection::Stakeless(0),
        Rejection::Signer(0),
    ];
    assert!(
        expected.iter().all(|reason| reasons.contains(reason)),
        "{reasons:?}"
    );
}

#[test]
fn a_table_with_another_root_is_refused() {
    let mut world = World::new(parameters(), 0..10);
    let table = contracts::earnings::EarningsTable::default()
        .after([(owner(9), 1)], 1 << 70)
        .unwrap();
    let root = table.root();
    world.input(0, Input::Table(Ok(std::sync::Arc::new(table))));
    assert_eq!(world.rejections, [(0, Rejection::Unwanted(root))]);
}

#[test]
fn a_court_without_a_verdict_is_drawn_again_and_then_the_next_epoch_pays() {
    // Six of ten are there: too few for a verdict as long as somebody objects.
    let mut world = World::new(slow(), 0..6);
    world.run_to_end(0);
    await_proposal(&mut world);
    let pending = world.chain.storage().pending.unwrap();
    world.hostile(Transaction::Object(pending.outcome)).unwrap();
    while world.chain.storage().refused.is_empty() {
        world.run(1);
        assert!(
            world.now < SCHEDULE.end(0) + SLOW,
            "{:?}",
            world.chain.storage().pending
        );
    }
    assert_eq!(world.chain.storage().lost, (0, 1), "a veto costs money");
    world.last_second = world.now;
    let last = SCHEDULE.epoch_at(world.now - 3) - 1;
    world.run(SLOW);
    world.assert_settled(last);
}
