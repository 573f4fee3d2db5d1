//! One element of one node's result, recomputed from opened tiles of the node's operands: the last
//! step of a dispute.
//!
//! ```text
//! node, types of its operands ─▶ Operation          checked once
//! element, part, claimed bits ─▶ tiles, in a fixed order ─▶ number ─▶ contradicted, or not
//! ```
//! * An element is one number, except that of a long reduction: `matmul_nt`, `sum` and `reduce_max`
//!   over more than 256 elements have *blocks* ([`Operation::blocks`]), each a number of its own,
//!   and [`Operation::join`] makes one number of up to 256, level by level, until one is left: the
//!   element. So no step reads more than two tiles.
//! * `argmax` is not recomputed but contradicted: by a *witness*, an index of the row whose element
//!   beats the claimed one.
//! * [`Place::part`] is the block or the witness, and 0 where there is neither.
//!
//! # The order of reading
//! Each read opens one whole tile, and both sides read alike: operands in order, except that ids
//! are read before what they select.
//!
//! | operator | tiles |
//! |---|---|
//! | elementwise | the element of each operand |
//! | `full`, `iota`; any reduction over nothing | none |
//! | `matmul_nt`, `sum`, `reduce_max` | the block's tile of each operand |
//! | `argmax` | the tile of the claimed index, then that of the witness; none for an index outside the row |
//! | `reshape`, `permute`, `expand`, `slice`, `concat`, `pad` | the one element; none in padding |
//! | `gather_rows`, `take_along_last`, `one_hot` | the id; then the element, if the id is in range and there is one to read |
//! | `update_rows` | `at`, then the element of `rows` or of `base` |
//! | `philox_uniform` | the key, then the row's counter |
//!
//! [`Prover`] reads whole tensors and keeps what it read; [`Judge`] reads openings and checks each
//! against the root of its operand. What is malformed is an [`ElementError`] and decides nothing.
//! `Referee.sol` is the same on a chain, and is tested against this module.
//!
//! ```
//! use reproducible_ops::program::{Node, Operator, TensorType, ValueId};
//! use reproducible_ops::tensor::Tensor;
//! use verde::element::{Operation, Place};
//! use verde::tensor;
//!
//! let ty = TensorType::f32([2, 3]);
//! let x = Tensor::f32([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
//! let node = Node { operator: Operator::Sum, inputs: vec![ValueId(0)], ty: TensorType::f32([2, 1]) };
//! let sum = Operation::new(&node, &[&ty])?;
//!
//! // Somebody claims that the second row adds up to 14.
//! let (place, claimed) = (Place { element: 1, part: 0 }, 14f32.to_bits());
//! let (contradicted, openings) = sum.prove(place, claimed, &[&x])?;
//! assert!(contradicted);
//! assert!(sum.judge(place, claimed, &[tensor::root(&x)], &openings)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Operands are taken as the bits that they are: that a bool is 0 or 1 and a NaN canonical holds of
//! every tensor that an engine made, but not of every tensor that somebody commits to.

mod index;
mod reader;
#[cfg(test)]
mod tests;
mod tiles;

use reproducible_ops::program::{Digest, Node, Operator, TensorType, TypeError};
use reproducible_ops::scalar::{self, reduce};
use reproducible_ops::tensor::Tensor;
use thiserror::Error;

use crate::tensor::{Opening, OpeningError, TILE};
use reader::Reader;
pub use tiles::{Judge, Prover, Tiles};

/// Why an element can be neither computed nor contradicted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ElementError {
    /// The operator does not take operands of these types.
    #[error(transparent)]
    Operands(#[from] TypeError),
    /// An operand is larger than a tensor of a program may be.
    #[error("operand {operand}, {ty}, exceeds the limits of a program")]
    TooLarge {
        /// Its number from 0.
        operand: usize,
        /// Its type.
        ty: TensorType,
    },
    /// The node does not have the type that follows from its operator.
    #[error("a result declared {declared}, where the operator gives {inferred}")]
    Result {
        /// The type that the node declares.
        declared: TensorType,
        /// The type that its operator gives.
        inferred: TensorType,
    },
    /// The result has no such element.
    #[error("element {element} of {elements}")]
    Element {
        /// The element asked for.
        element: usize,
        /// Elements of the result.
        elements: usize,
    },
    /// The element has no such block, or the row no such witness.
    #[error("part {part}, where {parts} are")]
    Part {
        /// The part asked for.
        part: usize,
        /// How many there are.
        parts: usize,
    },
    /// The operator is not one of those whose blocks are joined, or cannot be recomputed.
    #[error("{operator} has no numbers of this kind")]
    Operator {
        /// Its name.
        operator: &'static str,
    },
    /// From 1 to 256 numbers are joined.
    #[error("{given} numbers to join, from 1 to 256 can be")]
    Numbers {
        /// Numbers given.
        given: usize,
    },
    /// There are not as many operands as the node has.
    #[error("{given} operands of a node that has {expected}")]
    Count {
        /// Operands given.
        given: usize,
        /// Operands of the node.
        expected: usize,
    },
    /// A tensor is not of its operand's type.
    #[error("operand {operand} is {given}, not {expected}")]
    Tensor {
        /// Its number from 0.
        operand: usize,
        /// The tensor's type.
        given: TensorType,
        /// The operand's type.
        expected: TensorType,
    },
    /// More or fewer tiles are read than were opened.
    #[error("{given} tiles opened, {read} read")]
    Openings {
        /// Openings given.
        given: usize,
        /// Tiles read, this one included.
        read: usize,
    },
    /// An opening does not prove the tile that is read.
    #[error("tile {tile} of operand {operand}: {source}")]
    Opening {
        /// The operand's number from 0.
        operand: usize,
        /// The tile.
        tile: usize,
        /// The reason.
        source: OpeningError,
    },
}

/// Which number of a node's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The element, in row-major order of the result.
    pub element: usize,
    /// The leaf block where the element has several; the witness for `argmax`; otherwise 0.
    pub part: usize,
}

/// What a node does, with types that fit.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    operator: &'a Operator,
    operands: Vec<&'a TensorType>,
    result: &'a TensorType,
}

impl<'a> Operation<'a> {
    /// The operation of a node whose operands have these types.
    ///
    /// # Errors
    /// The types do not fit the operator, each other or the limits of a program.
    pub fn new(node: &'a Node, operands: &[&'a TensorType]) -> Result<Self, ElementError> {
        let (given, expected) = (operands.len(), node.inputs.len());
        if given != expected {
            return Err(ElementError::Count { given, expected });
        }
        for (operand, ty) in operands.iter().enumerate() {
            if !ty.shape.is_within_limits() {
                let ty = (*ty).clone();
                return Err(ElementError::TooLarge { operand, ty });
            }
        }
        let inferred = node.operator.infer(operands)?;
        if inferred != node.ty {
            let declared = node.ty.clone();
            return Err(ElementError::Result { declared, inferred });
        }
        Ok(Self {
            operator: &node.operator,
            operands: operands.to_vec(),
            result: &node.ty,
        })
    }

    /// Types of the operands.
    pub fn operands(&self) -> &[&'a TensorType] {
        &self.operands
    }

    /// Leaf blocks of the reduction behind each element; 1 where there is none, or nothing to
    /// reduce.
    pub fn blocks(&self) -> usize {
        match chain(self.operator) {
            Some(_) => self.row().div_ceil(reduce::BLOCK).max(1),
            None => 1,
        }
    }

    /// The number that up to 256 consecutive numbers make on the level above.
    ///
    /// # Errors
    /// The operator has no blocks, or there are no numbers or too many.
    pub fn join(&self, numbers: &[u32]) -> Result<u32, ElementError> {
        let given = numbers.len();
        if !(1..=reduce::BLOCK).contains(&given) {
            return Err(ElementError::Numbers { given });
        }
        let chain = chain(self.operator).ok_or_else(|| self.refused())?;
        let numbers: Vec<f32> = numbers.iter().copied().map(f32::from_bits).collect();
        Ok(chain(&numbers).to_bits())
    }

    /// The bits at a place: of the element, or of one of its blocks where it has several.
    ///
    /// # Errors
    /// There is no such place, a tile cannot be read, or the operator is `argmax`.
    pub fn number<'t>(
        &self,
        place: Place,
        tiles: &mut impl Tiles<'t>,
    ) -> Result<u32, ElementError> {
        self.check_element(place)?;
        self.check_part(place, self.blocks())?;
        let mut reader = Reader::new(self, tiles);
        self.evaluate(place, &mut reader)
    }

    /// The bits of a whole element: every block of a long reduction is read, and the whole row of
    /// an `argmax`.
    ///
    /// # Errors
    /// There is no such element, or a tile cannot be read.
    pub fn recompute<'t>(
        &self,
        element: usize,
        tiles: &mut impl Tiles<'t>,
    ) -> Result<u32, ElementError> {
        if matches!(self.operator, Operator::Argmax) {
            return self.best(element, tiles);
        }
        let blocks = 0..self.blocks();
        let mut numbers = blocks
            .map(|part| self.number(Place { element, part }, tiles))
            .collect::<Result<Vec<_>, _>>()?;
        while numbers.len() > 1 {
            let joined = numbers.chunks(reduce::BLOCK).map(|below| self.join(below));
            numbers = joined.collect::<Result<_, _>>()?;
        }
        Ok(numbers[0])
    }

    /// The index of the element of a row that comes before all others.
    fn best<'t>(&self, row: usize, tiles: &mut impl Tiles<'t>) -> Result<u32, ElementError> {
        self.check_element(Place {
            element: row,
            part: 0,
        })?;
        let count = self.row().div_ceil(TILE);
        let mut values = Vec::new();
        for tile in row * count..(row + 1) * count {
            let words = tiles.read(0, tile)?;
            values.extend(words.iter().copied().map(f32::from_bits));
        }
        let best = reduce::argmax(&values).ok_or_else(|| self.refused())?;
        // A row has at most 2³¹ elements.
        Ok(best as u32)
    }

    /// Whether the operands give something else than the claimed bits at a place.
    ///
    /// # Errors
    /// There is no such place, or a tile cannot be read: nothing is decided.
    pub fn contradicts<'t>(
        &self,
        place: Place,
        claimed: u32,
        tiles: &mut impl Tiles<'t>,
    ) -> Result<bool, ElementError> {
        if matches!(self.operator, Operator::Argmax) {
            return self.beats(place, claimed, tiles);
        }
        Ok(self.number(place, tiles)? != claimed)
    }

    /// [`contradicts`](Self::contradicts) by whoever has the operands, with the openings that show
    /// it.
    ///
    /// # Errors
    /// There is no such place, or a tensor is not of its operand's type.
    pub fn prove(
        &self,
        place: Place,
        claimed: u32,
        operands: &[&Tensor],
    ) -> Result<(bool, Vec<Opening>), ElementError> {
        let mut prover = Prover::new(&self.operands, operands)?;
        let contradicted = self.contradicts(place, claimed, &mut prover)?;
        Ok((contradicted, prover.openings()))
    }

    /// [`contradicts`](Self::contradicts) by whoever knows only the roots of the operands.
    ///
    /// # Errors
    /// There is no such place, or the openings are not those that are read: nothing is decided.
    pub fn judge(
        &self,
        place: Place,
        claimed: u32,
        roots: &[Digest],
        openings: &[Opening],
    ) -> Result<bool, ElementError> {
        let mut judge = Judge::new(&self.operands, roots, openings)?;
        let contradicted = self.contradicts(place, claimed, &mut judge)?;
        judge.finish()?;
        Ok(contradicted)
    }

    fn evaluate<'t>(
        &self,
        place: Place,
        reader: &mut Reader<'_, impl Tiles<'t>>,
    ) -> Result<u32, ElementError> {
        use Operator::*;
        let Place { element, part } = place;
        let out = &self.result.shape;
        let source = || &self.operands[0].shape;
        match self.operator {
            Neg | Abs | Sqrt | Exp | Log | Tanh | Not | Cast(_) | Add | Sub | Mul | Div | Max
            | Min | And | Or | Compare(_) | Select => reader.elementwise(element),
            Full { bits, .. } => Ok(*bits),
            Iota { shape, axis } => Ok(index::along(shape, *axis, element) as u32),
            MatmulNt => reader.dot(element, part),
            Sum => reader.sum(element, part),
            ReduceMax => reader.max(element, part),
            Argmax => Err(self.refused()),
            Reshape(_) => reader.element(0, element),
            Permute(axes) => reader.element(0, index::permuted(source(), axes, out, element)),
            Expand(_) => reader.element(0, index::expanded(source(), out, element)),
            Slice { starts, .. } => {
                reader.element(0, index::sliced(source(), starts, out, element))
            }
            Concat { axis } => {
                let shapes = self.operands.iter().map(|ty| &ty.shape);
                let (operand, element) = index::concatenated(shapes, *axis, out, element);
                reader.element(operand, element)
            }
            Pad { before, .. } => match index::padded(source(), before, out, element) {
                Some(element) => reader.element(0, element),
                None => Ok(0),
            },
            GatherRows => reader.gather_rows(element),
            OneHot { classes } => reader.one_hot(element, *classes),
            TakeAlongLast => reader.take_along_last(element),
            UpdateRows => reader.update_rows(element),
            PhiloxUniform { lanes } => reader.philox_uniform(element, *lanes),
        }
    }

    /// Whether the witness beats the claimed index of an `argmax`.
    fn beats<'t>(
        &self,
        place: Place,
        claimed: u32,
        tiles: &mut impl Tiles<'t>,
    ) -> Result<bool, ElementError> {
        self.check_element(place)?;
        let (row, length, claimed) = (place.element, self.row(), claimed as usize);
        if claimed >= length {
            self.check_part(place, 1)?;
            return Ok(true);
        }
        self.check_part(place, length)?;
        let mut reader = Reader::new(self, tiles);
        let standing = reader.element(0, row * length + claimed)?;
        let other = reader.element(0, row * length + place.part)?;
        Ok(is_ahead((other, place.part), (standing, claimed)))
    }

    /// Length of the first operand's rows.
    fn row(&self) -> usize {
        self.operands[0].shape.last()
    }

    fn check_element(&self, place: Place) -> Result<(), ElementError> {
        let (element, elements) = (place.element, self.result.shape.elements());
        match element < elements {
            true => Ok(()),
            false => Err(ElementError::Element { element, elements }),
        }
    }

    fn check_part(&self, place: Place, parts: usize) -> Result<(), ElementError> {
        let part = place.part;
        match part < parts {
            true => Ok(()),
            false => Err(ElementError::Part { part, parts }),
        }
    }

    fn refused(&self) -> ElementError {
        let operator = self.operator.name();
        ElementError::Operator { operator }
    }
}

/// An index of a row of `argmax` that shows that it is not the claimed one; none for the right one,
/// or where the row is empty. For a claimed index outside the row it is 0.
pub fn witness(row: &[u32], claimed: u32) -> Option<usize> {
    let values: Vec<f32> = row.iter().copied().map(f32::from_bits).collect();
    let right = reduce::argmax(&values)?;
    match claimed as usize {
        claimed if claimed == right => None,
        claimed if claimed >= row.len() => Some(0),
        _ => Some(right),
    }
}

/// Whether an element, with its index, comes before another one in the order of `argmax`: the
/// largest first, NaN before everything, +0 before −0, and of equals the lower index.
fn is_ahead((bits, index): (u32, usize), (other, than): (u32, usize)) -> bool {
    let [mine, other] = [bits, other].map(|bits| scalar::canon(f32::from_bits(bits)));
    match mine.to_bits() == other.to_bits() {
        true => index < than,
        false => scalar::max(mine, other).to_bits() == mine.to_bits(),
    }
}

/// What joins the blocks of an operator's reduction; none where it has no blocks.
fn chain(operator: &Operator) -> Option<fn(&[f32]) -> f32> {
    use Operator::*;
    match operator {
        MatmulNt | Sum => Some(reduce::chain),
        ReduceMax => Some(reduce::max),
        Neg | Abs | Sqrt | Exp | Log | Tanh | Not | Cast(_) | Add | Sub | Mul | Div | Max | Min
        | And | Or | Compare(_) | Select => None,
        Full { .. } | Iota { .. } | Argmax | Reshape(_) | Permute(_) | Expand(_) => None,
        Slice { .. } | Concat { .. } | Pad { .. } | GatherRows | OneHot { .. } => None,
        TakeAlongLast | UpdateRows | PhiloxUniform { .. } => None,
    }
}
