//! What a pipeline's stages need, before anybody starts one.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use skippipe::path::Peer;
use swarm_model::stages::{StagedModel, bottleneck};

use super::assemble;
use super::lines::{measured, predicted};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::job::JobSpec;
use crate::pipeline::blueprint::{Assembled, by_turns};
use crate::pipeline::paths::{self, Wish};
use crate::pipeline::probe::file;

/// What a pipeline needs, by stage.
#[derive(Serialize)]
struct Outlook {
    job: String,
    stages: Vec<StageOutlook>,
    peers: u32,
    visits: u16,
    full_every: u64,
    microbatches: u32,
    /// Bytes of an activation between peers, and of a step's activations and gradients in all.
    hop_bytes: u64,
    step_bytes: u64,
    /// Where pipelines meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    meetings: Option<MeetingsOutlook>,
    /// Learned maps at boundaries, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    bottleneck: Option<BottleneckOutlook>,
    /// What a step should take, where measurements were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<ExpectedStep>,
    /// Whether every stage fits into a peer's memory, where that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
}

/// Pipelines that meet.
#[derive(Serialize)]
struct MeetingsOutlook {
    pipelines: u32,
    /// Steps of a pipeline between two meetings, and meetings in all.
    every: u64,
    rounds: u64,
    /// Most bytes that who speaks for a stage sends to another pipeline, by stage.
    bytes: Vec<usize>,
}

/// What a bottleneck is to each stage.
#[derive(Serialize)]
struct BottleneckOutlook {
    /// Numbers of a token that are sent, and that the residual stream has.
    sent: usize,
    width: usize,
    /// Parameters of the two maps, and of the embedding that is added; 0 without a residual path.
    maps: u64,
    embedding: u64,
}

/// What a step should take.
#[derive(Serialize)]
struct ExpectedStep {
    seconds: f64,
    passes: f64,
    reduction: f64,
    commit: f64,
    /// The link that decides most of the passes: sender, receiver.
    bottleneck: Option<(u32, u32)>,
    #[serde(skip)]
    text: String,
}

#[derive(Serialize)]
struct StageOutlook {
    stage: u16,
    layers: usize,
    /// Peers that hold it to begin with.
    peers: u32,
    parameters: u64,
    /// What a peer of it needs, about, in bytes.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
}

/// What a peer's memory holds beside a stage's parameters.
#[derive(Clone, Copy)]
struct Held {
    /// Bytes of an activation as it goes from stage to stage.
    hop: u64,
    /// Bytes of the residual stream of a microbatch.
    stream: u64,
    /// Microbatches at a time.
    slots: u64,
    /// Visits of a step.
    visits: u64,
}

/// Bytes that a peer needs for a stage, about: parameters, two moments, a sum of gradients and the
/// gradients of its visits of a step; what goes in and out and waits for each slot, and what the
/// layers of one microbatch keep on their way back (some sixteen times the residual stream).
fn stage_bytes(parameters: u64, layers: usize, held: Held) -> u64 {
    let Held {
        hop,
        stream,
        slots,
        visits,
    } = held;
    parameters * 4 * (4 + visits) + hop * 3 * slots + stream * 16 * layers as u64
}

/// Numbers of all these parameters.
fn elements(parameters: &[(String, Vec<usize>)]) -> u64 {
    let sizes = parameters.iter().map(|(_, shape)| shape.iter().product());
    sizes.map(|size: usize| size as u64).sum()
}

/// The same model in another number of stages, with the same boundaries; none where it has not so
/// many layers.
fn cut_again(model: &StagedModel, stages: usize) -> Option<StagedModel> {
    let cut = StagedModel::new(model.config().clone(), stages).ok()?;
    match model.bottleneck() {
        Some(bottleneck) => cut.with_bottleneck(bottleneck).ok(),
        None => Some(cut),
    }
}

fn at_boundaries(model: &StagedModel) -> Option<BottleneckOutlook> {
    model.bottleneck()?;
    let (mut embedding, mut maps) = (model.parameters(1), model.parameters(1));
    let part = |name: &str| bottleneck::part_of(name).map(|(_, part)| part == "embedding");
    embedding.retain(|(name, _)| part(name) == Some(true));
    maps.retain(|(name, _)| part(name) == Some(false));
    Some(BottleneckOutlook {
        sent: model.sent_width(),
        width: model.config().hidden_size,
        maps: elements(&maps),
        embedding: elements(&embedding),
    })
}

/// Prints what each stage needs.
pub(super) fn plan(
    path: &Path,
    memory: Option<u64>,
    network: Option<&Path>,
    options: &Options,
) -> Result<(), Failure> {
    let spec = JobSpec::load(path)?;
    let console = Console::new();
    let assembled = assemble(&spec, &console)?;
    let pipeline = spec.pipeline.as_ref();
    let settings = &assembled.settings;
    let visits = pipeline
        .and_then(|one| one.visits)
        .unwrap_or(settings.stages);
    let memory = memory.map(|mebibytes| mebibytes << 20);
    let model = &assembled.blueprint.model;
    let [rows, length] = assembled.blueprint.shape;
    let need = |stages: usize, stage: usize| {
        let model = cut_again(model, stages)?;
        let parameters = elements(&model.parameters(stage));
        let layers = model.layers(stage)?.len();
        let peers = (settings.peers as usize + stages - 1 - stage) / stages;
        let held = Held {
            hop: assembled.hop_bytes,
            stream: (rows * length * model.config().hidden_size * 4) as u64,
            slots: settings.slots as u64,
            visits: u64::from(settings.microbatches).div_ceil(peers.max(1) as u64),
        };
        let bytes = stage_bytes(parameters, layers, held);
        Some((parameters, layers, peers as u32, bytes))
    };
    let stages = assembled.stages().filter_map(|stage| {
        let (parameters, layers, peers, bytes) = need(usize::from(settings.stages), stage.index())?;
        Some(StageOutlook {
            stage: stage.0,
            layers,
            peers,
            parameters,
            bytes,
            fits: memory.map(|memory| bytes <= memory),
        })
    });
    let stages: Vec<StageOutlook> = stages.collect();
    let hops = match visits {
        1 => 0,
        visits => u64::from(visits) * u64::from(settings.microbatches) * 2,
    };
    let hop_bytes = assembled.sizes.hop;
    let outlook = Outlook {
        job: assembled.job.clone(),
        peers: settings.peers,
        visits,
        full_every: pipeline.map_or(0, |one| one.full_every),
        microbatches: settings.microbatches,
        hop_bytes,
        step_bytes: hop_bytes * hops,
        meetings: assembled.across.as_ref().map(|across| MeetingsOutlook {
            pipelines: across.settings.pipelines,
            every: across.interval.get(),
            rounds: settings.steps / across.interval.steps(1),
            bytes: across
                .settings
                .sizes
                .iter()
                .map(|one| one.contribution)
                .collect(),
        }),
        bottleneck: at_boundaries(model),
        expected: network
            .map(|network| expected(&assembled, network, visits))
            .transpose()?,
        fits: memory.map(|_| stages.iter().all(|stage| stage.fits == Some(true))),
        stages,
    };
    let most = settings.stages..=64;
    let enough = memory
        .filter(|_| outlook.fits == Some(false))
        .map(|memory| {
            most.into_iter().find(|stages| {
                let stages = usize::from(*stages);
                let fits = |stage| need(stages, stage).is_some_and(|(.., bytes)| bytes <= memory);
                (0..stages).all(fits)
            })
        });
    let text = outlook.text(settings.stages, enough);
    let json = serde_json::to_string(&outlook).map_err(Failure::work)?;
    let kept = String::new();
    Answer { text, json, kept }.print(options.json)
}

/// What a step should take by a file of measurements, with a plan that is made by them.
fn expected(assembled: &Assembled, network: &Path, visits: u16) -> Result<ExpectedStep, Failure> {
    let settings = &assembled.settings;
    let known =
        file::read(network, settings.peers).map_err(|error| Failure::Usage(error.into()))?;
    let roster = by_turns(settings.stages, settings.peers);
    let wish = Wish {
        microbatches: settings.microbatches,
        visits,
        sizes: assembled.sizes.clone(),
    };
    let planned = paths::plan(&roster, &wish, &known, Peer(0), 0);
    let prediction = planned.prediction.ok_or_else(|| {
        Failure::Work(anyhow::anyhow!(
            "nothing can be said of a step over the links of {}; look at its numbers",
            network.display()
        ))
    })?;
    let link = prediction.bottleneck.as_ref();
    Ok(ExpectedStep {
        seconds: prediction.time().as_seconds(),
        passes: prediction.passes.as_seconds(),
        reduction: prediction.reduction.as_seconds(),
        commit: prediction.commit.as_seconds(),
        bottleneck: link.map(|link| (link.from.0, link.to.0)),
        text: format!(
            "{}\nstep         {}\n",
            measured(&known, &roster, &wish),
            predicted(&prediction)
        ),
    })
}

impl Outlook {
    /// `enough` is the number of stages that would fit, where these do not.
    fn text(&self, stages: u16, enough: Option<Option<u16>>) -> String {
        let mut text = format!("job          {}\n", self.job);
        let _ = write!(
            text,
            "paths        each of {} microbatches a step visits {} of {stages} stages",
            self.microbatches, self.visits
        );
        if self.visits < stages && self.full_every > 0 {
            let _ = write!(text, "; all of them every {} steps", self.full_every);
        }
        let _ = writeln!(
            text,
            "\nsent         {:.1} kB from peer to peer, {:.2} MB a step by all",
            self.hop_bytes as f64 / 1e3,
            self.step_bytes as f64 / 1e6
        );
        if let Some(meetings) = &self.meetings {
            let bytes = meetings
                .bytes
                .iter()
                .map(|bytes| format!("{:.2}", *bytes as f64 / 1e6));
            let _ = writeln!(
                text,
                "pipelines    {} of {} peers each, which meet {} times, after every {} steps; stages send {} MB \
                 each time",
                meetings.pipelines,
                self.peers,
                meetings.rounds,
                meetings.every,
                bytes.collect::<Vec<String>>().join(", ")
            );
        }
        if let Some(bottleneck) = &self.bottleneck {
            let _ = writeln!(
                text,
                "bottleneck   {} of {} numbers a token; in each stage {} parameters of maps, {} of the \
                 embedding of its own",
                bottleneck.sent, bottleneck.width, bottleneck.maps, bottleneck.embedding
            );
        }
        for stage in &self.stages {
            let fits = match stage.fits {
                Some(true) => ", fits",
                Some(false) => ", does not fit",
                None => "",
            };
            let _ = writeln!(
                text,
                "stage {:<6} {} layers, {} parameters; held by {}, about {:.1} MB each{fits}",
                stage.stage,
                stage.layers,
                stage.parameters,
                stage.peers,
                stage.bytes as f64 / 1e6
            );
        }
        if let Some(expected) = &self.expected {
            text.push_str(&expected.text);
        }
        match enough {
            Some(Some(stages)) => {
                let _ = writeln!(text, "would fit    {stages} stages");
            }
            Some(None) => text.push_str("would fit    no number of stages up to 64\n"),
            None => {}
        }
        text
    }
}
