//! The controls: peers in swarms of their own, with nobody to learn from.
//!
//! Each has questions and sampling noise of its own, so the runs of a control are independent of
//! each other.

use swarm_learn::sapo::Mix;

use super::arm::Arm;
use super::parallel::parallel;
use super::run::{Audience, DemoError, Learned, Stand};

/// What the peers of each control have learned, in the order of [`Arm::CONTROLS`].
pub(super) fn controls(stand: &Stand<'_>) -> Result<Vec<(Arm, Vec<Learned>)>, DemoError> {
    let demo = stand.plan.demo;
    let peers = demo.controls.min(demo.peers);
    let runs: Vec<(Arm, usize)> = Arm::CONTROLS
        .iter()
        .flat_map(|arm| (0..peers).map(|peer| (*arm, peer)))
        .collect();
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    stand
        .watch
        .begin("peers alone", demo.rounds * runs.len() as u64);
    let mut learned =
        parallel(&runs, stand.threads, |(arm, peer)| one(stand, *arm, *peer)).into_iter();
    let arms = Arm::CONTROLS.map(|arm| {
        Ok((
            arm,
            learned
                .by_ref()
                .take(peers)
                .collect::<Result<Vec<_>, _>>()?,
        ))
    });
    let arms = arms.into_iter().collect::<Result<Vec<_>, DemoError>>()?;
    stand.watch.end("");
    Ok(arms)
}

fn one(stand: &Stand<'_>, arm: Arm, peer: usize) -> Result<Learned, DemoError> {
    let demo = stand.plan.demo;
    let judge = stand.judge(&stand.plan.families_of(arm, peer));
    let base = std::slice::from_ref(&stand.workshop.model().weights);
    let mix = Mix::alone(demo.own + demo.external);
    let (_, learned) = stand.play(
        stand.plan.alone(arm, peer),
        judge,
        mix,
        base,
        1,
        Audience::default(),
    )?;
    learned.into_iter().next().ok_or(DemoError::NoPeer)
}
