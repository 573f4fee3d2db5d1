//! A training or inference step as data: a static single-assignment list of primitive operators.
//!
//! A [`Program`] is what peers agree on, what an engine executes and what a dispute points into.
//! Value ids count the inputs first, then one output per node, so a node can only read earlier
//! values and the list is its own topological order.
//!
//! Invariants, kept by [`Builder`] and checked by [`Program::validate`] and [`Program::decode`]:
//! * every operand id is smaller than the id of the node that reads it;
//! * every node's declared type is the one [`Operator::infer`] derives;
//! * input and output names are unique; sizes stay below the limits in [`limits`].
//!
//! Composite functions (softmax, norms, losses, optimizers) are patterns of primitives; see
//! [`Builder`].

mod build;
mod digest;
mod edit;
mod elementwise;
mod encode;
mod infer;
mod operator;
mod recompute;
#[cfg(test)]
pub(crate) mod tests;
mod types;

pub use build::{Builder, Built};
pub use digest::{Digest, leaf_hash, merkle_root, parent_hash, tagged_hash};
pub use edit::EditError;
pub use elementwise::Elementwise;
pub use encode::{Counts, DecodeError};
pub use infer::TypeError;
pub use operator::{Arity, Comparison, OPERATORS, Operator, OperatorRow};
pub(crate) use operator::{any, elementwise, elementwise_table};
pub(crate) use types::Element;
pub use types::{DType, Shape, TensorType, limits};

/// The arithmetic profile: every program says which meaning of numbers it was written for.
pub const PROFILE: &str = "ro1";

/// Index of a value: inputs first, then node outputs in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The id as an index into per-value tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an input is to the training job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A trained tensor.
    Param,
    /// Carried from step to step, but not a parameter: optimizer moments, counters, caches.
    State,
    /// Different at every step: tokens, masks, rates.
    Data,
    /// Fixed for the whole job: RoPE tables.
    Constant,
}

/// A named tensor that the caller provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Unique name; parameters keep their Burn names.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// What it is to the job.
    pub role: Role,
}

/// One application of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Operator with its attributes.
    pub operator: Operator,
    /// Operand ids, all smaller than this node's own id.
    pub inputs: Vec<ValueId>,
    /// Type of the one output.
    pub ty: TensorType,
}

/// A named result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Unique name; the next value of a parameter or state carries the name of its input.
    pub name: String,
    /// The value that is returned.
    pub value: ValueId,
}

/// A whole computation. Build one with [`Builder`] or `lower`; read the module
/// documentation for its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    pub(crate) inputs: Vec<Input>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<Output>,
}

impl Program {
    /// Inputs in id order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Nodes in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Results in declaration order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Number of values: inputs and node outputs.
    pub fn value_count(&self) -> usize {
        self.inputs.len() + self.nodes.len()
    }

    /// Ids of all inputs, in order.
    pub fn input_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.inputs.len() as u32).map(ValueId)
    }

    /// The type of a value, or `None` where the id is out of range.
    pub fn type_of(&self, id: ValueId) -> Option<&TensorType> {
        match self.node_of(id) {
            Some(node) => Some(&node.ty),
            None => self.inputs.get(id.index()).map(|input| &input.ty),
        }
    }

    /// The node that computes a value; `None` for inputs and ids out of range.
    pub fn node_of(&self, id: ValueId) -> Option<&Node> {
        let index = id.index().checked_sub(self.inputs.len())?;
        self.nodes.get(index)
    }

    /// The id of the output of node number `index`.
    pub fn id_of_node(&self, index: usize) -> ValueId {
        ValueId((self.inputs.len() + index) as u32)
    }

    /// The id of the input called `name`.
    pub fn input_named(&self, name: &str) -> Option<ValueId> {
        let index = self.inputs.iter().position(|input| input.name == name)?;
        Some(ValueId(index as u32))
    }

    /// The value returned under `name`.
    pub fn output_named(&self, name: &str) -> Option<ValueId> {
        let output = self.outputs.iter().find(|output| output.name == name)?;
        Some(output.value)
    }

    /// Inputs of one role, in id order.
    pub fn inputs_with_role(&self, role: Role) -> impl Iterator<Item = (ValueId, &Input)> {
        let all = self.inputs.iter().enumerate();
        all.filter(move |(_, input)| input.role == role)
            .map(|(index, input)| (ValueId(index as u32), input))
    }
}
