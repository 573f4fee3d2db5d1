//! The commitment to a state: a tree over named tensors, in the order of their names.
//!
//! ```text
//! leaf = H(0x00 ‖ length of the name, 2 bytes ‖ name ‖ root of the tensor)   ─▶ tree ─▶ top
//! root = H(0x03 ‖ number of tensors, 4 bytes ‖ top)
//! ```
//! Numbers are little-endian; names are ordered by their bytes, and none stands twice. A state root
//! must bind everything that the next step depends on (parameters, moments, counters, generator
//! keys, the position in the data): what is in the state follows from the job's plan, which names
//! its tensors.

use reproducible_ops::program::{Digest, tagged_hash};
use thiserror::Error;

use crate::tree::{self, PathError, Tree};

/// Longest name, in bytes.
pub const MAX_NAME: usize = u16::MAX as usize;

const STATE: u8 = 3;

/// Why there is no commitment to a state, or none to one of its tensors.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// Two tensors have one name.
    #[error("two tensors of the state are called {0}")]
    Twice(String),
    /// A name is too long.
    #[error("a name of {0} bytes; at most {MAX_NAME} are committed to")]
    Name(usize),
    /// There are too many tensors.
    #[error("{0} tensors; a state has at most {most}", most = u32::MAX)]
    Count(usize),
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The tensor is of another state, or has another name or root.
    #[error("name, tensor and siblings lead to another root")]
    Root,
}

/// What proves that a tensor is part of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Tensors of the state.
    pub count: usize,
    /// The tensor's number in the order of names.
    pub index: usize,
    /// Hashes beside its path.
    pub siblings: Vec<Digest>,
}

/// The tree of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTree {
    names: Vec<String>,
    tree: Tree,
}

impl StateTree {
    /// The tree over tensors, given in any order by their names and roots.
    ///
    /// ```
    /// use reproducible_ops::tensor::Tensor;
    /// use verde::{state, tensor};
    ///
    /// let [weight, step] = [Tensor::f32([2], vec![0.5, 1.5])?, Tensor::i32([1], vec![3])?];
    /// let roots = [("weight", tensor::root(&weight)), ("step", tensor::root(&step))];
    /// let tree = state::StateTree::new(roots)?;
    ///
    /// let proof = tree.prove("step").ok_or("there is no step")?;
    /// state::verify(&tree.root(), "step", &tensor::root(&step), &proof)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A name stands twice or is too long.
    pub fn new<N: Into<String>>(
        tensors: impl IntoIterator<Item = (N, Digest)>,
    ) -> Result<Self, StateError> {
        let tensors = tensors.into_iter();
        let mut tensors: Vec<(String, Digest)> =
            tensors.map(|(name, root)| (name.into(), root)).collect();
        tensors.sort();
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(StateError::Twice(pair[0].0.clone()));
        }
        if u32::try_from(tensors.len()).is_err() {
            return Err(StateError::Count(tensors.len()));
        }
        let leaves = tensors.iter().map(|(name, root)| leaf(name, root));
        let tree = Tree::new(leaves.collect::<Result<_, _>>()?);
        let names = tensors.into_iter().map(|(name, _)| name).collect();
        Ok(Self { names, tree })
    }

    /// What names the state.
    pub fn root(&self) -> Digest {
        bind(self.names.len(), &self.tree.root())
    }

    /// The tree over the tensors.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The names of the tensors, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What proves that the tensor with this name is part of the state; none where there is none.
    pub fn prove(&self, name: &str) -> Option<Membership> {
        let found = self
            .names
            .binary_search_by(|known| known.as_str().cmp(name));
        let index = found.ok()?;
        Some(Membership {
            count: self.names.len(),
            index,
            siblings: self.tree.path(index)?,
        })
    }
}

/// The leaf of a tensor, by its name and root.
///
/// # Errors
/// The name is too long.
pub fn leaf(name: &str, root: &Digest) -> Result<Digest, StateError> {
    let length = u16::try_from(name.len()).map_err(|_| StateError::Name(name.len()))?;
    Ok(tree::leaf(&[&length.to_le_bytes(), name.as_bytes(), root]))
}

/// The root of a state of so many tensors, whose tree has this top.
pub fn bind(count: usize, top: &Digest) -> Digest {
    // Checked where a state is made; a larger count than any leads to another root.
    tagged_hash(STATE, &[&(count as u32).to_le_bytes(), top])
}

/// Checks that the tensor with this name and root is part of the state with this root.
///
/// # Errors
/// [`StateError`].
pub fn verify(
    root: &Digest,
    name: &str,
    tensor: &Digest,
    proof: &Membership,
) -> Result<(), StateError> {
    let Membership {
        count,
        index,
        siblings,
    } = proof;
    let top = tree::climb(leaf(name, tensor)?, *index, *count, siblings)?;
    match bind(*count, &top) == *root {
        true => Ok(()),
        false => Err(StateError::Root),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(count: u8) -> Vec<(String, Digest)> {
        (0..count)
            .map(|number| (format!("tensor {}", number ^ 0x2a), [number; 32]))
            .collect()
    }

    #[test]
    fn names_are_ordered_and_unique() {
        let mut tensors = state(9);
        let root = StateTree::new(tensors.clone()).unwrap().root();
        tensors.reverse();
        assert_eq!(StateTree::new(tensors.clone()).unwrap().root(), root);
        tensors.push(("tensor 42".into(), [1; 32]));
        assert_eq!(
            StateTree::new(tensors),
            Err(StateError::Twice("tensor 42".into()))
        );
        let long = "x".repeat(MAX_NAME + 1);
        assert_eq!(
            StateTree::new([(long, [0; 32])]),
            Err(StateError::Name(MAX_NAME + 1))
        );
    }

    /// A name's end and a root's beginning cannot be taken for each other.
    #[test]
    fn names_have_lengths() {
        let of = |name: &str, root: Digest| StateTree::new([(name, root)]).unwrap().root();
        let mut shifted = [7; 32];
        shifted[0] = b'b';
        assert_ne!(of("ab", [7; 32]), of("a", shifted));
    }

    proptest! {
        #[test]
        fn every_tensor_is_proved_and_every_change_is_seen(
            count in 1_u8..60,
            which in any::<prop::sample::Index>(),
            byte in 0_usize..32,
        ) {
            let tensors = state(count);
            let tree = StateTree::new(tensors.clone()).unwrap();
            let root = tree.root();
            let (name, tensor) = &tensors[which.index(tensors.len())];
            let proof = tree.prove(name).unwrap();
            prop_assert_eq!(verify(&root, name, tensor, &proof), Ok(()));
            let mut other = *tensor;
            other[byte] ^= 1;
            prop_assert_eq!(verify(&root, name, &other, &proof), Err(StateError::Root));
            let renamed = format!("{name}'");
            prop_assert_eq!(verify(&root, &renamed, tensor, &proof), Err(StateError::Root));
            let larger = Membership { count: proof.count + 1, ..proof };
            prop_assert!(verify(&root, name, tensor, &larger).is_err());
            let changed = tensors.iter().map(|(known, root)| match known == name {
                true => (known.clone(), other),
                false => (known.clone(), *root),
            });
            prop_assert_ne!(StateTree::new(changed).unwrap().root(), root);
        }
    }
}
