//! `Referee.sol` against `verde::element` and the engine, by way of an EVM in memory.
//!
//! ```text
//! case of every operator ─┬─► engine: the whole result ───────────┐
//!  (`verde`'s own tests)  ├─► verde: openings, verdicts ──────────┼─► equal, or the first that differs
//!                         └─► evm: Referee, from openings alone ──┘
//! ```
//! Operators are those of the operator table: one without a case fails. Everything random comes
//! from a fixed seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../verde/src/element/tests/cases.rs"]
mod cases;
mod descriptors;
mod elements;
#[path = "../shared/evm.rs"]
mod evm;
mod malformed;
mod question;
#[path = "../shared/random.rs"]
mod random;
