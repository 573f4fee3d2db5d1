//! The CPU engine: kernels for several instruction sets, chosen at run time, every one with the
//! bits of the reference.
//!
//! ```text
//! program ─▶ plan ─┬─ layout   views are strides, not copies
//!                  ├─ draft    elementwise chains, softmax, norms and updates become one kernel over rows
//!                  └─ buffers  values share memory by liveness
//!        session ──┬─ memory   inputs and outputs are shared with other sessions, copied on write
//!            work ─┼─ rows     fused kernels, tile by tile (vector: one source, compiled per instruction set)
//!                  ├─ gemm     matrix products in the ro1 order
//!                  └─ parallel parts of a step own disjoint outputs; sums are never split
//! ```
//!
//! Weights that come at two bytes a number stay so from [`Engine::upload`] to the product, in one
//! copy that all sessions share: see [`gemm::PackedB::of_halves`].
//!
//! After its first run a session whose buffers nobody else holds allocates nothing: a step only
//! reads and writes planned buffers. Sessions of one engine take turns where it has more than one
//! thread.

mod buffers;
mod draft;
#[cfg(test)]
mod edge_tests;
pub mod gemm;
#[cfg(test)]
mod heads_tests;
pub mod instruction_set;
mod layout;
mod memory;
mod observer;
mod parallel;
mod plan;
mod recompute;
mod rotate;
mod rows;
mod session;
mod step;
#[cfg(test)]
mod tests;
mod threads;
mod vector;
mod work;

use std::sync::Arc;

use crate::engine::{Buffer, Engine, EngineError, Session};
use crate::program::Program;
use crate::tensor::Tensor;

pub use instruction_set::{InstructionSet, InstructionSetError};
pub use observer::{Observer, PlannedProduct, PlannedStep, StepKind};

use session::CpuSession;
use threads::Threads;

/// Executes programs on this machine's processor.
pub struct CpuEngine {
    isa: InstructionSet,
    threads: Arc<Threads>,
    observer: Option<Arc<dyn Observer>>,
}

impl CpuEngine {
    /// An engine on the fastest instruction set of this machine, with at least one thread.
    pub fn new(threads: usize) -> Self {
        Self {
            isa: InstructionSet::detect(),
            threads: Arc::new(Threads::new(threads)),
            observer: None,
        }
    }

    /// An engine on a chosen instruction set.
    ///
    /// # Errors
    /// This machine lacks its instructions.
    pub fn with_instruction_set(
        isa: InstructionSet,
        threads: usize,
    ) -> Result<Self, InstructionSetError> {
        let isa = isa.require()?;
        Ok(Self {
            isa,
            ..Self::new(threads)
        })
    }

    /// The same engine, whose sessions tell `observer` of every step that they run.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> InstructionSet {
        self.isa
    }

    /// Bytes of tensors that a session of `program` holds: inputs, which it may share with others,
    /// outputs, and what is in between, by liveness. Packed operands come on top, a panel for each
    /// thread.
    ///
    /// # Errors
    /// The program is not valid.
    pub fn planned_bytes(program: &Program) -> Result<u64, EngineError> {
        program.validate()?;
        let words = plan::Plan::new(program).buffers.words;
        Ok(words.iter().map(|&words| 4 * words as u64).sum())
    }
}

impl Engine for CpuEngine {
    fn name(&self) -> String {
        let count = self.threads.count();
        format!(
            "cpu ({}, {count} thread{})",
            self.isa,
            if count == 1 { "" } else { "s" }
        )
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, EngineError> {
        program.validate()?;
        Ok(Box::new(CpuSession::new(
            program,
            self.isa,
            Arc::clone(&self.threads),
            self.observer.clone(),
        )))
    }

    fn upload(&self, tensor: &Tensor) -> Result<Buffer, EngineError> {
        Ok(session::upload(tensor, self.isa))
    }
}
