//! A fused group while it grows: which values it holds, and how a further node would read its
//! operands.

use std::collections::{BTreeSet, HashMap};

use crate::program::{DType, Elementwise, Operator, Shape, TensorType, ValueId};

use super::layout::Layout;
use super::rotate::Rotation;
use super::rows::{Code, Extent, Instruction, Load, MAX_LOADS, MAX_REGISTERS, Operand, RowKernel};
use super::step::Place;

/// A node that rows can compute.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: ValueId,
    pub action: Action,
    pub operands: Vec<ValueId>,
}

/// What a node does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// The same elements, in order.
    Copy,
    /// Both halves of each row turned.
    Rotate(Rotation),
    /// An operator on its operands.
    Apply(Operator),
}

/// How a node reads one operand inside a group.
#[derive(Clone, Debug)]
pub(super) enum Access {
    Splat(u32),
    /// A value of the group, element by element.
    Member(usize),
    /// A row value of the group, repeated along the columns.
    MemberPerRow(usize),
    /// A value from a buffer.
    External(Load),
}

/// Registers are virtual here: each is written once.
#[derive(Debug)]
pub(super) struct Draft {
    /// The axes of the domain as its values have them.
    dims: Vec<usize>,
    /// In which order rows are computed and stored: the outer axes from the slowest on, then the
    /// columns.
    order: Vec<usize>,
    rows: usize,
    cols: usize,
    loads: Vec<Load>,
    loaded: HashMap<usize, usize>,
    instructions: Vec<Instruction>,
    extents: Vec<Extent>,
    members: HashMap<ValueId, usize>,
    stored: BTreeSet<ValueId>,
}

impl Draft {
    /// An empty group over a domain of at least one axis; the last is the columns, and stays the
    /// last in `order`.
    pub fn new(dims: Vec<usize>, order: Vec<usize>) -> Self {
        let outer = dims.len() - 1;
        let (rows, cols) = (dims[..outer].iter().product(), dims[outer]);
        Self {
            dims,
            order,
            rows,
            cols,
            loads: Vec::new(),
            loaded: HashMap::new(),
            instructions: Vec::new(),
            extents: Vec::new(),
            members: HashMap::new(),
            stored: BTreeSet::new(),
        }
    }

    /// Marks a member as needed outside.
    pub fn store(&mut self, id: ValueId) {
        self.stored.insert(id);
    }

    /// Whether a member is needed outside so far.
    pub fn stores(&self, id: ValueId) -> bool {
        self.stored.contains(&id)
    }

    /// The extent of a member.
    pub fn extent(&self, id: ValueId) -> Option<Extent> {
        self.members
            .get(&id)
            .and_then(|&register| self.extents.get(register))
            .copied()
    }

    /// Whether the group reads the buffer of a value.
    pub fn reads(&self, base: ValueId) -> bool {
        self.loads.iter().any(|load| load.base == base)
    }

    /// Elements of the domain.
    pub fn elements(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether registers and loads would stay below their limits with a node of so many operands.
    pub fn has_room(&self, operands: usize) -> bool {
        self.extents.len() + operands + 2 < MAX_REGISTERS
            && self.loads.len() + operands <= MAX_LOADS
    }

    /// Whether the node reads something that the group computes or reads, scalars aside.
    pub fn shares_operand(&self, node: &Node, places: &[Place]) -> bool {
        node.operands.iter().any(|id| match &places[id.index()] {
            Place::View { base, layout } => {
                let known = self.members.contains_key(base)
                    || self.loads.iter().any(|load| load.base == *base);
                known && layout.elements() > 1 && layout.strides.iter().any(|&stride| stride != 0)
            }
            Place::Splat(_) => false,
        })
    }

    /// How the node would read its operands here, or `None` if it does not fit this domain.
    pub fn accesses(
        &self,
        node: &Node,
        types: &[TensorType],
        places: &[Place],
    ) -> Option<Vec<Access>> {
        if !self.is_ordered() && !self.has_axes_of(node, types) {
            return None;
        }
        let extents = self.operand_extents(node, types)?;
        let operands = node.operands.iter().zip(extents);
        operands
            .map(|(id, extent)| self.access(&places[id.index()], extent))
            .collect()
    }

    /// Whether rows are computed in the order of the values' axes.
    fn is_ordered(&self) -> bool {
        self.order.is_sorted()
    }

    /// Whether the node's axes are those of the domain, so that their order can be said of it.
    fn has_axes_of(&self, node: &Node, types: &[TensorType]) -> bool {
        let is_domain = |id: ValueId| {
            let dims = types[id.index()].shape.dims();
            let outer = self.dims.len() - 1;
            dims.len() == self.dims.len()
                && dims[..outer] == self.dims[..outer]
                && [1, self.cols].contains(&dims[outer])
        };
        let one_hot = matches!(node.action, Action::Apply(Operator::OneHot { .. }));
        let copy = matches!(node.action, Action::Copy);
        !one_hot && !copy && is_domain(node.id) && node.operands.iter().all(|&id| is_domain(id))
    }

    /// Where a member of this shape lies in a buffer of its own.
    pub fn layout_of(&self, shape: &Shape) -> Layout {
        if self.is_ordered() {
            return Layout::contiguous(shape);
        }
        Layout::stored(shape, &self.order)
    }

    /// A view of full or row extent over the rows in the order in which they are computed.
    fn over_rows(&self, layout: &Layout, extent: Extent) -> Option<Layout> {
        let mut dims = self.dims.clone();
        if let (Extent::Row, Some(last)) = (extent, dims.last_mut()) {
            *last = 1;
        }
        Some(layout.reshape(&dims)?.permute(&self.order))
    }

    fn operand_extents(&self, node: &Node, types: &[TensorType]) -> Option<Vec<Extent>> {
        let shape = |id: ValueId| &types[id.index()].shape;
        let spans = |id: ValueId| shape(id).rows() == self.rows && shape(id).last() == self.cols;
        match &node.action {
            Action::Rotate(_) => spans(node.operands[0]).then(|| vec![Extent::Full]),
            Action::Apply(Operator::Sum | Operator::ReduceMax | Operator::Argmax) => {
                spans(node.operands[0]).then(|| vec![Extent::Full])
            }
            Action::Apply(Operator::TakeAlongLast) => {
                spans(node.operands[0]).then(|| vec![Extent::Full, Extent::Row])
            }
            Action::Apply(Operator::OneHot { .. }) => spans(node.id).then(|| vec![Extent::Row]),
            _ => {
                let extent = self.extent_of(shape(node.id).elements())?;
                Some(vec![extent; node.operands.len()])
            }
        }
    }

    fn extent_of(&self, elements: usize) -> Option<Extent> {
        if elements == self.rows * self.cols {
            Some(Extent::Full)
        } else {
            (elements == self.rows).then_some(Extent::Row)
        }
    }

    fn access(&self, place: &Place, extent: Extent) -> Option<Access> {
        match place {
            Place::Splat(word) => Some(Access::Splat(*word)),
            Place::View { base, layout } => match self.members.get(base) {
                Some(&register) => self.member(register, layout, extent),
                None => self.external(*base, layout, extent),
            },
        }
    }

    fn member(&self, register: usize, layout: &Layout, extent: Extent) -> Option<Access> {
        let held = self.extents[register];
        let same = held == extent || self.cols == 1;
        let in_order = || match self.is_ordered() {
            true => layout.is_contiguous(),
            false => self
                .over_rows(layout, extent)
                .is_some_and(|layout| layout.is_contiguous()),
        };
        if same && in_order() {
            return Some(Access::Member(register));
        }
        let repeats = held == Extent::Row && extent == Extent::Full;
        let over_domain = repeats.then(|| self.over_rows(layout, Extent::Full))??;
        let by_row = over_domain.last_stride() == 0
            && self.rows_in_order(&over_domain)
            && layout.offset == 0;
        by_row.then_some(Access::MemberPerRow(register))
    }

    /// Whether row `r` lies at place `r`.
    fn rows_in_order(&self, layout: &Layout) -> bool {
        self.rows == 1 || layout.row_stride() == Some(1)
    }

    fn external(&self, base: ValueId, layout: &Layout, extent: Extent) -> Option<Access> {
        let layout = merged_rows(self.over_rows(layout, extent)?);
        Some(Access::External(Load {
            base,
            layout,
            extent,
        }))
    }

    /// Appends a node that fits, with the accesses found for it.
    pub fn add(&mut self, node: Node, types: &[TensorType], accesses: Vec<Access>) {
        let mut operands = [Operand::Splat(0); 3];
        for (operand, access) in operands.iter_mut().zip(accesses) {
            *operand = self.operand(access);
        }
        let extent = self.result_extent(&node, types);
        let code = code(&node, types);
        if code.reads_whole_rows() {
            operands[0] = self.spelled_out(operands[0]);
        }
        let target = self.register(extent);
        self.instructions.push(Instruction {
            code,
            extent,
            target,
            operands,
        });
        self.members.insert(node.id, target);
    }

    /// A full operand as a slice, which row operators read.
    fn spelled_out(&mut self, operand: Operand) -> Operand {
        if matches!(operand, Operand::Register(_) | Operand::Direct(_)) {
            return operand;
        }
        let target = self.register(Extent::Full);
        let operands = [operand, Operand::Splat(0), Operand::Splat(0)];
        self.instructions.push(Instruction {
            code: Code::Copy,
            extent: Extent::Full,
            target,
            operands,
        });
        Operand::Register(target)
    }

    #[expect(
        clippy::expect_used,
        reason = "another extent would write other elements"
    )]
    fn result_extent(&self, node: &Node, types: &[TensorType]) -> Extent {
        match &node.action {
            Action::Apply(
                Operator::Sum | Operator::ReduceMax | Operator::Argmax | Operator::TakeAlongLast,
            ) => Extent::Row,
            _ => self
                .extent_of(types[node.id.index()].shape.elements())
                .expect("invariant: a node is added to a group that it fits"),
        }
    }

    fn register(&mut self, extent: Extent) -> usize {
        self.extents.push(extent);
        self.extents.len() - 1
    }

    fn operand(&mut self, access: Access) -> Operand {
        match access {
            Access::Splat(word) => Operand::Splat(word),
            Access::Member(register) => Operand::Register(register),
            Access::MemberPerRow(register) => Operand::PerRow(register),
            Access::External(load) => self.external_operand(load),
        }
    }

    fn external_operand(&mut self, mut load: Load) -> Operand {
        let merged = load.layout.collapse();
        let is_scalar =
            merged.strides.iter().all(|&stride| stride == 0) && load.layout.elements() > 0;
        let in_order = merged.strides == [1];
        let per_row =
            load.extent == Extent::Full && self.cols != 1 && load.layout.last_stride() == 0;
        if is_scalar {
            return Operand::Scalar(self.load(load));
        }
        if in_order {
            return Operand::Direct(self.load(load));
        }
        if per_row {
            load = self.one_per_row(load);
            return Operand::PerRow(self.loaded_register(load));
        }
        Operand::Register(self.loaded_register(load))
    }

    fn one_per_row(&self, load: Load) -> Load {
        let mut layout = load.layout;
        if let Some(last) = layout.dims.last_mut() {
            *last = 1;
        }
        Load {
            layout,
            extent: Extent::Row,
            ..load
        }
    }

    fn load(&mut self, load: Load) -> usize {
        let same = |known: &Load| {
            known.base == load.base && known.extent == load.extent && known.layout == load.layout
        };
        self.loads.iter().position(same).unwrap_or_else(|| {
            self.loads.push(load);
            self.loads.len() - 1
        })
    }

    fn loaded_register(&mut self, load: Load) -> usize {
        let extent = load.extent;
        let index = self.load(load);
        if let Some(&register) = self.loaded.get(&index) {
            return register;
        }
        let target = self.register(extent);
        let (code, operands) = (Code::Load(index), [Operand::Splat(0); 3]);
        self.instructions.push(Instruction {
            code,
            extent,
            target,
            operands,
        });
        self.loaded.insert(index, target);
        target
    }

    /// The kernel, with registers reused once their last reader has run; none if nothing of the
    /// group is needed outside.
    pub fn finish(mut self) -> Option<RowKernel> {
        self.drop_unused();
        (!self.stored.is_empty()).then(|| self.kernel())
    }

    /// Drops what no stored value is made of: members that later groups rather computed again.
    fn drop_unused(&mut self) {
        let mut used = vec![false; self.extents.len()];
        self.stored
            .iter()
            .for_each(|id| used[self.members[id]] = true);
        let mut kept = Vec::with_capacity(self.instructions.len());
        for instruction in self.instructions.drain(..).rev() {
            if used[instruction.target] {
                registers_read(&instruction).for_each(|register| used[register] = true);
                kept.push(instruction);
            }
        }
        kept.reverse();
        self.instructions = kept;
        self.drop_unused_loads();
    }

    fn drop_unused_loads(&mut self) {
        let mut place: Vec<Option<usize>> = vec![None; self.loads.len()];
        let mut loads: Vec<Load> = Vec::new();
        for instruction in &mut self.instructions {
            for index in load_indices(instruction) {
                let new = *place[*index].get_or_insert_with(|| {
                    loads.push(self.loads[*index].clone());
                    loads.len() - 1
                });
                *index = new;
            }
        }
        self.loads = loads;
    }

    fn kernel(self) -> RowKernel {
        let outputs: Vec<(ValueId, usize)> = self
            .stored
            .iter()
            .map(|id| (*id, self.members[id]))
            .collect();
        let last_use = self.last_uses();
        let mut physical: Vec<Option<usize>> = vec![None; self.extents.len()];
        for (index, (_, register)) in outputs.iter().enumerate() {
            physical[*register] = Some(index);
        }
        let mut scratch: Vec<Extent> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut instructions = self.instructions;
        for (at, instruction) in instructions.iter_mut().enumerate() {
            let extent = self.extents[instruction.target];
            let target = *physical[instruction.target].get_or_insert_with(|| {
                let reusable = free.iter().position(|&index| scratch[index] == extent);
                let index = reusable
                    .map(|position| free.swap_remove(position))
                    .unwrap_or_else(|| {
                        scratch.push(extent);
                        scratch.len() - 1
                    });
                outputs.len() + index
            });
            for register in registers_read(instruction) {
                if last_use[register] == Some(at)
                    && let Some(index) =
                        physical[register].and_then(|index| index.checked_sub(outputs.len()))
                    && !free.contains(&index)
                {
                    free.push(index);
                }
            }
            rename(instruction, target, &physical);
        }
        let outputs: Vec<_> = outputs
            .iter()
            .map(|&(id, register)| (id, self.extents[register]))
            .collect();
        let kernel = RowKernel {
            rows: self.rows,
            cols: self.cols,
            replaceable: replaceable(&self.loads, &instructions, &outputs),
            replaced: Vec::new(),
            streams: streams(&self.loads, &instructions),
            loads: self.loads,
            instructions,
            outputs,
            scratch,
        };
        flattened(kernel)
    }

    /// The last instruction that reads each register.
    fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.extents.len()];
        for (at, instruction) in self.instructions.iter().enumerate() {
            registers_read(instruction).for_each(|register| last[register] = Some(at));
        }
        last
    }
}

/// Loads of full extent that instructions read where they are.
fn streams(loads: &[Load], instructions: &[Instruction]) -> Vec<usize> {
    let operands = instructions
        .iter()
        .flat_map(|instruction| instruction.operands);
    let direct = operands.filter_map(|operand| match operand {
        Operand::Direct(index) if loads[index].extent == Extent::Full => Some(index),
        _ => None,
    });
    BTreeSet::from_iter(direct).into_iter().collect()
}

/// Outputs that may take the buffer of a stream: of full extent, and written by an instruction
/// after the last that reads the stream, which nothing reads in another way.
fn replaceable(
    loads: &[Load],
    instructions: &[Instruction],
    outputs: &[(ValueId, Extent)],
) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for load in streams(loads, instructions) {
        let view = &loads[load];
        let same_base = loads.iter().filter(|other| other.base == view.base);
        if view.layout.offset != 0 || same_base.count() != 1 {
            continue;
        }
        let reads = |instruction: &Instruction| {
            instruction.operands.contains(&Operand::Direct(load))
                || matches!(instruction.code, Code::Load(index) if index == load)
        };
        let last = instructions.iter().rposition(reads);
        for (output, (_, extent)) in outputs.iter().enumerate() {
            let written = instructions.iter().position(|step| step.target == output);
            if *extent == Extent::Full && written > last {
                found.push((output, load));
            }
        }
    }
    found
}

/// A kernel without rows in it may cut its elements anywhere: one column, so that tiles are always
/// full.
fn flattened(mut kernel: RowKernel) -> RowKernel {
    let is_flat = |instruction: &Instruction| {
        let plain = matches!(instruction.code, Code::Elementwise(..) | Code::Copy);
        plain && instruction.extent == Extent::Full && !instruction.operands.iter().any(is_per_row)
    };
    if kernel.instructions.iter().all(is_flat) {
        kernel.rows *= kernel.cols;
        kernel.cols = 1;
    }
    kernel
}

/// The same places with the fewest row axes; the last axis stays on its own.
fn merged_rows(layout: Layout) -> Layout {
    let outer = layout.dims.len() - 1;
    let rows = Layout {
        offset: 0,
        dims: layout.dims[..outer].to_vec(),
        strides: layout.strides[..outer].to_vec(),
    };
    let mut merged = Layout {
        offset: layout.offset,
        ..rows.collapse()
    };
    merged.dims.push(layout.dims[outer]);
    merged.strides.push(layout.strides[outer]);
    merged
}

fn is_per_row(operand: &Operand) -> bool {
    matches!(operand, Operand::PerRow(_))
}

fn registers_read(instruction: &Instruction) -> impl Iterator<Item = usize> + use<> {
    instruction
        .operands
        .into_iter()
        .filter_map(|operand| match operand {
            Operand::Register(register) | Operand::PerRow(register) => Some(register),
            _ => None,
        })
}

/// Every place of an instruction that names a load.
fn load_indices(instruction: &mut Instruction) -> impl Iterator<Item = &mut usize> {
    let own = match &mut instruction.code {
        Code::Load(index) => Some(index),
        _ => None,
    };
    let operands = instruction
        .operands
        .iter_mut()
        .filter_map(|operand| match operand {
            Operand::Scalar(index) | Operand::Direct(index) => Some(index),
            _ => None,
        });
    own.into_iter().chain(operands)
}

#[expect(clippy::expect_used, reason = "any other register holds another value")]
fn rename(instruction: &mut Instruction, target: usize, physical: &[Option<usize>]) {
    instruction.target = target;
    for operand in &mut instruction.operands {
        if let Operand::Register(register) | Operand::PerRow(register) = operand {
            *register = physical[*register].expect("invariant: registers are written before read");
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "the plan adds nodes that rows can compute"
)]
fn code(node: &Node, types: &[TensorType]) -> Code {
    match &node.action {
        Action::Copy => Code::Copy,
        Action::Rotate(rotation) => Code::Rotate(*rotation),
        Action::Apply(Operator::Sum) => Code::Sum,
        Action::Apply(Operator::ReduceMax) => Code::Max,
        Action::Apply(Operator::Argmax) => Code::Argmax,
        Action::Apply(Operator::TakeAlongLast) => Code::Pick,
        Action::Apply(Operator::OneHot { .. }) => Code::OneHot,
        Action::Apply(operator) => {
            let operands = node.operands.iter();
            let dtypes: Vec<DType> = operands.map(|id| types[id.index()].dtype).collect();
            let row = Elementwise::of(operator, &dtypes)
                .expect("invariant: any other operator of a fused group is elementwise");
            Code::Elementwise(row)
        }
    }
}
