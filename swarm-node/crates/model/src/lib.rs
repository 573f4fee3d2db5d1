//! Decoder-only transformers of the Llama, Mistral and Qwen family, from their numbers to batched
//! generation.
//!
//! ```text
//! ModelConfig ──▶ decoder (Burn modules) ──record──▶ programs: forward · prefill · decode
//!      │                                                        │
//!      └── init / checkpoint ──▶ Weights ──────────▶ Generator ◀┘ ──▶ completions
//! ```
//!
//! * [`config`]: shapes and presets; Hugging Face's `config.json`.
//! * [`decoder`]: the network over Burn tensors. It runs on any Burn device and is recorded by the
//!   capture device.
//! * [`rope`], [`init`]: position tables and initial weights, the same bits on every platform.
//! * [`checkpoint`], [`tokenizer`]: Hugging Face folders, and the character table of nano models.
//! * [`ModelFiles`]: what a folder needs beside weights to be such a folder.
//! * [`programs`]: forward, prefill and decode as programs.
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
pub mod tokenizer;

pub use checkpoint::Checkpoint;
pub use config::ModelConfig;
pub use files::ModelFiles;
pub use generate::Generator;
pub use tokenizer::Tokenizer;

#[cfg(test)]
mod tests;
