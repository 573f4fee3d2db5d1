//! Rules of the operators that only move or repeat elements.

use crate::program::{Built, Operator, Shape, ValueId};

use super::{Emitter, Site};

pub(super) fn reshape(e: &mut Emitter, site: &Site<'_>) -> Built {
    let shape = e.shape_of(site.operands[0]);
    e.reshape(site.gradient, shape)
}

/// The inverse permutation.
pub(super) fn permute(e: &mut Emitter, site: &Site<'_>, axes: &[usize]) -> Built {
    let mut inverse = vec![0; axes.len()];
    axes.iter()
        .enumerate()
        .for_each(|(to, &from)| inverse[from] = to);
    e.permute(site.gradient, &inverse)
}

/// The sum over the axes that were repeated: see [`sum_repeated`].
pub(super) fn expand(e: &mut Emitter, site: &Site<'_>) -> Built {
    let source = e.shape_of(site.operands[0]);
    sum_repeated(e, site.gradient, &source)
}

/// Zeros around `d`.
pub(super) fn slice(e: &mut Emitter, site: &Site<'_>, starts: &[usize], ends: &[usize]) -> Built {
    let dims = e.dims(site.operands[0]);
    let after = dims.iter().zip(ends).map(|(dim, end)| dim - end).collect();
    e.push(
        Operator::Pad {
            before: starts.to_vec(),
            after,
        },
        &[site.gradient],
    )
}

/// The operand's part of `d`.
pub(super) fn concat(e: &mut Emitter, site: &Site<'_>, operand: usize, axis: usize) -> Built {
    let start: usize = site.operands[..operand]
        .iter()
        .map(|&id| e.dims(id)[axis])
        .sum();
    let mut starts = vec![0; e.dims(site.gradient).len()];
    starts[axis] = start;
    cut(e, site.gradient, starts, site.operands[operand])
}

/// The inner part of `d`.
pub(super) fn pad(e: &mut Emitter, site: &Site<'_>, before: &[usize]) -> Built {
    cut(e, site.gradient, before.to_vec(), site.operands[0])
}

/// The block of `x` at `starts` with the shape of `like`.
fn cut(e: &mut Emitter, x: ValueId, starts: Vec<usize>, like: ValueId) -> Built {
    let ends = starts
        .iter()
        .zip(e.dims(like))
        .map(|(start, dim)| start + dim)
        .collect();
    e.push(Operator::Slice { starts, ends }, &[x])
}

/// Sums `x` over the axes that are 1 in `source` and longer in `x`, as **one** reduction tree over
/// those axes flattened in row-major order.
///
/// Axes of length 1 are dropped and neighbours of the same kind merged first, so that the common
/// cases reach an engine in their simplest form: a bias gradient is the sum over the first axis of
/// a matrix, `reshape [N, C] → permute [C, N] → sum → reshape`, and a repeated trailing axis needs
/// no permutation at all.
fn sum_repeated(e: &mut Emitter, x: ValueId, source: &Shape) -> Built {
    let runs = runs(&e.dims(x), source.dims());
    let merged: Vec<usize> = runs.iter().map(|run| run.length).collect();
    let kept = || (0..runs.len()).filter(|&axis| !runs[axis].summed);
    let summed = || (0..runs.len()).filter(|&axis| runs[axis].summed);
    let axes: Vec<usize> = kept().chain(summed()).collect();
    let product =
        |of: &mut dyn Iterator<Item = usize>| of.map(|axis| merged[axis]).product::<usize>();
    let matrix = [product(&mut kept()), product(&mut summed())];

    let x = e.reshape(x, merged.clone())?;
    let x = e.permute(x, &axes)?;
    let x = e.reshape(x, matrix)?;
    let x = e.push(Operator::Sum, &[x])?;
    e.reshape(x, source.clone())
}

/// Neighbouring axes that are all summed or all kept, as one axis.
struct Run {
    length: usize,
    summed: bool,
}

fn runs(dims: &[usize], source: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (&length, &from) in dims.iter().zip(source) {
        let summed = length != from;
        match runs.last_mut() {
            _ if length == 1 => {}
            Some(run) if run.summed == summed => run.length *= length,
            _ => runs.push(Run { length, summed }),
        }
    }
    runs
}
