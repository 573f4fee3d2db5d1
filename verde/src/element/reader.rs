//! What each operator reads, in order, and what it makes of it.

use reproducible_ops::program::{DType, Elementwise};
use reproducible_ops::random;
use reproducible_ops::scalar::{self, reduce};

use super::{ElementError, Operation, Tiles};
use crate::tensor::Tiling;

/// The operands of an operation, as far as they are read.
pub(super) struct Reader<'r, T> {
    operation: &'r Operation<'r>,
    tiles: &'r mut T,
}

type Bits = Result<u32, ElementError>;

impl<'r, 't, T: Tiles<'t>> Reader<'r, T> {
    pub(super) fn new(operation: &'r Operation<'r>, tiles: &'r mut T) -> Self {
        Self { operation, tiles }
    }

    /// An element of an operand.
    pub(super) fn element(&mut self, operand: usize, element: usize) -> Bits {
        let tiling = Tiling::of(&self.operation.operands[operand].shape);
        let (tile, place) = tiling.place(element);
        Ok(self.tiles.read(operand, tile)?[place])
    }

    /// A block of a row of an operand; nothing of an empty row.
    fn block(
        &mut self,
        operand: usize,
        row: usize,
        block: usize,
    ) -> Result<Vec<f32>, ElementError> {
        let width = self.width(operand);
        if width == 0 {
            return Ok(Vec::new());
        }
        let tile = row * width.div_ceil(reduce::BLOCK) + block;
        let words = self.tiles.read(operand, tile)?;
        Ok(words.iter().copied().map(f32::from_bits).collect())
    }

    fn width(&self, operand: usize) -> usize {
        self.operation.operands[operand].shape.last()
    }

    /// Length of an operand's last axis but one.
    fn height(&self, operand: usize) -> usize {
        let dims = self.operation.operands[operand].shape.dims();
        dims[dims.len() - 2]
    }

    #[expect(clippy::expect_used, reason = "the operation's types were inferred")]
    pub(super) fn elementwise(&mut self, element: usize) -> Bits {
        let operands = &self.operation.operands;
        let dtypes: Vec<DType> = operands.iter().map(|ty| ty.dtype).collect();
        let row = Elementwise::of(self.operation.operator, &dtypes)
            .expect("invariant: inference accepts the types of the operator table only");
        let words: Result<Vec<u32>, _> = (0..dtypes.len())
            .map(|operand| self.element(operand, element))
            .collect();
        Ok(row.apply(&words?))
    }

    pub(super) fn dot(&mut self, element: usize, block: usize) -> Bits {
        let (rows, columns) = (self.height(0), self.height(1));
        let (row, column) = (element / columns, element % columns);
        let left = self.block(0, row, block)?;
        let right = self.block(1, row / rows * columns + column, block)?;
        let number = reduce::dot_block(&left, &right);
        // The chain above a single block is walked at once.
        Ok(match self.operation.blocks() {
            1 => scalar::add(0.0, number).to_bits(),
            _ => number.to_bits(),
        })
    }

    pub(super) fn sum(&mut self, row: usize, block: usize) -> Bits {
        Ok(reduce::sum_block(&self.block(0, row, block)?).to_bits())
    }

    pub(super) fn max(&mut self, row: usize, block: usize) -> Bits {
        Ok(reduce::max(&self.block(0, row, block)?).to_bits())
    }

    pub(super) fn gather_rows(&mut self, element: usize) -> Bits {
        let width = self.width(0);
        let id = self.element(1, element / width)? as usize;
        match id < self.height(0) {
            true => self.element(0, id * width + element % width),
            false => Ok(0),
        }
    }

    pub(super) fn one_hot(&mut self, element: usize, classes: usize) -> Bits {
        let id = self.element(0, element / classes)? as usize;
        Ok(match id == element % classes {
            true => 1f32.to_bits(),
            false => 0,
        })
    }

    pub(super) fn take_along_last(&mut self, element: usize) -> Bits {
        let (width, picks) = (self.width(0), self.width(1));
        let id = self.element(1, element)? as usize;
        match id < width {
            true => self.element(0, element / picks * width + id),
            false => Ok(0),
        }
    }

    pub(super) fn update_rows(&mut self, element: usize) -> Bits {
        let (width, height, count) = (self.width(0), self.height(0), self.height(1));
        let (row, column) = (element / width, element % width);
        let batch = row / height;
        let start = i64::from(self.element(2, batch)?.cast_signed());
        match usize::try_from((row % height) as i64 - start) {
            Ok(new) if new < count => self.element(1, (batch * count + new) * width + column),
            _ => self.element(0, element),
        }
    }

    pub(super) fn philox_uniform(&mut self, element: usize, lanes: usize) -> Bits {
        let (row, lane) = (element / lanes, element % lanes);
        let key = self.tiles.read(0, 0)?;
        let counter = self.tiles.read(1, row)?;
        let (key, counter) = ([key[0], key[1]], [counter[0], counter[1], counter[2]]);
        Ok(random::uniform_at(key, counter, lane as u32).to_bits())
    }
}
