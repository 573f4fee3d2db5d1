//! Where nodes of a swarm are to be found, as their owners announce it on the chain.
//!
//! ```text
//! SwarmMembers: Announced, Unbound ─▶ cursor ─▶ Announcements ─▶ a few at random, to be called
//!                                                    └─▶ this node's own: is a new word due?
//! ```
//! The latest word of each node counts. Whoever pays for it can write there, so records are judged
//! one by one and the table is bounded; a reader takes a few nodes at random, so that nobody is
//! found by more than the share of nodes that it has bound. What a newer word replaced is forgotten;
//! see [`announcement_reader`](crate::announcement_reader) for reorganisations.

use std::collections::BTreeMap;
use std::ops::Bound;

use contracts::swarm::{Event, MAX_ANNOUNCEMENT};
use contracts::typed::{self, CompressedKey};
use contracts::{Address, Bytes};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Nodes whose words are kept; the oldest words make room.
pub const MAX_ANNOUNCERS: usize = 4096;

/// The latest word of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The node's key.
    pub key: CompressedKey,
    /// What its owner wrote, of at most [`MAX_ANNOUNCEMENT`] bytes; nothing takes earlier words
    /// back.
    pub addresses: Bytes,
    /// The block that it is in.
    pub block: u64,
}

/// The latest words of all nodes; a pure table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<KeptWord>", try_from = "Vec<KeptWord>")]
pub struct Announcements {
    nodes: BTreeMap<Address, Announcement>,
}

/// A word as it is kept between two runs.
#[derive(Serialize, Deserialize)]
struct KeptWord {
    key: Bytes,
    addresses: Bytes,
    block: u64,
}

/// Why what was kept is no table.
#[derive(Debug, Error)]
#[error("a word of block {block} is kept that no node can have said")]
struct NoWord {
    block: u64,
}

impl From<Announcements> for Vec<KeptWord> {
    fn from(table: Announcements) -> Self {
        let kept = table.nodes.into_values().map(|said| KeptWord {
            key: said.key.into(),
            addresses: said.addresses,
            block: said.block,
        });
        kept.collect()
    }
}

impl TryFrom<Vec<KeptWord>> for Announcements {
    type Error = NoWord;

    fn try_from(kept: Vec<KeptWord>) -> Result<Self, NoWord> {
        let mut table = Self::default();
        for KeptWord {
            key,
            addresses,
            block,
        } in kept
        {
            let node = CompressedKey::try_from(&key[..]).ok();
            let node = node.and_then(|key| typed::address(&key));
            let event = node.map(|node| Event::Announced {
                node,
                public_key: key,
                addresses,
            });
            if !event.is_some_and(|event| table.take(event, block)) {
                return Err(NoWord { block });
            }
        }
        Ok(table)
    }
}

impl Announcements {
    /// Takes an event in, in the order of the chain. False if it says nothing about where nodes
    /// are, or nonsense.
    pub fn take(&mut self, event: Event, block: u64) -> bool {
        match event {
            Event::Unbound { node } => self.nodes.remove(&node).is_some(),
            Event::Announced {
                node,
                public_key,
                addresses,
            } => {
                let key = CompressedKey::try_from(&public_key[..]).ok();
                let key = key.filter(|key| typed::address(key) == Some(node));
                let Some(key) = key.filter(|_| addresses.len() <= MAX_ANNOUNCEMENT) else {
                    return false;
                };
                let said = Announcement {
                    key,
                    addresses,
                    block,
                };
                self.nodes.insert(node, said);
                self.make_room();
                true
            }
            _ => false,
        }
    }

    fn make_room(&mut self) {
        if self.nodes.len() > MAX_ANNOUNCERS {
            let oldest = self.nodes.iter().min_by_key(|(_, said)| said.block);
            if let Some(node) = oldest.map(|(node, _)| *node) {
                self.nodes.remove(&node);
            }
        }
    }

    /// The latest word of a node.
    pub fn of(&self, node: &Address) -> Option<&Announcement> {
        self.nodes.get(node)
    }

    /// How many nodes have said something.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True if none has.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// At most so many nodes, as `random` draws them: each draw takes the first node at or after a
    /// random address that was not drawn yet, which is as good as random, as addresses are hashes.
    pub fn draw(&self, most: usize, mut random: impl FnMut() -> [u8; 20]) -> Vec<&Announcement> {
        let mut left: BTreeMap<&Address, &Announcement> = self.nodes.iter().collect();
        let mut drawn = Vec::new();
        while drawn.len() < most && !left.is_empty() {
            let at = Address::from(random());
            let after = left.range::<Address, _>((Bound::Included(&at), Bound::Unbounded));
            let next = after.chain(left.iter()).next().map(|(node, _)| *node);
            drawn.extend(next.and_then(|node| left.remove(node)));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use swarm_identity::NodeKey;

    use super::*;

    fn key(byte: u8) -> CompressedKey {
        NodeKey::from_secret(&[byte; 32]).unwrap().peer().0
    }

    fn node(byte: u8) -> Address {
        typed::address(&key(byte)).unwrap()
    }

    fn said(byte: u8, addresses: &str) -> Event {
        Event::Announced {
            node: node(byte),
            public_key: key(byte).into(),
            addresses: addresses.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn the_latest_word_of_a_bound_node_counts() {
        let mut table = Announcements::default();
        assert!(table.take(said(1, "old"), 5));
        assert!(table.take(said(2, "other"), 6));
        assert!(table.take(said(1, "new"), 7));
        let word = |table: &Announcements, byte| {
            let said = table.of(&node(byte))?;
            String::from_utf8(said.addresses.to_vec()).ok()
        };
        assert_eq!(word(&table, 1).as_deref(), Some("new"));
        assert_eq!(word(&table, 2).as_deref(), Some("other"));
        assert!(table.take(Event::Unbound { node: node(2) }, 8));
        assert_eq!((word(&table, 2), table.len()), (None, 1));
    }

    #[test]
    fn a_key_of_another_node_and_a_long_word_are_refused() {
        let mut table = Announcements::default();
        let stolen = Event::Announced {
            node: node(1),
            public_key: key(2).into(),
            addresses: Bytes::new(),
        };
        let no_key = Event::Announced {
            node: node(1),
            public_key: vec![2; 9].into(),
            addresses: Bytes::new(),
        };
        let long = said(1, &"x".repeat(MAX_ANNOUNCEMENT + 1));
        for junk in [stolen, no_key, long] {
            assert!(!table.take(junk, 1));
        }
        assert!(table.is_empty());
    }

    #[test]
    fn a_table_comes_back_as_it_was_kept_and_only_with_words_that_somebody_can_have_said() {
        let mut table = Announcements::default();
        table.take(said(1, "here"), 5);
        table.take(said(2, "there"), 6);
        let kept = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Announcements>(&kept).unwrap(), table);
        let broken = kept.replacen("0x0", "0x9", 1);
        assert_ne!(kept, broken);
        let error = serde_json::from_str::<Announcements>(&broken).unwrap_err();
        assert!(
            error.to_string().contains("no node can have said"),
            "{error}"
        );
    }

    #[test]
    fn nodes_are_drawn_once_each_and_none_is_left_out() {
        let mut table = Announcements::default();
        for byte in 1..=20 {
            table.take(said(byte, "here"), byte.into());
        }
        let mut state = 0_u8;
        let mut random = || {
            state = state.wrapping_mul(77).wrapping_add(31);
            [state; 20]
        };
        let drawn = table.draw(8, &mut random);
        assert_eq!(drawn.len(), 8);
        let mut all: Vec<_> = table
            .draw(99, &mut random)
            .iter()
            .map(|it| it.key)
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20);
        assert!(Announcements::default().draw(3, random).is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_words_go_first() {
        let mut table = Announcements::default();
        let entry = |block| Announcement {
            key: key(1),
            addresses: Bytes::new(),
            block,
        };
        for number in 0..MAX_ANNOUNCERS as u64 {
            let mut node = [0; 20];
            node[12..].copy_from_slice(&number.to_be_bytes());
            table.nodes.insert(node.into(), entry(1000 + number));
        }
        assert!(table.take(said(1, "new"), 9_999));
        assert_eq!(table.len(), MAX_ANNOUNCERS);
        assert!(table.of(&node(1)).is_some());
        assert!(table.of(&Address::ZERO).is_none(), "the oldest");
    }
}
