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

use crate::program::{Operator, Output, Program, Role, Shape, TensorType, ValueId};

use super::buffers::{Assigned, Persistent, assign};
use super::draft::{Action, Draft, Node};
use super::layout::Layout;
use super::rotate::{Rotation, rotations};
use super::step::{
    BufferId, Gather, Matmul, MatmulOperand, Paste, Pasted, Philox, Place, Starts, Step, TakeMany,
    UpdateRows,
};

/// Entries back to which a node may join a group: about a layer's. What joins a group further back
/// is computed long before it is read, and kept all the while: a backward pass that computes
/// forward values again would have them kept after all.
const REACH: usize = 32;

/// Rows of A below which keeping B packed pays: decoding, where B is read once per call.
const KEEP_PACKED_BELOW: usize = 128;

/// Everything a session needs to execute a program.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Inputs come first, in input order.
    pub buffers: Assigned,
    /// Words of each base value; its buffer may be larger.
    pub value_words: Vec<usize>,
    /// Buffers that hold 0, 1, 2, ….
    pub counters: Vec<BufferId>,
    /// Buffer of each output, in output order.
    pub outputs: Vec<BufferId>,
}

impl Plan {
    pub fn new(program: &Program) -> Self {
        let mut planner = Planner::new(program);
        let is_early = scalars_of_inputs(program);
        let (early, late): (Vec<usize>, Vec<usize>) =
            (0..program.nodes().len()).partition(|&index| is_early[index]);
        for index in early.into_iter().chain(late) {
            planner.node(index);
        }
        planner.finish()
    }
}

/// By node: whether it is one element that follows from inputs of one element. These are computed
/// first, so that a group whose later members read them (the update of a parameter reads the
/// learning rate's corrections) need not be cut in two.
fn scalars_of_inputs(program: &Program) -> Vec<bool> {
    let is_scalar = |ty: &TensorType| ty.shape.elements() == 1;
    let inputs = program.inputs().len();
    let mut known: Vec<bool> = program
        .inputs()
        .iter()
        .map(|input| is_scalar(&input.ty))
        .collect();
    for node in program.nodes() {
        let follows = node.inputs.iter().all(|operand| known[operand.index()]);
        known.push(follows && is_scalar(&node.ty));
    }
    known.split_off(inputs)
}

/// One entry of the step list while it grows: groups stay open for later nodes.
#[derive(Debug)]
pub(super) enum Entry {
    Draft(Draft),
    Fixed(Step),
}

/// Number of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EntryId(usize);

pub(super) struct Planner<'a> {
    pub(super) program: &'a Program,
    /// By value id; ids past the program's are copies that the plan needed.
    pub(super) types: Vec<TensorType>,
    pub(super) places: Vec<Place>,
    /// The entry that computes a base value; none for inputs and counters.
    pub(super) made_by: Vec<Option<EntryId>>,
    entries: Vec<Entry>,
    counters: Vec<ValueId>,
    needed: Vec<bool>,
    /// Patterns that are one instruction, by the value that they end in.
    pub(super) rotations: HashMap<ValueId, (Rotation, ValueId)>,
    /// What a group computed again, by group and original.
    pub(super) copies: HashMap<(EntryId, ValueId), ValueId>,
}

impl<'a> Planner<'a> {
    fn new(program: &'a Program) -> Self {
        let rotations = rotations(program);
        let mut planner = Self {
            program,
            types: Vec::new(),
            places: Vec::new(),
            made_by: Vec::new(),
            entries: Vec::new(),
            counters: Vec::new(),
            needed: needed(program, &rotations),
            rotations,
            copies: HashMap::new(),
        };
        for input in program.inputs() {
            planner.new_base(input.ty.clone());
        }
        planner
            .types
            .extend(program.nodes().iter().map(|node| node.ty.clone()));
        planner
            .places
            .resize(program.value_count(), Place::Splat(0));
        planner.made_by.resize(program.value_count(), None);
        planner
    }

    /// A further value with a contiguous buffer of its own.
    pub(super) fn new_base(&mut self, ty: TensorType) -> ValueId {
        let id = ValueId(self.types.len() as u32);
        self.places.push(Place::View {
            base: id,
            layout: Layout::contiguous(&ty.shape),
        });
        self.types.push(ty);
        self.made_by.push(None);
        id
    }

    /// Gives a value of the program a contiguous buffer of its own.
    fn set_base(&mut self, id: ValueId) {
        let layout = Layout::contiguous(&self.types[id.index()].shape);
        self.places[id.index()] = Place::View { base: id, layout };
    }

    fn node(&mut self, index: usize) {
        let id = self.program.id_of_node(index);
        if !self.needed[id.index()] {
            return;
        }
        if let Some(&(rotation, x)) = self.rotations.get(&id) {
            return self.fuse(id, Action::Rotate(rotation), &[x]);
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
            (operator, _) => self.fuse(id, Action::Apply(operator.clone()), &node.inputs),
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
                let base = self.new_base(TensorType::i32([length]));
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
        let base = self.copy(x);
        let layout = Layout::contiguous(&self.types[id.index()].shape);
        self.places[id.index()] = Place::View { base, layout };
    }

    /// A fresh value with the elements of `x`, contiguous in a buffer of its own.
    fn copy(&mut self, x: ValueId) -> ValueId {
        let id = self.new_base(self.types[x.index()].clone());
        let node = Node {
            id,
            action: Action::Copy,
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
        if let Some(entry) = self.made_by[base.index()]
            && let Entry::Draft(draft) = &mut self.entries[entry.0]
        {
            draft.store(base);
        }
    }

    fn push(&mut self, id: ValueId, step: Step) {
        self.set_base(id);
        self.made_by[id.index()] = Some(self.next_entry());
        self.entries.push(Entry::Fixed(step));
    }

    fn next_entry(&self) -> EntryId {
        EntryId(self.entries.len())
    }

    fn matmul(&mut self, value: ValueId, a: ValueId, b: ValueId) {
        let (a_base, a) = self.strided(a);
        let (b_base, b) = self.strided(b);
        if let Some(heads) = heads(&a, &b) {
            return self.heads(value, heads, [(a_base, &a), (b_base, &b)]);
        }
        let product = product(&a, &b);
        let b_role = self.program.inputs().get(b_base.index());
        let is_weight = b_role.is_some_and(|b| matches!(b.role, Role::Param | Role::Constant));
        let keep_packed = is_weight && product.batches.len() == 1 && product.m < KEEP_PACKED_BELOW;
        let step = Matmul {
            m: product.m,
            n: product.n,
            k: product.k,
            a: MatmulOperand {
                base: a_base,
                row_stride: product.a_strides.0,
                k_stride: product.a_strides.1,
            },
            b: MatmulOperand {
                base: b_base,
                row_stride: product.b_strides.0,
                k_stride: product.b_strides.1,
            },
            c_row_stride: product.n,
            batches: product.batches,
            keep_packed,
            value,
        };
        self.push(value, Step::Matmul(step));
    }

    /// A batch of products whose results lie side by side, as their operands do.
    fn heads(&mut self, value: ValueId, heads: Heads, operands: [(ValueId, &Layout); 2]) {
        let [(a_base, a), (b_base, b)] = match heads {
            Heads::OfB => operands,
            Heads::OfA => [operands[1], operands[0]],
        };
        let outer = a.dims.len() - 2;
        let (m, n, k) = (a.dims[outer], b.dims[outer], a.dims[outer + 1]);
        // Axes of the value: …, head, then rows and columns, which are A's and B's or B's and A's.
        let rows_and_columns = match heads {
            Heads::OfB => [outer, outer + 1],
            Heads::OfA => [outer + 1, outer],
        };
        let mut order: Vec<usize> = (0..outer - 1).collect();
        order.extend([rows_and_columns[0], outer - 1, rows_and_columns[1]]);
        let layout = Layout::stored(&self.types[value.index()].shape, &order);
        let [a_starts, b_starts, c_starts] = [a, b, &layout].map(|layout| starts(layout, outer));
        let batches = a_starts.into_iter().zip(b_starts).zip(c_starts);
        let operand = |base, layout: &Layout| MatmulOperand {
            base,
            row_stride: layout.strides[outer],
            k_stride: layout.strides[outer + 1],
        };
        let step = Matmul {
            m,
            n,
            k,
            a: operand(a_base, a),
            b: operand(b_base, b),
            c_row_stride: layout.strides[rows_and_columns[0]],
            batches: batches.map(|((a, b), c)| Starts { a, b, c }).collect(),
            keep_packed: false,
            value,
        };
        self.push(value, Step::Matmul(step));
        let base = value;
        self.places[value.index()] = Place::View { base, layout };
    }

    fn gather(&mut self, value: ValueId, table: ValueId, ids: ValueId) {
        let shape = &self.types[table.index()].shape;
        let step = Gather {
            rows: shape.rows(),
            width: shape.last(),
            table: self.contiguous(table),
            ids: self.contiguous(ids),
            value,
        };
        self.push(value, Step::Gather(step));
    }

    fn take_many(&mut self, value: ValueId, x: ValueId, ids: ValueId) {
        let step = TakeMany {
            length: self.types[x.index()].shape.last(),
            picks: self.types[ids.index()].shape.last(),
            x: self.contiguous(x),
            ids: self.contiguous(ids),
            value,
        };
        self.push(value, Step::TakeMany(step));
    }

    fn concat(&mut self, value: ValueId, operands: &[ValueId], axis: usize) {
        let whole = Layout::contiguous(&self.types[value.index()].shape);
        let mut start = vec![0; whole.dims.len()];
        let mut pasted = Vec::new();
        for &operand in operands {
            let (base, from) = self.strided(operand);
            let end = self.region_end(operand, &start);
            let to = whole.slice(&start, &end);
            start[axis] = end[axis];
            pasted.push(Pasted { base, from, to });
        }
        let step = Paste {
            operands: pasted,
            clear: false,
            value,
        };
        self.push(value, Step::Paste(step));
    }

    fn pad(&mut self, value: ValueId, x: ValueId, before: &[usize]) {
        let whole = Layout::contiguous(&self.types[value.index()].shape);
        let (base, from) = self.strided(x);
        let to = whole.slice(before, &self.region_end(x, before));
        let step = Paste {
            operands: vec![Pasted { base, from, to }],
            clear: true,
            value,
        };
        self.push(value, Step::Paste(step));
    }

    fn region_end(&self, x: ValueId, start: &[usize]) -> Vec<usize> {
        let dims = self.types[x.index()].shape.dims();
        start
            .iter()
            .zip(dims)
            .map(|(start, dim)| start + dim)
            .collect()
    }

    fn update_rows(&mut self, value: ValueId, [base, rows, at]: [ValueId; 3]) {
        let shape = &self.types[base.index()].shape;
        let matrix_axis = shape.rank() - 2;
        let step = UpdateRows {
            height: shape.dims()[matrix_axis],
            count: self.types[rows.index()].shape.dims()[matrix_axis],
            width: shape.last(),
            base: self.contiguous(base),
            rows: self.contiguous(rows),
            at: self.contiguous(at),
            value,
        };
        self.push(value, Step::UpdateRows(step));
    }

    fn philox(&mut self, value: ValueId, key: ValueId, counter: ValueId, lanes: usize) {
        let step = Philox {
            key: self.contiguous(key),
            counter: self.contiguous(counter),
            lanes,
            value,
        };
        self.push(value, Step::Philox(step));
    }

    fn fuse(&mut self, id: ValueId, action: Action, operands: &[ValueId]) {
        self.join(Node {
            id,
            action,
            operands: operands.to_vec(),
        });
    }

    /// Adds a fusible node to the group that suits it, or to a new one.
    fn join(&mut self, mut node: Node) {
        let makers = node.operands.iter().filter_map(|id| self.maker(*id));
        let latest = makers.max();
        let group = match self.joinable(&node, latest) {
            Some(group) => group,
            None => {
                let (group, dims) = (self.next_entry(), self.domain(&node));
                let order = self.row_order(&node, &dims);
                let draft = Draft::new(dims, order);
                self.entries.push(Entry::Draft(draft));
                group
            }
        };
        self.recompute_operands(&mut node, group);
        self.add(node, group);
    }

    /// Adds a node to a group that it fits.
    #[expect(
        clippy::expect_used,
        reason = "a node that does not fit would be computed from other operands"
    )]
    pub(super) fn add(&mut self, node: Node, group: EntryId) {
        self.made_by[node.id.index()] = Some(group);
        self.store_foreign(&node, group);
        let Entry::Draft(draft) = &mut self.entries[group.0] else {
            unreachable!("invariant: only drafts are groups");
        };
        let accesses = draft
            .accesses(&node, &self.types, &self.places)
            .expect("invariant: a node is added to a group that it fits");
        let (base, layout) = (node.id, draft.layout_of(&self.types[node.id.index()].shape));
        draft.add(node, &self.types, accesses);
        self.places[base.index()] = Place::View { base, layout };
    }

    /// The entry that makes the buffer of a value.
    fn maker(&self, id: ValueId) -> Option<EntryId> {
        match &self.places[id.index()] {
            Place::View { base, .. } => self.made_by[base.index()],
            Place::Splat(_) => None,
        }
    }

    /// A group, unless the entry is a step of its own.
    pub(super) fn draft(&self, entry: EntryId) -> Option<&Draft> {
        match &self.entries[entry.0] {
            Entry::Draft(draft) => Some(draft),
            Entry::Fixed(_) => None,
        }
    }

    /// Whether an entry is a group that can take a node and another one of `more` operands.
    pub(super) fn fits(&self, node: &Node, entry: EntryId, more: usize) -> bool {
        self.draft(entry).is_some_and(|draft| {
            draft.has_room(node.operands.len() + more)
                && draft.accesses(node, &self.types, &self.places).is_some()
        })
    }

    /// The group that computes the latest operand if the node fits there, else the last later group
    /// that shares an operand with it; none that is out of [`REACH`].
    fn joinable(&self, node: &Node, latest: Option<EntryId>) -> Option<EntryId> {
        let after = latest.map_or(0, |entry| entry.0 + 1);
        let later = (after..self.entries.len()).rev().map(EntryId);
        let sharing = later.filter(|&entry| {
            self.draft(entry)
                .is_some_and(|draft| draft.shares_operand(node, &self.places))
        });
        let first = self.entries.len().saturating_sub(REACH);
        latest
            .into_iter()
            .chain(sharing)
            .find(|&entry| entry.0 >= first && self.fits(node, entry, 0))
    }

    fn domain(&self, node: &Node) -> Vec<usize> {
        let shaped_like = match node.action {
            Action::Apply(
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

    /// The order in which a new group computes rows: that in which the rows of its first operand
    /// follow each other in memory. What follows from heads that lie side by side lies side by
    /// side, too, without a copy before or after.
    fn row_order(&self, node: &Node, dims: &[usize]) -> Vec<usize> {
        let columns = dims.len() - 1;
        let mut order: Vec<usize> = (0..dims.len()).collect();
        let moves = matches!(
            node.action,
            Action::Copy | Action::Apply(Operator::OneHot { .. })
        );
        let mut layouts = node.operands.iter().map(|id| &self.places[id.index()]);
        let found = layouts.find_map(|place| match place {
            Place::View { layout, .. } if layout.dims == dims && is_rows_once(layout) => {
                Some(layout)
            }
            _ => None,
        });
        if let Some(layout) = found.filter(|_| !moves) {
            order[..columns].sort_by_key(|&axis| std::cmp::Reverse(layout.strides[axis]));
        }
        order
    }

    /// Operands computed by other groups must be stored by them.
    fn store_foreign(&mut self, node: &Node, group: EntryId) {
        for operand in &node.operands {
            if let Place::View { base, .. } = self.places[operand.index()]
                && self.made_by[base.index()] != Some(group)
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
                    let fresh = self.made_by[base.index()].is_some() && !bases.contains(base);
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
        let mut steps: Vec<Step> = std::mem::take(&mut self.entries)
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Draft(draft) => draft.finish().map(Step::Rows),
                Entry::Fixed(step) => Some(step),
            })
            .collect();
        let value_words: Vec<usize> = self.types.iter().map(|ty| ty.shape.elements()).collect();
        let persistent = Persistent {
            inputs: self.program.inputs().len(),
            counters: &self.counters,
            outputs: &outputs,
        };
        let buffers = assign(&mut steps, &value_words, &persistent, |input, value| {
            self.is_carried(&outputs, input, value)
        });
        Plan {
            counters: self.counters.iter().map(|&id| buffers.of(id)).collect(),
            outputs: outputs.iter().map(|&id| buffers.of(id)).collect(),
            buffers,
            value_words,
            steps,
        }
    }

    /// Whether `value` is the output that becomes the next value of state input `input`.
    fn is_carried(&self, outputs: &[ValueId], input: ValueId, value: ValueId) -> bool {
        let Some(declared) = self.program.inputs().get(input.index()) else {
            return false;
        };
        let replaces = |(output, base): (&Output, &ValueId)| {
            output.name == declared.name
                && *base == value
                && self.types[output.value.index()] == declared.ty
        };
        declared.role == Role::State && self.program.outputs().iter().zip(outputs).any(replaces)
    }
}

/// Whether every row lies somewhere else, its elements side by side.
fn is_rows_once(layout: &Layout) -> bool {
    let columns = layout.dims.len() - 1;
    let mut outer = layout.dims.iter().zip(&layout.strides).take(columns);
    layout.last_stride() == 1 && outer.all(|(&dim, &stride)| dim > 1 && stride > 0)
}

/// By value: whether an output is made of it, where patterns that are one instruction read what
/// they end up reading.
fn needed(program: &Program, rotations: &HashMap<ValueId, (Rotation, ValueId)>) -> Vec<bool> {
    let mut needed = vec![false; program.value_count()];
    for output in program.outputs() {
        needed[output.value.index()] = true;
    }
    for (index, node) in program.nodes().iter().enumerate().rev() {
        let id = program.id_of_node(index);
        if !needed[id.index()] {
            continue;
        }
        match rotations.get(&id) {
            Some((_, x)) => needed[x.index()] = true,
            None => node.inputs.iter().for_each(|x| needed[x.index()] = true),
        }
    }
    needed
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

/// Which operand of a batch of products has its matrices side by side: in every row of it the
/// columns of one head follow those of another.
#[derive(Clone, Copy)]
enum Heads {
    OfA,
    /// The columns of the result are those of B's heads.
    OfB,
}

fn heads(a: &Layout, b: &Layout) -> Option<Heads> {
    if are_side_by_side(b) {
        Some(Heads::OfB)
    } else if are_side_by_side(a) {
        Some(Heads::OfA)
    } else {
        None
    }
}

/// Whether the last axis of the batch lies between the reduced axis and the other one.
fn are_side_by_side(layout: &Layout) -> bool {
    let Some(head) = layout.dims.len().checked_sub(3) else {
        return false;
    };
    let ([heads, columns], [head_stride, stride, k_stride]) = (
        [layout.dims[head], layout.dims[head + 1]],
        [0, 1, 2].map(|axis| layout.strides[head + axis]),
    );
    heads > 1 && columns > 1 && stride == 1 && head_stride == columns && k_stride >= heads * columns
}

/// The matrices of a batched product.
struct Product {
    m: usize,
    n: usize,
    k: usize,
    /// Strides of rows and of the reduced axis.
    a_strides: (usize, usize),
    b_strides: (usize, usize),
    batches: Vec<Starts>,
}

/// Works out the matrices of a batched product; a B shared by the whole batch turns the batch into
/// more rows of A.
fn product(a: &Layout, b: &Layout) -> Product {
    let outer = a.dims.len() - 2;
    let (m, n, k) = (a.dims[outer], b.dims[outer], a.dims[outer + 1]);
    let b_strides = (b.strides[outer], b.strides[outer + 1]);
    let shared = b.dims[..outer]
        .iter()
        .zip(&b.strides)
        .all(|(&dim, &stride)| dim == 1 || stride == 0);
    let rows: usize = a.dims[..outer].iter().product::<usize>() * m;
    if let (true, Some(flat)) = (shared, a.reshape(&[rows, k])) {
        let start = Starts {
            a: flat.offset,
            b: b.offset,
            c: 0,
        };
        return Product {
            m: rows,
            n,
            k,
            a_strides: (flat.strides[0], flat.strides[1]),
            b_strides,
            batches: vec![start],
        };
    }
    let operands = starts(a, outer).into_iter().zip(starts(b, outer));
    Product {
        m,
        n,
        k,
        a_strides: (a.strides[outer], a.strides[outer + 1]),
        b_strides,
        batches: operands
            .enumerate()
            .map(|(index, (a, b))| Starts {
                a,
                b,
                c: index * m * n,
            })
            .collect(),
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
