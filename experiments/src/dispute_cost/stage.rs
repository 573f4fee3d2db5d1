//! Disputes about a step of each stage of a pipeline: members in memory make a step of the job, one
//! machine replays its record, and a holder is said to have shown one bit of a product otherwise
//! than it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use skippipe::path::Stage;
use skippipe::replay::{Arrival, Replay};
use skippipe::testing::network::Network;
use swarm_learn::pipeline::stage_plan::{StagePlan, StageStep};
use swarm_learn::pipeline::worker::StageWorker;
use swarm_node::job::{JobSpec, Silent};
use swarm_node::pipeline::blueprint::Assembled;
use verde::job::Job;
use verde::testing::OneBit;

use super::liar::{Lie, only_step};
use super::{Options, Path, Row, dearest, dispute};
use crate::stage_workers::workers;

const SPEC: &str = include_str!("../../../configs/nano/pipeline.toml");

/// A dispute about the first step of each stage.
pub async fn disputes(options: &Options) -> Result<Vec<Row>> {
    let mut spec: JobSpec = toml::from_str(SPEC)?;
    (spec.batch.rows, spec.batch.length) = (options.rows, options.length);
    (spec.batch.microbatches, spec.steps, spec.stride) = (4, 1, 1);
    (spec.schedule.warmup, spec.schedule.decay) = (0, 0);
    let Assembled {
        blueprint,
        settings,
        ..
    } = Assembled::new(&spec, &Silent)?;
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(options.threads));
    let make = |stage: Option<Stage>| -> Result<_> {
        let worker = StageWorker::new(blueprint.clone(), engine.clone(), stage)?;
        let state = worker.state()?;
        Ok((worker, state))
    };
    let stages = settings.stages;
    let all = (0..stages).map(|stage| make(Some(Stage(stage))));
    let (stage_workers, states): (Vec<_>, Vec<_>) =
        all.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let states: Vec<_> = states.into_iter().flatten().collect();
    let mut replicas = vec![1; usize::from(stages)];
    // The last peer of the job holds the last stage, too, so that its sums are reduced.
    replicas[usize::from(stages) - 1] = settings.peers as usize + 1 - usize::from(stages);
    let mut network = Network::new(
        settings.clone(),
        &replicas,
        options.seed,
        workers(&blueprint, &engine),
    );
    network.run(Duration::from_secs(3_600));
    let stepped = network
        .steps()
        .into_iter()
        .next()
        .context("the pipeline stands still")?;
    let before: Vec<_> = stage_workers
        .iter()
        .map(StageWorker::train_state)
        .collect::<Result<_, _>>()?;
    let mut replay = Replay::new(stage_workers, states, settings.keep_every);
    let mut arrivals: BTreeMap<Stage, Vec<Arrival>> = BTreeMap::new();
    let mut seen = |arrival: Arrival| arrivals.entry(arrival.hop.stage).or_default().push(arrival);
    let replayed = replay.step_with(&stepped.record, &mut seen)?;
    let mut rows = Vec::new();
    for (index, before) in before.into_iter().enumerate() {
        let stage = Stage(index as u16);
        let before = before.context("a worker without a stage")?;
        let arrived = blueprint.arrived(arrivals.get(&stage).into_iter().flatten())?;
        let built = blueprint.stage(&engine, stage)?;
        let step = StageStep {
            record: &stepped.record,
            data: &blueprint.data,
            arrived: &arrived,
            norm: replayed.norm,
        };
        let planned = StagePlan::new(built.programs(), &blueprint.weights, &before, step)?;
        let job = Job::new(planned.plan.clone(), planned.programs.clone())?;
        let record = || -> Result<_> {
            let plan = (planned.schedule()?, &planned.constants[..]);
            only_step(&job, plan, &planned.state, engine.as_ref())
        };
        let honest = record()?;
        let state = replayed.states[index].0;
        ensure!(
            verde::record::Record::history(&honest).states()[1] == state,
            "the plan of {stage} comes to another state than its holders"
        );
        let at = dearest(&job)?;
        let begun = Instant::now();
        let liar = || Ok(OneBit::new(&job, record()?, at));
        let (gas, end) = dispute(&job, liar, honest, (Path::Slow, 0)).await?;
        let tensors = before.params.iter();
        rows.push(Row {
            model: format!("nano, {stage} of {stages}"),
            parameters: tensors.map(|(_, tensor)| tensor.words().len()).sum(),
            steps: 1,
            path: Path::Slow,
            lie: Lie::Bit,
            place: format!("run {}, value {}", at.run, at.value),
            gas,
            seconds: begun.elapsed().as_secs_f64(),
            end,
        });
    }
    Ok(rows)
}
