//! `swarm-node pretrain`: the supervised warm start.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use reproducible_ops::weights::Weights;
use swarm_files::whole::folder_of;
use swarm_identity::digest::hex;
use swarm_learn::checkpoint::write_files;
use swarm_learn::run_folder::RunFolder;
use swarm_learn::trainer::StepReport;
use swarm_model::ModelFiles;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::output::{self, Answer};
use super::signals::stop_on_signals;
use crate::config::Config;
use crate::job::{Progress, Recipe, certified, memory_note};

/// Checkpoints to keep: the newest, and one before it in case the newest is damaged.
const KEEP: usize = 2;
/// The finished model, in the run's folder.
const MODEL: &str = "model.safetensors";

/// Trains a base model from random weights, as a recipe says.
///
/// Writes checkpoints into the folder while it runs and `model.safetensors` at the end, and prints
/// that file's SHA-256: the same recipe gives the same digest on every machine. A run that was
/// stopped continues from its newest checkpoint; SIGINT (Ctrl-C) and SIGTERM stop it after the
/// current step, with a checkpoint.
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

const EXAMPLES: &str = "Examples:\n  swarm-node pretrain --recipe configs/nano/recipe.toml --out \
runs/nano\n  sha256sum \
runs/nano/model.safetensors";

impl Pretrain {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config::<Config>()?;
        let path = self.out.join(MODEL);
        // JSON is text: better no work than a result that cannot be told.
        if options.json && path.to_str().is_none() {
            return Err(Failure::Usage(anyhow::anyhow!(
                "JSON cannot hold the path {}, which is not UTF-8; leave --json out, or name \
                 another folder with --out",
                path.display()
            )));
        }
        let engine = certified(&config.engine, config.engine.workers())?;
        let recipe = Recipe::load(&self.recipe)?;
        let model = recipe.initial()?;
        let folder =
            RunFolder::open(&self.out, KEEP, model.files.clone()).map_err(Failure::work)?;
        let console = Console::new();
        let memory = config.engine.memory_bytes();
        let (mut run, damaged) = recipe.pretrainer(
            engine.as_ref(),
            &model,
            &model.tokenizer,
            Some(folder),
            memory,
        )?;
        output::note(&memory_note(run.programs()).map_err(Failure::work)?);
        damaged.iter().for_each(|text| console.warn(text));
        console.begin(
            "pretraining",
            recipe.training.steps.saturating_sub(run.step_count()),
        );
        let stop = stop_on_signals()?;
        let told = |report: &StepReport| {
            console.step(&note(report));
            if stop.is_requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        run.run(told).map_err(Failure::work)?;
        console.end("");
        let (done, all) = (run.step_count(), recipe.training.steps);
        if let Some(signal) = stop.signal().filter(|_| done < all) {
            let out = self.out.display();
            let state = format!(
                "step {done} of {all} is saved in {out}; the same command goes on from there"
            );
            return Err(Failure::Stopped { signal, state });
        }
        finish(
            &path,
            &model.files,
            &run.params().map_err(Failure::work)?,
            done,
            options.json,
        )
    }
}

/// Writes the model and tells its digest.
fn finish(
    path: &Path,
    files: &ModelFiles,
    weights: &Weights,
    steps: u64,
    json: bool,
) -> Result<(), Failure> {
    weights.save(path).map_err(Failure::work)?;
    // The config comes after the weights: a folder that has one is taken for a whole model.
    write_files(files, folder_of(path)).map_err(Failure::work)?;
    let digest = hex(&weights.digest());
    let text = format!("{digest}  {}", path.display());
    // A path that is not UTF-8 was refused before the work if this is to be shown.
    let summary =
        serde_json::json!({ "model": path.to_string_lossy(), "steps": steps, "sha256": digest });
    let kept = format!("the model is {}", path.display());
    Answer {
        text,
        json: summary.to_string(),
        kept,
    }
    .print(json)
}

fn note(report: &StepReport) -> String {
    format!(
        "loss {:.4}, gradient {:.3}, rate {:.2e}",
        report.loss, report.grad_norm, report.learning_rate
    )
}
