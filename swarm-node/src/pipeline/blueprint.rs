//! From a job's file to what its members compute and agree on.
//!
//! A job with a part `[averaging]`, too, is several pipelines that meet: what they agree on then is
//! [`Across`], and what one of them does is [`Assembled::of`] it.

use std::sync::Arc;
use std::time::Duration;

use reproducible_ops::program::TensorType;
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;
use skippipe::encoding::Format;
use skippipe::meeting::{Interval, Replica};
use skippipe::path::{Hop, Peer, Stage};
use skippipe::predict::Sizes;
use skippipe::settings::{Meetings, Settings};
use skippipe::transcript::Roster;
use swarm_learn::averaging::contribution::{Formats, Layout};
use swarm_learn::averaging::outer::{OuterPrograms, OuterState};
use swarm_learn::averaging::trainer::shard;
use swarm_learn::averaging::worker::OuterTerms;
use swarm_learn::pipeline::data::{Apart, StepData};
use swarm_learn::pipeline::worker::{Blueprint, Encoding};
use swarm_learn::pipelines::settings::{Settings as AcrossSettings, Sizes as AcrossSizes};
use swarm_learn::setup;
use swarm_model::stages::StagedModel;

use crate::job::{AveragingSpec, JobError, JobSpec, Model, PipelineSpec, Progress};
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
    /// Where pipelines meet; none of a pipeline alone.
    pub across: Option<Across>,
}

/// What pipelines that meet agree on.
#[derive(Clone, Debug)]
pub struct Across {
    /// Their settings.
    pub settings: AcrossSettings,
    /// When they meet.
    pub interval: Interval,
    /// Rows of the data, of which each has some for itself.
    rows: usize,
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
    /// It has no initial parameters.
    #[error("pipeline.bottleneck: {0}")]
    InitialBottleneck(#[from] swarm_model::stages::bottleneck::InitialError),
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
    /// Some pipeline would have no row of its own.
    #[error(
        "the data has {rows} rows for {pipelines} pipelines; each needs one of its own at least"
    )]
    Rows {
        /// Rows of the data.
        rows: usize,
        /// Pipelines.
        pipelines: u32,
    },
    /// The outer step does not fit the stages.
    #[error(transparent)]
    Type(#[from] reproducible_ops::program::TypeError),
}

impl Assembled {
    /// Reads model and data of a job, and cuts the model.
    ///
    /// # Errors
    /// See [`AssembleError`].
    pub fn new(spec: &JobSpec, progress: &dyn Progress) -> Result<Self, AssembleError> {
        let averaging = spec.averaging.as_ref();
        let pipeline = match (&spec.pipeline, averaging) {
            (Some(pipeline), _) => pipeline,
            (None, Some(_)) => return Err(AssembleError::Averaging),
            (None, None) => return Err(AssembleError::NoPipeline),
        };
        let (model, data) = spec.model_and_data(progress)?;
        let mut staged = StagedModel::new(model.config.clone(), usize::from(pipeline.stages))?;
        if let Some(bottleneck) = pipeline.at_boundaries() {
            staged = staged.with_bottleneck(bottleneck)?;
        }
        let mut weights = setup::with_tables(&model.config, spec.batch.length, &model.weights)?;
        for (name, tensor) in staged.initial_bottlenecks(&model.weights)?.iter() {
            weights.insert(name, tensor.clone());
        }
        let named = staged.all_parameters().into_iter();
        let named: Vec<String> = named.map(|(name, _)| name).collect();
        let parameters = named.iter().map(|name| match weights.get(name) {
            Some(tensor) => Ok((name.as_str(), tensor)),
            None => Err(AssembleError::Lacks(name.clone())),
        });
        let parameters: Vec<_> = parameters.collect::<Result<_, _>>()?;
        let terms = match averaging {
            Some(averaging) => format!("{} {averaging:?}", terms(spec, pipeline)),
            None => terms(spec, pipeline),
        };
        let job = job_digest(&data, parameters.into_iter(), &terms);
        let rows = data.rows();
        if let Some(pipelines) = averaging.map(|averaging| averaging.replicas)
            && rows < pipelines as usize
        {
            return Err(AssembleError::Rows { rows, pipelines });
        }
        let outer = averaging.map(|averaging| OuterTerms {
            outer: averaging.outer(),
            formats: Formats {
                change: averaging.change.into(),
                anchor: averaging.anchor.into(),
            },
        });
        let across = match (averaging, outer) {
            (Some(averaging), Some(outer)) => Some(Across {
                settings: AcrossSettings {
                    job,
                    paired: outer.outer.is_paired(),
                    pipelines: averaging.replicas,
                    peers: pipeline.peers,
                    sizes: across_sizes(&staged, &weights, outer)?,
                    patience: Duration::from_secs(averaging.patience_seconds),
                    again: again(averaging),
                },
                interval: Interval::new(averaging.inner_steps),
                rows,
            }),
            _ => None,
        };
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
            settings: settings(spec, pipeline, job, across.as_ref()),
            job: job.to_string(),
            // Parameters and two moments, where pipelines meet anchor and momentum, and room for names.
            state_bytes: largest * if across.is_some() { 20 } else { 12 } + (1 << 20),
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
                outer,
            },
            across,
            model,
        })
    }

    /// What the members of one of several pipelines compute, and agree on; of a pipeline alone, those
    /// of the only one.
    pub fn of(&self, pipeline: Replica) -> (Blueprint, Settings) {
        let (mut blueprint, mut settings) = (self.blueprint.clone(), self.settings.clone());
        if let Some(across) = &self.across {
            let AcrossSettings { job, pipelines, .. } = across.settings;
            blueprint.data = Arc::new(blueprint.data.apart(Apart {
                job,
                pipeline,
                own: shard(&job, across.rows, pipelines, pipeline).into(),
                interval: across.interval,
            }));
            settings.job = across.settings.job_of(pipeline);
        }
        (blueprint, settings)
    }

    /// Pipelines of the job.
    pub fn pipelines(&self) -> impl Iterator<Item = Replica> + use<> {
        let across = self.across.as_ref();
        (0..across.map_or(1, |across| across.settings.pipelines)).map(Replica)
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
    let PipelineSpec { stages, format, .. } = pipeline;
    let bottleneck = pipeline.at_boundaries();
    format!(
        "{seed} {steps} {batch:?} {schedule:?} {optimizer:?} {stages} {format:?} {bottleneck:?}"
    )
}

/// Bytes of what stages send where pipelines meet.
fn across_sizes(
    model: &StagedModel,
    weights: &Weights,
    OuterTerms { outer, formats }: OuterTerms,
) -> Result<Vec<AcrossSizes>, AssembleError> {
    let sizes = (0..model.stages()).map(|stage| {
        let parameters = model.parameters(stage).into_iter();
        let types: Vec<(String, TensorType)> = parameters
            .map(|(name, shape)| (name, TensorType::f32(shape)))
            .collect();
        let named = types.iter().map(|(name, _)| match weights.get(name) {
            Some(tensor) => Ok((name.clone(), tensor.clone())),
            None => Err(AssembleError::Lacks(name.clone())),
        });
        let state = OuterState::initial(named.collect::<Result<Weights, _>>()?);
        let contributed = OuterPrograms::new(outer, &types)?.contributed();
        Ok(AcrossSizes {
            contribution: Layout::new(contributed, formats).bytes(),
            outer: state.named().to_bytes().len(),
        })
    });
    sizes.collect()
}

/// After how long what another pipeline did not answer is said again.
fn again(averaging: &AveragingSpec) -> Duration {
    let patience = Duration::from_secs(averaging.patience_seconds);
    (patience / 10).clamp(Duration::from_millis(200), Duration::from_secs(5))
}

fn settings(
    spec: &JobSpec,
    pipeline: &PipelineSpec,
    job: Digest,
    across: Option<&Across>,
) -> Settings {
    let meetings = across.map(|across| Meetings {
        interval: across.interval,
        longest: across.settings.longest(),
    });
    let steps = meetings.map_or(spec.steps, |meetings| {
        let interval = meetings.interval;
        interval.steps(spec.steps / interval.get())
    });
    Settings {
        job,
        stages: pipeline.stages,
        peers: pipeline.peers,
        // Nobody joins later where pipelines meet.
        most_peers: match across {
            Some(_) => pipeline.peers,
            None => pipeline.most_peers(),
        },
        microbatches: spec.batch.microbatches as u32,
        steps,
        slots: pipeline.slots,
        hop_time: Duration::from_secs(pipeline.hop_seconds),
        phase_time: Duration::from_secs(pipeline.phase_seconds),
        step_time: Duration::from_secs(pipeline.step_seconds),
        keep_every: pipeline.keep_every,
        rebuild: pipeline.rebuild,
        meetings,
    }
}
