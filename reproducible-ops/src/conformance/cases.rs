//! One case per operator and element type: a program of that operator alone.

use crate::program::{
    Builder, DType, Elementwise, Operator, Role, Shape, TensorType, TypeError, ValueId,
};

use super::case::Case;
use super::halves;
use super::inputs::Kind;
use super::step;

/// Every case: the rows of the operator table, then operators on whole tensors, then a small
/// training step, then weights at two bytes a number.
#[expect(
    clippy::expect_used,
    reason = "the programs are constant, the tests build each"
)]
pub(super) fn all() -> Vec<Case> {
    build().expect("invariant: operators take the operands of their cases")
}

fn build() -> Result<Vec<Case>, TypeError> {
    let mut cases = Cases { cases: Vec::new() };
    cases.elementwise()?;
    cases.reductions()?;
    cases.movement()?;
    cases.indexed()?;
    cases.cases.push(step::case()?);
    cases.cases.extend(halves::cases()?);
    Ok(cases.cases)
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
        self.cases.push(Case::new(name, builder.finish(), kind));
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
        for row in Elementwise::ALL {
            let types: Vec<TensorType> = row
                .operands()
                .iter()
                .map(|&dtype| TensorType::new(dtype, LONG))
                .collect();
            self.one(row.name(), row.operator(), &types, Kind::Any)?;
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
