//! What a gradient rule is told.

use crate::program::{Operator, ValueId};

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
