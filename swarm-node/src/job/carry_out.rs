//! A job's steps, one after the other, with progress.

use std::time::Instant;

use swarm_learn::job_run::{JobRun, JobRunError, JobStep};

use super::{Progress, Stop};

/// Where the time of a run went, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Steps.
    pub step: f64,
    /// Roots.
    pub hash: f64,
    /// Checkpoints.
    pub save: f64,
}

/// What is done about numbers that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// They end the run: nothing is to be learned from there on.
    Ends,
    /// They are what the job comes to; its worker is paid for computing, not for its terms.
    IsTheResult,
}

/// Carries a job out up to its end, or to a request to stop; what is done is saved.
///
/// # Errors
/// A step fails, or cannot be saved.
pub fn carry_out(
    run: &mut JobRun<'_>,
    divergence: Divergence,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Times, JobRunError> {
    let mut times = Times::default();
    let all = run.history().identity.steps;
    progress.begin("job", all.saturating_sub(run.done()));
    while !run.is_complete() && !stop.is_requested() {
        let step = timed(&mut times.step, || run.step())?;
        if divergence == Divergence::Ends {
            step.require_finite()?;
        }
        progress.step(&note(&step));
        if run.is_due() {
            let root = timed(&mut times.hash, || run.root())?;
            timed(&mut times.save, || run.commit(&root))?;
        }
    }
    progress.end("");
    if !run.is_due() {
        timed(&mut times.save, || run.save())?;
    }
    Ok(times)
}

fn timed<T>(
    seconds: &mut f64,
    work: impl FnOnce() -> Result<T, JobRunError>,
) -> Result<T, JobRunError> {
    let begun = Instant::now();
    let done = work();
    *seconds += begun.elapsed().as_secs_f64();
    done
}

fn note(step: &JobStep) -> String {
    match &step.training {
        Some(numbers) => format!(
            "loss {:.4}, gradient {:.3}, rate {:.2e}",
            numbers.loss, numbers.grad_norm, numbers.learning_rate
        ),
        None => String::new(),
    }
}
