//! One case per operator and element type: a program of that operator alone, with its inputs.

use crate::program::{
    Builder, Comparison, DType, Operator, Program, Role, Shape, TensorType, TypeError, ValueId,
};
use crate::tensor::Tensor;

use super::inputs::{Inputs, Kind};
use super::step;

/// A program with everything it needs.
pub(super) struct Case {
    /// The operator's name, with its element type where there are several.
    pub name: &'static str,
    pub program: Program,
    /// In input order.
    pub inputs: Vec<Tensor>,
}

/// Every case, in the order of the pinned answers.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Cases { cases: Vec::new() };
    // Cannot fail: the programs are constant, and the tests build every one.
    let built = cases
        .elementwise()
        .and_then(|()| cases.reductions())
        .and_then(|()| cases.movement());
    let built = built
        .and_then(|()| cases.indexed())
        .and_then(|()| step::case(cases.cases.len() as u64));
    cases.cases.extend(built.ok());
    cases.cases
}

/// Input values of one case; deterministic in its number.
pub(super) fn inputs_of(program: &Program, number: u64, kind: Kind) -> Vec<Tensor> {
    let mut inputs = Inputs::new(number);
    program
        .inputs()
        .iter()
        .map(|input| inputs.tensor(&input.ty, kind))
        .collect()
}

struct Cases {
    cases: Vec<Case>,
}

type Done = Result<(), TypeError>;

const F32: DType = DType::F32;
const I32: DType = DType::I32;
const BOOL: DType = DType::Bool;

/// Not a multiple of any vector width, and large enough to be shared by threads.
const LONG: [usize; 2] = [3, 1_367];

impl Cases {
    fn push(&mut self, name: &'static str, builder: Builder, kind: Kind) {
        let program = builder.finish();
        let inputs = inputs_of(&program, self.cases.len() as u64, kind);
        self.cases.push(Case {
            name,
            program,
            inputs,
        });
    }

    /// One operator on inputs of these types.
    fn one(
        &mut self,
        name: &'static str,
        operator: Operator,
        operands: &[TensorType],
        kind: Kind,
    ) -> Done {
        self.each(name, &[(operator, operands.to_vec())], kind)
    }

    /// One operator in several shapes.
    fn each(
        &mut self,
        name: &'static str,
        variants: &[(Operator, Vec<TensorType>)],
        kind: Kind,
    ) -> Done {
        let mut builder = Builder::new();
        for (variant, (operator, types)) in variants.iter().enumerate() {
            let input = |(operand, ty): (usize, &TensorType)| {
                builder.input(format!("{variant}.{operand}"), ty.clone(), Role::Data)
            };
            let operands: Vec<ValueId> = types.iter().enumerate().map(input).collect();
            let value = builder.push(operator.clone(), &operands)?;
            builder.output(format!("{variant}"), value);
        }
        self.push(name, builder, kind);
        Ok(())
    }

    fn elementwise(&mut self) -> Done {
        use Operator::*;
        for (name, operator, dtypes) in [
            ("neg", Neg, &[F32][..]),
            ("neg i32", Neg, &[I32]),
            ("abs", Abs, &[F32]),
            ("abs i32", Abs, &[I32]),
            ("sqrt", Sqrt, &[F32]),
            ("exp", Exp, &[F32]),
            ("log", Log, &[F32]),
            ("tanh", Tanh, &[F32]),
            ("not", Not, &[BOOL]),
            ("cast f32 to i32", Cast(I32), &[F32]),
            ("cast f32 to bool", Cast(BOOL), &[F32]),
            ("cast i32 to f32", Cast(F32), &[I32]),
            ("cast bool to f32", Cast(F32), &[BOOL]),
            ("add", Add, &[F32; 2]),
            ("add i32", Add, &[I32; 2]),
            ("sub", Sub, &[F32; 2]),
            ("sub i32", Sub, &[I32; 2]),
            ("mul", Mul, &[F32; 2]),
            ("mul i32", Mul, &[I32; 2]),
            ("div", Div, &[F32; 2]),
            ("max", Max, &[F32; 2]),
            ("max i32", Max, &[I32; 2]),
            ("min", Min, &[F32; 2]),
            ("min i32", Min, &[I32; 2]),
            ("and", And, &[BOOL; 2]),
            ("or", Or, &[BOOL; 2]),
            ("equal", Compare(Comparison::Equal), &[F32; 2]),
            ("equal i32", Compare(Comparison::Equal), &[I32; 2]),
            ("less", Compare(Comparison::Less), &[F32; 2]),
            ("less i32", Compare(Comparison::Less), &[I32; 2]),
            ("less_equal", Compare(Comparison::LessEqual), &[F32; 2]),
            ("less_equal i32", Compare(Comparison::LessEqual), &[I32; 2]),
            ("select", Select, &[BOOL, F32, F32]),
        ] {
            let types: Vec<TensorType> = dtypes
                .iter()
                .map(|&dtype| TensorType::new(dtype, LONG))
                .collect();
            self.one(name, operator, &types, Kind::Any)?;
        }
        Ok(())
    }

    fn reductions(&mut self) -> Done {
        let shapes: [&[usize]; 7] = [
            &[9, 1],
            &[5, 15],
            &[4, 17],
            &[3, 255],
            &[3, 256],
            &[3, 257],
            &[1, 66_000],
        ];
        for (name, operator, kind) in [
            ("sum", Operator::Sum, Kind::Ordinary),
            ("sum of edge values", Operator::Sum, Kind::Any),
            ("reduce_max", Operator::ReduceMax, Kind::Any),
            (
                "reduce_max of ordinary values",
                Operator::ReduceMax,
                Kind::Ordinary,
            ),
            ("argmax", Operator::Argmax, Kind::Any),
            (
                "argmax of ordinary values",
                Operator::Argmax,
                Kind::Ordinary,
            ),
        ] {
            let variants = shapes.map(|shape| (operator.clone(), vec![TensorType::f32(shape)]));
            self.each(name, &variants, kind)?;
        }
        self.products("matmul_nt", Kind::Ordinary)?;
        self.products("matmul_nt of edge values", Kind::Any)
    }

    fn products(&mut self, name: &'static str, kind: Kind) -> Done {
        let sizes: [[usize; 4]; 7] = [
            [1, 5, 3, 1],
            [2, 7, 17, 31],
            [1, 1, 65, 257],
            [1, 33, 66, 256],
            [3, 13, 9, 513],
            [1, 70, 70, 70],
            [1, 2, 3, 65_800],
        ];
        let product = |[batch, m, n, k]: [usize; 4]| {
            (
                Operator::MatmulNt,
                vec![
                    TensorType::f32([batch, m, k]),
                    TensorType::f32([batch, n, k]),
                ],
            )
        };
        self.each(name, &sizes.map(product), kind)
    }

    fn movement(&mut self) -> Done {
        use Operator::*;
        let cube = || vec![TensorType::f32([5, 6, 7])];
        let full = |dtype, bits| {
            (
                Full {
                    dtype,
                    bits,
                    shape: Shape::from([2, 9]),
                },
                vec![],
            )
        };
        self.each(
            "full",
            &[
                full(F32, 0x8000_0000),
                full(I32, 0xffff_fff9),
                full(BOOL, 1),
            ],
            Kind::Any,
        )?;
        self.one(
            "iota",
            Iota {
                shape: Shape::from([3, 5, 4]),
                axis: 1,
            },
            &[],
            Kind::Any,
        )?;
        self.one(
            "reshape",
            Reshape(Shape::from([21, 10])),
            &cube(),
            Kind::Any,
        )?;
        let permuted =
            [[2, 0, 1], [1, 0, 2], [0, 2, 1]].map(|axes| (Permute(axes.to_vec()), cube()));
        self.each("permute", &permuted, Kind::Any)?;
        let narrow = vec![TensorType::f32([4, 1, 3])];
        self.one("expand", Expand(Shape::from([4, 6, 3])), &narrow, Kind::Any)?;
        let cut = Slice {
            starts: vec![1, 0, 2],
            ends: vec![4, 6, 7],
        };
        self.one("slice", cut, &cube(), Kind::Any)?;
        let parts = [3, 1, 4].map(|length| TensorType::f32([2, length, 3]));
        self.one("concat", Concat { axis: 1 }, &parts, Kind::Any)?;
        self.one(
            "pad",
            Pad {
                before: vec![1, 0, 2],
                after: vec![0, 3, 1],
            },
            &cube(),
            Kind::Any,
        )
    }

    fn indexed(&mut self) -> Done {
        use Operator::*;
        let (ids, f32s) = (
            |shape: &[usize]| TensorType::i32(shape),
            |shape: &[usize]| TensorType::f32(shape),
        );
        self.one(
            "gather_rows",
            GatherRows,
            &[f32s(&[10, 6]), ids(&[4, 9])],
            Kind::Any,
        )?;
        self.one(
            "one_hot",
            OneHot { classes: 10 },
            &[ids(&[4, 9])],
            Kind::Any,
        )?;
        let one = (TakeAlongLast, vec![f32s(&[30, 9]), ids(&[30, 1])]);
        let several = (TakeAlongLast, vec![f32s(&[30, 9]), ids(&[30, 4])]);
        self.each("take_along_last", &[one, several], Kind::Any)?;
        self.one(
            "update_rows",
            UpdateRows,
            &[f32s(&[12, 9, 4]), f32s(&[12, 2, 4]), ids(&[12])],
            Kind::Any,
        )?;
        self.one(
            "philox_uniform",
            PhiloxUniform { lanes: 141 },
            &[ids(&[2]), ids(&[9, 3])],
            Kind::Any,
        )
    }
}
