//! Checkpoints written by transformers give its logits: see `tests/transformers/make_fixture.py`.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::engine::{Engine, reference};
use reproducible_ops::tensor::{HalfFormat, Tensor as HostTensor};
use reproducible_ops::weights::Weights;
use serde::Deserialize;

use crate::config::RopeScaling;
use crate::config::hugging_face::{parse, to_json};
use crate::decoder::{CausalLm, Context, Mask};
use crate::generate::{Claimed, Prompt, Request};
use crate::programs::Prefill;
use crate::{Checkpoint, Generator, ModelConfig, programs, rope};

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<Vec<i32>>,
    stride: usize,
    logits: Vec<Vec<Vec<f32>>>,
    greedy: Vec<Vec<u32>>,
    texts: Vec<String>,
    encoded: Vec<Vec<u32>>,
}

fn fixture(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join("tests/transformers").join(name)
}

fn load(name: &str) -> (Checkpoint, Expected) {
    let folder = fixture(name);
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    (
        Checkpoint::load(folder).unwrap(),
        serde_json::from_str(&expected).unwrap(),
    )
}

/// Largest distance of the compared logits.
fn distance(expected: &Expected, logits: &[f32], vocab: usize) -> f32 {
    let rows = expected.logits.iter().flatten();
    let compared = rows
        .zip(logits.chunks(vocab))
        .flat_map(|(row, found)| row.iter().zip(found.iter().step_by(expected.stride)));
    compared
        .map(|(expected, found)| (expected - found).abs())
        .fold(0.0, f32::max)
}

fn positions(expected: &Expected) -> Vec<i32> {
    expected
        .tokens
        .iter()
        .flat_map(|row| 0..row.len() as i32)
        .collect()
}

fn eager_logits(checkpoint: &Checkpoint, expected: &Expected) -> Vec<f32> {
    let device = Device::flex();
    let model = CausalLm::load(&checkpoint.config, &checkpoint.weights, &device).unwrap();
    let shape = [expected.tokens.len(), expected.tokens[0].len()];
    let ids = |values: Vec<i32>| {
        Tensor::<2, Int>::from_data(TensorData::new(values, shape), (&device, DType::I32))
    };
    let tables = rope::Tables::new(&checkpoint.config, shape[1]).unwrap();
    let table = |tensor: &HostTensor| {
        let data = TensorData::new(
            tensor.as_f32().unwrap().to_vec(),
            tensor.shape().dims().to_vec(),
        );
        Tensor::<2>::from_data(data, &device)
    };
    let positions = ids(positions(expected));
    let zeros = ids(vec![0; shape[0] * shape[1]]);
    let mask = Mask::segments(positions.clone(), zeros.clone(), zeros);
    let context = Context::new(positions, table(&tables.cos), table(&tables.sin), mask);
    model
        .forward(ids(expected.tokens.concat()), &context)
        .into_data()
        .try_to_vec()
        .unwrap()
}

fn program_logits(checkpoint: &Checkpoint, expected: &Expected) -> Vec<f32> {
    let (rows, length) = (expected.tokens.len(), expected.tokens[0].len());
    let program = programs::forward(&checkpoint.config, rows, length).unwrap();
    let tables = rope::Tables::new(&checkpoint.config, length).unwrap();
    let inputs = program
        .inputs()
        .iter()
        .map(|input| match input.name.as_str() {
            "tokens" => HostTensor::i32([rows, length], expected.tokens.concat()).unwrap(),
            "positions" => HostTensor::i32([rows, length], positions(expected)).unwrap(),
            "segment" | "parent" => HostTensor::zeros(input.ty.clone()),
            "rope.cos" => tables.cos.clone(),
            "rope.sin" => tables.sin.clone(),
            weight => checkpoint.weights.get(weight).unwrap().clone(),
        });
    let logits = reference::evaluate(&program, &inputs.collect::<Vec<_>>())
        .unwrap()
        .remove(0);
    logits.as_f32().unwrap().to_vec()
}

fn check(name: &str) {
    let (checkpoint, expected) = load(name);
    let vocab = checkpoint.config.vocab_size;
    for logits in [
        eager_logits(&checkpoint, &expected),
        program_logits(&checkpoint, &expected),
    ] {
        let distance = distance(&expected, &logits, vocab);
        assert!(distance < 1e-4, "{name}: logits differ by {distance}");
        assert!(
            logits.iter().any(|logit| logit.abs() > 1.0),
            "logits too small to compare"
        );
    }
}

/// Checkpoints of `tests/transformers`.
const MODELS: [&str; 6] = ["qwen2", "llama", "qwen3", "mistral", "smollm2", "llama32"];

#[test]
fn logits_are_those_of_transformers() {
    for name in MODELS {
        check(name);
    }
}

/// A folder of a fixture's model with weights rounded to a format of two bytes.
fn rounded(name: &str, format: HalfFormat) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(fixture(name).join(file), folder.path().join(file)).unwrap();
    }
    let checkpoint = load(name).0;
    let (mut data, mut header) = (Vec::new(), serde_json::Map::new());
    for (tensor, values) in checkpoint.weights.iter() {
        let start = data.len();
        for &value in values.as_f32().unwrap() {
            let bits = match format {
                HalfFormat::Bf16 => (value.to_bits() >> 16) as u16,
                HalfFormat::F16 => f16_below(value),
            };
            data.extend(bits.to_le_bytes());
        }
        let dtype = if format == HalfFormat::F16 {
            "F16"
        } else {
            "BF16"
        };
        let view = serde_json::json!({
            "dtype": dtype, "shape": values.shape().dims(), "data_offsets": [start, data.len()],
        });
        header.insert(tensor.to_owned(), view);
    }
    let header = serde_json::Value::from(header).to_string();
    let bytes = [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &data,
    ]
    .concat();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

/// The binary16 whose magnitude is the largest that is not above.
fn f16_below(value: f32) -> u16 {
    let sign = if value < 0.0 { 0x8000 } else { 0 };
    let widen = |bits: u16| f32::from_bits(HalfFormat::F16.widen(bits));
    let (mut low, mut high) = (0, 0x7c00);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if widen(middle) <= value.abs() {
            low = middle;
        } else {
            high = middle;
        }
    }
    sign | low
}

/// Logits of prompts long and short, in few rows and many, sampled tokens, replayed ones.
#[test]
fn weights_at_two_bytes_give_the_bits_of_widened_ones() {
    for (name, format) in [
        ("qwen2", HalfFormat::Bf16),
        ("llama", HalfFormat::F16),
        ("qwen3", HalfFormat::F16),
    ] {
        let folder = rounded(name, format);
        let kept = Checkpoint::load_halves(folder.path()).unwrap();
        let wide = Checkpoint::load(folder.path()).unwrap();
        assert!(
            kept.weights
                .iter()
                .all(|(_, tensor)| tensor.halves().is_some())
        );
        assert!(
            wide.weights
                .iter()
                .all(|(_, tensor)| tensor.halves().is_none())
        );
        assert_eq!(kept.weights.digest(), wide.weights.digest());
        let expected = load(name).1;
        assert_eq!(
            program_logits(&kept, &expected),
            program_logits(&wide, &expected),
            "{name}"
        );
        let written = [kept, wide].map(|checkpoint| {
            let Checkpoint {
                config, weights, ..
            } = checkpoint;
            let engine = Arc::new(CpuEngine::new(2));
            let logits = logits(engine.as_ref(), &config, &weights);
            let mut generator = Generator::new(engine, config.clone(), &[]).unwrap();
            generator.set_weights(weights).unwrap();
            let vocab = config.vocab_size as u32;
            let prompts = [3, 9, 40].map(|length| Prompt {
                tokens: (0..length).map(|at| (at * 7 + length) % vocab).collect(),
                index: length,
            });
            let request = Request {
                prompts: &prompts,
                samples: 3,
                max_new: 12,
                key: [5, 6],
                temperature: 0.8,
            };
            let generations = generator.generate(&request).unwrap();
            let bits: Vec<(Vec<u32>, Vec<u32>)> = generations
                .iter()
                .flatten()
                .map(|one| {
                    let logp = one.logp.iter().map(|logp| logp.to_bits()).collect();
                    (one.tokens.clone(), logp)
                })
                .collect();
            let claimed = generations[2].iter().zip(0..).map(|(one, sample)| Claimed {
                prompt: &prompts[2],
                sample,
                tokens: &one.tokens,
            });
            let claimed: Vec<Claimed<'_>> = claimed.collect();
            let replayed = generator.replay(&claimed, [5, 6], 0.8).unwrap();
            (logits, bits, replayed)
        });
        assert_eq!(written[0], written[1], "{name} {format:?}");
        let tokens = written[0].1[6..].iter().map(|(tokens, _)| tokens.clone());
        assert_eq!(
            tokens.collect::<Vec<_>>(),
            written[0].2,
            "{name}: the replay"
        );
    }
}

/// Bits of the logits of a prompt that has more rows than are packed for few.
fn logits(engine: &CpuEngine, config: &ModelConfig, weights: &Weights) -> Vec<u32> {
    let length = 150.min(config.max_positions);
    let sizes = Prefill {
        rows: 1,
        length,
        slots: length,
        logits: true,
    };
    let program = programs::prefill(config, sizes).unwrap();
    let mut session = engine.load(&program).unwrap();
    weights.write_to(session.as_mut()).unwrap();
    let tables = rope::Tables::new(config, length).unwrap();
    tables.write_to(session.as_mut()).unwrap();
    let vocab = config.vocab_size as u32;
    let tokens: Vec<u32> = (0..length as u32).map(|at| at * at % vocab).collect();
    session.write_words("tokens", &tokens).unwrap();
    let positions: Vec<u32> = (0..length as u32).collect();
    session.write_words("positions", &positions).unwrap();
    session.run().unwrap();
    session.read_words("logits").unwrap()
}

#[test]
fn greedy_continuations_are_those_of_transformers() {
    for name in MODELS {
        let (checkpoint, expected) = load(name);
        let mut generator =
            Generator::new(Arc::new(CpuEngine::new(1)), checkpoint.config, &[]).unwrap();
        generator.set_weights(checkpoint.weights).unwrap();
        let prompt = |row: &Vec<i32>| Prompt {
            tokens: row.iter().map(|&id| id as u32).collect(),
            index: 0,
        };
        let prompts: Vec<Prompt> = expected.tokens.iter().map(prompt).collect();
        let max_new = expected.greedy[0].len();
        let request = Request {
            prompts: &prompts,
            samples: 1,
            max_new,
            key: [0; 2],
            temperature: 0.0,
        };
        let made = generator.generate(&request).unwrap();
        let tokens: Vec<&Vec<u32>> = made
            .iter()
            .map(|completions| &completions[0].tokens)
            .collect();
        assert_eq!(tokens, expected.greedy.iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn configs_are_read_as_they_were_made() {
    let config = |name| load(name).0.config;
    let qwen3 = config("qwen3");
    assert!(qwen3.qk_norm && !qwen3.qkv_bias && qwen3.tied_embeddings && qwen3.head_dim == 12);
    assert!(matches!(
        qwen3.rope_scaling,
        RopeScaling::Yarn { factor: 4.0, .. }
    ));
    assert_eq!(
        config("mistral").max_positions,
        48,
        "the window, not the 128 positions"
    );
    assert_eq!(
        (config("smollm2").rope_theta, config("smollm2").rms_norm_eps),
        (1e5, 1e-5)
    );
    assert!(matches!(
        config("llama32").rope_scaling,
        RopeScaling::Llama3 { factor: 32.0, .. }
    ));
    for name in MODELS {
        let text = serde_json::to_string(&to_json(&config(name))).unwrap();
        assert_eq!(parse(&text).unwrap(), config(name), "{name}: {text}");
    }
}

#[derive(Deserialize)]
struct ExpectedTables {
    name: String,
    config: serde_json::Value,
    positions: Vec<usize>,
    cos: Vec<Vec<f32>>,
    sin: Vec<Vec<f32>>,
}

#[test]
fn rope_tables_are_those_of_transformers() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transformers/rope.json");
    let cases: Vec<ExpectedTables> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for ExpectedTables {
        name,
        config,
        positions,
        cos,
        sin,
    } in cases
    {
        let config = parse(&config.to_string()).unwrap();
        let tables = rope::Tables::new(&config, config.max_positions).unwrap();
        for (table, expected) in [(tables.cos, cos), (tables.sin, sin)] {
            for (position, expected) in positions.iter().zip(expected) {
                let row = table
                    .as_f32()
                    .unwrap()
                    .chunks(config.head_dim)
                    .nth(*position)
                    .unwrap();
                assert_eq!(row[..expected.len()], row[expected.len()..], "halves");
                // A frequency that transformers rounds a few times turns by as many roundings of
                // the angle.
                let tolerance = 3e-7 * (*position as f32 + 1.0);
                let far = row
                    .iter()
                    .zip(&expected)
                    .find(|(found, expected)| (*found - *expected).abs() > tolerance);
                assert_eq!(far, None, "{name}: position {position}");
            }
        }
    }
}

#[test]
fn tokenizers_are_read() {
    let (Checkpoint { tokenizer, .. }, expected) = load("qwen2");
    for (text, ids) in expected.texts.iter().zip(&expected.encoded) {
        assert_eq!(tokenizer.encode(text).unwrap(), *ids);
        assert_eq!(tokenizer.decode(ids).unwrap(), *text);
    }
    assert_eq!(
        (tokenizer.eos(), tokenizer.pad(), tokenizer.vocab_size()),
        (0, 1, 295)
    );
}

#[test]
fn parameters_are_named_by_their_modules() {
    for name in MODELS {
        let (checkpoint, _) = load(name);
        let model =
            CausalLm::load(&checkpoint.config, &checkpoint.weights, &Device::flex()).unwrap();
        assert_eq!(
            reproducible_ops::lower::parameters(&model).unwrap(),
            checkpoint.weights
        );
        let program = programs::forward(&checkpoint.config, 1, 3).unwrap();
        let params = program.inputs_with_role(reproducible_ops::program::Role::Param);
        let params = params.map(|(_, input)| (input.name.clone(), input.ty.shape.dims().to_vec()));
        assert_eq!(params.collect::<Vec<_>>(), checkpoint.config.parameters());
    }
}
