//! From a program to a list of kernels: views are read through, chains are fused, buffers are
//! shared by liveness.
//!
//! ```text
//! Program ─▶ places (value → buffer + strides) ─▶ drafts (fused groups) ─▶ steps ─▶ buffers by liveness
//! ```
//!
//! Steps stay in an order in which every operand is computed before it is read. A node joins the
//! fused group that makes its operands, or a later one over the same domain; anything else starts a
//! group of its own.

use std::collections::HashMap;

use crate::program::{Operator, Program, Role, Shape, TensorType, ValueId};

use super::draft::{Draft, Node};
use super::layout::Layout;
use super::rows::RowKernel;

/// Where a value's elements are found.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The same word everywhere; there is no buffer.
    Splat(u32),
    /// In the buffer of value `base`.
    View { base: ValueId, layout: Layout },
}

/// A kernel invocation.
#[derive(Debug)]
pub(super) enum Step {
    Rows(RowKernel),
    Matmul(Matmul),
    Gather {
        table: ValueId,
        ids: ValueId,
        rows: usize,
        width: usize,
        value: ValueId,
    },
    TakeMany {
        x: ValueId,
        ids: ValueId,
        length: usize,
        picks: usize,
        value: ValueId,
    },
    /// Copies each operand to its region of a buffer that is cleared first if the regions do not
    /// cover it.
    Paste {
        operands: Vec<(ValueId, Layout, Layout)>,
        clear: bool,
        value: ValueId,
    },
    UpdateRows {
        base: ValueId,
        rows: ValueId,
        at: ValueId,
        height: usize,
        count: usize,
        width: usize,
        value: ValueId,
    },
    Philox {
        key: ValueId,
        counter: ValueId,
        lanes: usize,
        value: ValueId,
    },
}

/// A batch of products `A · Bᵀ` of one shape.
#[derive(Debug)]
pub(super) struct Matmul {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: MatmulOperand,
    pub b: MatmulOperand,
    /// Start of each matrix: in A, in B, in C.
    pub batches: Vec<(usize, usize, usize)>,
    /// Whether B is a weight that many runs share, so that its packed form is worth keeping.
    pub keep_packed: bool,
    pub value: ValueId,
}

#[derive(Debug)]
pub(super) struct MatmulOperand {
    pub base: ValueId,
    pub row_stride: usize,
    pub k_stride: usize,
}

/// Rows of A below which keeping B packed pays: decoding, where B is read once per call.
const KEEP_PACKED_BELOW: usize = 128;

/// The buffer of a base value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferId(pub usize);

/// Everything a session needs to execute a program.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Buffer of each base value.
    pub buffer_of: Vec<Option<BufferId>>,
    /// Words of each base value; its buffer may be larger.
    pub value_words: Vec<usize>,
    /// Words of each buffer; inputs come first, in input order.
    pub buffer_words: Vec<usize>,
    /// Contents of constant buffers: counters 0, 1, 2, ….
    pub counters: Vec<BufferId>,
    /// Buffer of each output, in output order.
    pub outputs: Vec<BufferId>,
}

impl Plan {
    pub fn new(program: &Program) -> Self {
        let mut planner = Planner::new(program);
        program
            .nodes()
            .iter()
            .enumerate()
            .for_each(|(index, _)| planner.node(index));
        planner.finish()
    }
}

/// One entry of the step list while it grows: groups stay open for later nodes.
#[derive(Debug)]
pub(super) enum Entry {
    Draft(Draft),
    Fixed(Step),
}

pub(super) struct Planner<'a> {
    pub(super) program: &'a Program,
    /// By value id; ids past the program's are copies that the plan needed.
    pub(super) types: Vec<TensorType>,
    pub(super) places: Vec<Place>,
    /// Index of the entry that computes a base value, plus one; 0 for inputs and counters.
    pub(super) made_by: Vec<usize>,
    pub(super) entries: Vec<Entry>,
    counters: Vec<ValueId>,
    needed: Vec<bool>,
    /// What a group computed again, by group and original.
    pub(super) copies: HashMap<(usize, ValueId), ValueId>,
}

impl<'a> Planner<'a> {
    fn new(program: &'a Program) -> Self {
        let mut planner = Self {
            program,
            types: Vec::new(),
            places: Vec::new(),
            made_by: Vec::new(),
            entries: Vec::new(),
            counters: Vec::new(),
            needed: program.needed(&[]),
            copies: HashMap::new(),
        };
        program.inputs().iter().for_each(|input| {
            planner.new_base(input.ty.clone(), 0);
        });
        planner
            .types
            .extend(program.nodes().iter().map(|node| node.ty.clone()));
        planner
            .places
            .resize(program.value_count(), Place::Splat(0));
        planner.made_by.resize(program.value_count(), 0);
        planner
    }

    /// A further value with a contiguous buffer of its own.
    pub(super) fn new_base(&mut self, ty: TensorType, made_by: usize) -> ValueId {
        let id = ValueId(self.types.len() as u32);
        self.places.push(Place::View {
            base: id,
            layout: Layout::contiguous(&ty.shape),
        });
        self.types.push(ty);
        self.made_by.push(made_by);
        id
    }

    fn set_base(&mut self, id: ValueId, made_by: usize) {
        let layout = Layout::contiguous(&self.types[id.index()].shape);
        self.places[id.index()] = Place::View { base: id, layout };
        self.made_by[id.index()] = made_by;
    }

    fn node(&mut self, index: usize) {
        let id = self.program.id_of_node(index);
        if !self.needed[id.index()] {
            return;
        }
        let node = &self.program.nodes()[index];
        let x = node.inputs.first().copied();
        match (&node.operator, x) {
            (Operator::Full { bits, .. }, _) => self.places[id.index()] = Place::Splat(*bits),
            (Operator::Iota { shape, axis }, _) => self.iota(id, shape, *axis),
            (view, Some(x)) if view.is_view() => self.view(id, view, x),
            (Operator::MatmulNt, _) => self.matmul(id, node.inputs[0], node.inputs[1]),
            (Operator::GatherRows, _) => self.gather(id, node.inputs[0], node.inputs[1]),
            (Operator::TakeAlongLast, _) if node.ty.shape.last() != 1 => {
                self.take_many(id, node.inputs[0], node.inputs[1]);
            }
            (Operator::Concat { axis }, _) => self.concat(id, &node.inputs, *axis),
            (Operator::Pad { before, .. }, Some(x)) => self.pad(id, x, before),
            (Operator::UpdateRows, _) => {
                self.update_rows(id, [node.inputs[0], node.inputs[1], node.inputs[2]])
            }
            (Operator::PhiloxUniform { lanes }, _) => {
                self.philox(id, node.inputs[0], node.inputs[1], *lanes)
            }
            (operator, _) => self.fuse(id, operator.clone(), &node.inputs),
        }
    }

    fn iota(&mut self, id: ValueId, shape: &Shape, axis: usize) {
        let length = shape.dims()[axis];
        let known = self
            .counters
            .iter()
            .find(|counter| self.types[counter.index()].shape.last() >= length)
            .copied();
        let base = match known {
            Some(base) => base,
            None => {
                let base = self.new_base(TensorType::i32([length]), 0);
                self.counters.push(base);
                base
            }
        };
        self.places[id.index()] = Place::View {
            base,
            layout: Layout::counter(shape, axis),
        };
    }

    fn view(&mut self, id: ValueId, operator: &Operator, x: ValueId) {
        let place = match &self.places[x.index()] {
            Place::Splat(word) => Some(Place::Splat(*word)),
            Place::View { base, layout } => {
                see_through(operator, layout).map(|layout| Place::View {
                    base: *base,
                    layout,
                })
            }
        };
        match place {
            Some(place) => self.places[id.index()] = place,
            None => self.reshape_copy(id, x),
        }
    }

    /// A reshape that strides cannot express: copied into order first.
    fn reshape_copy(&mut self, id: ValueId, x: ValueId) {
        let copy = self.copy(x);
        let dims = self.types[id.index()].shape.dims().to_vec();
        if let Place::View { base, layout } = &self.places[copy.index()]
            && let Some(layout) = layout.reshape(&dims)
        {
            self.places[id.index()] = Place::View {
                base: *base,
                layout,
            };
        }
    }

    /// A fresh value with the elements of `x`, contiguous in a buffer of its own.
    fn copy(&mut self, x: ValueId) -> ValueId {
        let id = self.new_base(self.types[x.index()].clone(), 0);
        let node = Node {
            id,
            operator: None,
            operands: vec![x],
        };
        self.join(node);
        id
    }

    /// `x` itself if it is contiguous in a buffer, else a copy that is.
    fn contiguous(&mut self, x: ValueId) -> ValueId {
        match &self.places[x.index()] {
            Place::View { base, layout } if layout.is_contiguous() => {
                let base = *base;
                self.store(base);
                base
            }
            _ => {
                let copy = self.copy(x);
                self.store(copy);
                copy
            }
        }
    }

    /// `x` as buffer and strides, copied only if it has no buffer.
    fn strided(&mut self, x: ValueId) -> (ValueId, Layout) {
        let place = self.places[x.index()].clone();
        match place {
            Place::View { base, layout } => {
                self.store(base);
                (base, layout)
            }
            Place::Splat(_) => {
                let copy = self.contiguous(x);
                (copy, Layout::contiguous(&self.types[copy.index()].shape))
            }
        }
    }

    /// Marks a value as needed outside the group that computes it.
    fn store(&mut self, base: ValueId) {
        if let Some(Entry::Draft(draft)) = self.made_by[base.index()]
            .checked_sub(1)
            .map(|at| &mut self.entries[at])
        {
            draft.store(base);
        }
    }

    fn push(&mut self, id: ValueId, step: Step) {
        self.entries.push(Entry::Fixed(step));
        self.set_base(id, self.entries.len());
    }

    fn matmul(&mut self, id: ValueId, a: ValueId, b: ValueId) {
        let (a, b) = (self.strided(a), self.strided(b));
        let product = product(&a.1, &b.1);
        let role = self
            .program
            .inputs()
            .get(b.0.index())
            .map(|input| input.role);
        let is_weight = matches!(role, Some(Role::Param | Role::Constant));
        let keep_packed = is_weight && product.batches.len() == 1 && product.m < KEEP_PACKED_BELOW;
        let Product {
            m,
            n,
            k,
            a_strides,
            b_strides,
            batches,
        } = product;
        let a = MatmulOperand {
            base: a.0,
            row_stride: a_strides.0,
            k_stride: a_strides.1,
        };
        let b = MatmulOperand {
            base: b.0,
            row_stride: b_strides.0,
            k_stride: b_strides.1,
        };
        self.push(
            id,
            Step::Matmul(Matmul {
                m,
                n,
                k,
                a,
                b,
                batches,
                keep_packed,
                value: id,
            }),
        );
    }

    fn gather(&mut self, id: ValueId, table: ValueId, ids: ValueId) {
        let shape = &self.types[table.index()].shape;
        let (rows, width) = (shape.rows(), shape.last());
        let (table, ids) = (self.contiguous(table), self.contiguous(ids));
        self.push(
            id,
            Step::Gather {
                table,
                ids,
                rows,
                width,
                value: id,
            },
        );
    }

    fn take_many(&mut self, id: ValueId, x: ValueId, ids: ValueId) {
        let length = self.types[x.index()].shape.last();
        let picks = self.types[ids.index()].shape.last();
        let (x, ids) = (self.contiguous(x), self.contiguous(ids));
        self.push(
            id,
            Step::TakeMany {
                x,
                ids,
                length,
                picks,
                value: id,
            },
        );
    }

    fn concat(&mut self, id: ValueId, operands: &[ValueId], axis: usize) {
        let whole = Layout::contiguous(&self.types[id.index()].shape);
        let mut start = vec![0; whole.dims.len()];
        let mut pasted = Vec::new();
        for &operand in operands {
            let (base, layout) = self.strided(operand);
            let end = self.region_end(operand, &start);
            let target = whole.slice(&start, &end);
            start[axis] = end[axis];
            pasted.push((base, layout, target));
        }
        self.push(
            id,
            Step::Paste {
                operands: pasted,
                clear: false,
                value: id,
            },
        );
    }

    fn pad(&mut self, id: ValueId, x: ValueId, before: &[usize]) {
        let whole = Layout::contiguous(&self.types[id.index()].shape);
        let (base, layout) = self.strided(x);
        let target = whole.slice(before, &self.region_end(x, before));
        self.push(
            id,
            Step::Paste {
                operands: vec![(base, layout, target)],
                clear: true,
                value: id,
            },
        );
    }

    fn region_end(&self, x: ValueId, start: &[usize]) -> Vec<usize> {
        let dims = self.types[x.index()].shape.dims();
        start
            .iter()
            .zip(dims)
            .map(|(start, dim)| start + dim)
            .collect()
    }

    fn update_rows(&mut self, id: ValueId, [base, rows, at]: [ValueId; 3]) {
        let shape = &self.types[base.index()].shape;
        let (height, width) = (shape.dims()[shape.rank() - 2], shape.last());
        let count = self.types[rows.index()].shape.dims()[shape.rank() - 2];
        let [base, rows, at] = [base, rows, at].map(|x| self.contiguous(x));
        self.push(
            id,
            Step::UpdateRows {
                base,
                rows,
                at,
                height,
                count,
                width,
                value: id,
            },
        );
    }

    fn philox(&mut self, id: ValueId, key: ValueId, counter: ValueId, lanes: usize) {
        let (key, counter) = (self.contiguous(key), self.contiguous(counter));
        self.push(
            id,
            Step::Philox {
                key,
                counter,
                lanes,
                value: id,
            },
        );
    }

    fn fuse(&mut self, id: ValueId, operator: Operator, operands: &[ValueId]) {
        self.set_base(id, 0);
        self.join(Node {
            id,
            operator: Some(operator),
            operands: operands.to_vec(),
        });
    }

    /// Adds a fusible node to the group that suits it, or to a new one.
    fn join(&mut self, mut node: Node) {
        let makers = node.operands.iter().filter_map(|id| self.maker(*id));
        let earliest = makers.max().unwrap_or(0);
        let at = self.joinable(&node, earliest).unwrap_or_else(|| {
            let dims = self.domain(&node);
            self.entries.push(Entry::Draft(Draft::new(dims)));
            self.entries.len()
        });
        self.recompute_operands(&mut node, at);
        self.add(node, at);
    }

    /// Adds a node to a group that it fits.
    pub(super) fn add(&mut self, node: Node, at: usize) {
        self.made_by[node.id.index()] = at;
        self.store_foreign(&node, at);
        if let Entry::Draft(draft) = &mut self.entries[at - 1] {
            let accesses = draft
                .accesses(&node, &self.types, &self.places)
                .unwrap_or_default();
            draft.add(node, &self.types, accesses);
        }
    }

    fn maker(&self, id: ValueId) -> Option<usize> {
        match &self.places[id.index()] {
            Place::View { base, .. } => Some(self.made_by[base.index()]),
            Place::Splat(_) => None,
        }
    }

    /// The group that computes the latest operand if the node fits there, else the last later group
    /// that shares an operand with it.
    fn joinable(&self, node: &Node, earliest: usize) -> Option<usize> {
        let fits = |at: usize| match at.checked_sub(1).map(|index| &self.entries[index]) {
            Some(Entry::Draft(draft)) => {
                draft.has_room(node.operands.len())
                    && draft.accesses(node, &self.types, &self.places).is_some()
            }
            _ => false,
        };
        let shares = |at: &usize| match &self.entries[at - 1] {
            Entry::Draft(draft) => draft.shares_operand(node, &self.places),
            Entry::Fixed(_) => false,
        };
        let later = (earliest + 1..=self.entries.len()).rev().filter(shares);
        std::iter::once(earliest).chain(later).find(|&at| fits(at))
    }

    fn domain(&self, node: &Node) -> Vec<usize> {
        let shaped_like = match node.operator {
            Some(
                Operator::Sum | Operator::ReduceMax | Operator::Argmax | Operator::TakeAlongLast,
            ) => node.operands[0],
            _ => node.id,
        };
        let dims = self.types[shaped_like.index()].shape.dims();
        if dims.is_empty() {
            vec![1]
        } else {
            dims.to_vec()
        }
    }

    /// Operands computed by other groups must be stored by them.
    fn store_foreign(&mut self, node: &Node, at: usize) {
        for operand in &node.operands {
            if let Place::View { base, .. } = self.places[operand.index()].clone()
                && self.made_by[base.index()] != at
            {
                self.store(base);
            }
        }
    }

    /// Gives every output a buffer that no other output or input has.
    fn outputs(&mut self) -> Vec<ValueId> {
        let mut bases: Vec<ValueId> = Vec::new();
        for output in self.program.outputs() {
            let computed = match &self.places[output.value.index()] {
                Place::View { base, layout } => {
                    let fresh = self.made_by[base.index()] > 0 && !bases.contains(base);
                    let is_whole = layout.elements() == self.types[base.index()].shape.elements();
                    (fresh && is_whole && layout.is_contiguous()).then_some(*base)
                }
                Place::Splat(_) => None,
            };
            let base = computed.unwrap_or_else(|| self.copy(output.value));
            self.store(base);
            bases.push(base);
        }
        bases
    }

    fn finish(mut self) -> Plan {
        let outputs = self.outputs();
        let steps: Vec<Step> = std::mem::take(&mut self.entries)
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Draft(draft) => draft.finish().map(Step::Rows),
                Entry::Fixed(step) => Some(step),
            })
            .collect();
        let words: Vec<usize> = self.types.iter().map(|ty| ty.shape.elements()).collect();
        let inputs = self.program.inputs().len();
        let persistent = super::buffers::Persistent {
            inputs,
            counters: &self.counters,
            outputs: &outputs,
        };
        let assigned = super::buffers::assign(&steps, &words, &persistent, |input, value| {
            self.is_carried(&outputs, input, value)
        });
        let buffer = |id: &ValueId| assigned.buffer_of[id.index()].unwrap_or(BufferId(0));
        Plan {
            counters: self.counters.iter().map(buffer).collect(),
            outputs: outputs.iter().map(buffer).collect(),
            buffer_of: assigned.buffer_of,
            value_words: words,
            buffer_words: assigned.words,
            steps,
        }
    }

    /// Whether `value` is the output that becomes the next value of state input `input`.
    fn is_carried(&self, outputs: &[ValueId], input: ValueId, value: ValueId) -> bool {
        let Some(declared) = self.program.inputs().get(input.index()) else {
            return false;
        };
        let replaces = |(output, base): (&crate::program::Output, &ValueId)| {
            output.name == declared.name
                && *base == value
                && self.types[output.value.index()] == declared.ty
        };
        declared.role == Role::State && self.program.outputs().iter().zip(outputs).any(replaces)
    }
}

fn see_through(operator: &Operator, layout: &Layout) -> Option<Layout> {
    match operator {
        Operator::Reshape(shape) => layout.reshape(shape.dims()),
        Operator::Permute(axes) => Some(layout.permute(axes)),
        Operator::Expand(shape) => Some(layout.expand(shape.dims())),
        Operator::Slice { starts, ends } => Some(layout.slice(starts, ends)),
        _ => None,
    }
}

struct Product {
    m: usize,
    n: usize,
    k: usize,
    a_strides: (usize, usize),
    b_strides: (usize, usize),
    batches: Vec<(usize, usize, usize)>,
}

/// Works out the matrices of a batched product; a B shared by the whole batch turns the batch into
/// more rows of A.
fn product(a: &Layout, b: &Layout) -> Product {
    let outer = a.dims.len() - 2;
    let (m, n, k) = (a.dims[outer], b.dims[outer], a.dims[outer + 1]);
    let strides = |layout: &Layout| (layout.strides[outer], layout.strides[outer + 1]);
    let shared = b.dims[..outer]
        .iter()
        .zip(&b.strides)
        .all(|(&dim, &stride)| dim == 1 || stride == 0);
    let rows: usize = a.dims[..outer].iter().product::<usize>() * m;
    if let (true, Some(flat)) = (shared, a.reshape(&[rows, k])) {
        let batches = vec![(flat.offset, b.offset, 0)];
        return Product {
            m: rows,
            n,
            k,
            a_strides: (flat.strides[0], flat.strides[1]),
            b_strides: strides(b),
            batches,
        };
    }
    let batches = starts(a, outer)
        .into_iter()
        .zip(starts(b, outer))
        .enumerate();
    let batches = batches
        .map(|(index, (a, b))| (a, b, index * m * n))
        .collect();
    Product {
        m,
        n,
        k,
        a_strides: strides(a),
        b_strides: strides(b),
        batches,
    }
}

/// Place of the first element of every matrix of a batch.
fn starts(layout: &Layout, outer: usize) -> Vec<usize> {
    let mut starts = vec![layout.offset];
    for (&dim, &stride) in layout.dims[..outer].iter().zip(&layout.strides) {
        starts = starts
            .iter()
            .flat_map(|&start| (0..dim).map(move |index| start + index * stride))
            .collect();
    }
    starts
}
