//! `swarm-node train`: reinforcement learning without peers.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use reproducible_ops::engine::Engine;
use swarm_identity::digest::hex;
use swarm_learn::eval::EvalSet;
use swarm_learn::guard::Verdict;
use swarm_learn::run_folder::RunFolder;

use super::console::Console;
use super::eval::{library, set};
use super::failure::Failure;
use super::options::{Options, help};
use super::output::{self, Answer};
use super::signals::stop_on_signals;
use crate::config::{Config, TrainConfig, path};
use crate::job::{
    GenerationMemory, Model, ModelFactory, Progress, Solo, SoloConfig, SoloStep, certified,
    memory_note,
};

/// Held-out questions are the same for every seed, so that runs can be compared.
const HELD_OUT_SEED: u64 = 0;

/// Trains one model alone by reinforcement learning on verifiable tasks.
///
/// The learner is the one of the swarm (GRPO, AdamW, a guard that rolls back). Starts from a
/// checkpoint, a Hugging Face folder or the shipped base, and writes checkpoints; --resume
/// continues exactly where the newest one stands. SIGINT (Ctrl-C) and SIGTERM stop the run after
/// the current step, with a checkpoint.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Train {
    #[arg(long, value_name = "PATH", help = help("train.model"))]
    model: Option<String>,
    #[arg(long, value_name = "DIR", help = help("train.out"))]
    out: Option<String>,
    #[arg(long, value_name = "N", help = help("train.steps"))]
    steps: Option<String>,
    #[arg(long, value_name = "S", help = help("train.seed"))]
    seed: Option<String>,
    #[arg(long, value_name = "LIST", help = help("train.families"))]
    families: Option<String>,
    #[arg(long, value_name = "FILE", help = help("train.gsm8k"))]
    gsm8k: Option<String>,
    /// Continues the run in the folder.
    #[arg(long)]
    resume: bool,
}

const EXAMPLES: &str = "Examples:\n  swarm-node train --steps 50 --out runs/train\n  swarm-node \
train --steps 100 --out runs/train \
--resume\n  swarm-node train --config configs/train.toml";

impl Train {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let flags = [
            ("--model", "train.model", &self.model),
            ("--out", "train.out", &self.out),
            ("--steps", "train.steps", &self.steps),
            ("--seed", "train.seed", &self.seed),
            ("--families", "train.families", &self.families),
            ("--gsm8k", "train.gsm8k", &self.gsm8k),
        ];
        let config = options.settings(&flags, environment)?.config::<Config>()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let console = Console::new();
        let model = Model::load(path(&config.train.model), &console).map_err(Failure::work)?;
        let summary = self.train(&config, model, engine, &console)?;
        let (steps, digest, checkpoint) =
            (summary.steps, &summary.digest, summary.checkpoint.display());
        let text = format!("{steps} steps, model {digest} in {checkpoint}");
        let json = serde_json::to_string(&summary).map_err(Failure::work)?;
        let kept = format!("its checkpoints are in {}", config.train.out.display());
        Answer { text, json, kept }.print(options.json)
    }

    fn train(
        &self,
        config: &Config,
        model: Model,
        engine: Arc<dyn Engine>,
        console: &Console,
    ) -> Result<TrainSummary, Failure> {
        let train = &config.train;
        let library = library(&train.families, path(&train.gsm8k), console)?;
        let memory = config.engine.memory_bytes();
        let generation = GenerationMemory::of(&model, config.learn.row_length);
        let generation = generation.map_err(Failure::work)?;
        let factory =
            ModelFactory::new(model, config.learn.clone(), memory).map_err(Failure::work)?;
        output::note(&memory_note(factory.programs()).map_err(Failure::work)?);
        output::note(&generation.note());
        let folder = self.folder(train, factory.model(), console)?;
        let families = train
            .families
            .iter()
            .map(|family| (*family, train.difficulty))
            .collect::<Vec<_>>();
        let (questions, groups) = (train.questions.into(), train.groups);
        let solo = SoloConfig {
            seed: train.seed,
            families: families.clone(),
            questions,
            groups,
        };
        let held_out = set(
            factory.model(),
            &library,
            &families,
            train.heldout,
            HELD_OUT_SEED,
            config.learn.max_new,
        )?;
        let (mut run, damaged) = Solo::new(solo, &factory, &library, engine, folder, self.resume)
            .map_err(Failure::work)?;
        damaged.iter().for_each(|text| console.warn(text));
        console.begin("training", train.steps.saturating_sub(run.steps()));
        let stop = stop_on_signals()?;
        let mut measured = None;
        let (begun, mut trained) = (run.steps(), false);
        while run.steps() < train.steps && !stop.is_requested() {
            let step = run.step().map_err(Failure::work)?;
            if let Verdict::RollBack { best, seen } = step.verdict {
                let step = run.steps();
                console.warn(&format!(
                    "step {step}: the mean reward fell from {best:.3} to {seen:.3}; the model is \
                     rolled back to its best state"
                ));
            }
            trained |= step.step.is_some();
            let last = run.steps() == train.steps;
            let due = train.measure_every > 0 && run.steps().is_multiple_of(train.measure_every);
            let rate = if due || last {
                Some(measure(&mut run, &factory, &held_out)?)
            } else {
                None
            };
            measured = rate.or(measured);
            console.step(&note(&run, &step, rate));
            if last || run.steps().is_multiple_of(train.checkpoint_every) {
                run.save().map_err(Failure::work)?;
            }
        }
        console.end("");
        if run.steps() > begun && !trained {
            console.warn(
                "in no step did a question tell answers apart (all right or all wrong), so the \
                 model is unchanged; take \
                 questions of another difficulty, more answers to each (learn.group), or another \
                 model",
            );
        }
        let checkpoint = run.save().map_err(Failure::work)?;
        if let Some(signal) = stop.signal().filter(|_| run.steps() < train.steps) {
            let (done, all, path) = (run.steps(), train.steps, checkpoint.display());
            let state = format!(
                "step {done} of {all} is saved in {path}; the same command with --resume goes on \
                 from there"
            );
            return Err(Failure::Stopped { signal, state });
        }
        // A run that was complete already is told like one that ends here.
        let heldout = match measured {
            Some(rate) => rate,
            None => measure(&mut run, &factory, &held_out)?,
        };
        let digest = hex(&run.params().map_err(Failure::work)?.digest());
        Ok(TrainSummary {
            steps: run.steps(),
            heldout,
            digest,
            checkpoint,
        })
    }

    /// The folder of checkpoints; one that has some already needs `--resume`.
    fn folder(
        &self,
        train: &TrainConfig,
        model: &Model,
        console: &Console,
    ) -> Result<RunFolder, Failure> {
        if train.out.as_os_str().is_empty() {
            let text =
                "train.out is empty; name the folder of checkpoints, for example --out runs/train";
            return Err(Failure::Usage(anyhow::anyhow!(text)));
        }
        let folder =
            RunFolder::open(&train.out, train.keep, model.files.clone()).map_err(Failure::work)?;
        let steps = folder.steps().map_err(Failure::work)?;
        if steps.is_empty() && self.resume {
            console.warn(&format!(
                "{} has no checkpoint to resume; the run begins anew",
                train.out.display()
            ));
        }
        match steps.last() {
            Some(step) if !self.resume => Err(Failure::Usage(anyhow::anyhow!(
                "{} holds a run at step {step}; add --resume to continue it, or choose another \
                 folder with --out",
                train.out.display()
            ))),
            _ => Ok(folder),
        }
    }
}

/// What `--json` tells.
#[derive(serde::Serialize)]
struct TrainSummary {
    steps: u64,
    /// The newest greedy held-out pass@1, 0 to 1.
    heldout: f32,
    digest: String,
    /// The newest checkpoint, a folder with the model of this digest.
    checkpoint: PathBuf,
}

/// Greedy held-out pass@1.
fn measure(run: &mut Solo<'_>, factory: &ModelFactory, held_out: &EvalSet) -> Result<f32, Failure> {
    let rate = held_out
        .greedy(run.generator(), &factory.model().tokenizer)
        .map_err(Failure::work)?;
    Ok(rate.mean().share)
}

fn note(run: &Solo<'_>, step: &SoloStep, measured: Option<f32>) -> String {
    let held_out = measured.map_or(String::new(), |rate| format!(", held-out {rate:.3}"));
    format!(
        "step {}: reward {:.3}, {} groups{held_out}",
        run.steps(),
        step.reward,
        step.groups
    )
}
