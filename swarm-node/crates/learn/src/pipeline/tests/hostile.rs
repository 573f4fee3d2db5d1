//! What peers send is checked, and changes nothing where it is refused.

use reproducible_ops::tensor::Tensor;

use super::*;
use crate::pipeline::replay::replay_step;
use crate::pipeline::stage_engine::StageError;
use crate::pipeline::worker::Encoding;

fn hidden(value: f32) -> Tensor {
    let mut values = vec![0.5; ROWS * LENGTH * 12];
    values[13] = value;
    Tensor::f32([ROWS, LENGTH, 12], values).unwrap()
}

#[test]
fn hidden_states_and_gradients_are_checked() {
    let mut stages = stages(&config(false), 2, 0);
    let microbatch = microbatches(0).remove(0);
    let good = hidden(0.25);
    let shapes = [
        Tensor::f32([ROWS, LENGTH, 11], vec![0.0; ROWS * LENGTH * 11]).unwrap(),
        Tensor::f32([ROWS * LENGTH, 12], vec![0.0; ROWS * LENGTH * 12]).unwrap(),
        Tensor::i32([ROWS, LENGTH, 12], vec![0; ROWS * LENGTH * 12]).unwrap(),
    ];
    let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(hidden);
    for bad in shapes.iter().chain(&numbers) {
        let head = stages[0].loss(&good, &microbatch, 9).unwrap().parameters;
        let errors = [
            stages[1].forward(bad, &microbatch).unwrap_err(),
            stages[1].backward(bad, &microbatch, &good).unwrap_err(),
            stages[1].backward(&good, &microbatch, bad).unwrap_err(),
            stages[0].loss(bad, &microbatch, 9).unwrap_err(),
            stages[0]
                .embed_backward(&microbatch, bad, head)
                .unwrap_err(),
        ];
        for error in errors {
            match numbers.contains(bad) {
                true => assert!(
                    matches!(error, StageError::NotFinite { index: 13, .. }),
                    "{error}"
                ),
                false => assert!(error.to_string().contains(&bad.ty().to_string()), "{error}"),
            }
        }
    }
    // What overflows on the way is not handed on.
    let mut state = stages[1].state().unwrap();
    for name in ["gate", "up"] {
        let name = format!("model.layers.0.mlp.{name}_proj.weight");
        let matrix = state.params.get_mut(&name).unwrap();
        matrix.words_mut().fill(1e30f32.to_bits());
    }
    stages[1].load(&state).unwrap();
    let error = stages[1]
        .forward(&good, &microbatch)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`hidden.out`"), "{error}");
}

#[test]
fn microbatches_are_checked() {
    let mut stages = stages(&config(false), 2, 0);
    let mut bad = microbatches(0).remove(0);
    bad.tokens[3] = 17;
    let good = hidden(0.25);
    for error in [
        stages[0].embed(&bad).unwrap_err(),
        stages[0].loss(&good, &bad, 9).unwrap_err(),
        stages[1].forward(&good, &bad).unwrap_err(),
        stages[1].backward(&good, &bad, &good).unwrap_err(),
    ] {
        assert!(error.to_string().contains("is 17 at 3"), "{error}");
    }
    bad.tokens[3] = 16;
    bad.layout.positions[2] = LENGTH as i32;
    for error in [
        stages[1].forward(&good, &bad).unwrap_err(),
        stages[1].backward(&good, &bad, &good).unwrap_err(),
    ] {
        assert!(error.to_string().contains("`positions`"), "{error}");
    }
}

#[test]
fn each_stage_has_its_own_calls() {
    let mut stages = stages(&config(false), 2, 0);
    let microbatch = microbatches(0).remove(0);
    let good = hidden(0.25);
    let head = stages[0].loss(&good, &microbatch, 9).unwrap().parameters;
    for error in [
        stages[0].forward(&good, &microbatch).unwrap_err(),
        stages[0].backward(&good, &microbatch, &good).unwrap_err(),
        stages[1].embed(&microbatch).unwrap_err(),
        stages[1].loss(&good, &microbatch, 9).unwrap_err(),
        stages[1]
            .embed_backward(&microbatch, &good, head)
            .unwrap_err(),
    ] {
        assert!(matches!(error, StageError::Call { .. }), "{error}");
    }
}

#[test]
fn numbers_of_a_step_are_checked() {
    let mut stages = stages(&config(false), 2, 0);
    let before = states(&stages);
    let stage = &mut stages[1];
    let sum = stage.zero_sum();
    for number in [f32::NAN, f32::INFINITY, -1.0] {
        for error in [
            stage.squares(&sum, number).unwrap_err(),
            stage.update(&sum, number, 1.0, 1e-3).unwrap_err(),
            stage.update(&sum, 1.0, number, 1e-3).unwrap_err(),
            stage.update(&sum, 1.0, 1.0, number).unwrap_err(),
        ] {
            assert!(matches!(error, StageError::Number { .. }), "{error}");
        }
    }
    assert!(stage.squares(&sum, 0.0).is_err());
    let microbatch = microbatches(0).remove(0);
    assert!(stages[0].loss(&hidden(0.25), &microbatch, 0).is_err());
    assert_eq!(states(&stages), before);
}

#[test]
fn sums_and_states_are_checked() {
    let config = config(false);
    let mut stages = stages(&config, 2, 0);
    let spec = spec(0, 2, |_| full(2));
    replay_step(&mut stages, &spec, Encoding::default()).unwrap();
    let before = states(&stages);
    let [ref first, ref good] = before[..] else {
        panic!("two stages");
    };
    let stage = &mut stages[1];
    let changes: [fn(&mut Weights); 4] = [
        |all| {
            all.remove("model.layers.2.mlp.up_proj.weight").unwrap();
        },
        |all| all.insert("model.layers.3.mlp.up_proj.weight", hidden(0.0)),
        |all| all.insert("model.layers.2.mlp.up_proj.weight", hidden(0.0)),
        |all| {
            let tensor = all.get_mut("model.layers.2.mlp.up_proj.weight").unwrap();
            tensor.words_mut()[3] = f32::INFINITY.to_bits();
        },
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad.params);
        assert!(stage.receive_sum(&bad.params).is_err());
        assert!(stage.load(&bad).is_err());
    }
    let mut bad = good.clone();
    bad.optimizer.remove("adamw.beta1_power").unwrap();
    let error = stage.load(&bad).unwrap_err();
    assert!(error.to_string().contains("adamw.beta1_power"), "{error}");
    assert!(stage.load(first).is_err(), "of another stage");
    assert_eq!(states(&stages), before);
}
