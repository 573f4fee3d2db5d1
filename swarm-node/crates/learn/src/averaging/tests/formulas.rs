//! The programs are the formulas, bit for bit on every engine.

use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::scalar::{add, div, mul, sub};

use super::*;
use crate::averaging::outer::OuterError;

/// Anchors, momenta and parameters of three replicas.
fn replicas() -> Vec<(OuterState, Weights)> {
    let mut stream = Stream::from_seed("outer formulas", 1);
    let mut one = || {
        let anchor = uniform(&mut stream);
        let momentum = uniform(&mut stream);
        (OuterState { anchor, momentum }, uniform(&mut stream))
    };
    (0..3).map(|_| one()).collect()
}

/// What the replica at `at` comes to with the others.
fn stepped(engine: &dyn Engine, outer: Outer, at: usize) -> OuterState {
    let mut step = step(engine, outer);
    let replicas = replicas();
    let contributions = replicas
        .iter()
        .map(|(state, parameters)| step.contribution(parameters, state));
    let contributions: Vec<Weights> = contributions.collect::<Result<_, _>>().unwrap();
    let mean = step.mean(&contributions).unwrap();
    step.step(&replicas[at].0, &mean, &contributions[at])
        .unwrap()
}

/// By the scalar operations.
fn by_hand(outer: Outer, at: usize) -> (Vec<u32>, Vec<u32>) {
    let replicas = replicas();
    let of = |pick: fn(&(OuterState, Weights)) -> &Weights| -> Vec<Vec<f32>> {
        replicas.iter().map(|one| elements(pick(one))).collect()
    };
    let (anchor, momentum) = (of(|one| &one.0.anchor), of(|one| &one.0.momentum));
    let parameter = of(|one| &one.1);
    let mean = |values: [f32; 3]| div(add(add(values[0], values[1]), values[2]), 3.0);
    let (mut anchors, mut momenta) = (Vec::new(), Vec::new());
    for place in 0..anchor[0].len() {
        let change = mean([0, 1, 2].map(|one| sub(parameter[one][place], anchor[one][place])));
        let (phi, m) = (anchor[at][place], momentum[at][place]);
        let (moved, m) = match outer {
            Outer::DiLoCo { rate, momentum } => {
                let m = add(mul(momentum, m), change);
                (mul(rate, add(change, mul(momentum, m))), m)
            }
            Outer::NoLoCo {
                momentum,
                rate,
                pull,
            } => {
                let common = mean([0, 1, 2].map(|one| anchor[one][place]));
                let m = add(mul(momentum, m), mul(rate, change));
                let m = add(m, mul(pull, sub(common, phi)));
                (m, m)
            }
        };
        anchors.push(add(phi, moved).to_bits());
        momenta.push(m.to_bits());
    }
    (anchors, momenta)
}

#[test]
fn every_engine_computes_the_formulas() {
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(ReferenceEngine)];
    for set in InstructionSet::available() {
        for threads in [1, 3] {
            engines.push(Box::new(
                CpuEngine::with_instruction_set(set, threads).unwrap(),
            ));
        }
    }
    for outer in [Outer::DILOCO, Outer::NOLOCO] {
        for at in 0..3 {
            let (anchors, momenta) = by_hand(outer, at);
            for engine in &engines {
                let state = stepped(engine.as_ref(), outer, at);
                assert!(
                    bits(&state.anchor) == anchors,
                    "{outer:?} on {}",
                    engine.name()
                );
                assert!(
                    bits(&state.momentum) == momenta,
                    "{outer:?} on {}",
                    engine.name()
                );
            }
        }
    }
}

/// Δ points from the anchor to where training went: with a rate of 1 and no momentum the anchor
/// follows.
#[test]
fn a_step_goes_where_training_went() {
    let mut stream = Stream::from_seed("outer direction", 1);
    let plain = [
        Outer::DiLoCo {
            rate: 1.0,
            momentum: 0.0,
        },
        Outer::NoLoCo {
            momentum: 0.0,
            rate: 1.0,
            pull: 0.7,
        },
    ];
    for outer in plain {
        let mut step = step(&ReferenceEngine, outer);
        let state = OuterState::initial(sixteenths(&mut stream));
        let parameters = sixteenths(&mut stream);
        let own = step.contribution(&parameters, &state).unwrap();
        let mean = step.mean(std::slice::from_ref(&own)).unwrap();
        assert_eq!(mean, own);
        let next = step.step(&state, &mean, &own).unwrap();
        assert!(bits(&next.anchor) == bits(&parameters), "{outer:?}");
    }
}

/// Where all replicas have one anchor, and NoLoCo's γ pulls nothing, groups of all are a plain
/// momentum step.
#[test]
fn equal_anchors_stay_equal() {
    let mut stream = Stream::from_seed("outer equal", 1);
    for outer in [Outer::DILOCO, Outer::NOLOCO] {
        let mut step = step(&ReferenceEngine, outer);
        let state = OuterState::initial(uniform(&mut stream));
        let own = [(); 3].map(|()| step.contribution(&uniform(&mut stream), &state).unwrap());
        let mean = step.mean(&own).unwrap();
        let all = own.map(|own| step.step(&state, &mean, &own).unwrap());
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
    }
}

#[test]
fn tensors_of_another_model_are_refused() {
    let mut stream = Stream::from_seed("outer refused", 1);
    let mut step = step(&ReferenceEngine, Outer::NOLOCO);
    let state = OuterState::initial(uniform(&mut stream));
    let mut parameters = uniform(&mut stream);
    let own = step.contribution(&parameters, &state).unwrap();
    assert_eq!(step.mean(&[]), Err(OuterError::Nothing));
    let mut few = own.clone();
    few.remove("change.b");
    let missing = step.mean(&[own.clone(), few]);
    assert!(
        matches!(
            missing,
            Err(OuterError::Missing {
                expected: 12,
                found: 11
            })
        ),
        "{missing:?}"
    );
    parameters.insert("b", Tensor::zeros(TensorType::f32([4])));
    assert!(matches!(
        step.contribution(&parameters, &state),
        Err(OuterError::Engine(_))
    ));
}
