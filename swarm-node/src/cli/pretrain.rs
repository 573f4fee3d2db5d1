//! `swarm-node pretrain`: the supervised warm start.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use reproducible_ops::weights::Weights;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use crate::assembly::{Recipe, Watch, certified};
use crate::learn::run_folder::RunFolder;
use crate::learn::trainer::StepReport;
use crate::model::ModelFiles;
use crate::round::digest::hex;

/// Checkpoints to keep: the newest, and one before it in case the newest is damaged.
const KEEP: usize = 2;
/// The finished model, in the run's folder.
const MODEL: &str = "model.safetensors";

/// Trains a base model from random weights, as a recipe says.
///
/// Writes checkpoints into the folder while it runs and `model.safetensors` at the end, and prints that file's SHA-256:
/// the same recipe gives the same digest on every machine. A run that was stopped continues from its newest checkpoint.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Pretrain {
    /// The recipe, a TOML file.
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Folder of checkpoints and of the finished model.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

const EXAMPLES: &str = "Examples:\n  swarm-node pretrain --recipe configs/nano/recipe.toml --out runs/nano\n  sha256sum \
runs/nano/model.safetensors";

impl Pretrain {
    pub(super) fn run(&self, options: &Options, environment: Vec<(String, String)>) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let recipe = Recipe::load(&self.recipe)?;
        let model = recipe.initial()?;
        let folder = RunFolder::open(&self.out, KEEP, model.files.clone()).map_err(Failure::work)?;
        let console = Console::new();
        let (mut run, damaged) = recipe.pretrainer(engine.as_ref(), &model, &model.tokenizer, Some(folder))?;
        damaged.iter().for_each(|text| console.warn(text));
        console.begin("pretraining", recipe.training.steps.saturating_sub(run.step_count()));
        let told = |report: &StepReport| {
            console.step(&note(report));
            ControlFlow::Continue(())
        };
        run.run(told).map_err(Failure::work)?;
        console.end("");
        self.finish(&model.files, &run.params().map_err(Failure::work)?, run.step_count(), options.json)
    }

    fn finish(&self, files: &ModelFiles, weights: &Weights, steps: u64, json: bool) -> Result<(), Failure> {
        let path = self.out.join(MODEL);
        weights.save(&path).map_err(Failure::work)?;
        // The config comes after the weights: a folder that has one is taken for a whole model.
        files.write(&self.out).map_err(Failure::work)?;
        let digest = hex(&weights.digest());
        println!("{digest}  {}", path.display());
        if json {
            println!("{}", summary(&path, steps, &digest));
        }
        Ok(())
    }
}

fn summary(path: &Path, steps: u64, digest: &str) -> serde_json::Value {
    serde_json::json!({ "model": path, "steps": steps, "sha256": digest })
}

fn note(report: &StepReport) -> String {
    format!("loss {:.4}, gradient {:.3}, rate {:.2e}", report.loss, report.grad_norm, report.learning_rate)
}
