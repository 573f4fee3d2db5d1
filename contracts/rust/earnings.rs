//! What every owner ever earned, and the Merkle tree that claims prove against.
//!
//! ```text
//! leaf = keccak(keccak(abi.encode(owner, earned)))      hashed twice: a leaf is never taken for a node
//! node = keccak(smaller child ‖ larger child)           a proof needs no directions
//! ```
//! Leaves in the order of their owners' addresses; the last of an odd level moves up as it is. The
//! contract verifies the same (OpenZeppelin's `MerkleProof`). Amounts are units of the token and
//! only grow: a table is the one before it and what its epochs added, so one proof against the
//! newest root takes all that was not taken yet. Invariant: equal entries, in any order, give equal
//! tables.
//!
//! ```
//! use contracts::Address;
//! use contracts::earnings::{EarningsTable, verify};
//!
//! let [anna, ben] = [1, 2].map(Address::repeat_byte);
//! let first = EarningsTable::default().after([(anna, 3)], 10)?;
//! let second = first.after([(ben, 1), (anna, 2)], 5)?;
//! assert_eq!((second.earned(anna), second.earned(ben)), (40, 5));
//!
//! let proof = second.proof(anna).unwrap_or_default();
//! assert!(verify(second.root(), anna, 40, &proof));
//! assert!(!verify(second.root(), anna, 41, &proof));
//! # Ok::<(), contracts::earnings::EarningsError>(())
//! ```

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, keccak256};

/// Most owners of a table.
pub const MAX_OWNERS: usize = 1 << 20;
/// Bytes of an owner and its amount where a table is sent or kept.
const ENTRY_BYTES: usize = 36;
/// Most bytes of a table.
pub const MAX_BYTES: usize = MAX_OWNERS * ENTRY_BYTES;

/// What one owner ever earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The owner's account.
    pub owner: Address,
    /// Units of the token, of all epochs together.
    pub earned: u128,
}

/// Why entries make no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EarningsError {
    /// Too many.
    #[error("{0} owners are more than a table holds ({MAX_OWNERS})")]
    TooMany(usize),
    /// An owner twice.
    #[error("owner {0} has two entries; add its amounts up")]
    Twice(Address),
    /// More units than fit.
    #[error("the units that owner {0} earned overflow; they are no honest earnings")]
    Overflow(Address),
    /// Bytes of another length, or owners that are not in ascending order.
    #[error("the bytes are no table: {0}")]
    Malformed(&'static str),
}

/// The earnings of all owners, with their tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarningsTable {
    entries: Vec<Entry>,
    /// Levels of the tree, leaves first, root last; none of a table without owners.
    levels: Vec<Vec<B256>>,
}

impl EarningsTable {
    /// The table of these entries, in any order.
    ///
    /// # Errors
    /// [`EarningsError`] if they are too many or contain an owner twice.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<Self, EarningsError> {
        let mut sorted = BTreeMap::new();
        for Entry { owner, earned } in entries {
            if sorted.insert(owner, earned).is_some() {
                return Err(EarningsError::Twice(owner));
            }
        }
        Self::of(sorted)
    }

    /// This table and what owners earned since: points, each worth so many units. An owner without
    /// points keeps its place; one with points of no worth gets one.
    ///
    /// # Errors
    /// [`EarningsError`] if the owners are too many, or an amount does not fit.
    pub fn after(
        &self,
        points: impl IntoIterator<Item = (Address, u128)>,
        worth: u128,
    ) -> Result<Self, EarningsError> {
        let mut earned: BTreeMap<Address, u128> = self
            .entries
            .iter()
            .map(|entry| (entry.owner, entry.earned))
            .collect();
        for (owner, points) in points {
            let sum = earned.entry(owner).or_default();
            *sum = points
                .checked_mul(worth)
                .and_then(|units| sum.checked_add(units))
                .ok_or(EarningsError::Overflow(owner))?;
        }
        Self::of(earned)
    }

    fn of(earned: BTreeMap<Address, u128>) -> Result<Self, EarningsError> {
        let entries = earned.into_iter();
        Self::sorted(
            entries
                .map(|(owner, earned)| Entry { owner, earned })
                .collect(),
        )
    }

    /// The table of entries in ascending order.
    fn sorted(entries: Vec<Entry>) -> Result<Self, EarningsError> {
        if entries.len() > MAX_OWNERS {
            return Err(EarningsError::TooMany(entries.len()));
        }
        let leaves: Vec<B256> = entries.iter().map(leaf).collect();
        Ok(Self {
            entries,
            levels: levels(leaves),
        })
    }

    /// Entries in the order of their owners.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The root of the tree; zero if nobody has earned anything.
    pub fn root(&self) -> B256 {
        self.levels
            .last()
            .and_then(|level| level.first())
            .copied()
            .unwrap_or(B256::ZERO)
    }

    /// What an owner ever earned; 0 for one that is not in the table.
    pub fn earned(&self, owner: Address) -> u128 {
        self.index(owner)
            .map_or(0, |index| self.entries[index].earned)
    }

    /// The siblings from an owner's leaf to the root; `None` for one that is not in the table.
    pub fn proof(&self, owner: Address) -> Option<Vec<B256>> {
        let index = self.index(owner)?;
        let siblings = self
            .levels
            .iter()
            .enumerate()
            .filter_map(|(height, level)| level.get((index >> height) ^ 1));
        Some(siblings.copied().collect())
    }

    fn index(&self, owner: Address) -> Option<usize> {
        self.entries
            .binary_search_by_key(&owner, |entry| entry.owner)
            .ok()
    }

    /// The table as it is sent and kept: owner ‖ earned (16 bytes, big-endian), in order. Whoever
    /// reads it compares the root.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for entry in &self.entries {
            bytes.extend_from_slice(entry.owner.as_slice());
            bytes.extend_from_slice(&entry.earned.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`EarningsError`] if the bytes are no table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EarningsError> {
        let (chunks, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        if chunks.len() > MAX_OWNERS {
            return Err(EarningsError::TooMany(chunks.len()));
        }
        if !rest.is_empty() {
            return Err(EarningsError::Malformed("36 bytes are an entry"));
        }
        let entries: Vec<Entry> = chunks.iter().map(entry).collect();
        if !entries.is_sorted_by(|a, b| a.owner < b.owner) {
            return Err(EarningsError::Malformed("owners must ascend"));
        }
        Self::sorted(entries)
    }
}

fn entry(bytes: &[u8; ENTRY_BYTES]) -> Entry {
    let (owner, earned) = bytes.split_at(20);
    let mut amount = [0; 16];
    amount.copy_from_slice(earned);
    Entry {
        owner: Address::from_slice(owner),
        earned: u128::from_be_bytes(amount),
    }
}

/// The leaf of an entry.
pub fn leaf(entry: &Entry) -> B256 {
    let mut encoded = [0; 64];
    encoded[12..32].copy_from_slice(entry.owner.as_slice());
    encoded[48..].copy_from_slice(&entry.earned.to_be_bytes());
    keccak256(keccak256(encoded))
}

/// True if the proof leads from an owner's leaf to the root, as the contract finds it.
pub fn verify(root: B256, owner: Address, earned: u128, proof: &[B256]) -> bool {
    let climbed = proof
        .iter()
        .fold(leaf(&Entry { owner, earned }), |node, sibling| {
            parent(node, *sibling)
        });
    climbed == root
}

fn levels(leaves: Vec<B256>) -> Vec<Vec<B256>> {
    if leaves.is_empty() {
        return Vec::new();
    }
    let above =
        |level: &Vec<B256>| (level.len() > 1).then(|| level.chunks(2).map(of_children).collect());
    std::iter::successors(Some(leaves), above).collect()
}

fn of_children(children: &[B256]) -> B256 {
    match children {
        [left, right] => parent(*left, *right),
        [single] => *single,
        _ => unreachable!("invariant: a node has one child or two"),
    }
}

fn parent(a: B256, b: B256) -> B256 {
    let mut both = [0; 64];
    both[..32].copy_from_slice(a.min(b).as_slice());
    both[32..].copy_from_slice(a.max(b).as_slice());
    keccak256(both)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use alloy::sol_types::SolValue;
    use proptest::prelude::*;

    use super::*;

    fn owner(number: u32) -> Address {
        Address::left_padding_from(&number.wrapping_mul(7_919).wrapping_add(1).to_be_bytes())
    }

    fn table(count: u32) -> EarningsTable {
        let entries = (0..count).map(|number| Entry {
            owner: owner(number),
            earned: u128::from(number) * 10,
        });
        EarningsTable::new(entries).unwrap()
    }

    #[test]
    fn every_owner_has_a_proof_and_altered_ones_have_none() {
        assert_eq!(table(0).root(), B256::ZERO);
        for count in 1..40 {
            let table = table(count);
            for entry in table.entries() {
                let proof = table.proof(entry.owner).unwrap();
                let holds = |owner, earned| verify(table.root(), owner, earned, &proof);
                assert!(holds(entry.owner, entry.earned), "{count}");
                assert!(!holds(entry.owner, entry.earned + 1));
                assert!(!holds(Address::repeat_byte(9), entry.earned));
            }
            assert_eq!(table.proof(Address::repeat_byte(9)), None);
        }
    }

    #[test]
    fn a_leaf_is_what_the_contract_hashes() {
        let entry = Entry {
            owner: Address::repeat_byte(7),
            earned: u128::MAX - 5,
        };
        let encoded = (entry.owner, entry.earned).abi_encode();
        assert_eq!(leaf(&entry), keccak256(keccak256(encoded)));
    }

    #[test]
    fn impossible_tables_are_refused() {
        let entry = Entry {
            owner: Address::repeat_byte(1),
            earned: u128::MAX,
        };
        assert_eq!(
            EarningsTable::new([entry, entry]),
            Err(EarningsError::Twice(entry.owner))
        );
        let table = EarningsTable::new([entry]).unwrap();
        for (points, worth) in [(1, 1), (u128::MAX, 2)] {
            assert_eq!(
                table.after([(entry.owner, points)], worth),
                Err(EarningsError::Overflow(entry.owner))
            );
        }
        let bytes = table.to_bytes();
        for malformed in [&bytes[1..], &[bytes.clone(), bytes.clone()].concat()] {
            assert!(matches!(
                EarningsTable::from_bytes(malformed),
                Err(EarningsError::Malformed(_))
            ));
        }
    }

    #[test]
    fn nobody_leaves_a_table_and_sums_grow() {
        let before = table(20);
        let after = before.after([(owner(3), 7), (owner(99), 0)], 5).unwrap();
        for entry in before.entries() {
            let more = if entry.owner == owner(3) { 35 } else { 0 };
            assert_eq!(after.earned(entry.owner), entry.earned + more);
        }
        assert_eq!(after.entries().len(), 21);
    }

    /// What a swarm of 10⁵ owners costs each member per epoch.
    #[test]
    fn a_hundred_thousand_owners_are_built_proved_and_checked_in_two_seconds() {
        let begun = Instant::now();
        let table = table(100_000);
        let built = begun.elapsed();
        for entry in table.entries() {
            let proof = table.proof(entry.owner).unwrap();
            assert!(verify(table.root(), entry.owner, entry.earned, &proof));
        }
        let all = begun.elapsed();
        println!("built in {built:?}, built, proved and checked in {all:?}");
        // Tests run with checks and beside others; a release build is held to two seconds.
        let limit = if cfg!(debug_assertions) { 20 } else { 2 };
        assert!(all < Duration::from_secs(limit), "{all:?}");
    }

    proptest! {
        #[test]
        fn the_order_of_entries_does_not_matter(amounts in prop::collection::vec(any::<u128>(), 0..50)) {
            let mut entries: Vec<Entry> = (0..).zip(&amounts).map(|(number, earned)| Entry {
                owner: owner(number),
                earned: *earned,
            }).collect();
            let table = EarningsTable::new(entries.clone()).unwrap();
            entries.reverse();
            prop_assert_eq!(&EarningsTable::new(entries).unwrap(), &table);
            prop_assert_eq!(&EarningsTable::from_bytes(&table.to_bytes()).unwrap(), &table);
        }

        #[test]
        fn bytes_of_strangers_never_panic(bytes: Vec<u8>) {
            let _ = EarningsTable::from_bytes(&bytes);
        }
    }
}
