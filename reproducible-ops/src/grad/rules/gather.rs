//! Rules of the operators that address elements by integer values.

use crate::program::{Built, Comparison, DType, Operator, Shape, ValueId};

use super::{Emitter, Site};

/// `onehot(ids)ᵀ · d`: row r of the table receives the sum of the gradients of its readers, in
/// their order.
pub(super) fn gather_rows(e: &mut Emitter, site: &Site<'_>) -> Built {
    let [table, ids] = [site.operands[0], site.operands[1]];
    let (classes, width) = (e.shape_of(table).rows(), e.shape_of(table).last());
    let count = e.shape_of(ids).elements();
    let ids = e.reshape(ids, [count])?;
    let onehot = e.push(Operator::OneHot { classes }, &[ids])?;
    let onehot = e.transpose(onehot)?;
    let d = e.reshape(site.gradient, [count, width])?;
    let d = e.transpose(d)?;
    e.push(Operator::MatmulNt, &[onehot, d])
}

/// At each place the sum of `d` over the picks that chose it, one reduction tree over the picks. A
/// selection and not a product with a one-hot matrix, so that an infinite `d` stays where it
/// belongs.
pub(super) fn take_along_last(e: &mut Emitter, site: &Site<'_>) -> Built {
    let source = e.shape_of(site.operands[0]);
    let (rows, classes) = (source.rows(), source.last());
    let picks = e.shape_of(site.operands[1]).last();
    let cube = Shape::new([rows, classes, picks]);
    let ids = repeated(e, site.operands[1], [rows, 1, picks], &cube)?;
    let d = repeated(e, site.gradient, [rows, 1, picks], &cube)?;
    let index = e.indices(1, &cube)?;
    let chosen = e.push(Operator::Compare(Comparison::Equal), &[index, ids])?;
    let placed = e.keep_where(chosen, d)?;
    let total = if picks == 1 {
        placed
    } else {
        e.push(Operator::Sum, &[placed])?
    };
    e.reshape(total, source)
}

fn repeated(e: &mut Emitter, x: ValueId, shape: [usize; 3], to: &Shape) -> Built {
    let x = e.reshape(x, shape)?;
    e.expand(x, to.clone())
}

/// `d` with zeros in the rows that were overwritten.
pub(super) fn updated_base(e: &mut Emitter, site: &Site<'_>) -> Built {
    let zeros = e.zeros_like(site.operands[1])?;
    e.push(
        Operator::UpdateRows,
        &[site.gradient, zeros, site.operands[2]],
    )
}

/// The rows of `d` that were written, zeros for those that fell outside: a gather from `d` as a
/// table of all batches' rows, whose ids are −1 outside the batch's own range.
pub(super) fn updated_rows(e: &mut Emitter, site: &Site<'_>) -> Built {
    let (base, rows) = (e.shape_of(site.operands[0]), e.shape_of(site.operands[1]));
    let (height, width) = (last_but_one(&base), base.last());
    let places = Shape::new([
        rows.rows() / last_but_one(&rows).max(1),
        last_but_one(&rows),
    ]);
    let place = target_rows(e, site.operands[2], &places)?;
    let ids = ids_in_table(e, place, height, &places)?;
    let table = e.reshape(site.gradient, [base.rows(), width])?;
    let gathered = e.push(Operator::GatherRows, &[table, ids])?;
    e.reshape(gathered, rows)
}

fn last_but_one(shape: &Shape) -> usize {
    shape.dims()[shape.rank() - 2]
}

/// `at + i` for every batch and row. A sum beyond i32 wraps to a negative number, which is as far
/// outside.
fn target_rows(e: &mut Emitter, at: ValueId, places: &Shape) -> Built {
    let start = e.reshape(at, [places.rows(), 1])?;
    let start = e.expand(start, places.clone())?;
    let offset = e.indices(1, places)?;
    e.push(Operator::Add, &[start, offset])
}

/// `batch · height + place` where `0 ≤ place < height`, else −1.
fn ids_in_table(e: &mut Emitter, place: ValueId, height: usize, places: &Shape) -> Built {
    let [zero, end, outside] = [0, height as i32, -1].map(|value| integer(e, value, places));
    let (end, outside) = (end?, outside?);
    let above = e.push(Operator::Compare(Comparison::LessEqual), &[zero?, place])?;
    let below = e.push(Operator::Compare(Comparison::Less), &[place, end])?;
    let inside = e.push(Operator::And, &[above, below])?;
    let batch = e.indices(0, places)?;
    let first = e.push(Operator::Mul, &[batch, end])?;
    let id = e.push(Operator::Add, &[first, place])?;
    e.push(Operator::Select, &[inside, id, outside])
}

fn integer(e: &mut Emitter, value: i32, shape: &Shape) -> Built {
    e.push(
        Operator::Full {
            dtype: DType::I32,
            bits: value as u32,
            shape: shape.clone(),
        },
        &[],
    )
}
