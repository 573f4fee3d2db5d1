//! A loaded program: takes inputs, has the work executed, gives outputs.
//!
//! Memory is allocated when the session is made, but for that of inputs, which comes with their
//! first value, the packed form of weights, which the first run adds, and what is written while
//! others hold the buffer that it replaces.

use std::sync::Arc;

use crate::engine::{
    Buffer, EngineError, Session, canonicalise, input_index, input_of_length, input_of_type,
    next_value_of, output_index, output_type,
};
use crate::program::Program;
use crate::tensor::Tensor;

use super::gemm::{PackedB, panel_columns};
use super::instruction_set::InstructionSet;
use super::memory::Words;
use super::observer::Observer;
use super::plan::Plan;
use super::step::BufferId;
use super::threads::Threads;
use super::work::Work;

/// Words that are copied at a time.
const CHUNK: usize = 1 << 14;

/// The CPU engine's [`Session`].
pub(super) struct CpuSession {
    program: Arc<Program>,
    threads: Arc<Threads>,
    work: Work,
    isa: InstructionSet,
    /// Which inputs have a value.
    written: Vec<bool>,
    /// Which outputs have a value.
    computed: Vec<bool>,
}

impl CpuSession {
    pub fn new(
        program: &Program,
        isa: InstructionSet,
        threads: Arc<Threads>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let inputs = program.inputs().len();
        let work = Work::new(Plan::new(program), inputs, isa, threads.count());
        Self {
            work: match observer {
                Some(observer) => work.observed(program, observer),
                None => work,
            },
            isa,
            written: vec![false; inputs],
            computed: vec![false; program.outputs().len()],
            program: Arc::new(program.clone()),
            threads,
        }
    }
}

/// A tensor in this machine's memory. A matrix that is kept at two bytes a number stays so, in the
/// panels that products read; what is no matrix, or has fewer rows than a panel, is widened.
pub(super) fn upload(tensor: &Tensor, isa: InstructionSet) -> Buffer {
    let words = match panels(tensor, isa) {
        Some(panels) => Words::of_panels(panels),
        None => widened(tensor),
    };
    Buffer::new(tensor.ty().clone(), Arc::new(words))
}

#[expect(
    clippy::expect_used,
    reason = "the instruction set is the engine's, and a tensor has the numbers of its shape"
)]
fn panels(tensor: &Tensor, isa: InstructionSet) -> Option<PackedB> {
    let (halves, &[n, k]) = (tensor.halves()?, tensor.shape().dims()) else {
        return None;
    };
    let packed = || PackedB::of_halves(isa, halves, n, k).expect("invariant: they fit");
    (n >= panel_columns(isa) && k > 0).then(packed)
}

fn widened(tensor: &Tensor) -> Words {
    let mut words = Words::zeros(tensor.shape().elements());
    let mut target = words.words_mut();
    for chunk in tensor.word_chunks(CHUNK) {
        let (to, rest) = target.split_at_mut(chunk.len());
        to.copy_from_slice(&chunk);
        canonicalise(tensor.ty().dtype, to);
        target = rest;
    }
    words
}

impl Session for CpuSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError> {
        let index = input_of_length(&self.program, input, words.len())?;
        let memory = &mut self.work.memory;
        let target = memory.overwrite(BufferId(index), words.len()).words_mut();
        target.copy_from_slice(words);
        canonicalise(self.program.inputs()[index].ty.dtype, target);
        self.written[index] = true;
        Ok(())
    }

    fn write(&mut self, input: &str, tensor: &Tensor) -> Result<(), EngineError> {
        input_of_type(&self.program, input, tensor.ty())?;
        match tensor.halves() {
            Some(_) => self.bind(input, &upload(tensor, self.isa)),
            None => self.write_words(input, tensor.words()),
        }
    }

    fn bind(&mut self, input: &str, buffer: &Buffer) -> Result<(), EngineError> {
        let index = input_of_type(&self.program, input, buffer.ty())?;
        let words = buffer
            .storage::<Words>()
            .ok_or_else(|| EngineError::ForeignBuffer(input.into()))?;
        self.work.memory.put(BufferId(index), words);
        self.written[index] = true;
        Ok(())
    }

    fn run(&mut self) -> Result<(), EngineError> {
        if let Some(index) = self.written.iter().position(|&written| !written) {
            let input = &self.program.inputs()[index];
            return Err(EngineError::Unwritten(input.name.clone()));
        }
        self.threads.execute(&mut self.work);
        for (output, computed) in self.computed.iter_mut().enumerate() {
            *computed = true;
            if let Some(input) = self.work.in_place(output) {
                self.written[input] = false;
            }
        }
        Ok(())
    }

    fn advance(&mut self) {
        for (index, output) in self.program.outputs().iter().enumerate() {
            let Some(input) = next_value_of(&self.program, output) else {
                continue;
            };
            if std::mem::take(&mut self.computed[index]) {
                let buffer = self.work.plan.outputs[index];
                self.work.memory.swap(BufferId(input), buffer);
                self.written[input] = true;
            }
        }
    }

    fn input(&self, input: &str) -> Result<Buffer, EngineError> {
        let index = input_index(&self.program, input)?;
        if !self.written[index] {
            return Err(EngineError::Unwritten(input.into()));
        }
        let words = Arc::clone(self.work.memory.get(BufferId(index)));
        Ok(Buffer::new(self.program.inputs()[index].ty.clone(), words))
    }

    fn output(&self, output: &str) -> Result<Buffer, EngineError> {
        let index = output_index(&self.program, output)?;
        if !self.computed[index] {
            return Err(EngineError::NotComputed(output.into()));
        }
        let words = Arc::clone(self.work.memory.get(self.work.plan.outputs[index]));
        let ty = output_type(&self.program, index);
        Ok(Buffer::new(ty.clone(), words))
    }
}
