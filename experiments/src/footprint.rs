//! What generation takes of memory, and its speed, with weights that are kept at two bytes a number
//! and with the same weights widened.
//!
//! A folder of a model with random weights of bf16 or f16 is written first, tensor by tensor. Then
//! every way reads it in a process of its own, so that the most memory which that process ever had
//! is the way's; all of them must draw the same tokens with the same bits.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::HalfFormat;
use reproducible_ops::weights::Weights;
use serde_json::{Value, json};
use swarm_model::config::hugging_face;
use swarm_model::generate::{Footprint, Generation, Prompt, Request};
use swarm_model::{Generator, ModelConfig};
use swarm_node::job::peak_bytes;

use crate::experiment::Experiment;
use crate::machine;
use crate::samples::{rounded, shown};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "footprint",
    about: "memory and speed of generation with weights at two bytes a number and widened",
    run,
};

/// Numbers that are written at a time.
const CHUNK: usize = 1 << 16;

/// Generates with a model of random weights.
#[derive(Debug, Parser)]
#[command(name = "footprint")]
struct Options {
    /// The model, by preset name.
    #[arg(long, default_value = "qwen2.5-1.5b")]
    model: String,
    /// How its folder has weights.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// How weights are kept.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "halves,widened"
    )]
    kept: Vec<Kept>,
    /// Folder in which the model's folder is made and removed again [default: the system's].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 32)]
    prompt: usize,
    /// Tokens that are timed, behind a first one.
    #[arg(long, default_value_t = 31)]
    tokens: usize,
    /// Measures the model of this folder in this process and prints what it found as JSON.
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

/// A type of weights.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// bfloat16.
    #[default]
    Bf16,
    /// IEEE binary16.
    F16,
}

/// How weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kept {
    /// At two bytes a number.
    Halves,
    /// As floats.
    Widened,
}

impl Format {
    /// Name in a safetensors file, and in a configuration.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Bf16 => ["BF16", "bfloat16"],
            Self::F16 => ["F16", "float16"],
        }
    }

    /// Bits of 1.
    fn one(self) -> u16 {
        match self {
            Self::Bf16 => 0x3f80,
            Self::F16 => 0x3c00,
        }
    }

    /// A number of any sign between `2^exponent` and twice that.
    fn number(self, random: u16, exponent: i32) -> u16 {
        let (fraction_bits, bias) = match self {
            Self::Bf16 => (7, 127),
            Self::F16 => (10, 15),
        };
        let fraction = random & ((1 << fraction_bits) - 1);
        random & 0x8000 | ((bias + exponent) as u16) << fraction_bits | fraction
    }

    fn half(self) -> HalfFormat {
        match self {
            Self::Bf16 => HalfFormat::Bf16,
            Self::F16 => HalfFormat::F16,
        }
    }
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Halves => "halves",
            Self::Widened => "widened",
        }
    }
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    if let Some(folder) = &options.inside {
        let [kept] = options.kept[..] else {
            anyhow::bail!("--inside measures one way");
        };
        return measure(&options, folder, kept);
    }
    let config = ModelConfig::preset(&options.model)?;
    let folder = match &options.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    write_model(&config, options.format, folder.path())?;
    let rows: Vec<Value> = options
        .kept
        .iter()
        .map(|&kept| measure_in_process(arguments, folder.path(), kept))
        .collect::<Result<_>>()?;
    let first = &rows.first().context("--kept names no way")?["generated"];
    ensure!(
        rows.iter().all(|row| row["generated"] == *first),
        "the ways draw other tokens, or other bits"
    );
    print!("{}", table(&rows));
    Ok(json!({
        "experiment": "footprint", "model": options.model,
        "parameters": config.parameter_count(), "format": options.format.names()[1],
        "threads": options.threads, "prompt": options.prompt, "tokens": options.tokens,
        "load": machine::load(), "rows": rows,
    }))
}

/// Runs this program again for one way.
fn measure_in_process(arguments: &[String], folder: &Path, kept: Kept) -> Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .args(without_kept(arguments))
        .args(["--kept", kept.name(), "--inside"])
        .arg(folder)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "measuring {} ended with {}",
        kept.name(),
        output.status
    );
    serde_json::from_slice(&output.stdout).context("reading what the measuring process found")
}

/// The arguments but for `--kept`, which may be given once only.
fn without_kept(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--kept" => drop(arguments.next()),
            joined if joined.starts_with("--kept=") => {}
            _ => kept.push(argument.clone()),
        }
    }
    kept
}

fn measure(options: &Options, folder: &Path, kept: Kept) -> Result<Value> {
    let begun = Instant::now();
    let text = std::fs::read_to_string(folder.join("config.json"))?;
    let config = hugging_face::parse(&text)?;
    let weights = match kept {
        Kept::Halves => Weights::load_halves(folder)?,
        Kept::Widened => Weights::load(folder)?,
    };
    let format = weights.get("model.norm.weight").context("no last norm")?;
    let format = format.halves().map(|halves| halves.format());
    let expected = (kept == Kept::Halves).then(|| options.format.half());
    ensure!(format == expected, "weights are kept as {format:?}");
    let planned = Footprint::of(&config, &weights, options.prompt + options.tokens + 1)?;
    let mut generator = Generator::new(Arc::new(CpuEngine::new(options.threads)), config, &[])?;
    generator.set_weights(weights)?;
    let load_seconds = begun.elapsed().as_secs_f64();
    // With the default lengths one program decodes both.
    let mut timed = |tokens: usize| -> Result<(f64, Generation)> {
        let begun = Instant::now();
        let generation = generate(&mut generator, options.prompt, tokens)?;
        Ok((begun.elapsed().as_secs_f64(), generation))
    };
    timed(1)?;
    timed(options.tokens + 1)?;
    let (first_seconds, _) = timed(1)?;
    let (seconds, generation) = timed(options.tokens + 1)?;
    let logp: Vec<u32> = generation.logp.iter().map(|logp| logp.to_bits()).collect();
    Ok(json!({
        "kept": kept.name(),
        "planned_bytes": planned.total(1),
        "planned_weights_bytes": planned.weights,
        "peak_bytes": peak_bytes(),
        "load_seconds": load_seconds,
        "prompt_seconds": first_seconds,
        "tokens_per_second": rounded(options.tokens as f64 / (seconds - first_seconds)),
        "generated": json!({ "tokens": generation.tokens, "logp": logp }),
    }))
}

fn generate(generator: &mut Generator, prompt: usize, tokens: usize) -> Result<Generation> {
    let prompt = Prompt {
        tokens: (1..=prompt as u32).collect(),
        index: 0,
    };
    let written = generator.generate(&Request {
        prompts: &[prompt],
        samples: 1,
        max_new: tokens,
        key: [1, 2],
        temperature: 1.0,
    })?;
    let mut generations = written.into_iter().flatten();
    generations.next().context("nothing was generated")
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new([
        "weights",
        "planned MB",
        "peak MB",
        "read, packed s",
        "prompt s",
        "tokens/s",
    ]);
    for row in rows {
        let number = |key: &str, unit: f64, decimals| {
            shown(row[key].as_f64().unwrap_or(f64::NAN) / unit, decimals)
        };
        table.row(vec![
            row["kept"].as_str().unwrap_or("?").to_owned(),
            number("planned_bytes", 1e6, 0),
            number("peak_bytes", 1e6, 0),
            number("load_seconds", 1.0, 1),
            number("prompt_seconds", 1.0, 2),
            number("tokens_per_second", 1.0, 2),
        ]);
    }
    table
}

/// Writes a folder with a configuration and random weights.
fn write_model(config: &ModelConfig, format: Format, folder: &Path) -> Result<()> {
    let [dtype, name] = format.names();
    let mut settings = hugging_face::to_json(config);
    settings.insert("dtype".into(), json!(name));
    std::fs::write(
        folder.join("config.json"),
        Value::from(settings).to_string(),
    )?;
    let parameters = config.parameters();
    let (mut header, mut start) = (serde_json::Map::new(), 0);
    for (name, shape) in &parameters {
        let end = start + 2 * shape.iter().product::<usize>();
        let view = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), view);
        start = end;
    }
    let header = Value::from(header).to_string();
    let mut file = BufWriter::new(File::create(folder.join("model.safetensors"))?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut random = Stream::from_seed("experiments/footprint", 1);
    for (name, shape) in &parameters {
        write_tensor(&mut file, format, name, shape, &mut random)?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

/// Norms of 1, biases of 0, and matrices whose products with unit inputs are about as large.
fn write_tensor(
    file: &mut impl Write,
    format: Format,
    name: &str,
    shape: &[usize],
    random: &mut Stream,
) -> Result<()> {
    let count: usize = shape.iter().product();
    let &[_, width] = shape else {
        let all = if name.ends_with(".bias") {
            0
        } else {
            format.one()
        };
        return Ok(file.write_all(&all.to_le_bytes().repeat(count))?);
    };
    let exponent = -i32::try_from(width.ilog2().div_ceil(2))? - 1;
    let mut left = count;
    while left > 0 {
        let numbers = CHUNK.min(left);
        let drawn = (0..numbers.div_ceil(2)).flat_map(|_| {
            let bits = random.next_u32();
            [bits as u16, (bits >> 16) as u16]
        });
        let bytes = drawn.flat_map(|bits| format.number(bits, exponent).to_le_bytes());
        let bytes: Vec<u8> = bytes.take(2 * numbers).collect();
        file.write_all(&bytes)?;
        left -= numbers;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_draw_the_same_from_a_small_model() {
        for format in [Format::Bf16, Format::F16] {
            let folder = tempfile::tempdir().unwrap();
            let config = ModelConfig::preset("nano").unwrap();
            write_model(&config, format, folder.path()).unwrap();
            let name = format.to_possible_value().unwrap();
            let found = ["halves", "widened"].map(|kept| {
                let arguments = [
                    "footprint",
                    "--model",
                    "nano",
                    "--prompt",
                    "3",
                    "--tokens",
                    "4",
                ];
                let options = Options::parse_from(arguments.into_iter().chain([
                    "--kept",
                    kept,
                    "--format",
                    name.get_name(),
                ]));
                measure(&options, folder.path(), options.kept[0]).unwrap()
            });
            assert_eq!(found[0]["generated"], found[1]["generated"]);
            assert_eq!(found[0]["generated"]["tokens"].as_array().unwrap().len(), 5);
            let planned = |at: usize| found[at]["planned_weights_bytes"].as_u64().unwrap();
            assert!(3 * planned(0) < planned(1));
        }
    }

    #[test]
    fn the_way_is_replaced() {
        let given = [
            "footprint",
            "--kept",
            "halves",
            "--kept=widened",
            "--threads",
            "1",
        ];
        let given = given.map(str::to_owned);
        assert_eq!(without_kept(&given), ["footprint", "--threads", "1"]);
    }
}
