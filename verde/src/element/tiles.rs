//! Where tiles come from: whole tensors, or openings.

use reproducible_ops::program::{Digest, TensorType};
use reproducible_ops::tensor::Tensor;

use super::ElementError;
use crate::tensor::{Opening, TensorTree, Tiling, verify_tile};

/// The tiles of a node's operands.
pub trait Tiles<'t> {
    /// The elements of a tile of an operand, both counted from 0. Only tiles that there are are
    /// asked for.
    ///
    /// # Errors
    /// The tile is not known, or not proved.
    fn read(&mut self, operand: usize, tile: usize) -> Result<&'t [u32], ElementError>;
}

/// Tiles of whole tensors. It keeps which were read.
#[derive(Clone, Debug)]
pub struct Prover<'t> {
    tensors: Vec<&'t Tensor>,
    read: Vec<(usize, usize)>,
}

impl<'t> Prover<'t> {
    /// The tiles of these operands, of these types.
    ///
    /// # Errors
    /// A tensor is missing, or of another type.
    pub fn new(types: &[&TensorType], tensors: &[&'t Tensor]) -> Result<Self, ElementError> {
        check_count(tensors.len(), types.len())?;
        for (operand, (ty, tensor)) in types.iter().zip(tensors).enumerate() {
            if tensor.ty() != *ty {
                let (given, expected) = (tensor.ty().clone(), (*ty).clone());
                return Err(ElementError::Tensor {
                    operand,
                    given,
                    expected,
                });
            }
        }
        Ok(Self {
            tensors: tensors.to_vec(),
            read: Vec::new(),
        })
    }

    /// The tiles that were read, in that order, with what proves them. Each tensor is hashed once.
    #[expect(clippy::expect_used, reason = "the tiles were read")]
    pub fn openings(&self) -> Vec<Opening> {
        let mut trees: Vec<Option<TensorTree>> = vec![None; self.tensors.len()];
        let open = |&(operand, tile): &(usize, usize)| {
            let tensor = self.tensors[operand];
            let tree = trees[operand].get_or_insert_with(|| TensorTree::new(tensor));
            tree.open(tensor, tile)
                .expect("invariant: a tensor has the tiles that were read of it")
        };
        self.read.iter().map(open).collect()
    }
}

impl<'t> Tiles<'t> for Prover<'t> {
    fn read(&mut self, operand: usize, tile: usize) -> Result<&'t [u32], ElementError> {
        self.read.push((operand, tile));
        let tensor = self.tensors[operand];
        let tiling = Tiling::of(tensor.shape());
        Ok(&tensor.words()[tiling.first(tile)..][..tiling.length(tile)])
    }
}

/// Tiles that were opened, in the order in which they are read; each is checked.
#[derive(Clone, Debug)]
pub struct Judge<'t> {
    types: Vec<&'t TensorType>,
    roots: &'t [Digest],
    openings: &'t [Opening],
    read: usize,
}

impl<'t> Judge<'t> {
    /// Openings of operands of these types, with these roots.
    ///
    /// # Errors
    /// There are not as many roots as operands.
    pub fn new(
        types: &[&'t TensorType],
        roots: &'t [Digest],
        openings: &'t [Opening],
    ) -> Result<Self, ElementError> {
        check_count(roots.len(), types.len())?;
        Ok(Self {
            types: types.to_vec(),
            roots,
            openings,
            read: 0,
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// An opening was not read.
    pub fn finish(self) -> Result<(), ElementError> {
        match self.read == self.openings.len() {
            true => Ok(()),
            false => Err(self.miscounted()),
        }
    }

    fn miscounted(&self) -> ElementError {
        let (given, read) = (self.openings.len(), self.read);
        ElementError::Openings { given, read }
    }
}

impl<'t> Tiles<'t> for Judge<'t> {
    fn read(&mut self, operand: usize, tile: usize) -> Result<&'t [u32], ElementError> {
        let opening = self.openings.get(self.read);
        self.read += 1;
        let opening = opening.ok_or_else(|| self.miscounted())?;
        let (root, ty) = (&self.roots[operand], self.types[operand]);
        verify_tile(root, ty, tile, opening).map_err(|source| ElementError::Opening {
            operand,
            tile,
            source,
        })?;
        Ok(&opening.tile)
    }
}

fn check_count(given: usize, expected: usize) -> Result<(), ElementError> {
    match given == expected {
        true => Ok(()),
        false => Err(ElementError::Count { given, expected }),
    }
}
