//! Binding inputs and dropping what is not needed.

use proptest::prelude::*;

use super::super::*;
use super::{random, small};
use crate::engine::reference;
use crate::tensor::Tensor;

/// `y = x + held`, `source = exp(x)`, and `late = −source` after both.
fn bindable() -> Program {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([2]), Role::Param);
    let held = b.input("held", TensorType::f32([2]), Role::Data);
    let y = b.add(x, held).unwrap();
    let source = b.exp(x).unwrap();
    let late = b.neg(source).unwrap();
    b.output("y", y);
    b.output("late", late);
    b.finish()
}

#[test]
fn a_bound_input_reads_the_value() {
    let program = bindable();
    let late = program.output_named("late").unwrap();
    let bound = program.bind("held", late).unwrap();
    bound.validate().unwrap();
    assert_eq!(bound.input_named("held"), None);

    let x = Tensor::f32([2], vec![0.5, -2.0]).unwrap();
    let outputs = reference::evaluate(&bound, std::slice::from_ref(&x)).unwrap();
    let before = reference::evaluate(&program, &[x, outputs[1].clone()]).unwrap();
    assert_eq!(outputs, before, "binding equals feeding the value");
}

#[test]
fn binding_refuses_what_does_not_fit() {
    let program = bindable();
    let y = program.output_named("y").unwrap();
    assert!(
        matches!(program.bind("held", y), Err(EditError::Unbindable { .. })),
        "depends on the input"
    );
    assert!(matches!(
        program.bind("nothing", y),
        Err(EditError::NoSuchInput { .. })
    ));
    let mut b = Builder::from_program(&program);
    let other = b.full(1.0, [3]).unwrap();
    let program = b.finish();
    assert!(
        matches!(
            program.bind("held", other),
            Err(EditError::Unbindable { .. })
        ),
        "another shape"
    );
    let held = program.input_named("held").unwrap();
    assert!(
        matches!(
            program.bind("held", held),
            Err(EditError::Unbindable { .. })
        ),
        "itself"
    );
    assert!(
        matches!(
            program.bind("held", ValueId(999)),
            Err(EditError::Unbindable { .. })
        ),
        "no such value"
    );
}

#[test]
fn an_input_that_is_an_output_can_be_bound() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([2]), Role::Param);
    let held = b.input("held", TensorType::f32([2]), Role::Data);
    b.output("same", held);
    let e = b.exp(x).unwrap();
    let bound = b.finish().bind("held", e).unwrap();
    bound.validate().unwrap();
    assert_eq!(bound.output_named("same"), Some(ValueId(1)));
}

#[test]
fn pruning_keeps_parameters_and_what_outputs_need() {
    let mut b = Builder::from_program(&small());
    let unused = b.input("unused", TensorType::f32([1]), Role::Data);
    b.exp(unused).unwrap();
    b.input("frozen", TensorType::f32([1]), Role::Param);
    let program = b.finish();
    let pruned = program.prune();
    pruned.validate().unwrap();
    assert_eq!(pruned.input_named("unused"), None);
    assert!(pruned.input_named("frozen").is_some());
    assert_eq!(pruned.nodes().len(), 3);
    assert_eq!(program.prune_parameters(), small().prune_parameters());
    assert_eq!(program.prune_parameters().input_named("frozen"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pruning_changes_no_output(choices in proptest::collection::vec(any::<u8>(), 0..60), seed in any::<u64>()) {
        let program = random::program(&choices).program;
        let values = random::inputs(&program, seed);
        let pruned = program.prune();
        pruned.validate().unwrap();
        prop_assert_eq!(&pruned.prune(), &pruned, "idempotent");
        let kept = |(input, _): &(&Input, &Vec<f64>)| pruned.input_named(&input.name).is_some();
        let remaining: Vec<Vec<f64>> =
            program.inputs().iter().zip(&values).filter(kept).map(|(_, data)| data.clone()).collect();
        let before = reference::evaluate(&program, &random::tensors(&program, &values)).unwrap();
        let after = reference::evaluate(&pruned, &random::tensors(&pruned, &remaining)).unwrap();
        prop_assert_eq!(before, after);
    }
}
