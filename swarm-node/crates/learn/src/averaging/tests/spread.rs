//! What gossip keeps, and how fast it brings replicas together.

use reproducible_ops::engine::reference::ReferenceEngine;
use skippipe::content::Digest;

use super::*;
use crate::averaging::outer::contraction;
use crate::averaging::pairing::permutation;
use crate::averaging::transcript::Roster;

fn noloco(momentum: f32, pull: f32) -> Outer {
    Outer::NoLoCo {
        momentum,
        rate: 0.7,
        pull,
    }
}

fn sums(states: &[OuterState]) -> Vec<f32> {
    let all: Vec<Vec<f32>> = states.iter().map(|state| elements(&state.anchor)).collect();
    let places = 0..all[0].len();
    places
        .map(|place| all.iter().map(|one| one[place]).sum())
        .collect()
}

/// Squared distances to the mean, over all elements.
fn spread(states: &[OuterState]) -> f64 {
    let all: Vec<Vec<f32>> = states.iter().map(|state| elements(&state.anchor)).collect();
    let count = all.len() as f64;
    let of_place = |place: usize| {
        let values = all.iter().map(|one| f64::from(one[place]));
        let mean = values.clone().sum::<f64>() / count;
        values.map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    (0..all[0].len()).map(of_place).sum()
}

/// Where every operation is exact, the sum is kept exactly: with momenta of zero, or of each
/// other's negative.
#[test]
fn a_pair_keeps_its_sum_bit_for_bit() {
    let mut stream = Stream::from_seed("outer sum", 1);
    let mut step = step(&ReferenceEngine, noloco(0.5, 0.75));
    for is_moving in [false, true] {
        let mut states = [(); 2].map(|()| OuterState::initial(sixteenths(&mut stream)));
        if is_moving {
            let momentum = sixteenths(&mut stream);
            let negative = momentum.iter().map(|(name, tensor)| {
                let values = tensor.as_f32().unwrap().iter().map(|x| -x).collect();
                (
                    name.to_owned(),
                    Tensor::f32(tensor.shape().clone(), values).unwrap(),
                )
            });
            states[1].momentum = negative.collect();
            states[0].momentum = momentum;
        }
        let before = states.clone();
        gossip(&mut step, &mut states, [0, 1]);
        assert_eq!(sums(&states), sums(&before));
        assert_ne!(states[0].anchor, before[0].anchor);
        assert!(is_moving || spread(&states) == spread(&before) / 16.0);
    }
}

/// In general up to rounding: of sums up to 2, 2⁻²³ each for the two anchors, and less for their
/// pulls.
#[test]
fn a_pair_keeps_its_sum_up_to_rounding() {
    let mut stream = Stream::from_seed("outer sum", 2);
    let mut step = step(&ReferenceEngine, Outer::NOLOCO);
    for _ in 0..20 {
        let mut states = [(); 2].map(|()| OuterState::initial(uniform(&mut stream)));
        let before = sums(&states);
        gossip(&mut step, &mut states, [0, 1]);
        for (before, after) in before.into_iter().zip(sums(&states)) {
            assert!(
                (before - after).abs() <= 4.0 * f32::EPSILON,
                "{before} became {after}"
            );
        }
    }
}

/// One that steps with a partner that does not moves the sum: why both must come to the same
/// conclusion.
#[test]
fn a_one_sided_step_does_not_keep_the_sum() {
    let mut stream = Stream::from_seed("outer sum", 3);
    let mut step = step(&ReferenceEngine, noloco(0.5, 0.75));
    let mut states = [(); 2].map(|()| OuterState::initial(sixteenths(&mut stream)));
    let before = states.clone();
    gossip(&mut step, &mut states, [0, 1]);
    states[1] = before[1].clone();
    assert_ne!(sums(&states), sums(&before));
}

/// Over all pairings of so many, each alike often: what is left of the spread.
fn share_left(count: usize, pull: f32) -> f64 {
    let mut stream = Stream::from_seed("outer spread", count as u64);
    let mut step = step(&ReferenceEngine, noloco(0.5, pull));
    let states: Vec<OuterState> = (0..count)
        .map(|_| OuterState::initial(uniform(&mut stream)))
        .collect();
    let before = spread(&states);
    let all = pairings(&(0..count).collect::<Vec<_>>());
    let after = all.iter().map(|pairing| {
        let mut states = states.clone();
        pairing
            .iter()
            .for_each(|pair| gossip(&mut step, &mut states, *pair));
        spread(&states)
    });
    after.sum::<f64>() / all.len() as f64 / before
}

/// Every way to pair these; of an odd number one is left.
fn pairings(left: &[usize]) -> Vec<Vec<[usize; 2]>> {
    let Some((first, others)) = left.split_first() else {
        return vec![Vec::new()];
    };
    let mut found = Vec::new();
    if left.len() % 2 == 1 {
        found.extend(pairings(others));
    }
    for place in 0..others.len() {
        let mut rest = others.to_vec();
        let partner = rest.remove(place);
        let with_first = pairings(&rest).into_iter().map(|mut pairing| {
            pairing.push([*first, partner]);
            pairing
        });
        found.extend(with_first);
    }
    found
}

#[test]
fn the_spread_shrinks_as_the_formula_says_and_halves_where_it_says_so() {
    for count in 2..=7 {
        for pull in [0.25, 0.7, 1.0, 1.5] {
            let (found, expected) = (
                share_left(count, pull),
                contraction(count as u32, f64::from(pull)),
            );
            assert!(
                (found - expected).abs() < 1e-5,
                "{count}, γ {pull}: {found}, not {expected}"
            );
        }
    }
    for odd in [3, 5, 7] {
        assert!((share_left(odd, 1.0) - 0.5).abs() < 1e-5);
    }
    assert!((share_left(4, 0.5) - 0.5).abs() < 1e-5);
    let default = [(4, 0.393), (8, 0.48), (1 << 30, 0.545)];
    for (count, share) in default {
        assert!((contraction(count, 0.7) - share).abs() < 5e-4, "{count}");
    }
}

/// The seeded permutation draws the pairings so that the expectation comes out; and with momentum,
/// too, all come together.
#[test]
fn seeded_gossip_brings_replicas_together() {
    let roster = Roster::initial(8);
    let mut stream = Stream::from_seed("outer gossip", 1);
    let states: Vec<OuterState> = (0..8)
        .map(|_| OuterState::initial(uniform(&mut stream)))
        .collect();
    let mut step = step(&ReferenceEngine, Outer::NOLOCO);
    let mut round = |states: &mut Vec<OuterState>, round| {
        let order = permutation(&Digest([1; 32]), round, &roster);
        for pair in order.chunks_exact(2) {
            gossip(&mut step, states, [pair[0].index(), pair[1].index()]);
        }
    };
    let before = spread(&states);
    let mut left = 0.0;
    for number in 0..300 {
        let mut states = states.clone();
        round(&mut states, number);
        left += spread(&states) / before / 300.0;
    }
    assert!((left - contraction(8, 0.7)).abs() < 0.01, "{left}");
    let mut together = states;
    (0..60).for_each(|number| round(&mut together, number));
    assert!(
        spread(&together) < 1e-6 * before,
        "{}",
        spread(&together) / before
    );
}
