//! Builds programs node by node, sharing equal nodes and checking every type.

use std::collections::HashMap;

use super::infer::TypeError;
use super::operator::{Comparison, Operator};
use super::types::{DType, Shape, TensorType};
use super::{Input, Node, Output, Program, Role, ValueId};

/// Appends nodes to a program. Equal nodes (same operator, same operands) become one value.
///
/// # Panics
/// Methods panic on a [`ValueId`] that another builder made; that is an error of the calling code,
/// never of its data.
#[derive(Debug, Default)]
pub struct Builder {
    inputs: Vec<Input>,
    nodes: Vec<Node>,
    outputs: Vec<Output>,
    /// Builder ids of values: inputs may still be added after nodes, so ids are assigned by
    /// [`Builder::finish`].
    values: Vec<Source>,
    known: HashMap<(Operator, Vec<ValueId>), ValueId>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Input(usize),
    Node(usize),
}

/// Result of appending one node.
pub type Built = Result<ValueId, TypeError>;

impl Builder {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues an existing program; its ids stay valid here.
    pub fn from_program(program: &Program) -> Self {
        let mut builder = Self::new();
        for input in &program.inputs {
            builder.input(&input.name, input.ty.clone(), input.role);
        }
        for node in &program.nodes {
            builder.append(node.clone());
        }
        builder.outputs = program.outputs.clone();
        builder
    }

    /// Declares an input. Names must be unique; [`Program::validate`] checks it.
    pub fn input(&mut self, name: impl Into<String>, ty: TensorType, role: Role) -> ValueId {
        let id = self.next_id();
        self.values.push(Source::Input(self.inputs.len()));
        self.inputs.push(Input {
            name: name.into(),
            ty,
            role,
        });
        id
    }

    /// Declares a result.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push(Output {
            name: name.into(),
            value,
        });
    }

    /// The type of a value.
    pub fn type_of(&self, id: ValueId) -> &TensorType {
        match self.values[id.index()] {
            Source::Input(index) => &self.inputs[index].ty,
            Source::Node(index) => &self.nodes[index].ty,
        }
    }

    /// The shape of a value.
    pub fn shape_of(&self, id: ValueId) -> &Shape {
        &self.type_of(id).shape
    }

    /// The node that computes a value; `None` for inputs.
    pub fn node_of(&self, id: ValueId) -> Option<&Node> {
        match self.values[id.index()] {
            Source::Input(_) => None,
            Source::Node(index) => Some(&self.nodes[index]),
        }
    }

    /// Appends one node, or returns the value of an equal one.
    ///
    /// # Errors
    /// The operator does not take these operands.
    pub fn push(&mut self, operator: Operator, inputs: &[ValueId]) -> Built {
        let key = (operator, inputs.to_vec());
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let (operator, inputs) = key;
        let operands: Vec<&TensorType> = inputs.iter().map(|&id| self.type_of(id)).collect();
        let ty = operator.infer(&operands)?;
        Ok(self.append(Node {
            operator,
            inputs,
            ty,
        }))
    }

    fn append(&mut self, node: Node) -> ValueId {
        let id = self.next_id();
        self.known
            .entry((node.operator.clone(), node.inputs.clone()))
            .or_insert(id);
        self.values.push(Source::Node(self.nodes.len()));
        self.nodes.push(node);
        id
    }

    fn next_id(&self) -> ValueId {
        ValueId(self.values.len() as u32)
    }

    /// The finished program, ids renumbered so that inputs come first.
    pub fn finish(self) -> Program {
        let count = self.inputs.len();
        let renumber = |id: ValueId| match self.values[id.index()] {
            Source::Input(index) => ValueId(index as u32),
            Source::Node(index) => ValueId((count + index) as u32),
        };
        let nodes = self.nodes.iter().map(|node| Node {
            inputs: node.inputs.iter().map(|&id| renumber(id)).collect(),
            ..node.clone()
        });
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|output| Output {
            name: output.name.clone(),
            value: renumber(output.value),
        });
        Program {
            nodes: nodes.collect(),
            outputs: outputs.collect(),
            inputs: self.inputs,
        }
    }
}

/// Primitives by name.
impl Builder {
    /// A constant f32 of a shape.
    pub fn full(&mut self, value: f32, shape: impl Into<Shape>) -> Built {
        let bits = crate::scalar::canon(value).to_bits();
        self.push(
            Operator::Full {
                dtype: DType::F32,
                bits,
                shape: shape.into(),
            },
            &[],
        )
    }

    /// A constant f32 of the shape of `like`.
    pub fn full_like(&mut self, value: f32, like: ValueId) -> Built {
        let shape = self.shape_of(like).clone();
        self.full(value, shape)
    }

    /// `a + b`.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Add, &[a, b])
    }

    /// `a − b`.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Sub, &[a, b])
    }

    /// `a · b`.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Mul, &[a, b])
    }

    /// `a / b`.
    pub fn div(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Div, &[a, b])
    }

    /// The larger of both.
    pub fn max(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Max, &[a, b])
    }

    /// The smaller of both.
    pub fn min(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Min, &[a, b])
    }

    /// `−x`.
    pub fn neg(&mut self, x: ValueId) -> Built {
        self.push(Operator::Neg, &[x])
    }

    /// √x.
    pub fn sqrt(&mut self, x: ValueId) -> Built {
        self.push(Operator::Sqrt, &[x])
    }

    /// eˣ.
    pub fn exp(&mut self, x: ValueId) -> Built {
        self.push(Operator::Exp, &[x])
    }

    /// ln x.
    pub fn log(&mut self, x: ValueId) -> Built {
        self.push(Operator::Log, &[x])
    }

    /// tanh x.
    pub fn tanh(&mut self, x: ValueId) -> Built {
        self.push(Operator::Tanh, &[x])
    }

    /// Compares element by element.
    pub fn compare(&mut self, comparison: Comparison, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Compare(comparison), &[a, b])
    }

    /// `a` where the condition holds, else `b`.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::Select, &[condition, a, b])
    }

    /// Conversion of element type; nothing to do where it is the same.
    pub fn cast(&mut self, x: ValueId, to: DType) -> Built {
        if self.type_of(x).dtype == to {
            return Ok(x);
        }
        self.push(Operator::Cast(to), &[x])
    }

    /// `a · bᵀ` over the last axes of both.
    pub fn matmul_nt(&mut self, a: ValueId, b: ValueId) -> Built {
        self.push(Operator::MatmulNt, &[a, b])
    }

    /// Sum over the last axis, kept with length 1.
    pub fn sum(&mut self, x: ValueId) -> Built {
        self.push(Operator::Sum, &[x])
    }

    /// Maximum over the last axis, kept with length 1.
    pub fn reduce_max(&mut self, x: ValueId) -> Built {
        self.push(Operator::ReduceMax, &[x])
    }

    /// Another shape for the same elements; nothing to do where it is the same.
    pub fn reshape(&mut self, x: ValueId, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        if *self.shape_of(x) == shape {
            return Ok(x);
        }
        self.push(Operator::Reshape(shape), &[x])
    }

    /// Output axis `i` is input axis `axes[i]`; nothing to do for the identity.
    pub fn permute(&mut self, x: ValueId, axes: &[usize]) -> Built {
        let identity = axes.iter().copied().eq(0..self.shape_of(x).rank());
        if identity {
            return Ok(x);
        }
        self.push(Operator::Permute(axes.to_vec()), &[x])
    }

    /// Swaps the last two axes.
    pub fn transpose(&mut self, x: ValueId) -> Built {
        let mut axes: Vec<usize> = (0..self.shape_of(x).rank()).collect();
        let rank = axes.len();
        if rank >= 2 {
            axes.swap(rank - 2, rank - 1);
        }
        self.permute(x, &axes)
    }

    /// Repeats axes of length 1; nothing to do where the shape is the same.
    pub fn expand(&mut self, x: ValueId, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        if *self.shape_of(x) == shape {
            return Ok(x);
        }
        self.push(Operator::Expand(shape), &[x])
    }

    /// Repeats `x` to `shape` by the usual rule: axes are aligned at the end, missing and length-1
    /// axes repeat.
    pub fn broadcast(&mut self, x: ValueId, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        let missing = shape.rank().saturating_sub(self.shape_of(x).rank());
        let mut dims = vec![1; missing];
        dims.extend_from_slice(self.shape_of(x).dims());
        let x = self.reshape(x, dims)?;
        self.expand(x, shape)
    }
}

/// Patterns of primitives that engines know how to fuse.
impl Builder {
    /// Sum of all elements as a scalar: last axis first, then the flattened row sums.
    pub fn sum_all(&mut self, x: ValueId) -> Built {
        let mut x = x;
        while self.shape_of(x).elements() != 1 {
            if self.shape_of(x).last() == 1 {
                let count = self.shape_of(x).elements();
                x = self.reshape(x, [count])?;
            }
            x = self.sum(x)?;
        }
        self.reshape(x, Shape::scalar())
    }

    /// `exp(x − max) / Σ exp(x − max)` over the last axis.
    pub fn softmax(&mut self, x: ValueId) -> Built {
        let shape = self.shape_of(x).clone();
        let max = self.reduce_max(x)?;
        let max = self.expand(max, shape.clone())?;
        let shifted = self.sub(x, max)?;
        let exp = self.exp(shifted)?;
        let sum = self.sum(exp)?;
        let sum = self.expand(sum, shape)?;
        self.div(exp, sum)
    }

    /// `(x − max) − ln Σ exp(x − max)` over the last axis.
    pub fn log_softmax(&mut self, x: ValueId) -> Built {
        let shape = self.shape_of(x).clone();
        let max = self.reduce_max(x)?;
        let max = self.expand(max, shape.clone())?;
        let shifted = self.sub(x, max)?;
        let exp = self.exp(shifted)?;
        let sum = self.sum(exp)?;
        let log = self.log(sum)?;
        let log = self.expand(log, shape)?;
        self.sub(shifted, log)
    }

    /// `1 / (1 + e⁻ˣ)`, element by element.
    pub fn sigmoid(&mut self, x: ValueId) -> Built {
        let one = self.full_like(1.0, x)?;
        let negated = self.neg(x)?;
        let exp = self.exp(negated)?;
        let denominator = self.add(one, exp)?;
        self.div(one, denominator)
    }

    /// `x · sigmoid(x)`.
    pub fn silu(&mut self, x: ValueId) -> Built {
        let sigmoid = self.sigmoid(x)?;
        self.mul(x, sigmoid)
    }
}
