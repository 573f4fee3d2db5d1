//! What fewer bytes between stages cost in loss: a decoder of twelve layers in four stages, trained
//! on text with activations and gradients sent as they are, in 8 bits, and through learned
//! bottlenecks: without and with a residual path, alone and with 8 bits on top.
//!
//! All arms see the same rows in the same order; see [`crate::staged_text`]. The picture shows what
//! is sent as f32: 8 bits on top learn alike. With `--keep` every training that is over is a file,
//! and taken from there the next time: a run of hours can be stopped, done in parts, and drawn.
//! Whoever changes what is computed begins with an empty folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use skippipe::encoding::Format;
use swarm_model::stages::bottleneck::Bottleneck;

use crate::curves::{Curve, render};
use crate::experiment::Experiment;
use crate::machine;
use crate::samples::{mean_and_spread, rounded};
use crate::staged_text::{Arm, HOP_TOKENS, STEP_TOKENS, TrainingOptions};
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
    /// Arms by name; all, unless given. Others are compared with the first.
    #[arg(long = "arm", value_name = "NAME")]
    arms: Vec<String>,
    /// Folder where trainings are kept, and taken from if they are there.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Where the picture of the curves goes.
    #[arg(long, value_name = "FILE", default_value = "target/bottleneck.svg")]
    plot: PathBuf,
}

impl Options {
    /// What is trained.
    fn arms(&self) -> Result<Vec<Arm>> {
        let unknown = |name: &&String| ARMS.iter().all(|arm| arm.name != **name);
        if let Some(name) = self.arms.iter().find(unknown) {
            let names = ARMS.map(|arm| arm.name).join("`, `");
            bail!("there is no arm `{name}`; there are `{names}`");
        }
        let asked = |arm: &Arm| self.arms.is_empty() || self.arms.iter().any(|one| one == arm.name);
        let arms = ARMS.into_iter();
        Ok(arms.filter(asked).collect())
    }
}

const PLAIN: Arm = Arm {
    name: "f32",
    layers: 12,
    stages: 3,
    skips: 0,
    bottleneck: None,
    format: Format::F32,
};

/// What others are compared with comes first.
const ARMS: [Arm; 14] = [
    PLAIN,
    in_8_bits("8 bits", PLAIN),
    narrow("4 times", 4, false),
    in_8_bits("4 times, 8 bits", narrow("", 4, false)),
    narrow("4 times, residual", 4, true),
    in_8_bits("4 times, residual, 8 bits", narrow("", 4, true)),
    narrow("16 times", 16, false),
    in_8_bits("16 times, 8 bits", narrow("", 16, false)),
    narrow("16 times, residual", 16, true),
    in_8_bits("16 times, residual, 8 bits", narrow("", 16, true)),
    narrow("64 times", 64, false),
    in_8_bits("64 times, 8 bits", narrow("", 64, false)),
    narrow("64 times, residual", 64, true),
    in_8_bits("64 times, residual, 8 bits", narrow("", 64, true)),
];

const fn narrow(name: &'static str, compression: usize, residual: bool) -> Arm {
    Arm {
        name,
        bottleneck: Some(Bottleneck {
            compression,
            residual,
        }),
        ..PLAIN
    }
}

const fn in_8_bits(name: &'static str, arm: Arm) -> Arm {
    Arm {
        name,
        format: Format::Int8,
        ..arm
    }
}

/// What came of an arm, one of each seed.
struct Outcome {
    arm: Arm,
    hop_bytes: usize,
    losses: Vec<Vec<f32>>,
    held_out: Vec<f64>,
}

impl Outcome {
    fn new(arm: Arm) -> Self {
        Self {
            arm,
            hop_bytes: 0,
            losses: Vec::new(),
            held_out: Vec::new(),
        }
    }
}

/// What came of an arm with a seed.
#[derive(Serialize, Deserialize)]
struct Part {
    hop_bytes: usize,
    losses: Vec<f32>,
    held_out: f64,
}

impl Part {
    fn train(
        arm: &Arm,
        on_text: &TrainingOptions,
        seed: u64,
        (text, engine): (&Text, &Arc<dyn Engine>),
    ) -> Result<Self> {
        let mut trained = arm.train(&on_text.training(seed), text, engine)?;
        Ok(Self {
            held_out: trained.held_out(text, 0, on_text.held_out)?,
            hop_bytes: trained.hop_bytes,
            losses: trained.losses,
        })
    }

    fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let text = serde_json::to_string(self)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// The file of a training: what it was told is its name.
fn kept(folder: &Path, arm: &Arm, on_text: &TrainingOptions, seed: u64) -> PathBuf {
    let TrainingOptions {
        steps,
        rate,
        held_out,
        ..
    } = on_text;
    let name = arm.name.replace(", ", "-").replace(' ', "-");
    folder.join(format!(
        "{name}-seed-{seed}-steps-{steps}-rate-{rate}-held-{held_out}.json"
    ))
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let mut outcomes: Vec<Outcome> = options.arms()?.into_iter().map(Outcome::new).collect();
    let Options {
        on_text,
        keep,
        plot,
        ..
    } = options;
    let text = Text::load(on_text.data.clone())?;
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(on_text.threads));
    let started = Instant::now();
    for seed in 1..=on_text.seeds {
        for outcome in &mut outcomes {
            let path = keep
                .as_ref()
                .map(|folder| kept(folder, &outcome.arm, &on_text, seed));
            let part = match path.as_deref().filter(|path| path.exists()) {
                Some(path) => Part::load(path)?,
                None => Part::train(&outcome.arm, &on_text, seed, (&text, &engine))?,
            };
            if let Some(path) = &path {
                part.save(path)?;
            }
            let after = started.elapsed().as_secs_f64();
            eprintln!(
                "{}, seed {seed}: {:.4} nats held out after {after:.0} s",
                outcome.arm.name, part.held_out
            );
            outcome.held_out.push(part.held_out);
            outcome.hop_bytes = part.hop_bytes;
            outcome.losses.push(part.losses);
        }
    }
    println!(
        "Nats a token on held-out text after {} steps of {STEP_TOKENS} tokens; mean ± deviation of {} \
         seeds\n",
        on_text.steps, on_text.seeds
    );
    print!("{}", table(&outcomes, &text)?);
    draw(&outcomes, on_text.steps, &plot)?;
    println!("\ncurves: {}", plot.display());
    let rows = outcomes.iter().map(|outcome| {
        let (mean, spread) = mean_and_spread(&outcome.held_out);
        Ok(json!({
            "name": outcome.arm.name, "hop_bytes": outcome.hop_bytes,
            "token_bytes": rounded(token_bytes(outcome)),
            "fewer": rounded(fewer(&outcomes, outcome)),
            "parameters": outcome.arm.parameters(&text)?, "mean": rounded(mean),
            "deviation": rounded(spread), "increase": rounded(increase(&outcomes, outcome)),
        }))
    });
    Ok(json!({
        "experiment": "bottleneck", "unit": "nats", "steps": on_text.steps,
        "step_tokens": STEP_TOKENS, "seeds": on_text.seeds, "rate": on_text.rate,
        "seconds": rounded(started.elapsed().as_secs_f64()), "load": machine::load(),
        "rows": rows.collect::<Result<Vec<_>>>()?,
    }))
}

/// Draws the curves of what is sent as f32.
fn draw(outcomes: &[Outcome], steps: u64, plot: &Path) -> Result<()> {
    let window = (steps as usize / 30).max(1);
    let shown = outcomes
        .iter()
        .filter(|outcome| outcome.arm.format == Format::F32);
    let curves = shown.map(|outcome| Curve::mean(outcome.arm.name, &outcome.losses, window));
    let curves: Vec<Curve> = curves.collect();
    let title = "Learning text with fewer bytes between stages";
    svg::save(plot, &render(title, "nats a token, in training", &curves))
}

/// How many times fewer bytes it sends than the first arm.
fn fewer(outcomes: &[Outcome], outcome: &Outcome) -> f64 {
    outcomes[0].hop_bytes as f64 / outcome.hop_bytes.max(1) as f64
}

/// Bytes of a token at a boundary.
fn token_bytes(outcome: &Outcome) -> f64 {
    outcome.hop_bytes as f64 / HOP_TOKENS as f64
}

/// Mean over seeds of what its loss is above that of the first arm with the same seed.
fn increase(outcomes: &[Outcome], outcome: &Outcome) -> f64 {
    let pairs = outcome.held_out.iter().zip(&outcomes[0].held_out);
    let differences: Vec<f64> = pairs.map(|(loss, plain)| loss - plain).collect();
    mean_and_spread(&differences).0
}

fn table(outcomes: &[Outcome], text: &Text) -> Result<Table> {
    let mut table = Table::new([
        "sent",
        "bytes a hop",
        "a token",
        "times fewer",
        "parameters",
        "held out",
        "increase",
    ]);
    for outcome in outcomes {
        let (mean, spread) = mean_and_spread(&outcome.held_out);
        table.row(vec![
            outcome.arm.name.to_owned(),
            outcome.hop_bytes.to_string(),
            format!("{:.1}", token_bytes(outcome)),
            format!("{:.1}", fewer(outcomes, outcome)),
            outcome.arm.parameters(text)?.to_string(),
            format!("{mean:.3} ± {spread:.3}"),
            format!("{:+.3}", increase(outcomes, outcome)),
        ]);
    }
    Ok(table)
}
