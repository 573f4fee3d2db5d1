//! Verde: who is right about a computation, without trusting anybody.
//!
//! A worker commits to what it computed by roots of hash trees. Whoever doubts it opens one piece and
//! recomputes that piece alone.
//!
//! ```text
//! tensor ─tiles─▶ tensor root ┐
//!                    …        ├─names─▶ state root
//! tensor ─tiles─▶ tensor root ┘
//! program, all values of one run ──▶ run root     one node is recomputed from its operands
//! ```
//! | module | what is in it |
//! |---|---|
//! | [`tree`] | the hash tree: roots, paths, walks from the root down |
//! | [`tensor`] | a tensor's tiles, its root, the opening of an element |
//! | [`state`] | all that a training step goes on from, by name |
//! | [`run`] | all values of one run of a program; one node recomputed alone |
//!
//! Everything here is pure: no I/O, no time, no randomness. What a contract reads is laid out byte
//! for byte where it is defined.

pub mod run;
pub mod state;
pub mod tensor;
pub mod tree;
