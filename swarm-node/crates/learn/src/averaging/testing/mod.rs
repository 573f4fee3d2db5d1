//! What tests and experiments of averaging need: a toy trainer, and members in memory.

#[cfg(test)]
mod faults;
pub mod network;
#[cfg(test)]
mod returns;
pub mod toy;
