//! A whole decoder block, and what the program of it looks like.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::prelude::*;
use burn::tensor::activation::{log_softmax, silu, softmax};

use super::super::{lower, ops, parameters};
use super::{assert_close, evaluate_named, floats, ints, on_flex, operators};
use crate::program::Role;
use crate::tensor::Tensor as HostTensor;
use crate::weights::Weights;

const WIDTH: usize = 16;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const VOCAB: usize = 11;

#[derive(Module, Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

#[derive(Module, Debug)]
struct Block {
    norm: RmsNorm,
    attention: Attention,
    gate: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Module, Debug)]
struct Model {
    embedding: Embedding,
    layers: Vec<Block>,
    scale: Param<Tensor<1>>,
}

fn linear(input: usize, output: usize, bias: bool) -> Linear {
    LinearConfig::new(input, output)
        .with_bias(bias)
        .init(&Device::flex())
}

impl Block {
    fn new() -> Self {
        let kv = WIDTH / HEADS * KV_HEADS;
        let attention = Attention {
            query: linear(WIDTH, WIDTH, true),
            key: linear(WIDTH, kv, true),
            value: linear(WIDTH, kv, false),
            output: linear(WIDTH, WIDTH, false),
        };
        let norm = RmsNormConfig::new(WIDTH).init(&Device::flex());
        Self {
            norm,
            attention,
            gate: linear(WIDTH, 24, false),
            up: linear(WIDTH, 24, false),
            down: linear(24, WIDTH, false),
        }
    }

    fn forward(&self, x: Tensor<3>, tables: &[Tensor<2>; 2]) -> Tensor<3> {
        let x = x.clone() + self.attend(self.norm.forward(x), tables);
        let normed = self.norm.forward(x.clone());
        x + self
            .down
            .forward(silu(self.gate.forward(normed.clone())) * self.up.forward(normed))
    }

    fn attend(&self, x: Tensor<3>, [cos, sin]: &[Tensor<2>; 2]) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let size = WIDTH / HEADS;
        let heads = |y: Tensor<3>, n: usize| y.reshape([batch, length, n, size]).swap_dims(1, 2);
        let rotate = |y: Tensor<4>| {
            let (a, b) = (
                y.clone().narrow(3, 0, size / 2),
                y.clone().narrow(3, size / 2, size / 2),
            );
            let turned = Tensor::cat(vec![b.neg(), a], 3);
            y * cos.clone().unsqueeze() + turned * sin.clone().unsqueeze()
        };
        let repeat = |y: Tensor<4>| {
            let y = y.unsqueeze_dim::<5>(2).repeat_dim(2, HEADS / KV_HEADS);
            y.reshape([batch, HEADS, length, size])
        };
        let query = rotate(heads(self.attention.query.forward(x.clone()), HEADS));
        let key = repeat(rotate(heads(
            self.attention.key.forward(x.clone()),
            KV_HEADS,
        )));
        let value = repeat(heads(self.attention.value.forward(x.clone()), KV_HEADS));
        let hidden =
            Tensor::<2, Bool>::tril_mask([length, length], 0, &x.device()).unsqueeze::<4>();
        let scores = query.matmul(key.transpose()) / (size as f64).sqrt();
        let scores = scores.mask_fill(hidden.expand([batch, HEADS, length, length]), -1e30);
        let mixed = softmax(scores, 3).matmul(value);
        self.attention
            .output
            .forward(mixed.swap_dims(1, 2).reshape([batch, length, WIDTH]))
    }
}

impl Model {
    fn new() -> Self {
        let embedding = EmbeddingConfig::new(VOCAB, WIDTH).init(&Device::flex());
        let scale = Param::from_tensor(on_flex(
            &HostTensor::f32([WIDTH], vec![0.5; WIDTH]).unwrap(),
        ));
        Self {
            embedding,
            layers: vec![Block::new(), Block::new()],
            scale,
        }
    }

    fn forward(&self, tokens: Tensor<2, Int>, tables: &[Tensor<2>; 2]) -> Tensor<3> {
        let x = self.embedding.forward(tokens) * self.scale.val().unsqueeze();
        let x = self
            .layers
            .iter()
            .fold(x, |x, layer| layer.forward(x, tables));
        log_softmax(
            x.matmul(self.embedding.weight.val().transpose().unsqueeze()),
            2,
        )
    }
}

#[test]
fn a_decoder_gives_what_flex_gives() {
    let model = Model::new();
    let (tokens, cos, sin) = (ints([3, 5], VOCAB as i32), floats([5, 4]), floats([5, 4]));
    let lowered = lower(&model, |model, recorder| {
        let tokens = recorder.int("tokens", Role::Data, [3, 5]);
        let tables = [
            recorder.constant("rope.cos", cos.clone()),
            recorder.constant("rope.sin", sin.clone()),
        ];
        recorder.output("logp", model.forward(tokens, &tables));
    });
    let lowered = lowered.unwrap();
    let weights = parameters(&model).unwrap();
    weights.check_against(&lowered.program).unwrap();
    let expected = model
        .forward(on_flex(&tokens), &[on_flex(&cos), on_flex(&sin)])
        .into_data();
    let found = evaluate_named(&lowered, &[("tokens", tokens)], &weights);
    assert_close(&found[0], &expected, 1e-5);
}

#[test]
fn parameters_are_named_by_their_path_in_module_order() {
    let model = Model::new();
    let lowered = lower(&model, |model, recorder| {
        let x = recorder.float("x", Role::Data, [1, 2, WIDTH]);
        let table = floats([2, 4]);
        let tables = [
            recorder.constant("rope.cos", table.clone()),
            recorder.constant("rope.sin", table),
        ];
        recorder.output("y", model.layers[0].forward(x, &tables));
    });
    let names: Vec<String> = lowered
        .unwrap()
        .program
        .inputs()
        .iter()
        .map(|input| input.name.clone())
        .collect();
    assert_eq!(
        names[..4],
        [
            "embedding.weight",
            "layers.0.norm.gamma",
            "layers.0.attention.query.weight",
            "layers.0.attention.query.bias"
        ]
    );
    assert!(names.contains(&"layers.1.down.weight".to_owned()));
    assert_eq!(names[names.len() - 3..], ["x", "rope.cos", "rope.sin"]);
}

#[test]
fn weights_in_a_linear_feed_the_product_through_one_permute_and_no_other_view() {
    let model = linear(4, 3, false);
    let lowered = lower(&model, |model, recorder| {
        let x = recorder.float::<2>("x", Role::Data, [2, 4]);
        recorder.output("y", model.forward(x));
    });
    assert_eq!(
        operators(&lowered.unwrap().program),
        ["permute", "matmul_nt"]
    );
    // Transposed twice, the weight is contiguous along the contracted axis as it is.
    let tied = EmbeddingConfig::new(VOCAB, 4).init(&Device::flex());
    let lowered = lower(&tied, |model, recorder| {
        let x = recorder.float::<2>("x", Role::Data, [2, 4]);
        recorder.output("y", x.matmul(model.weight.val().transpose()));
    });
    assert_eq!(operators(&lowered.unwrap().program), ["matmul_nt"]);
}

#[derive(Module, Debug)]
struct Tied {
    first: Linear,
    second: Linear,
}

#[test]
fn a_tied_parameter_is_one_input_under_its_first_name() {
    let first = linear(4, 4, false);
    let tied = Tied {
        first: first.clone(),
        second: first,
    };
    let lowered = lower(&tied, |model, recorder| {
        let x = recorder.float::<2>("x", Role::Data, [2, 4]);
        recorder.output("y", model.second.forward(model.first.forward(x)));
    });
    let program = lowered.unwrap().program;
    assert_eq!(
        program
            .inputs_with_role(Role::Param)
            .map(|(_, input)| input.name.as_str())
            .collect::<Vec<_>>(),
        ["first.weight"]
    );
    assert_eq!(
        parameters(&tied).unwrap().names().collect::<Vec<_>>(),
        ["first.weight"]
    );
}

#[test]
fn recording_twice_gives_the_same_program() {
    let model = Model::new();
    let record = || {
        lower(&model, |model, recorder| {
            let tokens = recorder.int("tokens", Role::Data, [1, 3]);
            let table = floats([3, 4]);
            let tables = [
                recorder.constant("rope.cos", table.clone()),
                recorder.constant("rope.sin", table),
            ];
            recorder.output("logp", model.forward(tokens, &tables));
        })
    };
    assert_eq!(
        record().unwrap().program.digest(),
        record().unwrap().program.digest()
    );
    let threads: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| record().unwrap().program.digest()))
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect()
    });
    assert!(threads.iter().all(|digest| *digest == threads[0]));
}

#[test]
fn a_cache_is_written_at_a_runtime_row() {
    let (cache, rows) = (floats([2, 3, 5, 4]), floats([2, 3, 1, 4]));
    let at = HostTensor::i32([2, 3], vec![0, 4, 2, 1, 1, 3]).unwrap();
    let lowered = lower(&super::NONE, |_, recorder| {
        let cache = recorder.float::<4>("cache", Role::State, [2, 3, 5, 4]);
        let rows = recorder.float::<4>("rows", Role::Data, [2, 3, 1, 4]);
        let at = recorder.int::<2>("at", Role::Data, [2, 3]);
        recorder.output("cache", ops::update_rows(cache, rows, at));
    });
    let lowered = lowered.unwrap();
    assert_eq!(operators(&lowered.program), ["update_rows"]);
    let found = evaluate_named(
        &lowered,
        &[
            ("cache", cache.clone()),
            ("rows", rows.clone()),
            ("at", at.clone()),
        ],
        &Weights::new(),
    );
    let eager: Tensor<4> = ops::update_rows(
        on_flex::<4, Float>(&cache),
        on_flex(&rows),
        on_flex::<2, Int>(&at),
    );
    assert_close(&found[0], &eager.into_data(), 0.0);
    let (found, rows) = (found[0].as_f32().unwrap(), rows.as_f32().unwrap());
    let old = cache.as_f32().unwrap();
    // Second block of 5 rows of 4: its row 4 is new, the four before are old.
    assert_eq!(found[36..40], rows[4..8]);
    assert_eq!(found[20..36], old[20..36]);
}
