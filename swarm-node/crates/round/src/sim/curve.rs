//! Reward against the share of hostile peers, as a table.

use std::fmt::Write;
use std::sync::Arc;

use super::driver::Driver;
use super::run::{Simulation, SimulationError};
use super::spec::{Role, Spec};
use crate::question::Judge;
use crate::reward::Points;

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct HostilityPoint {
    /// Hostile peers, in percent of all.
    pub hostile_percent: usize,
    /// Mean score of honest peers per round.
    pub honest_mean: f64,
    /// Lowest score of an honest peer per round; 0 without any.
    pub honest_min: f64,
    /// Mean score of hostile peers per round; 0 without any.
    pub hostile_mean: f64,
    /// Rounds on whose result all honest peers agree, in percent.
    pub agreed_percent: f64,
}

/// Simulates the specification with a growing share of hostile peers that take `roles` in turn.
///
/// # Errors
/// A specification that cannot be simulated.
pub fn hostility_curve(
    base: &Spec,
    judge: &Arc<dyn Judge>,
    roles: &[Role],
    percents: &[usize],
    driver: &mut dyn FnMut() -> Box<dyn Driver>,
) -> Result<Vec<HostilityPoint>, SimulationError> {
    percents
        .iter()
        .map(|percent| point(base, judge, roles, *percent, driver().as_mut()))
        .collect()
}

fn point(
    base: &Spec,
    judge: &Arc<dyn Judge>,
    roles: &[Role],
    percent: usize,
    driver: &mut dyn Driver,
) -> Result<HostilityPoint, SimulationError> {
    let count = base.peers.len() * percent / 100;
    let spec = base.clone().with_last(count, roles);
    let first_hostile = spec.peers.len() - count;
    let rounds = spec.rounds.max(1) as f64;
    let peers = spec.peers.len();
    let report = Simulation::new(spec, judge.clone())?.run(driver);
    let scores: Vec<Points> = (0..peers).map(|peer| report.total(peer)).collect();
    let (honest, hostile) = scores.split_at(first_hostile);
    Ok(HostilityPoint {
        hostile_percent: percent,
        honest_mean: mean(honest) / rounds,
        honest_min: honest.iter().min().copied().unwrap_or(0) as f64 / rounds,
        hostile_mean: mean(hostile) / rounds,
        agreed_percent: 100.0 * report.agreed() as f64 / rounds,
    })
}

fn mean(scores: &[Points]) -> f64 {
    scores.iter().sum::<Points>() as f64 / scores.len().max(1) as f64
}

/// The table as comma-separated values with a header line.
pub fn csv(points: &[HostilityPoint]) -> String {
    let mut out =
        String::from("hostile_percent,honest_mean,honest_min,hostile_mean,agreed_percent\n");
    for p in points {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{},{:.0},{:.0},{:.0},{:.0}",
            p.hostile_percent, p.honest_mean, p.honest_min, p.hostile_mean, p.agreed_percent
        );
    }
    out
}
