//! Toy plans for the tests of agreement.

use swarm_identity::NodeKey;

use crate::membership::{Member, Roster};
use crate::sim::toy;
use crate::transcript::RoundPlan;

/// The key of a toy member.
pub fn key(number: u8) -> NodeKey {
    NodeKey::from_secret(&[number + 1; 32]).unwrap()
}

/// Round 0 of a toy swarm with `members` members.
pub fn plan(members: u8) -> RoundPlan {
    let mut roster = Roster::default();
    for number in 0..members {
        roster.register(Member::new(key(number).peer()), 0).unwrap();
    }
    let config = toy::config(members.into());
    RoundPlan::new(&config, config.swarm_id(), 0, roster.snapshot(0))
}
