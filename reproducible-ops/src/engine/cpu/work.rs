//! A planned program with its memory, and the execution of its steps.
//!
//! Steps run one after another; a large step is cut in parts that own disjoint outputs, so the
//! number of threads never changes a bit.

use std::ops::Range;
use std::sync::Mutex;

use bytemuck::Zeroable;

use crate::program::ValueId;
use crate::random;

use super::gemm::{Gemm, GemmScratch, Offsets, Operand, PackedB, Rhs, Shape};
use super::instruction_set::InstructionSet;
use super::layout::Layout;
use super::plan::{BufferId, Matmul, Plan, Step};
use super::rows::{MAX_LOADS, MAX_OUTPUTS, RowKernel};
use super::threads;
use super::vector;

/// A cache line of words: buffers start on one.
#[derive(Clone, Copy, Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Words that start on a cache line.
#[derive(Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
    words: usize,
}

impl Buffer {
    fn zeros(words: usize) -> Self {
        Self {
            lines: vec![Line::zeroed(); words.div_ceil(16)],
            words,
        }
    }

    pub fn words(&self) -> &[u32] {
        &bytemuck::cast_slice(&self.lines)[..self.words]
    }

    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.words]
    }

    fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(self.words())
    }
}

/// The kept packed form of a step's right operand.
#[derive(Default)]
struct Kept {
    packed: Option<PackedB>,
    is_current: bool,
}

/// Scratch of one part of a row kernel; work below this many element operations is not worth a
/// second thread.
const PARALLEL_FROM: usize = 1 << 15;
/// The same for matrix products, in multiply-adds.
const PARALLEL_PRODUCT_FROM: usize = 1 << 18;

/// What a session owns and a run needs. The default is empty and allocates nothing.
#[derive(Default)]
pub(super) struct Work {
    pub plan: Plan,
    isa: InstructionSet,
    /// One per thread.
    scratch: Vec<Buffer>,
    pub buffers: Vec<Buffer>,
    /// One per step.
    kept: Vec<Kept>,
    /// One per step.
    batches: Vec<Vec<Offsets>>,
}

impl Work {
    pub fn new(plan: Plan, isa: InstructionSet, threads: usize) -> Self {
        let mut buffers: Vec<Buffer> = plan
            .buffer_words
            .iter()
            .map(|&words| Buffer::zeros(words))
            .collect();
        for counter in &plan.counters {
            let words = buffers[counter.0].words_mut();
            words
                .iter_mut()
                .enumerate()
                .for_each(|(index, word)| *word = index as u32);
        }
        let scratch_words = plan.steps.iter().map(scratch_words).max().unwrap_or(0);
        Self {
            scratch: (0..threads).map(|_| Buffer::zeros(scratch_words)).collect(),
            kept: plan.steps.iter().map(|_| Kept::default()).collect(),
            batches: plan.steps.iter().map(batches).collect(),
            plan,
            isa,
            buffers,
        }
    }

    /// Packed forms of a changed input are out of date.
    pub fn changed(&mut self, input: usize) {
        for (kept, step) in self.kept.iter_mut().zip(&self.plan.steps) {
            if matches!(step, Step::Matmul(matmul) if matmul.b.base.index() == input) {
                kept.is_current = false;
            }
        }
    }

    /// Executes every step.
    pub fn execute(&mut self, gemm_scratch: &[Mutex<GemmScratch>]) {
        (0..self.plan.steps.len()).for_each(|at| self.step(at, gemm_scratch));
    }

    fn step(&mut self, at: usize, gemm_scratch: &[Mutex<GemmScratch>]) {
        let mut machine = Machine {
            plan: &self.plan,
            isa: self.isa,
            buffers: &mut self.buffers,
            scratch: &mut self.scratch,
            gemm_scratch,
        };
        match &self.plan.steps[at] {
            Step::Rows(kernel) => machine.rows(kernel),
            Step::Matmul(matmul) => machine.matmul(matmul, &self.batches[at], &mut self.kept[at]),
            Step::Gather {
                table,
                ids,
                rows,
                width,
                value,
            } => machine.gather(*table, *ids, *rows, *width, *value),
            Step::TakeMany {
                x,
                ids,
                length,
                picks,
                value,
            } => machine.take_many(*x, *ids, *length, *picks, *value),
            Step::Paste {
                operands,
                clear,
                value,
            } => machine.paste(operands, *clear, *value),
            Step::UpdateRows {
                base,
                rows,
                at,
                height,
                count,
                width,
                value,
            } => {
                machine.update_rows([*base, *rows, *at], [*height, *count, *width], *value);
            }
            Step::Philox {
                key,
                counter,
                lanes,
                value,
            } => machine.philox(*key, *counter, *lanes, *value),
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
            .map(|&(a, b, c)| Offsets { a, b, c })
            .collect(),
        _ => Vec::new(),
    }
}

/// Borrowed parts of the work while one step runs.
struct Machine<'a> {
    plan: &'a Plan,
    isa: InstructionSet,
    buffers: &'a mut Vec<Buffer>,
    scratch: &'a mut [Buffer],
    gemm_scratch: &'a [Mutex<GemmScratch>],
}

impl Machine<'_> {
    fn id(&self, value: ValueId) -> BufferId {
        self.plan.buffer_of[value.index()].unwrap_or(BufferId(usize::MAX))
    }

    fn count(&self, value: ValueId) -> usize {
        self.plan.value_words[value.index()]
    }

    /// A value's words, without what else its buffer has room for.
    fn words(&self, value: ValueId) -> &[u32] {
        &self.buffers[self.id(value).0].words()[..self.count(value)]
    }

    fn floats(&self, value: ValueId) -> &[f32] {
        self.buffers[self.id(value).0].floats()
    }

    /// Takes the buffer of a result out, so that the others can be read while it is written.
    fn take(&mut self, value: ValueId) -> Buffer {
        let id = self.id(value);
        std::mem::take(&mut self.buffers[id.0])
    }

    fn put(&mut self, value: ValueId, buffer: Buffer) {
        let id = self.id(value);
        self.buffers[id.0] = buffer;
    }

    fn rows(&mut self, kernel: &RowKernel) {
        let mut taken: [Buffer; MAX_OUTPUTS] = std::array::from_fn(|_| Buffer::default());
        for (slot, (value, _)) in taken.iter_mut().zip(&kernel.outputs) {
            *slot = self.take(*value);
        }
        let mut loads: [&[u32]; MAX_LOADS] = [&[]; MAX_LOADS];
        for (slot, load) in loads.iter_mut().zip(&kernel.loads) {
            *slot =
                self.buffers[self.plan.buffer_of[load.base.index()].map_or(0, |id| id.0)].words();
        }
        let mut outputs: [&mut [u32]; MAX_OUTPUTS] = std::array::from_fn(|_| Default::default());
        for ((slot, buffer), (_, extent)) in outputs.iter_mut().zip(&mut taken).zip(&kernel.outputs)
        {
            *slot = &mut buffer.words_mut()[..kernel.rows * kernel.width(*extent)];
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
        for (slot, (value, _)) in taken.iter_mut().zip(&kernel.outputs) {
            let buffer = std::mem::take(slot);
            self.put(*value, buffer);
        }
    }

    fn matmul(&mut self, matmul: &Matmul, batches: &[Offsets], kept: &mut Kept) {
        let mut c = self.take(matmul.value);
        let Matmul { m, n, k, .. } = *matmul;
        let operand = |operand: &super::plan::MatmulOperand| Operand {
            data: self.floats(operand.base),
            offset: 0,
            row_stride: operand.row_stride,
            k_stride: operand.k_stride,
        };
        let (a, b) = (operand(&matmul.a), operand(&matmul.b));
        if matmul.keep_packed {
            let start = batches.first().map_or(0, |batch| batch.b);
            kept.refresh(self.isa, Operand { offset: start, ..b }, n, k);
        }
        let rhs = kept.packed.as_ref().map_or(Rhs::Strided(b), Rhs::Packed);
        let gemm = Gemm::batched(self.isa, Shape { m, n, k }, a, rhs, n, batches);
        let floats: &mut [f32] = bytemuck::cast_slice_mut(c.words_mut());
        let parts = if m * n * k * batches.len() < PARALLEL_PRODUCT_FROM {
            1
        } else {
            self.gemm_scratch.len()
        };
        let done = gemm.and_then(|gemm| {
            gemm.run_parallel(floats, &self.gemm_scratch[..parts], |task| {
                threads::for_each(parts, task)
            })
        });
        debug_assert_eq!(
            done,
            Ok(()),
            "the plan only makes products that fit their buffers"
        );
        self.put(matmul.value, c);
    }

    fn gather(&mut self, table: ValueId, ids: ValueId, rows: usize, width: usize, value: ValueId) {
        let mut target = self.take(value);
        let (table, ids) = (self.words(table), self.words(ids));
        let words = &mut target.words_mut()[..self.count(value)];
        for (target, &id) in words.chunks_exact_mut(width.max(1)).zip(ids) {
            match (id as usize) < rows {
                true => target.copy_from_slice(&table[id as usize * width..][..width]),
                false => target.fill(0),
            }
        }
        self.put(value, target);
    }

    fn take_many(&mut self, x: ValueId, ids: ValueId, length: usize, picks: usize, value: ValueId) {
        let mut target = self.take(value);
        let (x, ids) = (self.words(x), self.words(ids));
        let words = &mut target.words_mut()[..self.count(value)];
        for (place, (target, &id)) in words.iter_mut().zip(ids).enumerate() {
            let index = id as usize;
            *target = if index < length {
                x[place / picks * length + index]
            } else {
                0
            };
        }
        self.put(value, target);
    }

    fn paste(&mut self, operands: &[(ValueId, Layout, Layout)], clear: bool, value: ValueId) {
        let mut target = self.take(value);
        let words = &mut target.words_mut()[..self.count(value)];
        match outer_rows(operands, words.len()) {
            Some(count) => {
                let parts = if words.len() < PARALLEL_FROM {
                    1
                } else {
                    self.scratch.len()
                };
                self.paste_rows(operands, clear, words, 0..count, parts);
            }
            None => {
                if clear {
                    words.fill(0);
                }
                operands
                    .iter()
                    .for_each(|(base, from, to)| copy_strided(self.words(*base), from, words, to));
            }
        }
        self.put(value, target);
    }

    /// Pastes rows of the first axis, of which `target` holds nothing else; halves them until one
    /// part is left.
    fn paste_rows(
        &self,
        operands: &[(ValueId, Layout, Layout)],
        clear: bool,
        target: &mut [u32],
        rows: Range<usize>,
        parts: usize,
    ) {
        let stride = target.len() / rows.len().max(1);
        if parts > 1 && rows.len() > 1 {
            let middle = rows.start + rows.len() / 2;
            let (head, tail) = target.split_at_mut((middle - rows.start) * stride);
            let join = |target, rows, parts| self.paste_rows(operands, clear, target, rows, parts);
            rayon::join(
                || join(head, rows.start..middle, parts / 2),
                || join(tail, middle..rows.end, parts - parts / 2),
            );
            return;
        }
        if clear {
            target.fill(0);
        }
        for (base, from, to) in operands {
            let source = self.words(*base);
            for (row, target) in rows.clone().zip(target.chunks_exact_mut(stride.max(1))) {
                copy_axes(
                    source,
                    from.offset + row * from.strides[0],
                    target,
                    to.offset,
                    from,
                    to,
                    1,
                );
            }
        }
    }

    fn update_rows(
        &mut self,
        [base, rows, at]: [ValueId; 3],
        [height, count, width]: [usize; 3],
        value: ValueId,
    ) {
        let in_place = self.id(base) == self.id(value);
        let mut target = self.take(value);
        let words = &mut target.words_mut()[..self.count(value)];
        if !in_place {
            words.copy_from_slice(&self.words(base)[..words.len()]);
        }
        let (rows, at) = (self.words(rows), self.words(at));
        for (batch, (matrix, &start)) in words
            .chunks_exact_mut((height * width).max(1))
            .zip(at)
            .enumerate()
        {
            for row in 0..count {
                let to = i64::from(start as i32) + row as i64;
                if (0..height as i64).contains(&to) {
                    let from = &rows[(batch * count + row) * width..][..width];
                    matrix[to as usize * width..][..width].copy_from_slice(from);
                }
            }
        }
        self.put(value, target);
    }

    fn philox(&mut self, key: ValueId, counter: ValueId, lanes: usize, value: ValueId) {
        let mut target = self.take(value);
        let key = [self.words(key)[0], self.words(key)[1]];
        let numbers: &mut [f32] =
            bytemuck::cast_slice_mut(&mut target.words_mut()[..self.count(value)]);
        vector::dispatch(
            self.isa,
            Uniform {
                key,
                counters: self.words(counter),
                numbers,
                lanes,
            },
        );
        self.put(value, target);
    }
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

impl Kept {
    /// Packs the operand again if it changed since the last time.
    fn refresh(&mut self, isa: InstructionSet, operand: Operand<'_>, n: usize, k: usize) {
        let repacked = match &mut self.packed {
            Some(_) if self.is_current => Ok(()),
            Some(packed) => packed.repack(operand),
            None => PackedB::new(isa, operand, n, k).map(|packed| self.packed = Some(packed)),
        };
        self.is_current = repacked.is_ok();
        if repacked.is_err() {
            self.packed = None;
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
        scratch: &mut [Buffer],
        first: usize,
        count: usize,
    ) {
        if scratch.len() <= 1 {
            let words = scratch
                .first_mut()
                .map_or(Default::default(), Buffer::words_mut);
            return self
                .kernel
                .run(self.isa, self.loads, outputs, words, first, count);
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
fn outer_rows(operands: &[(ValueId, Layout, Layout)], words: usize) -> Option<usize> {
    let (_, _, first) = operands.first()?;
    let (&count, &stride) = (first.dims.first()?, first.strides.first()?);
    let fills = |(_, _, to): &(ValueId, Layout, Layout)| {
        to.dims.first() == Some(&count) && to.offset < stride.max(1)
    };
    (count * stride == words && operands.iter().all(fills)).then_some(count)
}

/// Copies between two layouts of the same axes.
fn copy_strided(source: &[u32], from: &Layout, target: &mut [u32], to: &Layout) {
    copy_axes(source, from.offset, target, to.offset, from, to, 0);
}

fn copy_axes(
    source: &[u32],
    source_at: usize,
    target: &mut [u32],
    target_at: usize,
    from: &Layout,
    to: &Layout,
    axis: usize,
) {
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
        copy_axes(
            source,
            source_at + index * step,
            target,
            target_at + index * target_step,
            from,
            to,
            axis + 1,
        );
    }
}
