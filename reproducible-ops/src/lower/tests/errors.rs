//! Mistakes and unsupported operators are named with their place.

use burn::nn::LinearConfig;
use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;
use burn::tensor::activation::gelu;

use super::super::{LowerError, lower};
use super::{NONE, lower_one, on_flex};
use crate::program::Role;
use crate::tensor::Tensor as HostTensor;

/// The text of the error of a function of one input.
fn error<const E: usize, K: super::Recordable>(f: impl Fn(Tensor<2>) -> Tensor<E, K>) -> String {
    lower_one([2, 3], f).unwrap_err().to_string()
}

#[test]
fn an_unsupported_operator_is_named_with_place_and_remedy() {
    let model = LinearConfig::new(3, 3).init(&Device::flex());
    let lowered = lower(&model, |model, recorder| {
        let x = recorder.float::<2>("x", Role::Data, [2, 3]);
        recorder.output("y", (model.forward(x) * 2.0).sin());
    });
    let Err(LowerError::Unsupported { place, remedy }) = lowered else {
        panic!("sin has no meaning")
    };
    assert_eq!((place.operator.as_str(), place.index), ("Float::Sin", 4));
    assert_eq!(
        (place.output.as_str(), place.after.as_deref()),
        ("F32[2, 3]", Some("weight"))
    );
    assert!(remedy.contains("Recorder::constant"));
}

#[test]
fn every_unsupported_operator_says_what_to_do() {
    let ids = |x: &Tensor<2>| Tensor::<1, Int>::from_ints([0, 1], &x.device());
    let cases = [
        (error(|x| x.cos()), "Float::Cos", "Recorder::constant"),
        (error(|x| x.erf()), "Float::Erf", "gelu_approximate"),
        (error(gelu), "Activation::Gelu", "gelu_approximate"),
        (error(|x| x.log1p()), "Float::Log1p", "documentation"),
        (error(|x| x.floor()), "Float::Floor", "documentation"),
        (error(|x| x.cumsum(1)), "NumericFloat::CumSum", "triangular"),
        (error(|x| x.sort(1)), "NumericFloat::Sort", "documentation"),
        (error(|x| x.prod()), "NumericFloat::Prod", "documentation"),
        (error(|x| x.flip([0])), "BaseFloat::Flip", "documentation"),
        (error(|x| x.clone().powf(x)), "Float::Powf", "documentation"),
        (
            error(|x| x.powf_scalar(0.3)),
            "Float::PowfScalar",
            "exp and log",
        ),
        (
            error(|x| x.slice(s![.., ..;2])),
            "BaseFloat::Slice",
            "reshape and slice",
        ),
        (
            error(|x| x.clone().random_like(burn::tensor::Distribution::Default)),
            "Float::Random",
            "philox_uniform",
        ),
        (
            error(|x| {
                x.clone()
                    .select_assign(0, ids(&x), x, IndexingUpdateOp::Add)
            }),
            "BaseFloat::SelectAssign",
            "update_rows",
        ),
        (error(|x| ids(&x) / 2), "NumericInt::DivScalar", "added"),
        (
            error(|x| x.cast(burn::tensor::DType::F16)),
            "BaseFloat::Cast",
            "f32, i32 or bool",
        ),
        (
            error(|x| ids(&x).sum()),
            "NumericInt::Sum",
            "sum does not take",
        ),
        (
            error(|x| {
                Tensor::<1, Int>::from_data(TensorData::from([1i64, 1 << 40]), &x.device())
                    + ids(&x)
            }),
            "NumericInt::Add",
            "1099511627776",
        ),
    ];
    for (text, operator, remedy) in cases {
        assert!(
            text.contains(&format!("`{operator}`")),
            "{operator}: {text}"
        );
        assert!(text.contains(remedy), "{operator}: {text}");
        assert!(text.contains("operation "), "{operator}: {text}");
    }
}

#[test]
fn a_panic_in_the_forward_function_is_an_error_and_the_next_recording_works() {
    let text = lower_one([2, 3], |x: Tensor<2>| {
        x.exp().matmul(Tensor::<2>::zeros([4, 4], &Device::flex()))
    })
    .unwrap_err();
    assert!(
        text.to_string()
            .contains("after 1 operations (the last: operation 0 (`Float::Exp`"),
        "{text}"
    );
    let read = lower_one([2, 3], |x: Tensor<2>| {
        Tensor::from_data(x.clone().exp().into_data(), &x.device()) + x
    });
    assert!(
        matches!(read, Err(LowerError::Panicked { operations: 1, .. })),
        "{read:?}"
    );
    assert!(lower_one([2, 3], |x: Tensor<2>| x.exp()).is_ok());
}

#[test]
fn names_are_unique() {
    let twice = lower(&NONE, |_, recorder| {
        let a = recorder.float::<1>("x", Role::Data, [3]);
        let b = recorder.float::<1>("x", Role::Data, [3]);
        recorder.output("y", a + b);
    });
    assert_eq!(
        twice.unwrap_err(),
        LowerError::DuplicateName {
            what: "input",
            name: "x".into()
        }
    );
    let twice = lower(&NONE, |_, recorder| {
        let x = recorder.float::<1>("x", Role::Data, [3]);
        recorder.output("y", x.clone());
        recorder.output("y", x);
    });
    assert_eq!(
        twice.unwrap_err(),
        LowerError::DuplicateName {
            what: "output",
            name: "y".into()
        }
    );
}

#[test]
fn outputs_must_be_recorded() {
    let x = HostTensor::f32([1], vec![1.0]).unwrap();
    let foreign = lower(&NONE, |_, recorder| {
        recorder.output("y", on_flex::<1, Float>(&x))
    });
    assert_eq!(
        foreign.unwrap_err(),
        LowerError::UnknownOutput { name: "y".into() }
    );
    let mut kept = None;
    lower(&NONE, |_, recorder| {
        kept = Some(recorder.float::<1>("x", Role::Data, [1]))
    })
    .unwrap();
    let stale = lower(&NONE, |_, recorder| {
        recorder.output("y", kept.take().unwrap())
    });
    assert_eq!(
        stale.unwrap_err(),
        LowerError::UnknownOutput { name: "y".into() }
    );
}

#[test]
fn a_constant_has_the_rank_asked_for() {
    let table = HostTensor::f32([2, 3], vec![0.0; 6]).unwrap();
    let lowered = lower(&NONE, |_, recorder| {
        let table = recorder.constant::<1>("table", table.clone());
        recorder.output("y", table);
    });
    assert_eq!(
        lowered.unwrap_err().to_string(),
        "constant `table` has shape [2, 3], but 1 axes were asked for"
    );
}
