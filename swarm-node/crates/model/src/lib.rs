//! Decoder-only transformers of the Llama, Mistral and Qwen family, from their numbers to batched
//! generation.
//!
//! ```text
//! ModelConfig ──▶ decoder (Burn modules) ──record──▶ programs: forward · prefill · decode
//!      │                                                        │
//!      └── init / checkpoint ──▶ Weights ──────────▶ Generator ◀┘ ──▶ completions
//! ```
//!
//! An untrained model of the smallest size, and its most likely continuation of a prompt:
//!
//! ```
//! use std::sync::Arc;
//!
//! use reproducible_ops::engine::cpu::CpuEngine;
//! use swarm_model::generate::{Prompt, Request};
//! use swarm_model::{Generator, ModelConfig, init};
//!
//! let config = ModelConfig { num_layers: 1, ..ModelConfig::preset("nano")? };
//! let mut generator = Generator::new(Arc::new(CpuEngine::new(1)), config.clone(), &[1])?;
//! generator.set_weights(init::initialise(&config, 7)?)?;
//! let written = generator.generate(&Request {
//!     prompts: &[Prompt { tokens: vec![5, 6, 7], index: 0 }],
//!     samples: 1,
//!     max_new: 2,
//!     key: [0; 2],
//!     temperature: 0.0,
//! })?;
//! let generation = &written[0][0];
//! assert_eq!(generation.tokens.len(), generation.logp.len());
//! assert!(generation.tokens.len() == 2 || generation.ended);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [`config`]: shapes and presets; Hugging Face's `config.json`.
//! * [`decoder`]: the network over Burn tensors. It runs on any Burn device and is recorded by the
//!   capture device.
//! * [`rope`], [`init`]: position tables and initial weights, the same bits on every platform.
//! * [`checkpoint`], [`tokenizer`]: Hugging Face folders, and the character table of nano models.
//! * [`ModelFiles`]: what a folder needs beside weights to be such a folder.
//! * [`programs`]: forward, prefill and decode as programs.
//! * [`stages`]: a model cut into stages, each with programs of its own.
//! * [`generate`]: batched sampling on any engine.
//!
//! A weight's name is the path of its Burn module, and the modules are called like Hugging Face's
//! (`model.layers.0.self_attn.q_proj.weight`), with linear weights stored `[out, in]` as there. So
//! names and bytes of a checkpoint are the same on both sides and nothing is renamed or transposed
//! on the way.

pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod files;
pub mod generate;
pub mod init;
pub mod programs;
pub mod rope;
pub mod stages;
pub mod tokenizer;

pub use checkpoint::Checkpoint;
pub use config::ModelConfig;
pub use files::ModelFiles;
pub use generate::Generator;
pub use tokenizer::Tokenizer;

#[cfg(test)]
mod tests;
