//! The base checkpoint that comes with the program: the nano model after its supervised warm start.
//!
//! It is part of the binary, so that `demo` works from anywhere. Its recipe and SHA-256 lie beside
//! the file.

use reproducible_ops::weights::{LoadError, Weights};

/// Where the checkpoint lies, from the root of the repository.
pub const BASE: &str = "configs/nano/base.safetensors";

/// The bytes of [`BASE`].
pub const BYTES: &[u8] = include_bytes!("../../../configs/nano/base.safetensors");

/// Why the shipped checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the shipped base checkpoint: {0}; name another with --base or --model")]
pub struct ShippedError(#[from] LoadError);

/// The weights of the base model.
///
/// # Errors
/// The bytes are damaged.
pub fn base() -> Result<Weights, ShippedError> {
    Ok(Weights::from_bytes(BYTES)?)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use swarm_model::{ModelConfig, checkpoint};

    use super::*;

    #[test]
    fn the_base_is_the_one_whose_digest_stands_beside_it() {
        let sums = include_str!("../../../configs/nano/SHA256SUMS");
        let digest: String = Sha256::digest(BYTES)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            sums.split_whitespace().collect::<Vec<_>>(),
            [digest.as_str(), "base.safetensors"]
        );
    }

    #[test]
    fn the_base_is_a_nano_model() {
        let config = ModelConfig::preset("nano").unwrap();
        checkpoint::check(&config, &base().unwrap()).unwrap();
    }
}
