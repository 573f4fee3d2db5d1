//! Contributions as bytes: the tensors of a layout, one after the other, each in the format of its
//! kind.
//!
//! The layout is known to both sides, so the number of bytes is known before any is read. Numbers
//! that are not finite are refused. What a format loses is lost for everybody: the sender, too,
//! computes on what is read from its own bytes.

use reproducible_ops::program::Shape;
use reproducible_ops::weights::Weights;
use serde::{Deserialize, Serialize};
use skippipe::content::Content;
use skippipe::encoding::{self, DecodeError, EncodeError, Format};

use super::outer::ANCHOR;

/// How contributions are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Formats {
    /// Changes, and means of them.
    pub change: Format,
    /// Anchors, where replicas meet in pairs. They are as large as the model's parameters, of which
    /// two replicas differ by little: few bits blur the difference that pulls them together.
    pub anchor: Format,
}

/// Tensors of a contribution, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<(String, Shape)>,
    formats: Formats,
}

/// Why bytes are no contribution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not as many as the layout has.
    #[error("a contribution has {expected} bytes, not {found}")]
    Length {
        /// By the layout.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// A tensor of it is none.
    #[error("`{name}`: {source}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why.
        source: DecodeError,
    },
}

/// Why a contribution cannot be sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A tensor is missing.
    #[error("the contribution has no `{0}`")]
    Missing(String),
    /// A tensor cannot be written.
    #[error("`{name}`: {source}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why.
        source: EncodeError,
    },
}

impl Layout {
    /// Of tensors of these names and shapes.
    pub fn new(mut tensors: Vec<(String, Shape)>, formats: Formats) -> Self {
        tensors.sort_by(|one, other| one.0.cmp(&other.0));
        Self { tensors, formats }
    }

    fn format(&self, name: &str) -> Format {
        match name.starts_with(ANCHOR) {
            true => self.formats.anchor,
            false => self.formats.change,
        }
    }

    /// Bytes of a contribution.
    pub fn bytes(&self) -> usize {
        let tensors = self.tensors.iter();
        tensors
            .map(|(name, shape)| self.format(name).bytes(shape))
            .sum()
    }

    /// A contribution as it is sent.
    ///
    /// # Errors
    /// A tensor is missing, or has a number that its format cannot hold.
    pub fn write(&self, contribution: &Weights) -> Result<Content, WriteError> {
        let mut bytes = Vec::with_capacity(self.bytes());
        for (name, _) in &self.tensors {
            let tensor = contribution.get(name);
            let tensor = tensor.ok_or_else(|| WriteError::Missing(name.clone()))?;
            let written = encoding::encode(self.format(name), tensor);
            bytes.extend(written.map_err(|source| WriteError::Tensor {
                name: name.clone(),
                source,
            })?);
        }
        Ok(Content::new(bytes))
    }

    /// The contribution in these bytes.
    ///
    /// # Errors
    /// There are more or fewer than a contribution has, or a tensor is none.
    pub fn read(&self, content: &Content) -> Result<Weights, ReadError> {
        let (expected, found) = (self.bytes(), content.bytes().len());
        if found != expected {
            return Err(ReadError::Length { expected, found });
        }
        let mut rest = content.bytes();
        let tensors = self.tensors.iter().map(|(name, shape)| {
            let format = self.format(name);
            let (own, after) = rest.split_at(format.bytes(shape));
            rest = after;
            let read = encoding::decode(format, shape, own);
            let read = read.map_err(|source| ReadError::Tensor {
                name: name.clone(),
                source,
            })?;
            Ok((name.clone(), read))
        });
        tensors.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reproducible_ops::tensor::Tensor;

    use super::*;

    fn layout(change: Format, anchor: Format) -> Layout {
        let tensors = [
            ("change.b", vec![70]),
            ("anchor.a", vec![2, 3]),
            ("change.a", vec![]),
        ];
        let tensors = tensors.map(|(name, shape)| (name.to_owned(), Shape::new(shape)));
        Layout::new(tensors.to_vec(), Formats { change, anchor })
    }

    fn contribution(layout: &Layout) -> Weights {
        let tensors = layout.tensors.iter();
        let tensors = tensors.map(|(name, shape)| {
            let values = (0..shape.elements())
                .map(|at| at as f32 / 3.0 - 5.0)
                .collect();
            (name.clone(), Tensor::f32(shape.clone(), values).unwrap())
        });
        tensors.collect()
    }

    #[test]
    fn every_format_is_read_as_everybody_reads_it() {
        for format in [Format::F32, Format::Bf16, Format::Int8] {
            let layout = layout(format, Format::F32);
            let given = contribution(&layout);
            let content = layout.write(&given).unwrap();
            assert_eq!(content.bytes().len(), layout.bytes());
            let read = layout.read(&content).unwrap();
            assert_eq!(read.get("anchor.a"), given.get("anchor.a"));
            assert_eq!(
                read.get("change.b") == given.get("change.b"),
                format == Format::F32
            );
        }
    }

    #[test]
    fn what_is_no_contribution_is_refused() {
        let layout = layout(Format::F32, Format::F32);
        let mut given = contribution(&layout);
        let content = layout.write(&given).unwrap();
        let short = Content::new(content.bytes()[1..].to_vec());
        assert!(matches!(
            layout.read(&short),
            Err(ReadError::Length {
                expected: 326,
                found: 325
            })
        ));
        let mut bytes = content.bytes().to_vec();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        let refused = layout.read(&Content::new(bytes)).unwrap_err().to_string();
        assert!(refused.contains("`change.b`: element 69"), "{refused}");
        given.remove("change.a");
        assert_eq!(
            layout.write(&given),
            Err(WriteError::Missing("change.a".into()))
        );
    }

    proptest! {
        #[test]
        fn bytes_of_others_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 326)) {
            let layout = layout(Format::F32, Format::F32);
            prop_assert_eq!(layout.bytes(), 326);
            if let Ok(read) = layout.read(&Content::new(bytes.clone())) {
                let written = layout.write(&read).unwrap();
                prop_assert_eq!(written.bytes(), &bytes[..]);
            }
        }
    }
}
