//! What skipping stages does to learning: a decoder of twelve layers in thirteen stages, trained on
//! text with all stages, without 25 and without 33 % of those with layers, and smaller models that
//! take as many operations; then the loss on held-out text with 0, 25, 33 and 50 % of the stages
//! left out. The full model with the same stages left out is the control: what skipping in training
//! brings is what it is worse by.
//!
//! All arms see the same rows in the same order. Members are those of a real pipeline; see
//! [`crate::staged_text`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use serde_json::{Value, json};
use skippipe::encoding::Format;

use crate::curves::{Curve, render};
use crate::experiment::Experiment;
use crate::machine;
use crate::samples::{mean_and_spread, rounded};
use crate::staged_text::{Arm, STEP_TOKENS, TrainingOptions};
use crate::svg;
use crate::table::Table;
use crate::text::Text;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "skippipe-train",
    about: "learning text with stages skipped, against full and smaller models",
    run,
};

/// Trains full, skipping and smaller decoders on text.
#[derive(Debug, Parser)]
#[command(name = "skippipe-train")]
struct Options {
    #[command(flatten)]
    on_text: TrainingOptions,
    /// Where the picture of the curves goes.
    #[arg(long, value_name = "FILE", default_value = "target/skippipe-train.svg")]
    plot: PathBuf,
}

const FULL: Arm = Arm {
    name: "full",
    layers: 12,
    stages: 12,
    skips: 0,
    bottleneck: None,
    format: Format::F32,
};

/// Full first; a smaller model takes the operations of the arm that skips as many layers.
const ARMS: [Arm; 5] = [
    FULL,
    Arm {
        name: "skip 25 %",
        skips: 3,
        ..FULL
    },
    Arm {
        name: "skip 33 %",
        skips: 4,
        ..FULL
    },
    Arm {
        name: "9 layers",
        layers: 9,
        stages: 9,
        ..FULL
    },
    Arm {
        name: "8 layers",
        layers: 8,
        stages: 8,
        ..FULL
    },
];

/// Percent of the stages with layers that are left out, and what part of them that is.
const REMOVED: [(u16, (u16, u16)); 4] = [(0, (0, 1)), (25, (1, 4)), (33, (1, 3)), (50, (1, 2))];

/// What came of an arm, one of each seed.
struct Outcome {
    arm: Arm,
    parameters: usize,
    losses: Vec<Vec<f32>>,
    /// Held-out losses for each of [`REMOVED`]; none where the stages do not divide so.
    held_out: Vec<Vec<Option<f64>>>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let Options { on_text, plot } = Options::try_parse_from(arguments)?;
    let text = Text::load(on_text.data.clone())?;
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(on_text.threads));
    let started = Instant::now();
    let outcomes = ARMS.iter().map(|arm| Outcome::of(*arm, &text));
    let mut outcomes: Vec<Outcome> = outcomes.collect::<Result<_>>()?;
    for seed in 1..=on_text.seeds {
        for outcome in &mut outcomes {
            let training = on_text.training(seed);
            let mut trained = outcome.arm.train(&training, &text, &engine)?;
            let removals = REMOVED.iter().map(|(_, (part, whole))| {
                let stages = outcome.arm.stages * part;
                let removed = stages.is_multiple_of(*whole).then_some(stages / whole);
                let loss = |removed| trained.held_out(&text, removed, on_text.held_out);
                removed.map(loss).transpose()
            });
            let held_out: Vec<Option<f64>> = removals.collect::<Result<_>>()?;
            eprintln!(
                "{}, seed {seed}: {:.4} nats held out after {:.0} s",
                outcome.arm.name,
                held_out[0].unwrap_or(f64::NAN),
                started.elapsed().as_secs_f64()
            );
            outcome.held_out.push(held_out);
            outcome.losses.push(trained.losses);
        }
    }
    println!(
        "Nats a token on held-out text after {} steps of {STEP_TOKENS} tokens; mean ± deviation of {} \
         seeds\n",
        on_text.steps, on_text.seeds
    );
    print!("{}", table(&outcomes));
    let window = (on_text.steps as usize / 30).max(1);
    let curve = |outcome: &Outcome| Curve::mean(outcome.arm.name, &outcome.losses, window);
    let curves: Vec<Curve> = outcomes.iter().map(curve).collect();
    let picture = render(
        "Learning text with stages skipped",
        "nats a token, in training",
        &curves,
    );
    svg::save(&plot, &picture)?;
    println!("\ncurves: {}", plot.display());
    Ok(json!({
        "experiment": "skippipe-train", "unit": "nats", "steps": on_text.steps,
        "step_tokens": STEP_TOKENS, "seeds": on_text.seeds, "rate": on_text.rate,
        "seconds": rounded(started.elapsed().as_secs_f64()), "load": machine::load(),
        "arms": outcomes.iter().map(Outcome::json).collect::<Vec<_>>(),
    }))
}

impl Outcome {
    fn of(arm: Arm, text: &Text) -> Result<Self> {
        Ok(Self {
            arm,
            parameters: arm.parameters(text)?,
            losses: Vec::new(),
            held_out: Vec::new(),
        })
    }

    /// Held-out losses of all seeds with a part of the stages left out.
    fn removed(&self, place: usize) -> Vec<f64> {
        self.held_out
            .iter()
            .filter_map(|of_seed| of_seed[place])
            .collect()
    }

    /// Operations of a token, as layers of the full model.
    fn layers_visited(&self) -> usize {
        self.arm.layers - usize::from(self.arm.skips)
    }

    fn json(&self) -> Value {
        let removed = REMOVED
            .iter()
            .enumerate()
            .filter_map(|(place, (percent, _))| {
                let losses = self.removed(place);
                let (mean, spread) = mean_and_spread(&losses);
                (!losses.is_empty()).then(|| {
                    json!({
                        "percent": percent, "mean": rounded(mean), "deviation": rounded(spread),
                        "seeds": losses.iter().map(|loss| rounded(*loss)).collect::<Vec<_>>(),
                    })
                })
            });
        json!({
            "name": self.arm.name, "parameters": self.parameters,
            "layers_visited": self.layers_visited(), "removed": removed.collect::<Vec<_>>(),
        })
    }
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new([
        "trained",
        "parameters",
        "layers a token",
        "all stages",
        "without 25 %",
        "without 33 %",
        "without 50 %",
    ]);
    for outcome in outcomes {
        let mut cells = vec![
            outcome.arm.name.to_owned(),
            outcome.parameters.to_string(),
            outcome.layers_visited().to_string(),
        ];
        for place in 0..REMOVED.len() {
            let losses = outcome.removed(place);
            let (mean, spread) = mean_and_spread(&losses);
            cells.push(match losses.is_empty() {
                true => "–".to_owned(),
                false => format!("{mean:.3} ± {spread:.3}"),
            });
        }
        table.row(cells);
    }
    table
}
