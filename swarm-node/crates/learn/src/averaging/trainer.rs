//! A [`Trainer`] as the inner steps of a replica: rows of text drawn for the replica, H steps a round.

use crate::inputs::Example;
use crate::schedule::Schedule;
use crate::trainer::{TrainState, Trainer};
use reproducible_ops::random::{Stream, key_from};
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;
use std::sync::Arc;

use super::transcript::Replica;
use super::worker::Inner;

const DOMAIN: &str = "averaging/data";

/// What a replica trains on, and how far it moves.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The job; with the replica and the step it decides which examples are drawn.
    pub job: Digest,
    /// All examples, the same for every replica.
    pub examples: Arc<Vec<Example>>,
    /// Examples of an inner step.
    pub batch: usize,
    /// Learning rates of inner steps.
    pub schedule: Schedule,
}

/// A trainer with its data.
pub struct TrainerReplica {
    trainer: Trainer,
    replica: Replica,
    rows: Rows,
    /// Inner steps of a round.
    steps: u64,
}

impl Rows {
    /// The examples of an inner step of a replica.
    pub fn batch(&self, replica: Replica, step: u64) -> Vec<Example> {
        // A step is below 2³² in any run, as a draw of pipelines is.
        let key = key_from(DOMAIN, &self.job.0, &[0; 32]);
        let mut stream = Stream::new(key, replica.0, step as u32);
        let drawn = (0..self.batch).map(|_| stream.index(self.examples.len()));
        drawn
            .filter_map(|at| self.examples.get(at).cloned())
            .collect()
    }
}

impl TrainerReplica {
    /// A replica that takes so many inner steps a round.
    pub fn new(trainer: Trainer, replica: Replica, rows: Rows, steps: u64) -> Self {
        Self {
            trainer,
            replica,
            rows,
            steps,
        }
    }
}

impl Inner for TrainerReplica {
    fn train(&mut self, round: u64) -> Result<(), String> {
        for step in round * self.steps..(round + 1) * self.steps {
            let batch = self.rows.batch(self.replica, step);
            let rate = self.rows.schedule.rate(step);
            self.trainer
                .step(&batch, rate)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn parameters(&self) -> Result<Weights, String> {
        self.trainer.params().map_err(|error| error.to_string())
    }

    fn optimizer(&self) -> Result<Weights, String> {
        let state = self.trainer.state().map_err(|error| error.to_string())?;
        Ok(state.optimizer)
    }

    fn place(&mut self, parameters: &Weights) -> Result<(), String> {
        let state = self.trainer.state().map_err(|error| error.to_string())?;
        let state = TrainState {
            params: parameters.clone(),
            ..state
        };
        self.trainer
            .restore(&state)
            .map_err(|error| error.to_string())
    }
}
