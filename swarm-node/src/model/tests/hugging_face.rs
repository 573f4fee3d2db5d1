//! Checkpoints written by transformers give its logits: see `tests/transformers/make_fixture.py`.

use std::path::PathBuf;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use reproducible_ops::engine::reference;
use reproducible_ops::tensor::Tensor as HostTensor;
use serde::Deserialize;

use crate::model::decoder::{CausalLm, Context, Mask};
use crate::model::{Checkpoint, programs, rope};

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<Vec<i32>>,
    stride: usize,
    logits: Vec<Vec<Vec<f32>>>,
    texts: Vec<String>,
    encoded: Vec<Vec<u32>>,
}

fn load(name: &str) -> (Checkpoint, Expected) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transformers").join(name);
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    (Checkpoint::load(folder).unwrap(), serde_json::from_str(&expected).unwrap())
}

/// Largest distance of the compared logits.
fn distance(expected: &Expected, logits: &[f32], vocab: usize) -> f32 {
    let rows = expected.logits.iter().flatten();
    let compared =
        rows.zip(logits.chunks(vocab)).flat_map(|(row, found)| row.iter().zip(found.iter().step_by(expected.stride)));
    compared.map(|(expected, found)| (expected - found).abs()).fold(0.0, f32::max)
}

fn positions(expected: &Expected) -> Vec<i32> {
    expected.tokens.iter().flat_map(|row| 0..row.len() as i32).collect()
}

fn eager_logits(checkpoint: &Checkpoint, expected: &Expected) -> Vec<f32> {
    let device = Device::flex();
    let model = CausalLm::load(&checkpoint.config, &checkpoint.weights, &device).unwrap();
    let shape = [expected.tokens.len(), expected.tokens[0].len()];
    let ids = |values: Vec<i32>| Tensor::<2, Int>::from_data(TensorData::new(values, shape), (&device, DType::I32));
    let tables = rope::Tables::new(&checkpoint.config).unwrap();
    let table = |tensor: &HostTensor| {
        let data = TensorData::new(tensor.as_f32().unwrap().to_vec(), tensor.shape().dims().to_vec());
        Tensor::<2>::from_data(data, &device)
    };
    let positions = ids(positions(expected));
    let zeros = ids(vec![0; shape[0] * shape[1]]);
    let mask = Mask::segments(positions.clone(), zeros.clone(), zeros);
    let context = Context::new(positions, table(&tables.cos), table(&tables.sin), mask);
    model.forward(ids(expected.tokens.concat()), &context).into_data().try_to_vec().unwrap()
}

fn program_logits(checkpoint: &Checkpoint, expected: &Expected) -> Vec<f32> {
    let (rows, length) = (expected.tokens.len(), expected.tokens[0].len());
    let program = programs::forward(&checkpoint.config, rows, length).unwrap();
    let tables = rope::Tables::new(&checkpoint.config).unwrap();
    let inputs = program.inputs().iter().map(|input| match input.name.as_str() {
        "tokens" => HostTensor::i32([rows, length], expected.tokens.concat()).unwrap(),
        "positions" => HostTensor::i32([rows, length], positions(expected)).unwrap(),
        "segment" | "parent" => HostTensor::zeros(input.ty.clone()),
        "rope.cos" => tables.cos.clone(),
        "rope.sin" => tables.sin.clone(),
        weight => checkpoint.weights.get(weight).unwrap().clone(),
    });
    let logits = reference::evaluate(&program, &inputs.collect::<Vec<_>>()).unwrap().remove(0);
    logits.as_f32().unwrap().to_vec()
}

fn check(name: &str) {
    let (checkpoint, expected) = load(name);
    let vocab = checkpoint.config.vocab_size;
    for logits in [eager_logits(&checkpoint, &expected), program_logits(&checkpoint, &expected)] {
        let distance = distance(&expected, &logits, vocab);
        assert!(distance < 1e-4, "{name}: logits differ by {distance}");
        assert!(logits.iter().any(|logit| logit.abs() > 1.0), "logits too small to compare");
    }
}

#[test]
fn qwen2_logits_are_those_of_transformers() {
    check("qwen2");
}

#[test]
fn llama_logits_are_those_of_transformers() {
    check("llama");
}

#[test]
fn tokenizers_are_read() {
    let (Checkpoint { tokenizer, .. }, expected) = load("qwen2");
    for (text, ids) in expected.texts.iter().zip(&expected.encoded) {
        assert_eq!(tokenizer.encode(text).unwrap(), *ids);
        assert_eq!(tokenizer.decode(ids).unwrap(), *text);
    }
    assert_eq!((tokenizer.eos(), tokenizer.pad(), tokenizer.vocab_size()), (0, 1, 295));
}

#[test]
fn parameters_are_named_by_their_modules() {
    for name in ["qwen2", "llama"] {
        let (checkpoint, _) = load(name);
        let model = CausalLm::load(&checkpoint.config, &checkpoint.weights, &Device::flex()).unwrap();
        assert_eq!(reproducible_ops::lower::parameters(&model).unwrap(), checkpoint.weights);
        let program = programs::forward(&checkpoint.config, 1, 3).unwrap();
        let params = program.inputs_with_role(reproducible_ops::program::Role::Param);
        let params = params.map(|(_, input)| (input.name.clone(), input.ty.shape.dims().to_vec()));
        assert_eq!(params.collect::<Vec<_>>(), checkpoint.config.parameters());
    }
}
