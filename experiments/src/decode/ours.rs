//! The decode program on the CPU engine.

use std::time::Instant;

use anyhow::{Context, Result};
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::program::Role;
use reproducible_ops::weights::Weights;
use swarm_model::rope::Tables;
use swarm_model::{ModelConfig, programs};

use super::run::{FIRST_TOKEN, Run};

/// A loaded decode program.
pub struct Decoding {
    session: Box<dyn Session>,
    run: Run,
}

impl Decoding {
    /// Ready to decode behind a cache of zeros.
    pub fn new(model: &ModelConfig, weights: &Weights, run: Run, threads: usize) -> Result<Self> {
        let program = programs::decode(model, run.batch, run.slots)?;
        let mut session = CpuEngine::new(threads).load(&program)?;
        weights.write_to(session.as_mut())?;
        Tables::new(model, run.slots)?.write_to(session.as_mut())?;
        for (_, cache) in program.inputs_with_role(Role::State) {
            session.write_words(&cache.name, &vec![0; cache.ty.shape.elements()])?;
        }
        session.write_words("key", &[1, 2])?;
        session.write_words("temperature", &[1f32.to_bits()])?;
        Ok(Self { session, run })
    }

    /// Logits of all rows behind `tokens`, the same in each row, from position 0 on.
    pub fn logits_after(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        for (position, &token) in tokens.iter().enumerate() {
            self.step(&vec![token; self.run.batch], position)?;
            logits = self.session.read_words("logits")?;
            self.session.advance();
        }
        Ok(logits.into_iter().map(f32::from_bits).collect())
    }

    /// Seconds of one run.
    pub fn run(&mut self) -> Result<f64> {
        let start = Instant::now();
        let mut tokens = vec![FIRST_TOKEN; self.run.batch];
        for position in self.run.start..self.run.start + self.run.tokens {
            self.step(&tokens, position)?;
            tokens = self.session.read_words("greedy")?;
            self.session.advance();
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn step(&mut self, tokens: &[u32], position: usize) -> Result<()> {
        let position = u32::try_from(position).context("a position is 32 bits wide")?;
        let counter: Vec<u32> = (0..tokens.len() as u32)
            .flat_map(|row| [row, 0, position])
            .collect();
        self.session.write_words("tokens", tokens)?;
        self.session
            .write_words("positions", &vec![position; tokens.len()])?;
        self.session.write_words("counter", &counter)?;
        Ok(self.session.run()?)
    }
}
