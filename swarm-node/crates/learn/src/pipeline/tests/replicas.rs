//! Gradients of replicas are added in the order that the record says.

use std::collections::BTreeMap;

use skippipe::path::Microbatch as Number;

use super::*;
use crate::pipeline::gradient::VisitGradient;
use crate::pipeline::replay::{ReplayError, replay_step};
use crate::pipeline::stage_engine::StageError;
use crate::pipeline::worker::Encoding;

/// `a + b` of each tensor, by the scalar function.
fn plus(a: &Weights, b: &Weights) -> Weights {
    let sums = a.iter().map(|(name, tensor)| {
        let pairs = tensor.as_f32().unwrap().iter();
        let pairs = pairs.zip(b.get(name).unwrap().as_f32().unwrap());
        let sum = pairs.map(|(a, b)| scalar::add(*a, *b)).collect();
        (
            name.to_owned(),
            Tensor::f32(tensor.shape().clone(), sum).unwrap(),
        )
    });
    sums.collect()
}

/// The gradients of all microbatches' visits of stage 1 of 2.
fn visits(stages: &mut [StageEngine]) -> BTreeMap<Number, VisitGradient> {
    let microbatches = microbatches(0);
    let tokens = microbatches.iter().map(Microbatch::token_count).sum();
    let mut visits = BTreeMap::new();
    // The last first: visits arrive in any order.
    for (number, microbatch) in microbatches.iter().enumerate().rev() {
        let hidden = stages[0].embed(microbatch).unwrap();
        let last = stages[1].forward(&hidden, microbatch).unwrap();
        let loss = stages[0].loss(&last, microbatch, tokens).unwrap();
        let backward = stages[1].backward(&hidden, microbatch, &loss.gradient);
        visits.insert(Number(number as u32), backward.unwrap().1);
    }
    visits
}

fn folded<'a>(parts: impl IntoIterator<Item = &'a Weights>) -> Weights {
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap().clone();
    parts.fold(first, |sum, part| plus(&sum, part))
}

#[test]
fn sums_are_grouped_by_replica() {
    let config = config(false);
    let mut stages = stages(&config, 2, 0);
    let visits = visits(&mut stages);
    let read: Vec<Weights> = visits.values().map(|visit| visit.read().unwrap()).collect();
    assert!(read.len() >= 5);
    let stage = &mut stages[1];
    let all = || visits.iter().map(|(number, visit)| (*number, visit));
    let mut sums = Vec::new();
    for rest in 0..3 {
        let own = all().filter(|(number, _)| number.0 % 3 == rest);
        let sum = stage.sum(own).unwrap();
        let expected = folded(read.iter().skip(rest as usize).step_by(3));
        assert_eq!(sum.read().unwrap(), expected);
        sums.push(sum);
    }
    let in_order = |order: [usize; 3]| {
        let parts = order.map(|replica| sums[replica].read().unwrap());
        folded(&parts)
    };
    let grouped = stage.combine([&sums[2], &sums[0], &sums[1]]).unwrap();
    let grouped = grouped.read().unwrap();
    assert_eq!(grouped, in_order([2, 0, 1]));
    assert_ne!(grouped, in_order([0, 1, 2]), "order shows");
    let one_by_one = stage.sum(all()).unwrap().read().unwrap();
    assert_eq!(one_by_one, folded(&read));
    assert_ne!(one_by_one, grouped, "grouping shows");
    let received = stage.receive_sum(&sums[0].read().unwrap()).unwrap();
    let again = stage.combine([&sums[2], &received, &sums[1]]).unwrap();
    assert_eq!(again.read().unwrap(), grouped);
    let wrong = stage.sum(all().collect::<Vec<_>>().into_iter().rev());
    assert!(matches!(wrong, Err(StageError::Order { .. })));
}

#[test]
fn a_step_adds_the_sums_of_all_replicas() {
    let mut stages = stages(&config(false), 2, 0);
    let visits = visits(&mut stages);
    let replica = |number: usize| [4, 1, 6][number % 3];
    let mut spec = spec(0, 2, |number| path([(0, 0), (1, replica(number))]));
    spec.reduction[1] = [6, 1, 4].map(Peer).to_vec();
    let sums = [6, 1, 4].map(|peer| {
        let own = visits.iter().map(|(number, visit)| (*number, visit));
        let own = own.filter(|(number, _)| replica(number.index()) == peer);
        stages[1].sum(own).unwrap()
    });
    let expected = stages[1].combine(&sums).unwrap().read().unwrap();
    let outcome = replay_step(&mut stages, &spec, Encoding::default()).unwrap();
    let found = stages[1].state().unwrap().optimizer;
    for (name, sum) in expected.iter() {
        let found = found.get(&format!("adamw.m.{name}")).unwrap();
        assert_eq!(*found, first_moment(sum, outcome.grad_norm), "{name}");
    }
}

#[test]
fn the_record_decides_about_order() {
    let config = config(true);
    let run = |path_of: fn(usize) -> Path, turned: bool| {
        let mut stages = stages(&config, 2, 1);
        for step in 0..2 {
            let mut spec = spec(step, 2, path_of);
            if turned {
                spec.reduction[1].reverse();
            }
            replay_step(&mut stages, &spec, Encoding::default()).unwrap();
        }
        tensors(&states(&stages))
    };
    let three = |number: usize| path([(0, 0), (1, number as u32 % 3)]);
    let one = run(|_| full(2), false);
    assert_eq!(
        run(|_| path([(0, 7), (1, 3)]), false),
        one,
        "names of peers"
    );
    let grouped = run(three, false);
    assert_ne!(grouped, one);
    assert_ne!(run(three, true), grouped);
    assert_eq!(run(three, false), grouped);
}

#[test]
fn a_record_of_other_replicas_is_refused() {
    let config = config(true);
    let mut stages = stages(&config, 2, 0);
    let before = states(&stages);
    let good = spec(0, 2, |number| path([(0, 0), (1, number as u32 % 2)]));
    let mut refused = |change: fn(&mut StepSpec)| {
        let mut bad = good.clone();
        change(&mut bad);
        replay_step(&mut stages, &bad, Encoding::default()).unwrap_err()
    };
    for change in [
        (|bad| bad.reduction[1] = vec![Peer(0)]) as fn(&mut StepSpec),
        |bad| bad.reduction[1].push(Peer(1)),
        |bad| bad.reduction[0] = vec![Peer(1)],
        |bad| bad.reduction.truncate(1),
    ] {
        let error = refused(change);
        assert!(matches!(error, ReplayError::Reduction { .. }), "{error}");
    }
    let error = refused(|bad| bad.passages[2].path = path([(0, 0), (2, 0)]));
    assert!(
        error
            .to_string()
            .contains("microbatch 2 goes through stage 2 of 2"),
        "{error}"
    );
    assert_eq!(states(&stages), before);
}
