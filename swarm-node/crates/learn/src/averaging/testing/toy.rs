//! A replica of seven numbers, whose sums depend on their order as those of real ones do.
//!
//! Each inner step moves every parameter towards a target of replica and step, with a momentum that
//! stays the replica's own.

use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::program::TensorType;
use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;

use crate::averaging::contribution::Formats;
use crate::averaging::outer::Outer;
use crate::averaging::transcript::Replica;
use crate::averaging::worker::{Inner, ReplicaWorker, Trainable};

/// Inner steps of a round.
const STEPS: u64 = 3;
const VELOCITY: &str = "toy.velocity.";

/// A toy trainer: parameters `a` of `[5]` and `b` of `[1, 2]`, and their velocities.
#[derive(Clone, Debug)]
pub struct ToyInner {
    replica: Replica,
    parameters: Weights,
    velocity: Weights,
}

impl ToyInner {
    /// Before the first step; the same for every replica.
    pub fn new(replica: Replica) -> Self {
        let types = [("a", TensorType::f32([5])), ("b", TensorType::f32([1, 2]))];
        let mut parameters = Weights::new();
        let mut velocity = Weights::new();
        for (name, ty) in types {
            let mut tensor = Tensor::zeros(ty.clone());
            let words = tensor.words_mut().iter_mut();
            words
                .enumerate()
                .for_each(|(at, word)| *word = (0.1 * at as f32).to_bits());
            parameters.insert(name, tensor);
            velocity.insert(name, Tensor::zeros(ty));
        }
        Self {
            replica,
            parameters,
            velocity,
        }
    }

    fn step(&mut self, step: u64) {
        for name in ["a", "b"] {
            let (Some(parameter), Some(velocity)) =
                (self.parameters.get_mut(name), self.velocity.get_mut(name))
            else {
                return;
            };
            let both = parameter.words_mut().iter_mut().zip(velocity.words_mut());
            for (at, (x, v)) in (0_u64..).zip(both) {
                let seed = 31 * step + 7 * u64::from(self.replica.0) + 3 * at;
                let target = (seed % 17) as f32 / 16.0;
                let gap = scalar::sub(target, f32::from_bits(*x));
                let next = scalar::fma(0.9, f32::from_bits(*v), scalar::mul(0.01, gap));
                *v = next.to_bits();
                *x = scalar::add(f32::from_bits(*x), next).to_bits();
            }
        }
    }
}

impl Inner for ToyInner {
    fn train(&mut self, round: u64) -> Result<(), String> {
        (round * STEPS..(round + 1) * STEPS).for_each(|step| self.step(step));
        Ok(())
    }
}

impl Trainable for ToyInner {
    fn parameters(&self) -> Result<Weights, String> {
        Ok(self.parameters.clone())
    }

    fn optimizer(&self) -> Result<Weights, String> {
        let named = self.velocity.iter();
        Ok(named
            .map(|(name, one)| (format!("{VELOCITY}{name}"), one.clone()))
            .collect())
    }

    fn place(&mut self, parameters: &Weights) -> Result<(), String> {
        self.parameters = parameters.clone();
        Ok(())
    }

    fn restore(&mut self, parameters: &Weights, optimizer: &Weights) -> Result<(), String> {
        let named = optimizer.iter();
        let velocity = named.filter_map(|(name, one)| {
            let name = name.strip_prefix(VELOCITY)?;
            Some((name.to_owned(), one.clone()))
        });
        self.velocity = velocity.collect();
        self.place(parameters)
    }
}

/// A toy replica.
///
/// # Panics
/// The toy's parameters fit every outer step.
#[expect(
    clippy::expect_used,
    reason = "the toy's tensors are f32, and there are some"
)]
pub fn toy(replica: Replica, outer: Outer, formats: Formats) -> ReplicaWorker<ToyInner> {
    let made = ReplicaWorker::new(ToyInner::new(replica), &ReferenceEngine, outer, formats);
    made.expect("invariant: the toy has parameters")
}
