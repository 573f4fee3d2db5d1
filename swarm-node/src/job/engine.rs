//! The engine that settings ask for.

use std::sync::Arc;

use reproducible_ops::conformance::{self, ConformanceError};
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet, InstructionSetError};

use crate::config::EngineConfig;

/// Why there is no such engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// This machine lacks the instructions of the path.
    #[error("engine.isa: {0}, or auto")]
    InstructionSet(#[from] InstructionSetError),
    /// The engine gives other bits than the reference on this machine.
    #[error("{0}; this engine is not used, choose another with --isa")]
    Wrong(#[from] Box<ConformanceError>),
}

/// A CPU engine on the path of the settings with this number of threads.
///
/// # Errors
/// This machine lacks the instructions of the path.
pub fn engine(config: &EngineConfig, threads: usize) -> Result<Arc<dyn Engine>, EngineError> {
    let isa = match config.isa.as_str() {
        "auto" => InstructionSet::detect(),
        name => name.parse()?,
    };
    Ok(Arc::new(CpuEngine::with_instruction_set(isa, threads)?))
}

/// The engine of a command, after it has answered the known-answer questions of [`conformance`] on
/// this machine.
///
/// # Errors
/// As [`engine`], or an operator whose bits are wrong here.
pub fn certified(config: &EngineConfig, threads: usize) -> Result<Arc<dyn Engine>, EngineError> {
    let engine = engine(config, threads)?;
    conformance::check(engine.as_ref()).map_err(Box::new)?;
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_forced_or_refused() {
        let config = |path: &str| EngineConfig {
            isa: path.into(),
            ..EngineConfig::default()
        };
        assert_eq!(
            engine(&config("scalar"), 2).unwrap().name(),
            "cpu (scalar, 2 threads)"
        );
        let foreign = if cfg!(target_arch = "aarch64") {
            "avx2"
        } else {
            "neon"
        };
        let error = engine(&config(foreign), 1).err().unwrap().to_string();
        assert!(
            error.contains(foreign) && error.contains("scalar") && error.contains("auto"),
            "{error}"
        );
    }
}
