//! Rules of the reductions over the last axis.

use crate::program::{Built, Comparison, Operator};

use super::{Emitter, Site};

/// `d` repeated along the axis.
pub(super) fn sum(e: &mut Emitter, site: &Site<'_>) -> Built {
    let shape = e.shape_of(site.operands[0]);
    e.expand(site.gradient, shape)
}

/// `d` at the first largest element, 0 elsewhere.
pub(super) fn reduce_max(e: &mut Emitter, site: &Site<'_>) -> Built {
    let shape = e.shape_of(site.operands[0]);
    if shape.last() == 0 {
        return e.full(0.0, shape);
    }
    let winner = e.push(Operator::Argmax, &[site.operands[0]])?;
    let winner = e.expand(winner, shape.clone())?;
    let index = e.indices(shape.rank() - 1, &shape)?;
    let here = e.push(Operator::Compare(Comparison::Equal), &[index, winner])?;
    let repeated = e.expand(site.gradient, shape)?;
    e.keep_where(here, repeated)
}
