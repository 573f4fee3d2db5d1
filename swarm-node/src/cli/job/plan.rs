//! `swarm-node job plan`.

use std::path::Path;
use std::time::Instant;

use reproducible_ops::tensor::Tensor;
use serde::Serialize;
use swarm_learn::programs::Programs;
use verde::execute::Executor;

use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::config::Config;
use crate::job::{
    Generation, GenerationMemory, Job, JobFile, Training, Work, certified, peak_bytes,
};

/// Steps of `job plan` before those that are timed.
const WARM_UP: usize = 1;
/// Steps that `job plan` times.
const TIMED: usize = 3;

/// What `job plan --json` tells: bytes and seconds.
#[derive(Serialize)]
struct Outlook<'a> {
    job: &'a str,
    plan: &'a str,
    initial: &'a str,
    parameters: usize,
    steps: u64,
    stride: u64,
    checkpoints: u64,
    /// Positions that a step computes, padding included.
    positions_per_step: usize,
    state_bytes: usize,
    constant_bytes: usize,
    #[serde(flatten)]
    work: WorkOutlook,
    /// What generation with the model takes, for rows as long as those of the job.
    generation: GenerationMemory,
    /// The most that this process has taken so far, where the system tells.
    peak_bytes: Option<u64>,
    step_seconds: f64,
    /// Of one state's root.
    hash_seconds: f64,
    /// Hashing as a share of training.
    hash_share: f64,
    /// Of all steps and roots.
    seconds: f64,
}

/// What only jobs of a kind have.
#[derive(Serialize)]
#[serde(untagged)]
enum WorkOutlook {
    Training(TrainingOutlook),
    Generation(GenerationOutlook),
}

#[derive(Serialize)]
struct TrainingOutlook {
    data_rows: usize,
    data_tokens: usize,
    /// Of what the training programs hold.
    training_bytes: u64,
    /// While a checkpoint is written: what training holds, the state that it began with, and the
    /// one that is written.
    checkpoint_bytes: u64,
    recompute: usize,
    /// What it would be with other numbers of segments, those of which each holds less than the
    /// ones before.
    choices: Vec<Choice>,
    /// What `engine.memory` allows.
    memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct GenerationOutlook {
    prompts: usize,
    answers: usize,
    /// Tokens of the longest prompt.
    longest_prompt: usize,
    /// Most tokens of an answer.
    max_new: usize,
    /// Answers of a step.
    rows: usize,
}

/// A training that holds so much.
#[derive(Serialize)]
struct Choice {
    recompute: usize,
    training_bytes: u64,
}

pub(super) fn plan(config: &Config, path: &Path, options: &Options) -> Result<(), Failure> {
    let spec = JobFile::load(path)?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let console = Console::new();
    let job = Job::assemble(&spec, &console)?;
    let schedule = job.plan().schedule().map_err(Failure::work)?;
    let (constants, state) = (&job.plan().constants, &job.plan().state);
    let mut executor =
        Executor::new(engine.as_ref(), schedule, constants, state).map_err(Failure::work)?;
    for _ in 0..WARM_UP {
        executor.step(&[]).map_err(Failure::work)?;
    }
    let begun = Instant::now();
    for _ in 0..TIMED {
        executor.step(&[]).map_err(Failure::work)?;
    }
    let step_seconds = begun.elapsed().as_secs_f64() / TIMED as f64;
    let begun = Instant::now();
    executor.state_root().map_err(Failure::work)?;
    let hash_seconds = begun.elapsed().as_secs_f64();
    let memory = config.engine.memory_bytes();
    let outlook = Outlook::new(&job, [step_seconds, hash_seconds], memory)?;
    let json = serde_json::to_string(&outlook).map_err(Failure::work)?;
    let (text, kept) = (outlook.text(), String::new());
    Answer { text, json, kept }.print(options.json)
}

impl<'a> Outlook<'a> {
    fn new(
        job: &'a Job,
        [step_seconds, hash_seconds]: [f64; 2],
        memory_bytes: Option<u64>,
    ) -> Result<Self, Failure> {
        let (identity, planned) = (&job.identity, job.plan());
        let (steps, stride) = (identity.steps, identity.stride);
        let checkpoints = steps / stride;
        let state_bytes = bytes(&planned.state);
        let (positions_per_step, length, work) = match &job.work {
            Work::Training(training) => (
                training.plan.positions_per_step(),
                training.programs.length,
                WorkOutlook::Training(TrainingOutlook::new(training, state_bytes, memory_bytes)?),
            ),
            Work::Generation(generation) => {
                let sizes = generation.plan.sizes();
                (
                    sizes.positions_per_step(),
                    sizes.longest + sizes.max_new,
                    WorkOutlook::Generation(GenerationOutlook::new(generation)),
                )
            }
        };
        let generation = GenerationMemory::of(&job.model, length).map_err(Failure::work)?;
        Ok(Self {
            job: &identity.job,
            plan: &identity.plan,
            initial: &identity.initial,
            parameters: job.model.weights.elements(),
            steps,
            stride,
            checkpoints,
            positions_per_step,
            state_bytes,
            constant_bytes: bytes(&planned.constants),
            work,
            generation,
            peak_bytes: peak_bytes(),
            step_seconds,
            hash_seconds,
            hash_share: hash_seconds / (stride as f64 * step_seconds),
            seconds: steps as f64 * step_seconds + checkpoints as f64 * hash_seconds,
        })
    }

    fn text(&self) -> String {
        let peak = match self.peak_bytes {
            Some(bytes) => format!(", {} at most while timed", megabytes(bytes as usize)),
            None => String::new(),
        };
        let tensors = format!(
            "state {}, constants {}{peak}",
            megabytes(self.state_bytes),
            megabytes(self.constant_bytes)
        );
        let (data, memory) = match &self.work {
            WorkOutlook::Training(training) => (
                ("data", training.data()),
                vec![
                    ("memory", format!("{}; {tensors}", training.holds())),
                    ("", training.fitting()),
                ],
            ),
            WorkOutlook::Generation(generation) => {
                (("prompts", generation.text()), vec![("memory", tensors)])
            }
        };
        let rows = [
            ("job", self.job.to_owned()),
            ("plan", self.plan.to_owned()),
            ("initial", self.initial.to_owned()),
            ("parameters", self.parameters.to_string()),
            (
                "steps",
                format!("{}, a checkpoint every {}", self.steps, self.stride),
            ),
            data,
            (
                "a step",
                format!(
                    "{} positions, {:.3} s",
                    self.positions_per_step, self.step_seconds
                ),
            ),
        ];
        let ends = [
            ("", self.generation.note()),
            (
                "a root",
                format!(
                    "{:.4} s, {:.2} % of the steps between two",
                    self.hash_seconds,
                    100.0 * self.hash_share
                ),
            ),
            ("all", format!("{:.0} s on this machine", self.seconds)),
        ];
        let lines = rows.into_iter().chain(memory).chain(ends);
        lines
            .map(|(name, value)| format!("{name:<10} {value}\n"))
            .collect()
    }
}

impl GenerationOutlook {
    fn new(generation: &Generation) -> Self {
        let sizes = generation.plan.sizes();
        Self {
            prompts: generation.prompts.len(),
            answers: sizes.answers,
            longest_prompt: sizes.longest,
            max_new: sizes.max_new,
            rows: sizes.rows,
        }
    }

    fn text(&self) -> String {
        format!(
            "{} of at most {} tokens; {} answers of at most {}, {} in a step",
            self.prompts, self.longest_prompt, self.answers, self.max_new, self.rows
        )
    }
}

impl TrainingOutlook {
    fn new(
        training: &Training,
        state_bytes: usize,
        memory_bytes: Option<u64>,
    ) -> Result<Self, Failure> {
        let programs = &training.programs;
        let training_bytes = programs.planned_bytes_of_plan().map_err(Failure::work)?;
        Ok(Self {
            data_rows: training.rows,
            data_tokens: training.tokens,
            training_bytes,
            checkpoint_bytes: training_bytes + 2 * state_bytes as u64,
            recompute: programs.segments,
            choices: choices(&training.whole)?,
            memory_bytes,
        })
    }

    fn data(&self) -> String {
        let (rows, tokens) = (self.data_rows, self.data_tokens);
        format!("{rows} rows, {tokens} trained tokens")
    }

    fn holds(&self) -> String {
        format!(
            "training holds {}, {} while a checkpoint is written",
            megabytes(self.training_bytes as usize),
            megabytes(self.checkpoint_bytes as usize)
        )
    }

    /// What would take less memory, and whether this takes too much.
    fn fitting(&self) -> String {
        let others = self.choices.iter();
        let others = others.filter(|choice| choice.recompute != self.recompute);
        let others: Vec<String> = others
            .map(|choice| {
                let holds = megabytes(choice.training_bytes as usize);
                format!("{holds} with {}", choice.recompute)
            })
            .collect();
        let mut text = format!("batch.recompute = {}", self.recompute);
        if !others.is_empty() {
            text += &format!("; training would hold {}", others.join(", "));
        }
        let Some(most) = self.memory_bytes.filter(|most| self.training_bytes > *most) else {
            return text;
        };
        let mut choices = self.choices.iter();
        let fits = choices.find(|choice| choice.training_bytes <= most);
        text + &match fits {
            Some(choice) => format!(
                ". It does not fit engine.memory ({}); with {} it would",
                megabytes(most as usize),
                choice.recompute
            ),
            None => format!(
                ". Nothing of it fits engine.memory ({}): take fewer or shorter rows",
                megabytes(most as usize)
            ),
        }
    }
}

fn choices(whole: &Programs) -> Result<Vec<Choice>, Failure> {
    let mut choices: Vec<Choice> = Vec::new();
    for choice in whole.choices() {
        let programs = choice.map_err(Failure::work)?;
        let training_bytes = programs.planned_bytes_of_plan().map_err(Failure::work)?;
        if choices
            .last()
            .is_none_or(|last| training_bytes < last.training_bytes)
        {
            let recompute = programs.segments;
            choices.push(Choice {
                recompute,
                training_bytes,
            });
        }
    }
    Ok(choices)
}

fn bytes(tensors: &[Tensor]) -> usize {
    tensors.iter().map(Tensor::bytes).sum()
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
