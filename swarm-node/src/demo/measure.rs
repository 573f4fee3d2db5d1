//! Held-out pass@1 of models.

use std::sync::Arc;

use reproducible_ops::random::key_from;
use swarm_learn::eval::EvalSet;
use swarm_learn::policy::Policy;
use swarm_model::Tokenizer;

use super::arm::Rates;
use super::error::DemoError;
use super::plan::DemoPlan;
use crate::job::ModelFactory;

/// The held-out questions are the same for every seed of the demo, so that runs can be compared.
const QUESTIONS_SEED: u64 = 0;

/// The questions and how they are asked.
pub(super) struct Measure {
    tokenizer: Arc<Tokenizer>,
    set: EvalSet,
    samples: u32,
    key: [u32; 2],
}

impl Measure {
    pub(super) fn new(plan: &DemoPlan<'_>, factory: &ModelFactory) -> Result<Self, DemoError> {
        let tokenizer = factory.model().tokenizer.clone();
        let (families, count) = (plan.families(), plan.demo.heldout);
        let set = EvalSet::held_out(
            &families,
            count,
            QUESTIONS_SEED,
            factory.composer(),
            &tokenizer,
            plan.learn.max_new,
        )?;
        let key = key_from("swarm-node demo held-out", &[0; 32], &[0; 32]);
        Ok(Self {
            tokenizer,
            set,
            samples: plan.demo.samples,
            key,
        })
    }

    /// The rates of a model.
    pub(super) fn rates(&self, policy: &mut dyn Policy) -> Result<Rates, DemoError> {
        let greedy = self.set.greedy(policy, &self.tokenizer)?;
        let sampled = self
            .set
            .sampled(policy, &self.tokenizer, self.samples, self.key)?;
        Ok(Rates { greedy, sampled })
    }
}
