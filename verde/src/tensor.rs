//! The commitment to a tensor: a tree over its tiles, bound to type and shape.
//!
//! ```text
//! row ─▶ tiles of 256 elements, the last of a row shorter ─▶ leaf = H(0x00 ‖ elements, little-endian)
//!                                                                 └─▶ tree ─▶ top
//! root = H(0x02 ‖ element type ‖ rank ‖ length of each axis, 4 bytes little-endian ‖ top)
//! ```
//! A row is what the last axis runs over; a scalar is one row of one element. No tile crosses the
//! end of a row, so a block of a reduction over the last axis is one tile. `TileTree.sol` opens the
//! same trees, and its tests are against this module.

use rayon::prelude::*;
use reproducible_ops::program::{Digest, Shape, TensorType, tagged_hash};
use reproducible_ops::tensor::{HalfFormat, Tensor};
use thiserror::Error;

use crate::tree::{self, PathError, Position, Tree};

/// Elements of a tile that is not cut off by the end of its row.
pub const TILE: usize = 256;

const TENSOR: u8 = 2;

/// Why an opening proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// The tensor has no such element.
    #[error("element {index} of a tensor of {elements}")]
    Element {
        /// Place in row-major order.
        index: usize,
        /// Elements of the tensor.
        elements: usize,
    },
    /// The tile's length does not follow from the shape and its place.
    #[error("a tile of {given} elements, where {expected} lie")]
    Tile {
        /// Elements given.
        given: usize,
        /// Elements of the tile.
        expected: usize,
    },
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The tile is of another tensor, or changed.
    #[error("type, shape, tile and siblings lead to another root")]
    Root,
}

/// Which tiles a tensor of some shape has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    rows: usize,
    width: usize,
}

impl Tiling {
    /// The tiles of a shape.
    ///
    /// ```
    /// use reproducible_ops::program::Shape;
    /// use verde::tensor::Tiling;
    ///
    /// let tiling = Tiling::of(&Shape::new([2, 300]));
    /// assert_eq!(tiling.tiles(), 4);
    /// // Element (1, 299) is the last of the short tile at the end of row 1.
    /// assert_eq!(tiling.place(599), (3, 43));
    /// assert_eq!(tiling.length(3), 44);
    /// ```
    pub fn of(shape: &Shape) -> Self {
        Self {
            rows: shape.rows(),
            width: shape.last(),
        }
    }

    fn tiles_of_row(self) -> usize {
        self.width.div_ceil(TILE)
    }

    /// Elements of a row.
    pub fn width(self) -> usize {
        self.width
    }

    /// Number of tiles.
    pub fn tiles(self) -> usize {
        self.rows * self.tiles_of_row()
    }

    /// The tile of an element, and the element's place in it.
    ///
    /// # Panics
    /// The shape has no element.
    pub fn place(self, element: usize) -> (usize, usize) {
        let (row, column) = (element / self.width, element % self.width);
        (row * self.tiles_of_row() + column / TILE, column % TILE)
    }

    /// The first element of a tile, in row-major order.
    ///
    /// # Panics
    /// The shape has no tile.
    pub fn first(self, tile: usize) -> usize {
        let (row, number) = (tile / self.tiles_of_row(), tile % self.tiles_of_row());
        row * self.width + number * TILE
    }

    /// Elements of a tile.
    ///
    /// # Panics
    /// The shape has no tile.
    pub fn length(self, tile: usize) -> usize {
        TILE.min(self.width - tile % self.tiles_of_row() * TILE)
    }
}

/// One tile of a tensor, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its elements.
    pub tile: Vec<u32>,
    /// Hashes beside the path from its leaf up to the top of the tree.
    pub siblings: Vec<Digest>,
}

/// The tree of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorTree {
    ty: TensorType,
    tree: Tree,
}

impl TensorTree {
    /// Hashes a tensor, with all threads of the present pool. Numbers that are kept at two bytes are
    /// widened tile by tile.
    pub fn new(tensor: &Tensor) -> Self {
        let width = tensor.shape().last().max(1);
        let tiles = Tiling::of(tensor.shape()).tiles_of_row();
        let mut hashed = Vec::with_capacity(tiles * tensor.shape().elements() / width);
        match tensor.halves() {
            Some(halves) => {
                let format = halves.format();
                let rows = halves.bits().par_chunks(width);
                hashed.par_extend(rows.flat_map_iter(|row| {
                    row.chunks(TILE)
                        .map(move |tile| leaf_of_halves(tile, format))
                }));
            }
            None => {
                let rows = tensor.words().par_chunks(width);
                hashed.par_extend(rows.flat_map_iter(|row| row.chunks(TILE).map(leaf)));
            }
        }
        Self {
            ty: tensor.ty().clone(),
            tree: Tree::new(hashed),
        }
    }

    /// Type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The tree over the tiles.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What names the tensor.
    pub fn root(&self) -> Digest {
        bind(&self.ty, &self.tree.root())
    }

    /// The opening of a tile of the tensor that was hashed; none where it has no such tile.
    pub fn open(&self, tensor: &Tensor, tile: usize) -> Option<Opening> {
        let siblings = self.tree.path(tile)?;
        let tiling = Tiling::of(&self.ty.shape);
        let first = tiling.first(tile);
        let tile = tensor.words().get(first..first + tiling.length(tile))?;
        Some(Opening {
            tile: tile.to_vec(),
            siblings,
        })
    }

    /// The leaf of a tile.
    pub fn leaf(&self, tile: usize) -> Option<&Digest> {
        self.tree.node(Position {
            height: 0,
            index: tile,
        })
    }
}

/// The hash of a tile's elements.
pub fn leaf(tile: &[u32]) -> Digest {
    #[cfg(target_endian = "little")]
    return tree::leaf(&[bytemuck::cast_slice(tile)]);
    #[cfg(target_endian = "big")]
    {
        let bytes: Vec<u8> = tile.iter().flat_map(|word| word.to_le_bytes()).collect();
        tree::leaf(&[&bytes])
    }
}

/// The leaf of a tile whose numbers are kept at two bytes.
fn leaf_of_halves(tile: &[u16], format: HalfFormat) -> Digest {
    let mut words = [0; TILE];
    let words = &mut words[..tile.len()];
    for (word, &bits) in words.iter_mut().zip(tile) {
        *word = format.widen(bits);
    }
    leaf(words)
}

/// The root of a tensor whose tiles have this tree.
pub fn bind(ty: &TensorType, top: &Digest) -> Digest {
    let dims = ty.shape.dims();
    // A program's limits keep both far below what these bytes hold.
    let lengths = dims.iter().flat_map(|dim| (*dim as u32).to_le_bytes());
    let lengths: Vec<u8> = lengths.collect();
    tagged_hash(
        TENSOR,
        &[&[ty.dtype.tag(), dims.len() as u8], &lengths, top],
    )
}

/// The root of a tensor.
pub fn root(tensor: &Tensor) -> Digest {
    TensorTree::new(tensor).root()
}

/// Checks that a tile is tile `index` of the tensor of this type with this root.
///
/// # Errors
/// [`OpeningError`].
pub fn verify_tile(
    root: &Digest,
    ty: &TensorType,
    index: usize,
    opening: &Opening,
) -> Result<(), OpeningError> {
    let tiling = Tiling::of(&ty.shape);
    let count = tiling.tiles();
    if index >= count {
        return Err(PathError::Index { index, count }.into());
    }
    let (given, expected) = (opening.tile.len(), tiling.length(index));
    if given != expected {
        return Err(OpeningError::Tile { given, expected });
    }
    let top = tree::climb(leaf(&opening.tile), index, count, &opening.siblings)?;
    match bind(ty, &top) == *root {
        true => Ok(()),
        false => Err(OpeningError::Root),
    }
}

/// The bits of an element of the tensor of this type with this root.
///
/// # Errors
/// [`OpeningError`]: the opening is not that of the element's tile.
pub fn verify_element(
    root: &Digest,
    ty: &TensorType,
    index: usize,
    opening: &Opening,
) -> Result<u32, OpeningError> {
    let elements = ty.shape.elements();
    if index >= elements {
        return Err(OpeningError::Element { index, elements });
    }
    let (tile, place) = Tiling::of(&ty.shape).place(index);
    verify_tile(root, ty, tile, opening)?;
    Ok(opening.tile[place])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reproducible_ops::program::DType;

    use super::*;

    fn tensor(shape: &[usize]) -> Tensor {
        let ty = TensorType::i32(shape);
        let count = ty.shape.elements() as u32;
        let words = (0..count)
            .map(|word| word.wrapping_mul(0x9e37_79b9))
            .collect();
        Tensor::from_words(ty, words).unwrap()
    }

    #[test]
    fn a_tensor_of_one_tile_is_hashed_as_the_layout_says() {
        let tensor = Tensor::f32([2], vec![1.0, -0.0]).unwrap();
        let tile = tree::leaf(&[&[0, 0, 0x80, 0x3f, 0, 0, 0, 0x80]]);
        let expected = tagged_hash(2, &[&[0, 1, 2, 0, 0, 0], &tile]);
        assert_eq!(root(&tensor), expected);
        let scalar = Tensor::i32(Shape::scalar(), vec![7]).unwrap();
        let expected = tagged_hash(2, &[&[1, 0], &tree::leaf(&[&[7, 0, 0, 0]])]);
        assert_eq!(root(&scalar), expected);
    }

    #[test]
    fn an_empty_tensor_has_a_root_and_nothing_to_open() {
        for shape in [&[0][..], &[3, 0], &[0, 5]] {
            let tensor = tensor(shape);
            let tree = TensorTree::new(&tensor);
            assert_eq!(tree.root(), bind(tensor.ty(), &tree::EMPTY), "{shape:?}");
            assert_eq!(tree.open(&tensor, 0), None);
            let nothing = Opening {
                tile: Vec::new(),
                siblings: Vec::new(),
            };
            assert!(verify_element(&tree.root(), tensor.ty(), 0, &nothing).is_err());
            assert!(verify_tile(&tree.root(), tensor.ty(), 0, &nothing).is_err());
        }
    }

    #[test]
    fn how_numbers_are_kept_is_no_part_of_the_root() {
        for format in HalfFormat::ALL {
            for shape in [&[3, 700][..], &[513], &[2, 0], &[1]] {
                let count = shape.iter().product::<usize>();
                let bits = (0..count).map(|at| (at as u16).wrapping_mul(40_503));
                let kept = Tensor::from_halves(shape, format, bits.collect()).unwrap();
                let hashed = TensorTree::new(&kept);
                let words = kept.words().to_vec();
                let wide = Tensor::from_words(kept.ty().clone(), words).unwrap();
                assert_eq!(hashed.root(), root(&wide), "{format:?} {shape:?}");
            }
        }
    }

    #[test]
    fn type_and_shape_are_part_of_the_root() {
        let words = vec![1, 0, 1, 1, 0, 0];
        let of = |ty: TensorType| root(&Tensor::from_words(ty, words.clone()).unwrap());
        let roots = [
            of(TensorType::i32([2, 3])),
            of(TensorType::i32([3, 2])),
            of(TensorType::i32([6])),
            of(TensorType::i32([1, 6])),
            of(TensorType::f32([2, 3])),
            of(TensorType::new(DType::Bool, [2, 3])),
        ];
        for (at, root) in roots.iter().enumerate() {
            assert!(!roots[..at].contains(root), "{at}");
        }
    }

    proptest! {
        #[test]
        fn every_element_opens_and_a_changed_one_does_not(
            shape in prop::collection::vec(1_usize..5, 0..3),
            width in prop::sample::select(vec![1_usize, 2, 255, 256, 257, 511, 513, 700]),
            element in any::<prop::sample::Index>(),
            bit in 0_u32..32,
        ) {
            let shape = [&shape[..], &[width]].concat();
            let tensor = tensor(&shape);
            let hashed = TensorTree::new(&tensor);
            let (root, ty) = (hashed.root(), tensor.ty());
            let element = element.index(tensor.words().len());
            let (tile, place) = Tiling::of(&ty.shape).place(element);
            let opening = hashed.open(&tensor, tile).unwrap();
            prop_assert_eq!(
                verify_element(&root, ty, element, &opening),
                Ok(tensor.words()[element])
            );
            let mut changed = opening.clone();
            changed.tile[place] ^= 1 << bit;
            prop_assert_eq!(
                verify_element(&root, ty, element, &changed),
                Err(OpeningError::Root)
            );
            let mut longer = opening;
            longer.tile.push(0);
            prop_assert!(verify_element(&root, ty, element, &longer).is_err());
            let tiles = Tiling::of(&ty.shape).tiles();
            prop_assert_eq!(hashed.tree().leaves(), tiles);
            for other in (0..tiles).filter(|other| *other != tile) {
                let opening = hashed.open(&tensor, other).unwrap();
                prop_assert!(verify_tile(&root, ty, tile, &opening).is_err());
            }
        }
    }
}
