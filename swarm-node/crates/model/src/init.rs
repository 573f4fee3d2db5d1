//! Initial weights from a seed, the same bits on every platform.
//!
//! Tensor number n of [`ModelConfig::parameters`] draws from Philox stream n, so a tensor's values
//! depend on the seed, its number and its shape only. Matrices are normal, norms 1, biases 0.
//! Standard deviations:
//!
//! * projections and the untied head, 1 / √(3·in): unit inputs give outputs below 1, so softmax and
//!   SiLU start near their linear part;
//! * `o_proj` and `down_proj`, 1 / √(3·in) / √(2·layers): the residual sum of all layers stays near
//!   the embedding (Radford et al. 2019);
//! * embedding, 1, or 1 / √(3·hidden) where it is tied with the head: tokens stay apart in the
//!   residual stream, and logits start small.

use reproducible_ops::random::{Stream, key_from};
use reproducible_ops::scalar;
use reproducible_ops::tensor::{Tensor, TensorError};
use reproducible_ops::weights::Weights;

use super::ModelConfig;

const DOMAIN: &str = "swarm-node model init";

/// Weights of an untrained model, under the names of [`ModelConfig::parameters`].
///
/// # Errors
/// Never for a config that passed [`ModelConfig::validate`].
pub fn initialise(config: &ModelConfig, seed: u64) -> Result<Weights, TensorError> {
    let mut job = [0; 32];
    job[24..].copy_from_slice(&seed.to_be_bytes());
    let key = key_from(DOMAIN, &job, &[0; 32]);
    (0..)
        .zip(config.parameters())
        .map(|(number, (name, shape))| {
            let values = values(config, &name, &shape, Stream::new(key, number, 0));
            Ok((name, Tensor::f32(shape, values)?))
        })
        .collect()
}

fn values(config: &ModelConfig, name: &str, shape: &[usize], stream: Stream) -> Vec<f32> {
    let count = shape.iter().product();
    match shape {
        [_] if name.ends_with(".bias") => vec![0.0; count],
        [_, input] => {
            let deviation = deviation(config, name, *input);
            Normal {
                stream,
                spare: None,
            }
            .take(count)
            .map(|value| scalar::mul(value, deviation))
            .collect()
        }
        _ => vec![1.0; count],
    }
}

fn deviation(config: &ModelConfig, name: &str, input: usize) -> f32 {
    let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    let divisor = match name {
        "model.embed_tokens.weight" if !config.tied_embeddings => 1,
        _ if residual => 3 * input * 2 * config.num_layers,
        _ => 3 * input,
    };
    scalar::div(1.0, scalar::sqrt(divisor as f32))
}

/// Standard normal numbers by Marsaglia's polar method (1964): a point of the unit disc gives two.
struct Normal {
    stream: Stream,
    spare: Option<f32>,
}

impl Iterator for Normal {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        if let Some(spare) = self.spare.take() {
            return Some(spare);
        }
        let (x, y, square) = self.point();
        let factor = scalar::sqrt(scalar::div(scalar::mul(-2.0, scalar::log(square)), square));
        self.spare = Some(scalar::mul(y, factor));
        Some(scalar::mul(x, factor))
    }
}

impl Normal {
    /// A point of the open unit disc without its centre, and its squared radius.
    fn point(&mut self) -> (f32, f32, f32) {
        loop {
            let (x, y) = (self.coordinate(), self.coordinate());
            let square = scalar::add(scalar::mul(x, x), scalar::mul(y, y));
            if square > 0.0 && square < 1.0 {
                return (x, y, square);
            }
        }
    }

    fn coordinate(&mut self) -> f32 {
        scalar::sub(scalar::mul(2.0, self.stream.uniform()), 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f32]) -> (f64, f64, f64) {
        let mean_of = |power| {
            values
                .iter()
                .map(|&x| f64::from(x).powi(power))
                .sum::<f64>()
                / values.len() as f64
        };
        (mean_of(1), mean_of(2), mean_of(4))
    }

    #[test]
    fn numbers_are_standard_normal() {
        let normal = Normal {
            stream: Stream::from_seed("test", 1),
            spare: None,
        };
        let values: Vec<f32> = normal.take(200_000).collect();
        let (mean, variance, fourth) = moments(&values);
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02 && (fourth - 3.0).abs() < 0.15);
        let (pairs, _) = values.as_chunks::<2>();
        let covariance =
            pairs.iter().map(|[x, y]| f64::from(x * y)).sum::<f64>() / pairs.len() as f64;
        assert!(covariance.abs() < 0.01, "{covariance}");
    }

    #[test]
    fn tensors_follow_the_table() {
        let config = ModelConfig::preset("nano").unwrap();
        let weights = initialise(&config, 3).unwrap();
        let variance = |name: &str| moments(weights.get(name).unwrap().as_f32().unwrap()).1;
        assert!((variance("model.layers.0.self_attn.q_proj.weight") * 288.0 - 1.0).abs() < 0.05);
        assert!((variance("model.layers.3.mlp.down_proj.weight") * 768.0 * 8.0 - 1.0).abs() < 0.05);
        assert!((variance("model.embed_tokens.weight") - 1.0).abs() < 0.05);
        assert_eq!(variance("model.norm.weight").to_bits(), 1f64.to_bits());
        assert_eq!(weights.elements(), config.parameter_count());
    }

    #[test]
    fn seeds_and_tensors_differ_and_repeat() {
        let config = ModelConfig::preset("nano").unwrap();
        let (one, again, two) = (
            initialise(&config, 1),
            initialise(&config, 1),
            initialise(&config, 2),
        );
        assert_eq!(one, again);
        assert_ne!(one, two);
        let one = one.unwrap();
        assert_ne!(
            one.get("model.layers.0.mlp.up_proj.weight"),
            one.get("model.layers.0.mlp.gate_proj.weight")
        );
    }
}
