//! The gradient rules, one function per operator, grouped by kind.
//!
//! A rule is asked for one operand at a time, because most nodes need only one of them; what two
//! operands share becomes one node by the builder's sharing of equal nodes.

mod elementwise;
mod gather;
mod matmul;
mod movement;
mod reduce;

use crate::program::{Built, Comparison, Operator, elementwise};

use super::emit::Emitter;
use super::site::Site;

/// The gradient of the loss by one operand of a node, or `None` if the operator has no derivative
/// by it.
pub(super) fn gradient(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Option<Built> {
    use Operator::*;
    Some(match (site.operator, operand) {
        (elementwise!(), _) => return elementwise::gradient(e, site, operand),
        (Sum, _) => reduce::sum(e, site),
        (ReduceMax, _) => reduce::reduce_max(e, site),
        (MatmulNt, 0) => matmul::left(e, site),
        (MatmulNt, _) => matmul::right(e, site),
        (Reshape(_), _) => movement::reshape(e, site),
        (Permute(axes), _) => movement::permute(e, site, axes),
        (Expand(_), _) => movement::expand(e, site),
        (Slice { starts, ends }, _) => movement::slice(e, site, starts, ends),
        (Concat { axis }, _) => movement::concat(e, site, operand, *axis),
        (Pad { before, .. }, _) => movement::pad(e, site, before),
        (GatherRows, 0) => gather::gather_rows(e, site),
        (TakeAlongLast, 0) => gather::take_along_last(e, site),
        (UpdateRows, 0) => gather::updated_base(e, site),
        (UpdateRows, 1) => gather::updated_rows(e, site),
        // Integers that say where.
        (GatherRows | TakeAlongLast | UpdateRows, _) => return None,
        // Operators without f32 operands, and one whose result is an integer.
        (Full { .. } | Iota { .. } | OneHot { .. } | PhiloxUniform { .. } | Argmax, _) => {
            return None;
        }
    })
}
