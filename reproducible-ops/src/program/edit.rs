//! Programs from programs: dropping what is not needed and wiring inputs to values.

use super::{Input, Node, Output, Program, Role, ValueId};

/// Why an edit is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No input has this name.
    #[error("the program has no input named `{name}`")]
    NoSuchInput {
        /// The name asked for.
        name: String,
    },
    /// The value has another type than the input it should replace.
    #[error(
        "input `{name}` cannot be bound: it and the value differ in type, or the value depends on \
         it"
    )]
    Unbindable {
        /// The input's name.
        name: String,
    },
}

impl Program {
    /// The same program with every read of input `name` replaced by `value`, and the input removed.
    ///
    /// Binding after differentiation is how a value is held constant in a gradient: differentiate
    /// with an input in its place, then bind the input.
    ///
    /// # Errors
    /// No such input, a type that differs, or a value that itself depends on the input.
    pub fn bind(&self, name: &str, value: ValueId) -> Result<Self, EditError> {
        let input = self
            .input_named(name)
            .ok_or_else(|| EditError::NoSuchInput { name: name.into() })?;
        let fits = self.type_of(input) == self.type_of(value) && !self.depends_on(value, input);
        if !fits {
            return Err(EditError::Unbindable { name: name.into() });
        }
        let order = self.order_with(input, value);
        Ok(self.rebuild(&order, |id| if id == input { value } else { id }))
    }

    /// The same program without nodes and non-parameter inputs that no output needs.
    pub fn prune(&self) -> Self {
        self.pruned(|input| input.role == Role::Param)
    }

    /// The same program without nodes and inputs that no output needs, parameters included: what is
    /// left of a model's program for a part of the model.
    pub fn prune_parameters(&self) -> Self {
        self.pruned(|_| false)
    }

    /// The same program with these of its outputs alone, pruned.
    pub fn with_outputs(&self, is_kept: impl Fn(&str) -> bool) -> Self {
        let outputs = self.outputs.iter();
        let outputs = outputs.filter(|output| is_kept(&output.name));
        let kept = Self {
            outputs: outputs.cloned().collect(),
            ..self.clone()
        };
        kept.prune()
    }

    /// Without nodes and inputs that no output needs, but for inputs that are kept.
    fn pruned(&self, kept: impl Fn(&Input) -> bool) -> Self {
        let needed = self.needed(&[]);
        let is_kept = |id: &ValueId| self.inputs.get(id.index()).is_some_and(&kept);
        let order: Vec<ValueId> = self
            .all_ids()
            .filter(|id| needed[id.index()] || is_kept(id))
            .collect();
        self.rebuild(&order, |id| id)
    }

    /// The same program without the nodes after its first `kept` values that neither an output nor
    /// `wanted` needs, and the new ids of `wanted`. The first `kept` ids stay as they are.
    pub(crate) fn without_dead_nodes(
        &self,
        kept: usize,
        wanted: &[ValueId],
    ) -> (Self, Vec<ValueId>) {
        let needed = self.needed(wanted);
        let order: Vec<ValueId> = self
            .all_ids()
            .filter(|id| id.index() < kept || needed[id.index()])
            .collect();
        let places = self.places(&order);
        let moved = wanted.iter().map(|&id| places.of(id)).collect();
        (self.rebuild(&order, |id| id), moved)
    }

    fn all_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.value_count() as u32).map(ValueId)
    }

    /// Marks every value that an output or one of `also` is computed from, themselves included.
    pub(crate) fn needed(&self, also: &[ValueId]) -> Vec<bool> {
        self.needed_for(
            self.outputs
                .iter()
                .map(|output| output.value)
                .chain(also.iter().copied()),
        )
    }

    /// Marks every value that one of `roots` is computed from, themselves included.
    fn needed_for(&self, roots: impl IntoIterator<Item = ValueId>) -> Vec<bool> {
        let mut needed = vec![false; self.value_count()];
        roots.into_iter().for_each(|id| needed[id.index()] = true);
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if needed[self.id_of_node(index).index()] {
                node.inputs.iter().for_each(|id| needed[id.index()] = true);
            }
        }
        needed
    }

    fn depends_on(&self, value: ValueId, on: ValueId) -> bool {
        self.cone(value)[on.index()]
    }

    /// Marks every value that `value` is computed from, itself included.
    pub(crate) fn cone(&self, value: ValueId) -> Vec<bool> {
        self.needed_for([value])
    }

    /// All ids but `input`, with what `value` needs moved before everything that may read it.
    fn order_with(&self, input: ValueId, value: ValueId) -> Vec<ValueId> {
        let cone = self.cone(value);
        let inputs = self.input_ids().filter(|&id| id != input);
        let nodes = || (0..self.nodes.len()).map(|index| self.id_of_node(index));
        let first = nodes().filter(|id| cone[id.index()]);
        let rest = nodes().filter(|id| !cone[id.index()]);
        inputs.chain(first).chain(rest).collect()
    }

    /// Lays the values of `order` out anew; `redirect` says which old value an operand reads.
    fn rebuild(&self, order: &[ValueId], redirect: impl Fn(ValueId) -> ValueId) -> Self {
        let places = self.places(order);
        let nodes = order
            .iter()
            .filter_map(|&id| self.node_of(id))
            .map(|node| Node {
                inputs: node
                    .inputs
                    .iter()
                    .map(|&id| places.of(redirect(id)))
                    .collect(),
                ..node.clone()
            });
        let inputs: Vec<Input> = order
            .iter()
            .filter_map(|id| self.inputs.get(id.index()).cloned())
            .collect();
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|output| Output {
            name: output.name.clone(),
            value: places.of(redirect(output.value)),
        });
        Program {
            nodes: nodes.collect(),
            outputs: outputs.collect(),
            inputs,
        }
    }

    fn places(&self, order: &[ValueId]) -> Places {
        let mut new = vec![None; self.value_count()];
        for (position, id) in order.iter().enumerate() {
            new[id.index()] = Some(ValueId(position as u32));
        }
        Places(new)
    }
}

/// The new ids of values that are kept.
struct Places(Vec<Option<ValueId>>);

impl Places {
    #[expect(
        clippy::expect_used,
        reason = "whoever drops values drops their readers"
    )]
    fn of(&self, id: ValueId) -> ValueId {
        self.0[id.index()].expect("invariant: what is read is kept")
    }
}
