//! Engines execute programs. All of them give the bits of [`mod@reference`], or they are not
//! engines of this profile.
//!
//! ```text
//! Program ──Engine::load──▶ Session ──write, bind inputs──▶ run ──▶ read outputs
//!                              ▲                             │
//!                              └───────── advance ───────────┘   outputs become the inputs of the same name
//! ```
//!
//! A [`Buffer`] is a tensor in an engine's memory. Sessions of one engine share buffers without
//! copies: an output of one is bound to an input of another, and parameters are bound to every
//! program of a model.
//!
//! ```
//! use reproducible_ops::engine::Engine;
//! use reproducible_ops::engine::cpu::CpuEngine;
//! use reproducible_ops::program::{Builder, Role, TensorType};
//! use reproducible_ops::tensor::Tensor;
//!
//! let mut b = Builder::new();
//! let x = b.input("x", TensorType::f32([2]), Role::Data);
//! let y = b.add(x, x)?;
//! b.output("y", y);
//! let program = b.finish();
//!
//! let engine = CpuEngine::new(1);
//! let (mut first, mut second) = (engine.load(&program)?, engine.load(&program)?);
//! first.write("x", &Tensor::f32([2], vec![1.0, 2.0])?)?;
//! first.run()?;
//! second.bind("x", &first.output("y")?)?;
//! second.run()?;
//! assert_eq!(second.read("y")?.as_f32()?, [4.0, 8.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buffer;
pub mod cpu;
pub mod reference;
#[cfg(test)]
mod tests;

pub use buffer::{Buffer, Storage};

use crate::program::{DType, DecodeError, Output, Program, TensorType, ValueId};
use crate::scalar;
use crate::tensor::Tensor;

/// Why a program cannot be loaded or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The program breaks a rule.
    #[error("invalid program: {0}")]
    Invalid(#[from] DecodeError),
    /// No input of this name.
    #[error("the program has no input named `{0}`")]
    NoSuchInput(String),
    /// No output of this name.
    #[error("the program has no output named `{0}`")]
    NoSuchOutput(String),
    /// The tensor does not have the input's type.
    #[error("input `{name}` is {expected}, got {found}")]
    InputType {
        /// The input's name.
        name: String,
        /// Its declared type.
        expected: TensorType,
        /// The type of the given tensor.
        found: TensorType,
    },
    /// The given words are not as many as the input's elements.
    #[error("input `{name}` is {expected}, got {found} words")]
    InputLength {
        /// The input's name.
        name: String,
        /// Its declared type.
        expected: TensorType,
        /// Words given.
        found: usize,
    },
    /// `run` before every input had a value, or an input read that has none.
    #[error("input `{0}` was never written")]
    Unwritten(String),
    /// An output that has no value.
    #[error("output `{0}` has no value: run the program first")]
    NotComputed(String),
    /// A buffer in the memory of an engine of another kind.
    #[error(
        "the buffer for input `{0}` is in the memory of another engine: read it and write its words"
    )]
    ForeignBuffer(String),
}

/// Makes words what a value of this type may hold: the canonical NaN, and 0 or 1 for a bool. Every
/// engine does this to what is written to an input.
pub(crate) fn canonicalise(dtype: DType, words: &mut [u32]) {
    match dtype {
        DType::F32 => words
            .iter_mut()
            .for_each(|word| *word = scalar::canon(f32::from_bits(*word)).to_bits()),
        DType::I32 => {}
        DType::Bool => words
            .iter_mut()
            .for_each(|word| *word = u32::from(*word != 0)),
    }
}

/// Something that can execute programs.
pub trait Engine: Send + Sync {
    /// Name with the instruction set in use, for people: `cpu (avx512, 2 threads)`.
    fn name(&self) -> String;

    /// Prepares a program: checks it, plans buffers and kernels.
    ///
    /// # Errors
    /// The program is not valid.
    fn load(&self, program: &Program) -> Result<Box<dyn Session>, EngineError>;

    /// Stores a tensor in the engine's memory. Any NaN becomes the canonical one, any bool but 0
    /// becomes 1.
    ///
    /// # Errors
    /// The device failed.
    fn upload(&self, tensor: &Tensor) -> Result<Buffer, EngineError>;
}

/// A loaded program with the buffers of its inputs and outputs.
pub trait Session: Send {
    /// The program that was loaded.
    fn program(&self) -> &Program;

    /// Gives an input raw words (see [`Tensor::words`]). Any NaN becomes the canonical one, any
    /// bool but 0 becomes 1.
    ///
    /// # Errors
    /// No such input, or another number of words than it has elements.
    fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError>;

    /// Gives an input a buffer of the same engine, without a copy.
    ///
    /// # Errors
    /// No such input, another type, or a buffer of another engine.
    fn bind(&mut self, input: &str, buffer: &Buffer) -> Result<(), EngineError>;

    /// Executes the program once.
    ///
    /// A state input that has a next value (an output of its name and type) may be used up by it:
    /// call [`Session::advance`], or write or bind it again, before the next run.
    ///
    /// # Errors
    /// An input has no value.
    fn run(&mut self) -> Result<(), EngineError>;

    /// Makes every output that has the name and type of an input its next value. The output has no
    /// value then until the next run.
    fn advance(&mut self);

    /// The buffer of an input.
    ///
    /// # Errors
    /// No such input, or it has no value.
    fn input(&self, input: &str) -> Result<Buffer, EngineError>;

    /// The buffer of an output after [`Session::run`].
    ///
    /// # Errors
    /// No such output, or it has no value.
    fn output(&self, output: &str) -> Result<Buffer, EngineError>;

    /// Gives an input a tensor.
    ///
    /// # Errors
    /// No such input, or another type.
    fn write(&mut self, input: &str, tensor: &Tensor) -> Result<(), EngineError> {
        input_of_type(self.program(), input, tensor.ty())?;
        self.write_words(input, tensor.words())
    }

    /// A copy of an output after [`Session::run`].
    ///
    /// # Errors
    /// See [`Session::output`].
    fn read(&self, output: &str) -> Result<Tensor, EngineError> {
        self.output(output)?.read()
    }

    /// A copy of the words of an output after [`Session::run`].
    ///
    /// # Errors
    /// See [`Session::output`].
    fn read_words(&self, output: &str) -> Result<Vec<u32>, EngineError> {
        self.output(output)?.read_words()
    }

    /// A copy of the words of an input.
    ///
    /// # Errors
    /// See [`Session::input`].
    fn input_words(&self, input: &str) -> Result<Vec<u32>, EngineError> {
        self.input(input)?.read_words()
    }
}

/// Index of an input.
fn input_index(program: &Program, name: &str) -> Result<usize, EngineError> {
    let input = program.input_named(name);
    input
        .map(ValueId::index)
        .ok_or_else(|| EngineError::NoSuchInput(name.into()))
}

/// Index of an input that takes tensors of type `found`.
fn input_of_type(program: &Program, name: &str, found: &TensorType) -> Result<usize, EngineError> {
    let index = input_index(program, name)?;
    let expected = &program.inputs()[index].ty;
    if expected == found {
        return Ok(index);
    }
    Err(EngineError::InputType {
        name: name.into(),
        expected: expected.clone(),
        found: found.clone(),
    })
}

/// Index of an input that takes so many words.
fn input_of_length(program: &Program, name: &str, found: usize) -> Result<usize, EngineError> {
    let index = input_index(program, name)?;
    let expected = &program.inputs()[index].ty;
    if expected.shape.elements() == found {
        return Ok(index);
    }
    Err(EngineError::InputLength {
        name: name.into(),
        expected: expected.clone(),
        found,
    })
}

/// Index of an output.
fn output_index(program: &Program, name: &str) -> Result<usize, EngineError> {
    let mut outputs = program.outputs().iter();
    outputs
        .position(|output| output.name == name)
        .ok_or_else(|| EngineError::NoSuchOutput(name.into()))
}

/// Index of the input whose next value is an output: it has the output's name and type.
fn next_value_of(program: &Program, output: &Output) -> Option<usize> {
    let input = program.input_named(&output.name)?;
    (program.type_of(input) == program.type_of(output.value)).then_some(input.index())
}

/// The type of an output.
#[expect(
    clippy::expect_used,
    reason = "a program is validated when it is loaded"
)]
fn output_type(program: &Program, index: usize) -> &TensorType {
    let value = program.outputs()[index].value;
    program
        .type_of(value)
        .expect("invariant: outputs of a valid program are values of it")
}
