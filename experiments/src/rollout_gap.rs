//! How far a completion's log-probabilities at sampling are from those at training.
//!
//! Sampling goes token by token over a cache, for many rows at once; training sees a completion
//! whole. Where the two round differently, on-policy learning is a little off-policy. Here
//! completions are sampled and scored again: each in a row of its own, and as they are trained,
//! side by side behind their shared prompt. PyTorch is given the same weights and completions and
//! does both, too.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
use reproducible_ops::random::{Stream, key_from};
use serde_json::{Value, json};
use swarm_learn::batch::Sequence;
use swarm_learn::setup;
use swarm_model::ModelConfig;
use swarm_model::generate::{Generation, Generator, Prompt, Request};
use swarm_model::init::initialise;

use crate::experiment::Experiment;
use crate::python::Contender;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "rollout-gap",
    about: "log-probabilities at sampling against those at training, ours and PyTorch's",
    run,
};

/// Samples completions and scores them again.
#[derive(Debug, Parser)]
#[command(name = "rollout-gap")]
struct Options {
    /// Python with PyTorch.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The model, by preset name.
    #[arg(long, default_value = "small10m")]
    model: String,
    /// Prompts, of 4 to 35 tokens.
    #[arg(long, default_value_t = 16)]
    prompts: usize,
    /// Completions of each prompt.
    #[arg(long, default_value_t = 4)]
    samples: u32,
    /// Tokens of a completion.
    #[arg(long, default_value_t = 48)]
    tokens: usize,
}

/// What lies between two lists of log-probabilities of the same tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Gap {
    /// The largest difference, in nats.
    largest: f64,
    /// Tokens whose two numbers have different bits.
    differ: usize,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let model = ModelConfig::preset(&options.model)?;
    let weights = initialise(&model, 1)?;
    let engine = Arc::new(CpuEngine::new(options.threads));
    let prompts = prompts(&options, &model);
    let mut generator = Generator::new(engine.clone(), model.clone(), &[])?;
    generator.set_weights(weights.clone())?;
    let generations = generator.generate(&Request {
        prompts: &prompts,
        samples: options.samples,
        max_new: options.tokens,
        key: key_from("experiments/rollout-gap", &[1; 32], &[0; 32]),
        temperature: 1.0,
    })?;
    let sampled: Vec<Vec<f32>> = generations
        .iter()
        .flatten()
        .map(|generation| generation.logp.clone())
        .collect();
    let together = sequences(&prompts, &generations);
    let alone: Vec<Sequence<'_>> = together.iter().flat_map(alone).collect();
    let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max();
    let longest = longest.context("--prompts is 0")?;
    let row = longest + options.tokens;
    let packed_row = longest + options.samples as usize * (options.tokens + 1);
    let mut own_row = setup::scorer(engine.as_ref(), &model, 1, row, &weights)?;
    let mut packed = setup::scorer(engine.as_ref(), &model, 4, packed_row, &weights)?;
    let apart = alone
        .iter()
        .map(|sequence| own_row.score(std::slice::from_ref(sequence)))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let rows = [
        ("own rows", gap(&sampled, &apart)),
        ("packed", gap(&sampled, &packed.score(&together)?)),
    ];
    let count = sampled.iter().map(Vec::len).sum::<usize>();

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    weights.save(&file)?;
    let given = json!({
        "model": model, "weights": file, "threads": options.threads,
        "prompts": alone.iter().map(|sequence| sequence.prompt).collect::<Vec<_>>(),
        "completions": alone.iter().map(|sequence| &sequence.completions[0]).collect::<Vec<_>>(),
    });
    let theirs = pytorch(&options.python, folder.path(), &given)?;
    print!("{}", table(&rows, theirs.as_ref(), count));
    let found = |gap: &Gap| json!({ "largest": gap.largest, "differ": gap.differ });
    Ok(json!({
        "experiment": "rollout-gap", "model": options.model, "tokens": count,
        "own_rows": found(&rows[0].1), "packed": found(&rows[1].1),
        "pytorch": theirs.as_ref().map(|(version, gap)| {
            json!({ "version": version, "largest": gap.largest, "differ": gap.differ })
        }),
    }))
}

/// Prompts of different lengths, of random tokens.
fn prompts(options: &Options, model: &ModelConfig) -> Vec<Prompt> {
    let mut random = Stream::from_seed("experiments/rollout-gap", 1);
    (0..options.prompts as u32)
        .map(|index| {
            let length = 4 + random.below(32);
            let tokens = (0..length)
                .map(|_| random.below(model.vocab_size as u64) as u32)
                .collect();
            Prompt { tokens, index }
        })
        .collect()
}

/// Each prompt with all its completions.
fn sequences<'a>(prompts: &'a [Prompt], generations: &'a [Vec<Generation>]) -> Vec<Sequence<'a>> {
    let together = prompts.iter().zip(generations);
    together
        .map(|(prompt, generations)| Sequence {
            prompt: &prompt.tokens,
            completions: generations.iter().map(|one| &one.tokens[..]).collect(),
        })
        .collect()
}

/// The same completions, each with the prompt for itself.
fn alone<'a>(together: &Sequence<'a>) -> Vec<Sequence<'a>> {
    let completions = together.completions.iter();
    completions
        .map(|&tokens| Sequence {
            prompt: together.prompt,
            completions: vec![tokens],
        })
        .collect()
}

fn gap(sampled: &[Vec<f32>], scored: &[Vec<f32>]) -> Gap {
    let pairs = sampled.iter().flatten().zip(scored.iter().flatten());
    pairs.fold(Gap::default(), |gap, (x, y)| Gap {
        largest: gap.largest.max(f64::from((x - y).abs())),
        differ: gap.differ + usize::from(x.to_bits() != y.to_bits()),
    })
}

/// PyTorch's version and gap; `None` where it is missing.
fn pytorch(python: &str, folder: &std::path::Path, given: &Value) -> Result<Option<(String, Gap)>> {
    let file = folder.join("given.json");
    std::fs::write(&file, given.to_string())?;
    let options = json!({ "threads": given["threads"], "given": file });
    let isa = InstructionSet::detect();
    let Some(contender) = Contender::start(python, "rollout_gap.py", &options, isa) else {
        return Ok(None);
    };
    let number = |key: &str| {
        let value = contender.hello[key].as_f64();
        value.with_context(|| format!("rollout_gap.py does not say `{key}`"))
    };
    let gap = Gap {
        largest: number("largest")?,
        differ: number("differ")? as usize,
    };
    Ok(Some((contender.version().context("no version")?, gap)))
}

fn table(rows: &[(&str, Gap)], theirs: Option<&(String, Gap)>, count: usize) -> Table {
    let mut table = Table::new(["scored", "largest difference", "tokens that differ", "of"]);
    let mut row = |name: &str, gap: &Gap| {
        table.row(vec![
            name.to_owned(),
            format!("{:.1e}", gap.largest),
            gap.differ.to_string(),
            count.to_string(),
        ]);
    };
    for (name, gap) in rows {
        row(&format!("ours, {name}"), gap);
    }
    if let Some((version, gap)) = theirs {
        row(&format!("PyTorch {version}"), gap);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_in_a_row_of_its_own_has_the_bits_of_its_sampling() {
        let arguments = "rollout-gap --python no-such-python --model nano --prompts 3 --samples 2 \
                         --tokens 7";
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let result = run(&arguments).unwrap();
        assert_eq!(result["tokens"], 42);
        assert_eq!(result["own_rows"]["differ"], 0);
        assert_eq!(result["pytorch"], Value::Null);
    }

    #[test]
    fn one_bit_is_a_difference() {
        let next = f32::from_bits(0.5f32.to_bits() + 1);
        let found = gap(&[vec![1.0, 0.5]], &[vec![1.0, next]]);
        assert_eq!((found.differ, found.largest), (1, f64::from(next - 0.5)));
    }
}
