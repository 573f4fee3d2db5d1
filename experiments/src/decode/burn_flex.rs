//! The same decoder modules, run eagerly by Burn flex with preallocated caches.

use std::time::Instant;

use anyhow::{Context as _, Result};
use burn::tensor::{Device, Int, Tensor, TensorData};
use reproducible_ops::weights::Weights;
use swarm_model::ModelConfig;
use swarm_model::decoder::{CausalLm, Context, KeyValues, Mask};
use swarm_model::rope::Tables;

use super::run::{FIRST_TOKEN, Run};

/// A decoder with its caches.
pub struct Decoding {
    model: CausalLm,
    cos: Tensor<2>,
    sin: Tensor<2>,
    /// Per layer; taken out while it is written, so that nobody shares it and it is written in
    /// place.
    caches: Vec<Option<KeyValues>>,
    device: Device,
    run: Run,
}

impl Decoding {
    /// Ready to decode behind a cache of zeros.
    pub fn new(model: &ModelConfig, weights: &Weights, run: Run) -> Result<Self> {
        let device = Device::flex();
        let tables = Tables::new(model, run.slots)?;
        let table = |tensor: &reproducible_ops::tensor::Tensor| -> Result<Tensor<2>> {
            let shape = [run.slots, model.head_dim];
            Ok(Tensor::from_data(
                TensorData::new(tensor.as_f32()?.to_vec(), shape),
                &device,
            ))
        };
        let (cos, sin) = (table(&tables.cos)?, table(&tables.sin)?);
        let zeros = || {
            Tensor::zeros(
                [run.batch, model.num_kv_heads, run.slots, model.head_dim],
                &device,
            )
        };
        let caches = (0..model.num_layers)
            .map(|_| {
                Some(KeyValues {
                    key: zeros(),
                    value: zeros(),
                })
            })
            .collect();
        Ok(Self {
            model: CausalLm::load(model, weights, &device)?,
            cos,
            sin,
            caches,
            device,
            run,
        })
    }

    /// Logits of all rows behind `tokens`, the same in each row, from position 0 on.
    pub fn logits_after(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        for (position, &token) in tokens.iter().enumerate() {
            let last = self.step(&vec![token; self.run.batch], position);
            let values = last.into_data().try_to_vec().ok();
            logits = values.context("Burn's logits are f32")?;
        }
        Ok(logits)
    }

    /// Seconds of one run.
    pub fn run(&mut self) -> Result<f64> {
        let start = Instant::now();
        let mut tokens = vec![FIRST_TOKEN; self.run.batch];
        for position in self.run.start..self.run.start + self.run.tokens {
            let chosen = self.step(&tokens, position).argmax(2).into_data();
            tokens = chosen.iter::<i64>().map(|token| token as u32).collect();
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Logits `[B, 1, vocab]`.
    fn step(&mut self, tokens: &[u32], position: usize) -> Tensor<3> {
        let batch = tokens.len();
        let ints = |values: Vec<i64>, shape: [usize; 2]| {
            Tensor::<2, Int>::from_data(TensorData::new(values, shape), &self.device)
        };
        let ids = ints(
            tokens.iter().map(|&token| token.into()).collect(),
            [batch, 1],
        );
        let positions = ints(vec![position as i64; batch], [batch, 1]);
        let slots = ints(
            (0..batch).flat_map(|_| 0..=position as i64).collect(),
            [batch, position + 1],
        );
        let mask = Mask::causal(positions.clone(), slots);
        let context = Context::new(positions, self.cos.clone(), self.sin.clone(), mask);
        let caches = &mut self.caches;
        let hidden = self.model.hidden(ids, &context, &mut |layer, own| {
            extend(&mut caches[layer], own, position)
        });
        self.model.logits(hidden)
    }
}

/// Writes the token's own keys and values into the cache and shows the slots up to it.
fn extend(cache: &mut Option<KeyValues>, own: KeyValues, position: usize) -> KeyValues {
    let written = |cache: Tensor<4>, rows: Tensor<4>| {
        let [batch, heads, _, width] = rows.dims();
        cache.slice_assign([0..batch, 0..heads, position..position + 1, 0..width], rows)
    };
    let full = match cache.take() {
        Some(cache) => KeyValues {
            key: written(cache.key, own.key),
            value: written(cache.value, own.value),
        },
        None => own,
    };
    let seen = |x: &Tensor<4>| x.clone().narrow(2, 0, position + 1);
    let shown = KeyValues {
        key: seen(&full.key),
        value: seen(&full.value),
    };
    *cache = Some(full);
    shown
}
