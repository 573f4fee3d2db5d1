//! Score tables: who earned how many points in an epoch, and the Merkle tree that claims prove
//! against.
//!
//! ```text
//! leaf(i) = keccak(keccak(abi.encode(epoch, i, node, points)))      hashed twice: a leaf is never taken for a node
//! node    = keccak(smaller child ‖ larger child)                    a proof needs no directions
//! ```
//! Leaves in the order of their nodes' addresses; the last of an odd level moves up as it is. The
//! contract verifies the same (OpenZeppelin's `MerkleProof`). Invariant: equal entries, in any
//! order, give equal tables.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, keccak256};
use alloy::sol_types::SolValue;

/// Most entries of a table; far above the members of a round.
pub const MAX_ENTRIES: usize = 1 << 16;

/// What one node earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address of the node key.
    pub node: Address,
    /// Its points.
    pub points: u128,
}

/// Why entries make no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScoresError {
    /// Nobody.
    #[error("a score table needs an entry; an epoch without members is not settled")]
    Empty,
    /// Too many.
    #[error("{0} entries are more than a score table holds ({MAX_ENTRIES})")]
    TooMany(usize),
    /// A node twice.
    #[error("node {0} has two entries; add its points up")]
    Twice(Address),
    /// More points than fit.
    #[error("the points of all nodes overflow; they are no honest scores")]
    Overflow,
}

/// The scores of an epoch, with their tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreTable {
    epoch: u64,
    entries: Vec<Entry>,
    points: u128,
    /// Levels of the tree, leaves first, root last.
    levels: Vec<Vec<B256>>,
}

impl ScoreTable {
    /// The table of an epoch.
    ///
    /// # Errors
    /// [`ScoresError`] if the entries are none, too many, contain a node twice, or their sum
    /// overflows.
    pub fn new(epoch: u64, entries: impl IntoIterator<Item = Entry>) -> Result<Self, ScoresError> {
        let mut sorted = BTreeMap::new();
        for entry in entries {
            if sorted.insert(entry.node, entry.points).is_some() {
                return Err(ScoresError::Twice(entry.node));
            }
        }
        match sorted.len() {
            0 => return Err(ScoresError::Empty),
            1..=MAX_ENTRIES => {}
            count => return Err(ScoresError::TooMany(count)),
        }
        let points = sorted
            .values()
            .try_fold(0u128, |sum, points| sum.checked_add(*points));
        let points = points.ok_or(ScoresError::Overflow)?;
        let entries: Vec<Entry> = sorted
            .into_iter()
            .map(|(node, points)| Entry { node, points })
            .collect();
        let leaves = (0..)
            .zip(&entries)
            .map(|(index, entry)| leaf(epoch, index, entry))
            .collect();
        Ok(Self {
            epoch,
            entries,
            points,
            levels: levels(leaves),
        })
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Entries by index.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Points of all nodes together.
    pub fn points(&self) -> u128 {
        self.points
    }

    /// The root of the tree.
    #[expect(clippy::expect_used, reason = "a table without entries is not made")]
    pub fn root(&self) -> B256 {
        *self
            .levels
            .last()
            .and_then(|level| level.first())
            .expect("invariant: a tree over an entry has a root")
    }

    /// Number of leaves.
    pub fn members(&self) -> u32 {
        // Bounded by MAX_ENTRIES.
        self.entries.len() as u32
    }

    /// The index of a node.
    pub fn index(&self, node: Address) -> Option<u32> {
        self.entries
            .binary_search_by_key(&node, |entry| entry.node)
            .ok()
            .map(|index| index as u32)
    }

    /// The siblings from a leaf to the root.
    pub fn proof(&self, index: u32) -> Vec<B256> {
        let siblings = self
            .levels
            .iter()
            .enumerate()
            .filter_map(|(height, level)| {
                let at = index as usize >> height;
                level.get(at ^ 1)
            });
        siblings.copied().collect()
    }
}

/// The leaf of an entry.
pub fn leaf(epoch: u64, index: u32, entry: &Entry) -> B256 {
    keccak256(keccak256(
        (epoch, index, entry.node, entry.points).abi_encode(),
    ))
}

fn levels(leaves: Vec<B256>) -> Vec<Vec<B256>> {
    let above =
        |level: &Vec<B256>| (level.len() > 1).then(|| level.chunks(2).map(parent).collect());
    std::iter::successors(Some(leaves), above).collect()
}

fn parent(children: &[B256]) -> B256 {
    match children {
        [left, right] => {
            keccak256([left.min(right).as_slice(), left.max(right).as_slice()].concat())
        }
        [single] => *single,
        _ => unreachable!("invariant: a parent has one child or two"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(epoch: u64, count: u8) -> ScoreTable {
        let entry = |number| Entry {
            node: Address::repeat_byte(number),
            points: u128::from(number) * 10,
        };
        ScoreTable::new(epoch, (0..count).map(entry)).unwrap()
    }

    /// As OpenZeppelin's `MerkleProof.processProof`.
    fn climb(leaf: B256, proof: &[B256]) -> B256 {
        proof
            .iter()
            .fold(leaf, |node, sibling| parent(&[node, *sibling]))
    }

    #[test]
    fn every_entry_has_a_proof_and_altered_ones_have_none() {
        for count in 1..40 {
            let table = table(3, count);
            for (index, entry) in (0..).zip(table.entries()) {
                let proof = table.proof(index);
                assert_eq!(
                    climb(leaf(3, index, entry), &proof),
                    table.root(),
                    "{index} of {count}"
                );
                let richer = Entry {
                    points: entry.points + 1,
                    ..*entry
                };
                assert_ne!(climb(leaf(3, index, &richer), &proof), table.root());
                assert_ne!(climb(leaf(4, index, entry), &proof), table.root());
                assert_ne!(climb(leaf(3, index + 1, entry), &proof), table.root());
                assert_eq!(table.index(entry.node), Some(index));
            }
        }
    }

    #[test]
    fn impossible_tables_are_refused() {
        let entry = Entry {
            node: Address::ZERO,
            points: u128::MAX,
        };
        assert_eq!(ScoreTable::new(0, []), Err(ScoresError::Empty));
        assert_eq!(
            ScoreTable::new(0, [entry, entry]),
            Err(ScoresError::Twice(Address::ZERO))
        );
        let other = Entry {
            node: Address::repeat_byte(1),
            points: 1,
        };
        assert_eq!(
            ScoreTable::new(0, [entry, other]),
            Err(ScoresError::Overflow)
        );
    }

    proptest! {
        #[test]
        fn the_order_of_entries_does_not_matter(mut points in prop::collection::vec(any::<u64>(), 1..50), epoch in 0u64..9) {
            let mut entries: Vec<Entry> = (0..).zip(&points).map(|(number, points)| Entry {
                node: Address::left_padding_from(&u32::to_be_bytes(number * 7919 + 1)),
                points: u128::from(*points),
            }).collect();
            let table = ScoreTable::new(epoch, entries.clone()).unwrap();
            entries.reverse();
            prop_assert_eq!(&ScoreTable::new(epoch, entries).unwrap(), &table);
            points.sort_unstable();
            prop_assert_eq!(table.points(), points.iter().map(|points| u128::from(*points)).sum::<u128>());
        }
    }
}
