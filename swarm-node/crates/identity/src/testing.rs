//! What the tests of every sign-once table need, for implementations in other crates.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::digest::Digest32;
use crate::once::{Place, SignOnce};

/// A place in a small world, so that random ones meet.
pub fn place(swarm: u8, kind: u8, round: u64, slot: u16) -> Place {
    Place {
        swarm: [swarm; 32],
        kind,
        round,
        slot,
    }
}

/// One wish: sign, or raise a floor.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Sign a digest for a place.
    Commit(Place, Digest32),
    /// Raise the floor of a swarm and kind.
    Raise(Digest32, u8, u64),
}

/// Wishes in a small world.
pub fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let places = || (0..2u8, 0..2u8, 0..4u64, 0..2u16);
    let commit =
        (places(), 0..3u8).prop_map(|((s, k, r, t), d)| Wish::Commit(place(s, k, r, t), [d; 32]));
    let raise = places().prop_map(|(swarm, kind, floor, _)| Wish::Raise([swarm; 32], kind, floor));
    prop::collection::vec(prop_oneof![8 => commit, 1 => raise], 0..60)
}

/// What a table may do, judged by the whole history and without the table's own rules.
pub fn check(table: &impl SignOnce, wishes: &[Wish]) {
    let (mut signed, mut floors) = (BTreeMap::new(), BTreeMap::new());
    for wish in wishes {
        match wish {
            Wish::Raise(swarm, kind, floor) => {
                table.raise_floor(swarm, *kind, *floor).unwrap();
                let highest: &mut u64 = floors.entry((*swarm, *kind)).or_default();
                *highest = (*highest).max(*floor);
            }
            Wish::Commit(place, digest) => {
                let alive =
                    place.round >= floors.get(&(place.swarm, place.kind)).copied().unwrap_or(0);
                let first = *signed.get(place).unwrap_or(digest);
                assert_eq!(
                    table.commit(place, digest).is_ok(),
                    alive && first == *digest,
                    "{wish:?}"
                );
                if alive {
                    signed.insert(*place, first);
                }
            }
        }
    }
}
