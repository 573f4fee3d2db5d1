//! The tile tree of a tensor as a whole: what `TileTree.sol` sees one path of.
//!
//! ```text
//! row by row, 256 elements a tile ──▶ leaf = H(0, tile) ──▶ node = H(1, left, right) … ──▶ root = H(2, header, top)
//! ```
//! An odd node at the end of a level moves up as it is.

use sha2::{Digest, Sha256};

/// A hash.
pub type Hash = [u8; 32];

const TILE: usize = 256;

/// A tensor of elements of four bytes.
#[derive(Clone)]
pub struct Tensor {
    /// Tag of the element type.
    pub dtype: u8,
    /// Lengths of the axes, outermost first.
    pub shape: Vec<u32>,
    /// Bits of the elements in row-major order.
    pub elements: Vec<u32>,
}

/// A tile and the hashes beside its path.
#[derive(Clone)]
pub struct Opening {
    /// Little-endian bytes of the tile's elements.
    pub tile: Vec<u8>,
    /// Hashes from the leaf's neighbour upwards.
    pub siblings: Vec<Hash>,
}

/// All levels of a tensor's tree, the leaves first.
pub struct Tree {
    tiles: Vec<Vec<u8>>,
    levels: Vec<Vec<Hash>>,
}

impl Tensor {
    /// Length of a row: the last axis, or 1 for a scalar.
    pub fn width(&self) -> usize {
        self.shape.last().map_or(1, |&last| last as usize)
    }

    /// Index of the tile that holds an element.
    pub fn tile_of(&self, element: usize) -> usize {
        let (row, column) = (element / self.width(), element % self.width());
        row * self.width().div_ceil(TILE) + column / TILE
    }

    /// What binds the top of the tree to type and shape.
    pub fn root(&self, tree: &Tree) -> Hash {
        let lengths: Vec<u8> = self
            .shape
            .iter()
            .flat_map(|length| length.to_le_bytes())
            .collect();
        hash(&[
            &[2, self.dtype, self.shape.len() as u8],
            &lengths,
            &tree.top(),
        ])
    }
}

impl Tree {
    /// The tree of a tensor.
    pub fn new(tensor: &Tensor) -> Self {
        let rows = tensor.elements.chunks(tensor.width().max(1));
        let tiles: Vec<Vec<u8>> = rows.flat_map(|row| row.chunks(TILE)).map(bytes).collect();
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        let mut level: Vec<Hash> = tiles.iter().map(|tile| hash(&[&[0], tile])).collect();
        while level.len() > 1 {
            let above = level.chunks(2).map(parent).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        if !level.is_empty() {
            levels.push(level);
        }
        Self { tiles, levels }
    }

    /// The one node without a parent; zeros where there is no tile.
    pub fn top(&self) -> Hash {
        self.levels.last().map_or([0; 32], |level| level[0])
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.tiles.len()
    }

    /// The opening of a tile.
    pub fn open(&self, index: usize) -> Opening {
        let beside =
            |(height, level): (usize, &Vec<Hash>)| level.get((index >> height) ^ 1).copied();
        Opening {
            tile: self.tiles[index].clone(),
            siblings: self.levels.iter().enumerate().filter_map(beside).collect(),
        }
    }
}

fn bytes(row: &[u32]) -> Vec<u8> {
    row.iter().flat_map(|bits| bits.to_le_bytes()).collect()
}

fn parent(children: &[Hash]) -> Hash {
    match children {
        [left, right] => hash(&[&[1], left, right]),
        alone => alone[0],
    }
}

fn hash(parts: &[&[u8]]) -> Hash {
    Sha256::digest(parts.concat()).into()
}
