//! Whose turn it is, by the chain's time.
//!
//! Any member may propose, object, draw, bring votes and finish. So that not all do at once, time
//! is cut into slots of one *patience*, and each slot belongs to one member, in an order that
//! changes with the epoch. Who is away lets a slot pass, and the next member acts. A patience spans
//! several blocks, whatever the chain's pace, so a slot's transaction is in a block when the next
//! slot begins; in the last quarter of a slot nothing is sent.

use std::collections::VecDeque;

use contracts::Address;
use swarm_identity::digest::{Hasher, low_u64};

use super::schedule::EpochNumber;
use super::snapshot::Snapshot;

/// Shortest patience, in seconds.
pub const MIN_PATIENCE_SECONDS: u64 = 4;
/// Longest time between two blocks that is believed, in seconds: a chain that mines on demand has
/// none.
const MAX_INTERVAL_SECONDS: u64 = 60;
/// Heads by which the chain's pace is measured.
const MAX_HEADS: usize = 32;

/// The pace of the chain's blocks, as observed.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<(u64, u64)>);

impl Pace {
    /// Takes number and time of the newest block.
    pub(super) fn observe(&mut self, head: (u64, u64)) {
        self.0.retain(|(number, _)| *number < head.0);
        self.0.push_back(head);
        if self.0.len() > MAX_HEADS {
            self.0.pop_front();
        }
    }

    /// Number of the newest block.
    pub(super) fn head(&self) -> Option<u64> {
        self.0.back().map(|(number, _)| *number)
    }

    /// Length of a slot in seconds: two blocks at least, and a power of two, so that members who
    /// observe nearly the same pace have the same slots.
    pub(super) fn patience(&self) -> u64 {
        self.interval()
            .saturating_mul(2)
            .max(MIN_PATIENCE_SECONDS)
            .next_power_of_two()
    }

    /// Seconds after which what the chain says stays, but for deep reorganisations: four blocks at
    /// least.
    pub(super) fn burial(&self) -> u64 {
        self.patience().saturating_mul(2)
    }

    /// Seconds between two blocks, rounded up.
    fn interval(&self) -> u64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return 0;
        };
        let blocks = last.0.saturating_sub(first.0).max(1);
        let seconds = last.1.saturating_sub(first.1);
        seconds.div_ceil(blocks).min(MAX_INTERVAL_SECONDS)
    }
}

/// The order in which the members of an epoch act.
#[derive(Debug)]
pub(super) struct Turns(Vec<Address>);

impl Turns {
    /// The order of an epoch: of the nodes whose owners have stake in it.
    pub(super) fn new(epoch: EpochNumber, snapshot: &Snapshot) -> Self {
        let nodes = snapshot.owners.iter();
        let mut nodes: Vec<Address> = nodes
            .filter(|(_, owner)| snapshot.stake(owner) > 0)
            .map(|(node, _)| *node)
            .collect();
        nodes.sort_by_cached_key(|node| lot(epoch, node));
        Self(nodes)
    }

    /// True if a node may act at this second of the chain's time. A node without stake has a turn
    /// now and then.
    pub(super) fn is_turn(&self, me: &Address, second: u64, patience: u64) -> bool {
        let (slot, within) = (second / patience.max(1), second % patience.max(1));
        let early = within < patience - patience / 4;
        let nodes = self.0.len().max(1) as u64;
        early
            && match self.0.contains(me) {
                true => self.0.get((slot % nodes) as usize) == Some(me),
                false => lot(slot, me).is_multiple_of(4 * (nodes + 1)),
            }
    }
}

/// A node's lot: in the order of an epoch, or for a slot.
fn lot(number: u64, node: &Address) -> u64 {
    let hasher = Hasher::new("turn").u64(number);
    low_u64(&hasher.bytes(node.as_slice()).finish())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, owner};
    use super::*;

    fn turns(epoch: u64, nodes: u8) -> Turns {
        let snapshot = Snapshot {
            owners: (0..nodes).map(|n| (node(n), owner(n))).collect(),
            stakes: (0..nodes).map(|n| (owner(n), u128::from(n))).collect(),
            total: 1,
        };
        Turns::new(epoch, &snapshot)
    }

    #[test]
    fn at_any_second_at_most_one_member_acts_and_each_has_its_slot() {
        let turns = turns(3, 5);
        let mut acted = [0; 5];
        for second in 0..4 * 8 {
            let acting: Vec<u8> = (0..5)
                .filter(|n| turns.is_turn(&node(*n), second, 8))
                .filter(|n| *n > 0)
                .collect();
            assert_eq!(acting.len(), usize::from(second % 8 < 6), "second {second}");
            acting.iter().for_each(|n| acted[usize::from(*n)] += 1);
        }
        assert_eq!(acted, [0, 6, 6, 6, 6], "who has no stake is in no order");
    }

    #[test]
    fn who_has_no_stake_has_a_turn_now_and_then() {
        let turns = turns(3, 5);
        let seconds = (0..4_000).filter(|slot| turns.is_turn(&node(0), slot * 4, 4));
        let count = seconds.count();
        assert!(
            (150..250).contains(&count),
            "{count} of 4000 slots, 1 in 20"
        );
    }

    #[test]
    fn the_order_changes_with_the_epoch() {
        let orders: std::collections::BTreeSet<_> =
            (0..20).map(|epoch| turns(epoch, 6).0).collect();
        assert!(orders.len() > 10);
    }

    #[test]
    fn patience_follows_the_blocks_with_a_floor_and_a_limit() {
        let patience = |heads: &[(u64, u64)]| {
            let mut pace = Pace::default();
            heads.iter().for_each(|head| pace.observe(*head));
            pace.patience()
        };
        assert_eq!(patience(&[]), 4);
        assert_eq!(patience(&[(7, 1_000)]), 4);
        assert_eq!(patience(&[(7, 1_000), (17, 1_010)]), 4);
        assert_eq!(patience(&[(7, 1_000), (17, 1_120)]), 32);
        assert_eq!(patience(&[(7, 1_000), (8, 900_000)]), 128);
        // Blocks that left the chain are no measure.
        assert_eq!(patience(&[(7, 1_000), (9, 1_100), (8, 1_002)]), 4);
    }
}
