//! Named tensors of a model, and their safetensors files.
//!
//! ```text
//! Hugging Face folder ─┐
//! safetensors file ────┼─▶ Weights ──check_against──▶ Program inputs
//! bytes ───────────────┘      └──▶ save (atomic), to_bytes, digest
//! ```
//!
//! Bytes are canonical: equal weights give equal bytes on every machine, so [`Weights::digest`]
//! names a checkpoint. The layout: header length (u64, little endian), a JSON header padded with
//! spaces to a multiple of 8, then the elements. The header holds `{"format":"pt"}` as metadata and
//! the tensors in file order: f32 and i32 before bool (so that every element is aligned), by name
//! within each. Half floats are widened on reading, exactly, or kept at two bytes with
//! [`Weights::load_halves`]; bytes and digest are those of the widened numbers either way.
//!
//! Reading trusts nothing: every length is checked against the file before it is used, no more is
//! allocated than a small multiple of the file's size, and a NaN or an infinity is refused. What is
//! read as a model's parameters is checked further by [`Weights::check_parameters`]; an optimizer's
//! state has no bound.

mod error;
mod read;
mod write;

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;

pub use error::{CheckError, LoadError, SaveError};

use crate::engine::{Buffer, Engine, EngineError, Session};
use crate::program::{Program, Role};
use crate::tensor::Tensor;

/// Largest magnitude of a model's parameter: 2²⁰.
///
/// A gated feed-forward block multiplies three parameters and the next norm sums squares of that:
/// 2²⁰ to the sixth is 2¹²⁰, and 256 of them overflow f32. Trained models stay far below: many are
/// published as f16, which ends at 65,504.
pub const MAX_PARAMETER: f32 = 1_048_576.0;

/// An ordered map from names to tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

/// Named tensors in an engine's memory.
pub type Buffers = BTreeMap<String, Buffer>;

impl Weights {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensor of this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.tensors.get_mut(name)
    }

    /// Adds a tensor or replaces the one of the same name.
    pub fn insert(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Number of elements in all tensors.
    pub fn elements(&self) -> usize {
        self.tensors
            .values()
            .map(|tensor| tensor.shape().elements())
            .sum()
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Names and tensors in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Checks that every parameter of a program is here with its type, and that nothing is here
    /// that the program does not take. (Optimizer state and constants may be left out.)
    ///
    /// # Errors
    /// The first name, in the program's order, that is missing or differs; else the first extra
    /// name.
    pub fn check_against(&self, program: &Program) -> Result<(), CheckError> {
        for input in program.inputs() {
            match self.get(&input.name) {
                Some(tensor) if *tensor.ty() != input.ty => {
                    let (name, expected, found) =
                        (input.name.clone(), input.ty.clone(), tensor.ty().clone());
                    return Err(CheckError::Type {
                        name,
                        expected,
                        found,
                    });
                }
                None if input.role == Role::Param => {
                    return Err(CheckError::Missing {
                        name: input.name.clone(),
                        expected: input.ty.clone(),
                    });
                }
                _ => {}
            }
        }
        let extra = self
            .iter()
            .find(|(name, _)| program.input_named(name).is_none());
        match extra {
            Some((name, tensor)) => Err(CheckError::Unexpected {
                name: name.into(),
                found: tensor.ty().clone(),
            }),
            None => Ok(()),
        }
    }

    /// Checks that no element is beyond ±[`MAX_PARAMETER`].
    ///
    /// # Errors
    /// [`LoadError::NotFinite`] or [`LoadError::TooLarge`] with the first such element of the first
    /// such tensor.
    pub fn check_parameters(&self) -> Result<(), LoadError> {
        let beyond = |(name, tensor): (&str, &Tensor)| {
            tensor
                .first_beyond(MAX_PARAMETER)
                .map(|(index, value)| (name.to_owned(), index, value))
        };
        match self.iter().find_map(beyond) {
            None => Ok(()),
            Some((name, index, value)) if value.is_finite() => {
                Err(LoadError::TooLarge { name, index, value })
            }
            Some((name, index, value)) => Err(LoadError::NotFinite { name, index, value }),
        }
    }

    /// Stores every tensor in the engine's memory.
    ///
    /// # Errors
    /// The device failed.
    pub fn upload(&self, engine: &dyn Engine) -> Result<Buffers, EngineError> {
        self.iter()
            .map(|(name, tensor)| Ok((name.to_owned(), engine.upload(tensor)?)))
            .collect()
    }

    /// As [`Weights::upload`]; each tensor is given up as soon as it is stored, so that no more than
    /// one of them is in memory twice.
    ///
    /// # Errors
    /// The device failed.
    pub fn into_buffers(self, engine: &dyn Engine) -> Result<Buffers, EngineError> {
        self.into_iter()
            .map(|(name, tensor)| Ok((name, engine.upload(&tensor)?)))
            .collect()
    }

    /// Writes every tensor into the input of its name.
    ///
    /// # Errors
    /// A name that is no input, or an input of another type: see [`Weights::check_against`].
    pub fn write_to(&self, session: &mut dyn Session) -> Result<(), EngineError> {
        self.iter()
            .try_for_each(|(name, tensor)| session.write(name, tensor))
    }
}

impl Extend<(String, Tensor)> for Weights {
    fn extend<T: IntoIterator<Item = (String, Tensor)>>(&mut self, tensors: T) {
        self.tensors.extend(tensors);
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<T: IntoIterator<Item = (String, Tensor)>>(tensors: T) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
        }
    }
}

impl IntoIterator for Weights {
    type Item = (String, Tensor);
    type IntoIter = IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

#[cfg(test)]
mod tests;
