//! A planned program with its memory, and the execution of its steps.
//!
//! Steps run one after another; a large step is cut in parts that own disjoint outputs, so the
//! number of threads never changes a bit.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::engine::next_value_of;
use crate::program::{Program, ValueId};
use crate::random;

use super::gemm::{Gemm, GemmScratch, Offsets, Operand, PackedB, Rhs, Shape};
use super::instruction_set::InstructionSet;
use super::layout::Layout;
use super::memory::{Memory, Words};
use super::observer::{Observer, PlannedStep};
use super::parallel;
use super::plan::Plan;
use super::rows::{MAX_LOADS, MAX_OUTPUTS, RowKernel};
use super::step::{
    BufferId, Gather, Matmul, MatmulOperand, Paste, Pasted, Philox, Step, TakeMany, UpdateRows,
};
use super::vector;

/// The packed form of a step's right operand.
struct Packed {
    panels: PackedB,
    /// Version of the words that were packed.
    version: u64,
}

/// Work of a row kernel below this many element operations is not worth a
/// second thread.
const PARALLEL_FROM: usize = 1 << 15;
/// The same for matrix products, in multiply-adds.
const PARALLEL_PRODUCT_FROM: usize = 1 << 18;

/// What a session owns and a run needs. The default is empty and allocates nothing.
#[derive(Default)]
pub(super) struct Work {
    pub plan: Plan,
    isa: InstructionSet,
    /// Inputs come first; they have no words before they are given a value.
    pub memory: Memory,
    inputs: usize,
    /// One per thread.
    scratch: Vec<Words>,
    /// Kept packed operands, one per step.
    packed: Vec<Option<Packed>>,
    /// One per step.
    batches: Vec<Vec<Offsets>>,
    observed: Option<Observed>,
}

/// Who wants to know of steps, and what each of them is.
struct Observed {
    observer: Arc<dyn Observer>,
    steps: Vec<PlannedStep>,
}

impl Work {
    /// The memory of a plan for a program of so many inputs.
    pub fn new(plan: Plan, inputs: usize, isa: InstructionSet, threads: usize) -> Self {
        let sizes = plan.buffers.words.iter().enumerate();
        let mut memory = Memory::new(sizes.map(|(at, &words)| if at < inputs { 0 } else { words }));
        for &counter in &plan.counters {
            let words = memory.overwrite(counter, plan.buffers.words[counter.0]);
            for (index, word) in words.words_mut().iter_mut().enumerate() {
                *word = index as u32;
            }
        }
        let scratch_words = plan.steps.iter().map(scratch_words).max().unwrap_or(0);
        Self {
            memory,
            inputs,
            scratch: vec![Words::zeros(scratch_words); threads],
            packed: plan.steps.iter().map(|_| None).collect(),
            batches: plan.steps.iter().map(batches).collect(),
            plan,
            isa,
            observed: None,
        }
    }

    /// The same work, of whose steps `observer` is told.
    pub fn observed(self, program: &Program, observer: Arc<dyn Observer>) -> Self {
        let becomes_input: Vec<BufferId> = program
            .outputs()
            .iter()
            .zip(&self.plan.outputs)
            .filter(|(output, _)| next_value_of(program, output).is_some())
            .map(|(_, &buffer)| buffer)
            .collect();
        let describe = |(index, step)| {
            let is_next = |value| becomes_input.contains(&self.plan.buffers.of(value));
            PlannedStep::new(index, step, is_next)
        };
        let steps = self.plan.steps.iter().enumerate().map(describe).collect();
        Self {
            observed: Some(Observed { observer, steps }),
            ..self
        }
    }

    /// The input that an output's next value was written into, where the plan made it in place.
    pub fn in_place(&self, output: usize) -> Option<usize> {
        let buffer = self.plan.outputs[output].0;
        (buffer < self.inputs).then_some(buffer)
    }

    /// Executes every step.
    pub fn execute(&mut self, gemm_scratch: &[Mutex<GemmScratch>]) {
        // What others hold of the last run's outputs stays as it is.
        for output in 0..self.plan.outputs.len() {
            if self.in_place(output).is_none() {
                let id = self.plan.outputs[output];
                self.memory.overwrite(id, self.plan.buffers.words[id.0]);
            }
        }
        if let Some(observed) = &self.observed {
            observed.observer.started();
        }
        for at in 0..self.plan.steps.len() {
            self.step(at, gemm_scratch);
            if let Some(observed) = &self.observed {
                observed.observer.finished(&observed.steps[at]);
            }
        }
    }

    fn step(&mut self, at: usize, gemm_scratch: &[Mutex<GemmScratch>]) {
        let mut machine = Machine {
            plan: &self.plan,
            isa: self.isa,
            memory: &mut self.memory,
            scratch: &mut self.scratch,
            gemm_scratch,
        };
        match &self.plan.steps[at] {
            Step::Rows(kernel) => machine.rows(kernel),
            Step::Matmul(step) => machine.matmul(step, &self.batches[at], &mut self.packed[at]),
            Step::Gather(step) => machine.gather(step),
            Step::TakeMany(step) => machine.take_many(step),
            Step::Paste(step) => machine.paste(step),
            Step::UpdateRows(step) => machine.update_rows(step),
            Step::Philox(step) => machine.philox(step),
        }
    }
}

fn scratch_words(step: &Step) -> usize {
    match step {
        Step::Rows(kernel) => kernel.scratch_words(),
        _ => 0,
    }
}

fn batches(step: &Step) -> Vec<Offsets> {
    match step {
        Step::Matmul(matmul) => matmul
            .batches
            .iter()
            .map(|start| Offsets {
                a: start.a,
                b: start.b,
                c: start.c,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Borrowed parts of the work while one step runs.
struct Machine<'a> {
    plan: &'a Plan,
    isa: InstructionSet,
    memory: &'a mut Memory,
    scratch: &'a mut [Words],
    gemm_scratch: &'a [Mutex<GemmScratch>],
}

impl Machine<'_> {
    fn id(&self, value: ValueId) -> BufferId {
        self.plan.buffers.of(value)
    }

    fn count(&self, value: ValueId) -> usize {
        self.plan.value_words[value.index()]
    }

    /// A value's words, without what else its buffer has room for.
    fn words(&self, value: ValueId) -> &[u32] {
        &self.memory.get(self.id(value)).words()[..self.count(value)]
    }

    /// Takes the words of a result out, so that others can be read while they are written.
    fn take(&mut self, value: ValueId) -> Arc<Words> {
        self.memory.take(self.id(value))
    }

    fn put(&mut self, value: ValueId, words: Arc<Words>) {
        self.memory.put(self.id(value), words);
    }

    fn rows(&mut self, kernel: &RowKernel) {
        let mut taken: [Option<Arc<Words>>; MAX_OUTPUTS] = std::array::from_fn(|_| None);
        for (slot, (value, _)) in taken.iter_mut().zip(&kernel.outputs) {
            *slot = Some(self.take(*value));
        }
        let mut loads: [&[u32]; MAX_LOADS] = [&[]; MAX_LOADS];
        for (index, (slot, load)) in loads.iter_mut().zip(&kernel.loads).enumerate() {
            if kernel.replaced.contains(&index) {
                continue;
            }
            *slot = self.memory.get(self.id(load.base)).words();
        }
        let mut outputs: [&mut [u32]; MAX_OUTPUTS] = std::array::from_fn(|_| Default::default());
        let targets = taken.iter_mut().flatten().zip(&kernel.outputs);
        for (slot, (words, (_, extent))) in outputs.iter_mut().zip(targets) {
            let count = kernel.rows * kernel.width(*extent);
            *slot = &mut Arc::make_mut(words).words_mut()[..count];
        }
        let work = kernel.rows * kernel.cols * kernel.instructions.len();
        let parts = if work < PARALLEL_FROM {
            1
        } else {
            self.scratch.len().min(kernel.rows.max(1))
        };
        let job = RowJob {
            kernel,
            isa: self.isa,
            loads: &loads,
        };
        job.split(outputs, &mut self.scratch[..parts], 0, kernel.rows);
        for (words, (value, _)) in taken.into_iter().flatten().zip(&kernel.outputs) {
            self.put(*value, words);
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "going on would leave the product of another run in the buffer"
    )]
    fn matmul(&mut self, matmul: &Matmul, batches: &[Offsets], packed: &mut Option<Packed>) {
        let mut target = self.take(matmul.value);
        let &Matmul { m, n, k, .. } = matmul;
        let a = self.operand(&matmul.a);
        let rhs = match self.panels(matmul, batches) {
            Some(panels) => Rhs::Packed(panels),
            None if matmul.keep_packed => {
                let version = self.memory.get(self.id(matmul.b.base)).version();
                let offset = batches[0].b;
                let b = self.operand(&matmul.b);
                Rhs::Packed(refreshed(
                    packed,
                    self.isa,
                    Operand { offset, ..b },
                    n,
                    k,
                    version,
                ))
            }
            None => Rhs::Strided(self.operand(&matmul.b)),
        };
        let parts = if m * n * k * batches.len() < PARALLEL_PRODUCT_FROM {
            1
        } else {
            self.gemm_scratch.len()
        };
        let floats: &mut [f32] = bytemuck::cast_slice_mut(Arc::make_mut(&mut target).words_mut());
        Gemm::batched(
            self.isa,
            Shape { m, n, k },
            a,
            rhs,
            matmul.c_row_stride,
            batches,
        )
        .and_then(|gemm| {
            gemm.run_parallel(floats, &self.gemm_scratch[..parts], |task| {
                parallel::for_each(parts, task);
            })
        })
        .expect("invariant: a plan's products fit their buffers");
        self.put(matmul.value, target);
    }

    /// B as it is kept, if that is in panels for this engine and all of it is multiplied.
    fn panels(&self, matmul: &Matmul, batches: &[Offsets]) -> Option<&PackedB> {
        let panels = self.memory.get(self.id(matmul.b.base)).panels()?;
        let is_whole = (panels.n(), panels.k()) == (matmul.n, matmul.k)
            && (matmul.b.row_stride, matmul.b.k_stride) == (matmul.k, 1)
            && batches.iter().all(|offsets| offsets.b == 0);
        (is_whole && panels.isa() == self.isa).then_some(panels)
    }

    fn operand(&self, operand: &MatmulOperand) -> Operand<'_> {
        Operand {
            data: self.memory.get(self.id(operand.base)).floats(),
            offset: 0,
            row_stride: operand.row_stride,
            k_stride: operand.k_stride,
        }
    }

    fn gather(&mut self, step: &Gather) {
        let mut target = self.take(step.value);
        let ids = self.words(step.ids);
        let panels = self.memory.get(self.id(step.table)).panels();
        let panels = panels.filter(|panels| (panels.n(), panels.k()) == (step.rows, step.width));
        let table = if panels.is_some() {
            &[]
        } else {
            self.words(step.table)
        };
        let words = &mut Arc::make_mut(&mut target).words_mut()[..self.count(step.value)];
        for (target, &id) in words.chunks_exact_mut(step.width.max(1)).zip(ids) {
            let row = id as usize;
            match panels {
                _ if row >= step.rows => target.fill(0),
                Some(panels) => panels.row(row, target),
                None => target.copy_from_slice(&table[row * step.width..][..step.width]),
            }
        }
        self.put(step.value, target);
    }

    fn take_many(&mut self, step: &TakeMany) {
        let mut target = self.take(step.value);
        let (x, ids) = (self.words(step.x), self.words(step.ids));
        let words = &mut Arc::make_mut(&mut target).words_mut()[..self.count(step.value)];
        for (place, (target, &id)) in words.iter_mut().zip(ids).enumerate() {
            let index = id as usize;
            *target = if index < step.length {
                x[place / step.picks * step.length + index]
            } else {
                0
            };
        }
        self.put(step.value, target);
    }

    fn paste(&mut self, step: &Paste) {
        let mut target = self.take(step.value);
        let words = &mut Arc::make_mut(&mut target).words_mut()[..self.count(step.value)];
        match outer_rows(&step.operands, words.len()) {
            Some(count) => {
                let parts = if words.len() < PARALLEL_FROM {
                    1
                } else {
                    self.scratch.len()
                };
                self.paste_rows(step, words, 0..count, parts);
            }
            None => {
                if step.clear {
                    words.fill(0);
                }
                for pasted in &step.operands {
                    let source = self.words(pasted.base);
                    let (from, to) = (pasted.from.offset, pasted.to.offset);
                    copy_axes(source, from, words, to, pasted, 0);
                }
            }
        }
        self.put(step.value, target);
    }

    /// Pastes rows of the first axis, of which `target` holds nothing else; halves them until one
    /// part is left.
    fn paste_rows(&self, step: &Paste, target: &mut [u32], rows: Range<usize>, parts: usize) {
        let stride = target.len() / rows.len().max(1);
        if parts > 1 && rows.len() > 1 {
            let middle = rows.start + rows.len() / 2;
            let (head, tail) = target.split_at_mut((middle - rows.start) * stride);
            rayon::join(
                || self.paste_rows(step, head, rows.start..middle, parts / 2),
                || self.paste_rows(step, tail, middle..rows.end, parts - parts / 2),
            );
            return;
        }
        if step.clear {
            target.fill(0);
        }
        for pasted in &step.operands {
            let source = self.words(pasted.base);
            for (row, target) in rows.clone().zip(target.chunks_exact_mut(stride.max(1))) {
                let from = pasted.from.offset + row * pasted.from.strides[0];
                copy_axes(source, from, target, pasted.to.offset, pasted, 1);
            }
        }
    }

    fn update_rows(&mut self, step: &UpdateRows) {
        let in_place = self.id(step.base) == self.id(step.value);
        let mut target = self.take(step.value);
        // In place, a state that others hold is copied here, and they keep the old rows.
        let words = &mut Arc::make_mut(&mut target).words_mut()[..self.count(step.value)];
        if !in_place {
            words.copy_from_slice(&self.words(step.base)[..words.len()]);
        }
        let (rows, at) = (self.words(step.rows), self.words(step.at));
        let matrices = words.chunks_exact_mut((step.height * step.width).max(1));
        for (batch, (matrix, &start)) in matrices.zip(at).enumerate() {
            for row in 0..step.count {
                let to = i64::from(start as i32) + row as i64;
                if (0..step.height as i64).contains(&to) {
                    let from = &rows[(batch * step.count + row) * step.width..][..step.width];
                    matrix[to as usize * step.width..][..step.width].copy_from_slice(from);
                }
            }
        }
        self.put(step.value, target);
    }

    fn philox(&mut self, step: &Philox) {
        let mut target = self.take(step.value);
        let key = self.words(step.key);
        let words = &mut Arc::make_mut(&mut target).words_mut()[..self.count(step.value)];
        let uniform = Uniform {
            key: [key[0], key[1]],
            counters: self.words(step.counter),
            numbers: bytemuck::cast_slice_mut(words),
            lanes: step.lanes,
        };
        vector::dispatch(self.isa, uniform);
        self.put(step.value, target);
    }
}

/// The packed form of `operand`, made again if it is of another version of its words.
#[expect(
    clippy::expect_used,
    reason = "going on would multiply by another version of the weight"
)]
fn refreshed<'a>(
    packed: &'a mut Option<Packed>,
    isa: InstructionSet,
    operand: Operand<'_>,
    n: usize,
    k: usize,
    version: u64,
) -> &'a PackedB {
    const FITS: &str = "invariant: a plan's products fit their buffers";
    let packed = packed.get_or_insert_with(|| Packed {
        panels: PackedB::new(isa, operand, n, k).expect(FITS),
        version,
    });
    if packed.version != version {
        packed.panels.repack(operand).expect(FITS);
        packed.version = version;
    }
    &packed.panels
}

/// Rows of uniform numbers, each from its counter.
struct Uniform<'a> {
    key: [u32; 2],
    /// Three words per row.
    counters: &'a [u32],
    numbers: &'a mut [f32],
    lanes: usize,
}

impl vector::Task for Uniform<'_> {
    #[inline(always)]
    fn run(self) {
        let (counters, _) = self.counters.as_chunks();
        for (row, counter) in self
            .numbers
            .chunks_exact_mut(self.lanes.max(1))
            .zip(counters)
        {
            random::fill_uniform(self.key, *counter, row);
        }
    }
}

/// A row kernel on its way to threads.
#[derive(Clone, Copy)]
struct RowJob<'a> {
    kernel: &'a RowKernel,
    isa: InstructionSet,
    loads: &'a [&'a [u32]],
}

impl RowJob<'_> {
    /// Halves outputs and scratch until one scratch is left, then computes that part.
    fn split(
        self,
        mut outputs: [&mut [u32]; MAX_OUTPUTS],
        scratch: &mut [Words],
        first: usize,
        count: usize,
    ) {
        if let [own] = scratch {
            let own = own.words_mut();
            return self
                .kernel
                .run(self.isa, self.loads, outputs, own, first, count);
        }
        let half = scratch.len() / 2;
        let head_count = count * half / scratch.len();
        let mut tails: [&mut [u32]; MAX_OUTPUTS] = std::array::from_fn(|_| Default::default());
        for (index, (_, extent)) in self.kernel.outputs.iter().enumerate() {
            let whole = std::mem::take(&mut outputs[index]);
            let (head, tail) = whole.split_at_mut(head_count * self.kernel.width(*extent));
            (outputs[index], tails[index]) = (head, tail);
        }
        let (head_scratch, tail_scratch) = scratch.split_at_mut(half);
        rayon::join(
            || self.split(outputs, head_scratch, first, head_count),
            || self.split(tails, tail_scratch, first + head_count, count - head_count),
        );
    }
}

/// Length of the first axis if every operand fills all of it, so that its rows can be pasted one by
/// one.
fn outer_rows(operands: &[Pasted], words: usize) -> Option<usize> {
    let first = &operands.first()?.to;
    let (&count, &stride) = (first.dims.first()?, first.strides.first()?);
    let all_fill = operands
        .iter()
        .all(|pasted| pasted.to.dims.first() == Some(&count) && pasted.to.offset < stride.max(1));
    (count * stride == words && all_fill).then_some(count)
}

/// Copies what lies along the axes from `axis` on.
fn copy_axes(
    source: &[u32],
    source_at: usize,
    target: &mut [u32],
    target_at: usize,
    pasted: &Pasted,
    axis: usize,
) {
    let (from, to): (&Layout, &Layout) = (&pasted.from, &pasted.to);
    let Some(&dim) = from.dims.get(axis) else {
        target[target_at] = source[source_at];
        return;
    };
    let (step, target_step) = (from.strides[axis], to.strides[axis]);
    let is_last = axis + 1 == from.dims.len();
    if is_last && step == 1 && target_step == 1 {
        target[target_at..target_at + dim].copy_from_slice(&source[source_at..source_at + dim]);
        return;
    }
    for index in 0..dim {
        let (source_at, target_at) = (source_at + index * step, target_at + index * target_step);
        copy_axes(source, source_at, target, target_at, pasted, axis + 1);
    }
}
