//! Engines execute programs. All of them give the bits of [`mod@reference`], or they are not
//! engines of this profile.
//!
//! ```text
//! Program ──Engine::load──▶ Session ──write inputs──▶ run ──▶ read outputs
//!                              ▲                        │
//!                              └──────── advance ───────┘   outputs become the inputs of the same name
//! ```

pub mod cpu;
pub mod reference;

use crate::program::{DType, DecodeError, Program, TensorType};
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
    /// `run` before every input was written.
    #[error("input `{0}` was never written")]
    Unwritten(String),
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
}

/// A loaded program with its inputs resident.
pub trait Session: Send {
    /// Overwrites an input with raw words (see [`Tensor::words`]). Any NaN becomes the canonical
    /// one, any bool but 0 becomes 1.
    ///
    /// # Errors
    /// No such input, or another number of words than it has elements.
    fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError>;

    /// Executes the program once.
    ///
    /// A state input that has a next value (an output of its name and type) may be overwritten by
    /// it: call [`Session::advance`] or write it again before the next run.
    ///
    /// # Errors
    /// An input was never written.
    fn run(&mut self) -> Result<(), EngineError>;

    /// The words of an output after [`Session::run`].
    ///
    /// # Errors
    /// No such output.
    fn read_words(&self, output: &str) -> Result<&[u32], EngineError>;

    /// Makes every output that has the name and type of an input its next value. Reading those
    /// outputs afterwards is not meaningful until the next run.
    fn advance(&mut self);

    /// The current words of an input.
    ///
    /// # Errors
    /// No such input, or it was never written.
    fn input_words(&self, input: &str) -> Result<&[u32], EngineError>;

    /// The program that was loaded.
    fn program(&self) -> &Program;

    /// Overwrites an input.
    ///
    /// # Errors
    /// No such input, or another type.
    fn write(&mut self, input: &str, tensor: &Tensor) -> Result<(), EngineError> {
        let declared = self
            .program()
            .inputs()
            .iter()
            .find(|declared| declared.name == input);
        let expected = &declared
            .ok_or_else(|| EngineError::NoSuchInput(input.into()))?
            .ty;
        if expected != tensor.ty() {
            let (name, expected, found) = (input.into(), expected.clone(), tensor.ty().clone());
            return Err(EngineError::InputType {
                name,
                expected,
                found,
            });
        }
        self.write_words(input, tensor.words())
    }

    /// A copy of an output after [`Session::run`].
    ///
    /// # Errors
    /// No such output.
    fn read(&self, output: &str) -> Result<Tensor, EngineError> {
        let missing = || EngineError::NoSuchOutput(output.into());
        let value = self.program().output_named(output).ok_or_else(missing)?;
        let ty = self.program().type_of(value).ok_or_else(missing)?.clone();
        let words = self.read_words(output)?.to_vec();
        Tensor::from_words(ty, words).map_err(|_| missing())
    }
}
