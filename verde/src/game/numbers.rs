//! The numbers that an element of a long reduction is made of.
//!
//! ```text
//! level 2   the element
//! level 1   one number for each 256 of level 0       each joins up to FAN below it
//! level 0   one number for each leaf block
//! ```

use reproducible_ops::scalar::reduce::BLOCK;
use reproducible_ops::tensor::Tensor;

use crate::element::{ElementError, Operation, Place, Prover};

/// Numbers that make one of the level above.
pub const FAN: usize = BLOCK;

/// Levels of the element above its leaf blocks.
pub fn levels(blocks: usize) -> usize {
    let mut levels = 0;
    while count(blocks, levels) > 1 {
        levels += 1;
    }
    levels
}

/// Numbers of a level of an element of so many leaf blocks.
pub fn count(blocks: usize, level: usize) -> usize {
    (0..level).fold(blocks, |count, _| count.div_ceil(FAN))
}

/// The numbers of `level` that number `index` of the level above is made of.
///
/// # Errors
/// The operands are not those of the operation, or the element has no such numbers.
pub fn numbers(
    operation: &Operation<'_>,
    operands: &[&Tensor],
    element: usize,
    level: usize,
    index: usize,
) -> Result<Vec<u32>, ElementError> {
    let first = index * FAN;
    let end = count(operation.blocks(), level).min(first + FAN);
    (first..end)
        .map(|number| one(operation, operands, element, level, number))
        .collect()
}

fn one(
    operation: &Operation<'_>,
    operands: &[&Tensor],
    element: usize,
    level: usize,
    index: usize,
) -> Result<u32, ElementError> {
    match level.checked_sub(1) {
        None => {
            let part = index;
            let mut tiles = Prover::new(operation.operands(), operands)?;
            operation.number(Place { element, part }, &mut tiles)
        }
        Some(below) => operation.join(&numbers(operation, operands, element, below, index)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_a_tree_of_256() {
        let of = |blocks| (levels(blocks), count(blocks, 1));
        assert_eq!(
            [1, 2, 256, 257, 65_536, 65_537].map(of),
            [(0, 1), (1, 1), (1, 1), (2, 2), (2, 256), (3, 257)]
        );
    }
}
