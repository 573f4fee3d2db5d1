//! Moves as they were made on a chain, read back.
//!
//! A game's events carry every move but the last: what ends a game is not needed to go on with it.
//! So everybody who knows the job follows every game. Parts of the plan and of programs are not in
//! an event, for who knows the job has them: `Moves.said`.

use reproducible_ops::program::{DType, Shape, TensorType};
use thiserror::Error;
use verde::game::{Move as Made, OperandProof as Operand};
use verde::tree::Position;

use super::types::Move;

/// Why data are no move that a game goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The data are not those of a move of this kind.
    #[error("a move of kind {kind}: {cause}")]
    Data {
        /// The kind.
        kind: u8,
        /// What is wrong.
        cause: String,
    },
    /// A move that ends a game, or none.
    #[error("a move of kind {0} does not lead on")]
    Kind(u8),
}

/// The move that was made on a chain, as an event tells it.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(made: &Move) -> Result<Made, DecodeError> {
    let mut data = Reader(&made.data);
    let (kind, read) = (made.kind, read(made.kind, &mut data));
    let read = read.and_then(|found| match data.0.len() {
        0 => Ok(found),
        left => Err(format!("{left} bytes are left over")),
    });
    match read {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(DecodeError::Kind(kind)),
        Err(cause) => Err(DecodeError::Data { kind, cause }),
    }
}

/// A move of this kind; none of one that ends a game.
fn read(kind: u8, data: &mut Reader<'_>) -> Result<Option<Made>, String> {
    let made = match kind {
        0 => Made::Reveal(data.rest()?),
        1 => {
            let [before, after, states] = [data.hash()?, data.hash()?, data.hash()?];
            let [of_before, of_first] = [data.number(1)?, data.number(1)?];
            Made::Interval {
                before: (before, data.hashes(of_before)?),
                after,
                states: (states, data.hashes(of_first)?, data.rest()?),
            }
        }
        2 => {
            let [before, after, runs] = [data.hash()?, data.hash()?, data.hash()?];
            let before = (before, data.rest()?);
            Made::Step {
                before,
                after,
                runs,
            }
        }
        3 => Made::Run {
            values: data.hash()?,
        },
        4 => Made::Value {
            tiles: data.hash()?,
        },
        5 => Made::Tile(data.words(u32::from_le_bytes)?),
        6 => Made::State {
            tensors: data.hash()?,
        },
        7 => Made::Slot { root: data.hash()? },
        8 => Made::Numbers(data.words(u32::from_be_bytes)?),
        9 => Made::Pick {
            at: Position {
                height: data.number(1)?,
                index: data.number(8)?,
            },
            node: data.hash()?,
            siblings: data.rest()?,
        },
        10 => Made::ContestNext,
        13 => {
            let offset = data.number(4)?;
            let mut operands = Vec::new();
            while !data.0.is_empty() {
                operands.push(data.operand()?);
            }
            Made::Ask { offset, operands }
        }
        14 => Made::PickNumber(data.number(4)?),
        _ => {
            data.0 = &[];
            return Ok(None);
        }
    };
    Ok(Some(made))
}

/// What is left of a move's data.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let left = self.0.len();
        let split = self.0.split_at_checked(count);
        let (taken, rest) =
            split.ok_or_else(|| format!("{count} bytes are expected, and {left} are left"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of so many bytes, at most eight.
    fn number(&mut self, size: usize) -> Result<usize, String> {
        let bytes = self.take(size)?.iter();
        let number = bytes.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        usize::try_from(number).map_err(|_| format!("{number} is no number of this game"))
    }

    fn hash(&mut self) -> Result<[u8; 32], String> {
        Ok(self.hashes(1)?[0])
    }

    fn hashes(&mut self, count: usize) -> Result<Vec<[u8; 32]>, String> {
        let (hashes, _) = self.take(32 * count)?.as_chunks();
        Ok(hashes.to_vec())
    }

    /// All hashes that are left.
    fn rest(&mut self) -> Result<Vec<[u8; 32]>, String> {
        self.hashes(self.0.len() / 32)
    }

    /// All words that are left.
    fn words(&mut self, word: fn([u8; 4]) -> u32) -> Result<Vec<u32>, String> {
        let (words, _) = self.take(self.0.len() / 4 * 4)?.as_chunks();
        Ok(words.iter().copied().map(word).collect())
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let (tag, rank) = (self.number(1)?, self.number(1)?);
        let known = [DType::F32, DType::I32, DType::Bool];
        let found = known
            .into_iter()
            .find(|known| usize::from(known.tag()) == tag);
        let dtype = found.ok_or_else(|| format!("{tag} is no type of elements"))?;
        let lengths = (0..rank).map(|_| self.number(4));
        let shape = Shape::new(lengths.collect::<Result<Vec<_>, _>>()?);
        let (tiles, count) = (self.hash()?, self.number(1)?);
        Ok(Operand {
            ty: TensorType::new(dtype, shape),
            tiles,
            siblings: self.hashes(count)?,
        })
    }
}
