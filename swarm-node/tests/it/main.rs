//! Whole-program tests: the real binary, its messages and its exit codes.

mod commands;
mod configs;
mod errors;
mod node;
