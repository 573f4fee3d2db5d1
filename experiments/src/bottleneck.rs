//! What fewer bytes between stages cost in loss: a decoder of twelve layers in four stages, trained
//! on text with activations and gradients sent as they are, in 8 bits, and through learned
//! bottlenecks, alone and with 8 bits on top.
//!
//! All arms see the same rows in the same order; see [`crate::staged_text`].

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
    name: "bottleneck",
    about: "loss against the bytes that go from stage to stage",
    run,
};

/// Trains a decoder on text with fewer and fewer bytes between its stages.
#[derive(Debug, Parser)]
#[command(name = "bottleneck")]
struct Options {
    #[command(flatten)]
    on_text: TrainingOptions,
    /// Where the picture of the curves goes.
    #[arg(long, value_name = "FILE", default_value = "target/bottleneck.svg")]
    plot: PathBuf,
}

const PLAIN: Arm = Arm {
    name: "f32",
    layers: 12,
    stages: 3,
    skips: 0,
    compression: None,
    format: Format::F32,
};

/// What others are compared with first.
const ARMS: [Arm; 7] = [
    PLAIN,
    Arm {
        name: "8 bits",
        format: Format::Int8,
        ..PLAIN
    },
    Arm {
        name: "4 times narrower",
        compression: Some(4),
        ..PLAIN
    },
    Arm {
        name: "4 times, 8 bits",
        compression: Some(4),
        format: Format::Int8,
        ..PLAIN
    },
    Arm {
        name: "16 times narrower",
        compression: Some(16),
        ..PLAIN
    },
    Arm {
        name: "16 times, 8 bits",
        compression: Some(16),
        format: Format::Int8,
        ..PLAIN
    },
    Arm {
        name: "64 times narrower",
        compression: Some(64),
        ..PLAIN
    },
];

/// What came of an arm, one of each seed.
#[derive(Default)]
struct Outcome {
    hop_bytes: usize,
    losses: Vec<Vec<f32>>,
    held_out: Vec<f64>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let Options { on_text, plot } = Options::try_parse_from(arguments)?;
    let text = Text::load(on_text.data.clone())?;
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(on_text.threads));
    let started = Instant::now();
    let mut outcomes: Vec<Outcome> = ARMS.iter().map(|_| Outcome::default()).collect();
    for seed in 1..=on_text.seeds {
        for (arm, outcome) in ARMS.iter().zip(&mut outcomes) {
            let training = on_text.training(seed);
            let mut trained = arm.train(&training, &text, &engine)?;
            let held_out = trained.held_out(&text, 0, on_text.held_out)?;
            let after = started.elapsed().as_secs_f64();
            eprintln!(
                "{}, seed {seed}: {held_out:.4} nats held out after {after:.0} s",
                arm.name
            );
            outcome.held_out.push(held_out);
            outcome.hop_bytes = trained.hop_bytes;
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
    let curves = ARMS.iter().zip(&outcomes);
    let curves = curves.map(|(arm, outcome)| Curve::mean(arm.name, &outcome.losses, window));
    let curves: Vec<Curve> = curves.collect();
    let title = "Learning text with fewer bytes between stages";
    let picture = render(title, "nats a token, in training", &curves);
    svg::save(&plot, &picture)?;
    println!("\ncurves: {}", plot.display());
    let rows = ARMS.iter().zip(&outcomes).map(|(arm, outcome)| {
        let (mean, spread) = mean_and_spread(&outcome.held_out);
        json!({
            "name": arm.name, "hop_bytes": outcome.hop_bytes,
            "fewer": rounded(fewer(&outcomes, outcome)), "mean": rounded(mean),
            "deviation": rounded(spread), "increase": rounded(increase(&outcomes, outcome)),
        })
    });
    Ok(json!({
        "experiment": "bottleneck", "unit": "nats", "steps": on_text.steps,
        "step_tokens": STEP_TOKENS, "seeds": on_text.seeds, "rate": on_text.rate,
        "parameters": PLAIN.parameters(&text),
        "seconds": rounded(started.elapsed().as_secs_f64()), "load": machine::load(),
        "rows": rows.collect::<Vec<_>>(),
    }))
}

/// How many times fewer bytes it sends than the first arm.
fn fewer(outcomes: &[Outcome], outcome: &Outcome) -> f64 {
    outcomes[0].hop_bytes as f64 / outcome.hop_bytes.max(1) as f64
}

/// Mean over seeds of what its loss is above that of the first arm with the same seed.
fn increase(outcomes: &[Outcome], outcome: &Outcome) -> f64 {
    let pairs = outcome.held_out.iter().zip(&outcomes[0].held_out);
    let differences: Vec<f64> = pairs.map(|(loss, plain)| loss - plain).collect();
    mean_and_spread(&differences).0
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(["sent", "bytes a hop", "times fewer", "held out", "increase"]);
    for (arm, outcome) in ARMS.iter().zip(outcomes) {
        let (mean, spread) = mean_and_spread(&outcome.held_out);
        table.row(vec![
            arm.name.to_owned(),
            outcome.hop_bytes.to_string(),
            format!("{:.1}", fewer(outcomes, outcome)),
            format!("{mean:.3} ± {spread:.3}"),
            format!("{:+.3}", increase(outcomes, outcome)),
        ]);
    }
    table
}
