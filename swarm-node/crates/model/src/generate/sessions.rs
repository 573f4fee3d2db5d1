//! Loaded programs by size, each with the newest weights once it is used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::program::Program;
use reproducible_ops::tensor::TensorError;
use reproducible_ops::weights::Buffers;

use super::request::GenerateError;
use crate::ModelConfig;
use crate::programs::{self, Prefill, ProgramError, Replay};
use crate::rope::{self, Tables};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Fills caches as long as the prompts.
    Prefill { rows: usize, length: usize },
    /// Continues by one token.
    Decode { rows: usize, slots: usize },
    /// Samples anew what was sampled.
    Replay(Replay),
}

impl Key {
    /// The program of this size.
    pub(super) fn record(self, config: &ModelConfig) -> Result<Program, ProgramError> {
        match self {
            Self::Prefill { rows, length } => programs::prefill(
                config,
                Prefill {
                    rows,
                    length,
                    slots: length,
                    logits: false,
                },
            ),
            Self::Decode { rows, slots } => programs::decode(config, rows, slots),
            Self::Replay(sizes) => programs::replay(config, sizes),
        }
    }
}

/// All loaded programs of a model.
pub(super) struct Sessions {
    engine: Arc<dyn Engine>,
    config: ModelConfig,
    /// Rows for at least the longest program so far.
    tables: Tables,
    /// Bound to every program.
    weights: Option<Buffers>,
    version: u64,
    loaded: HashMap<Key, Loaded>,
}

struct Loaded {
    session: Box<dyn Session>,
    /// Version of the weights it holds.
    version: u64,
}

impl Sessions {
    pub(super) fn new(engine: Arc<dyn Engine>, config: &ModelConfig) -> Result<Self, TensorError> {
        let (config, tables) = (config.clone(), Tables::new(config, 0)?);
        Ok(Self {
            engine,
            config,
            tables,
            weights: None,
            version: 0,
            loaded: HashMap::new(),
        })
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    pub(super) fn set_weights(&mut self, weights: Buffers) {
        self.weights = Some(weights);
        self.version += 1;
    }

    /// The loaded program of a size.
    pub(super) fn get(&mut self, key: Key) -> Result<&mut dyn Session, GenerateError> {
        let weights = self.weights.as_ref().ok_or(GenerateError::NoWeights)?;
        let loaded = match self.loaded.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let program = key.record(&self.config)?;
                let mut session = self.engine.load(&program)?;
                let positions = rope::addressed(&program);
                if self.tables.positions() < positions {
                    // Doubling, so that ever longer programs do not compute the same rows again
                    // each time.
                    let grown = positions.next_power_of_two().min(self.config.max_positions);
                    self.tables = Tables::new(&self.config, grown)?;
                }
                self.tables.write_to(session.as_mut())?;
                place.insert(Loaded {
                    session,
                    version: 0,
                })
            }
        };
        if loaded.version != self.version {
            for (name, buffer) in weights {
                loaded.session.bind(name, buffer)?;
            }
            loaded.version = self.version;
        }
        Ok(loaded.session.as_mut())
    }
}
