//! The reference as an engine.

use std::collections::HashMap;

use reproducible_ops::engine::{Engine, EngineError, Session, reference};
use reproducible_ops::program::Program;
use reproducible_ops::tensor::Tensor;

pub(crate) struct ReferenceEngine;

struct ReferenceSession {
    program: Program,
    inputs: HashMap<String, Tensor>,
    outputs: Vec<Tensor>,
}

impl Engine for ReferenceEngine {
    fn name(&self) -> String {
        "reference".into()
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, EngineError> {
        program.validate()?;
        let (inputs, outputs) = (HashMap::new(), Vec::new());
        Ok(Box::new(ReferenceSession {
            program: program.clone(),
            inputs,
            outputs,
        }))
    }
}

impl Session for ReferenceSession {
    fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError> {
        let id = self
            .program
            .input_named(input)
            .ok_or_else(|| EngineError::NoSuchInput(input.into()))?;
        let ty = self.program.type_of(id).unwrap().clone();
        self.inputs.insert(
            input.into(),
            Tensor::from_words(ty, words.to_vec()).unwrap(),
        );
        Ok(())
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let given = |name: &String| {
            self.inputs
                .get(name)
                .cloned()
                .ok_or_else(|| EngineError::Unwritten(name.clone()))
        };
        let inputs: Vec<Tensor> = self
            .program
            .inputs()
            .iter()
            .map(|input| given(&input.name))
            .collect::<Result<_, _>>()?;
        self.outputs = reference::evaluate(&self.program, &inputs)?;
        Ok(())
    }

    fn read_words(&self, output: &str) -> Result<&[u32], EngineError> {
        let index = self
            .program
            .outputs()
            .iter()
            .position(|known| known.name == output);
        let tensor = index.and_then(|index| self.outputs.get(index));
        tensor
            .map(Tensor::words)
            .ok_or_else(|| EngineError::NoSuchOutput(output.into()))
    }

    fn advance(&mut self) {
        for (output, value) in self.program.outputs().iter().zip(&self.outputs) {
            if let Some(input) = self.inputs.get_mut(&output.name) {
                *input = value.clone();
            }
        }
    }

    fn input_words(&self, input: &str) -> Result<&[u32], EngineError> {
        self.inputs
            .get(input)
            .map(Tensor::words)
            .ok_or_else(|| EngineError::Unwritten(input.into()))
    }

    fn program(&self) -> &Program {
        &self.program
    }
}
