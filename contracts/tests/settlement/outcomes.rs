//! The life of outcomes on chain: by votes, by silence, through a court; and where bonds end.

use alloy::primitives::Address;
use contracts::bindings::SwarmRewards;
use contracts::earnings::EarningsTable;
use contracts::outcome::Outcome;
use contracts::swarm::{Phase, calls};

use crate::world::{FIRE, PURSE, STAKE, World};

const FEE: u128 = 40;
const PROPOSAL_BOND: u128 = 8_000;
const OBJECTION_BOND: u128 = 4_000;
const PROPOSER: usize = 0;
const OBJECTOR: usize = 1;
const JUDGE: usize = 2;

async fn phase(world: &World) -> Option<Phase> {
    let pending = world.swarm.pending().await.unwrap();
    pending.map(|pending| pending.phase)
}

/// Somebody proposes, somebody objects, and the court is drawn.
async fn disputed(world: &World, proposal: &Outcome) {
    world
        .reward(PROPOSER, calls::propose(proposal))
        .await
        .unwrap();
    assert_eq!(phase(world).await, Some(Phase::Open));
    world
        .reward(OBJECTOR, calls::object(proposal.hash()))
        .await
        .unwrap();
    let early = world.reward(JUDGE, calls::draw()).await.unwrap_err();
    assert!(
        early.is_refused_with::<SwarmRewards::SeedNotReady>(),
        "{early}"
    );
    drawn(world).await;
}

async fn drawn(world: &World) {
    world.chain.mine(3).unwrap();
    world.reward(JUDGE, calls::draw()).await.unwrap();
    assert_eq!(phase(world).await, Some(Phase::Court));
}

/// What accounts are owed: proposer, objector, judge and fire.
async fn owed(world: &World) -> [u128; 4] {
    let address = |member: usize| world.members[member].address();
    let mut owed = [0; 4];
    let accounts: [Address; 4] = [address(PROPOSER), address(OBJECTOR), address(JUDGE), FIRE];
    for (owed, account) in owed.iter_mut().zip(accounts) {
        *owed = world.owed(account).await;
    }
    owed
}

#[tokio::test]
async fn votes_of_more_than_two_thirds_make_an_outcome_final_at_once() {
    let world = World::with_members(4).await;
    let (outcome, table) = world.earned(&EarningsTable::default(), 0, 0).await;
    let two = [world.vote(0, &outcome), world.vote(2, &outcome)];
    let few = world
        .reward(0, calls::finalise_fast(&outcome, two))
        .await
        .unwrap_err();
    assert!(
        few.is_refused_with::<SwarmRewards::QuorumNotReached>(),
        "{few}"
    );
    let mut votes = world.votes(&outcome);
    // A vote for something else is passed over, wherever it stands.
    let other = Outcome {
        points: 1,
        ..outcome
    };
    votes[1] = world.vote(1, &other);
    world
        .reward(3, calls::finalise_fast(&outcome, votes))
        .await
        .unwrap();
    assert_eq!(world.swarm.next_epoch().await.unwrap(), 1);
    assert_eq!(world.swarm.root().await.unwrap(), table.root());
    world.claim_all(&table).await;
    assert_eq!(world.owed(world.members[3].address()).await, FEE);

    // Two epochs later one proof pays both; what the first one paid is not paid again.
    world.set_time(world.end_of(2));
    let (outcome, table) = world.earned(&table, 1, 2).await;
    let votes = world.votes(&outcome);
    world
        .reward(0, calls::finalise_fast(&outcome, votes))
        .await
        .unwrap();
    world.claim_all(&table).await;
    let pool = world.swarm.pool().await.unwrap();
    assert_eq!(pool.taken, pool.committed, "all that was promised is paid");
}

#[tokio::test]
async fn without_an_objection_a_proposal_becomes_final() {
    let world = World::with_members(3).await;
    let (outcome, table) = world.earned(&EarningsTable::default(), 0, 0).await;
    world
        .reward(PROPOSER, calls::propose(&outcome))
        .await
        .unwrap();
    let early = world
        .reward(1, calls::finalise(&outcome))
        .await
        .unwrap_err();
    assert!(
        early.is_refused_with::<SwarmRewards::WrongPhase>(),
        "{early}"
    );
    world.pass(world.parameters.objection_window + 1);
    assert_eq!(phase(&world).await, Some(Phase::Unopposed));
    world.reward(1, calls::finalise(&outcome)).await.unwrap();
    assert_eq!(owed(&world).await, [PROPOSAL_BOND + FEE, 0, 0, 0]);
    world.claim_all(&table).await;
    let proposer = world.members[PROPOSER].address();
    world.reward(PROPOSER, calls::collect()).await.unwrap();
    assert_eq!(
        world.tokens(proposer).await,
        PURSE + FEE + table.earned(proposer)
    );
}

#[tokio::test]
async fn an_objector_who_is_right_is_paid_by_the_proposer() {
    let world = World::with_members(5).await;
    let (right, table) = world.earned(&EarningsTable::default(), 0, 0).await;
    let wrong = Outcome {
        root: contracts::B256::repeat_byte(9),
        ..right
    };
    disputed(&world, &wrong).await;
    world
        .reward(JUDGE, calls::judge(&right, world.votes(&right)))
        .await
        .unwrap();
    assert_eq!(world.swarm.root().await.unwrap(), table.root());
    // The bond of the proposal: a quarter to the objector, half to the judge, who also brought what
    // became final; the rest is burned.
    let quarter = PROPOSAL_BOND / 4;
    assert_eq!(
        owed(&world).await,
        [0, OBJECTION_BOND + quarter, 2 * quarter + FEE, quarter]
    );
    world.claim_all(&table).await;
}

#[tokio::test]
async fn an_objector_who_is_wrong_pays_the_proposer() {
    let world = World::with_members(5).await;
    let (right, table) = world.earned(&EarningsTable::default(), 0, 0).await;
    disputed(&world, &right).await;
    world
        .reward(JUDGE, calls::judge(&right, world.votes(&right)))
        .await
        .unwrap();
    let quarter = OBJECTION_BOND / 4;
    assert_eq!(
        owed(&world).await,
        [PROPOSAL_BOND + FEE + quarter, 0, 2 * quarter, quarter]
    );
    world.claim_all(&table).await;
}

#[tokio::test]
async fn a_court_that_is_not_complete_is_followed_by_another_and_then_by_none() {
    let world = World::with_members(5).await;
    let (right, _) = world.earned(&EarningsTable::default(), 0, 0).await;
    disputed(&world, &right).await;
    // Two of five owners have about 102 seats.
    let two = [world.vote(3, &right), world.vote(4, &right)];
    world
        .reward(JUDGE, calls::judge(&right, two))
        .await
        .unwrap();
    let pending = world.swarm.pending().await.unwrap().unwrap();
    let dispute = pending.dispute.unwrap();
    assert!((95..=110).contains(&dispute.seats_for), "{dispute:?}");
    world.pass(world.parameters.court_window + 1);
    assert_eq!(phase(&world).await, Some(Phase::Drawing));
    world.reward(JUDGE, calls::draw()).await.unwrap();
    drawn(&world).await;
    world.pass(world.parameters.court_window);
    assert_eq!(phase(&world).await, Some(Phase::Undecided));
    world.reward(JUDGE, calls::refuse()).await.unwrap();
    // More seats were for the proposal: the objection's bond is burned, the proposal's returns.
    assert_eq!(owed(&world).await, [PROPOSAL_BOND, 0, 0, OBJECTION_BOND]);
    assert_eq!(phase(&world).await, None);
    assert_eq!(
        world.swarm.next_epoch().await.unwrap(),
        0,
        "it is paid with a later one"
    );
}

#[tokio::test]
async fn judges_refuse_a_proposal_without_naming_another() {
    let world = World::with_members(4).await;
    let (right, _) = world.earned(&EarningsTable::default(), 0, 0).await;
    disputed(&world, &right).await;
    let refusal = right.refusal();
    world
        .reward(JUDGE, calls::judge(&refusal, world.votes(&refusal)))
        .await
        .unwrap();
    let quarter = PROPOSAL_BOND / 4;
    assert_eq!(
        owed(&world).await,
        [0, OBJECTION_BOND + quarter, 2 * quarter, quarter]
    );
    assert_eq!(world.swarm.next_epoch().await.unwrap(), 0);
}

#[tokio::test]
async fn two_words_of_one_owner_cost_a_part_of_its_stake() {
    let world = World::with_members(4).await;
    let (right, _) = world.earned(&EarningsTable::default(), 0, 0).await;
    let wrong = Outcome {
        root: contracts::B256::repeat_byte(9),
        ..right
    };
    let slasher = world.swarm.addresses().slasher;
    let two_words = calls::slash_contradiction(
        (&right, world.vote(3, &right)),
        (&wrong, world.vote(3, &wrong)),
    );
    world.must(0, slasher, two_words.clone()).await;
    let left = world
        .swarm
        .deposit_of(world.members[3].address())
        .await
        .unwrap();
    assert_eq!(left.to::<u128>(), STAKE - STAKE / 10);
    let again = world.send(0, slasher, two_words).await.unwrap_err();
    assert!(
        again.is_refused_with::<contracts::bindings::SwarmSlasher::AlreadySlashed>(),
        "{again}"
    );
}

#[tokio::test]
async fn a_judge_who_was_wrong_is_slashed() {
    let world = World::with_members(5).await;
    let (right, _) = world.earned(&EarningsTable::default(), 0, 0).await;
    let wrong = Outcome {
        root: contracts::B256::repeat_byte(9),
        ..right
    };
    disputed(&world, &wrong).await;
    let votes = world.votes(&right);
    world
        .reward(JUDGE, calls::judge(&right, votes))
        .await
        .unwrap();
    let slasher = world.swarm.addresses().slasher;
    let loser = calls::slash_losers(&wrong, [world.vote(4, &wrong)]);
    world.must(0, slasher, loser).await;
    let left = world
        .swarm
        .deposit_of(world.members[4].address())
        .await
        .unwrap();
    assert_eq!(left.to::<u128>(), STAKE - STAKE / 10);
}
