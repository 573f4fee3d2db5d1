//! A [`Trainer`] as the inner steps of a replica: rows drawn from the replica's own, H steps a
//! round.

use std::sync::Arc;

use reproducible_ops::random::{Stream, key_from};
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;

use super::transcript::Replica;
use super::worker::{Inner, Trainable};
use crate::data_set::DataSet;
use crate::schedule::Schedule;
use crate::trainer::{StepReport, TrainState, Trainer};

const DOMAIN: &str = "averaging/data";
const SHARDS: &str = "averaging/shards";

/// What a replica trains on, and how far it moves.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The job; with the replica and the step it decides which rows are drawn.
    pub job: Digest,
    /// All rows.
    pub data: Arc<DataSet>,
    /// Those that the replica draws from, at least one; see [`shard`].
    pub own: Vec<usize>,
    /// Rows of an inner step, a multiple of those of the trainer's microbatches.
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
    watcher: Option<Watcher>,
}

/// Told of each inner step, with its round.
type Watcher = Box<dyn FnMut(u64, &StepReport) + Send>;

/// The rows of a replica's own, where each of `replicas` has some: a seeded permutation of all
/// rows, dealt out by turns. None where there are fewer rows than replicas before it.
pub fn shard(job: &Digest, rows: usize, replicas: u32, replica: Replica) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    Stream::new(key_from(SHARDS, &job.0, &[0; 32]), 0, 0).shuffle(&mut order);
    let own = order.into_iter().skip(replica.index());
    own.step_by(replicas.max(1) as usize).collect()
}

/// So many of a replica's own rows for an inner step.
pub fn drawn(
    job: &Digest,
    own: &[usize],
    batch: usize,
    (replica, step): (Replica, u64),
) -> Vec<usize> {
    // A step is below 2³² in any run, as a draw of pipelines is.
    let key = key_from(DOMAIN, &job.0, &[0; 32]);
    let mut stream = Stream::new(key, replica.0, step as u32);
    let drawn = (0..batch).map(|_| stream.index(own.len()));
    drawn.map(|at| own[at]).collect()
}

impl Rows {
    /// The rows of an inner step of a replica.
    pub fn batch(&self, replica: Replica, step: u64) -> Vec<usize> {
        drawn(&self.job, &self.own, self.batch, (replica, step))
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
            watcher: None,
        }
    }

    /// The trainer alone.
    #[cfg(test)]
    pub(super) fn trainer_mut(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// Tells somebody of each inner step and its round.
    pub fn watch(&mut self, watcher: impl FnMut(u64, &StepReport) + Send + 'static) {
        self.watcher = Some(Box::new(watcher));
    }
}

impl Inner for TrainerReplica {
    fn train(&mut self, round: u64) -> Result<(), String> {
        for step in round * self.steps..(round + 1) * self.steps {
            let batch = self.rows.batch(self.replica, step);
            let rate = self.rows.schedule.rate(step);
            let report = self.trainer.step_on_rows(&self.rows.data, &batch, rate);
            let report = report.map_err(|error| format!("inner step {step}: {error}"))?;
            if let Some(watcher) = &mut self.watcher {
                watcher(round, &report);
            }
        }
        Ok(())
    }
}

impl Trainable for TrainerReplica {
    fn parameters(&self) -> Result<Weights, String> {
        self.trainer.params().map_err(|error| error.to_string())
    }

    fn optimizer(&self) -> Result<Weights, String> {
        let state = self.trainer.state().map_err(|error| error.to_string())?;
        Ok(state.optimizer)
    }

    fn place(&mut self, parameters: &Weights) -> Result<(), String> {
        let optimizer = self.optimizer()?;
        self.restore(parameters, &optimizer)
    }

    fn restore(&mut self, parameters: &Weights, optimizer: &Weights) -> Result<(), String> {
        let state = TrainState {
            step: self.trainer.step_count(),
            params: parameters.clone(),
            optimizer: optimizer.clone(),
        };
        self.trainer
            .restore(&state)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_in_one_shard_and_shards_are_of_one_size_or_two() {
        let job = Digest([3; 32]);
        let shards = (0..4).map(|one| shard(&job, 10, 4, Replica(one)));
        let shards: Vec<Vec<usize>> = shards.collect();
        let sizes: Vec<usize> = shards.iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 2, 2]);
        let all: BTreeSet<usize> = shards.iter().flatten().copied().collect();
        assert_eq!(all, (0..10).collect());
        assert_ne!(shards[0], shard(&Digest([4; 32]), 10, 4, Replica(0)));
        assert!(shard(&job, 2, 4, Replica(3)).is_empty());
    }
}
