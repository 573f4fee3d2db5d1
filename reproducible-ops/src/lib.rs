//! Reproducible operators: the same program on the same inputs gives the same bits, on every
//! engine.
//!
//! Data flows one way: a model recorded by [`lower`] becomes a [`program`], which [`grad`] and
//! [`optim`] extend to a whole training step, which an [`engine`] executes. [`scalar`] says what
//! every number means; [`weights`] are the tensors of a model on disk.

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
