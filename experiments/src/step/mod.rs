//! One training step of a decoder (10 M parameters unless told otherwise) beside PyTorch, eager and
//! compiled, and beside its own matrix products alone, in one run.
//!
//! All sides take turns, step by step, with the same number of threads. A step is everything from
//! tokens to updated parameters: forward, cross-entropy, backward, clipping by the global norm,
//! AdamW; ours is one program. Its *limit* is the time of its products at the speed that each
//! reaches alone ([`alone`]); a second table says where the rest goes ([`clock`]).

mod alone;
mod clock;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet, StepKind};
use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::optim::{LEARNING_RATE, initial_state};
use reproducible_ops::program::{Program, Role};
use reproducible_ops::random::Stream;
use serde_json::{Value, json};
use swarm_learn::assemble::{Objective, OptimizerConfig, training_step};
use swarm_model::init::initialise;
use swarm_model::rope::{Tables, addressed};
use swarm_model::{ModelConfig, programs};

use crate::experiment::Experiment;
use crate::machine;
use crate::python::Contender;
use crate::samples::{Samples, rounded, shown};
use crate::table::Table;

use alone::Alone;
use clock::{Clock, Kind};

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "step",
    about: "a training step of a decoder against its products alone and PyTorch",
    run,
};

/// Times training steps.
#[derive(Debug, Parser)]
#[command(name = "step")]
struct Options {
    /// Python with PyTorch.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Steps of each side per number of threads.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The model, by preset name.
    #[arg(long, default_value = "small10m")]
    model: String,
    /// Sequences of a batch.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// The instructions that all sides may use.
    #[arg(long, default_value_t = InstructionSet::detect())]
    isa: InstructionSet,
    /// Parts of the forward pass whose values the backward pass computes again instead of keeping
    /// them; 1 keeps all.
    #[arg(long, default_value_t = 1)]
    segments: usize,
    /// Leaves compiled PyTorch out, which takes a minute to get ready.
    #[arg(long)]
    no_compiled: bool,
}

/// How PyTorch takes part, by its key in the result: as it is, and through its compiler.
const RIVALS: [&str; 2] = ["pytorch", "compiled"];

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let model = ModelConfig::preset(&options.model)?;
    let forward = programs::forward(&model, options.batch, options.context)?;
    let program = training_step(
        &forward,
        &Objective::Supervised,
        &OptimizerConfig::default(),
    )?;
    let loss = Objective::Supervised.loss(&forward)?.nodes().len();
    let program = program.recompute_forward(loss, options.segments)?;
    let planned = CpuEngine::planned_bytes(&program)?;
    let rows: Vec<Row> = options
        .threads
        .iter()
        .map(|&threads| measure(&options, &model, &program, threads))
        .collect::<Result<_>>()?;
    let flops = flops(&model, options.batch, options.context);
    print!("{}", table(&rows, flops));
    for row in &rows {
        print!("\n{}", row.kinds_table());
    }
    let peak = swarm_node::job::peak_bytes();
    println!(
        "\nmemory of the step: {:.0} MB planned, with {} segments; {} MB were the most of this process",
        planned as f64 / 1e6,
        options.segments,
        peak.map_or("?".to_owned(), |bytes| (bytes / 1_000_000).to_string()),
    );
    Ok(json!({
        "experiment": "step", "model": options.model, "parameters": model.parameter_count(),
        "batch": options.batch, "context": options.context, "gflop_per_step": rounded(flops / 1e9),
        "isa": options.isa.name(), "load": machine::load(), "segments": options.segments,
        "planned_bytes": planned, "peak_bytes": peak,
        "pytorch": rows.iter().flat_map(|row| &row.rivals).find_map(|rival| rival.version.clone()),
        "rows": rows.iter().map(|row| row.json(flops)).collect::<Vec<_>>(),
    }))
}

/// Floating-point operations of the matrix products of a step. Attention counts in full, though
/// half of it is masked.
fn flops(model: &ModelConfig, batch: usize, context: usize) -> f64 {
    let matrices = model
        .parameters()
        .into_iter()
        .filter(|(name, shape)| shape.len() == 2 && !name.contains("embed"));
    let weights: usize = matrices
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    let attention = 2 * model.num_layers * context * model.query_width();
    3.0 * 2.0 * (batch * context) as f64 * (weights + attention) as f64
}

/// Times of all sides with one number of threads.
struct Row {
    threads: usize,
    ours: Samples,
    /// In the order of [`RIVALS`].
    rivals: [Rival; RIVALS.len()],
    /// Our products alone.
    limit: Samples,
    /// Floating-point operations of the products of our plan.
    planned_flops: f64,
    /// Where our time goes.
    kinds: BTreeMap<StepKind, Kind>,
}

/// Times of one rival; none, and no version, where it cannot take part.
#[derive(Default)]
struct Rival {
    seconds: Samples,
    version: Option<String>,
}

fn measure(
    options: &Options,
    model: &ModelConfig,
    program: &Program,
    threads: usize,
) -> Result<Row> {
    let clock = Arc::new(Clock::new());
    let engine = CpuEngine::with_instruction_set(options.isa, threads)?
        .observed(Arc::clone(&clock) as Arc<_>);
    let mut session = session(model, program, &engine)?;
    let mut contenders = RIVALS.map(|rival| contender(options, model, threads, rival));
    let mut rivals: [Rival; RIVALS.len()] = Default::default();
    for (rival, contender) in rivals.iter_mut().zip(&contenders) {
        rival.version = contender.as_ref().and_then(Contender::version);
    }
    let [mut ours, mut limit] = [(); 2].map(|()| Samples::default());
    let mut kinds = BTreeMap::new();
    step(session.as_mut())?;
    let mut alone = Alone::new(&clock.products(), options.isa, threads)?;
    for _ in 0..options.rounds {
        ours.push(step(session.as_mut())?);
        clock.push_to(&mut kinds);
        limit.push(alone.measure()?);
        for (rival, contender) in rivals.iter_mut().zip(&mut contenders) {
            if let Some(contender) = contender {
                rival.seconds.push(contender.measure()?);
            }
        }
    }
    Ok(Row {
        threads,
        ours,
        rivals,
        limit,
        planned_flops: alone.flops(),
        kinds,
    })
}

fn contender(
    options: &Options,
    model: &ModelConfig,
    threads: usize,
    rival: &str,
) -> Option<Contender> {
    let compiled = rival == "compiled";
    if compiled && options.no_compiled {
        return None;
    }
    let shape = json!({
        "model": model,
        "threads": threads,
        "batch": options.batch,
        "context": options.context,
        "compiled": compiled,
    });
    Contender::start(&options.python, "step.py", &shape, options.isa)
}

/// Seconds of one step.
fn step(session: &mut dyn Session) -> Result<f64> {
    let start = Instant::now();
    session.run()?;
    session.advance();
    Ok(start.elapsed().as_secs_f64())
}

/// The program with initial weights and a batch of random bytes.
fn session(model: &ModelConfig, program: &Program, engine: &CpuEngine) -> Result<Box<dyn Session>> {
    let mut session = engine.load(program)?;
    initialise(model, 1)?.write_to(session.as_mut())?;
    Tables::new(model, addressed(program))?.write_to(session.as_mut())?;
    for (name, tensor) in initial_state(program) {
        session.write(&name, &tensor)?;
    }
    write_batch(session.as_mut(), program, model.vocab_size as u64)?;
    Ok(session)
}

/// Every position is trained, and attends to all earlier ones of its row.
fn write_batch(session: &mut dyn Session, program: &Program, vocabulary: u64) -> Result<()> {
    let mut random = Stream::from_seed("experiments/step", 1);
    let tokens = program
        .inputs()
        .iter()
        .find(|input| input.name == "tokens")
        .context("the program reads no tokens")?;
    let (count, context) = (tokens.ty.shape.elements(), tokens.ty.shape.last().max(1));
    for (_, input) in program.inputs_with_role(Role::Data) {
        let words: Vec<u32> = match input.name.as_str() {
            "tokens" | "targets" => (0..count)
                .map(|_| random.below(vocabulary) as u32)
                .collect(),
            "positions" => (0..count).map(|at| (at % context) as u32).collect(),
            "token_count" => vec![(count as f32).to_bits()],
            LEARNING_RATE => vec![1e-4f32.to_bits()],
            "loss_weight" => vec![1f32.to_bits(); count],
            _ => vec![0; input.ty.shape.elements()],
        };
        session.write_words(&input.name, &words)?;
    }
    Ok(())
}

impl Row {
    fn json(&self, flops: f64) -> Value {
        let side = |samples: &Samples| {
            json!({
                "best": rounded(samples.best()), "median": rounded(samples.median()),
                "gflops": rounded(flops / samples.best() / 1e9).filter(|speed| *speed > 0.0),
            })
        };
        let mut row = json!({
            "threads": self.threads,
            "ours": side(&self.ours),
            "limit": {
                "median": rounded(self.limit.median()),
                "gflops": rounded(self.limit_speed()),
                "share": rounded(self.limit.ratio_to(&self.ours)),
            },
            "kinds": self.kinds.iter().map(|(kind, steps)| json!({
                "kind": kind.name(), "steps": steps.steps,
                "median": rounded(steps.seconds.median()),
            })).collect::<Vec<_>>(),
        });
        for (name, rival) in RIVALS.iter().zip(&self.rivals) {
            let mut theirs = side(&rival.seconds);
            let ratio = self.ours.best() / rival.seconds.best();
            theirs["ratio"] = json!(rounded(ratio).filter(|ratio| *ratio > 0.0));
            theirs["ratio_median"] = json!(rounded(self.ours.ratio_to(&rival.seconds)));
            row[*name] = theirs;
        }
        row
    }

    /// GFLOP/s of the products alone.
    fn limit_speed(&self) -> f64 {
        self.planned_flops / self.limit.median() / 1e9
    }

    /// Where the time of a step goes.
    fn kinds_table(&self) -> Table {
        let total: f64 = self.kinds.values().map(|kind| kind.seconds.median()).sum();
        let heading = format!("{} threads", self.threads);
        let mut table = Table::new([heading.as_str(), "steps", "ms", "% of step"]);
        for (kind, steps) in &self.kinds {
            let seconds = steps.seconds.median();
            table.row(vec![
                kind.name().to_owned(),
                steps.steps.to_string(),
                shown(seconds * 1e3, 2),
                shown(seconds / total * 100.0, 1),
            ]);
        }
        table
    }
}

/// Seconds and speed of all sides; ratios are our time by theirs.
fn table(rows: &[Row], flops: f64) -> Table {
    let headings = [
        "threads",
        "side",
        "best s",
        "median s",
        "GFLOP/s",
        "ratio",
        "median ratio",
        "limit GFLOP/s",
        "share of limit",
    ];
    let mut table = Table::new(headings);
    for row in rows {
        let mut cells = vec![row.threads.to_string(), "ours".to_owned()];
        cells.extend(times(&row.ours, flops));
        cells.extend(["", ""].map(str::to_owned));
        cells.push(shown(row.limit_speed(), 0));
        cells.push(shown(row.limit.ratio_to(&row.ours), 3));
        table.row(cells);
        for (name, rival) in RIVALS.iter().zip(&row.rivals) {
            if rival.version.is_none() {
                continue;
            }
            let mut cells = vec![row.threads.to_string(), (*name).to_owned()];
            cells.extend(times(&rival.seconds, flops));
            cells.push(shown(row.ours.best() / rival.seconds.best(), 3));
            cells.push(shown(row.ours.ratio_to(&rival.seconds), 3));
            table.row(cells);
        }
    }
    table
}

fn times(samples: &Samples, flops: f64) -> [String; 3] {
    [
        shown(samples.best(), 3),
        shown(samples.median(), 3),
        shown(flops / samples.best() / 1e9, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_six_per_weight_and_token_plus_attention() {
        let model = ModelConfig::preset("nano").unwrap();
        // 4 layers of 4·96² + 3·96·256 weights and a head of 64·96; two products of context · width
        // per layer.
        let weights = 4.0 * (4.0 * 96.0 * 96.0 + 3.0 * 96.0 * 256.0) + 64.0 * 96.0;
        let expected = 6.0 * 10.0 * (weights + 2.0 * 4.0 * 5.0 * 96.0);
        assert_eq!(flops(&model, 2, 5), expected);
    }

    #[test]
    fn a_step_of_a_small_model_is_measured_without_python() {
        let arguments = [
            "step",
            "--python",
            "no-such-python",
            "--threads",
            "1",
            "--rounds",
            "1",
            "--model",
            "nano",
        ];
        let sizes = ["--batch", "1", "--context", "8"];
        let arguments: Vec<String> = arguments
            .iter()
            .chain(&sizes)
            .map(|text| (*text).to_owned())
            .collect();
        let result = run(&arguments).unwrap();
        let row = &result["rows"][0];
        assert!(row["ours"]["best"].as_f64().unwrap() > 0.0);
        assert!(row["limit"]["share"].as_f64().unwrap() > 0.0);
        let kinds = row["kinds"].as_array().unwrap();
        let products = kinds.iter().find(|kind| kind["kind"] == "products");
        // Seven weights of four layers and the head, forward and by two gradients, of which the
        // embedding has one.
        assert_eq!(products.unwrap()["steps"], 3 * (4 * 7 + 1) + 1);
        for rival in RIVALS {
            assert_eq!(row[rival]["ratio"], Value::Null);
        }
        assert_eq!(result["pytorch"], Value::Null);
    }
}
