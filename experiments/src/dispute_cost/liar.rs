//! Workers that compute something else than what they claim to.
//!
//! | lie | of | what the worker does in the disputed step |
//! |---|---|---|
//! | bit | both | shows one bit of one value otherwise than it is |
//! | data | both | trains on, or answers, the row after each that is the step's |
//! | generator | both | draws by another key: a constant of training, of generation a tensor of the state |
//! | reused state | both | does nothing, and shows the state again |
//! | learning rate | training | takes the double of every learning rate of the plan |
//! | stale weights | training | begins with the weights of the step before |
//! | token | generation | writes a token that was not drawn, and goes on from it |
//! | temperature | generation | takes the most probable token instead of drawing |
//! | stale answers | generation | begins with the answers of the step before |

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use reproducible_ops::engine::Engine;
use reproducible_ops::program::Digest;
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::Tensor;
use swarm_learn::generation_plan::{ANSWERS, KEY, TEMPERATURE};
use swarm_learn::job_plan::JobPlan;
use verde::execute::Executor;
use verde::fault::Fault;
use verde::history::{History, Length};
use verde::job::Job;
use verde::record::{Checkpoints, Record, RecordError, Replay, RunRecord, StepRecord};
use verde::step::Schedule;
use verde::tensor;

/// What a worker does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Bit,
    LearningRate,
    Data,
    Generator,
    StaleWeights,
    ReusedState,
    /// A token that was drawn wrong.
    Token(Fault),
    Temperature,
    StaleAnswers,
}

impl Lie {
    /// About a step of training.
    pub const TRAINING: [Self; 6] = [
        Self::Bit,
        Self::LearningRate,
        Self::Data,
        Self::Generator,
        Self::StaleWeights,
        Self::ReusedState,
    ];

    /// About a step of generation, with this wrong token.
    pub fn generation(token: Fault) -> [Self; 7] {
        [
            Self::Bit,
            Self::Token(token),
            Self::Data,
            Self::Generator,
            Self::Temperature,
            Self::StaleAnswers,
            Self::ReusedState,
        ]
    }

    /// One of some lies.
    pub fn draw(lies: &[Self], stream: &mut Stream) -> Self {
        lies[stream.below(lies.len() as u64) as usize]
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bit => "bit",
            Self::LearningRate => "learning rate",
            Self::Data => "data",
            Self::Generator => "generator",
            Self::StaleWeights => "stale weights",
            Self::ReusedState => "reused state",
            Self::Token(_) => "token",
            Self::Temperature => "temperature",
            Self::StaleAnswers => "stale answers",
        })
    }
}

/// The states on both sides of the only step.
pub struct Ends([Vec<Tensor>; 2]);

impl Checkpoints for Ends {
    fn state(&mut self, checkpoint: u64) -> Result<Vec<Tensor>, RecordError> {
        let state = self.0.get(checkpoint as usize);
        let missing = || RecordError::Missing(format!("there is no checkpoint {checkpoint}"));
        state.cloned().ok_or_else(missing)
    }
}

/// What a liar computes with: a plan whose constants may be others, the state that it begins with,
/// and a machine that may be defective.
pub struct Workshop {
    planned: JobPlan,
    job: Job,
    state: Vec<Tensor>,
    fault: Option<Fault>,
}

impl Workshop {
    /// The workshop of a lie about the step after `state`, before which there was `earlier`.
    pub fn new(lie: Lie, planned: &JobPlan, earlier: &[Tensor], state: &[Tensor]) -> Result<Self> {
        let (mut planned, mut state, mut fault) = (planned.clone(), state.to_vec(), None);
        match lie {
            Lie::LearningRate => with_constant(&mut planned, "rates", |word, _| {
                *word = (f32::from_bits(*word) * 2.0).to_bits();
            })?,
            Lie::Temperature => with_constant(&mut planned, TEMPERATURE, |word, _| *word = 0)?,
            Lie::Generator => match planned.place_in_state(KEY) {
                Some(place) => state[place].words_mut()[0] ^= 1,
                None => with_constant(&mut planned, "data.key", |word, _| *word ^= 1)?,
            },
            Lie::Data => shift_rows(&mut planned)?,
            Lie::StaleWeights => {
                let params = planned.train_state(0, state.clone()).params;
                let slots = planned.plan.state.iter().zip(&mut state);
                for ((slot, now), before) in slots.zip(earlier) {
                    if params.get(&slot.name).is_some() {
                        *now = before.clone();
                    }
                }
            }
            Lie::StaleAnswers => {
                let place = planned.place_in_state(ANSWERS);
                let place = place.context("the state has no answers")?;
                state[place] = earlier[place].clone();
            }
            Lie::Token(wrong) => fault = Some(wrong),
            Lie::Bit | Lie::ReusedState => {}
        }
        let job = Job::new(planned.plan.clone(), planned.programs.clone())?;
        Ok(Self {
            planned,
            job,
            state,
            fault,
        })
    }

    /// The record of the only step in this workshop.
    pub fn record<'a>(&'a self, engine: &'a dyn Engine) -> Result<Replay<'a, Ends>> {
        let JobPlan { constants, .. } = &self.planned;
        let schedule = self.planned.schedule()?;
        let mut executor = Executor::new(engine, schedule, constants, &self.state)?;
        if let Some(fault) = self.fault {
            executor.break_with(fault);
        }
        step_of(&self.job, executor, &self.state)
    }
}

/// The record of the only step of a job, from this state on.
pub fn only_step<'a>(
    job: &'a Job,
    (schedule, constants): (Schedule<'a>, &[Tensor]),
    state: &[Tensor],
    engine: &'a dyn Engine,
) -> Result<Replay<'a, Ends>> {
    step_of(
        job,
        Executor::new(engine, schedule, constants, state)?,
        state,
    )
}

/// The record of the step that an executor is to make from this state.
fn step_of<'a>(
    job: &'a Job,
    mut executor: Executor<'a>,
    state: &[Tensor],
) -> Result<Replay<'a, Ends>> {
    let before = executor.state_root()?;
    executor.step(&[])?;
    let states = vec![before, executor.state_root()?];
    let history = History::new(job.digest(), Length::new(1, 1)?, states)?;
    let ends = Ends([state.to_vec(), executor.state()?]);
    Ok(Replay::new(job, history, ends, executor))
}

fn with_constant(
    planned: &mut JobPlan,
    name: &str,
    change: impl Fn(&mut u32, usize),
) -> Result<()> {
    let mut named = planned.plan.constants.iter();
    let at = named.position(|constant| constant.slot.name == name);
    let at = at.with_context(|| format!("the plan has no constant {name}"))?;
    let tensor = &mut planned.constants[at];
    let words = tensor.words_mut().iter_mut();
    words.zip(0..).for_each(|(word, at)| change(word, at));
    planned.plan.constants[at].root = tensor::root(tensor);
    Ok(())
}

/// Every row of the data set, or of the prompts, in the place of the one before it.
fn shift_rows(planned: &mut JobPlan) -> Result<()> {
    let constants = planned.plan.constants.iter();
    let names = constants.map(|constant| constant.slot.name.clone());
    let is_data = |name: &String| name.starts_with("data.") || name.starts_with("prompts.");
    let names: Vec<String> = names
        .filter(|name| is_data(name) && name != "data.key")
        .collect();
    for name in names {
        let mut constants = planned.plan.constants.iter();
        let at = constants.position(|constant| constant.slot.name == name);
        let at = at.context("a constant that was there")?;
        let words = planned.constants[at].words().to_vec();
        let dims = planned.constants[at].ty().shape.dims();
        let row: usize = dims.iter().skip(1).product();
        with_constant(planned, &name, |word, at| {
            *word = words[(at + row) % words.len()];
        })?;
    }
    Ok(())
}

/// A record that claims what a workshop computed to be a step of the honest one's history.
pub struct Liar<'a, R> {
    lie: Lie,
    honest: R,
    lying: Replay<'a, Ends>,
    step: u64,
    history: History,
    after: Digest,
}

impl<'a, R: Record> Liar<'a, R> {
    pub fn new(lie: Lie, mut honest: R, mut lying: Replay<'a, Ends>, step: u64) -> Result<Self> {
        let claim = *honest.history().claim();
        let after = match lie {
            Lie::ReusedState => lying.history().states()[0],
            _ => lying.history().states()[1],
        };
        let is_other = lie == Lie::ReusedState || lying.step(0)?.after != honest.step(step)?.after;
        ensure!(is_other, "the lie ({lie}) changes nothing, so it is none");
        let mut states = honest.history().states().to_vec();
        let checkpoint = step / u64::from(claim.length.stride()) + 1;
        let stands = claim.length.step_of(checkpoint);
        states[checkpoint as usize] = told(&states[checkpoint as usize], stands, step, &after);
        let history = History::new(claim.plan, claim.length, states)?;
        Ok(Self {
            lie,
            honest,
            lying,
            step,
            history,
            after,
        })
    }
}

/// The root that a liar has for the state after `at` steps: after its step the one that it made,
/// later ones that follow from nothing.
fn told(honest: &Digest, at: u64, step: u64, after: &Digest) -> Digest {
    match at.checked_sub(step) {
        None | Some(0) => *honest,
        Some(1) => *after,
        Some(_) => {
            let mut other = *honest;
            other[0] ^= 1;
            other
        }
    }
}

impl<R: Record> Record for Liar<'_, R> {
    fn history(&self) -> &History {
        &self.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let first = self.history.claim().length.step_of(checkpoint - 1);
        let states = self.honest.interval(checkpoint)?;
        let told = states
            .iter()
            .zip(first..)
            .map(|(state, at)| told(state, at, self.step, &self.after));
        Ok(told.collect())
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        let honest = self.honest.step(step)?;
        if step != self.step {
            return Ok(honest);
        }
        let lying = self.lying.step(0)?;
        let before = honest.before.clone();
        let after = match self.lie {
            Lie::ReusedState => before.clone(),
            _ => lying.after.clone(),
        };
        Ok(Arc::new(StepRecord::new(before, after, lying.runs.clone())))
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        match step == self.step {
            true => self.lying.run(0, run),
            false => self.honest.run(step, run),
        }
    }
}
