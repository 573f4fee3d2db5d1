//! Which element of an operand an element of a result is, for the operators that move elements.
//!
//! Elements are counted in row-major order. Every function takes an element of the result that
//! there is, and shapes that fit their operator.

use reproducible_ops::program::Shape;

/// The coordinate of an element along an axis.
pub(super) fn along(shape: &Shape, axis: usize, element: usize) -> usize {
    let inner: usize = shape.dims()[axis + 1..].iter().product();
    element / inner % shape.dims()[axis]
}

/// The element of `source` with the coordinates that `pick` makes, axis by axis, of those in `out`.
fn gathered(source: &Shape, pick: impl Fn(usize) -> usize) -> usize {
    let dims = source.dims().iter().enumerate();
    dims.fold(0, |index, (axis, length)| index * length + pick(axis))
}

/// The operand's element at the same coordinates in another order: axis `i` of the result is axis
/// `axes[i]` of the operand.
pub(super) fn permuted(source: &Shape, axes: &[usize], out: &Shape, element: usize) -> usize {
    let strides = source.strides();
    let places = axes.iter().enumerate();
    places
        .map(|(axis, &from)| along(out, axis, element) * strides[from])
        .sum()
}

/// The operand's element that is repeated: axes of length 1 have one coordinate.
pub(super) fn expanded(source: &Shape, out: &Shape, element: usize) -> usize {
    gathered(source, |axis| match source.dims()[axis] {
        1 => 0,
        _ => along(out, axis, element),
    })
}

/// The operand's element behind the first ones of each axis that are left out.
pub(super) fn sliced(source: &Shape, starts: &[usize], out: &Shape, element: usize) -> usize {
    gathered(source, |axis| starts[axis] + along(out, axis, element))
}

/// The operand's element, or none in the padding.
pub(super) fn padded(
    source: &Shape,
    before: &[usize],
    out: &Shape,
    element: usize,
) -> Option<usize> {
    let dims = source.dims().iter().zip(before).enumerate();
    let mut index = 0;
    for (axis, (&length, &skipped)) in dims {
        let coordinate = along(out, axis, element).checked_sub(skipped)?;
        if coordinate >= length {
            return None;
        }
        index = index * length + coordinate;
    }
    Some(index)
}

/// The operand that the element comes from, and its element there.
#[expect(clippy::expect_used, reason = "the operation's types were inferred")]
pub(super) fn concatenated<'a>(
    operands: impl Iterator<Item = &'a Shape>,
    axis: usize,
    out: &Shape,
    element: usize,
) -> (usize, usize) {
    let mut coordinate = along(out, axis, element);
    let mut operands = operands.enumerate();
    let (operand, shape) = operands
        .find(|(_, shape)| {
            let length = shape.dims()[axis];
            let here = coordinate < length;
            coordinate -= if here { 0 } else { length };
            here
        })
        .expect("invariant: inference adds the lengths of the operands up");
    let place = |other| match other == axis {
        true => coordinate,
        false => along(out, other, element),
    };
    (operand, gathered(shape, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_those_of_row_major_order() {
        let shape = Shape::new([3, 4, 5]);
        assert_eq!([0, 1, 2].map(|axis| along(&shape, axis, 33)), [1, 2, 3]);
        assert_eq!(permuted(&shape, &[2, 0, 1], &Shape::new([5, 3, 4]), 42), 33);
        assert_eq!(sliced(&shape, &[1, 0, 2], &Shape::new([2, 4, 3]), 0), 22);
    }
}
