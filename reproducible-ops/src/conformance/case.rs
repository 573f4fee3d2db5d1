//! One case: a program with its inputs and its known answer.

use crate::program::Program;
use crate::tensor::Tensor;

use super::answers::ANSWERS;
use super::inputs::{Inputs, Kind};

/// A program with everything it needs.
pub(super) struct Case {
    /// The operator's name, with its element type where there are several.
    pub name: &'static str,
    pub program: Program,
    /// In input order.
    pub inputs: Vec<Tensor>,
    /// The pinned digest of its outputs.
    pub answer: u64,
}

impl Case {
    /// A case whose inputs are drawn from the place of its name among the answers.
    ///
    /// # Panics
    /// If it has no answer. Every case is built by the tests, so this stops whoever adds one.
    pub fn new(name: &'static str, program: Program, kind: Kind) -> Self {
        let place = ANSWERS.iter().position(|(known, _)| *known == name);
        let Some(place) = place else {
            panic!("`{name}` has no known answer: append one to conformance/answers.rs");
        };
        let mut inputs = Inputs::new(place as u64);
        let inputs = program
            .inputs()
            .iter()
            .map(|input| inputs.tensor(&input.ty, kind))
            .collect();
        Self {
            name,
            program,
            inputs,
            answer: ANSWERS[place].1,
        }
    }
}
