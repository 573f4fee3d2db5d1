//! What a node pays for: calls are tried, not sent.

use contracts::earnings::EarningsTable;
use contracts::swarm::calls;

use crate::world::World;

#[tokio::test]
async fn calls_stay_within_their_gas() {
    let world = World::with_members(8).await;
    let (outcome, table) = world.earned(&EarningsTable::default(), 0, 0).await;
    let fast = calls::finalise_fast(&outcome, world.votes(&outcome));
    let fast = world.gas(0, fast).await;
    let propose = world.gas(0, calls::propose(&outcome)).await;
    world.reward(0, calls::propose(&outcome)).await.unwrap();
    let object = world.gas(1, calls::object(outcome.hash())).await;
    world.pass(world.parameters.objection_window + 1);
    let finalise = world.gas(2, calls::finalise(&outcome)).await;
    world.reward(2, calls::finalise(&outcome)).await.unwrap();
    let claim = world.gas(3, calls::claim([world.claim(&table, 3)])).await;
    println!(
        "fast path with 8 votes {fast}, propose {propose}, object {object}, finalise {finalise}, \
         first claim {claim}"
    );
    assert!(propose + finalise <= 300_000, "{propose} + {finalise}");
    assert!(claim <= 110_000, "{claim}");
    assert!(fast <= 400_000, "{fast}");
}
