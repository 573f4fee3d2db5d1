//! Epochs that end, whatever chain, network and processes do.

use proptest::prelude::*;

use super::super::*;
use super::model::Parameters;
use super::world::{SCHEDULE, World, parameters};

/// Seconds in which everything that is under way ends, by votes alone.
const CALM: u64 = 120;
/// The same with a proposal, an objection and two courts.
const SLOW: u64 = 600;

/// Three epochs, and time to settle them.
fn three_epochs(world: &mut World, after: u64) {
    world.last_second = SCHEDULE.end(2) + 3;
    world.run_to_end(2);
    world.run(after);
}

#[test]
fn epochs_are_settled_by_votes_and_paid_once() {
    let mut world = World::new(parameters(), 0..10);
    three_epochs(&mut world, CALM);
    world.assert_settled(2);
    assert_eq!(world.phases(0), [Phase::Settled; 3]);
    assert_eq!((world.count("fast"), world.count("propose")), (3, 0));
    assert_eq!(world.refusals, [], "members take turns");
    let unsound: Vec<_> = world
        .rejections
        .iter()
        .filter(|(_, why)| !matches!(why, Rejection::Span(_)))
        .collect();
    assert_eq!((unsound, world.notices.len()), (vec![], 0));
}

#[test]
fn a_third_that_is_silent_voids_nothing() {
    for honest in [6, 5, 4] {
        let mut world = World::new(parameters(), 0..honest);
        three_epochs(&mut world, SLOW);
        world.assert_settled(2);
        assert_eq!(world.count("fast"), 0, "{honest} of 10 are no quorum");
        assert!(world.count("propose") > 0 && world.count("object") == 0);
    }
}

#[test]
fn a_table_that_is_larger_than_a_block_carries_goes_the_slow_way() {
    let few = Parameters {
        fast_limit: 5,
        ..parameters()
    };
    let mut world = World::new(few, 0..10);
    three_epochs(&mut world, SLOW);
    world.assert_settled(2);
}

#[test]
fn who_misses_rounds_fetches_them_and_signs_nothing_before() {
    let mut world = World::new(parameters(), 0..10);
    world.misses = |number, round| number < 5 && round % 4 == number as u64 % 4;
    three_epochs(&mut world, CALM);
    world.assert_settled(2);
}

#[test]
fn who_was_away_fetches_the_table_by_its_root_and_is_paid() {
    let mut world = World::new(parameters(), 0..10);
    world.kill(9);
    world.run_to_end(2);
    world.run(CALM);
    world.restart(9);
    // The epochs that it missed are final: no rounds of them are needed.
    world.run(CALM);
    let rounds = &world.members[9].disk.rounds;
    assert!(rounds.keys().all(|round| *round > 8), "{:?}", rounds.keys());
    world.last_second = world.now;
    world.run(SLOW);
    let last = world.chain.since() - 1;
    assert!(last >= 8);
    world.assert_settled(last);
}

#[test]
fn what_the_pool_cannot_pay_waits_for_a_later_epoch() {
    let mut world = World::with_pool(parameters(), 0..10, 100);
    world.run_to_end(0);
    world.run(30);
    assert_eq!(world.phases(0)[0], Phase::Unfunded);
    assert_eq!((world.chain.since(), world.votes.len()), (0, 0));
    world.chain.fund(1 << 80);
    world.last_second = world.now + 120;
    world.run(SLOW);
    let last = world.chain.since() - 1;
    world.assert_settled(last);
    let first = world.chain.storage().finals[0].outcome;
    assert!(
        first.epoch > 0 && first.since == 0,
        "the points of epoch 0 are paid with {first:?}"
    );
}

#[test]
fn what_points_are_worth_is_asked_again_when_blocks_leave_the_chain() {
    let mut world = World::with_pool(parameters(), 0..10, 100);
    world.run_to_end(0);
    world.run(21);
    assert_eq!(world.phases(0)[0], Phase::Unfunded);
    // The branch that stays has a funding in it that the other one lacked.
    world.reorganise(1);
    world.chain.fund(1 << 80);
    world.run(20);
    assert_eq!(world.chain.storage().finals[0].outcome.epoch, 0);
}

#[test]
fn who_signed_before_blocks_left_the_chain_says_so_and_signs_no_other() {
    let mut world = World::with_pool(parameters(), 0..10, 1_000);
    world.mute_until = u64::MAX;
    world.run_to_end(0);
    while world.votes.len() < 10 {
        world.run(1);
    }
    // The branch that stays has a block of another time, and a funding in it that makes each point
    // worth more.
    world.run(1 + world.now % 2);
    world.reorganise(1);
    world.chain.fund(1 << 80);
    world.run(20);
    let span = Span { since: 0, epoch: 0 };
    let overtaken = |(_, notice): &&(usize, Notice)| *notice == Notice::Overtaken(span);
    assert_eq!(
        world.notices.iter().filter(overtaken).count(),
        10,
        "once each"
    );
    assert_eq!(world.votes.len(), 10, "and no second outcome is signed");
    world.mute_until = 0;
    world.last_second = world.now;
    world.run(SLOW);
    world.assert_settled(0);
    assert_eq!(world.count("fast"), 0, "a proposal that nobody objects to");
}

#[test]
fn a_full_pool_is_paid_out_to_the_last_point_and_no_unit_more() {
    let cap = Parameters {
        epoch_cap: 1_000,
        ..parameters()
    };
    let mut world = World::new(cap, 0..10);
    three_epochs(&mut world, CALM);
    world.assert_settled(2);
    assert!(
        world
            .chain
            .storage()
            .finals
            .iter()
            .all(|last| last.worth < 7)
    );
}

#[test]
fn what_is_final_is_forgotten_after_a_day_and_the_table_stays() {
    let mut world = World::new(parameters(), 0..10);
    three_epochs(&mut world, CALM);
    assert_eq!(world.members[1].disk.rounds.len(), 9);
    // The chain stands still for a day.
    world.now += schedule::GRACE_SECONDS + 2 * SLOW;
    world.run(4);
    let disk = &world.members[1].disk;
    assert!(disk.rounds.is_empty() && disk.votes.is_empty());
    assert_eq!(disk.tables.len(), 1);
    world.restart(1);
    world.run(4);
    world.assert_settled(2);
    assert_eq!(world.phases(1), []);
}

/// A process is killed after each of its steps in turn (a record written, a signature made, a
/// transaction handed over), with and without a reorganisation before it starts again.
#[test]
fn a_kill_between_any_two_steps_loses_and_doubles_nothing() {
    for depth in [0, 3] {
        let mut survived = false;
        for steps in 1.. {
            let mut world = World::new(parameters(), 0..4);
            world.chain.parameters.stakes = vec![5; 4];
            world.members.truncate(4);
            world.members[0].steps_left = Some(steps);
            world.last_second = SCHEDULE.end(1) + 3;
            world.run_to_end(1);
            world.run(40);
            world.reorganise(depth);
            survived = world.members[0].is_up;
            world.restart(0);
            world.run(CALM);
            world.assert_settled(1);
            if survived {
                assert!(steps > 20, "{steps} steps are fewer than there are writes");
                break;
            }
        }
        assert!(survived);
    }
}

#[derive(Clone, Debug)]
enum Turn {
    Run(u64),
    Reorganise(usize),
    Kill(usize),
    Restart(usize),
    Mute(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (1u64..30).prop_map(Turn::Run),
        2 => (1usize..4).prop_map(Turn::Reorganise),
        1 => (0usize..10).prop_map(Turn::Kill),
        2 => (0usize..10).prop_map(Turn::Restart),
        1 => (1u64..60).prop_map(Turn::Mute),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever leaves the chain, whoever is killed, whatever is lost and when: in the end every
    /// epoch is settled rightly and everybody is paid once.
    #[test]
    fn chaos_loses_and_doubles_nothing(
        turns in prop::collection::vec(turn(), 0..24),
        silent in 0usize..4,
    ) {
        let mut world = World::new(parameters(), 0..10 - silent);
        world.misses = |number, round| (number as u64 + round).is_multiple_of(5);
        for turn in turns {
            match turn {
                Turn::Run(seconds) => world.run(seconds),
                Turn::Reorganise(depth) => world.reorganise(depth),
                Turn::Kill(number) => world.kill(number),
                Turn::Restart(number) => world.restart(number),
                Turn::Mute(seconds) => world.mute_until = world.now + seconds,
            }
        }
        (0..10).for_each(|number| world.restart(number));
        world.last_second = world.now.max(SCHEDULE.end(1) + 3);
        let last = SCHEDULE.epoch_at(world.last_second - 3);
        world.run(2 * SLOW);
        if let Some(last) = last.checked_sub(1) {
            world.assert_settled(last);
        }
    }
}
