//! The options of the experiment.

use std::path::PathBuf;

use clap::Parser;

/// Trains swarms with different mixes of own and external groups.
#[derive(Debug, Parser)]
#[command(name = "sapo")]
pub struct Options {
    /// Weights that every peer starts from, of the nano model.
    #[arg(long, default_value = "configs/nano/base.safetensors")]
    pub base: PathBuf,
    /// Number of seeds, from 1.
    #[arg(long, default_value_t = 5)]
    pub seeds: u64,
    /// Rounds, each with at most one update per peer.
    #[arg(long, default_value_t = 60)]
    pub rounds: u64,
    /// Peers.
    #[arg(long, default_value_t = 4)]
    pub peers: u16,
    /// Groups per update, own and external; a multiple of 4.
    #[arg(long, default_value_t = 16)]
    pub groups: u16,
    /// Highest learning rate.
    #[arg(long, default_value_t = 3e-4)]
    pub learning_rate: f32,
    /// Held-out questions per family.
    #[arg(long, default_value_t = 128)]
    pub held_out: usize,
    /// Peers practise one family each instead of all.
    #[arg(long)]
    pub specialists: bool,
    /// Worker threads; results do not depend on it.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
}
