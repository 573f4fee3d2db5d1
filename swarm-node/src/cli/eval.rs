//! `swarm-node eval`: held-out pass@1 of a model.

use std::collections::BTreeMap;
use std::mem::take;
use std::path::Path;

use clap::Args;
use reproducible_ops::random::key_from;
use swarm_learn::eval::{Estimate, EvalSet, PassRate};
use swarm_model::Generator;
use swarm_task::gsm8k::Dataset;
use swarm_task::{FamilyId, Library};

use super::console::Console;
use super::failure::Failure;
use super::options::{Options, help};
use super::output::{self, Answer};
use crate::config::{Config, EvalConfig, path};
use crate::job::{GenerationMemory, Model, Progress, certified, peak_bytes};

/// Refused rows that are named one by one; more are counted.
const NAMED_ROWS: usize = 5;

/// Measures held-out pass@1 of a model, greedy and sampled, per family.
///
/// Held-out questions are those whose canonical form, the same for every order of their parts that
/// cannot matter, has a SHA-256 that is 0 modulo 8; nothing here ever trains on them. Greedy takes
/// the most probable answer, sampled is the mean over several answers drawn at temperature 1. All
/// numbers in percent.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Eval {
    #[arg(long, value_name = "PATH", help = help("eval.model"))]
    model: Option<String>,
    #[arg(long, value_name = "LIST", help = help("eval.families"))]
    families: Option<String>,
    #[arg(long, value_name = "N", help = help("eval.difficulty"))]
    difficulty: Option<String>,
    #[arg(long, value_name = "N", help = help("eval.questions"))]
    questions: Option<String>,
    #[arg(long, value_name = "N", help = help("eval.samples"))]
    samples: Option<String>,
    #[arg(long, value_name = "S", help = help("eval.seed"))]
    seed: Option<String>,
    #[arg(long, value_name = "FILE", help = help("eval.gsm8k"))]
    gsm8k: Option<String>,
    /// Shows the first N questions of each family, with the greedy answer as it was written and as
    /// it was read.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
}

const EXAMPLES: &str = "Examples:\n  swarm-node eval\n  swarm-node eval --model runs/train \
--questions 200 --json\n  swarm-node eval \
--model Qwen2-0.5B --families gsm8k --gsm8k test.jsonl --questions 100 --set eval.max_new=256";

impl Eval {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let flags = [
            ("--model", "eval.model", &self.model),
            ("--families", "eval.families", &self.families),
            ("--difficulty", "eval.difficulty", &self.difficulty),
            ("--questions", "eval.questions", &self.questions),
            ("--samples", "eval.samples", &self.samples),
            ("--seed", "eval.seed", &self.seed),
            ("--gsm8k", "eval.gsm8k", &self.gsm8k),
        ];
        let config = options.settings(&flags, environment)?.config::<Config>()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let console = Console::new();
        let mut model =
            Model::load_to_generate(path(&config.eval.model), &console).map_err(Failure::work)?;
        let memory = GenerationMemory::behind_prompt(&model, config.eval.max_new);
        let memory = memory.map_err(Failure::work)?;
        output::note(&memory.note());
        let mut generator = Generator::new(engine, model.config.clone(), model.tokenizer.ends())
            .map_err(Failure::work)?;
        generator
            .set_weights(take(&mut model.weights))
            .map_err(Failure::work)?;
        let measured = measure(&config.eval, &model, &mut generator, self.show, &console)?;
        let text = shown_text(&measured.shown) + &table(&measured, config.eval.questions);
        let mut json = summary(&measured, config.eval.questions, self.show > 0);
        json["generation"] = serde_json::json!(memory);
        json["peak_bytes"] = serde_json::json!(peak_bytes());
        let json = json.to_string();
        Answer {
            text,
            json,
            kept: String::new(),
        }
        .print(options.json)
    }
}

/// What was measured.
struct Measured {
    greedy: PassRate,
    sampled: Option<PassRate>,
    shown: Vec<Shown>,
}

/// A question and its greedy answer.
#[derive(serde::Serialize)]
struct Shown {
    family: &'static str,
    right: bool,
    /// As the model was asked.
    question: String,
    /// As the model wrote.
    answer: String,
    /// What was read of it; none if there is no answer of the right kind in it.
    read: Option<String>,
    gold: String,
}

fn measure(
    eval: &EvalConfig,
    model: &Model,
    generator: &mut Generator,
    show: usize,
    console: &Console,
) -> Result<Measured, Failure> {
    let library = library(&eval.families, path(&eval.gsm8k), console)?;
    let families: Vec<_> = eval
        .families
        .iter()
        .map(|family| (*family, eval.difficulty))
        .collect();
    let set = set(
        model,
        &library,
        &families,
        eval.questions,
        eval.seed,
        eval.max_new,
    )?;
    console.begin("evaluating", 1 + u64::from(eval.samples > 0));
    let answers = set
        .answers(generator, &model.tokenizer)
        .map_err(Failure::work)?;
    let scores = set.items().iter().zip(&answers);
    let greedy = PassRate::of(
        scores.map(|((family, question), answer)| (*family, vec![question.score(answer)])),
    );
    let shown = shown(&set, &answers, show);
    console.step("greedy");
    let mut job = [0; 32];
    job[24..].copy_from_slice(&eval.seed.to_be_bytes());
    let key = key_from("swarm-node eval", &job, &[0; 32]);
    let sample = || {
        set.sampled(generator, &model.tokenizer, eval.samples, key)
            .map_err(Failure::work)
    };
    let sampled = (eval.samples > 0).then(sample).transpose()?;
    console.end("");
    Ok(Measured {
        greedy,
        sampled,
        shown,
    })
}

/// The first questions of each family.
fn shown(set: &EvalSet, answers: &[String], show: usize) -> Vec<Shown> {
    let mut counts = BTreeMap::new();
    let mut shown = Vec::new();
    for (((family, question), text), answer) in set.items().iter().zip(set.texts()).zip(answers) {
        let count: &mut usize = counts.entry(*family).or_default();
        if *count < show {
            *count += 1;
            shown.push(Shown {
                family: family.name(),
                right: question.score(answer) > 0.0,
                question: text.clone(),
                answer: answer.clone(),
                read: question.gold.kind().canonical(answer),
                gold: question.gold.text().to_owned(),
            });
        }
    }
    shown
}

/// In quotes, because a model may write anything.
fn shown_text(shown: &[Shown]) -> String {
    let entry = |shown: &Shown| {
        let Shown {
            family,
            right,
            question,
            answer,
            read,
            gold,
        } = shown;
        let verdict = if *right { "right" } else { "wrong" };
        let read = read
            .as_ref()
            .map_or("nothing".to_owned(), |read| format!("{read:?}"));
        format!(
            "{family}, {verdict}\n  question  {question:?}\n  answer    {answer:?}\n  read      \
             {read}\n  gold      {gold:?}\n\n"
        )
    };
    shown.iter().map(entry).collect()
}

/// The generated families, with the GSM8K file if one is named. Rows that cannot be used are named.
pub(super) fn library(
    families: &[FamilyId],
    gsm8k: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Library, Failure> {
    let Some(path) = gsm8k else {
        return if families.contains(&FamilyId::Gsm8k) {
            Err(no_gsm8k())
        } else {
            Ok(Library::new())
        };
    };
    let loaded = Dataset::load(path).map_err(Failure::work)?;
    for row in loaded.rejected.iter().take(NAMED_ROWS) {
        progress.warn(&format!("{}: {row}", path.display()));
    }
    let more = loaded.rejected.len().saturating_sub(NAMED_ROWS);
    if more > 0 {
        progress.warn(&format!(
            "{}: {more} more rows cannot be used",
            path.display()
        ));
    }
    if loaded.repeated > 0 {
        let repeated = loaded.repeated;
        progress.warn(&format!(
            "{}: {repeated} rows repeat an earlier one and are dropped",
            path.display()
        ));
    }
    Ok(Library::new().with_gsm8k(loaded.dataset))
}

fn no_gsm8k() -> Failure {
    Failure::Usage(anyhow::anyhow!(
        "family gsm8k is asked for, but no data; name its JSONL file with --gsm8k FILE"
    ))
}

/// Held-out questions, worded for the model.
pub(super) fn set(
    model: &Model,
    library: &Library,
    families: &[(FamilyId, u8)],
    count: usize,
    seed: u64,
    max_new: usize,
) -> Result<EvalSet, Failure> {
    let mut items = Vec::new();
    for (family, difficulty) in families {
        let tasks = library
            .held_out_set(*family, *difficulty, count, seed)
            .map_err(Failure::work)?;
        for task in tasks {
            items.push((*family, library.question(&task).map_err(Failure::work)?));
        }
    }
    EvalSet::new(items, &model.composer(), &model.tokenizer, max_new).map_err(Failure::work)
}

fn table(
    Measured {
        greedy, sampled, ..
    }: &Measured,
    questions: usize,
) -> String {
    let sampled = sampled.as_ref();
    let mut text = format!(
        "Held-out pass@1 in percent, {questions} questions per family, ± one standard error\n\n"
    );
    text.push_str(&format!(
        "{:<14}{:>14}{:>14}\n",
        "family", "greedy", "sampled"
    ));
    let mut row = |name: &str, greedy: Estimate, sampled: Option<Estimate>| {
        let sampled = sampled.map_or("-".to_owned(), Estimate::percent);
        text.push_str(&format!(
            "{name:<14}{:>14}{sampled:>14}\n",
            greedy.percent()
        ));
    };
    let by_family = sampled.map(PassRate::families);
    for (family, rate) in greedy.families() {
        row(
            family.name(),
            rate,
            by_family
                .as_ref()
                .and_then(|sampled| sampled.get(&family).copied()),
        );
    }
    row("mean", greedy.mean(), sampled.map(PassRate::mean));
    text
}

fn summary(
    Measured {
        greedy,
        sampled,
        shown,
    }: &Measured,
    questions: usize,
    show: bool,
) -> serde_json::Value {
    let by_family = |rate: &PassRate| -> serde_json::Value {
        let families = rate.families().into_iter();
        families
            .map(|(family, rate)| {
                (
                    family.name().to_owned(),
                    serde_json::Value::from(rate.share),
                )
            })
            .collect()
    };
    let mut summary = serde_json::json!({
        "questions": questions,
        "greedy": greedy.mean().share,
        "greedy_error": greedy.mean().error,
        "sampled": sampled.as_ref().map(|rate| rate.mean().share),
        "sampled_error": sampled.as_ref().map(|rate| rate.mean().error),
        "greedy_by_family": by_family(greedy),
        "sampled_by_family": sampled.as_ref().map(by_family),
    });
    if show {
        summary["shown"] = serde_json::json!(shown);
    }
    summary
}
