//! A builder that simplifies while it appends.
//!
//! Every rewrite keeps the bits of the value it replaces, for every input including NaN, infinities
//! and −0, so a simplified gradient is the same function, only cheaper:
//!
//! | written | appended | why the bits agree |
//! |---|---|---|
//! | operator on constants | constant | evaluated by [`Elementwise::apply`] |
//! | `1·x`, `x/1` | `x` | exact |
//! | `−1·x`, `x/−1` | `−x` | exact; NaN is canonical |
//! | `−(−x)` | `x` | flips one bit twice |
//! | `a + (−b)` | `a − b` | definition of IEEE subtraction |
//! | movement of a movement of the same kind | one movement | only moves elements |
//! | movement of a constant | constant | only moves elements |
//! | `transpose(matmul_nt(a, b))` | `matmul_nt(b, a)` | fma is symmetric in its factors, the chain order is that of K |
//!
//! The last one applies to appended nodes only: the product of the original program stays in use as
//! it is.

use crate::program::{
    Builder, Built, DType, Elementwise, Node, Operator, Program, Shape, TypeError, ValueId,
};

use super::site::Site;

/// Appends gradient nodes to a program.
pub(super) struct Emitter {
    builder: Builder,
    /// Number of values of the original program; appended ids start here.
    original: usize,
}

impl Emitter {
    pub(super) fn new(builder: Builder, original: usize) -> Self {
        Self { builder, original }
    }

    pub(super) fn finish(self) -> Program {
        self.builder.finish()
    }

    pub(super) fn shape_of(&self, id: ValueId) -> Shape {
        self.builder.shape_of(id).clone()
    }

    pub(super) fn dims(&self, id: ValueId) -> Vec<usize> {
        self.builder.shape_of(id).dims().to_vec()
    }

    /// Appends a node as it is.
    pub(super) fn push(&mut self, operator: Operator, inputs: &[ValueId]) -> Built {
        self.builder.push(operator, inputs)
    }

    pub(super) fn full(&mut self, value: f32, shape: impl Into<Shape>) -> Built {
        self.builder.full(value, shape)
    }

    fn node(&self, id: ValueId) -> Option<&Node> {
        self.builder.node_of(id)
    }

    fn operator(&self, id: ValueId) -> Option<&Operator> {
        self.node(id).map(|node| &node.operator)
    }

    fn first_operand(&self, id: ValueId) -> Option<ValueId> {
        self.node(id)?.inputs.first().copied()
    }

    /// The row of the operator table of an elementwise node.
    pub(super) fn row(&self, site: &Site<'_>) -> Option<Elementwise> {
        let dtype = |&id| self.builder.type_of(id).dtype;
        let dtypes: Vec<DType> = site.operands.iter().map(dtype).collect();
        Elementwise::of(site.operator, &dtypes)
    }

    /// The bits of a constant f32.
    fn constant(&self, id: ValueId) -> Option<u32> {
        match self.operator(id)? {
            Operator::Full {
                dtype: DType::F32,
                bits,
                ..
            } => Some(*bits),
            _ => None,
        }
    }

    fn is_constant(&self, id: ValueId, value: f32) -> bool {
        self.constant(id) == Some(value.to_bits())
    }

    /// The operand of a negation.
    fn negated(&self, id: ValueId) -> Option<ValueId> {
        match self.operator(id)? {
            Operator::Neg => self.first_operand(id),
            _ => None,
        }
    }
}

/// Arithmetic.
impl Emitter {
    /// The constant that an elementwise operator makes of constants.
    fn folded(&mut self, operator: &Operator, inputs: &[ValueId]) -> Option<Built> {
        let words: Vec<u32> = inputs
            .iter()
            .map(|&id| self.constant(id))
            .collect::<Option<_>>()?;
        let bits = Elementwise::of(operator, &vec![DType::F32; words.len()])?.apply(&words);
        let shape = self.shape_of(*inputs.first()?);
        Some(self.push(
            Operator::Full {
                dtype: DType::F32,
                bits,
                shape,
            },
            &[],
        ))
    }

    fn fold_or_push(&mut self, operator: Operator, inputs: &[ValueId]) -> Built {
        match self.folded(&operator, inputs) {
            Some(constant) => constant,
            None => self.push(operator, inputs),
        }
    }

    pub(super) fn neg(&mut self, x: ValueId) -> Built {
        match self.negated(x) {
            Some(original) => Ok(original),
            None => self.fold_or_push(Operator::Neg, &[x]),
        }
    }

    pub(super) fn add(&mut self, a: ValueId, b: ValueId) -> Built {
        match (self.negated(a), self.negated(b)) {
            (_, Some(b)) => self.sub(a, b),
            (Some(a), None) => self.sub(b, a),
            (None, None) => self.fold_or_push(Operator::Add, &[a, b]),
        }
    }

    pub(super) fn sub(&mut self, a: ValueId, b: ValueId) -> Built {
        self.fold_or_push(Operator::Sub, &[a, b])
    }

    pub(super) fn mul(&mut self, a: ValueId, b: ValueId) -> Built {
        for (constant, other) in [(a, b), (b, a)] {
            if self.is_constant(constant, 1.0) {
                return Ok(other);
            }
            if self.is_constant(constant, -1.0) {
                return self.neg(other);
            }
        }
        self.fold_or_push(Operator::Mul, &[a, b])
    }

    pub(super) fn div(&mut self, a: ValueId, b: ValueId) -> Built {
        if self.is_constant(b, 1.0) {
            return Ok(a);
        }
        if self.is_constant(b, -1.0) {
            return self.neg(a);
        }
        self.fold_or_push(Operator::Div, &[a, b])
    }

    /// `((first + r₁) + r₂) + …`.
    pub(super) fn add_all(&mut self, first: ValueId, rest: &[ValueId]) -> Built {
        rest.iter()
            .try_fold(first, |total, &part| self.add(total, part))
    }

    /// `value` where the condition holds, else +0.
    pub(super) fn keep_where(&mut self, condition: ValueId, value: ValueId) -> Built {
        let zero = self.zeros_like(value)?;
        self.push(Operator::Select, &[condition, value, zero])
    }

    /// +0 where the condition holds, else `value`.
    pub(super) fn drop_where(&mut self, condition: ValueId, value: ValueId) -> Built {
        let zero = self.zeros_like(value)?;
        self.push(Operator::Select, &[condition, zero, value])
    }

    pub(super) fn zeros_like(&mut self, like: ValueId) -> Built {
        let shape = self.shape_of(like);
        self.full(0.0, shape)
    }
}

/// Movement.
impl Emitter {
    /// The same constant in another shape, if `x` is one.
    fn moved_constant(&mut self, x: ValueId, shape: &Shape) -> Option<Built> {
        let bits = self.constant(x)?;
        Some(self.push(
            Operator::Full {
                dtype: DType::F32,
                bits,
                shape: shape.clone(),
            },
            &[],
        ))
    }

    pub(super) fn reshape(&mut self, x: ValueId, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        let source = match (self.operator(x), self.first_operand(x)) {
            (Some(Operator::Reshape(_)), Some(source)) => source,
            _ => x,
        };
        match self.moved_constant(x, &shape) {
            Some(constant) => constant,
            None => self.builder.reshape(source, shape),
        }
    }

    pub(super) fn expand(&mut self, x: ValueId, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        let source = match (self.operator(x), self.first_operand(x)) {
            (Some(Operator::Expand(_)), Some(source)) => source,
            _ => x,
        };
        match self.moved_constant(x, &shape) {
            Some(constant) => constant,
            None => self.builder.expand(source, shape),
        }
    }

    pub(super) fn permute(&mut self, x: ValueId, axes: &[usize]) -> Built {
        if let Some(Operator::Permute(inner)) = self.operator(x) {
            let composed: Vec<usize> = axes.iter().map(|&axis| inner[axis]).collect();
            if let Some(source) = self.first_operand(x) {
                return self.builder.permute(source, &composed);
            }
        }
        if let Some((a, b)) = self.transposed_product(x, axes) {
            return self.push(Operator::MatmulNt, &[b, a]);
        }
        self.permute_plain(x, axes)
    }

    fn permute_plain(&mut self, x: ValueId, axes: &[usize]) -> Built {
        let dims = self.dims(x);
        let moved: Vec<usize> = axes.iter().map(|&axis| dims[axis]).collect();
        match self.moved_constant(x, &Shape::new(moved)) {
            Some(constant) => constant,
            None => self.builder.permute(x, axes),
        }
    }

    /// The operands of an appended product, if `axes` only swaps its last two axes.
    fn transposed_product(&self, x: ValueId, axes: &[usize]) -> Option<(ValueId, ValueId)> {
        let node = self.node(x).filter(|_| x.index() >= self.original)?;
        let swaps = axes.iter().copied().eq(swapped_last(axes.len()));
        match (&node.operator, node.inputs.as_slice()) {
            (Operator::MatmulNt, &[a, b]) if swaps => Some((a, b)),
            _ => None,
        }
    }

    /// Swaps the last two axes.
    pub(super) fn transpose(&mut self, x: ValueId) -> Built {
        let axes: Vec<usize> = swapped_last(self.dims(x).len()).collect();
        self.permute(x, &axes)
    }

    /// A row of `0, 1, 2, …` along the axis of `shape` that is not 1 in `own`, repeated to `shape`.
    pub(super) fn indices(&mut self, axis: usize, shape: &Shape) -> Built {
        let mut own = vec![1; shape.rank()];
        own[axis] = shape.dims()[axis];
        let counted = self.push(
            Operator::Iota {
                shape: Shape::new(own),
                axis,
            },
            &[],
        )?;
        self.expand(counted, shape.clone())
    }

    /// If the parts are paddings that tile one axis exactly, their contents one after another: what
    /// adding them up gives, without the zeros. This is the gradient of a tensor that was split.
    pub(super) fn tiles(&mut self, parts: &[ValueId]) -> Result<Option<ValueId>, TypeError> {
        let Some((axis, contents)) = self.tiling(parts) else {
            return Ok(None);
        };
        self.push(Operator::Concat { axis }, &contents).map(Some)
    }

    fn tiling(&self, parts: &[ValueId]) -> Option<(usize, Vec<ValueId>)> {
        if parts.len() < 2 {
            return None;
        }
        let mut pieces = parts
            .iter()
            .map(|&part| self.padding(part))
            .collect::<Option<Vec<_>>>()?;
        let axis = pieces.first()?.axis;
        pieces.sort_by_key(|piece| piece.start);
        let mut reached = 0;
        for piece in &pieces {
            if piece.axis != axis || piece.start != reached {
                return None;
            }
            reached = piece.end;
        }
        let complete = pieces.last().is_some_and(|piece| piece.end == piece.length);
        complete.then(|| (axis, pieces.iter().map(|piece| piece.content).collect()))
    }

    /// Reads an appended value as a padding along a single axis.
    fn padding(&self, id: ValueId) -> Option<Piece> {
        let node = self.node(id).filter(|_| id.index() >= self.original)?;
        let Operator::Pad { before, after } = &node.operator else {
            return None;
        };
        let mut padded = (0..before.len()).filter(|&axis| before[axis] + after[axis] > 0);
        let (axis, None) = (padded.next()?, padded.next()) else {
            return None;
        };
        let length = *node.ty.shape.dims().get(axis)?;
        let (start, end) = (before[axis], length - after[axis]);
        Some(Piece {
            axis,
            start,
            end,
            length,
            content: *node.inputs.first()?,
        })
    }
}

/// A padded tensor: `content` occupies `start..end` of an axis of `length`.
struct Piece {
    axis: usize,
    start: usize,
    end: usize,
    length: usize,
    content: ValueId,
}

fn swapped_last(rank: usize) -> impl Iterator<Item = usize> {
    (0..rank).map(move |axis| match rank - axis {
        1 if rank >= 2 => rank - 2,
        2 => rank - 1,
        _ => axis,
    })
}
