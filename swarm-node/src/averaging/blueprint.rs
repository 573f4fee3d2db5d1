//! From a job's file to what its replicas compute and agree on.

use std::sync::Arc;
use std::time::Duration;

use reproducible_ops::engine::Engine;
use reproducible_ops::program::{Shape, TensorType};
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;
use swarm_learn::assemble::Objective;
use swarm_learn::averaging::contribution::{Formats, Layout};
use swarm_learn::averaging::outer::{Outer, OuterPrograms, OuterState};
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::trainer::{Rows, TrainerReplica, shard};
use swarm_learn::averaging::transcript::Replica;
use swarm_learn::averaging::worker::{ReplicaWorker, WorkerError};
use swarm_learn::data_set::DataSet;
use swarm_learn::programs::Programs;
use swarm_learn::schedule::Schedule;
use swarm_learn::setup::{self, SetupError};
use swarm_learn::trainer::Trainer;

use crate::job::{AveragingSpec, JobError, JobSpec, Model, Progress};
use crate::meeting::charter::job_digest;

/// What a message has beside its tensors, at most: signed parts of a mean.
const ENVELOPE_BYTES: usize = 64 << 10;
/// Room for records that are told, where contributions are small.
const LEAST_FRAME: usize = 4 << 20;
/// Longest message.
const MAX_MESSAGE: usize = 1 << 30;
/// Shortest and longest time after which what was not answered is said again.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

/// What replicas have alike.
pub struct Assembled {
    /// What they agree on.
    pub settings: Settings,
    /// How they come together.
    pub outer: Outer,
    /// The model's files, beside its weights.
    pub model: Model,
    /// Digest of all that is computed from, as text.
    pub job: String,
    /// Longest message, in bytes.
    pub frame_bytes: u32,
    /// Numbers of the model.
    pub parameters: u64,
    /// Steps of a round.
    pub inner_steps: u64,
    formats: Formats,
    programs: Arc<Programs>,
    /// Parameters and constants.
    weights: Weights,
    data: Arc<DataSet>,
    /// Rows of an inner step.
    batch: usize,
    schedule: Schedule,
}

/// Why there is no averaging job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The file has no such part.
    #[error(
        "the job has no [averaging]; add one with `method`, `replicas` and `inner_steps`, as in \
         configs/nano/averaging.toml"
    )]
    NoAveraging,
    /// The file is one of a pipeline.
    #[error("the job is a pipeline: it has [pipeline]; take part by `swarm-node pipeline`")]
    Pipeline,
    /// The job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The model cannot be trained on rows of this length.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The outer step.
    #[error(transparent)]
    Type(#[from] reproducible_ops::program::TypeError),
    /// Some replica would have no row of its own.
    #[error("the data has {rows} rows for {replicas} replicas; each needs one of its own at least")]
    Rows {
        /// Rows of the data.
        rows: usize,
        /// Replicas.
        replicas: u32,
    },
    /// A contribution is longer than a message may be.
    #[error(
        "a contribution has {bytes} bytes, over the limit of {MAX_MESSAGE}; send fewer with `change` (and \
         `anchor`) as \"bf16\" or \"int8\", or train a smaller model"
    )]
    TooLong {
        /// Its bytes, or those of an anchor and momentum.
        bytes: usize,
    },
}

/// Why there is no replica to train.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The engine refuses the trainer.
    #[error(transparent)]
    Train(#[from] swarm_learn::programs::TrainError),
    /// The outer step.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl Assembled {
    /// Reads model and data of a job.
    ///
    /// # Errors
    /// See [`AssembleError`].
    pub fn new(spec: &JobSpec, progress: &dyn Progress) -> Result<Self, AssembleError> {
        let averaging = match (&spec.averaging, &spec.pipeline) {
            (_, Some(_)) => return Err(AssembleError::Pipeline),
            (Some(averaging), None) => averaging,
            (None, None) => return Err(AssembleError::NoAveraging),
        };
        let (model, data) = spec.model_and_data(progress)?;
        let (rows, replicas) = (data.rows(), averaging.replicas);
        if rows < replicas as usize {
            return Err(AssembleError::Rows { rows, replicas });
        }
        let weights = setup::with_tables(&model.config, spec.batch.length, &model.weights)?;
        let programs = setup::training_programs(
            &model.config,
            spec.batch.rows,
            spec.batch.length,
            Objective::Supervised,
            &spec.optimizer,
        )?;
        let programs = programs.recomputing(spec.batch.recompute);
        let programs = Arc::new(programs.map_err(SetupError::from)?);
        let parameters = model.weights.iter();
        let types: Vec<(String, TensorType)> = parameters
            .map(|(name, tensor)| (name.to_owned(), tensor.ty().clone()))
            .collect();
        let outer = averaging.outer();
        let formats = Formats {
            change: averaging.change.into(),
            anchor: averaging.anchor.into(),
        };
        let contributed = OuterPrograms::new(outer, &types)?.contributed();
        let contribution_bytes = Layout::new(contributed, formats).bytes();
        let outer_bytes = OuterState::initial(model.weights.clone())
            .named()
            .to_bytes()
            .len();
        let longest = match outer.is_paired() {
            true => contribution_bytes,
            false => contribution_bytes.max(outer_bytes),
        };
        if longest > MAX_MESSAGE {
            return Err(AssembleError::TooLong { bytes: longest });
        }
        let job = job_digest(&data, model.weights.iter(), &terms(spec, averaging));
        let settings = Settings {
            contribution_bytes,
            outer_bytes,
            ..settings_of_records(averaging, spec.steps, job)
        };
        let elements = |(_, ty): &(String, TensorType)| Shape::elements(&ty.shape) as u64;
        Ok(Self {
            settings,
            outer,
            job: job.to_string(),
            // Within 32 bits, as messages are bounded.
            frame_bytes: (longest + ENVELOPE_BYTES).max(LEAST_FRAME) as u32,
            parameters: types.iter().map(elements).sum(),
            inner_steps: averaging.inner_steps,
            formats,
            programs,
            weights,
            data: Arc::new(data),
            batch: spec.batch.rows * spec.batch.microbatches,
            schedule: spec.rates(),
            model,
        })
    }

    /// A replica before its first round.
    ///
    /// # Errors
    /// The engine refuses a program.
    pub fn replica(
        &self,
        engine: &dyn Engine,
        replica: Replica,
    ) -> Result<ReplicaWorker<TrainerReplica>, ReplicaError> {
        let trainer = Trainer::new(engine, self.programs.clone(), &self.weights)?;
        let Settings { job, replicas, .. } = &self.settings;
        let rows = Rows {
            job: *job,
            own: shard(job, self.data.rows(), *replicas, replica),
            data: self.data.clone(),
            batch: self.batch,
            schedule: self.schedule,
        };
        let inner = TrainerReplica::new(trainer, replica, rows, self.inner_steps);
        Ok(ReplicaWorker::new(inner, engine, self.outer, self.formats)?)
    }

    /// All replicas.
    pub fn replicas(&self) -> impl Iterator<Item = Replica> + use<> {
        (0..self.settings.replicas).map(Replica)
    }

    /// Rows of the data.
    pub fn rows(&self) -> usize {
        self.data.rows()
    }

    /// Rows of an inner step of a replica.
    pub fn batch(&self) -> usize {
        self.batch
    }
}

/// What records of a job are read with, for which sizes of contributions do not matter: they are 0.
pub fn settings_of_records(averaging: &AveragingSpec, steps: u64, job: Digest) -> Settings {
    let patience = Duration::from_secs(averaging.patience_seconds);
    Settings {
        job,
        paired: averaging.outer().is_paired(),
        replicas: averaging.replicas,
        rounds: steps / averaging.inner_steps.max(1),
        contribution_bytes: 0,
        outer_bytes: 0,
        patience,
        again: (patience / 10).clamp(AGAIN[0], AGAIN[1]),
    }
}

/// What else a job's history follows from; how long replicas wait for each other is in their
/// records.
fn terms(spec: &JobSpec, averaging: &AveragingSpec) -> String {
    let JobSpec {
        seed,
        steps,
        batch,
        schedule,
        optimizer,
        ..
    } = spec;
    let AveragingSpec {
        replicas,
        inner_steps,
        change,
        anchor,
        ..
    } = averaging;
    let outer = averaging.outer();
    format!(
        "averaging {seed} {steps} {batch:?} {schedule:?} {optimizer:?} {replicas} {inner_steps} {outer:?} \
         {change:?} {anchor:?}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Silent;

    const EXAMPLE: &str = include_str!("../../../configs/nano/averaging.toml");

    fn assemble(text: &str) -> Result<Assembled, AssembleError> {
        let spec: JobSpec = toml::from_str(text).unwrap();
        Assembled::new(&spec, &Silent)
    }

    fn refused(text: &str) -> String {
        match assemble(text) {
            Ok(_) => panic!("no error"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_computed_names_the_job_and_what_is_waited_for_does_not() {
        let job = assemble(EXAMPLE).unwrap();
        let settings = &job.settings;
        assert_eq!((settings.replicas, settings.rounds), (4, 6));
        assert!(settings.contribution_bytes as u64 >= 8 * job.parameters);
        let other = |from: &str, to: &str| {
            let text = EXAMPLE.replace(from, to);
            assert_ne!(text, EXAMPLE, "{from}");
            assemble(&text).unwrap().job
        };
        assert_eq!(
            other("patience_seconds = 30", "patience_seconds = 9"),
            job.job
        );
        let changes = [
            ("inner_steps = 10", "inner_steps = 5"),
            ("replicas = 4", "replicas = 3"),
            ("momentum = 0.5", "momentum = 0.4"),
            ("anchor = \"f32\"", "anchor = \"int8\""),
            ("seed = 1\n#", "seed = 2\n#"),
            ("rows = 8", "rows = 4"),
        ];
        for (from, to) in changes {
            assert_ne!(other(from, to), job.job, "{to}");
        }
    }

    #[test]
    fn what_is_no_averaging_job_is_told() {
        let job = include_str!("../../../configs/nano/job.toml");
        assert!(refused(job).contains("has no [averaging]"));
        let pipeline = include_str!("../../../configs/nano/pipeline.toml");
        assert!(refused(pipeline).contains("swarm-node pipeline"));
        let part = pipeline.split("\n[pipeline]\n").nth(1).unwrap();
        let part = part.split("[data").next().unwrap();
        let both = format!("\n[pipeline]\n{part}\n[averaging]\n");
        let both = EXAMPLE.replace("\n[averaging]\n", &both);
        // Pipelines that meet are pipelines.
        assert!(refused(&both).contains("swarm-node pipeline"));
    }
}
