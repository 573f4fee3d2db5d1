//! The base checkpoint that comes with the program: the nano model after its supervised warm start.

use std::path::{Path, PathBuf};

use reproducible_ops::weights::{LoadError, Weights};

/// Where the checkpoint lies, from the root of the repository. Its recipe and SHA-256 lie beside it.
pub const BASE: &str = "configs/nano/base.safetensors";

/// Why the shipped checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShippedError {
    /// It is not there.
    #[error(
        "the base checkpoint {BASE} is not here; make it with `swarm-node pretrain --recipe configs/nano/recipe.toml --out runs/nano`, or name another with --base or --model"
    )]
    Missing,
    /// It cannot be read.
    #[error("the base checkpoint: {0}")]
    Load(#[from] LoadError),
}

/// The weights of the base model.
///
/// # Errors
/// The file is missing or damaged.
pub fn base() -> Result<Weights, ShippedError> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(BASE);
    let places = [PathBuf::from(BASE), repository];
    let path = places.iter().find(|path| path.is_file()).ok_or(ShippedError::Missing)?;
    Ok(Weights::load(path)?)
}
