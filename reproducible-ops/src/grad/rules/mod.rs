//! The gradient rules, one function per operator, grouped by kind.
//!
//! A rule is asked for one operand at a time, because most nodes need only one of them; what two
//! operands share becomes one node by the builder's sharing of equal nodes.

mod elementwise;
mod gather;
mod matmul;
mod movement;
mod reduce;

use crate::program::{Built, Operator, ValueId};

use super::emit::Emitter;

/// A node seen from its rule.
pub(super) struct Site<'a> {
    pub(super) operator: &'a Operator,
    /// Operand values; their forward results may be read.
    pub(super) operands: &'a [ValueId],
    /// The node's forward result.
    pub(super) output: ValueId,
    /// Gradient of the loss by the node's result, of the same shape.
    pub(super) gradient: ValueId,
}

/// The gradient of the loss by one operand of a node, or `None` if the operator has no derivative
/// by it.
pub(super) fn gradient(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Option<Built> {
    elementwise::gradient(e, site, operand)
        .or_else(|| reduce::gradient(e, site))
        .or_else(|| movement::gradient(e, site, operand))
        .or_else(|| gather::gradient(e, site, operand))
        .or_else(|| matmul::gradient(e, site, operand))
}
