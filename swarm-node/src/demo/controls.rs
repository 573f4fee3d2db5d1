//! The controls: peers in swarms of their own, with nobody to learn from.
//!
//! Each has questions and sampling noise of its own, so the runs of a control are independent of
//! each other.

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use swarm_learn::sapo::Mix;

use super::arm::Arm;
use super::context::DemoContext;
use super::error::DemoError;
use super::play::TrainedPeer;

/// What the peers of each control have learned, in the order of [`Arm::CONTROLS`].
pub(super) fn controls(
    context: &DemoContext<'_>,
) -> Result<Vec<(Arm, Vec<TrainedPeer>)>, DemoError> {
    let demo = context.plan.demo;
    let peers = demo.controls.min(demo.peers);
    let runs: Vec<(Arm, usize)> = Arm::CONTROLS
        .iter()
        .flat_map(|arm| (0..peers).map(|peer| (*arm, peer)))
        .collect();
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    context
        .progress
        .begin("peers alone", demo.rounds * runs.len() as u64);
    // A pool of its own, so that `engine.threads` bounds it. A run is long and works alone: its
    // engine has one thread, which is the pool's.
    let pool = ThreadPoolBuilder::new()
        .num_threads(context.threads.clamp(1, runs.len()))
        .build()?;
    let learned: Vec<Result<TrainedPeer, DemoError>> = pool.install(|| {
        runs.par_iter()
            .with_max_len(1)
            .map(|(arm, peer)| one(context, *arm, *peer))
            .collect()
    });
    let mut learned = learned.into_iter();
    let mut arms = Vec::new();
    for arm in Arm::CONTROLS {
        let trained = learned.by_ref().take(peers);
        arms.push((arm, trained.collect::<Result<_, _>>()?));
    }
    context.progress.end("");
    Ok(arms)
}

fn one(context: &DemoContext<'_>, arm: Arm, peer: usize) -> Result<TrainedPeer, DemoError> {
    let demo = context.plan.demo;
    let judge = context.judge(&context.plan.families_of(arm, peer));
    let base = std::slice::from_ref(&context.factory.model().weights);
    let mix = Mix::alone(demo.own + demo.external);
    let spec = context.plan.alone(arm, peer);
    let (_, learned) = context.play(spec, judge, mix, base, 1, None)?;
    learned.into_iter().next().ok_or(DemoError::NoPeer)
}
