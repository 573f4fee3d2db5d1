//! How long a round must be on this machine: one round is played on virtual time and measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swarm_learn::driver::Swarm;
use swarm_learn::sapo::Mix;
use swarm_round::sim::{Driver, Job, Simulation, Spec};
use swarm_round::{Answers, Critiques, DecidedRound, Decisions, Windows};

use super::super::context::DemoContext;
use super::super::error::DemoError;
use super::super::play::refuse_failures;

/// What messages may take beside the work, in milliseconds: signatures go to the disk first, and
/// all processes share the cores.
const MESSAGES_MS: u64 = 250;
/// The shortest settle window, in milliseconds: three steps of agreement.
const AGREEMENT_MS: u64 = 500;

/// What the stages of a round took, all peers at work.
#[derive(Clone, Copy, Debug, Default)]
struct StageTimes {
    share: Duration,
    critique: Duration,
    decide: Duration,
    learn: Duration,
}

impl StageTimes {
    /// Windows of whole seconds together, as contracts count them: half as long again as the work
    /// took, and what is left over is shared out.
    fn windows(&self) -> Windows {
        let work = |took: Duration| took.as_millis() as u64 * 3 / 2;
        let mut lengths = [
            work(self.share) + MESSAGES_MS,
            MESSAGES_MS,
            work(self.critique) + MESSAGES_MS,
            MESSAGES_MS,
            work(self.decide) + MESSAGES_MS,
            MESSAGES_MS,
            work(self.learn) + AGREEMENT_MS,
        ];
        let sum: u64 = lengths.iter().sum();
        let spare = sum.next_multiple_of(1_000) - sum;
        let share = spare / lengths.len() as u64;
        lengths.iter_mut().for_each(|length| *length += share);
        lengths[6] += spare - 7 * share;
        let [a, b, c, d, e, f, g] = lengths.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX / 8));
        Windows {
            share_seal_ms: a,
            share_reveal_ms: b,
            critique_seal_ms: c,
            critique_reveal_ms: d,
            decide_seal_ms: e,
            decide_reveal_ms: f,
            settle_ms: g,
        }
    }
}

/// Windows in which all peers of the demo get their work done on this machine.
pub(super) fn windows(context: &DemoContext<'_>, mix: Mix) -> Result<Windows, DemoError> {
    let plan = &context.plan;
    let spec = Spec {
        rounds: 1,
        ..plan.together()
    };
    let judge = context.judge(&plan.families());
    let base = vec![context.factory.model().weights.clone(); plan.demo.peers];
    let peers = context.peers(&spec, &judge, plan.learn.peer(mix), &base)?;
    let mut timed = Timed {
        swarm: Swarm::new(peers, context.threads)?,
        times: StageTimes::default(),
    };
    Simulation::new(spec, judge)?.run(&mut timed);
    refuse_failures(&mut timed.swarm)?;
    Ok(timed.times.windows())
}

/// Learning peers whose work is timed.
struct Timed {
    swarm: Swarm,
    times: StageTimes,
}

/// Adds what some work takes to a sum.
fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    *sum += begun.elapsed();
    done
}

impl Driver for Timed {
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers> {
        timed(&mut self.times.share, || self.swarm.answers(jobs))
    }

    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques> {
        timed(&mut self.times.critique, || self.swarm.critiques(jobs))
    }

    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions> {
        timed(&mut self.times.decide, || self.swarm.decisions(jobs))
    }

    fn learn(&mut self, rounds: &[(usize, Arc<DecidedRound>)]) {
        timed(&mut self.times.learn, || self.swarm.learn(rounds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_the_work_and_are_whole_seconds_together() {
        let times = StageTimes {
            share: Duration::from_millis(411),
            critique: Duration::from_millis(90),
            decide: Duration::from_millis(17),
            learn: Duration::from_millis(333),
        };
        let windows = times.windows();
        let lengths = windows.lengths().map(u64::from);
        assert_eq!(lengths.iter().sum::<u64>() % 1_000, 0);
        let work = [411, 0, 90, 0, 17, 0, 333];
        for (length, work) in lengths.iter().zip(work) {
            assert!(*length >= work + MESSAGES_MS, "{lengths:?}");
        }
    }
}
