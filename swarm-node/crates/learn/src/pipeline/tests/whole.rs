//! Without skips a pipeline is the trainer of the whole model, bit for bit.

use super::*;
use crate::pipeline::replay::{Encoding, replay_step};
use crate::pipeline::stage_engine::state_root;

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
    use skippipe::encoding::Format;
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
