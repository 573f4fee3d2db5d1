//! From a job's file to what its members compute and agree on.

use std::sync::Arc;
use std::time::Duration;

use skippipe::content::Digest;
use skippipe::encoding::Format;
use skippipe::path::{Hop, Peer, Stage};
use skippipe::predict::Sizes;
use skippipe::settings::Settings;
use skippipe::transcript::Roster;
use swarm_learn::pipeline::data::StepData;
use swarm_learn::pipeline::worker::{Blueprint, Encoding};
use swarm_learn::setup;
use swarm_model::stages::StagedModel;

use crate::job::{JobError, JobSpec, Model, PipelineSpec, Progress};
use crate::meeting::charter::job_digest;

/// What a message has beside its tensor, about: hops behind and ahead, their digests, a version.
const ENVELOPE_BYTES: u64 = 256;

/// What members have alike.
pub struct Assembled {
    /// Programs, data and initial parameters.
    pub blueprint: Blueprint,
    /// What they agree on; the number of peers is the file's.
    pub settings: Settings,
    /// The model's files, beside its weights.
    pub model: Model,
    /// Digest of all that is computed from, as text.
    pub job: String,
    /// Bytes of the largest stage's whole state.
    pub state_bytes: u64,
    /// Bytes of an activation while it is computed with.
    pub hop_bytes: u64,
    /// What a step sends.
    pub sizes: Sizes,
}

/// Why there is no pipeline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The file has no such part.
    #[error(
        "the job has no [pipeline]; add one with `stages` and `peers`, as in configs/nano/pipeline.toml"
    )]
    NoPipeline,
    /// The file is one of an averaging job.
    #[error("the job is an averaging job: it has [averaging]; take part by `swarm-node average`")]
    Averaging,
    /// The job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The model cannot be cut so.
    #[error("pipeline.stages: {0}")]
    Cut(#[from] swarm_model::stages::CutError),
    /// The model's width cannot be divided so.
    #[error("pipeline.bottleneck: {0}")]
    Bottleneck(#[from] swarm_model::stages::bottleneck::BottleneckError),
    /// A tensor cannot be made.
    #[error(transparent)]
    Tensor(#[from] reproducible_ops::tensor::TensorError),
    /// The position tables cannot be made.
    #[error(transparent)]
    Setup(#[from] setup::SetupError),
    /// The model's file.
    #[error("the model has no parameter {0}; take the file of a whole model")]
    Lacks(String),
    /// The data lacks something.
    #[error(transparent)]
    Data(#[from] swarm_learn::pipeline::data::MissingChannel),
}

impl Assembled {
    /// Reads model and data of a job, and cuts the model.
    ///
    /// # Errors
    /// See [`AssembleError`].
    pub fn new(spec: &JobSpec, progress: &dyn Progress) -> Result<Self, AssembleError> {
        let pipeline = match (&spec.pipeline, &spec.averaging) {
            (Some(pipeline), _) => pipeline,
            (None, Some(_)) => return Err(AssembleError::Averaging),
            (None, None) => return Err(AssembleError::NoPipeline),
        };
        let (model, data) = spec.model_and_data(progress)?;
        let mut staged = StagedModel::new(model.config.clone(), usize::from(pipeline.stages))?;
        if let Some(compression) = pipeline.bottleneck {
            staged = staged.with_bottleneck(compression)?;
        }
        let mut weights = setup::with_tables(&model.config, spec.batch.length, &model.weights)?;
        for (name, tensor) in staged.initial_bottlenecks()?.iter() {
            weights.insert(name, tensor.clone());
        }
        let named = staged.all_parameters().into_iter();
        let named: Vec<String> = named.map(|(name, _)| name).collect();
        let parameters = named.iter().map(|name| match weights.get(name) {
            Some(tensor) => Ok((name.as_str(), tensor)),
            None => Err(AssembleError::Lacks(name.clone())),
        });
        let parameters: Vec<_> = parameters.collect::<Result<_, _>>()?;
        let job = job_digest(&data, parameters.into_iter(), &terms(spec, pipeline));
        let rates = spec.rate_table();
        let data = StepData::new(data, spec.sampling(), spec.batch.rows, rates)?;
        let format = Format::from(pipeline.format);
        let shape = [spec.batch.rows, spec.batch.length];
        let elements = |stage: usize| {
            let shapes = staged.parameters(stage).into_iter();
            shapes
                .map(|(_, shape)| shape.iter().product::<usize>() as u64)
                .sum::<u64>()
        };
        let largest = (0..staged.stages()).map(elements).fold(0, u64::max);
        let hop = (shape[0] * shape[1] * staged.sent_width() * 4) as u64;
        let sizes = Sizes {
            hop: format.bytes(&[shape[0], shape[1], staged.sent_width()].into()) as u64
                + ENVELOPE_BYTES,
            sums: (0..staged.stages())
                .map(|stage| elements(stage) * 4)
                .collect(),
            slots: pipeline.slots as u16,
        };
        Ok(Self {
            settings: settings(spec, pipeline, job),
            job: job.to_string(),
            // Parameters and two moments, and room for names.
            state_bytes: largest * 12 + (1 << 20),
            hop_bytes: hop,
            sizes,
            blueprint: Blueprint {
                model: staged,
                shape,
                optimizer: spec.optimizer,
                weights: Arc::new(weights),
                data: Arc::new(data),
                encoding: Encoding {
                    hidden: format,
                    gradient: format,
                },
            },
            model,
        })
    }

    /// All stages.
    pub fn stages(&self) -> impl Iterator<Item = Stage> + use<> {
        (0..self.settings.stages).map(Stage)
    }
}

/// Peers by turns: the first holds the first stage, and so on.
pub fn by_turns(stages: u16, peers: u32) -> Roster {
    let mut roster = Roster(vec![Vec::new(); usize::from(stages)]);
    for peer in 0..peers {
        let stage = Stage((peer % u32::from(stages)) as u16);
        roster.insert(Hop {
            stage,
            peer: Peer(peer),
        });
    }
    roster
}

/// What else a job's history follows from.
fn terms(spec: &JobSpec, pipeline: &PipelineSpec) -> String {
    let JobSpec {
        seed,
        steps,
        batch,
        schedule,
        optimizer,
        ..
    } = spec;
    let PipelineSpec {
        stages,
        format,
        bottleneck,
        ..
    } = pipeline;
    format!(
        "{seed} {steps} {batch:?} {schedule:?} {optimizer:?} {stages} {format:?} {bottleneck:?}"
    )
}

fn settings(spec: &JobSpec, pipeline: &PipelineSpec, job: Digest) -> Settings {
    Settings {
        job,
        stages: pipeline.stages,
        peers: pipeline.peers,
        most_peers: pipeline.most_peers(),
        microbatches: spec.batch.microbatches as u32,
        steps: spec.steps,
        slots: pipeline.slots,
        hop_time: Duration::from_secs(pipeline.hop_seconds),
        phase_time: Duration::from_secs(pipeline.phase_seconds),
        step_time: Duration::from_secs(pipeline.step_seconds),
        keep_every: pipeline.keep_every,
        rebuild: pipeline.rebuild,
    }
}
