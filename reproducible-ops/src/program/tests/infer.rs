//! Operand types that operators take and refuse.

use super::super::*;

fn infer(operator: Operator, operands: &[TensorType]) -> Result<TensorType, TypeError> {
    operator.infer(&operands.iter().collect::<Vec<_>>())
}

fn f32(dims: &[usize]) -> TensorType {
    TensorType::f32(dims)
}

fn i32(dims: &[usize]) -> TensorType {
    TensorType::i32(dims)
}

fn bool(dims: &[usize]) -> TensorType {
    TensorType::new(DType::Bool, dims)
}

#[test]
fn results_have_the_documented_types() {
    use Operator::*;
    let cases = [
        (Sum, vec![f32(&[2, 3])], f32(&[2, 1])),
        (Argmax, vec![f32(&[2, 3])], i32(&[2, 1])),
        (Sum, vec![f32(&[2, 0])], f32(&[2, 1])),
        (
            MatmulNt,
            vec![f32(&[5, 2, 3]), f32(&[5, 4, 3])],
            f32(&[5, 2, 4]),
        ),
        (
            Compare(Comparison::Less),
            vec![i32(&[2]), i32(&[2])],
            bool(&[2]),
        ),
        (
            Permute(vec![2, 0, 1]),
            vec![bool(&[1, 2, 3])],
            bool(&[3, 1, 2]),
        ),
        (Expand(Shape::new([4, 3])), vec![f32(&[1, 3])], f32(&[4, 3])),
        (
            Concat { axis: 1 },
            vec![f32(&[2, 1]), f32(&[2, 0]), f32(&[2, 4])],
            f32(&[2, 5]),
        ),
        (
            Pad {
                before: vec![1],
                after: vec![2],
            },
            vec![i32(&[3])],
            i32(&[6]),
        ),
        (
            Slice {
                starts: vec![1],
                ends: vec![1],
            },
            vec![i32(&[3])],
            i32(&[0]),
        ),
        (
            GatherRows,
            vec![f32(&[7, 3]), i32(&[2, 5])],
            f32(&[2, 5, 3]),
        ),
        (GatherRows, vec![f32(&[7, 3]), i32(&[])], f32(&[3])),
        (OneHot { classes: 4 }, vec![i32(&[2])], f32(&[2, 4])),
        (
            TakeAlongLast,
            vec![f32(&[2, 9]), i32(&[2, 3])],
            f32(&[2, 3]),
        ),
        (
            UpdateRows,
            vec![f32(&[2, 9, 3]), f32(&[2, 1, 3]), i32(&[2])],
            f32(&[2, 9, 3]),
        ),
        (
            PhiloxUniform { lanes: 8 },
            vec![i32(&[2]), i32(&[5, 3])],
            f32(&[5, 8]),
        ),
    ];
    for (operator, operands, expected) in cases {
        assert_eq!(
            infer(operator.clone(), &operands),
            Ok(expected),
            "{}",
            operator.name()
        );
    }
}

#[test]
fn wrong_operand_counts_are_refused() {
    use Operator::*;
    for operator in [
        Neg,
        Add,
        Select,
        MatmulNt,
        Sum,
        GatherRows,
        UpdateRows,
        Reshape(Shape::scalar()),
    ] {
        let refused = infer(operator.clone(), &[]).unwrap_err();
        assert!(
            matches!(refused, TypeError::Arity { found: 0, .. }),
            "{}: {refused}",
            operator.name()
        );
    }
    assert!(matches!(
        infer(Concat { axis: 0 }, &[]),
        Err(TypeError::Arity {
            expected: Arity::AtLeast(1),
            ..
        })
    ));
    let full = Full {
        dtype: DType::F32,
        bits: 0,
        shape: Shape::scalar(),
    };
    assert!(matches!(
        infer(full, &[f32(&[])]),
        Err(TypeError::Arity {
            expected: Arity::Exactly(0),
            found: 1,
            ..
        })
    ));
}

#[test]
fn wrong_element_types_are_refused_with_their_operand() {
    use Operator::*;
    let cases = [
        (Sqrt, vec![i32(&[2])], 0),
        (Not, vec![f32(&[2])], 0),
        (Add, vec![bool(&[2]), bool(&[2])], 0),
        (Div, vec![i32(&[2]), i32(&[2])], 0),
        (And, vec![i32(&[2]), i32(&[2])], 0),
        (Select, vec![i32(&[2]), f32(&[2]), f32(&[2])], 0),
        (MatmulNt, vec![f32(&[2, 2]), i32(&[2, 2])], 1),
        (Sum, vec![i32(&[2])], 0),
        (GatherRows, vec![f32(&[2, 2]), f32(&[2])], 1),
        (OneHot { classes: 2 }, vec![f32(&[2])], 0),
        (TakeAlongLast, vec![f32(&[2]), f32(&[2])], 1),
        (UpdateRows, vec![f32(&[2, 2]), f32(&[1, 2]), f32(&[])], 2),
        (PhiloxUniform { lanes: 1 }, vec![i32(&[2]), f32(&[1, 3])], 1),
    ];
    for (operator, operands, at) in cases {
        let refused = infer(operator.clone(), &operands).unwrap_err();
        assert!(
            matches!(refused, TypeError::DType { operand, .. } if operand == at),
            "{}: {refused}",
            operator.name()
        );
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    use Operator::*;
    let nan = Full {
        dtype: DType::F32,
        bits: 0xffc0_0000,
        shape: Shape::scalar(),
    };
    let two = Full {
        dtype: DType::Bool,
        bits: 2,
        shape: Shape::scalar(),
    };
    let cases = [
        (nan, vec![]),
        (two, vec![]),
        (
            Iota {
                shape: Shape::new([2]),
                axis: 1,
            },
            vec![],
        ),
        (Add, vec![f32(&[2]), f32(&[3])]),
        (Add, vec![f32(&[2]), i32(&[2])]),
        (Select, vec![bool(&[1]), f32(&[2]), f32(&[2])]),
        (MatmulNt, vec![f32(&[2, 3]), f32(&[2, 4])]),
        (MatmulNt, vec![f32(&[3]), f32(&[3])]),
        (MatmulNt, vec![f32(&[2, 2, 3]), f32(&[1, 2, 3])]),
        (Sum, vec![f32(&[])]),
        (Argmax, vec![f32(&[2, 0])]),
        (Reshape(Shape::new([5])), vec![f32(&[2, 3])]),
        (Permute(vec![0, 0]), vec![f32(&[2, 3])]),
        (Permute(vec![0]), vec![f32(&[2, 3])]),
        (Permute(vec![0, 2]), vec![f32(&[2, 3])]),
        (Expand(Shape::new([4])), vec![f32(&[2])]),
        (Expand(Shape::new([1, 2])), vec![f32(&[2])]),
        (
            Slice {
                starts: vec![2],
                ends: vec![1],
            },
            vec![f32(&[3])],
        ),
        (
            Slice {
                starts: vec![0],
                ends: vec![4],
            },
            vec![f32(&[3])],
        ),
        (
            Slice {
                starts: vec![],
                ends: vec![],
            },
            vec![f32(&[3])],
        ),
        (Concat { axis: 1 }, vec![f32(&[3])]),
        (Concat { axis: 0 }, vec![f32(&[3, 1]), f32(&[3, 2])]),
        (Concat { axis: 0 }, vec![f32(&[3]), i32(&[3])]),
        (
            Pad {
                before: vec![1],
                after: vec![],
            },
            vec![f32(&[3])],
        ),
        (GatherRows, vec![f32(&[3]), i32(&[2])]),
        (TakeAlongLast, vec![f32(&[2, 3]), i32(&[3, 1])]),
        (TakeAlongLast, vec![f32(&[]), i32(&[])]),
        (
            UpdateRows,
            vec![f32(&[2, 9, 3]), f32(&[2, 1, 4]), i32(&[2])],
        ),
        (UpdateRows, vec![f32(&[2, 9, 3]), f32(&[2, 1, 3]), i32(&[])]),
        (UpdateRows, vec![f32(&[3]), f32(&[3]), i32(&[])]),
        (PhiloxUniform { lanes: 1 }, vec![i32(&[3]), i32(&[1, 3])]),
        (PhiloxUniform { lanes: 1 }, vec![i32(&[2]), i32(&[3])]),
    ];
    for (operator, operands) in cases {
        let refused = infer(operator.clone(), &operands).unwrap_err();
        assert!(
            matches!(refused, TypeError::Shape { .. }),
            "{}: {refused}",
            operator.name()
        );
    }
}

#[test]
fn results_stay_below_the_limits() {
    use Operator::*;
    let wide = f32(&[1 << 16, 1]);
    let cases = [
        (MatmulNt, vec![wide.clone(), wide.clone()]),
        (
            OneHot {
                classes: usize::MAX,
            },
            vec![i32(&[2])],
        ),
        (
            Pad {
                before: vec![usize::MAX],
                after: vec![usize::MAX],
            },
            vec![f32(&[3])],
        ),
        (Expand(Shape::new([1 << 16, 1 << 16])), vec![wide]),
        (Reshape(Shape::new([1 << 32, 0])), vec![f32(&[0])]),
        (Reshape(Shape::new([1; 9])), vec![f32(&[1])]),
        (
            Full {
                dtype: DType::F32,
                bits: 0,
                shape: Shape::new([1 << 20, 1 << 20]),
            },
            vec![],
        ),
        (GatherRows, vec![f32(&[1, 1 << 16]), i32(&[1 << 16])]),
    ];
    for (operator, operands) in cases {
        let refused = infer(operator.clone(), &operands).unwrap_err();
        assert!(
            matches!(refused, TypeError::TooLarge { .. }),
            "{}: {refused}",
            operator.name()
        );
    }
}
