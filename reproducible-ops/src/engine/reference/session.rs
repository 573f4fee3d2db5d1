//! The reference as an engine: for tests of what uses engines, and to compare other engines with.

use std::sync::Arc;

use super::{canonical, evaluate};
use crate::engine::{
    Buffer, Engine, EngineError, Session, input_index, input_of_length, input_of_type,
    next_value_of, output_index,
};
use crate::program::Program;
use crate::tensor::Tensor;

/// Runs programs by the reference.
pub struct ReferenceEngine;

struct ReferenceSession {
    program: Program,
    /// In input order; none where there is no value.
    inputs: Vec<Option<Arc<Tensor>>>,
    /// In output order; none where there is no value.
    outputs: Vec<Option<Arc<Tensor>>>,
}

impl Engine for ReferenceEngine {
    fn name(&self) -> String {
        "reference".into()
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, EngineError> {
        program.validate()?;
        Ok(Box::new(ReferenceSession {
            inputs: vec![None; program.inputs().len()],
            outputs: vec![None; program.outputs().len()],
            program: program.clone(),
        }))
    }

    fn upload(&self, tensor: &Tensor) -> Result<Buffer, EngineError> {
        Ok(buffer(&Arc::new(canonical(tensor))))
    }
}

fn buffer(tensor: &Arc<Tensor>) -> Buffer {
    Buffer::new(tensor.ty().clone(), Arc::clone(tensor) as _)
}

impl Session for ReferenceSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError> {
        let index = input_of_length(&self.program, input, words.len())?;
        let mut tensor = Tensor::zeros(self.program.inputs()[index].ty.clone());
        tensor.words_mut().copy_from_slice(words);
        self.inputs[index] = Some(Arc::new(canonical(&tensor)));
        Ok(())
    }

    fn bind(&mut self, input: &str, buffer: &Buffer) -> Result<(), EngineError> {
        let index = input_of_type(&self.program, input, buffer.ty())?;
        let tensor = buffer
            .storage()
            .ok_or_else(|| EngineError::ForeignBuffer(input.into()))?;
        self.inputs[index] = Some(tensor);
        Ok(())
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let declared = self.program.inputs().iter().zip(&self.inputs);
        let inputs: Vec<Tensor> = declared
            .map(|(declared, tensor)| match tensor {
                Some(tensor) => Ok(tensor.as_ref().clone()),
                None => Err(EngineError::Unwritten(declared.name.clone())),
            })
            .collect::<Result<_, _>>()?;
        let outputs = evaluate(&self.program, &inputs)?;
        self.outputs = outputs.into_iter().map(|x| Some(Arc::new(x))).collect();
        Ok(())
    }

    fn advance(&mut self) {
        for (declared, output) in self.program.outputs().iter().zip(&mut self.outputs) {
            if let Some(input) = next_value_of(&self.program, declared)
                && output.is_some()
            {
                self.inputs[input] = output.take();
            }
        }
    }

    fn input(&self, input: &str) -> Result<Buffer, EngineError> {
        let tensor = self.inputs[input_index(&self.program, input)?].as_ref();
        tensor
            .map(buffer)
            .ok_or_else(|| EngineError::Unwritten(input.into()))
    }

    fn output(&self, output: &str) -> Result<Buffer, EngineError> {
        let tensor = self.outputs[output_index(&self.program, output)?].as_ref();
        tensor
            .map(buffer)
            .ok_or_else(|| EngineError::NotComputed(output.into()))
    }
}
