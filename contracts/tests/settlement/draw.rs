//! Hashes and courts in Rust and in the contract.

use alloy::primitives::{B256, U256, keccak256};
use alloy::sol_types::SolCall;
use contracts::bindings::SwarmRewards;
use contracts::client::Call;
use contracts::court;
use contracts::outcome::Outcome;

use crate::world::{STAKE, World};

async fn ask<C: SolCall>(world: &World, call: C) -> C::Return {
    let to = world.swarm.addresses().rewards;
    let asked = Call::to(to, call.abi_encode());
    let answer = world.client.call_pending(&asked).await.unwrap();
    C::abi_decode_returns(&answer).unwrap()
}

#[tokio::test]
async fn outcomes_and_votes_have_the_same_hashes() {
    let world = World::with_members(1).await;
    let owner = world.members[0].address();
    for number in 0..20u64 {
        let outcome = Outcome {
            since: number,
            epoch: number * 3,
            root: keccak256(number.to_be_bytes()),
            points: u128::MAX - u128::from(number),
            certificates: B256::repeat_byte(number as u8),
        };
        for outcome in [outcome, outcome.refusal()] {
            let theirs = (&outcome).into();
            let hashed = SwarmRewards::hashOutcomeCall { outcome: theirs };
            assert_eq!(ask(&world, hashed).await, outcome.hash());
            let theirs = (&outcome).into();
            let digest = SwarmRewards::voteDigestCall {
                outcome: theirs,
                owner,
            };
            assert_eq!(
                ask(&world, digest).await,
                world.rewards_domain().outcome(owner, &outcome)
            );
        }
    }
}

#[tokio::test]
async fn the_court_is_drawn_alike() {
    let world = World::with_members(7).await;
    let total = U256::from(7 * STAKE);
    let mut seated = 0;
    for number in 0..30u32 {
        let seed = keccak256(number.to_be_bytes());
        for member in &world.members {
            let ours = court::seats(seed, member.address(), U256::from(STAKE), total);
            let theirs = world.swarm.seats_of(seed, member.address(), 0).await;
            assert_eq!(ours, theirs.unwrap());
            seated += ours;
        }
    }
    // 256 seats on average; seven lotteries a draw.
    let mean = seated as f64 / 30.0;
    assert!((mean - court::SEATS as f64).abs() < 1.5, "{mean}");
}
