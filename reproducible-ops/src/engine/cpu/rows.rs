//! Fused kernels over rows: elementwise chains, row reductions and what lies between them, one cache-sized tile at a time.
//!
//! A kernel works on a domain of `rows × cols` elements. Its registers hold one tile of either *full* extent
//! (`rows × cols`) or *row* extent (one element per row), so softmax, norms and optimizer updates run in one pass over
//! memory. Each instruction is a plain loop over [`crate::scalar`], compiled once per instruction set; the bits are those
//! of the reference because the source is.
//!
//! Rows are independent: parts of the row range may run on different threads.

use crate::program::{Comparison, DType, Operator, ValueId};
use crate::scalar;

use super::layout::Layout;
use super::path::Path;
use super::vector;

/// Most outputs of one kernel.
pub(super) const MAX_OUTPUTS: usize = MAX_REGISTERS;
/// Most registers of one kernel, outputs included.
pub(super) const MAX_REGISTERS: usize = 64;
/// Most external operands of one kernel.
pub(super) const MAX_LOADS: usize = 48;
/// Elements of one tile: several registers fit the first-level cache.
const TILE_ELEMENTS: usize = 2048;

/// How much of the domain a register covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// `rows × cols` elements.
    Full,
    /// One element per row.
    Row,
}

/// An external value, seen through a layout whose last axis is `cols` (full) or 1 (row).
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub base: ValueId,
    pub layout: Layout,
    pub extent: Extent,
}

/// Where an instruction finds an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// The same word everywhere.
    Splat(u32),
    /// An external value with one element.
    Scalar(usize),
    /// An external value that lies in domain order.
    Direct(usize),
    /// A register.
    Register(usize),
    /// A register of row extent, repeated along the columns.
    PerRow(usize),
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(super) enum Code {
    /// Copies external value `n` into a register, following its layout.
    Load(usize),
    /// An elementwise operator; the type is that of its first operand.
    Elementwise(Operator, DType),
    /// Bits unchanged.
    Copy,
    /// 1 where the column is the row's id.
    OneHot,
    /// Sum of each row.
    Sum,
    /// Maximum of each row.
    Max,
    /// Index of the maximum of each row.
    Argmax,
    /// The element of each row at the row's id.
    Pick,
}

/// One step of a tile.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub code: Code,
    pub extent: Extent,
    pub target: usize,
    pub operands: [Operand; 3],
}

/// A fused kernel. Registers are numbered outputs first, then scratch.
#[derive(Clone, Debug)]
pub(super) struct RowKernel {
    pub rows: usize,
    pub cols: usize,
    pub loads: Vec<Load>,
    pub instructions: Vec<Instruction>,
    pub outputs: Vec<(ValueId, Extent)>,
    pub scratch: Vec<Extent>,
}

impl RowKernel {
    /// Rows of one tile.
    pub fn tile_rows(&self) -> usize {
        (TILE_ELEMENTS / self.cols.max(1)).clamp(1, self.rows.max(1))
    }

    /// Words of scratch that one thread needs.
    pub fn scratch_words(&self) -> usize {
        let tile = self.tile_rows();
        self.scratch.iter().map(|&extent| padded(tile * self.width(extent))).sum()
    }

    /// Elements per row of an extent.
    pub fn width(&self, extent: Extent) -> usize {
        match extent {
            Extent::Full => self.cols,
            Extent::Row => 1,
        }
    }

    /// Computes rows `first..first + count`. `loads` are whole buffers; `outputs` and `scratch` are this part's own.
    pub fn run(
        &self,
        path: Path,
        loads: &[&[u32]],
        outputs: [&mut [u32]; MAX_OUTPUTS],
        scratch: &mut [u32],
        first: usize,
        count: usize,
    ) {
        let part = Part { kernel: self, loads, outputs, scratch, first, count };
        vector::dispatch(path, part);
    }
}

/// Scratch registers start on cache lines.
fn padded(words: usize) -> usize {
    words.next_multiple_of(16)
}

struct Part<'a> {
    kernel: &'a RowKernel,
    loads: &'a [&'a [u32]],
    outputs: [&'a mut [u32]; MAX_OUTPUTS],
    scratch: &'a mut [u32],
    first: usize,
    count: usize,
}

impl vector::Task for Part<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { kernel, loads, mut outputs, scratch, first, count } = self;
        let tile = kernel.tile_rows();
        let mut done = 0;
        while done < count {
            let rows = tile.min(count - done);
            let mut registers: [&mut [u32]; MAX_REGISTERS] = std::array::from_fn(|_| Default::default());
            for (index, (_, extent)) in kernel.outputs.iter().enumerate() {
                let rest = std::mem::take(&mut outputs[index]);
                let (head, tail) = rest.split_at_mut(rows * kernel.width(*extent));
                registers[index] = head;
                outputs[index] = tail;
            }
            let mut rest = &mut *scratch;
            for (index, &extent) in kernel.scratch.iter().enumerate() {
                let (head, tail) = rest.split_at_mut(padded(tile * kernel.width(extent)));
                registers[kernel.outputs.len() + index] = &mut head[..rows * kernel.width(extent)];
                rest = tail;
            }
            let tile = Tile { kernel, loads, first: first + done, rows };
            kernel.instructions.iter().for_each(|instruction| tile.execute(instruction, &mut registers));
            done += rows;
        }
    }
}

/// An operand's elements in one tile.
#[derive(Clone, Copy)]
enum Source<'a> {
    Slice(&'a [u32]),
    Splat(u32),
    /// One element per row of this many columns.
    PerRow(&'a [u32], usize),
}

struct Tile<'a> {
    kernel: &'a RowKernel,
    loads: &'a [&'a [u32]],
    first: usize,
    rows: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn execute(&self, instruction: &Instruction, registers: &mut [&mut [u32]; MAX_REGISTERS]) {
        let target = std::mem::take(&mut registers[instruction.target]);
        let source = |index: usize| self.source(instruction.operands[index], registers);
        match &instruction.code {
            Code::Load(index) => self.load(*index, target),
            Code::Copy => map(target, source(0), |x| x),
            Code::Elementwise(operator, DType::F32) => f32_loop(operator, target, source(0), source(1), source(2)),
            Code::Elementwise(operator, DType::I32) => i32_loop(operator, target, source(0), source(1), source(2)),
            Code::Elementwise(operator, DType::Bool) => bool_loop(operator, target, source(0), source(1), source(2)),
            Code::OneHot => one_hot(target, source(0), self.kernel.cols),
            Code::Sum => self.reduce(target, source(0), |row| scalar::reduce::sum(row).to_bits()),
            Code::Max => self.reduce(target, source(0), |row| scalar::reduce::max(row).to_bits()),
            Code::Argmax => {
                self.reduce(target, source(0), |row| scalar::reduce::argmax(row).map_or(0, |index| index as u32))
            }
            Code::Pick => pick(target, source(0), source(1), self.kernel.cols),
        }
        registers[instruction.target] = target;
    }

    #[inline(always)]
    fn source<'s>(&'s self, operand: Operand, registers: &'s [&mut [u32]; MAX_REGISTERS]) -> Source<'s> {
        match operand {
            Operand::Splat(word) => Source::Splat(word),
            Operand::Scalar(index) => Source::Splat(self.loads[index][self.kernel.loads[index].layout.offset]),
            Operand::Direct(index) => Source::Slice(self.direct(index)),
            Operand::Register(index) => Source::Slice(registers[index]),
            Operand::PerRow(index) => Source::PerRow(registers[index], self.kernel.cols),
        }
    }

    #[inline(always)]
    fn direct(&self, index: usize) -> &[u32] {
        let load = &self.kernel.loads[index];
        let width = self.kernel.width(load.extent);
        &self.loads[index][load.layout.offset + self.first * width..][..self.rows * width]
    }

    /// Copies a tile of an external value into `target`, row by row.
    #[inline(always)]
    fn load(&self, index: usize, target: &mut [u32]) {
        let Load { layout, extent, .. } = &self.kernel.loads[index];
        let width = self.kernel.width(*extent);
        let step = layout.last_stride();
        for (row, target) in target.chunks_exact_mut(width.max(1)).enumerate() {
            let start = layout.offset + row_offset(layout, self.first + row);
            copy_row(target, &self.loads[index][start..], step);
        }
    }

    /// Applies `f` to each row of a full operand.
    #[inline(always)]
    fn reduce(&self, target: &mut [u32], source: Source<'_>, f: impl Fn(&[f32]) -> u32) {
        let cols = self.kernel.cols;
        if let Source::Slice(words) = source {
            let values: &[f32] = bytemuck::cast_slice(words);
            for (row, target) in target.iter_mut().enumerate() {
                *target = f(&values[row * cols..(row + 1) * cols]);
            }
        }
    }
}

/// Place of the first element of a row, all axes but the last counted in order.
#[inline(always)]
fn row_offset(layout: &Layout, row: usize) -> usize {
    let (mut row, mut offset) = (row, 0);
    let outer = layout.dims.len() - 1;
    for axis in (1..outer).rev() {
        offset += row % layout.dims[axis] * layout.strides[axis];
        row /= layout.dims[axis];
    }
    if outer > 0 { offset + row * layout.strides[0] } else { offset }
}

#[inline(always)]
fn copy_row(target: &mut [u32], source: &[u32], step: usize) {
    match step {
        0 => target.fill(source.first().copied().unwrap_or(0)),
        1 => target.copy_from_slice(&source[..target.len()]),
        _ => target.iter_mut().zip(source.iter().step_by(step)).for_each(|(target, &word)| *target = word),
    }
}

#[inline(always)]
fn one_hot(target: &mut [u32], ids: Source<'_>, cols: usize) {
    for (row, target) in target.chunks_exact_mut(cols.max(1)).enumerate() {
        let id = at(ids, row);
        for (column, word) in target.iter_mut().enumerate() {
            *word = if column as u32 == id { 0x3f80_0000 } else { 0 };
        }
    }
}

#[inline(always)]
fn pick(target: &mut [u32], x: Source<'_>, ids: Source<'_>, cols: usize) {
    if let Source::Slice(words) = x {
        for (row, target) in target.iter_mut().enumerate() {
            let id = at(ids, row) as usize;
            *target = if id < cols { words[row * cols + id] } else { 0 };
        }
    }
}

#[inline(always)]
fn at(source: Source<'_>, row: usize) -> u32 {
    match source {
        Source::Slice(words) | Source::PerRow(words, _) => words[row],
        Source::Splat(word) => word,
    }
}

#[inline(always)]
fn f32_loop(operator: &Operator, target: &mut [u32], a: Source<'_>, b: Source<'_>, c: Source<'_>) {
    use Operator::*;
    match operator {
        Neg => unary(target, a, scalar::neg),
        Abs => unary(target, a, scalar::abs),
        Sqrt => unary(target, a, scalar::sqrt),
        Exp => unary(target, a, scalar::exp),
        Log => unary(target, a, scalar::log),
        Tanh => unary(target, a, scalar::tanh),
        Add => binary(target, a, b, scalar::add),
        Sub => binary(target, a, b, scalar::sub),
        Mul => binary(target, a, b, scalar::mul),
        Div => binary(target, a, b, scalar::div),
        Max => binary(target, a, b, scalar::max),
        Min => binary(target, a, b, scalar::min),
        Compare(Comparison::Equal) => relation(target, a, b, |a, b| a == b),
        Compare(Comparison::Less) => relation(target, a, b, |a, b| a < b),
        Compare(Comparison::LessEqual) => relation(target, a, b, |a, b| a <= b),
        Cast(DType::I32) => map(target, a, |x| scalar::cast::f32_to_i32(f32::from_bits(x)) as u32),
        Cast(DType::Bool) => map(target, a, |x| u32::from(f32::from_bits(x) != 0.0)),
        _ => moves(operator, target, a, b, c),
    }
}

#[inline(always)]
fn i32_loop(operator: &Operator, target: &mut [u32], a: Source<'_>, b: Source<'_>, c: Source<'_>) {
    use Operator::*;
    match operator {
        Neg => map(target, a, |x| (x as i32).wrapping_neg() as u32),
        Abs => map(target, a, |x| (x as i32).wrapping_abs() as u32),
        Add => zip(target, a, b, u32::wrapping_add),
        Sub => zip(target, a, b, u32::wrapping_sub),
        Mul => zip(target, a, b, u32::wrapping_mul),
        Max => zip(target, a, b, |a, b| (a as i32).max(b as i32) as u32),
        Min => zip(target, a, b, |a, b| (a as i32).min(b as i32) as u32),
        Compare(Comparison::Equal) => zip(target, a, b, |a, b| u32::from(a == b)),
        Compare(Comparison::Less) => zip(target, a, b, |a, b| u32::from((a as i32) < b as i32)),
        Compare(Comparison::LessEqual) => zip(target, a, b, |a, b| u32::from(a as i32 <= b as i32)),
        Cast(DType::F32) => map(target, a, |x| scalar::cast::i32_to_f32(x as i32).to_bits()),
        Cast(DType::Bool) => map(target, a, |x| u32::from(x != 0)),
        _ => moves(operator, target, a, b, c),
    }
}

#[inline(always)]
fn bool_loop(operator: &Operator, target: &mut [u32], a: Source<'_>, b: Source<'_>, c: Source<'_>) {
    use Operator::*;
    match operator {
        Not => map(target, a, |x| x ^ 1),
        And => zip(target, a, b, |a, b| a & b),
        Or => zip(target, a, b, |a, b| a | b),
        Cast(DType::F32) => map(target, a, |x| scalar::cast::i32_to_f32(x as i32).to_bits()),
        _ => moves(operator, target, a, b, c),
    }
}

/// Operators that move bits without looking at their type.
#[inline(always)]
fn moves(operator: &Operator, target: &mut [u32], a: Source<'_>, b: Source<'_>, c: Source<'_>) {
    match operator {
        Operator::Select => select(target, a, b, c),
        _ => map(target, a, |x| x),
    }
}

#[inline(always)]
fn unary(target: &mut [u32], a: Source<'_>, f: impl Fn(f32) -> f32) {
    map(target, a, |x| f(f32::from_bits(x)).to_bits());
}

#[inline(always)]
fn binary(target: &mut [u32], a: Source<'_>, b: Source<'_>, f: impl Fn(f32, f32) -> f32) {
    zip(target, a, b, |a, b| f(f32::from_bits(a), f32::from_bits(b)).to_bits());
}

#[inline(always)]
fn relation(target: &mut [u32], a: Source<'_>, b: Source<'_>, f: impl Fn(f32, f32) -> bool) {
    zip(target, a, b, |a, b| u32::from(f(f32::from_bits(a), f32::from_bits(b))));
}

#[inline(always)]
fn map(target: &mut [u32], a: Source<'_>, f: impl Fn(u32) -> u32) {
    match a {
        Source::Slice(a) => target.iter_mut().zip(a).for_each(|(target, &a)| *target = f(a)),
        Source::Splat(a) => target.fill(f(a)),
        Source::PerRow(a, cols) => {
            target.chunks_exact_mut(cols.max(1)).zip(a).for_each(|(target, &a)| target.fill(f(a)));
        }
    }
}

#[inline(always)]
fn zip(target: &mut [u32], a: Source<'_>, b: Source<'_>, f: impl Fn(u32, u32) -> u32) {
    match (a, b) {
        (Source::Slice(a), Source::Slice(b)) => {
            target.iter_mut().zip(a).zip(b).for_each(|((target, &a), &b)| *target = f(a, b));
        }
        (a, Source::Splat(b)) => map(target, a, |a| f(a, b)),
        (Source::Splat(a), b) => map(target, b, |b| f(a, b)),
        (a, Source::PerRow(b, cols)) => by_row(target, a, b, cols, &f),
        (Source::PerRow(a, cols), b) => by_row(target, b, a, cols, |b, a| f(a, b)),
    }
}

/// `target = f(a, b[row])`, where `a` is full or per row too.
#[inline(always)]
fn by_row(target: &mut [u32], a: Source<'_>, b: &[u32], cols: usize, f: impl Fn(u32, u32) -> u32) {
    for (row, (target, &b)) in target.chunks_exact_mut(cols.max(1)).zip(b).enumerate() {
        match a {
            Source::Slice(a) => {
                let a = &a[row * cols..][..cols];
                target.iter_mut().zip(a).for_each(|(target, &a)| *target = f(a, b));
            }
            Source::Splat(a) => target.fill(f(a, b)),
            Source::PerRow(a, _) => target.fill(f(a[row], b)),
        }
    }
}

#[inline(always)]
fn select(target: &mut [u32], condition: Source<'_>, a: Source<'_>, b: Source<'_>) {
    match (condition, a, b) {
        (Source::Slice(condition), Source::Slice(a), Source::Slice(b)) => {
            let chosen = condition.iter().zip(a).zip(b);
            target.iter_mut().zip(chosen).for_each(|(target, ((&c, &a), &b))| *target = if c != 0 { a } else { b });
        }
        (Source::Slice(condition), a, Source::Splat(b)) => {
            zip(target, a, Source::Slice(condition), |a, c| if c != 0 { a } else { b });
        }
        (Source::Slice(condition), Source::Splat(a), b) => {
            zip(target, b, Source::Slice(condition), |b, c| if c != 0 { a } else { b });
        }
        (condition, a, b) => {
            for (index, target) in target.iter_mut().enumerate() {
                let chosen = if element(condition, index) != 0 { a } else { b };
                *target = element(chosen, index);
            }
        }
    }
}

#[inline(always)]
fn element(source: Source<'_>, index: usize) -> u32 {
    match source {
        Source::Slice(words) => words[index],
        Source::Splat(word) => word,
        Source::PerRow(words, cols) => words[index / cols],
    }
}
