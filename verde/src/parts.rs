//! Byte strings under one digest, each of which can be shown alone: the descriptors of a program,
//! the parts of a plan.
//!
//! ```text
//! leaf = H(0x00 ‖ bytes of the part)   ─▶ tree ─▶ top
//! ```
//! Programs and plans name how many parts they have in the first one, so whoever is shown that part
//! knows the number of all.

use reproducible_ops::program::{Digest, Program};
use thiserror::Error;

use crate::plan::Plan;
use crate::tree::{self, PathError, Tree};

/// Why a part is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PartError {
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Bytes and siblings lead to another digest.
    #[error("part {0}: bytes and siblings lead to another digest")]
    Root(usize),
}

/// What shows one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartProof {
    /// The part.
    pub bytes: Vec<u8>,
    /// Hashes beside its path.
    pub siblings: Vec<Digest>,
}

impl PartProof {
    /// The top of the tree over `count` parts of which this is number `index`.
    ///
    /// # Errors
    /// The path has more or fewer siblings. Other bytes or siblings lead to another top.
    pub fn top(&self, index: usize, count: usize) -> Result<Digest, PathError> {
        let leaf = tree::leaf(&[&self.bytes]);
        tree::climb(leaf, index, count, &self.siblings)
    }
}

/// All parts, with the tree over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    parts: Vec<Vec<u8>>,
    tree: Tree,
}

impl Parts {
    /// The descriptors of a program; the top is its digest.
    pub fn of_program(program: &Program) -> Self {
        Self::new(program.descriptors())
    }

    /// The parts of a plan; its digest is a tagged hash of the top.
    pub fn of_plan(plan: &Plan) -> Self {
        Self::new(plan.parts())
    }

    fn new(parts: Vec<Vec<u8>>) -> Self {
        let leaves = parts.iter().map(|part| tree::leaf(&[part]));
        Self {
            tree: Tree::new(leaves.collect()),
            parts,
        }
    }

    /// The root of the tree.
    pub fn top(&self) -> Digest {
        self.tree.root()
    }

    /// What shows a part; none where there is no such part.
    pub fn prove(&self, index: usize) -> Option<PartProof> {
        Some(PartProof {
            bytes: self.parts.get(index)?.clone(),
            siblings: self.tree.path(index)?,
        })
    }

    /// Checks that a part is number `index` of these.
    ///
    /// # Errors
    /// [`PartError`].
    pub fn verify(&self, index: usize, proof: &PartProof) -> Result<(), PartError> {
        match proof.top(index, self.parts.len())? == self.top() {
            true => Ok(()),
            false => Err(PartError::Root(index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn every_part_of_a_plan_and_its_programs_is_shown_at_its_place_alone() {
        let (plan, programs) = toy::plan();
        let programs = programs.iter().map(|program| {
            let parts = Parts::of_program(program);
            assert_eq!(parts.top(), program.digest());
            parts
        });
        for parts in programs.chain([Parts::of_plan(&plan)]) {
            for index in 0..parts.parts.len() {
                let proof = parts.prove(index).unwrap();
                parts.verify(index, &proof).unwrap();
                let other = (index + 1) % parts.parts.len();
                assert!(parts.verify(other, &proof).is_err());
                let mut changed = proof.clone();
                changed.bytes[0] ^= 1;
                assert_eq!(parts.verify(index, &changed), Err(PartError::Root(index)));
                let mut longer = proof;
                longer.siblings.push([0; 32]);
                assert!(parts.verify(index, &longer).is_err());
            }
            assert_eq!(parts.prove(parts.parts.len()), None);
        }
    }
}
