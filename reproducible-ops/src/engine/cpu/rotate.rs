//! Rotary embeddings: the patterns of operators that turn the two halves of each row, found in a
//! program before it is planned.
//!
//! ```text
//! forward    concat(neg(x[h..]), x[..h])                              (lo, hi) ↦ (−hi, lo)
//! gradient   pad(y[h..], behind) + pad(neg(y[..h]), before)           (lo, hi) ↦ (hi + 0, 0 − lo)
//! ```
//! Each becomes one instruction of a row kernel, with the scalar operations of the pattern in their
//! order (the gradient's additions of +0 too: they turn −0 into +0), so that neither halves nor
//! padded halves are stored.

use std::collections::HashMap;

use crate::program::{Operator, Program, ValueId};
use crate::scalar;

/// Which of the two patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    Forward,
    Gradient,
}

impl Rotation {
    /// Turns one row: `target` and `row` have the same even length.
    #[inline(always)]
    pub fn turn(self, target: &mut [u32], row: &[u32]) {
        let half = row.len() / 2;
        let (low, high) = row.split_at(half);
        let (to_low, to_high) = target.split_at_mut(half);
        match self {
            Self::Forward => {
                for (to, &x) in to_low.iter_mut().zip(high) {
                    *to = scalar::neg(f32::from_bits(x)).to_bits();
                }
                to_high.copy_from_slice(low);
            }
            Self::Gradient => {
                for (to, &x) in to_low.iter_mut().zip(high) {
                    *to = scalar::add(f32::from_bits(x), 0.0).to_bits();
                }
                for (to, &x) in to_high.iter_mut().zip(low) {
                    *to = scalar::add(0.0, scalar::neg(f32::from_bits(x))).to_bits();
                }
            }
        }
    }
}

/// The rotations of a program, by the value that a pattern ends in, with what is rotated.
pub(super) fn rotations(program: &Program) -> HashMap<ValueId, (Rotation, ValueId)> {
    let ids = (0..program.nodes().len()).map(|index| program.id_of_node(index));
    let find = |id| Some((id, rotation(program, id)?));
    ids.filter_map(find).collect()
}

fn rotation(program: &Program, id: ValueId) -> Option<(Rotation, ValueId)> {
    let node = program.node_of(id)?;
    let &[first, second] = node.inputs.as_slice() else {
        return None;
    };
    match &node.operator {
        Operator::Concat { axis } if axis + 1 == node.ty.shape.rank() => {
            let (x, high) = half(program, operand(program, first, &Operator::Neg)?)?;
            let (same, low) = half(program, second)?;
            (high && !low && x == same).then_some((Rotation::Forward, x))
        }
        Operator::Add => gradient(program, first, second)
            .or_else(|| gradient(program, second, first))
            .map(|y| (Rotation::Gradient, y)),
        _ => None,
    }
}

/// What is rotated, if `low` is its upper half padded behind and `high` its negated lower half
/// padded before.
fn gradient(program: &Program, low: ValueId, high: ValueId) -> Option<ValueId> {
    let (kept, is_behind) = padded_half(program, low)?;
    let (negated, is_behind_too) = padded_half(program, high)?;
    let (y, upper) = half(program, kept)?;
    let (same, also_upper) = half(program, operand(program, negated, &Operator::Neg)?)?;
    (is_behind && !is_behind_too && upper && !also_upper && y == same).then_some(y)
}

/// The operand of a node with this operator.
fn operand(program: &Program, id: ValueId, operator: &Operator) -> Option<ValueId> {
    let node = program.node_of(id)?;
    (node.operator == *operator).then(|| node.inputs.first().copied())?
}

/// The value of whose rows this is a half, and whether it is the upper one.
fn half(program: &Program, id: ValueId) -> Option<(ValueId, bool)> {
    let node = program.node_of(id)?;
    let Operator::Slice { starts, ends } = &node.operator else {
        return None;
    };
    let x = *node.inputs.first()?;
    let dims = program.type_of(x)?.shape.dims();
    let (&width, outer) = dims.split_last()?;
    let (start, outer_starts) = starts.split_last()?;
    let (end, outer_ends) = ends.split_last()?;
    let is_whole = outer_starts.iter().all(|&start| start == 0) && outer_ends == outer;
    if !is_whole || width % 2 != 0 || width == 0 {
        return None;
    }
    match (*start, *end) {
        (0, end) if end == width / 2 => Some((x, false)),
        (start, end) if start == width / 2 && end == width => Some((x, true)),
        _ => None,
    }
}

/// What is padded along the last axis to twice its width, and whether the zeros lie behind it.
fn padded_half(program: &Program, id: ValueId) -> Option<(ValueId, bool)> {
    let node = program.node_of(id)?;
    let Operator::Pad { before, after } = &node.operator else {
        return None;
    };
    let x = *node.inputs.first()?;
    let width = program.type_of(x)?.shape.last();
    let (ahead, outer_before) = before.split_last()?;
    let (behind, outer_after) = after.split_last()?;
    let is_along_rows = outer_before
        .iter()
        .chain(outer_after)
        .all(|&zeros| zeros == 0);
    match (*ahead, *behind) {
        _ if !is_along_rows => None,
        (0, zeros) if zeros == width => Some((x, true)),
        (zeros, 0) if zeros == width => Some((x, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::super::step::Step;
    use super::super::tests::{assert_equal, random_tensor};
    use super::*;
    use crate::program::{Builder, Role, TensorType};
    use crate::random::Stream;

    const DIMS: [usize; 4] = [2, 3, 5, 8];

    fn slice(b: &mut Builder, x: ValueId, from: usize, to: usize) -> ValueId {
        let (starts, ends) = (vec![0, 0, 0, from], vec![2, 3, 5, to]);
        b.push(Operator::Slice { starts, ends }, &[x]).unwrap()
    }

    fn pad(b: &mut Builder, x: ValueId, ahead: usize, behind: usize) -> ValueId {
        let (before, after) = (vec![0, 0, 0, ahead], vec![0, 0, 0, behind]);
        b.push(Operator::Pad { before, after }, &[x]).unwrap()
    }

    /// Both patterns, `x` rotated forward and `y` by the gradient; `at` is where halves meet.
    fn program(at: usize) -> Program {
        let mut b = Builder::new();
        let x = b.input("x", TensorType::f32(DIMS), Role::Data);
        let y = b.input("y", TensorType::f32(DIMS), Role::Data);
        let y = b.mul(y, x).unwrap();
        let (low, high) = (slice(&mut b, x, 0, at), slice(&mut b, x, at, 8));
        let high = b.neg(high).unwrap();
        let forward = b.push(Operator::Concat { axis: 3 }, &[high, low]).unwrap();
        let forward = b.add(forward, x).unwrap();
        b.output("forward", forward);
        let (low, high) = (slice(&mut b, y, 0, at), slice(&mut b, y, at, 8));
        let low = b.neg(low).unwrap();
        let (low, high) = (pad(&mut b, low, 8 - at, 0), pad(&mut b, high, 0, at));
        let gradient = b.add(high, low).unwrap();
        let gradient = b.mul(gradient, x).unwrap();
        b.output("gradient", gradient);
        b.finish()
    }

    #[test]
    fn both_patterns_are_found_and_nothing_is_pasted() {
        let program = program(4);
        let found = rotations(&program);
        let count = |wanted| {
            found
                .values()
                .filter(|(rotation, _)| *rotation == wanted)
                .count()
        };
        assert_eq!(
            (count(Rotation::Forward), count(Rotation::Gradient)),
            (1, 1)
        );
        let plan = Plan::new(&program);
        assert!(
            plan.steps.iter().all(|step| matches!(step, Step::Rows(_))),
            "{:?}",
            plan.steps
        );
    }

    #[test]
    fn halves_of_other_sizes_are_no_rotation() {
        assert!(rotations(&program(3)).is_empty());
    }

    #[test]
    fn zeros_have_the_signs_of_the_patterns() {
        let row = [-0.0f32, 1.0, -0.0, 2.0].map(f32::to_bits);
        let turned = |rotation: Rotation| {
            let mut target = [7; 4];
            rotation.turn(&mut target, &row);
            target
        };
        let bits = |row: [f32; 4]| row.map(f32::to_bits);
        assert_eq!(turned(Rotation::Forward), bits([0.0, -2.0, -0.0, 1.0]));
        assert_eq!(turned(Rotation::Gradient), bits([0.0, 2.0, 0.0, -1.0]));
    }

    #[test]
    fn rotations_have_the_bits_of_their_patterns() {
        for at in [3, 4] {
            let program = program(at);
            let mut stream = Stream::from_seed("rotate", at as u64);
            let inputs: Vec<_> = program
                .inputs()
                .iter()
                .map(|input| random_tensor(&mut stream, &input.ty))
                .collect();
            assert_equal(&program, &inputs, 1);
        }
    }
}
