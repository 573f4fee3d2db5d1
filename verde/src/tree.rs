//! Binary SHA-256 trees, with an odd node at the end of a level promoted as it is.
//!
//! ```text
//! height 2                 r                     leaf = H(0x00 ‖ content)
//!               ┌──────────┴─────────┐           node = H(0x01 ‖ left ‖ right)
//! height 1      n                    c           r    = node(n, c)
//!          ┌────┴────┐               │ promoted
//! height 0 a         b               c
//! ```
//! So the number of leaves and a leaf's index fix its path and how many siblings prove it, and no
//! two trees of different sizes are taken for each other where the size is known. The root of one
//! leaf is the leaf; that of none is [`EMPTY`], of which nothing can be opened.
//!
//! The hashes are those that name a program.
//!
//! A dispute walks such a tree from the root down. [`Tree::descendants`] are the nodes some levels
//! below a node, and [`join`] computes that node from them: what one side reveals and the other
//! checks before it picks one.

use rayon::prelude::*;
use reproducible_ops::program::{Digest, leaf_hash, parent_hash};
use thiserror::Error;

/// The root of a tree without leaves.
pub const EMPTY: Digest = [0; 32];

/// Nodes of a level from which on they are hashed by several threads: below, starting them takes
/// longer.
const PARALLEL: usize = 1 << 10;

/// Why siblings prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// The tree has no such leaf.
    #[error("leaf {index} of a tree of {count}")]
    Index {
        /// The index given.
        index: usize,
        /// Leaves of the tree.
        count: usize,
    },
    /// The path to the root has more or fewer.
    #[error("{given} siblings, where the path of the leaf has {expected}")]
    Siblings {
        /// Siblings given.
        given: usize,
        /// Siblings of the path.
        expected: usize,
    },
}

/// The hash of a leaf's content, given in parts.
pub fn leaf(parts: &[&[u8]]) -> Digest {
    leaf_hash(parts)
}

/// The hash of two neighbours.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    parent_hash(&[*left, *right])
}

/// A node's place: how far above the leaves, and its number among the nodes of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Levels above the leaves.
    pub height: usize,
    /// Number from the left.
    pub index: usize,
}

/// A tree with all of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The leaves first; the last level is the root. No level without a leaf.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over these leaves.
    pub fn new(leaves: Vec<Digest>) -> Self {
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let above = match level.len() >= PARALLEL {
                true => level.par_chunks(2).map(parent_hash).collect(),
                false => level.chunks(2).map(parent_hash).collect(),
            };
            levels.push(std::mem::replace(&mut level, above));
        }
        if !level.is_empty() {
            levels.push(level);
        }
        Self { levels }
    }

    /// The root.
    pub fn root(&self) -> Digest {
        self.levels.last().map_or(EMPTY, |level| level[0])
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Levels of the root above the leaves.
    pub fn height(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    /// A node; none where the tree has none.
    pub fn node(&self, at: Position) -> Option<&Digest> {
        self.levels.get(at.height)?.get(at.index)
    }

    /// The siblings that prove a leaf, from its neighbour upwards; none where there is no such
    /// leaf.
    pub fn path(&self, index: usize) -> Option<Vec<Digest>> {
        self.path_up(Position { height: 0, index }, self.height())
    }

    /// The siblings of a node's path up so many levels; none where there is no such node.
    pub fn path_up(&self, at: Position, levels: usize) -> Option<Vec<Digest>> {
        self.node(at)?;
        let path = self.levels.iter().skip(at.height).take(levels).enumerate();
        let sibling = |(up, level): (usize, &Vec<Digest>)| level.get((at.index >> up) ^ 1).copied();
        Some(path.filter_map(sibling).collect())
    }

    /// The nodes `levels` below a node, or its leaves if they are nearer; none where there is no
    /// such node.
    pub fn descendants(&self, at: Position, levels: usize) -> &[Digest] {
        let levels = levels.min(at.height);
        let Some(below) = self.levels.get(at.height - levels) else {
            return &[];
        };
        let first = at.index.checked_shl(levels as u32).unwrap_or(usize::MAX);
        let end = first.saturating_add(1 << levels).min(below.len());
        below.get(first..end).unwrap_or(&[])
    }
}

/// The node of which these are the descendants; none for no node, or more than `levels` levels can
/// have.
pub fn join(nodes: &[Digest], levels: usize) -> Option<Digest> {
    let most = 1_usize.checked_shl(levels as u32)?;
    (1..=most)
        .contains(&nodes.len())
        .then(|| Tree::new(nodes.to_vec()).root())
}

/// The root of a tree of `count` leaves of which this leaf, with these siblings, is number `index`.
///
/// # Errors
/// [`PathError`]. A wrong leaf or sibling leads to another root.
pub fn climb(
    leaf: Digest,
    index: usize,
    count: usize,
    siblings: &[Digest],
) -> Result<Digest, PathError> {
    climb_levels(leaf, index, count, height_of(count), siblings)
}

/// The node `levels` above node number `index` of a level of `count` nodes, with these siblings.
///
/// # Errors
/// [`PathError`]. A wrong node or sibling leads to another node.
pub fn climb_levels(
    node: Digest,
    index: usize,
    count: usize,
    levels: usize,
    siblings: &[Digest],
) -> Result<Digest, PathError> {
    if index >= count {
        return Err(PathError::Index { index, count });
    }
    let expected = siblings_of(index, count, levels);
    if siblings.len() != expected {
        return Err(PathError::Siblings {
            given: siblings.len(),
            expected,
        });
    }
    let mut siblings = siblings.iter();
    let (mut found, mut index, mut count) = (node, index, count);
    for _ in 0..levels {
        if has_sibling(index, count)
            && let Some(sibling) = siblings.next()
        {
            found = match index.is_multiple_of(2) {
                true => self::node(&found, sibling),
                false => self::node(sibling, &found),
            };
        }
        (index, count) = (index / 2, count.div_ceil(2));
    }
    Ok(found)
}

/// Levels of the root of a tree above its leaves.
pub fn height_of(leaves: usize) -> usize {
    leaves.next_power_of_two().trailing_zeros() as usize
}

/// Nodes of the level `height` above the leaves.
pub fn width_at(leaves: usize, height: usize) -> usize {
    (0..height).fold(leaves, |count, _| count.div_ceil(2))
}

/// False for the last node of a level with an odd number: it is promoted.
fn has_sibling(index: usize, count: usize) -> bool {
    index ^ 1 < count
}

/// Siblings on the path of a node up so many levels.
fn siblings_of(mut index: usize, mut count: usize, levels: usize) -> usize {
    let mut siblings = 0;
    for _ in 0..levels {
        siblings += usize::from(has_sibling(index, count));
        (index, count) = (index / 2, count.div_ceil(2));
    }
    siblings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count as u64)
            .map(|number| leaf(&[&number.to_le_bytes()]))
            .collect()
    }

    #[test]
    fn leaves_and_nodes_are_told_apart_by_their_first_byte() {
        let sha = |bytes: &[u8]| -> Digest { Sha256::digest(bytes).into() };
        assert_eq!(leaf(&[b"ab", b"c"]), sha(b"\x00abc"));
        let (left, right) = ([3; 32], [4; 32]);
        assert_eq!(
            node(&left, &right),
            sha(&[&[1], &left[..], &right].concat())
        );
    }

    #[test]
    fn small_trees_are_what_the_picture_shows() {
        let [a, b, c] = [0, 1, 2].map(|number: u64| leaf(&[&number.to_le_bytes()]));
        assert_eq!(Tree::new(Vec::new()).root(), EMPTY);
        assert_eq!(Tree::new(vec![a]).root(), a);
        assert_eq!(Tree::new(vec![a, b]).root(), node(&a, &b));
        let three = Tree::new(vec![a, b, c]);
        assert_eq!(three.root(), node(&node(&a, &b), &c));
        assert_eq!((three.height(), three.leaves()), (2, 3));
        assert_eq!(three.path(2), Some(vec![node(&a, &b)]));
        assert_eq!(three.path(3), None);
    }

    #[test]
    fn levels_of_many_nodes_are_hashed_alike_by_threads() {
        let many = leaves(4 * PARALLEL + 3);
        let mut level = many.clone();
        while level.len() > 1 {
            level = level.chunks(2).map(parent_hash).collect();
        }
        assert_eq!(Tree::new(many).root(), level[0]);
    }

    #[test]
    fn a_path_of_another_length_is_no_path() {
        let tree = Tree::new(leaves(6));
        let path = tree.path(5).unwrap();
        assert_eq!(path.len(), 2);
        let leaf = leaves(6)[5];
        assert_eq!(climb(leaf, 5, 6, &path), Ok(tree.root()));
        let longer = [&path[..], &[EMPTY]].concat();
        assert!(matches!(
            climb(leaf, 5, 6, &longer),
            Err(PathError::Siblings {
                given: 3,
                expected: 2
            })
        ));
        assert!(climb(leaf, 5, 6, &path[..1]).is_err());
        assert!(matches!(
            climb(leaf, 6, 6, &path),
            Err(PathError::Index { index: 6, count: 6 })
        ));
    }

    proptest! {
        #[test]
        fn every_leaf_is_proved_at_its_place_and_at_no_other(
            count in 1_usize..200,
            index in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
        ) {
            let all = leaves(count);
            let tree = Tree::new(all.clone());
            let (index, other) = (index.index(count), other.index(count));
            let path = tree.path(index).unwrap();
            prop_assert_eq!(climb(all[index], index, count, &path), Ok(tree.root()));
            if other != index {
                prop_assert_ne!(climb(all[index], other, count, &path), Ok(tree.root()));
                prop_assert_ne!(climb(all[other], index, count, &path), Ok(tree.root()));
            }
        }

        /// A walk from the root down, sixteen nodes at a time, reaches every leaf, and each step
        /// proves itself.
        #[test]
        fn a_walk_in_steps_reaches_every_leaf(
            count in 1_usize..3_000,
            index in any::<prop::sample::Index>(),
            step in 1_usize..6,
        ) {
            let all = leaves(count);
            let tree = Tree::new(all.clone());
            let target = index.index(count);
            let mut at = Position { height: tree.height(), index: 0 };
            let mut reached = tree.root();
            while at.height > 0 {
                let levels = step.min(at.height);
                let below = tree.descendants(at, step);
                prop_assert_eq!(join(below, levels), Some(reached));
                let height = at.height - levels;
                let next = target >> height;
                reached = below[next - (at.index << levels)];
                at = Position { height, index: next };
                prop_assert_eq!(tree.node(at), Some(&reached));
            }
            prop_assert_eq!(reached, all[target]);
        }

        /// A node is proved under each of the nodes above it.
        #[test]
        fn a_path_may_end_below_the_root(
            count in 1_usize..300,
            index in any::<prop::sample::Index>(),
            height in 0_usize..9,
            levels in 0_usize..9,
        ) {
            let tree = Tree::new(leaves(count));
            prop_assert_eq!(tree.height(), height_of(count));
            let height = height.min(tree.height());
            let levels = levels.min(tree.height() - height);
            let width = width_at(count, height);
            let index = index.index(width);
            let at = Position { height, index };
            let node = *tree.node(at).unwrap();
            let above = Position { height: height + levels, index: index >> levels };
            let path = tree.path_up(at, levels).unwrap();
            let climbed = climb_levels(node, index, width, levels, &path);
            prop_assert_eq!(climbed, Ok(*tree.node(above).unwrap()));
            prop_assert_eq!(tree.node(Position { height, index: width }), None);
        }

        #[test]
        fn no_more_nodes_are_joined_than_the_levels_have(count in 0_usize..40, levels in 0_usize..6) {
            let joined = join(&leaves(count), levels);
            prop_assert_eq!(joined.is_some(), (1..=1 << levels).contains(&count));
        }
    }
}
