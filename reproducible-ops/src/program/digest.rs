//! The digest that names a program: a Merkle root over its descriptors, so that a contract can open
//! a single node.

use sha2::{Digest as _, Sha256};

use super::Program;

/// A SHA-256 hash.
pub type Digest = [u8; 32];

const LEAF: u8 = 0;
const INNER: u8 = 1;

/// Root of a binary SHA-256 tree: leaf = H(0x00 ‖ bytes), inner = H(0x01 ‖ left ‖ right). An odd
/// node at the end of a level is promoted unchanged; no leaves give H(0x00).
pub fn merkle_root<T: AsRef<[u8]>>(leaves: impl IntoIterator<Item = T>) -> Digest {
    let mut level: Vec<Digest> = leaves
        .into_iter()
        .map(|leaf| hash(LEAF, &[leaf.as_ref()]))
        .collect();
    if level.is_empty() {
        return hash(LEAF, &[]);
    }
    while level.len() > 1 {
        level = level.chunks(2).map(parent).collect();
    }
    level[0]
}

fn parent(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => hash(INNER, &[left, right]),
        _ => pair[0],
    }
}

fn hash(tag: u8, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([tag]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl Program {
    /// Merkle root over header, input, node and output descriptors in order; see
    /// [`Program::descriptors`].
    pub fn digest(&self) -> Digest {
        merkle_root(self.descriptors())
    }
}
