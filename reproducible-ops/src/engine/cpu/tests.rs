//! The engine against the reference, bit for bit: every operator, every instruction set, any number
//! of threads.

use super::gemm::panel_columns;
use super::memory::Words;
use super::{CpuEngine, InstructionSet};
use crate::engine::{Engine, reference};
use crate::program::{
    Builder, Comparison, DType, Operator, Program, Role, Shape, TensorType, ValueId,
};
use crate::random::Stream;
use crate::scalar;
use crate::tensor::{HalfFormat, Tensor};

/// Draws operators and operands for a growing program.
struct Generator {
    stream: Stream,
    builder: Builder,
    values: Vec<ValueId>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut generator = Self {
            stream: Stream::from_seed("engine test", seed),
            builder: Builder::new(),
            values: Vec::new(),
        };
        let (b, m, k) = (generator.dim(), generator.dim(), generator.dim());
        for (index, shape) in [vec![b, m, k], vec![m, k], vec![b, m, 1], vec![k], vec![]]
            .into_iter()
            .enumerate()
        {
            generator.input(format!("f{index}"), TensorType::f32(shape));
        }
        generator.input("ids".into(), TensorType::i32([b, m, 1]));
        generator.input("mask".into(), TensorType::new(DType::Bool, [b, m, k]));
        generator
    }

    fn dim(&mut self) -> usize {
        const DIMS: [usize; 9] = [1, 2, 3, 7, 16, 17, 33, 64, 130];
        *self.stream.choose(&DIMS).expect("not empty")
    }

    fn input(&mut self, name: String, ty: TensorType) {
        let id = self.builder.input(name, ty, Role::Data);
        self.values.push(id);
    }

    fn any(&mut self, dtype: DType) -> Option<ValueId> {
        let all: Vec<ValueId> = self
            .values
            .iter()
            .copied()
            .filter(|&id| self.builder.type_of(id).dtype == dtype)
            .collect();
        self.stream.choose(&all).copied()
    }

    fn like(&mut self, id: ValueId) -> Option<ValueId> {
        let ty = self.builder.type_of(id).clone();
        let same: Vec<ValueId> = self
            .values
            .iter()
            .copied()
            .filter(|&other| *self.builder.type_of(other) == ty)
            .collect();
        self.stream.choose(&same).copied()
    }

    fn push(&mut self, operator: Operator, inputs: &[ValueId]) {
        if let Ok(id) = self.builder.push(operator, inputs)
            && self.builder.shape_of(id).elements() < 200_000
        {
            self.values.push(id);
        }
    }

    fn step(&mut self) -> Option<()> {
        match self.stream.below(12) {
            0..=3 => self.elementwise(),
            4 => self.reduction(),
            5 | 6 => self.movement(),
            7 => self.matmul(),
            8 => self.broadcast(),
            9 => self.indexing(),
            10 => self.integers(),
            _ => self.assembly(),
        }
    }

    fn elementwise(&mut self) -> Option<()> {
        use Operator::*;
        let a = self.any(DType::F32)?;
        let b = self.like(a)?;
        if self.stream.chance(0.4) {
            let operator = self
                .stream
                .choose(&[
                    Neg,
                    Abs,
                    Sqrt,
                    Exp,
                    Log,
                    Tanh,
                    Cast(DType::I32),
                    Cast(DType::Bool),
                ])?
                .clone();
            self.push(operator, &[a]);
        } else {
            let compare = Compare(Comparison::LessEqual);
            let operator = self
                .stream
                .choose(&[Add, Sub, Mul, Div, Max, Min, compare])?
                .clone();
            self.push(operator, &[a, b]);
        }
        Some(())
    }

    fn integers(&mut self) -> Option<()> {
        use Operator::*;
        let dtype = *self.stream.choose(&[DType::I32, DType::Bool])?;
        let a = self.any(dtype)?;
        let b = self.like(a)?;
        let operators: &[Operator] = match dtype {
            DType::I32 => &[
                Add,
                Sub,
                Mul,
                Max,
                Min,
                Compare(Comparison::Less),
                Compare(Comparison::Equal),
            ],
            _ => &[And, Or],
        };
        let operator = self.stream.choose(operators)?.clone();
        self.push(operator, &[a, b]);
        self.push(Cast(DType::F32), &[a]);
        if dtype == DType::Bool {
            self.push(Not, &[a]);
            let shape = self.builder.shape_of(a).clone();
            let x = *self
                .values
                .iter()
                .find(|&&id| *self.builder.type_of(id) == TensorType::f32(shape.clone()))?;
            let y = self.like(x)?;
            self.push(Select, &[a, x, y]);
        }
        Some(())
    }

    fn reduction(&mut self) -> Option<()> {
        let x = self.any(DType::F32)?;
        let operator = self
            .stream
            .choose(&[Operator::Sum, Operator::ReduceMax, Operator::Argmax])?
            .clone();
        self.push(operator, &[x]);
        Some(())
    }

    fn movement(&mut self) -> Option<()> {
        let dtype = *self
            .stream
            .choose(&[DType::F32, DType::F32, DType::I32, DType::Bool])?;
        let x = self.any(dtype)?;
        let dims = self.builder.shape_of(x).dims().to_vec();
        let mut axes: Vec<usize> = (0..dims.len()).collect();
        match self.stream.below(4) {
            0 => {
                self.stream.shuffle(&mut axes);
                self.push(Operator::Permute(axes), &[x]);
            }
            1 => {
                let cut: Vec<(usize, usize)> = dims.iter().map(|&dim| self.range(dim)).collect();
                let (starts, ends) = cut.into_iter().unzip();
                self.push(Operator::Slice { starts, ends }, &[x]);
            }
            2 => {
                let elements: usize = dims.iter().product();
                let divisor = (2..=elements.max(2))
                    .find(|divisor| elements.is_multiple_of(*divisor))
                    .unwrap_or(1);
                self.push(
                    Operator::Reshape(Shape::from([divisor, elements / divisor.max(1)])),
                    &[x],
                );
                self.push(Operator::Reshape(Shape::from([elements])), &[x]);
            }
            _ => {
                let before = dims.iter().map(|_| self.stream.index(3)).collect();
                let after = dims.iter().map(|_| self.stream.index(3)).collect();
                self.push(Operator::Pad { before, after }, &[x]);
            }
        }
        Some(())
    }

    fn range(&mut self, dim: usize) -> (usize, usize) {
        let start = self.stream.index(dim.max(1));
        (start, start + self.stream.index(dim - start + 1))
    }

    fn broadcast(&mut self) -> Option<()> {
        let x = self.any(DType::F32)?;
        let target = self.any(DType::F32)?;
        let shape = self.builder.shape_of(target).clone();
        if let Ok(id) = self.builder.broadcast(x, shape) {
            self.values.push(id);
            self.push(Operator::Sub, &[target, id]);
        }
        Some(())
    }

    fn matmul(&mut self) -> Option<()> {
        let a = self.any(DType::F32)?;
        let transposed = self.builder.transpose(a).ok()?;
        let b = self.like(a)?;
        let b = if self.stream.chance(0.3) {
            self.builder.transpose(b).ok()?
        } else {
            b
        };
        self.push(Operator::MatmulNt, &[a, b]);
        self.push(Operator::MatmulNt, &[transposed, transposed]);
        Some(())
    }

    fn indexing(&mut self) -> Option<()> {
        let ids = self.any(DType::I32)?;
        let x = self.any(DType::F32)?;
        self.push(Operator::TakeAlongLast, &[x, ids]);
        self.push(Operator::GatherRows, &[x, ids]);
        let classes = self.dim();
        self.push(Operator::OneHot { classes }, &[ids]);
        let dims = self.builder.shape_of(x).dims().to_vec();
        if let [outer, rows, width] = dims[..] {
            let count = self.stream.index(rows + 1);
            let update = self.builder.push(
                Operator::Slice {
                    starts: vec![0; 3],
                    ends: vec![outer, count, width],
                },
                &[x],
            );
            let at = self.builder.push(
                Operator::Iota {
                    shape: Shape::from([outer]),
                    axis: 0,
                },
                &[],
            );
            self.push(Operator::UpdateRows, &[x, update.ok()?, at.ok()?]);
        }
        Some(())
    }

    fn assembly(&mut self) -> Option<()> {
        let x = self.any(DType::F32)?;
        let y = self.like(x)?;
        let rank = self.builder.shape_of(x).rank();
        if rank > 0 {
            let axis = self.stream.index(rank);
            self.push(Operator::Concat { axis }, &[x, y, x]);
            let shape = self.builder.shape_of(x).clone();
            self.push(Operator::Iota { shape, axis }, &[]);
        }
        let value = *self.stream.choose(&[0.0, -1.5, f32::NAN, f32::INFINITY])?;
        let full = self.builder.full_like(value, x).ok()?;
        self.values.push(full);
        self.push(Operator::Mul, &[x, full]);
        Some(())
    }

    fn finish(mut self, outputs: usize) -> (Program, Vec<Tensor>) {
        for index in 0..outputs {
            let value = *self
                .stream
                .choose(&self.values.clone())
                .expect("inputs exist");
            self.builder.output(format!("out{index}"), value);
        }
        let program = self.builder.finish();
        let inputs = program
            .inputs()
            .iter()
            .map(|input| random_tensor(&mut self.stream, &input.ty))
            .collect();
        (program, inputs)
    }
}

pub(super) fn random_tensor(stream: &mut Stream, ty: &TensorType) -> Tensor {
    const EDGES: [u32; 10] = [
        0,
        0x8000_0000,
        1,
        0x807f_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0x3f80_0000,
        0x7f7f_ffff,
        0x0080_0000,
    ];
    let mut word = || match ty.dtype {
        DType::F32 if stream.chance(0.03) => EDGES[stream.index(EDGES.len())],
        DType::F32 => ((stream.uniform() - 0.5) * 8.0).to_bits(),
        DType::I32 => (stream.range(-2, 20) as i32) as u32,
        DType::Bool => u32::from(stream.chance(0.5)),
    };
    let words = (0..ty.shape.elements()).map(|_| word()).collect();
    Tensor::from_words(ty.clone(), words).expect("sized by its type")
}

pub(super) fn assert_equal(program: &Program, inputs: &[Tensor], seed: u64) {
    let expected = reference::evaluate(program, inputs).expect("valid");
    for isa in InstructionSet::available() {
        for threads in [1, 2, 3] {
            let engine = CpuEngine::with_instruction_set(isa, threads).expect("available");
            let mut session = engine.load(program).expect("valid");
            for _ in 0..2 {
                for (declared, tensor) in program.inputs().iter().zip(inputs) {
                    session.write(&declared.name, tensor).expect("typed");
                }
                session.run().expect("written");
                for (output, expected) in program.outputs().iter().zip(&expected) {
                    let found = session.read(&output.name).expect("declared");
                    let name = &output.name;
                    assert!(
                        found == *expected,
                        "{name} of seed {seed} on {isa} with {threads} threads\n{program:#?}"
                    );
                }
            }
        }
    }
}

#[test]
fn random_programs_have_the_bits_of_the_reference() {
    for seed in 0..150 {
        let mut generator = Generator::new(seed);
        (0..25).for_each(|_| {
            generator.step();
        });
        let (program, inputs) = generator.finish(6);
        program.validate().expect("built");
        assert_equal(&program, &inputs, seed);
    }
}

/// The same shape with numbers of two bytes.
fn random_halves(stream: &mut Stream, ty: &TensorType, format: HalfFormat) -> Tensor {
    let mut bits = || match format {
        _ if stream.chance(0.02) => stream.next_u32() as u16,
        HalfFormat::Bf16 => 0x3d00 + (stream.next_u32() as u16 & 0x81ff),
        HalfFormat::F16 => stream.next_u32() as u16 & 0xbfff,
    };
    let bits = (0..ty.shape.elements()).map(|_| bits()).collect();
    Tensor::from_halves(ty.shape.clone(), format, bits).expect("sized by its type")
}

/// Whatever reads a matrix that is kept at two bytes: products with all or parts of it, from either
/// side and turned, fused kernels, copies.
#[test]
fn random_programs_over_halves_have_the_bits_of_the_reference() {
    for seed in 0..100 {
        let mut generator = Generator::new(1000 + seed);
        (0..25).for_each(|_| {
            generator.step();
        });
        let (program, mut inputs) = generator.finish(6);
        let mut stream = Stream::from_seed("halves", seed);
        let format = HalfFormat::ALL[stream.index(2)];
        for tensor in &mut inputs {
            if tensor.ty().dtype == DType::F32 {
                *tensor = random_halves(&mut stream, &tensor.ty().clone(), format);
            }
        }
        assert_equal(&program, &inputs, seed);
    }
}

/// A table that is looked up and multiplied, as a tied embedding is, in few rows and many.
fn tied(rows: usize) -> Program {
    let mut b = Builder::new();
    let table = b.input("table", TensorType::f32([300, 70]), Role::Param);
    let bias = b.input("bias", TensorType::f32([300]), Role::Param);
    let ids = b.input("ids", TensorType::i32([rows]), Role::Data);
    let x = b.push(Operator::GatherRows, &[table, ids]).expect("typed");
    let y = b.matmul_nt(x, table).expect("typed");
    let bias = b.reshape(bias, [1, 300]).expect("typed");
    let bias = b.expand(bias, [rows, 300]).expect("typed");
    let y = b.add(y, bias).expect("typed");
    b.output("y", y);
    b.finish()
}

#[test]
fn a_weight_at_two_bytes_is_in_memory_once() {
    for format in HalfFormat::ALL {
        let mut stream = Stream::from_seed("tied", 0);
        let table = random_halves(&mut stream, &TensorType::f32([300, 70]), format);
        let bias = random_halves(&mut stream, &TensorType::f32([300]), format);
        for isa in InstructionSet::available() {
            let engine = CpuEngine::with_instruction_set(isa, 2).expect("available");
            let plain = CpuEngine::with_instruction_set(InstructionSet::Scalar, 1);
            let kept = engine.upload(&table).expect("stored");
            for rows in [1, 5, 200] {
                let program = tied(rows);
                let ids = random_tensor(&mut stream, &TensorType::i32([rows]));
                let inputs = [table.clone(), bias.clone(), ids.clone()];
                let wanted = reference::evaluate(&program, &inputs).expect("valid");
                for (engine, kept) in [
                    (&engine, kept.clone()),
                    // Panels of another instruction set are not read as such.
                    (
                        plain.as_ref().expect("available"),
                        engine.upload(&table).expect("stored"),
                    ),
                ] {
                    let mut session = engine.load(&program).expect("valid");
                    session.bind("table", &kept).expect("typed");
                    session.write("bias", &bias).expect("typed");
                    session.write("ids", &ids).expect("typed");
                    session.run().expect("written");
                    assert!(
                        session.read("y") == Ok(wanted[0].clone()),
                        "{format:?} {isa} {rows}"
                    );
                }
            }
            let words = kept.storage::<Words>().expect("of this engine");
            let padded = 300usize.next_multiple_of(panel_columns(isa)) * 70;
            assert!(
                words.bytes() < 2 * padded + 64,
                "{} bytes on {isa}",
                words.bytes()
            );
            let canonical: Vec<u32> = table
                .words()
                .iter()
                .map(|&word| scalar::canon(f32::from_bits(word)).to_bits())
                .collect();
            assert_eq!(kept.read_words(), Ok(canonical));
        }
    }
}

#[test]
fn empty_tensors_are_computed_like_others() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([3, 0]), Role::Data);
    let y = b.input("y", TensorType::f32([0, 4]), Role::Data);
    let sum = b.sum(x).expect("typed");
    let max = b.reduce_max(x).expect("typed");
    let product = b.matmul_nt(x, x).expect("typed");
    let exp = b.exp(y).expect("typed");
    let rows = b.sum(exp).expect("typed");
    for (name, value) in [
        ("sum", sum),
        ("max", max),
        ("product", product),
        ("exp", exp),
        ("rows", rows),
    ] {
        b.output(name, value);
    }
    let program = b.finish();
    let inputs: Vec<Tensor> = program
        .inputs()
        .iter()
        .map(|input| Tensor::zeros(input.ty.clone()))
        .collect();
    assert_equal(&program, &inputs, 0);
}

#[test]
fn softmax_is_one_kernel() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([64, 100]), Role::Data);
    let y = b.softmax(x).expect("typed");
    let z = b.log_softmax(y).expect("typed");
    b.output("z", z);
    assert_eq!(super::plan::Plan::new(&b.finish()).steps.len(), 1);
}

#[test]
fn carried_state_is_updated_in_place_and_advances() {
    let mut b = Builder::new();
    let cache = b.input("cache", TensorType::f32([2, 5, 3]), Role::State);
    let count = b.input("count", TensorType::f32([1]), Role::State);
    let rows = b.input("rows", TensorType::f32([2, 1, 3]), Role::Data);
    let at = b.input("at", TensorType::i32([2]), Role::Data);
    let next = b
        .push(Operator::UpdateRows, &[cache, rows, at])
        .expect("typed");
    let total = b.sum_all(next).expect("typed");
    let one = b.full(1.0, [1]).expect("typed");
    let counted = b.add(count, one).expect("typed");
    b.output("cache", next);
    b.output("count", counted);
    b.output("total", total);
    let program = b.finish();
    let mut session = CpuEngine::new(1).load(&program).expect("valid");
    session
        .write("cache", &Tensor::zeros(TensorType::f32([2, 5, 3])))
        .expect("typed");
    session
        .write("count", &Tensor::zeros(TensorType::f32([1])))
        .expect("typed");
    session
        .write(
            "rows",
            &Tensor::f32([2, 1, 3], vec![1.0; 6]).expect("sized"),
        )
        .expect("typed");
    for step in 0..3 {
        session
            .write("at", &Tensor::i32([2], vec![step, step]).expect("sized"))
            .expect("typed");
        session.run().expect("written");
        session.advance();
    }
    assert_eq!(
        session.read("total").expect("declared").as_f32(),
        Ok(&[18.0][..])
    );
    assert_eq!(session.input_words("count"), Ok(vec![3.0f32.to_bits()]));
}

#[test]
fn inputs_that_are_missing_or_misshapen_are_named() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([2]), Role::Data);
    b.output("x", x);
    let mut session = CpuEngine::new(1).load(&b.finish()).expect("valid");
    assert_eq!(
        session.run().map_err(|error| error.to_string()),
        Err("input `x` was never written".into())
    );
    let wrong = session
        .write("x", &Tensor::zeros(TensorType::f32([3])))
        .map_err(|error| error.to_string());
    assert_eq!(wrong, Err("input `x` is f32[2], got f32[3]".into()));
}
