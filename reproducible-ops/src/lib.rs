//! Reproducible operators: the same program on the same inputs gives the same bits, on every
//! machine and every engine.
//!
//! Floating-point addition is not associative, libraries differ in `exp`, compilers fuse
//! multiplications into additions: two machines that train the same model drift apart, and neither
//! can prove to the other what it computed. Here a whole training step is a [`program::Program`], a
//! list of [operators](program::Operator) whose meaning is fixed to the last bit. A program has a
//! digest, so peers can name it; whoever doubts a result runs it again and compares bits.
//!
//! # Example
//! A program is built, run on the fast engine, and checked against the executable definition:
//!
//! ```
//! use reproducible_ops::engine::{Engine, cpu::CpuEngine, reference};
//! use reproducible_ops::program::{Builder, Role, TensorType};
//! use reproducible_ops::tensor::Tensor;
//!
//! let mut builder = Builder::new();
//! let x = builder.input("x", TensorType::f32([2, 3]), Role::Data);
//! let shares = builder.softmax(x)?;
//! builder.output("shares", shares);
//! let program = builder.finish();
//!
//! let x = Tensor::f32([2, 3], vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0])?;
//! let mut session = CpuEngine::new(2).load(&program)?;
//! session.write("x", &x)?;
//! session.run()?;
//! let shares = session.read("shares")?;
//!
//! let expected = reference::evaluate(&program, &[x])?;
//! assert_eq!(shares.words(), expected[0].words(), "the same bits");
//! assert_eq!(shares.as_f32()?[3], 1.0 / 3.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/train_step.rs` trains a model written in Burn, `examples/verify_step.rs` finds a
//! flipped bit in somebody's result.
//!
//! # How it fits together
//! ```text
//! Burn module ─lower▶ program ─grad▶ + gradients ─optim▶ one training step ─engine▶ bits
//!                        │                                                    ▲
//!                        └─ operator table ──────── meaning: scalar ──────────┘
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`scalar`] | What does every number mean? |
//! | [`program`] | What is computed, and what is its digest? |
//! | [`mod@grad`], [`optim`] | How does a loss become a training step? |
//! | [`engine`] | Who computes it? |
//! | [`conformance`] | Does this machine compute it right? |
//! | [`random`] | Where does randomness come from? |
//! | [`tensor`], [`weights`] | Where are the numbers, in memory and on disk? |
//! | `lower` | How does a model written in Burn become a program? |
//!
//! # Features
//! `burn` (default) is the module `lower`. Without it the crate needs no part of Burn: enough to
//! run, check and differentiate programs.

pub mod conformance;
pub mod engine;
pub mod grad;
#[cfg(feature = "burn")]
pub mod lower;
pub mod optim;
pub mod program;
pub mod random;
pub mod scalar;
pub mod tensor;
pub mod weights;
