//! The control: every peer in a swarm of its own, with the same questions and nobody to learn from.

use reproducible_ops::weights::Weights;

use super::parallel::parallel;
use super::run::{DemoError, Learned, Stand};
use crate::learn::sapo::Mix;

/// What each peer has learned alone.
pub(super) fn alone(stand: &Stand<'_>) -> Result<Vec<Learned>, DemoError> {
    let demo = stand.plan.demo;
    stand.watch.begin("peers alone", demo.rounds * demo.peers as u64);
    let peers: Vec<usize> = (0..demo.peers).collect();
    let learned = parallel(&peers, stand.threads, |peer| one(stand, *peer));
    let learned = learned.into_iter().map(|one| one.and_then(first)).collect::<Result<Vec<_>, _>>()?;
    stand.watch.end("");
    Ok(learned)
}

fn one(stand: &Stand<'_>, peer: usize) -> Result<Vec<Learned>, DemoError> {
    let demo = stand.plan.demo;
    let mix = Mix { own: demo.alone_own, external: 0, filter: true };
    let base: &Weights = &stand.workshop.model().weights;
    let (_, learned) = stand.play(stand.plan.alone(peer), mix, std::slice::from_ref(base), 1)?;
    Ok(learned)
}

fn first(learned: Vec<Learned>) -> Result<Learned, DemoError> {
    learned.into_iter().next().ok_or(DemoError::NoPeer)
}
