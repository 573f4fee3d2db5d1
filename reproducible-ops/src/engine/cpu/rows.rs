//! Fused kernels over rows: elementwise chains, row reductions and what lies between them, one
//! cache-sized tile at a time.
//!
//! A kernel works on a domain of `rows × cols` elements. Its registers hold one tile of either
//! *full* extent (`rows × cols`) or *row* extent (one element per row), so softmax, norms and
//! optimizer updates run in one pass over memory. Each instruction is a plain loop over
//! [`crate::scalar`], compiled once per instruction set; the bits are those of the reference
//! because the source is.
//!
//! Rows are independent: parts of the row range may run on different threads.

use crate::program::{Element, Elementwise, ValueId, elementwise_table};
use crate::scalar;

use super::gemm;
use super::instruction_set::InstructionSet;
use super::layout::Layout;
use super::rotate::Rotation;
use super::vector;

/// Most outputs of one kernel.
pub(super) const MAX_OUTPUTS: usize = MAX_REGISTERS;
/// Most registers of one kernel, outputs included.
pub(super) const MAX_REGISTERS: usize = 64;
/// Most external operands of one kernel.
pub(super) const MAX_LOADS: usize = 48;
/// Elements of one tile: several registers fit the first-level cache.
const TILE_ELEMENTS: usize = 2048;

/// Longest rows that are gathered from columns a line at a time.
const TURNED_COLS: usize = 4 * TILE_ELEMENTS;
/// Words of a cache line.
const LINE: usize = 16;

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
    /// The value that owns the buffer.
    pub base: ValueId,
    /// Where in the buffer its elements lie.
    pub layout: Layout,
    /// How much of the domain it covers.
    pub extent: Extent,
}

impl Load {
    /// Words from one column to the next, if it is columns side by side: element `r` of each
    /// column is row `r`.
    fn columns(&self) -> Option<usize> {
        match (self.layout.dims.as_slice(), self.layout.strides.as_slice()) {
            ([rows, cols], [1, step]) if *rows > 1 && *cols > 1 && *step > 1 => Some(*step),
            _ => None,
        }
    }
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
    /// An elementwise operator.
    Elementwise(Elementwise),
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
    /// Both halves of each row turned.
    Rotate(Rotation),
}

impl Code {
    /// Whether it reads its first operand row by row.
    pub fn reads_whole_rows(&self) -> bool {
        matches!(
            self,
            Self::Sum | Self::Max | Self::Argmax | Self::Pick | Self::Rotate(_)
        )
    }
}

/// One step of a tile.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    /// What it does.
    pub code: Code,
    /// How much of the domain it computes.
    pub extent: Extent,
    /// The register that it fills.
    pub target: usize,
    /// What it reads; those that it has no use for are splats.
    pub operands: [Operand; 3],
}

/// A fused kernel. Registers are numbered outputs first, then scratch.
#[derive(Clone, Debug)]
pub(super) struct RowKernel {
    /// Rows of the domain.
    pub rows: usize,
    /// Columns of the domain.
    pub cols: usize,
    /// External values that it reads.
    pub loads: Vec<Load>,
    /// Those of them that are read in domain order and as a whole.
    pub streams: Vec<usize>,
    /// Outputs, by number, that may lie in the buffer of a stream, by number: they are written
    /// after its last use.
    pub replaceable: Vec<(usize, usize)>,
    /// Streams whose buffer an output took over: they are read from its register.
    pub replaced: Vec<usize>,
    /// What is done for each tile, in this order.
    pub instructions: Vec<Instruction>,
    /// What it computes: its first registers.
    pub outputs: Vec<(ValueId, Extent)>,
    /// The registers that follow the outputs.
    pub scratch: Vec<Extent>,
}

impl RowKernel {
    /// Rows of one tile.
    pub fn tile_rows(&self) -> usize {
        let fitting = TILE_ELEMENTS / self.cols.max(1);
        let turned = self.loads.iter().any(|load| load.columns().is_some());
        // A line of memory holds an element of so many rows.
        let least = if turned && self.cols <= TURNED_COLS {
            LINE
        } else {
            1
        };
        fitting.max(least).clamp(1, self.rows.max(1))
    }

    /// Words of scratch that one thread needs.
    pub fn scratch_words(&self) -> usize {
        let tile = self.tile_rows();
        self.scratch
            .iter()
            .map(|&extent| padded(tile * self.width(extent)))
            .sum()
    }

    /// Elements per row of an extent.
    pub fn width(&self, extent: Extent) -> usize {
        match extent {
            Extent::Full => self.cols,
            Extent::Row => 1,
        }
    }

    /// Has `output` computed in place of a stream, whose words its buffer holds before a run.
    pub fn replace(&mut self, output: usize, load: usize) {
        for instruction in &mut self.instructions {
            for operand in &mut instruction.operands {
                if *operand == Operand::Direct(load) {
                    *operand = Operand::Register(output);
                }
            }
        }
        self.streams.retain(|&stream| stream != load);
        self.replaced.push(load);
    }

    /// Computes rows `first..first + count`. `loads` are whole buffers; `outputs` and `scratch` are
    /// this part's own.
    pub fn run(
        &self,
        isa: InstructionSet,
        loads: &[&[u32]],
        outputs: [&mut [u32]; MAX_OUTPUTS],
        scratch: &mut [u32],
        first: usize,
        count: usize,
    ) {
        let part = Part {
            kernel: self,
            isa,
            loads,
            outputs,
            scratch,
            first,
            count,
        };
        part.run();
    }
}

/// Scratch registers start on cache lines.
fn padded(words: usize) -> usize {
    words.next_multiple_of(16)
}

struct Part<'a> {
    kernel: &'a RowKernel,
    isa: InstructionSet,
    loads: &'a [&'a [u32]],
    outputs: [&'a mut [u32]; MAX_OUTPUTS],
    scratch: &'a mut [u32],
    first: usize,
    count: usize,
}

impl Part<'_> {
    fn run(self) {
        let Self {
            kernel,
            isa,
            loads,
            mut outputs,
            scratch,
            first,
            count,
        } = self;
        let tile_rows = kernel.tile_rows();
        let mut done = 0;
        while done < count {
            let rows = tile_rows.min(count - done);
            let mut registers: [&mut [u32]; MAX_REGISTERS] =
                std::array::from_fn(|_| Default::default());
            for (index, (_, extent)) in kernel.outputs.iter().enumerate() {
                let rest = std::mem::take(&mut outputs[index]);
                let (head, tail) = rest.split_at_mut(rows * kernel.width(*extent));
                registers[index] = head;
                outputs[index] = tail;
            }
            let mut rest = &mut *scratch;
            for (index, &extent) in kernel.scratch.iter().enumerate() {
                let (head, tail) = rest.split_at_mut(padded(tile_rows * kernel.width(extent)));
                registers[kernel.outputs.len() + index] = &mut head[..rows * kernel.width(extent)];
                rest = tail;
            }
            let tile = RowTile {
                kernel,
                isa,
                loads,
                first: first + done,
                rows,
            };
            let next = tile.next(tile_rows.min(count - done - rows));
            for (at, instruction) in kernel.instructions.iter().enumerate() {
                next.prefetch(&outputs, at, kernel.instructions.len());
                tile.execute(instruction, &mut registers);
            }
            done += rows;
        }
    }
}

/// An operand's elements in one tile.
#[derive(Clone, Copy)]
enum Source<'a> {
    Slice(&'a [u32]),
    /// Each word so many times in a row: once per column, or [`EVERYWHERE`].
    Repeated(&'a [u32], usize),
}

/// How often a constant is repeated: until the target is full.
const EVERYWHERE: usize = usize::MAX;

// Loops are macros and not functions that take closures: a closure is a function of its own, and
// unless it is inlined it is compiled without the instruction set of `vector::dispatch`, many times
// slower. A constant has no loops of its own but those of `Repeated`, with a single run: every loop
// is compiled for each function and instruction set. Runs are split off one by one, because
// `chunks` divides, which a tile with a constant would notice.

/// `target = f(a)`, element by element.
macro_rules! map {
    ($target:expr, $a:expr, |$x:ident| $value:expr) => {
        match $a {
            Source::Slice(a) => {
                for (target, &$x) in $target.iter_mut().zip(a) {
                    *target = $value;
                }
            }
            Source::Repeated(a, times) => {
                let mut rest = &mut *$target;
                for &$x in a {
                    let run = first_run(&mut rest, times);
                    run.fill($value);
                }
            }
        }
    };
}

/// `target = f(a, b)`, element by element.
macro_rules! zip {
    ($target:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {
        match ($a, $b) {
            (Source::Slice(a), Source::Slice(b)) => {
                for ((target, &$x), &$y) in $target.iter_mut().zip(a).zip(b) {
                    *target = $value;
                }
            }
            (Source::Slice(a), Source::Repeated(b, times)) => {
                let (mut rest, mut at) = (&mut *$target, 0);
                for &$y in b {
                    let run = first_run(&mut rest, times);
                    let words = &a[at..];
                    at += run.len();
                    for (target, &$x) in run.iter_mut().zip(words) {
                        *target = $value;
                    }
                }
            }
            (Source::Repeated(a, times), Source::Slice(b)) => {
                let (mut rest, mut at) = (&mut *$target, 0);
                for &$x in a {
                    let run = first_run(&mut rest, times);
                    let words = &b[at..];
                    at += run.len();
                    for (target, &$y) in run.iter_mut().zip(words) {
                        *target = $value;
                    }
                }
            }
            (a @ Source::Repeated(_, a_times), b @ Source::Repeated(_, b_times)) => {
                let times = a_times.min(b_times);
                for (run, target) in $target.chunks_mut(times).enumerate() {
                    let ($x, $y) = (element(a, run * times), element(b, run * times));
                    target.fill($value);
                }
            }
        }
    };
}

/// `target = f(a, b, c)`, element by element. Only what is frequent has a loop that becomes vector
/// code: the first operand a whole tensor (a mask), or the second (a gradient that is clipped).
macro_rules! zip3 {
    ($target:expr, $a:expr, $b:expr, $c:expr, |$x:ident, $y:ident, $z:ident| $value:expr) => {
        match ($a, $b, $c) {
            (Source::Slice(a), Source::Slice(b), Source::Slice(c)) => {
                for (((target, &$x), &$y), &$z) in $target.iter_mut().zip(a).zip(b).zip(c) {
                    *target = $value;
                }
            }
            (Source::Slice(a), Source::Slice(b), Source::Repeated(c, times)) => {
                let (mut rest, mut at) = (&mut *$target, 0);
                for &$z in c {
                    let run = first_run(&mut rest, times);
                    let words = a[at..].iter().zip(&b[at..]);
                    at += run.len();
                    for (target, (&$x, &$y)) in run.iter_mut().zip(words) {
                        *target = $value;
                    }
                }
            }
            (Source::Slice(a), Source::Repeated(b, times), Source::Slice(c)) => {
                let (mut rest, mut at) = (&mut *$target, 0);
                for &$y in b {
                    let run = first_run(&mut rest, times);
                    let words = a[at..].iter().zip(&c[at..]);
                    at += run.len();
                    for (target, (&$x, &$z)) in run.iter_mut().zip(words) {
                        *target = $value;
                    }
                }
            }
            (
                Source::Slice(a),
                b @ Source::Repeated(_, b_times),
                c @ Source::Repeated(_, c_times),
            ) => {
                let times = b_times.min(c_times);
                let runs = $target.chunks_mut(times).zip(a.chunks(times));
                for (run, (target, a)) in runs.enumerate() {
                    let ($y, $z) = (element(b, run * times), element(c, run * times));
                    for (target, &$x) in target.iter_mut().zip(a) {
                        *target = $value;
                    }
                }
            }
            (Source::Repeated(a, times), Source::Slice(b), Source::Slice(c)) => {
                let (mut rest, mut at) = (&mut *$target, 0);
                for &$x in a {
                    let run = first_run(&mut rest, times);
                    let words = b[at..].iter().zip(&c[at..]);
                    at += run.len();
                    for (target, (&$y, &$z)) in run.iter_mut().zip(words) {
                        *target = $value;
                    }
                }
            }
            (
                a @ Source::Repeated(_, a_times),
                Source::Slice(b),
                c @ Source::Repeated(_, c_times),
            ) => {
                let times = a_times.min(c_times);
                let runs = $target.chunks_mut(times).zip(b.chunks(times));
                for (run, (target, b)) in runs.enumerate() {
                    let ($x, $z) = (element(a, run * times), element(c, run * times));
                    for (target, &$y) in target.iter_mut().zip(b) {
                        *target = $value;
                    }
                }
            }
            (a, b, c) => {
                for (index, target) in $target.iter_mut().enumerate() {
                    let ($x, $y, $z) = (element(a, index), element(b, index), element(c, index));
                    *target = $value;
                }
            }
        }
    };
}

/// `target = f(row)` for each row of a full operand.
macro_rules! reduce {
    ($target:expr, $source:expr, $cols:expr, |$row:ident| $value:expr) => {
        if let Source::Slice(words) = $source {
            let (values, cols): (&[f32], usize) = (bytemuck::cast_slice(words), $cols);
            for (row, target) in $target.iter_mut().enumerate() {
                let $row = &values[row * cols..][..cols];
                *target = $value;
            }
        }
    };
}

#[derive(Clone, Copy)]
struct RowTile<'a> {
    kernel: &'a RowKernel,
    isa: InstructionSet,
    loads: &'a [&'a [u32]],
    first: usize,
    rows: usize,
}

impl RowTile<'_> {
    fn execute(&self, instruction: &Instruction, registers: &mut [&mut [u32]; MAX_REGISTERS]) {
        let target = std::mem::take(&mut registers[instruction.target]);
        let cols = self.kernel.cols;
        let source = |index: usize| self.source(&instruction.operands[index], registers);
        match &instruction.code {
            Code::Elementwise(row) => {
                elementwise(self.isa, *row, target, [source(0), source(1), source(2)]);
            }
            Code::Load(index) => self.load(*index, target),
            Code::Pick => pick(target, source(0), source(1), cols),
            code => {
                let plain = Plain {
                    code,
                    source: source(0),
                    cols,
                    target,
                };
                vector::dispatch(self.isa, plain);
            }
        }
        registers[instruction.target] = target;
    }

    fn source<'s>(
        &'s self,
        operand: &'s Operand,
        registers: &'s [&mut [u32]; MAX_REGISTERS],
    ) -> Source<'s> {
        match operand {
            Operand::Splat(word) => Source::Repeated(std::slice::from_ref(word), EVERYWHERE),
            Operand::Scalar(index) => {
                let word = &self.loads[*index][self.kernel.loads[*index].layout.offset];
                Source::Repeated(std::slice::from_ref(word), EVERYWHERE)
            }
            Operand::Direct(index) => Source::Slice(self.direct(*index)),
            Operand::Register(index) => Source::Slice(registers[*index]),
            Operand::PerRow(index) => Source::Repeated(registers[*index], self.kernel.cols.max(1)),
        }
    }

    fn direct(&self, index: usize) -> &[u32] {
        let load = &self.kernel.loads[index];
        let width = self.kernel.width(load.extent);
        &self.loads[index][load.layout.offset + self.first * width..][..self.rows * width]
    }

    /// The tile below, of so many rows.
    fn next(&self, rows: usize) -> Self {
        Self {
            first: self.first + self.rows,
            rows,
            ..*self
        }
    }

    /// Asks for the memory of this tile, the `part`-th of `parts` shares of it: the hardware
    /// foresees no page but the one that is read, and a tile ends with a page in each of its
    /// operands. Outputs begin with this tile.
    fn prefetch(&self, outputs: &[&mut [u32]; MAX_OUTPUTS], part: usize, parts: usize) {
        let share = |words: &[u32]| {
            let (start, end) = (words.len() * part / parts, words.len() * (part + 1) / parts);
            vector::prefetch(&words[start..end]);
        };
        for &index in &self.kernel.streams {
            share(self.direct(index));
        }
        for (output, (_, extent)) in outputs.iter().zip(&self.kernel.outputs) {
            share(&output[..self.rows * self.kernel.width(*extent)]);
        }
    }

    /// Copies this tile of an external value into a register.
    fn load(&self, index: usize, target: &mut [u32]) {
        let load = &self.kernel.loads[index];
        if let Some(step) = load.columns() {
            let words = &self.loads[index][load.layout.offset + self.first..];
            return gemm::transpose(self.isa, words, step, self.kernel.cols, target);
        }
        let loading = Loading {
            layout: &load.layout,
            width: self.kernel.width(load.extent),
            first: self.first,
            words: self.loads[index],
            target,
        };
        vector::dispatch(self.isa, loading);
    }
}

/// An instruction of one operand that is neither elementwise nor a load.
struct Plain<'a> {
    code: &'a Code,
    source: Source<'a>,
    cols: usize,
    target: &'a mut [u32],
}

impl vector::Task for Plain<'_> {
    #[inline(always)]
    fn run(self) {
        let Self {
            code,
            source,
            cols,
            target,
        } = self;
        match code {
            Code::Copy => map!(target, source, |x| x),
            Code::OneHot => one_hot(target, source, cols),
            Code::Sum => reduce!(target, source, cols, |row| {
                scalar::reduce::sum(row).to_bits()
            }),
            Code::Max => reduce!(target, source, cols, |row| {
                scalar::reduce::max(row).to_bits()
            }),
            Code::Argmax => reduce!(target, source, cols, |row| argmax(row)),
            Code::Rotate(rotation) => rotate(*rotation, target, source, cols),
            Code::Load(_) | Code::Elementwise(_) | Code::Pick => {
                unreachable!("invariant: these have loops of their own")
            }
        }
    }
}

/// A tile of an external value on its way into a register.
struct Loading<'a> {
    layout: &'a Layout,
    width: usize,
    /// First row of the tile.
    first: usize,
    words: &'a [u32],
    target: &'a mut [u32],
}

impl vector::Task for Loading<'_> {
    #[inline(always)]
    fn run(self) {
        let step = self.layout.last_stride();
        let rows = self.target.chunks_exact_mut(self.width.max(1));
        for (row, target) in rows.enumerate() {
            let start = self.layout.offset + row_offset(self.layout, self.first + row);
            copy_row(target, &self.words[start..], step);
        }
    }
}

#[inline(always)]
#[expect(clippy::expect_used, reason = "inference refuses empty rows")]
fn argmax(row: &[f32]) -> u32 {
    scalar::reduce::argmax(row).expect("invariant: a row of `argmax` is not empty") as u32
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
    if outer > 0 {
        offset + row * layout.strides[0]
    } else {
        offset
    }
}

#[inline(always)]
fn copy_row(target: &mut [u32], source: &[u32], step: usize) {
    match step {
        0 => target.fill(source[0]),
        1 => target.copy_from_slice(&source[..target.len()]),
        _ => {
            for (target, &word) in target.iter_mut().zip(source.iter().step_by(step)) {
                *target = word;
            }
        }
    }
}

#[inline(always)]
fn one_hot(target: &mut [u32], ids: Source<'_>, cols: usize) {
    for (row, target) in target.chunks_exact_mut(cols.max(1)).enumerate() {
        let id = element(ids, row);
        for (column, word) in target.iter_mut().enumerate() {
            *word = if column as u32 == id { 0x3f80_0000 } else { 0 };
        }
    }
}

#[inline(always)]
fn rotate(rotation: Rotation, target: &mut [u32], x: Source<'_>, cols: usize) {
    if let Source::Slice(words) = x {
        let rows = words.chunks_exact(cols.max(1));
        for (target, row) in target.chunks_exact_mut(cols.max(1)).zip(rows) {
            rotation.turn(target, row);
        }
    }
}

#[inline(always)]
fn pick(target: &mut [u32], x: Source<'_>, ids: Source<'_>, cols: usize) {
    if let Source::Slice(words) = x {
        for (row, target) in target.iter_mut().enumerate() {
            let id = element(ids, row) as usize;
            *target = if id < cols { words[row * cols + id] } else { 0 };
        }
    }
}

/// One task per row of the operator table, each a loop over its function of [`crate::scalar`]: a
/// function of its own for every instruction set, which compiles many times faster than one
/// function with all loops.
fn elementwise(
    isa: InstructionSet,
    row: Elementwise,
    target: &mut [u32],
    sources: [Source<'_>; 3],
) {
    macro_rules! task {
        (|$target:ident, $a:ident, $b:ident, $c:ident| $body:expr) => {{
            struct Loop<'a>(&'a mut [u32], [Source<'a>; 3]);
            impl vector::Task for Loop<'_> {
                #[inline(always)]
                fn run(self) {
                    let Self($target, [$a, $b, $c]) = self;
                    $body
                }
            }
            vector::dispatch(isa, Loop(target, sources));
        }};
    }
    macro_rules! apply {
        ($function:path, ($x:ident)) => {
            task!(|target, a, _b, _c| {
                map!(target, a, |x| $function($x::from_word(x)).to_word())
            })
        };
        ($function:path, ($x:ident, $y:ident)) => {
            task!(|target, a, b, _c| {
                zip!(target, a, b, |x, y| {
                    $function($x::from_word(x), $y::from_word(y)).to_word()
                })
            })
        };
        ($function:path, ($x:ident, $y:ident, $z:ident)) => {
            task!(|target, a, b, c| {
                zip3!(target, a, b, c, |x, y, z| {
                    $function($x::from_word(x), $y::from_word(y), $z::from_word(z)).to_word()
                })
            })
        };
    }
    macro_rules! loops {
        ($(
            $row:ident $name:literal $operator:tt $operands:tt -> $result:ident, $function:path;
        )+) => {
            match row {
                $(Elementwise::$row => apply!($function, $operands),)+
            }
        };
    }
    elementwise_table!(loops)
}

/// Splits off the next `times` words, or what is left.
#[inline(always)]
fn first_run<'a>(rest: &mut &'a mut [u32], times: usize) -> &'a mut [u32] {
    let words = std::mem::take(rest);
    let (run, others) = words.split_at_mut(times.min(words.len()));
    *rest = others;
    run
}

#[inline(always)]
fn element(source: Source<'_>, index: usize) -> u32 {
    match source {
        Source::Slice(words) => words[index],
        Source::Repeated(words, times) => words[index / times],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::vectors;

    const ROWS: usize = 9;
    const COLS: usize = 37;

    /// How a loop is given an operand.
    #[derive(Clone, Copy, Debug)]
    enum Form {
        Whole,
        Constant,
        PerRow,
    }

    impl Form {
        fn source(self, words: &[u32]) -> Source<'_> {
            match self {
                Self::Whole => Source::Slice(words),
                Self::Constant => Source::Repeated(&words[..1], EVERYWHERE),
                Self::PerRow => Source::Repeated(&words[..ROWS], COLS),
            }
        }

        fn word(self, words: &[u32], index: usize) -> u32 {
            match self {
                Self::Whole => words[index],
                Self::Constant => words[0],
                Self::PerRow => words[index / COLS],
            }
        }
    }

    fn check(row: Elementwise, forms: [Form; 3], operands: &[Vec<u32>]) {
        let arity = operands.len();
        let expected: Vec<u32> = (0..ROWS * COLS)
            .map(|index| {
                let words = (0..arity).map(|n| forms[n].word(&operands[n], index));
                row.apply(&words.collect::<Vec<u32>>())
            })
            .collect();
        for isa in InstructionSet::available() {
            let mut target = vec![0xdead_beef; ROWS * COLS];
            let mut sources = [Source::Slice(&[]); 3];
            for (n, source) in sources.iter_mut().enumerate().take(arity) {
                *source = forms[n].source(&operands[n]);
            }
            elementwise(isa, row, &mut target, sources);
            assert_eq!(target, expected, "{} of {forms:?} on {isa}", row.name());
        }
    }

    #[test]
    fn every_row_of_the_table_has_a_loop_for_every_form_of_its_operands() {
        const FORMS: [Form; 3] = [Form::Whole, Form::Constant, Form::PerRow];
        for &row in Elementwise::ALL {
            let arity = row.operands().len();
            let drawn: Vec<Vec<u32>> = vectors(row, 2 * ROWS * COLS)
                .map(|vector| vector.operands)
                .collect();
            let drawn = &drawn[drawn.len() - ROWS * COLS..];
            let operands: Vec<Vec<u32>> = (0..arity)
                .map(|n| drawn.iter().map(|words| words[n]).collect())
                .collect();
            for choice in 0..3usize.pow(arity as u32) {
                let forms = [FORMS[choice % 3], FORMS[choice / 3 % 3], FORMS[choice / 9]];
                check(row, forms, &operands);
            }
        }
    }
}
