//! A loaded program: writes inputs, has the work executed, reads outputs.
//!
//! All memory is allocated when the session is made, but for the packed form of weights, which the
//! first run adds.

use std::sync::Arc;

use crate::engine::{EngineError, Session, canonicalise};
use crate::program::Program;

use super::instruction_set::InstructionSet;
use super::plan::Plan;
use super::threads::Threads;
use super::work::Work;

/// The CPU engine's [`Session`].
pub(super) struct CpuSession {
    program: Arc<Program>,
    threads: Arc<Threads>,
    work: Work,
    written: Vec<bool>,
}

impl CpuSession {
    pub fn new(program: &Program, isa: InstructionSet, threads: Arc<Threads>) -> Self {
        Self {
            work: Work::new(Plan::new(program), isa, threads.count()),
            written: vec![false; program.inputs().len()],
            program: Arc::new(program.clone()),
            threads,
        }
    }

    fn input_index(&self, name: &str) -> Result<usize, EngineError> {
        let index = self
            .program
            .input_named(name)
            .ok_or_else(|| EngineError::NoSuchInput(name.into()))?;
        Ok(index.index())
    }
}

impl Session for CpuSession {
    fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError> {
        let index = self.input_index(input)?;
        let declared = &self.program.inputs()[index];
        if words.len() != declared.ty.shape.elements() {
            let (name, expected) = (input.into(), declared.ty.clone());
            return Err(EngineError::InputLength {
                name,
                expected,
                found: words.len(),
            });
        }
        let target = self.work.buffers[index].words_mut();
        target.copy_from_slice(words);
        canonicalise(declared.ty.dtype, target);
        self.written[index] = true;
        self.work.changed(index);
        Ok(())
    }

    fn run(&mut self) -> Result<(), EngineError> {
        if let Some(index) = self.written.iter().position(|&written| !written) {
            return Err(EngineError::Unwritten(
                self.program.inputs()[index].name.clone(),
            ));
        }
        self.threads.execute(&mut self.work);
        Ok(())
    }

    fn read_words(&self, output: &str) -> Result<&[u32], EngineError> {
        let mut outputs = self.program.outputs().iter();
        let index = outputs.position(|declared| declared.name == output);
        let index = index.ok_or_else(|| EngineError::NoSuchOutput(output.into()))?;
        let output = &self.program.outputs()[index];
        let words = self
            .program
            .type_of(output.value)
            .map_or(0, |ty| ty.shape.elements());
        Ok(&self.work.buffers[self.work.plan.outputs[index].0].words()[..words])
    }

    fn advance(&mut self) {
        let program = Arc::clone(&self.program);
        for (index, output) in program.outputs().iter().enumerate() {
            let Some(input) = program.input_named(&output.name) else {
                continue;
            };
            let buffer = self.work.plan.outputs[index];
            if program.type_of(input) == program.type_of(output.value) && buffer.0 != input.index()
            {
                self.work.buffers.swap(input.index(), buffer.0);
                self.work.changed(input.index());
            }
        }
    }

    fn input_words(&self, input: &str) -> Result<&[u32], EngineError> {
        let index = self.input_index(input)?;
        if !self.written[index] {
            return Err(EngineError::Unwritten(input.into()));
        }
        Ok(self.work.buffers[index].words())
    }

    fn program(&self) -> &Program {
        &self.program
    }
}
