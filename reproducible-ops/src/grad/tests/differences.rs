//! Central finite differences in f64.

use proptest::prelude::*;

use super::super::*;
use crate::engine::reference;
use crate::program::tests::random;

const STEP: f64 = 1e-5;

/// Asserts that all gradients of a program's f32 inputs equal finite differences, in f64 and by the
/// reference engine.
pub(super) fn check(program: &Program, loss: ValueId, inputs: &[Vec<f64>]) {
    let is_float = |id: &ValueId| program.type_of(*id).unwrap().dtype == DType::F32;
    let wrt: Vec<ValueId> = program.input_ids().filter(is_float).collect();
    let (extended, found) = match gradients(program, loss, &wrt) {
        Err(GradError::Independent { .. }) => return,
        other => other.unwrap(),
    };
    let exact = oracle::evaluate(&extended, inputs);
    let rounded = reference::trace(&extended, &random::tensors(&extended, inputs)).unwrap();
    for (&input, &gradient) in wrt.iter().zip(&found) {
        assert_eq!(extended.type_of(input), extended.type_of(gradient));
        let expected = differences(program, loss, inputs, input);
        assert_close(
            &exact[gradient.index()],
            &expected,
            1e-6,
            &format!("input {} in f64", input.0),
        );
        let rounded: Vec<f64> = rounded[gradient.index()]
            .as_f32()
            .unwrap()
            .iter()
            .map(|&x| f64::from(x))
            .collect();
        assert_close(
            &rounded,
            &expected,
            1e-4,
            &format!("input {} by the reference", input.0),
        );
    }
}

fn differences(program: &Program, loss: ValueId, inputs: &[Vec<f64>], by: ValueId) -> Vec<f64> {
    let moved = |element: usize, step: f64| {
        let mut inputs = inputs.to_vec();
        inputs[by.index()][element] += step;
        oracle::evaluate(program, &inputs)[loss.index()][0]
    };
    let slope = |element| (moved(element, STEP) - moved(element, -STEP)) / (2.0 * STEP);
    (0..inputs[by.index()].len()).map(slope).collect()
}

/// Largest difference relative to the largest expected magnitude, which counts as at least 0.1.
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(0.1, |largest: f64, value| largest.max(value.abs()));
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a - b).abs() / scale;
        assert!(
            error <= tolerance,
            "{what}, element {index}: {a} instead of {b}, {error:.1e} of {scale}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        // Finite differences fail at kinks that a random point can hit: the same points every time.
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_programs_agree(choices in proptest::collection::vec(any::<u8>(), 3..60), seed in any::<u64>()) {
        let random::Random { program, loss } = random::program(&choices);
        check(&program, loss, &random::inputs(&program, seed));
    }

    #[test]
    fn differentiating_twice_gives_the_same_program(choices in proptest::collection::vec(any::<u8>(), 3..60)) {
        let random::Random { program, loss } = random::program(&choices);
        let wrt = [ValueId(0), ValueId(1)];
        if let Ok((extended, _)) = gradients(&program, loss, &wrt) {
            prop_assert_eq!(Program::decode(&extended.encode()).unwrap().digest(), extended.digest());
            prop_assert_eq!(gradients(&program, loss, &wrt).unwrap().0.digest(), extended.digest());
        }
    }
}
