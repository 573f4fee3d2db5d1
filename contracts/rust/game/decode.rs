//! Moves as they were made on a chain, read back.
//!
//! A game's events carry every move but the last: what ends a game is not needed to go on with it. So
//! everybody who knows the job follows every game.

use alloy::primitives::{B256, U256};
use alloy::sol_types::SolValue;
use thiserror::Error;
use verde::game::{Move as Made, OperandProof as Operand};
use verde::tree::Position;

use super::types::{
    Ask, Header, Interval, Move, Numbers, OperandProof, Pick, Reveal, Run, Slot, Step, Tile, Value,
};
use reproducible_ops::program::{DType, Shape, TensorType};

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

/// The move that was made on a chain.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(made: &Move) -> Result<Made, DecodeError> {
    let data = &made.data[..];
    let failed = |cause: String| DecodeError::Data {
        kind: made.kind,
        cause,
    };
    match made.kind {
        0 => Ok(Made::Reveal(hashes(
            &read::<Reveal>(data).map_err(failed)?.nodes,
        ))),
        1 => {
            let Interval {
                before,
                beforePath,
                next,
                states,
                firstPath,
                lastPath,
            } = read(data).map_err(failed)?;
            Ok(Made::Interval {
                before: (before.0, hashes(&beforePath)),
                after: next.0,
                states: (states.0, hashes(&firstPath), hashes(&lastPath)),
            })
        }
        2 => {
            let Step {
                before,
                beforePath,
                next,
                runs,
            } = read(data).map_err(failed)?;
            Ok(Made::Step {
                before: (before.0, hashes(&beforePath)),
                after: next.0,
                runs: runs.0,
            })
        }
        3 => Ok(Made::Run {
            values: read::<Run>(data).map_err(failed)?.values.0,
        }),
        4 => Ok(Made::Value {
            tiles: read::<Value>(data).map_err(failed)?.tiles.0,
        }),
        5 => {
            let Tile { elements } = read(data).map_err(failed)?;
            Ok(Made::Tile(
                words(&elements, u32::from_le_bytes).map_err(failed)?,
            ))
        }
        6 => Ok(Made::State {
            tensors: read::<B256>(data).map_err(failed)?.0,
        }),
        7 => Ok(Made::Slot {
            root: read::<Slot>(data).map_err(failed)?.root.0,
        }),
        8 => {
            let Numbers { numbers } = read(data).map_err(failed)?;
            Ok(Made::Numbers(
                words(&numbers, u32::from_be_bytes).map_err(failed)?,
            ))
        }
        9 => {
            let Pick {
                height,
                index,
                node,
                siblings,
            } = read(data).map_err(failed)?;
            Ok(Made::Pick {
                at: Position {
                    height: small(height).map_err(failed)?,
                    index: small(index).map_err(failed)?,
                },
                node: node.0,
                siblings: hashes(&siblings),
            })
        }
        10 => Ok(Made::ContestNext),
        13 => {
            let Ask { offset, operands } = read(data).map_err(failed)?;
            let operands = operands.iter().map(operand).collect::<Result<_, _>>();
            Ok(Made::Ask {
                offset: small(offset).map_err(failed)?,
                operands: operands.map_err(failed)?,
            })
        }
        14 => {
            let offset = read::<U256>(data).map_err(failed)?;
            Ok(Made::PickNumber(small(offset).map_err(failed)?))
        }
        kind => Err(DecodeError::Kind(kind)),
    }
}

fn read<T: SolValue + From<<T::SolType as alloy::sol_types::SolType>::RustType>>(
    data: &[u8],
) -> Result<T, String> {
    T::abi_decode(data).map_err(|error| error.to_string())
}

fn hashes(hashes: &[B256]) -> Vec<[u8; 32]> {
    hashes.iter().map(|hash| hash.0).collect()
}

fn words(bytes: &[u8], word: fn([u8; 4]) -> u32) -> Result<Vec<u32>, String> {
    match bytes.as_chunks() {
        (words, []) => Ok(words.iter().copied().map(word).collect()),
        _ => Err(format!("{} bytes are no words of four", bytes.len())),
    }
}

fn small(number: U256) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("{number} is no number of this game"))
}

fn operand(proof: &OperandProof) -> Result<Operand, String> {
    let Header { dtype, shape } = &proof.header;
    let known = [DType::F32, DType::I32, DType::Bool];
    let found = known.into_iter().find(|known| known.tag() == *dtype);
    let dtype = found.ok_or_else(|| format!("{dtype} is no type of elements"))?;
    let lengths: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
    Ok(Operand {
        ty: TensorType::new(dtype, Shape::new(lengths)),
        tiles: proof.tiles.0,
        siblings: hashes(&proof.siblings),
    })
}
