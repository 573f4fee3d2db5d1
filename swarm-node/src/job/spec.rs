//! The specification of a job of training: a TOML file that says everything which determines a
//! history of states. [`super::generation_spec`] is that of a job of generation.
//!
//! ```text
//! spec ─▶ model, examples ─▶ rows ─┬─▶ Training (a TrainingPlan) ─▶ what names the job
//! schedule, steps ─▶ rates ────────┘
//! ```
//! The file is for people; what names the job are the plan and the state that come of it, so two
//! files that lead to the same training are one job ([`super::assembled`]). Paths in it are relative
//! to its folder.

use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::random;
use reproducible_ops::tensor::TensorError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_learn::assemble::OptimizerConfig;
use swarm_learn::data_set::{DataSet, DataSetError};
use swarm_learn::eval::EvalError;
use swarm_learn::generation_plan::GenerationPlanError;
use swarm_learn::inputs::{Example, Sample};
use swarm_learn::job_run::{JobRunError, Terms};
use swarm_learn::programs::TrainError;
use swarm_learn::schedule::Schedule;
use swarm_learn::setup::SetupError;
use swarm_learn::training_plan::{Sampling, TrainingPlanError};
use swarm_model::config::UnknownPreset;
use swarm_model::init::initialise;
use swarm_model::tokenizer::TextError;
use swarm_model::{ModelConfig, Tokenizer};
use swarm_task::corpus::{BatchShape, Corpus, CorpusError, CorpusRecipe};

use super::across::{AveragingSpec, PipelineSpec, WrongValue};
use super::factory::FactoryError;
use super::progress::Progress;
use super::source::{Model, SourceError};

/// The copy of the specification in a job's folder.
pub const SPEC: &str = "job.toml";

/// Largest specification that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Largest text that is read, in bytes.
pub(super) const MAX_TEXT_BYTES: u64 = 1 << 28;
/// Most batches of a corpus.
const MAX_BATCHES: u64 = 1 << 16;
/// Most peers of a job.
const MAX_PEERS: u32 = 1024;
/// Most parts of a forward pass.
const MAX_SEGMENTS: usize = 64;
/// Purpose of the generator that draws rows.
const SAMPLING: &str = "swarm-node/job/rows";

/// A job of supervised training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Seed of the order of rows, and of the weights of a preset.
    pub seed: u64,
    /// Steps of the job.
    pub steps: u64,
    /// Steps between two checkpoints; divides the steps.
    pub stride: u64,
    /// What is trained.
    pub model: ModelSpec,
    /// What it is trained on.
    pub data: DataSpec,
    /// Cut of a step.
    pub batch: BatchSpec,
    /// Learning rate by step.
    pub schedule: ScheduleSpec,
    /// How gradients move parameters.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// How the model is cut into stages, for `swarm-node pipeline`. A job of one machine does not
    /// look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineSpec>,
    /// How replicas train apart and meet: whole models for `swarm-node average`, and where there is a
    /// pipeline, too, pipelines for `swarm-node pipeline`. A job of one machine does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingSpec>,
}

/// A model: random weights of a preset, or those of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ModelSpec {
    /// A size, by name, that reads and writes characters; its weights are random.
    Preset(String),
    /// A safetensors file, a Hugging Face folder, or the folder of a run.
    Path(PathBuf),
}

/// Examples to train on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum DataSpec {
    /// The generated corpus of the tasks.
    Corpus(CorpusSpec),
    /// A text file, cut into rows; every token is trained but the first.
    Text(PathBuf),
    /// A file with an object `{"prompt": …, "completion": …}` in each line; completions are
    /// trained.
    Jsonl(PathBuf),
}

/// So many batches of a corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusSpec {
    /// Number of batches.
    pub batches: u64,
    /// Examples of a batch.
    pub batch: BatchShape,
    /// What the examples are.
    pub recipe: CorpusRecipe,
}

/// Rows of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    /// Rows of a microbatch.
    pub rows: usize,
    /// Tokens of a row.
    pub length: usize,
    /// Microbatches of a step.
    pub microbatches: usize,
    /// Parts of the forward pass, all but the last of which the backward pass computes again
    /// instead of keeping their values: less memory, more time, the same bits. Part of what names a
    /// job, as it is part of the plan. A pipeline's stages compute theirs again whatever it says.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub recompute: usize,
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

/// A warm-up to the highest learning rate, and a linear decay to zero at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Highest learning rate.
    pub learning_rate: f32,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps of decay.
    pub decay: u64,
}

/// A line of a JSONL file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prompt: String,
    completion: String,
}

/// Why a specification is no job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no specification, or a line of its data no example.
    #[error("{path}:{line}: {message}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A number that cannot be.
    #[error("job: `{key}` is {value}; it must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value seen.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// Steps and stride do not fit each other.
    #[error("job: {0}")]
    Terms(JobRunError),
    /// No such model.
    #[error("job: {0}")]
    Preset(#[from] UnknownPreset),
    /// The model at the path.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The initial weights cannot be made.
    #[error(transparent)]
    Initial(#[from] TensorError),
    /// The corpus cannot be made.
    #[error("job, corpus: {0}")]
    Corpus(#[from] CorpusError),
    /// The model cannot read the data.
    #[error("{place}: {source}")]
    Text {
        /// Which part of the data.
        place: String,
        /// Why.
        source: TextError,
    },
    /// The data makes no rows.
    #[error("job, {0}")]
    Data(#[from] DataSetError),
    /// The model cannot be trained.
    #[error(transparent)]
    ModelFactory(#[from] FactoryError),
    /// Its tables cannot be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The training is no plan.
    #[error(transparent)]
    Plan(#[from] TrainingPlanError),
    /// The generation is no plan.
    #[error("job, generation: {0}")]
    Generation(#[from] GenerationPlanError),
    /// The questions cannot be asked.
    #[error("job, prompts: {0}")]
    Questions(#[from] EvalError),
    /// The job is of another kind than the command.
    #[error("the job generates; {0} is of jobs that train")]
    NotTraining(&'static str),
    /// A state of another job.
    #[error("the state is none of this job: {0}")]
    State(TrainError),
}

impl ModelSpec {
    /// The model; random weights follow from the seed.
    ///
    /// # Errors
    /// There is no such preset, or no model at the path.
    pub(super) fn load(&self, seed: u64, progress: &dyn Progress) -> Result<Model, JobError> {
        match self {
            Self::Path(path) => Ok(Model::load(Some(path), progress)?),
            Self::Preset(name) => {
                let config = ModelConfig::preset(name)?;
                let weights = initialise(&config, seed)?;
                Ok(Model::characters(config, weights))
            }
        }
    }

    /// The path in it, if it has one.
    pub(super) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Path(path) => Some(path),
            Self::Preset(_) => None,
        }
    }
}

/// Reads a specification of any kind; its paths become relative to the present folder.
pub(super) fn load<T: DeserializeOwned>(
    path: &Path,
    paths: impl Fn(&mut T) -> Vec<&mut PathBuf>,
) -> Result<T, JobError> {
    let text = read(path, MAX_FILE_BYTES)?;
    let parsed = toml::from_str(&text).map_err(|error| malformed(path, &text, &error));
    let mut spec: T = parsed?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for inner in paths(&mut spec) {
        *inner = folder.join(&*inner);
    }
    Ok(spec)
}

/// Writes a specification of any kind, with paths that hold from anywhere; a file that says the
/// same stays as it is.
pub(super) fn save<T: Serialize + Clone>(
    spec: &T,
    path: &Path,
    paths: impl Fn(&mut T) -> Vec<&mut PathBuf>,
) -> Result<(), JobError> {
    let failed = |source| JobError::Write {
        path: path.into(),
        source,
    };
    let mut spec = spec.clone();
    for inner in paths(&mut spec) {
        *inner = std::path::absolute(&*inner).map_err(failed)?;
    }
    let text = toml::to_string(&spec)
        .map_err(io::Error::other)
        .map_err(failed)?;
    let written = Reserved::new(path, Access::Umask, text.len())
        .and_then(|place| place.replace(text.as_bytes()));
    written.map_err(failed)
}

impl JobSpec {
    /// Reads a specification; its paths become relative to the present folder.
    ///
    /// # Errors
    /// See [`JobError`]; a malformed file is reported with its line.
    pub fn load(path: &Path) -> Result<Self, JobError> {
        let spec: Self = load(path, Self::paths)?;
        spec.check()?;
        Ok(spec)
    }

    /// Writes the specification, with paths that hold from anywhere; a file that says the same
    /// stays as it is.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self, path: &Path) -> Result<(), JobError> {
        save(self, path, Self::paths)
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let data = match &mut self.data {
            DataSpec::Text(data) | DataSpec::Jsonl(data) => Some(data),
            DataSpec::Corpus(_) => None,
        };
        self.model.path_mut().into_iter().chain(data).collect()
    }

    /// Checks every number of the specification against its limits.
    ///
    /// # Errors
    /// [`JobError`] names the first that is out of them.
    pub fn check(&self) -> Result<(), JobError> {
        let sizes = [
            ("batch.rows", self.batch.rows),
            ("batch.length", self.batch.length),
        ];
        for (key, value) in sizes {
            if !(1..=1 << 16).contains(&value) {
                return Err(wrong(key, value, "from 1 to 65536"));
            }
        }
        if !(1..=MAX_SEGMENTS).contains(&self.batch.recompute) {
            return Err(wrong(
                "batch.recompute",
                self.batch.recompute,
                "from 1 to 64",
            ));
        }
        let rate = self.schedule.learning_rate;
        if !(rate > 0.0 && rate <= 1.0) {
            let key = "schedule.learning_rate";
            return Err(wrong(key, rate, "above 0 and at most 1"));
        }
        self.check_optimizer()?;
        if let DataSpec::Corpus(corpus) = &self.data
            && !(1..=MAX_BATCHES).contains(&corpus.batches)
        {
            let key = "data.corpus.batches";
            return Err(wrong(key, corpus.batches, "from 1 to 65536"));
        }
        match (&self.pipeline, &self.averaging) {
            (Some(pipeline), Some(averaging)) => {
                pipeline.check(self.batch.microbatches)?;
                if let Some(most) = pipeline.most_peers {
                    let allowed = "beside no [averaging]: nobody joins later where pipelines meet";
                    return Err(wrong("pipeline.most_peers", most, allowed));
                }
                averaging.check(self.steps, self.batch.microbatches)?;
                let peers = pipeline.peers.saturating_mul(averaging.replicas);
                if peers > MAX_PEERS {
                    let allowed = "so few that all pipelines together have at most 1024 peers";
                    return Err(wrong("averaging.replicas", averaging.replicas, allowed));
                }
            }
            (Some(pipeline), None) => pipeline.check(self.batch.microbatches)?,
            (None, Some(averaging)) => averaging.check(self.steps, self.batch.microbatches)?,
            (None, None) => {}
        }
        self.terms().check().map_err(JobError::Terms)
    }

    /// The model and the rows that its steps draw from.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn model_and_data(&self, progress: &dyn Progress) -> Result<(Model, DataSet), JobError> {
        self.check()?;
        let model = self.model.load(self.seed, progress)?;
        let data = DataSet::pack(&self.examples(&model.tokenizer)?, self.batch.length)?;
        Ok((model, data))
    }

    /// Peers of a job across peers; none where one machine does it. Where pipelines meet, those of the
    /// first come first.
    pub fn peers(&self) -> Option<u32> {
        let of_pipeline = self.pipeline.as_ref().map(|pipeline| pipeline.peers);
        let replicas = self.averaging.as_ref().map(|averaging| averaging.replicas);
        match (of_pipeline, replicas) {
            (Some(peers), Some(replicas)) => Some(peers.saturating_mul(replicas)),
            (one, other) => one.or(other),
        }
    }

    /// Peers that the job takes at most, with those that come while it runs; none where one machine
    /// does it.
    pub fn most_peers(&self) -> Option<u32> {
        match (&self.pipeline, &self.averaging) {
            (Some(pipeline), None) => Some(pipeline.most_peers()),
            _ => self.peers(),
        }
    }

    /// Learning rates of all steps.
    pub fn rate_table(&self) -> Vec<f32> {
        let schedule = self.rates();
        (0..self.steps).map(|step| schedule.rate(step)).collect()
    }

    /// Numbers with which AdamW divides by nothing and its means are means.
    fn check_optimizer(&self) -> Result<(), JobError> {
        let OptimizerConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            max_norm,
        } = self.optimizer;
        for (key, value) in [("optimizer.beta1", beta1), ("optimizer.beta2", beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(wrong(key, value, "at least 0 and below 1"));
            }
        }
        for (key, value) in [
            ("optimizer.epsilon", epsilon),
            ("optimizer.max_norm", max_norm),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(wrong(key, value, "above 0"));
            }
        }
        match (0.0..=1.0).contains(&weight_decay) {
            true => Ok(()),
            false => Err(wrong("optimizer.weight_decay", weight_decay, "from 0 to 1")),
        }
    }

    /// Steps, and how far apart checkpoints are.
    pub fn terms(&self) -> Terms {
        Terms {
            steps: self.steps,
            stride: self.stride,
        }
    }

    /// The learning rate over the job.
    pub fn rates(&self) -> Schedule {
        Schedule {
            peak: self.schedule.learning_rate,
            warmup: self.schedule.warmup,
            decay: self.schedule.decay,
            total: self.steps,
            floor: 0.0,
        }
    }

    /// Which rows the steps train on.
    pub fn sampling(&self) -> Sampling {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        Sampling {
            key: random::key_from(SAMPLING, &seed, &[0; 32]),
            microbatches: self.batch.microbatches,
        }
    }

    fn examples(&self, tokenizer: &Tokenizer) -> Result<Vec<Example>, JobError> {
        match &self.data {
            DataSpec::Corpus(spec) => corpus(spec, tokenizer),
            DataSpec::Text(path) => text(path, self.batch.length, tokenizer),
            DataSpec::Jsonl(path) => jsonl(path, tokenizer),
        }
    }
}

pub(super) fn wrong(key: &'static str, value: impl ToString, allowed: &'static str) -> JobError {
    WrongValue::new(key, value, allowed).into()
}

impl From<WrongValue> for JobError {
    fn from(wrong: WrongValue) -> Self {
        let WrongValue {
            key,
            value,
            allowed,
        } = wrong;
        Self::Value {
            key,
            value,
            allowed,
        }
    }
}

pub(super) fn read(path: &Path, limit: u64) -> Result<String, JobError> {
    text_file::read(path, limit).map_err(|source| JobError::Read {
        path: path.into(),
        source,
    })
}

fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> JobError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.bytes().take(start);
    JobError::Malformed {
        path: path.into(),
        line: before.filter(|byte| *byte == b'\n').count() + 1,
        message: error.message().replace('\n', ", "),
    }
}

fn corpus(spec: &CorpusSpec, tokenizer: &Tokenizer) -> Result<Vec<Example>, JobError> {
    let corpus = Corpus::new(spec.recipe.clone())?;
    let mut examples = Vec::new();
    for batch in 0..spec.batches {
        for example in corpus.batch(batch, spec.batch)? {
            let encoded = encode(tokenizer, &example.prompt, &example.completion);
            examples.push(encoded.map_err(|source| at("corpus".into(), source))?);
        }
    }
    Ok(examples)
}

fn jsonl(path: &Path, tokenizer: &Tokenizer) -> Result<Vec<Example>, JobError> {
    let lines = lines(path)?.into_iter();
    lines
        .map(|(place, line): (String, Line)| {
            encode(tokenizer, &line.prompt, &line.completion).map_err(|source| at(place, source))
        })
        .collect()
}

/// The objects of a JSONL file, each with its place.
pub(super) fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<(String, T)>, JobError> {
    let text = read(path, MAX_TEXT_BYTES)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let line = serde_json::from_str(line).map_err(|error| JobError::Malformed {
                path: path.into(),
                line: number + 1,
                message: error.to_string(),
            })?;
            Ok((format!("{}:{}", path.display(), number + 1), line))
        })
        .collect()
}

/// A text in pieces of a row each; a piece begins with the last token of the one before it.
fn text(path: &Path, length: usize, tokenizer: &Tokenizer) -> Result<Vec<Example>, JobError> {
    let text = read(path, MAX_TEXT_BYTES)?;
    let tokens = tokenizer.encode(&text);
    let tokens = tokens.map_err(|source| at(path.display().to_string(), source))?;
    let targets = tokens.get(1..).unwrap_or(&[]).chunks(length);
    let pieces = tokens.iter().step_by(length).zip(targets);
    Ok(pieces
        .map(|(first, rest)| example(vec![*first], rest.to_vec()))
        .collect())
}

fn encode(tokenizer: &Tokenizer, prompt: &str, completion: &str) -> Result<Example, TextError> {
    let mut tokens = tokenizer.encode(completion)?;
    tokens.push(tokenizer.eos());
    Ok(example(tokenizer.encode_prompt(prompt)?, tokens))
}

fn example(prompt: Vec<u32>, tokens: Vec<u32>) -> Example {
    let sample = Sample {
        tokens,
        weight: 1.0,
        ..Sample::default()
    };
    Example {
        prompt,
        samples: vec![sample],
    }
}

pub(super) fn at(place: String, source: TextError) -> JobError {
    JobError::Text { place, source }
}

#[cfg(test)]
mod tests {
    use super::super::progress::Silent;
    use super::*;

    fn spec(data: DataSpec) -> JobSpec {
        JobSpec {
            seed: 7,
            steps: 4,
            stride: 2,
            model: ModelSpec::Preset("nano".into()),
            data,
            batch: BatchSpec {
                rows: 1,
                length: 16,
                microbatches: 2,
                recompute: 1,
            },
            schedule: ScheduleSpec {
                learning_rate: 1e-3,
                warmup: 1,
                decay: 0,
            },
            optimizer: OptimizerConfig::default(),
            pipeline: None,
            averaging: None,
        }
    }

    fn load(folder: &Path, text: &str) -> Result<JobSpec, JobError> {
        let path = folder.join("job.toml");
        std::fs::write(&path, text).unwrap();
        JobSpec::load(&path)
    }

    #[test]
    fn a_specification_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(DataSpec::Text("data.txt".into()));
        let text = toml::to_string(&spec).unwrap();
        let expected = JobSpec {
            data: DataSpec::Text(folder.path().join("data.txt")),
            ..spec
        };
        assert_eq!(load(folder.path(), &text).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_placed() {
        let folder = tempfile::tempdir().unwrap();
        let text = toml::to_string(&spec(DataSpec::Text("data.txt".into()))).unwrap();
        let error = |from: &str, to: &str| {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            load(folder.path(), &changed).unwrap_err().to_string()
        };
        let cases = [
            ("warmup", "warmupp", "job.toml:"),
            ("rows = 1", "rows = 0", "`batch.rows` is 0"),
            ("stride = 2", "stride = 3", "stride must divide"),
            ("learning_rate = 0", "learning_rate = 7", "at most 1"),
            ("beta1 = 0.", "beta1 = 1.", "`optimizer.beta1` is 1."),
            ("weight_decay = 0", "weight_decay = -1", "from 0 to 1"),
            ("max_norm = 1", "max_norm = 0", "above 0"),
            ("text", "tex", "unknown variant"),
            (
                "microbatches = 2",
                "microbatches = 2\nrecompute = 0",
                "`batch.recompute` is 0",
            ),
        ];
        for (from, to, expected) in cases {
            let error = error(from, to);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_text_is_cut_so_that_every_token_but_the_first_is_a_target() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.txt");
        let text = "count the letters of this line, and then of this one=";
        std::fs::write(&path, text).unwrap();
        let spec = spec(DataSpec::Text(path.clone()));
        let (model, data) = spec.model_and_data(&Silent).unwrap();
        assert_eq!((data.rows(), data.tokens()), (4, text.len() - 1));
        let examples = super::text(&path, 16, &model.tokenizer).unwrap();
        let mut all = examples[0].prompt.clone();
        for (number, example) in examples.iter().enumerate() {
            assert_eq!(example.prompt, all[16 * number..]);
            all.extend(&example.samples[0].tokens);
        }
        assert_eq!(all, model.tokenizer.encode(text).unwrap());
    }

    #[test]
    fn lines_are_examples_and_a_wrong_one_is_placed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        let line = r#"{"prompt": "max 3 4=", "completion": "4"}"#;
        std::fs::write(&path, format!("{line}\n\n{line}\n")).unwrap();
        let spec = spec(DataSpec::Jsonl(path.clone()));
        let (_, data) = spec.model_and_data(&Silent).unwrap();
        // The answer and the end mark, twice.
        assert_eq!(data.tokens(), 4);
        std::fs::write(&path, format!("{line}\n{{\"prompt\": 1}}\n")).unwrap();
        let error = spec.model_and_data(&Silent).unwrap_err().to_string();
        assert!(error.contains("data.jsonl:2"), "{error}");
    }
}
