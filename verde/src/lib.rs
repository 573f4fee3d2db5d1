//! Verde: who is right about a computation, without trusting anybody.
//!
//! A worker commits to what it computed by roots of hash trees. Whoever doubts it opens one piece
//! and recomputes that piece alone.
//!
//! ```text
//! tensor ─tiles─▶ tensor root ┐
//!                    …        ├─names─▶ state root
//! tensor ─tiles─▶ tensor root ┘
//! program, all values of one run ──▶ run root ─┐  one node is recomputed from its operands
//! plan: which runs, bound to what ─────────────┴─▶ step root, between two state roots
//! ```
//! | module | what is in it |
//! |---|---|
//! | [`tree`] | the hash tree: roots, paths, walks from the root down |
//! | [`tensor`] | a tensor's tiles, its root, the opening of an element |
//! | [`state`] | all that a training step goes on from, by name |
//! | [`run`] | all values of one run of a program; one node recomputed alone |
//! | [`element`] | one element of a node's result, recomputed from opened tiles |
//! | [`plan`] | a step as a schedule of runs, without arithmetic of its host |
//! | [`step`] | what a plan made of a state; where two workers first differ |
//! | [`execute`] | a plan on any engine, step by step, and the roots of its states |
//! | [`fault`] | one bit computed wrong, for demonstrations and tests |
//! | [`history`] | the states at the checkpoints of a job: what a worker claims |
//! | [`parts`], [`job`] | a plan and its programs as everybody has them, each part of which can be shown |
//! | [`game`] | the dispute: a pure function from place and move to place |
//! | [`audit`], [`evidence`] | a piece of a step checked alone; what shows a node or an element to anybody |
//! | [`record`], [`player`] | what a player knows of a computation; worker and challenger |
//!
//! Everything here is pure: no I/O, no time, no randomness. What a contract reads is laid out byte
//! for byte where it is defined.

pub mod audit;
pub mod element;
pub mod evidence;
pub mod execute;
pub mod fault;
pub mod game;
pub mod history;
pub mod job;
mod lifetimes;
pub mod parts;
pub mod plan;
pub mod player;
pub mod record;
pub mod run;
pub mod state;
pub mod step;
pub mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod toy;
pub mod tree;
