//! A job as it is carried out: its file's plan and model, whatever kind of work it is.
//!
//! ```text
//! JobFile ─┬─ JobSpec ─────────▶ Training   (TrainingPlan)   ─┐
//!          └─ GenerationSpec ──▶ Generation (GenerationPlan) ─┴─▶ JobPlan: run, claim, dispute
//! ```
//! Commands and parts in a job see the [`JobPlan`]. Only what is peculiar to a kind asks which it
//! is: what `job plan` shows, sequences of an audit, the texts of answers.

use std::path::Path;
use std::sync::Arc;

use reproducible_ops::tensor::Tensor;
use swarm_learn::assemble::Objective;
use swarm_learn::checkpoint::Checkpoint;
use swarm_learn::generation_plan::GenerationPlan;
use swarm_learn::job_plan::JobPlan;
use swarm_learn::job_run::{JobIdentity, Terms};
use swarm_learn::programs::Programs;
use swarm_learn::setup::{self, SetupError};
use swarm_learn::training_plan::TrainingPlan;
use swarm_model::ModelFiles;
use swarm_model::generate::Request;
use verde::fault::Fault;

use super::factory;
use super::generation_spec::GenerationSpec;
use super::progress::Progress;
use super::source::Model;
use super::spec::{self, BatchSpec, JobError, JobSpec};

/// The element and the bit of a gradient that is flipped to show what follows.
const GRADIENT_FAULT: (usize, u32) = (0, 22);
/// The answer of a step and the token of it that is drawn wrong to show what follows.
const TOKEN_FAULT: (usize, usize) = (0, 0);

/// The file of a job of any kind: with a part `[generation]` it is one of generation.
#[derive(Clone, Debug, PartialEq)]
pub enum JobFile {
    /// Of training.
    Training(Box<JobSpec>),
    /// Of generation.
    Generation(Box<GenerationSpec>),
}

/// What a job does.
#[derive(Clone, Debug)]
pub enum Work {
    /// It trains.
    Training(Box<Training>),
    /// It answers.
    Generation(Box<Generation>),
}

/// A job's training.
#[derive(Clone, Debug)]
pub struct Training {
    /// The training programs as they would be without computing anything again.
    pub whole: Arc<Programs>,
    /// Those of the job.
    pub programs: Programs,
    /// Plan, programs, constants and the initial state.
    pub plan: TrainingPlan,
    /// Rows of the data set.
    pub rows: usize,
    /// Trained tokens of the data set.
    pub tokens: usize,
}

/// A job's generation.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Plan, programs, constants and the initial state.
    pub plan: GenerationPlan,
    /// What is asked.
    pub prompts: Vec<String>,
    /// Answers to each prompt.
    pub samples: u32,
}

/// A job: what is carried out, and what names it.
#[derive(Clone, Debug)]
pub struct Job {
    /// What determines it.
    pub file: JobFile,
    /// What it does.
    pub work: Work,
    /// What names it.
    pub identity: JobIdentity,
    /// The model, with the weights that it begins with.
    pub model: Model,
}

impl From<JobSpec> for JobFile {
    fn from(spec: JobSpec) -> Self {
        Self::Training(spec.into())
    }
}

impl From<GenerationSpec> for JobFile {
    fn from(spec: GenerationSpec) -> Self {
        Self::Generation(spec.into())
    }
}

impl JobFile {
    /// Reads a job's file; its paths become relative to the present folder.
    ///
    /// # Errors
    /// See [`JobError`]; a malformed file is reported with its line.
    pub fn load(path: &Path) -> Result<Self, JobError> {
        let text = spec::read(path, spec::MAX_FILE_BYTES)?;
        // What is no TOML at all is reported by whoever reads it in earnest.
        let table: toml::Table = toml::from_str(&text).unwrap_or_default();
        match table.contains_key("generation") {
            true => Ok(GenerationSpec::load(path)?.into()),
            false => Ok(JobSpec::load(path)?.into()),
        }
    }

    /// Writes the file, with paths that hold from anywhere; one that says the same stays as it is.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self, path: &Path) -> Result<(), JobError> {
        match self {
            Self::Training(spec) => spec.save(path),
            Self::Generation(spec) => spec.save(path),
        }
    }
}

impl Work {
    fn plan(&self) -> &JobPlan {
        match self {
            Self::Training(training) => &training.plan,
            Self::Generation(generation) => &generation.plan,
        }
    }
}

impl Job {
    /// The job of a file: reads its model and data, and makes the plan.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn assemble(file: &JobFile, progress: &dyn Progress) -> Result<Self, JobError> {
        match file {
            JobFile::Training(spec) => Self::of_training(spec, progress),
            JobFile::Generation(spec) => Self::of_generation(spec, progress),
        }
    }

    /// A job of training.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn of_training(spec: &JobSpec, progress: &dyn Progress) -> Result<Self, JobError> {
        let (model, data) = spec.model_and_data(progress)?;
        let BatchSpec { rows, length, .. } = spec.batch;
        let (objective, sizes) = (Objective::Supervised, (rows, length));
        let whole = factory::training_programs(&model.config, sizes, objective, &spec.optimizer)?;
        let programs = whole.recomputing(spec.batch.recompute);
        let programs = programs.map_err(SetupError::from)?;
        let weights = setup::with_tables(&model.config, length, &model.weights)?;
        let (sampling, rates) = (spec.sampling(), spec.rate_table());
        let training = Training {
            plan: TrainingPlan::new(&programs, &weights, &data, sampling, rates)?,
            whole,
            programs,
            rows: data.rows(),
            tokens: data.tokens(),
        };
        let work = Work::Training(training.into());
        Self::new(spec.clone().into(), work, spec.terms(), model)
    }

    /// A job of generation.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn of_generation(spec: &GenerationSpec, progress: &dyn Progress) -> Result<Self, JobError> {
        spec.check()?;
        let model = spec.model.load(spec.seed, progress)?;
        let (texts, prompts) = spec.prompts(&model)?;
        let sampling = spec.sampling(&model);
        let samples = spec.generation.samples;
        let request = Request {
            prompts: &prompts,
            samples,
            max_new: sampling.max_new,
            key: sampling.key(),
            temperature: sampling.temperature,
        };
        let (weights, ends, rows) = (&model.weights, &sampling.ends, spec.generation.rows);
        let plan = GenerationPlan::new(&model.config, weights, &request, ends, rows)?;
        let terms = Terms {
            steps: plan.sizes().steps() as u64,
            stride: spec.stride,
        };
        let generation = Generation {
            plan,
            prompts: texts,
            samples,
        };
        let work = Work::Generation(generation.into());
        Self::new(spec.clone().into(), work, terms, model)
    }

    fn new(file: JobFile, work: Work, terms: Terms, model: Model) -> Result<Self, JobError> {
        let identity = JobIdentity::new(work.plan(), terms).map_err(JobError::Terms)?;
        Ok(Self {
            file,
            work,
            identity,
            model,
        })
    }

    /// What names the job, as hexadecimal text: its plan, its initial state, steps and stride.
    pub fn digest(&self) -> &str {
        &self.identity.job
    }

    /// Plan, programs, constants and the initial state.
    pub fn plan(&self) -> &JobPlan {
        self.work.plan()
    }

    /// The training, for `what` only jobs that train have.
    ///
    /// # Errors
    /// The job generates.
    pub fn training(&self, what: &'static str) -> Result<&Training, JobError> {
        match &self.work {
            Work::Training(training) => Ok(training),
            Work::Generation(_) => Err(JobError::NotTraining(what)),
        }
    }

    /// What a checkpoint of the job has besides its state: the files of the model that it trains.
    pub fn files(&self) -> Arc<ModelFiles> {
        match &self.work {
            Work::Training(_) => self.model.files.clone(),
            Work::Generation(_) => Arc::default(),
        }
    }

    /// A fault in a step that shows what follows from one: a bit of a gradient, or a token that was
    /// not drawn. None where there is no such step.
    pub fn fault(&self, step: u64) -> Option<Fault> {
        let (element, bit) = GRADIENT_FAULT;
        let (row, token) = TOKEN_FAULT;
        let fault = match &self.work {
            Work::Training(training) => training.plan.gradient_fault(step, element, bit),
            Work::Generation(generation) => generation.plan.token_fault(step, row, token),
        };
        fault.filter(|_| step < self.identity.steps)
    }

    /// The tensors of a checkpoint's state, in the order of the plan.
    ///
    /// # Errors
    /// It is of another job.
    pub fn state_of(&self, checkpoint: &Checkpoint) -> Result<Vec<Tensor>, JobError> {
        let tensors = self.plan().tensors_of(&checkpoint.state);
        tensors.map_err(JobError::State)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::progress::Silent;
    use super::*;

    const TRAINING: &str = include_str!("../../../configs/nano/job.toml");
    const GENERATION: &str = include_str!("../../../configs/nano/generation.toml");

    fn written(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("job.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(text: &str) -> Result<JobFile, JobError> {
        let folder = tempfile::tempdir().unwrap();
        JobFile::load(&written(folder.path(), text))
    }

    /// The shipped job of generation with an untrained model.
    fn generation() -> String {
        GENERATION.replace("path = \"base.safetensors\"", "preset = \"nano\"")
    }

    fn digest(text: &str) -> String {
        let job = Job::assemble(&load(text).unwrap(), &Silent).unwrap();
        assert_eq!(job.files().iter().count() > 0, text.contains("[schedule]"));
        job.digest().to_owned()
    }

    #[test]
    fn a_file_of_either_kind_survives_being_written() {
        let folder = tempfile::tempdir().unwrap();
        for text in [TRAINING.to_owned(), generation()] {
            let file = load(&text).unwrap();
            let path = folder.path().join("copy.toml");
            file.save(&path).unwrap();
            assert_eq!(JobFile::load(&path).unwrap(), file);
        }
    }

    #[test]
    fn whatever_a_job_comes_of_is_in_its_name() {
        let few = TRAINING.replace("batches = 20", "batches = 1");
        let edits = [("seed = 1\n", "seed = 8\n"), ("stride = 10", "stride = 5")];
        let recompute = [("microbatches = 2", "microbatches = 2\nrecompute = 2")];
        let known = digest(&few);
        for (from, to) in edits.into_iter().chain(recompute) {
            assert_ne!(digest(&few.replace(from, to)), known, "{to}");
        }
        let text = generation();
        let known = digest(&text);
        let edits = [
            ("seed = 1\n", "seed = 8\n"),
            ("temperature = 1.0", "temperature = 0.5"),
            ("max_new = 16", "max_new = 15"),
            ("rows = 8", "rows = 4"),
            ("family = \"sort\"", "family = \"max\""),
        ];
        for (from, to) in edits {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_ne!(digest(&changed), known, "{to}");
        }
    }

    #[test]
    fn mistakes_about_generation_are_placed() {
        let text = generation();
        for (from, to, expected) in [
            ("rows = 8", "rowss = 8", "job.toml:"),
            ("rows = 8", "rows = 0", "`generation.rows` is 0"),
            (
                "max_new = 16",
                "max_new = 5000",
                "`generation.max_new` is 5000",
            ),
            (
                "temperature = 1.0",
                "temperature = -1.0",
                "`generation.temperature` is -1",
            ),
            (
                "questions = 32",
                "questions = 0",
                "`prompts.quiz.questions` is 0",
            ),
            (
                "[model]",
                "[schedule]\n\n[model]",
                "unknown field `schedule`",
            ),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            let error = load(&changed).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let assemble = |from: &str, to: &str| {
            let file = load(&text.replace(from, to)).unwrap();
            Job::assemble(&file, &Silent).unwrap_err().to_string()
        };
        assert!(assemble("rows = 8", "rows = 5").contains("no whole steps of 5 rows"));
        assert!(assemble("stride = 2", "stride = 3").contains("stride must divide"));
        assert!(
            load("seed = [\n")
                .unwrap_err()
                .to_string()
                .contains("job.toml:")
        );
    }

    #[test]
    fn a_fault_is_of_a_step_that_there_is() {
        let job = Job::assemble(&load(&generation()).unwrap(), &Silent).unwrap();
        assert_eq!(job.identity.steps, 4);
        assert!(job.fault(3).is_some() && job.fault(4).is_none());
        let error = job.training("--sequence").unwrap_err().to_string();
        assert!(
            error.contains("--sequence is of jobs that train"),
            "{error}"
        );
    }
}
