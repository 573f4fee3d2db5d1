//! `swarm-node receipt`: what a model answered, so that anybody can verify it by one pass.

use std::mem::take;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use reproducible_ops::weights::Weights;
use serde::Serialize;
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_identity::digest::hex;
use swarm_learn::checkpoint::{self, Checkpoint};
use swarm_learn::job_run::{HISTORY, noted_root, read_history};
use swarm_learn::receipt::{
    Content, Finding, MAX_BYTES, ModelParts, Quiz, Receipt, ReceiptModel, Verified,
};
use swarm_task::FamilyId;
use swarm_task::prompt::Composer;
use verde::audit::Verdict;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::output::{self, Answer};
use crate::config::Config;
use crate::job::{GenerationMemory, Model, certified, peak_bytes};

/// Makes and verifies receipts: what a model answered, with model, seed and a digest of it all.
///
/// An answer is a function of the model, the prompt and the sampling, bit for bit on every machine.
/// So a receipt is verified by reading prompt and answer once, which takes a fraction of the time
/// of writing the answer token by token.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReceiptCommand {
    #[command(subcommand)]
    action: ReceiptAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node receipt make --prompt 'sort 38152=' --seed 7 \
--out r.json\n  swarm-node receipt verify r.json\n  swarm-node receipt make --model runs/job \
--family sort --questions 64 --out e.json\n  swarm-node receipt verify e.json --model runs/job \
--job runs/job";

#[derive(Debug, Subcommand)]
enum ReceiptAction {
    /// Answers a prompt, or the held-out questions of a family, and writes the receipt.
    ///
    /// From a checkpoint of a job the receipt names the job's state, too. The seed chooses among
    /// the answers that a model may give: whoever asks should choose it.
    Make(Make),
    /// Verifies a receipt: right, wrong, or cannot-tell.
    ///
    /// Hashes the model, and draws every token of the answer from one pass over prompt and answer.
    /// The first that differs is named. Exit codes: 0 right, 6 wrong, 7 cannot tell.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Make {
    /// Checkpoint, Hugging Face folder or run folder [default: the shipped one].
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// The text to continue, as it stands.
    #[arg(long, value_name = "TEXT", required_unless_present = "family")]
    prompt: Option<String>,
    /// The family whose held-out questions are asked, instead of a prompt.
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    family: Option<FamilyId>,
    /// Difficulty of the questions.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "family")]
    difficulty: u8,
    /// Number of questions.
    #[arg(long, value_name = "N", default_value_t = 64, requires = "family")]
    questions: usize,
    /// Seed of sampling, and of the questions.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Temperature; 0 takes the most probable token.
    #[arg(
        long,
        value_name = "T",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    temperature: f32,
    /// Most tokens of an answer, its end included.
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_new: usize,
    /// The receipt's file; one that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Verify {
    /// The receipt.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model, wherever the verifier has it from [default: the shipped one].
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Folder of a job, whose history must have the state that the receipt names.
    #[arg(long, value_name = "RUN")]
    job: Option<PathBuf>,
}

/// What `receipt make --json` tells.
#[derive(Serialize)]
struct MadeReceipt {
    digest: String,
    /// Root of the model's parameters.
    model: String,
    /// Root of the job's state, where the model is one.
    state: Option<String>,
    tokens: usize,
    answer: Option<String>,
    questions: Option<usize>,
    right: Option<usize>,
    /// Of the answers.
    seconds: f64,
    /// Of reading and hashing the model.
    model_seconds: f64,
    /// As planned.
    generation: GenerationMemory,
    /// The most that this process has taken, where the system tells.
    peak_bytes: Option<u64>,
    file: String,
}

/// What `receipt verify --json` tells.
#[derive(Serialize)]
struct Report {
    verdict: &'static str,
    digest: String,
    compared: Vec<String>,
    reason: Option<String>,
    /// Of an evaluation: the question whose answer is wrong.
    question: Option<usize>,
    /// The first token that differs.
    #[serde(flatten)]
    differs: Option<Differs>,
    /// Of the verification.
    seconds: f64,
    /// Of reading and hashing the model.
    model_seconds: f64,
    hashed_bytes: usize,
    /// As planned.
    generation: GenerationMemory,
    /// The most that this process has taken, where the system tells.
    peak_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Differs {
    position: usize,
    claimed: u32,
    drawn: u32,
}

impl ReceiptCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config::<Config>()?;
        match &self.action {
            ReceiptAction::Make(make) => make.run(&config, options),
            ReceiptAction::Verify(verify) => verify.run(&config, options),
        }
    }
}

impl Make {
    fn run(&self, config: &Config, options: &Options) -> Result<(), Failure> {
        let begun = Instant::now();
        let (place, mut model) = load(self.model.as_deref())?;
        let memory = generation_memory(&model, self.max_new)?;
        let (weights, composer) = (take(&mut model.weights), model.composer());
        let mut maker = receipt_model(config, &model, &composer, weights)?;
        if let Some(folder) = place.filter(|place| checkpoint::is_checkpoint(place)) {
            let saved = Checkpoint::load(&folder).map_err(Failure::work)?;
            if let Some(root) = noted_root(&saved) {
                maker.tie(&saved.state.optimizer, root)?;
            }
        }
        let model_seconds = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let sampling = maker.sampling(self.seed, self.temperature, self.max_new);
        let receipt = match (self.family, &self.prompt) {
            (Some(family), _) => {
                let (difficulty, questions) = (self.difficulty, self.questions);
                let quiz = Quiz {
                    family,
                    difficulty,
                    questions,
                };
                maker.evaluate(quiz, sampling)?
            }
            (None, prompt) => {
                #[expect(clippy::expect_used, reason = "the command line asks for one of both")]
                let prompt = prompt.as_deref().expect("invariant: a family or a prompt");
                maker.answer(prompt, sampling)?
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let text = receipt.to_text().map_err(Failure::work)?;
        write(&self.out, &text)?;
        let digest = receipt.digest().map_err(Failure::work)?;
        let times = [seconds, model_seconds];
        MadeReceipt::of(&receipt, hex(&digest), times, memory, &self.out).print(options)
    }
}

impl MadeReceipt {
    fn of(
        receipt: &Receipt,
        digest: String,
        [seconds, model_seconds]: [f64; 2],
        generation: GenerationMemory,
        file: &Path,
    ) -> Self {
        let mut made = Self {
            digest,
            model: hex(&receipt.model.root),
            state: receipt.state.as_ref().map(|state| hex(&state.root)),
            tokens: 0,
            answer: None,
            questions: None,
            right: None,
            seconds,
            model_seconds,
            generation,
            peak_bytes: peak_bytes(),
            file: file.display().to_string(),
        };
        match &receipt.content {
            Content::Answer { answer, .. } => {
                made.tokens = answer.tokens.len();
                made.answer = Some(answer.text.clone());
            }
            Content::Evaluation {
                quiz,
                right,
                answers,
            } => {
                made.tokens = answers.iter().map(Vec::len).sum();
                made.questions = Some(quiz.questions);
                made.right = Some(*right);
            }
        }
        made
    }

    fn print(&self, options: &Options) -> Result<(), Failure> {
        let mut lines = Vec::new();
        // In quotes, because a model may write anything.
        lines.extend(
            self.answer
                .iter()
                .map(|text| format!("answer     {text:?}")),
        );
        if let (Some(right), Some(questions)) = (self.right, self.questions) {
            lines.push(format!("right      {right} of {questions}"));
        }
        lines.push(format!("tokens     {}", self.tokens));
        lines.push(format!("model      {}", self.model));
        lines.extend(self.state.iter().map(|root| format!("state      {root}")));
        lines.push(format!("receipt    {}", self.digest));
        lines.push(format!("file       {}", self.file));
        lines.push(took(self.seconds, self.model_seconds));
        let json = serde_json::to_string(self).map_err(Failure::work)?;
        Answer {
            text: lines.join("\n"),
            json,
            kept: format!("the receipt is in {}", self.file),
        }
        .print(options.json)
    }
}

impl Verify {
    fn run(&self, config: &Config, options: &Options) -> Result<(), Failure> {
        let text = text_file::read(&self.file, MAX_BYTES);
        let text = text.map_err(|error| self.unusable(error))?;
        let receipt = Receipt::from_text(&text).map_err(|error| self.unusable(error))?;
        let begun = Instant::now();
        let (_, mut model) = load(self.model.as_deref())?;
        let memory = generation_memory(&model, receipt.sampling.max_new)?;
        let hashed_bytes = 4 * model.weights.elements();
        let (weights, composer) = (take(&mut model.weights), model.composer());
        let mut verifier = receipt_model(config, &model, &composer, weights)?;
        let model_seconds = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let verified = verifier.verify(&receipt)?;
        let seconds = begun.elapsed().as_secs_f64();
        let digest = receipt.digest().map_err(Failure::work)?;
        let question = verified.finding.as_ref().and_then(question_of);
        let differs = verified.finding.as_ref().and_then(Differs::of);
        let judged = self.judge(&receipt, verified)?;
        let report = Report {
            verdict: judged.verdict.word(),
            digest: hex(&digest),
            compared: judged.compared,
            reason: judged.reason,
            question,
            differs,
            seconds,
            model_seconds,
            hashed_bytes,
            generation: memory,
            peak_bytes: peak_bytes(),
        };
        report.print(options)?;
        Failure::unless_right(judged.verdict, report.reason)
    }

    fn unusable(&self, error: impl std::fmt::Display) -> Failure {
        Failure::Work(anyhow::anyhow!("{}: {error}", self.file.display()))
    }

    /// What is to be said of a receipt, also by the job's history.
    fn judge(&self, receipt: &Receipt, verified: Verified) -> Result<Judged, Failure> {
        let verdict = verified.verdict();
        let judged = Judged {
            verdict,
            reason: verified.finding.as_ref().map(ToString::to_string),
            compared: verified.compared,
        };
        match (verified.finding, &self.model, &self.job) {
            // Nobody said that the shipped model is the receipt's.
            (Some(finding @ Finding::Parameters { .. }), None, _) => Ok(Judged {
                verdict: Verdict::CannotTell,
                reason: Some(format!("{finding}; name the receipt's model with --model")),
                ..judged
            }),
            (None, _, Some(folder)) => judged.with_history(folder, receipt),
            _ => Ok(judged),
        }
    }
}

/// What is said of a receipt.
struct Judged {
    verdict: Verdict,
    reason: Option<String>,
    compared: Vec<String>,
}

impl Judged {
    /// A right receipt, held against the history of a job.
    fn with_history(mut self, folder: &Path, receipt: &Receipt) -> Result<Self, Failure> {
        let path = folder.join(HISTORY);
        let because = |verdict, reason| Self {
            verdict,
            reason: Some(reason),
            compared: self.compared.clone(),
        };
        let Some(history) = read_history(folder).map_err(Failure::work)? else {
            let reason = format!("there is no {}", path.display());
            return Ok(because(Verdict::CannotTell, reason));
        };
        let Some(state) = &receipt.state else {
            let reason = "the receipt names no state; it was not made from a job's checkpoint";
            return Ok(because(Verdict::CannotTell, reason.into()));
        };
        let Some(steps) = receipt.steps_in(&history) else {
            let root = hex(&state.root);
            let reason = format!("{} has no state with the root {root}", path.display());
            return Ok(because(Verdict::Wrong, reason));
        };
        let job = history.identity.job;
        self.compared.push(format!(
            "that state with the history of job {job}, which has it after {steps} steps"
        ));
        Ok(self)
    }
}

impl Report {
    fn print(&self, options: &Options) -> Result<(), Failure> {
        let mut lines = vec![
            self.verdict.to_owned(),
            format!("receipt    {}", self.digest),
        ];
        let compared = self.compared.iter();
        lines.extend(compared.map(|text| format!("compared   {text}")));
        lines.extend(self.reason.iter().map(|text| format!("because    {text}")));
        lines.push(took(self.seconds, self.model_seconds));
        let json = serde_json::to_string(self).map_err(Failure::work)?;
        Answer {
            text: lines.join("\n"),
            json,
            kept: String::new(),
        }
        .print(options.json)
    }
}

impl Differs {
    fn of(finding: &Finding) -> Option<Self> {
        match finding {
            Finding::Question { finding, .. } => Self::of(finding),
            Finding::Token {
                position,
                claimed,
                drawn,
            } => Some(Self {
                position: *position,
                claimed: *claimed,
                drawn: *drawn,
            }),
            _ => None,
        }
    }
}

fn question_of(finding: &Finding) -> Option<usize> {
    match finding {
        Finding::Question { number, .. } => Some(*number),
        _ => None,
    }
}

fn took(seconds: f64, model_seconds: f64) -> String {
    format!("took       {seconds:.3} s, and {model_seconds:.3} s for reading and hashing the model")
}

/// A model, and where it lies unless it is the shipped one.
fn load(path: Option<&Path>) -> Result<(Option<PathBuf>, Model), Failure> {
    let console = Console::new();
    let place = path.map(|path| Model::place(path, &console));
    let place = place.transpose().map_err(Failure::work)?;
    let model = Model::load_to_generate(place.as_deref(), &console).map_err(Failure::work)?;
    Ok((place, model))
}

/// What generation will take, which is said before it does.
fn generation_memory(model: &Model, max_new: usize) -> Result<GenerationMemory, Failure> {
    let memory = GenerationMemory::behind_prompt(model, max_new).map_err(Failure::work)?;
    output::note(&memory.note());
    Ok(memory)
}

fn receipt_model<'a>(
    config: &Config,
    model: &'a Model,
    composer: &'a Composer<'a>,
    weights: Weights,
) -> Result<ReceiptModel<'a>, Failure> {
    let engine = certified(&config.engine, config.engine.workers())?;
    let parts = ModelParts {
        config: &model.config,
        tokenizer: &model.tokenizer,
        composer,
    };
    Ok(ReceiptModel::new(engine, parts, weights)?)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = Reserved::new(path, Access::Umask, text.len())
        .and_then(|place| place.replace(text.as_bytes()));
    written.map_err(|error| Failure::Work(anyhow::anyhow!("{}: {error}", path.display())))
}
