//! What a stage's work takes on this peer's engine.
//!
//! The work is done for real, on a worker that is thrown away: an update moves its stage.

use std::time::{Duration, Instant};

use reproducible_ops::tensor::Tensor;
use skippipe::content::Content;
use skippipe::encoding;
use skippipe::measured::StageTimes;
use skippipe::path::{Microbatch, Stage};
use skippipe::topology::Micros;
use skippipe::work::{Engine as _, Outcome, Task, Work};
use swarm_learn::pipeline::worker::{Blueprint, StageWorker};

/// Microbatches that times are the median of, after one that is not counted.
const REPEATS: usize = 5;
/// Time after which no further one is begun.
const ENOUGH: Duration = Duration::from_secs(5);

/// Why there are no times.
#[derive(Debug, thiserror::Error)]
#[error("a trial of {0} came to {1}; no times are known of this peer's engine")]
pub struct ComputeError(&'static str, String);

/// Times of a stage, as medians of several microbatches. The worker holds the stage, and another
/// state of it afterwards.
///
/// # Errors
/// The engine refuses its own work.
pub fn times(
    worker: &mut StageWorker,
    blueprint: &Blueprint,
    stage: Stage,
) -> Result<StageTimes, ComputeError> {
    let mut trial = Trial {
        worker,
        next: 0,
        tasks: Vec::new(),
    };
    let begun = Instant::now();
    let mut seen = Vec::new();
    while seen.len() <= REPEATS && (seen.len() < 2 || begun.elapsed() < ENOUGH) {
        let visit = match stage {
            Stage::FIRST => trial.ends()?,
            _ => trial.layers(blueprint)?,
        };
        seen.push(trial.whole(stage, visit)?);
    }
    let of = |part: fn(&StageTimes) -> Micros| {
        let mut sorted: Vec<Micros> = seen.iter().skip(1).map(part).collect();
        sorted.sort_unstable();
        // The first trial is not counted, and there are two at least.
        sorted[sorted.len() / 2]
    };
    Ok(StageTimes {
        stage,
        forward: of(|one| one.forward),
        backward: of(|one| one.backward),
        loss: of(|one| one.loss),
        sum: of(|one| one.sum),
        add: of(|one| one.add),
        squares: of(|one| one.squares),
        update: of(|one| one.update),
    })
}

struct Trial<'w> {
    worker: &'w mut StageWorker,
    next: u64,
    /// Those that keep gradients.
    tasks: Vec<Task>,
}

/// The passes of one microbatch.
struct Visit {
    forward: Micros,
    loss: Micros,
    backward: Micros,
}

const STEP: u64 = 0;
const MICROBATCH: Microbatch = Microbatch(0);

impl Trial<'_> {
    fn done(&mut self, work: Work) -> (Task, Option<Outcome>, Micros) {
        let task = Task(self.next);
        self.next += 1;
        let begun = Instant::now();
        let outcome = self.worker.perform(task, work);
        (task, outcome, Micros(begun.elapsed().as_micros() as u64))
    }

    fn content(
        &mut self,
        what: &'static str,
        work: Work,
    ) -> Result<(Task, Content, Micros), ComputeError> {
        match self.done(work) {
            (task, Some(Outcome::Content(content)), took) => Ok((task, content, took)),
            (_, other, _) => Err(ComputeError(what, format!("{other:?}"))),
        }
    }

    /// Embedding, loss, and back into the embedding.
    fn ends(&mut self) -> Result<Visit, ComputeError> {
        let (step, microbatch) = (STEP, MICROBATCH);
        let (_, input, forward) = self.content("an embedding", Work::Embed { step, microbatch })?;
        let work = Work::Loss {
            step,
            microbatch,
            input,
        };
        let (task, gradient, loss) = match self.done(work) {
            (task, Some(Outcome::Loss(_, gradient)), took) => (task, gradient, took),
            (_, other, _) => return Err(ComputeError("a loss", format!("{other:?}"))),
        };
        let work = Work::EmbedBackward {
            step,
            microbatch,
            gradient,
            loss: task,
        };
        let (task, outcome, backward) = self.done(work);
        if outcome != Some(Outcome::Nothing) {
            return Err(ComputeError(
                "an embedding's gradient",
                format!("{outcome:?}"),
            ));
        }
        self.tasks = vec![task];
        Ok(Visit {
            forward,
            loss,
            backward,
        })
    }

    /// Forward and back through the stage's layers.
    fn layers(&mut self, blueprint: &Blueprint) -> Result<Visit, ComputeError> {
        let (step, microbatch) = (STEP, MICROBATCH);
        let input = example(blueprint, 0.5)?;
        let work = Work::Forward {
            step,
            microbatch,
            input: input.clone(),
        };
        let (_, _, forward) = self.content("a forward pass", work)?;
        let work = Work::Backward {
            step,
            microbatch,
            input,
            gradient: example(blueprint, 0.001)?,
        };
        let (task, _, backward) = self.content("a backward pass", work)?;
        self.tasks = vec![task];
        Ok(Visit {
            forward,
            loss: Micros::ZERO,
            backward,
        })
    }

    /// What follows at the end of a step, of one visit.
    fn whole(&mut self, stage: Stage, visit: Visit) -> Result<StageTimes, ComputeError> {
        let tasks = std::mem::take(&mut self.tasks);
        let (_, content, sum) = self.content("a sum", Work::Sum(tasks.clone()))?;
        let (_, _, add) =
            self.content("an addition", Work::Add(content.clone(), content.clone()))?;
        let visits = vec![MICROBATCH];
        let work = Work::Squares {
            step: STEP,
            sum: content.clone(),
            visits: visits.clone(),
        };
        let (_, outcome, squares) = self.done(work);
        if !matches!(outcome, Some(Outcome::Squares(_))) {
            return Err(ComputeError("squares", format!("{outcome:?}")));
        }
        let work = Work::Update {
            step: STEP,
            sum: content,
            visits,
            norm: 1_f32.to_bits(),
        };
        let (_, outcome, update) = self.done(work);
        if !matches!(outcome, Some(Outcome::State(_))) {
            return Err(ComputeError("an update", format!("{outcome:?}")));
        }
        self.done(Work::Forget(tasks));
        Ok(StageTimes {
            stage,
            forward: visit.forward,
            backward: visit.backward,
            loss: visit.loss,
            sum,
            add,
            squares,
            update,
        })
    }
}

/// A hidden state of one number.
fn example(blueprint: &Blueprint, value: f32) -> Result<Content, ComputeError> {
    let [rows, length] = blueprint.shape;
    let shape = [rows, length, blueprint.model.sent_width()];
    let refused = |error: &dyn std::fmt::Display| ComputeError("a hidden state", error.to_string());
    let values = vec![value; shape.iter().product()];
    let tensor = Tensor::f32(shape, values).map_err(|error| refused(&error))?;
    let bytes = encoding::encode(blueprint.encoding.hidden, &tensor);
    Ok(Content::new(bytes.map_err(|error| refused(&error))?))
}
