//! Reverse-mode differentiation: a program is extended by the nodes that compute gradients of one
//! of its values.
//!
//! ```text
//! inputs ─▶ original nodes ─▶ loss            ids unchanged
//!                │                │
//!                └──▶ appended ◀──┘           one rule per operator, consumers in descending id order
//!                      nodes ─▶ gradients
//! ```
//!
//! Because the result is a program like any other, the backward pass has the same reproducible
//! bits, digest and traces as the forward pass. The rules live in `rules`, one small function per
//! operator, and read forward values instead of recomputing them. They emit through a simplifying
//! builder, which folds constants, cancels transposes and merges chains of the same movement where
//! no bit of the result depends on it.
//!
//! Conventions, all part of what a program's digest commits to:
//! * **Order.** The contributions to a value that several nodes use are added in ascending order of
//!   the consumer's id, and of the operand's position within one consumer: `((c₁ + c₂) + c₃) + …`.
//! * **Subgradients.** `max`, `min` give the whole gradient to the first operand at ties;
//!   `reduce_max` gives it to the first largest element; `abs` gives 0 at 0.
//! * **No gradient** flows through integers, bools, comparisons, `argmax`, `one_hot`, the condition
//!   of `select` or random numbers: their derivative is zero almost everywhere.
//! * **Reductions.** A sum over several axes is one reduction tree over those axes, flattened in
//!   row-major order.
//! * **Patterns.** Softmax and sigmoid are differentiated as functions of their argument
//!   ([`gradients`] recognises the nodes that [`crate::program::Builder`] emits), and a maximum
//!   that is subtracted inside a normalised exponential gets no gradient, because the result does
//!   not depend on it. Both are exact identities that save passes over memory.
//!
//! Limits: one scalar loss, first derivatives by construction (though the result can be
//! differentiated again).

mod composite;
mod emit;
#[cfg(test)]
pub(crate) mod oracle;
mod rules;
mod site;
#[cfg(test)]
mod tests;

use crate::program::{Builder, DType, DecodeError, Program, TensorType, TypeError, ValueId};

use emit::Emitter;
use site::Site;

/// Why a program cannot be differentiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GradError {
    /// The loss or a value to differentiate by does not exist.
    #[error("value {value} does not exist; the program has {count} values")]
    NoSuchValue {
        /// The id given.
        value: u32,
        /// Values in the program.
        count: usize,
    },
    /// The loss is not a single f32.
    #[error("the loss is {found}; reduce it to a single f32 first")]
    Loss {
        /// Its type.
        found: TensorType,
    },
    /// A value to differentiate by is not f32.
    #[error("value {value} is {found}; only f32 values have gradients")]
    NotFloat {
        /// The id given.
        value: u32,
        /// Its type.
        found: TensorType,
    },
    /// Every gradient would be zero.
    #[error("the loss depends on none of the {count} values it should be differentiated by")]
    Independent {
        /// How many values were given.
        count: usize,
    },
    /// An operator on the way from a value to the loss has no gradient rule.
    #[error(
        "node {node} ({operator}) lies between a parameter and the loss, but has no gradient rule"
    )]
    NoRule {
        /// Node number from 0.
        node: usize,
        /// Operator name.
        operator: &'static str,
    },
    /// The nodes that a rule appends are not possible, usually because a tensor would be too large.
    #[error("gradient of node {node} ({operator}): {source}")]
    Node {
        /// Node number from 0.
        node: usize,
        /// Operator name.
        operator: &'static str,
        /// What the appended node violates.
        source: TypeError,
    },
    /// The extended program breaks a rule, usually the limit on the number of values.
    #[error("the program with gradients is not valid: {0}")]
    Invalid(#[from] DecodeError),
}

/// Appends the gradients of `loss` by each of `wrt`, and returns the extended program with their
/// ids in the order of `wrt`. Every id of `program` means the same value in the result. A gradient
/// has the shape of its value; one that the loss does not depend on is a constant zero.
///
/// `wrt` may name inputs and intermediate values. To hold a value constant, differentiate with an
/// input in its place and bind the input afterwards ([`Program::bind`]).
///
/// # Errors
/// The loss is not a single f32, a value is not f32, the loss depends on none of them, or a
/// gradient cannot be expressed; see [`GradError`].
pub fn gradients(
    program: &Program,
    loss: ValueId,
    wrt: &[ValueId],
) -> Result<(Program, Vec<ValueId>), GradError> {
    check_request(program, loss, wrt)?;
    let mut backward = Backward::new(program, loss, wrt);
    if !backward.active[loss.index()] {
        return Err(GradError::Independent { count: wrt.len() });
    }
    backward.run(loss)?;
    let found = wrt
        .iter()
        .map(|&id| backward.gradient_of(id))
        .collect::<Result<Vec<_>, _>>()?;
    let (extended, found) = backward
        .emitter
        .finish()
        .without_dead_nodes(program.value_count(), &found);
    extended.validate()?;
    Ok((extended, found))
}

fn check_request(program: &Program, loss: ValueId, wrt: &[ValueId]) -> Result<(), GradError> {
    let missing = |id: ValueId| GradError::NoSuchValue {
        value: id.0,
        count: program.value_count(),
    };
    let ty = program.type_of(loss).ok_or_else(|| missing(loss))?;
    if ty.dtype != DType::F32 || ty.shape.elements() != 1 {
        return Err(GradError::Loss { found: ty.clone() });
    }
    for &id in wrt {
        let ty = program.type_of(id).ok_or_else(|| missing(id))?;
        if ty.dtype != DType::F32 {
            return Err(GradError::NotFloat {
                value: id.0,
                found: ty.clone(),
            });
        }
    }
    Ok(())
}

/// The walk from the loss back to the values it is differentiated by.
struct Backward<'a> {
    program: &'a Program,
    emitter: Emitter,
    /// Per value: whether it depends on a `wrt` value through f32 values.
    active: Vec<bool>,
    /// Per value: gradients through its consumers, the last consumer first.
    contributions: Vec<Vec<ValueId>>,
    patterns: composite::Patterns,
}

impl<'a> Backward<'a> {
    fn new(program: &'a Program, loss: ValueId, wrt: &[ValueId]) -> Self {
        Self {
            program,
            emitter: Emitter::new(Builder::from_program(program), program.value_count()),
            active: active(program, wrt),
            contributions: vec![Vec::new(); program.value_count()],
            patterns: composite::Patterns::find(program, loss, wrt),
        }
    }

    fn run(&mut self, loss: ValueId) -> Result<(), GradError> {
        let shape = self.emitter.shape_of(loss);
        let node = loss.index().saturating_sub(self.program.inputs().len());
        let seed = self.emitter.full(1.0, shape);
        let seed = seed.map_err(|source| GradError::Node {
            node,
            operator: "loss",
            source,
        })?;
        self.contributions[loss.index()].push(seed);
        for index in (0..self.program.nodes().len()).rev() {
            self.visit(index)?;
        }
        Ok(())
    }

    fn visit(&mut self, index: usize) -> Result<(), GradError> {
        let (id, node) = (self.program.id_of_node(index), &self.program.nodes()[index]);
        let reached = self.active[id.index()] && !self.contributions[id.index()].is_empty();
        if !reached {
            return Ok(());
        }
        let operator = node.operator.name();
        let failed = |source| GradError::Node {
            node: index,
            operator,
            source,
        };
        let gradient = self.accumulate(id).map_err(failed)?;
        let site = Site {
            operator: &node.operator,
            operands: &node.inputs,
            output: id,
            gradient,
        };
        if let Some((argument, pattern)) = self.patterns.at(id) {
            let contribution = pattern.gradient(&mut self.emitter, &site).map_err(failed)?;
            self.contribute(argument, contribution);
            return Ok(());
        }
        self.visit_operands(index, &site)
    }

    /// Last operand first: [`Backward::accumulate`] reverses the order.
    fn visit_operands(&mut self, index: usize, site: &Site<'_>) -> Result<(), GradError> {
        let operator = site.operator.name();
        for operand in (0..site.operands.len()).rev() {
            let target = site.operands[operand];
            if !self.active[target.index()] || self.patterns.is_shift(target) {
                continue;
            }
            let rule = rules::gradient(&mut self.emitter, site, operand);
            let rule = rule.ok_or(GradError::NoRule {
                node: index,
                operator,
            })?;
            let contribution = rule.map_err(|source| GradError::Node {
                node: index,
                operator,
                source,
            })?;
            self.contribute(target, contribution);
        }
        Ok(())
    }

    fn contribute(&mut self, target: ValueId, contribution: ValueId) {
        if self.active[target.index()] {
            self.contributions[target.index()].push(contribution);
        }
    }

    /// Adds up the contributions to a value, of which there must be one, leaving their sum as the
    /// only one.
    #[expect(clippy::expect_used, reason = "callers look whether there is one")]
    fn accumulate(&mut self, id: ValueId) -> Result<ValueId, TypeError> {
        let mut parts = std::mem::take(&mut self.contributions[id.index()]);
        parts.reverse();
        let total = match self.emitter.tiles(&parts)? {
            Some(joined) => joined,
            None => {
                let (&first, rest) = parts
                    .split_first()
                    .expect("invariant: a value that is accumulated has contributions");
                self.emitter.add_all(first, rest)?
            }
        };
        self.contributions[id.index()].push(total);
        Ok(total)
    }

    fn gradient_of(&mut self, id: ValueId) -> Result<ValueId, GradError> {
        let node = id.index().saturating_sub(self.program.inputs().len());
        let operator = self
            .program
            .node_of(id)
            .map_or("input", |node| node.operator.name());
        let failed = |source| GradError::Node {
            node,
            operator,
            source,
        };
        if self.contributions[id.index()].is_empty() {
            let shape = self.emitter.shape_of(id);
            return self.emitter.full(0.0, shape).map_err(failed);
        }
        self.accumulate(id).map_err(failed)
    }
}

/// Marks `wrt` and every f32 value computed from a marked one. Integers and bools are never marked,
/// so nothing that depends on `wrt` only through them is.
fn active(program: &Program, wrt: &[ValueId]) -> Vec<bool> {
    let mut active = vec![false; program.value_count()];
    wrt.iter().for_each(|id| active[id.index()] = true);
    for (index, node) in program.nodes().iter().enumerate() {
        let reached = node.inputs.iter().any(|id| active[id.index()]);
        if reached && node.ty.dtype == DType::F32 {
            active[program.id_of_node(index).index()] = true;
        }
    }
    active
}
