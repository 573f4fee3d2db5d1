//! Held-out pass@1 of models.

use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::random::key_from;
use reproducible_ops::weights::Weights;

use super::plan::Plan;
use super::run::DemoError;
use crate::assembly::Workshop;
use crate::learn::eval::{EvalSet, PassRate};

/// The held-out questions are the same for every seed of the demo, so that runs can be compared.
const QUESTIONS_SEED: u64 = 0;

/// Pass@1 of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Of the most probable answers.
    pub greedy: PassRate,
    /// Of answers sampled at temperature 1.
    pub sampled: PassRate,
}

impl Rates {
    /// The mean over models that were asked the same questions.
    pub fn average<'a>(rates: impl Iterator<Item = &'a Self> + Clone) -> Self {
        Self {
            greedy: PassRate::average(rates.clone().map(|rates| &rates.greedy)),
            sampled: PassRate::average(rates.map(|rates| &rates.sampled)),
        }
    }
}

/// The questions and how they are asked.
pub(super) struct Measure<'a> {
    workshop: &'a Workshop,
    set: EvalSet,
    samples: u32,
    key: [u32; 2],
}

impl<'a> Measure<'a> {
    pub(super) fn new(plan: &Plan<'_>, workshop: &'a Workshop) -> Result<Self, DemoError> {
        let tokenizer = &workshop.model().tokenizer;
        let (families, count) = (plan.families(), plan.demo.heldout);
        let set =
            EvalSet::held_out(&families, count, QUESTIONS_SEED, workshop.composer(), tokenizer, plan.learn.max_new)?;
        let key = key_from("swarm-node demo held-out", &[0; 32], &[0; 32]);
        Ok(Self { workshop, set, samples: plan.demo.samples, key })
    }

    /// The rates of a model with these weights.
    pub(super) fn rates(&self, engine: Arc<dyn Engine>, weights: Weights) -> Result<Rates, DemoError> {
        let mut generator = self.workshop.generator(engine, weights)?;
        let tokenizer = &self.workshop.model().tokenizer;
        let greedy = self.set.greedy(&mut generator, tokenizer)?;
        let sampled = self.set.sampled(&mut generator, tokenizer, self.samples, self.key)?;
        Ok(Rates { greedy, sampled })
    }
}
