//! Computing a value again where it is needed, instead of storing it in one group and loading it in
//! another.
//!
//! ```text
//! group 1: gate ─▶ sigmoid ─▶ silu ─▶ …          group 2 needs sigmoid and reads gate anyway:
//!                     ╳ not stored               gate ─▶ sigmoid′ ─▶ …
//! ```
//! Memory is what limits elementwise work on large tensors: a stored value costs its line fetched,
//! written and read again, the few instructions of a chain in registers next to nothing. The same
//! operators on the same operands give the same bits wherever they run.
//!
//! A value is computed again if a short chain of elementwise operators leads to it from values that
//! have a buffer anyway, or one element per row, and at most one full-sized value has to be loaded
//! for it that the group does not read yet.

use crate::program::{Operator, ValueId};

use super::draft::{Action, Node};
use super::plan::{EntryId, Planner};
use super::rows::Extent;
use super::step::Place;

/// Longest chain, in operators.
const MOST_OPERATORS: usize = 8;
/// Most full-sized values to be loaded for it.
const MOST_LOADS: usize = 1;

/// How to compute a value from others that exist.
#[derive(Default)]
struct Recipe {
    /// Values to compute, in order.
    steps: Vec<ValueId>,
    /// Full-sized values that the group does not read yet.
    loads: Vec<ValueId>,
}

impl Planner<'_> {
    /// Replaces operands of a node of a group that other groups computed and nobody stored yet
    /// by copies of its own, where that is cheaper than storing them.
    pub(super) fn recompute_operands(&mut self, node: &mut Node, group: EntryId) {
        for index in 0..node.operands.len() {
            let operand = node.operands[index];
            let Place::View { base, .. } = self.places[operand.index()] else {
                continue;
            };
            if !self.is_unstored_elsewhere(base, group) {
                continue;
            }
            let mut recipe = Recipe::default();
            if self.find(base, group, &mut recipe)
                && self.follow(&recipe, group, node.operands.len()).is_some()
            {
                node.operands[index] = self.copied(operand, group);
                // A member can be read in order only, a buffer through any view.
                if !self.fits(node, group, 0) {
                    node.operands[index] = operand;
                }
            }
        }
    }

    fn is_unstored_elsewhere(&self, base: ValueId, group: EntryId) -> bool {
        let maker = self.made_by[base.index()].filter(|&maker| maker != group);
        maker
            .and_then(|maker| self.draft(maker))
            .is_some_and(|draft| !draft.stores(base) && draft.extent(base) == Some(Extent::Full))
    }

    /// Collects the steps to `base`; false if it is not worth it.
    fn find(&self, base: ValueId, group: EntryId, recipe: &mut Recipe) -> bool {
        let known =
            self.made_by[base.index()] == Some(group) || self.copies.contains_key(&(group, base));
        if known || recipe.steps.contains(&base) {
            return true;
        }
        if !self.is_unstored_elsewhere(base, group) {
            return self.load(base, group, recipe);
        }
        let Some(node) = self
            .program
            .node_of(base)
            .filter(|node| is_elementwise(&node.operator) && !self.rotations.contains_key(&base))
        else {
            return false;
        };
        let found = node
            .inputs
            .iter()
            .all(|operand| match self.places[operand.index()] {
                Place::Splat(_) => true,
                Place::View { base, .. } => self.find(base, group, recipe),
            });
        recipe.steps.push(base);
        found && recipe.steps.len() <= MOST_OPERATORS
    }

    fn load(&self, base: ValueId, group: EntryId, recipe: &mut Recipe) -> bool {
        let Some(draft) = self.draft(group) else {
            return false;
        };
        let is_small = self.types[base.index()].shape.elements() < draft.elements();
        if !is_small && !draft.reads(base) && !recipe.loads.contains(&base) {
            recipe.loads.push(base);
        }
        recipe.loads.len() <= MOST_LOADS
    }

    /// Adds copies of a recipe's values to a group, with room left for a node of `more` operands.
    /// None if the group has no room or another shape; what was added until then is dropped with
    /// everything else that is of no use.
    fn follow(&mut self, recipe: &Recipe, group: EntryId, more: usize) -> Option<()> {
        for &step in &recipe.steps {
            let node = self.program.node_of(step)?;
            let operands = node
                .inputs
                .iter()
                .map(|&operand| self.copied(operand, group))
                .collect();
            let action = Action::Apply(node.operator.clone());
            let copy = self.new_base(self.types[step.index()].clone());
            let node = Node {
                id: copy,
                action,
                operands,
            };
            if !self.fits(&node, group, more + 2) {
                return None;
            }
            self.add(node, group);
            if !self.lies_alike(step, copy) {
                return None;
            }
            self.copies.insert((group, step), copy);
        }
        Some(())
    }

    /// Whether two values of one shape are stored in the same order, so that views of one are views
    /// of the other.
    fn lies_alike(&self, one: ValueId, other: ValueId) -> bool {
        let layout = |id: ValueId| match &self.places[id.index()] {
            Place::View { layout, .. } => Some(layout),
            Place::Splat(_) => None,
        };
        layout(one) == layout(other)
    }

    /// The operand as a view of the group's own copy, where it has one.
    fn copied(&mut self, operand: ValueId, group: EntryId) -> ValueId {
        let Place::View { base, .. } = self.places[operand.index()] else {
            return operand;
        };
        match self.copies.get(&(group, base)) {
            Some(&copy) => self.seen_like(operand, copy),
            None => operand,
        }
    }

    /// `base` through the view that `operand` is.
    fn seen_like(&mut self, operand: ValueId, base: ValueId) -> ValueId {
        let Place::View { layout, .. } = self.places[operand.index()].clone() else {
            return operand;
        };
        let id = self.new_base(self.types[operand.index()].clone());
        self.places[id.index()] = Place::View { base, layout };
        id
    }
}

fn is_elementwise(operator: &Operator) -> bool {
    use Operator::*;
    matches!(
        operator,
        Neg | Abs
            | Sqrt
            | Exp
            | Log
            | Tanh
            | Add
            | Sub
            | Mul
            | Div
            | Max
            | Min
            | Select
            | Compare(_)
            | Not
            | And
            | Or
    )
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::super::step::Step;
    use super::super::tests::{assert_equal, random_tensor};
    use crate::program::{Builder, Program, Role, TensorType};
    use crate::random::Stream;

    /// `e = exp(−x)` is used before and after a product of matrices.
    fn used_twice() -> Program {
        let mut b = Builder::new();
        let x = b.input("x", TensorType::f32([64, 64]), Role::Data);
        let negative = b.neg(x).unwrap();
        let e = b.exp(negative).unwrap();
        let first = b.mul(e, x).unwrap();
        let product = b.matmul_nt(first, x).unwrap();
        let second = b.mul(e, product).unwrap();
        b.output("y", second);
        b.finish()
    }

    #[test]
    fn a_short_chain_is_not_stored() {
        let plan = Plan::new(&used_twice());
        let stored = |step: &Step| matches!(step, Step::Rows(kernel) if kernel.outputs.len() == 1);
        assert_eq!(
            plan.steps.iter().filter(|step| stored(step)).count(),
            2,
            "{:?}",
            plan.steps
        );
        assert_eq!(plan.steps.len(), 3);
    }

    #[test]
    fn what_is_computed_again_has_the_same_bits() {
        let program = used_twice();
        let mut stream = Stream::from_seed("recompute", 1);
        let inputs: Vec<_> = program
            .inputs()
            .iter()
            .map(|input| random_tensor(&mut stream, &input.ty))
            .collect();
        assert_equal(&program, &inputs, 1);
    }

    #[test]
    fn a_strided_operand_is_stored() {
        let mut b = Builder::new();
        let x = b.input("x", TensorType::f32([16, 16]), Role::Data);
        let e = b.exp(x).unwrap();
        let product = b.matmul_nt(e, x).unwrap();
        let turned = b.transpose(e).unwrap();
        let sum = b.add(turned, product).unwrap();
        b.output("y", sum);
        let program = b.finish();
        let mut stream = Stream::from_seed("recompute", 2);
        let inputs: Vec<_> = program
            .inputs()
            .iter()
            .map(|input| random_tensor(&mut stream, &input.ty))
            .collect();
        assert_equal(&program, &inputs, 1);
    }
}
