//! Without skips a pipeline is the trainer of the whole model, bit for bit.

use reproducible_ops::tensor::Tensor;
use skippipe::encoding::{Format, carried};
use skippipe::path::Microbatch as Number;

use super::*;
use crate::pipeline::gradient::{Squares, global_norm};
use crate::pipeline::replay::replay_step;
use crate::pipeline::stage_engine::state_root;
use crate::pipeline::worker::Encoding;

#[test]
fn stages_have_the_bits_of_the_trainer() {
    for tied in [false, true] {
        let config = config(tied);
        for (count, first) in [(1, 3), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0)] {
            let mut trainer = trainer(&config, &weights(&config));
            let mut stages = stages(&config, count, first);
            for step in 0..3 {
                let report = trainer.step(&batch(step), RATE).unwrap();
                let spec = spec(step, count, |_| full(count));
                let outcome = replay_step(&mut stages, &spec, Encoding::default()).unwrap();
                assert!(report.grad_norm > OPTIMIZER.max_norm, "clipping is tested");
                assert!(report.microbatches >= 5, "accumulation is tested");
                assert_eq!(outcome.grad_norm.to_bits(), report.grad_norm.to_bits());
                assert_eq!(outcome.loss.to_bits(), report.loss.to_bits());
                assert_eq!(outcome.tokens, report.tokens);
                let (found, expected) = (states(&stages), trainer.state().unwrap());
                let (found, expected) = (tensors(&found), tensors(&[expected]));
                assert!(found.names().eq(expected.names()));
                for (name, tensor) in expected.iter() {
                    assert_eq!(found.get(name), Some(tensor), "{name}, {count} stages");
                }
            }
        }
    }
}

#[test]
fn training_through_fewer_bits_is_another_run_that_learns() {
    let config = config(false);
    let losses = |format| {
        let mut stages = stages(&config, 3, 0);
        let encoding = Encoding {
            hidden: format,
            gradient: format,
        };
        let spec = spec(0, 3, |_| full(3));
        let step = |_| replay_step(&mut stages, &spec, encoding).unwrap().loss;
        (0..12).map(step).collect::<Vec<f32>>()
    };
    let exact = losses(Format::F32);
    for format in [Format::Bf16, Format::Int8] {
        let rounded = losses(format);
        assert_ne!(rounded, exact);
        assert!(rounded[11] < rounded[0], "{rounded:?}");
        assert!(
            (rounded[11] - exact[11]).abs() < 0.05,
            "{rounded:?} {exact:?}"
        );
        assert_eq!(rounded, losses(format), "reproducible");
    }
}

/// What peers do, call by call: the tensors that go from stage to stage are those that a receiver
/// reads, and no others.
#[test]
fn every_boundary_is_carried() {
    let config = config(true);
    let encoding = Encoding {
        hidden: Format::Int8,
        gradient: Format::Bf16,
    };
    let hidden = |tensor: &Tensor| carried(encoding.hidden, tensor).unwrap();
    let back = |tensor: &Tensor| carried(encoding.gradient, tensor).unwrap();
    let mut step = spec(0, 3, |_| full(3));
    step.passages.truncate(1);
    let mut replayed = stages(&config, 3, 1);
    let outcome = replay_step(&mut replayed, &step, encoding).unwrap();

    let microbatch = &step.passages[0].microbatch;
    let tokens = microbatch.token_count();
    let mut stages = stages(&config, 3, 1);
    let first = hidden(&stages[0].embed(microbatch).unwrap());
    let second = hidden(&stages[1].forward(&first, microbatch).unwrap());
    let third = hidden(&stages[2].forward(&second, microbatch).unwrap());
    let loss = stages[0].loss(&third, microbatch, tokens).unwrap();
    let gradient = back(&loss.gradient);
    let (gradient, of_2) = stages[2].backward(&second, microbatch, &gradient).unwrap();
    let (gradient, of_1) = stages[1]
        .backward(&first, microbatch, &back(&gradient))
        .unwrap();
    let of_0 = stages[0].embed_backward(microbatch, &back(&gradient), loss.parameters);
    let visits = [of_0.unwrap(), of_1, of_2];
    let (mut squares, mut sums) = (Squares::new(), Vec::new());
    for (stage, visit) in stages.iter_mut().zip(&visits) {
        let sum = stage.sum([(Number(0), visit)]).unwrap();
        squares.extend(stage.squares(&sum, 1.0).unwrap());
        sums.push(sum);
    }
    let norm = global_norm(stages[0].programs().model_parameters(), &squares).unwrap();
    for (stage, sum) in stages.iter_mut().zip(&sums) {
        stage.update(sum, 1.0, norm, RATE).unwrap();
    }
    assert_eq!((outcome.loss, outcome.grad_norm), (loss.loss, norm));
    assert_eq!(states(&stages), states(&replayed));
}

#[test]
fn a_state_moves_to_another_engine_with_its_root() {
    let config = config(true);
    let step = |stages: &mut Vec<StageEngine>, number| {
        let spec = spec(number, 2, |_| full(2));
        replay_step(stages, &spec, Encoding::default()).unwrap();
    };
    let mut original = stages(&config, 2, 0);
    let initial = original[1].digest().unwrap();
    step(&mut original, 0);
    let mut copy = stages(&config, 2, 0);
    assert_eq!(copy[1].digest().unwrap(), initial);
    for (stage, state) in copy.iter_mut().zip(states(&original)) {
        stage.load(&state).unwrap();
    }
    step(&mut original, 1);
    step(&mut copy, 1);
    assert_eq!(states(&copy), states(&original));
    for (ours, theirs) in copy.iter().zip(&original) {
        assert_eq!(ours.digest().unwrap(), theirs.digest().unwrap());
        assert_ne!(ours.digest().unwrap(), initial);
        assert_eq!(ours.updates(), 2);
    }
    // Moments are part of what the root names.
    let mut state = original[1].state().unwrap();
    let power = state.optimizer.get_mut("adamw.beta1_power").unwrap();
    power.words_mut()[0] ^= 1;
    assert_ne!(state_root(&state).unwrap(), original[1].digest().unwrap());
}
