//! The digest that names a program: a Merkle root over its descriptors, so that a contract can open
//! a single node.

use sha2::{Digest as _, Sha256};

use super::Program;

/// A SHA-256 hash.
pub type Digest = [u8; 32];

const LEAF: u8 = 0;
const INNER: u8 = 1;

/// The hash of a leaf's content, given in parts: H(0x00 ‖ parts).
pub fn leaf_hash(parts: &[&[u8]]) -> Digest {
    tagged_hash(LEAF, parts)
}

/// The hash of one or two neighbours: H(0x01 ‖ left ‖ right); one alone is promoted unchanged.
///
/// # Panics
/// The slice is empty.
pub fn parent_hash(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => tagged_hash(INNER, &[left, right]),
        alone => alone[0],
    }
}

/// SHA-256 of a tag and parts: another tag, another meaning. Tags 0 and 1 are a tree's.
pub fn tagged_hash(tag: u8, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([tag]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Root of a binary SHA-256 tree: leaf = H(0x00 ‖ bytes), inner = H(0x01 ‖ left ‖ right). An odd
/// node at the end of a level is promoted unchanged; no leaves give H(0x00).
pub fn merkle_root<T: AsRef<[u8]>>(leaves: impl IntoIterator<Item = T>) -> Digest {
    let mut level: Vec<Digest> = leaves
        .into_iter()
        .map(|leaf| leaf_hash(&[leaf.as_ref()]))
        .collect();
    if level.is_empty() {
        return leaf_hash(&[]);
    }
    while level.len() > 1 {
        level = level.chunks(2).map(parent_hash).collect();
    }
    level[0]
}

impl Program {
    /// Merkle root over header, input, node and output descriptors in order; see
    /// [`Program::descriptors`].
    pub fn digest(&self) -> Digest {
        merkle_root(self.descriptors())
    }
}
